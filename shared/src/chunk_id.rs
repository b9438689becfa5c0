//! Names of chunks and contents: keyed BLAKE3, so that nobody with the index can test for a known file.

/// The key of a domain; never leaves its servers and signed-in clients. Does not print.
#[derive(Clone)]
pub struct ChunkKey([u8; 32]);

/// Name of a chunk: `blake3::keyed_hash(key, plaintext)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub [u8; 32]);

/// Name of a content: `keyed_hash(key, "content" ‖ (chunk id, plain length u32 LE)* ‖ size u64 LE)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

/// Hashes a content's list of chunks as it grows.
pub struct ContentHasher {
    hasher: blake3::Hasher,
    size_bytes: u64,
}
