//! Bytes that can be made again, and random choices that can be repeated.
//!
//! A test that draws at random takes its numbers from [`Chance`], which prints
//! the seed; `NUAGE_TEST_SEED` repeats a run. Content comes from [`Pattern`],
//! which needs no memory whatever its length, so that the harness can send and
//! compare gigabytes.

use std::io;
use std::io::Read;

use rand::Rng;
use rand::RngCore;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Bytes that no compressor shortens and that depend on the seed alone.
#[derive(Debug)]
pub struct Pattern {
    source: io::Take<blake3::OutputReader>,
}

impl Pattern {
    /// Describes `length` bytes made from `seed`.
    pub fn new(seed: u64, length: u64) -> Self {
        let source = blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof();
        Self {
            source: source.take(length),
        }
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

/// Returns `length` bytes made from `seed`.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(length);
    Pattern::new(seed, length as u64)
        .read_to_end(&mut all)
        .expect("a pattern never fails");
    all
}

/// A source of choices whose seed is printed, so that a failure can be repeated.
#[derive(Debug)]
pub struct Chance {
    seed: u64,
    numbers: StdRng,
}

impl Chance {
    /// Takes the seed from `NUAGE_TEST_SEED`, else draws one; prints it.
    pub fn new(test: &str) -> Self {
        let seed = std::env::var("NUAGE_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| rand::rng().next_u64());
        eprintln!("{test}: NUAGE_TEST_SEED={seed}");
        Self {
            seed,
            numbers: StdRng::seed_from_u64(seed),
        }
    }

    /// Returns the seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns another source for another thread; it depends on the seed and `number` alone.
    #[must_use]
    pub fn branch(&self, number: u64) -> Self {
        let seed = self
            .seed
            .wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            seed,
            numbers: StdRng::seed_from_u64(seed),
        }
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.numbers.random_range(low..=high)
    }

    /// Returns any number.
    pub fn number(&mut self) -> u64 {
        self.numbers.next_u64()
    }
}

/// Reads a number from the environment: how large a test should be.
///
/// `make test` runs small sizes; the full run sets `NUAGE_TEST_FULL=1`, or one
/// of these variables by itself.
pub fn size_from_env(variable: &str, small: u64, full: u64) -> u64 {
    let is_full = std::env::var_os("NUAGE_TEST_FULL").is_some_and(|value| value == "1");
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
        Err(_) if is_full => full,
        Err(_) => small,
    }
}
