//! Buffers for the frames of large uploads, used again and again.
//!
//! Frames are made on whatever blocking thread is free and end on an appender's. An
//! allocator keeps for each thread what others have freed of its memory, so frames that were
//! allocated one by one would leave some megabytes with every thread. A buffer goes back
//! here when the last frame in it is written.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;

/// A shorter buffer is not worth keeping, in bytes.
const KEPT_BYTES_MIN: usize = 256 << 10;
/// Buffers that wait for the next upload hold at most this together, in bytes.
const IDLE_BYTES_MAX: usize = 8 << 20;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Returns an empty buffer with room for some bytes.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes >= KEPT_BYTES_MIN {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = idle.iter().position(|buffer| buffer.capacity() >= bytes) {
                return idle.swap_remove(index);
            }
        }
        Vec::with_capacity(bytes)
    }

    /// Makes a full buffer readable by many; it comes back when the last has dropped it.
    pub(super) fn share(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() < KEPT_BYTES_MIN {
            return Bytes::from(bytes);
        }
        Bytes::from_owner(Shared {
            bytes,
            home: Arc::clone(self),
        })
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_bytes: usize = idle.iter().map(Vec::capacity).sum();
        if idle_bytes + buffer.capacity() <= IDLE_BYTES_MAX {
            idle.push(buffer);
        }
    }
}

/// A buffer in use.
struct Shared {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.home.keep(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_after_the_last_slice_and_few_wait() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take(1 << 20);
        first.extend_from_slice(b"frames");
        let address = first.as_ptr();
        let mut rest = buffers.share(first);
        let frame = rest.split_to(3);
        drop(rest);
        let other = buffers.take(1 << 20);
        assert_ne!(other.as_ptr(), address);
        assert_eq!(&frame[..], b"fra");
        drop(frame);
        let again = buffers.take(1 << 20);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));

        let many: Vec<Bytes> = (0..20)
            .map(|_| buffers.share(buffers.take(1 << 20)))
            .collect();
        drop(many);
        assert_eq!(buffers.idle.lock().unwrap().len(), 8);
    }
}
