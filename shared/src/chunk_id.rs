//! Names of chunks and contents: keyed BLAKE3.
//!
//! The key belongs to a domain. Without it nobody who holds an index, or a
//! backup of one, can test whether a known file is stored.

use std::fmt;

/// The key of a domain; never leaves its servers and signed-in clients.
#[derive(Clone)]
pub struct ChunkKey([u8; 32]);

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(…)")
    }
}

impl ChunkKey {
    /// Takes the 32 secret bytes of a domain.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Names a chunk: `keyed_hash(key, plaintext)`.
    pub fn chunk_id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.0, plaintext).as_bytes())
    }

    /// Begins the name of a content.
    pub fn content_hasher(&self) -> ContentHasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"content");
        ContentHasher {
            hasher,
            size_bytes: 0,
        }
    }
}

/// Name of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// Returns the first eight bytes, little-endian: the form in which hooks are looked up.
    pub fn prefix8(&self) -> i64 {
        self.0
            .first_chunk::<8>()
            .map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }

    /// Returns whether this chunk is a hook: one in sixteen is.
    pub fn is_hook(&self) -> bool {
        let [.., last] = self.0;
        last.trailing_zeros() >= 4
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Name of a content: `keyed_hash(key, "content" ‖ (chunk id, plain length u32)* ‖ size u64)`,
/// numbers little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Names a content while its chunks become known, in order.
#[derive(Debug, Clone)]
pub struct ContentHasher {
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl ContentHasher {
    /// Adds the next chunk.
    pub fn push(&mut self, id: ChunkId, plain_bytes: u32) {
        self.hasher.update(&id.0);
        self.hasher.update(&plain_bytes.to_le_bytes());
        self.size_bytes += u64::from(plain_bytes);
    }

    /// Returns the name of the whole.
    pub fn finish(mut self) -> ContentId {
        self.hasher.update(&self.size_bytes.to_le_bytes());
        ContentId(*self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests;
