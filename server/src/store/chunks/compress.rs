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
    /// Returns the compressed chunk, if that saves more than 6 %.
    pub(super) fn compress(&self, chunk: &[u8]) -> Option<Vec<u8>> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut compressor = match idle {
            Some(compressor) => compressor,
            None => Compressor::new(LEVEL).ok()?,
        };
        let compressed = compress_with(&mut compressor, chunk);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(compressor);
        }
        compressed
    }
}

fn compress_with(compressor: &mut Compressor<'_>, chunk: &[u8]) -> Option<Vec<u8>> {
    let middle = (chunk.len() / 2).saturating_sub(SAMPLE_BYTES / 2);
    let sample = chunk.get(middle..middle + SAMPLE_BYTES).unwrap_or(chunk);
    let tried = compressor.compress(sample).ok()?;
    if !pays(tried.len(), sample.len()) {
        return None;
    }
    if sample.len() == chunk.len() {
        return Some(tried);
    }
    let compressed = compressor.compress(chunk).ok()?;
    pays(compressed.len(), chunk.len()).then_some(compressed)
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
        let compressed = compressors.compress(text.as_bytes()).unwrap();
        assert!(compressed.len() < text.len() / 10);
        assert_eq!(
            decompress(&compressed, text.len()).as_deref(),
            Some(text.as_bytes())
        );
        assert_eq!(decompress(&compressed, text.len() - 1), None);
        let mut noise = vec![0; 100_000];
        rand::fill(&mut noise[..]);
        assert_eq!(compressors.compress(&noise), None);
    }
}
