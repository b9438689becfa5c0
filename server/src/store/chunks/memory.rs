//! A budget of memory that uploads share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::store::chunks::ChunkError;

/// The least that a budget holds, in bytes: one upload at a time always goes on.
const BYTES_MIN: u64 = 64 << 10;

/// Bytes of memory, taken and given back; who asks first is served first.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    bytes: u32,
    waiting: Arc<AtomicUsize>,
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let bytes = u32::try_from(bytes.max(BYTES_MIN)).unwrap_or(u32::MAX);
        Self {
            free: Arc::new(Semaphore::new(bytes as usize)),
            bytes,
            waiting: Arc::default(),
        }
    }

    /// Returns whether anybody waits for memory.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for memory; who needs more than there is takes all of it.
    pub(super) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ChunkError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes);
        let _waiting = Waiting::begin(&self.waiting);
        Arc::clone(&self.free)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_closed| ChunkError::Closed)
    }
}

/// Somebody who waits for memory.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
