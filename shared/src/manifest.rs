//! The map of a content: its ordered chunks and where their frames are.

/// Number of a pack. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub i64);

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The pack.
    pub pack: PackId,
    /// Byte offset of the frame's first byte ("F") in the pack.
    pub offset: u64,
    /// Length of the frame's payload (the frame on disk is longer by its fixed overhead).
    pub stored_bytes: u32,
}
