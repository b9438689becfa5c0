//! The bytes that are stored: unlike each other, so that nobody gains by
//! compressing them or by having seen them before, and known again when they
//! come back.
//!
//! All of them lie in memory before a measurement begins, so that making and
//! checking them costs the driver a comparison. A small file is a piece of the
//! pool behind a stamp of its own; the large file is the whole pool.

/// Length of the stamp, in bytes.
const STAMP_BYTES: usize = 8;

/// A pool of noise.
#[derive(Debug)]
pub(crate) struct Noise {
    pool: Vec<u8>,
    seed: u64,
}

/// Scatters a number (SplitMix64).
pub(crate) fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Noise {
    /// Fills a pool.
    pub(crate) fn new(seed: u64, bytes: usize) -> Self {
        let base = scatter(seed.wrapping_add(1));
        let words = (0..bytes.div_ceil(8) as u64).map(|index| scatter(base.wrapping_add(index)));
        let mut pool = Vec::with_capacity(bytes.next_multiple_of(8));
        for word in words {
            pool.extend_from_slice(&word.to_le_bytes());
        }
        pool.truncate(bytes);
        Self { pool, seed }
    }

    /// Returns all of it: the large file.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.pool
    }

    /// Returns the stamp and the rest of the small file with this number.
    pub(crate) fn small(&self, number: u64, bytes: usize) -> ([u8; STAMP_BYTES], &[u8]) {
        let stamp = scatter(number ^ self.seed.rotate_left(32)).to_le_bytes();
        let rest_bytes = bytes.saturating_sub(STAMP_BYTES);
        let room = self.pool.len().saturating_sub(rest_bytes).max(1) as u64;
        let from = usize::try_from(scatter(!number) % room).unwrap_or(0);
        let rest = self.pool.get(from..from + rest_bytes).unwrap_or_default();
        (stamp, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Noise;

    #[test]
    fn no_two_files_are_alike_and_each_is_known_again() {
        let noise = Noise::new(1, 1 << 16);
        for number in 0..1000 {
            assert_eq!(noise.small(number, 100), noise.small(number, 100));
            assert_ne!(noise.small(number, 100).0, noise.small(number + 1, 100).0);
            assert_eq!(noise.small(number, 100).1.len(), 92);
        }
        assert_ne!(Noise::new(2, 64).whole(), Noise::new(3, 64).whole());
    }
}
