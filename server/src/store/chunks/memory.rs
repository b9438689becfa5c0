//! A budget of memory that uploads share.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::store::chunks::ChunkError;

/// The least that a budget holds, in bytes: one upload at a time always goes on.
const BYTES_MIN: u64 = 64 << 10;

/// Bytes of memory, taken and given back; who asks first is served first.
#[derive(Debug)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    bytes: u32,
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let bytes = u32::try_from(bytes.max(BYTES_MIN)).unwrap_or(u32::MAX);
        Self {
            free: Arc::new(Semaphore::new(bytes as usize)),
            bytes,
        }
    }

    /// Waits for memory; who needs more than there is takes all of it.
    pub(super) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ChunkError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes);
        Arc::clone(&self.free)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_closed| ChunkError::Closed)
    }
}
