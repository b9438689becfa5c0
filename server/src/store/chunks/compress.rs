//! Compression of chunks: only where a sample says that it pays.

use std::sync::Mutex;
use std::sync::PoisonError;

use zstd::bulk::Compressor;

/// Bytes of a chunk that are compressed to see whether it pays.
const SAMPLE_BYTES: usize = 4 << 10;
/// zstd's level for what people wait for.
const LEVEL: i32 = 1;
/// Compressors kept for the next chunk; each holds about a megabyte.
const IDLE_MAX: usize = 4;

/// A few compressors that take turns.
#[derive(Default)]
pub(super) struct Compressors {
    idle: Mutex<Vec<Compressor<'static>>>,
}

impl std::fmt::Debug for Compressors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressors")
    }
}

/// Returns whether a length is less than 94 % of another.
fn pays(compressed: usize, plain: usize) -> bool {
    compressed.saturating_mul(100) < plain.saturating_mul(94)
}

impl Compressors {
    /// Appends a chunk to `out` as it will be stored: compressed where that saves more
    /// than 6 %, else as it is. Returns the length of what was appended, in bytes.
    pub(super) fn store(&self, chunk: &[u8], out: &mut Vec<u8>) -> usize {
        let begin = out.len();
        if !self.compress(chunk, out) {
            out.truncate(begin);
            out.extend_from_slice(chunk);
        }
        out.len() - begin
    }

    /// Appends a chunk compressed, if that pays; else what it appended is worth nothing.
    fn compress(&self, chunk: &[u8], out: &mut Vec<u8>) -> bool {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let compressor = idle.map_or_else(|| Compressor::new(LEVEL), Ok);
        let Ok(mut compressor) = compressor else {
            return false;
        };
        let is_compressed = compress_with(&mut compressor, chunk, out).is_some();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(compressor);
        }
        is_compressed
    }
}

/// Appends a chunk compressed; `None`: it does not pay.
fn compress_with(compressor: &mut Compressor<'_>, chunk: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let middle = (chunk.len() / 2).saturating_sub(SAMPLE_BYTES / 2);
    let sample = chunk.get(middle..middle + SAMPLE_BYTES).unwrap_or(chunk);
    let tried = compressor.compress(sample).ok()?;
    if !pays(tried.len(), sample.len()) {
        return None;
    }
    if sample.len() == chunk.len() {
        out.extend_from_slice(&tried);
        return Some(());
    }
    let begin = out.len();
    // What does not fit into the chunk's own length would not pay.
    out.reserve(chunk.len());
    let mut end = std::io::Cursor::new(&mut *out);
    end.set_position(begin as u64);
    let length = compressor.compress_to_buffer(chunk, &mut end).ok()?;
    pays(length, chunk.len()).then_some(())
}

/// Decompresses a chunk whose length is known; `None`: these bytes are not that chunk.
pub(super) fn decompress(payload: &[u8], plain_bytes: usize) -> Option<Vec<u8>> {
    let plain = zstd::bulk::decompress(payload, plain_bytes).ok()?;
    (plain.len() == plain_bytes).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressed_and_noise_is_left_alone() {
        let compressors = Compressors::default();
        let text = "une ligne, puis une autre\n".repeat(4_000);
        let mut compressed = b"before".to_vec();
        let length = compressors.store(text.as_bytes(), &mut compressed);
        let compressed = compressed.split_off(6);
        assert_eq!(compressed.len(), length);
        assert!(compressed.len() < text.len() / 10);
        assert_eq!(
            decompress(&compressed, text.len()).as_deref(),
            Some(text.as_bytes())
        );
        assert_eq!(decompress(&compressed, text.len() - 1), None);
        let mut noise = vec![0; 100_000];
        rand::fill(&mut noise[..]);
        let mut stored = b"before".to_vec();
        assert_eq!(compressors.store(&noise, &mut stored), noise.len());
        assert_eq!(stored.split_off(6), noise);
    }
}
