//! The map of a content: its ordered chunks and where their frames are.
//!
//! A map lists *runs*: frames that lie back to back in a pack, so that one place
//! and the stored lengths give every frame's place (about 37 bytes for each
//! chunk). A content of many chunks has a tree: the row holds the list of
//! leaves, each leaf is stored as a frame and holds the map of a part.
//!
//! ```text
//! leaf = 1 | runs | (pack, offset, frames)* | chunks | id 32 * | plain length* | stored length*
//! map  = 1 (leaf bytes follow) | leaf
//!      | 2 | leaves | (pack, offset, stored length, id 32, chunks, plain bytes)*
//! ```
//!
//! Numbers are LEB128 varints. Decoding accepts exactly what encoding writes.

use crate::chunk_id::ChunkId;
use crate::frame::FRAME_BYTES_MAX;
use crate::frame::FRAME_OVERHEAD_BYTES;

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

impl Place {
    /// Returns where the next frame of a run begins.
    pub fn end_offset(&self) -> u64 {
        self.offset
            .saturating_add(FRAME_OVERHEAD_BYTES as u64 + u64::from(self.stored_bytes))
    }
}

/// A chunk of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its name.
    pub id: ChunkId,
    /// Its length.
    pub plain_bytes: u32,
    /// Where its frame is.
    pub place: Place,
}

/// A part of a large content's map, stored as a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRef {
    /// Where its frame is.
    pub place: Place,
    /// Name of its bytes.
    pub leaf_id: ChunkId,
    /// Chunks in it.
    pub chunks: u32,
    /// Bytes of the content that it covers.
    pub plain_bytes: u64,
}

/// The map of a content of more than one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Map {
    /// All of its chunks.
    Leaf(Vec<ChunkRef>),
    /// Its leaves, in order.
    Tree(Vec<LeafRef>),
}

/// The largest leaf, in chunks.
pub const LEAF_CHUNKS_MAX: usize = 512;
/// The smallest leaf but the last, in chunks.
pub const LEAF_CHUNKS_MIN: usize = 64;
/// The largest map that is not cut into leaves, in chunks.
pub const MAP_INLINE_CHUNKS_MAX: usize = 256;

/// Returns whether a leaf ends after its `count`-th chunk, which has this id.
pub fn ends_leaf(count: usize, id: &ChunkId) -> bool {
    let [.., last] = id.0;
    count >= LEAF_CHUNKS_MAX || (count >= LEAF_CHUNKS_MIN && last == 0)
}

/// Why bytes are not a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapFault {
    /// The bytes end too early.
    #[error("the map ends too early")]
    Short,
    /// The version or kind is unknown.
    #[error("the map is of an unknown version")]
    Version,
    /// A number does not fit, or does not fit the others.
    #[error("a number in the map is impossible")]
    Number,
    /// Something follows the end.
    #[error("the map is followed by something else")]
    Trailing,
}

const LEAF_VERSION: u8 = 1;
const KIND_LEAF: u8 = 1;
const KIND_TREE: u8 = 2;

fn put_number(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, MapFault> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(MapFault::Short)?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(MapFault::Number);
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            // A longer form of the same number is not what encoding writes.
            return if *byte == 0 && shift > 0 {
                Err(MapFault::Number)
            } else {
                Ok(value)
            };
        }
    }
    Err(MapFault::Number)
}

/// Takes a number that has to fit into fewer bits.
fn take_narrow<T: TryFrom<u64>>(bytes: &mut &[u8]) -> Result<T, MapFault> {
    T::try_from(take_number(bytes)?)
        .ok()
        .ok_or(MapFault::Number)
}

fn take_length(bytes: &mut &[u8]) -> Result<u32, MapFault> {
    let value = take_narrow::<u32>(bytes)?;
    if value > FRAME_BYTES_MAX {
        Err(MapFault::Number)
    } else {
        Ok(value)
    }
}

fn take_pack(bytes: &mut &[u8]) -> Result<PackId, MapFault> {
    take_narrow(bytes).map(PackId)
}

fn take_id(bytes: &mut &[u8]) -> Result<ChunkId, MapFault> {
    let (id, rest) = bytes.split_first_chunk::<32>().ok_or(MapFault::Short)?;
    *bytes = rest;
    Ok(ChunkId(*id))
}

/// Takes a count of things that take at least `bytes_each`, so that it never exceeds what is there.
fn take_count(bytes: &mut &[u8], bytes_each: usize) -> Result<usize, MapFault> {
    let count: usize = take_narrow(bytes)?;
    if count > bytes.len() / bytes_each {
        Err(MapFault::Short)
    } else {
        Ok(count)
    }
}

fn put_pack(bytes: &mut Vec<u8>, pack: PackId) {
    put_number(bytes, u64::try_from(pack.0).unwrap_or(0));
}

/// Returns the bytes of a leaf.
pub fn encode_leaf(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut runs: Vec<(Place, u64)> = Vec::new();
    let mut next = None;
    for chunk in chunks {
        match runs.last_mut() {
            Some((_, frames)) if next == Some((chunk.place.pack, chunk.place.offset)) => {
                *frames += 1;
            }
            Some(_) | None => runs.push((chunk.place, 1)),
        }
        next = Some((chunk.place.pack, chunk.place.end_offset()));
    }
    let mut bytes = Vec::with_capacity(16 + runs.len() * 12 + chunks.len() * 38);
    bytes.push(LEAF_VERSION);
    put_number(&mut bytes, runs.len() as u64);
    for (place, frames) in &runs {
        put_pack(&mut bytes, place.pack);
        put_number(&mut bytes, place.offset);
        put_number(&mut bytes, *frames);
    }
    put_number(&mut bytes, chunks.len() as u64);
    for chunk in chunks {
        bytes.extend_from_slice(&chunk.id.0);
    }
    for chunk in chunks {
        put_number(&mut bytes, u64::from(chunk.plain_bytes));
    }
    for chunk in chunks {
        put_number(&mut bytes, u64::from(chunk.place.stored_bytes));
    }
    bytes
}

/// Reads a leaf; `bytes` is exactly it.
pub fn decode_leaf(bytes: &[u8]) -> Result<Vec<ChunkRef>, MapFault> {
    let (version, mut rest) = bytes.split_first().ok_or(MapFault::Short)?;
    if *version != LEAF_VERSION {
        return Err(MapFault::Version);
    }
    let run_count = take_count(&mut rest, 3)?;
    let mut runs = Vec::with_capacity(run_count);
    for _ in 0..run_count {
        runs.push((
            take_pack(&mut rest)?,
            take_number(&mut rest)?,
            take_number(&mut rest)?,
        ));
    }
    let count = take_count(&mut rest, 34)?;
    let ids = (0..count)
        .map(|_| take_id(&mut rest))
        .collect::<Result<Vec<_>, _>>()?;
    let plain = (0..count)
        .map(|_| take_length(&mut rest))
        .collect::<Result<Vec<_>, _>>()?;
    let stored = (0..count)
        .map(|_| take_length(&mut rest))
        .collect::<Result<Vec<_>, _>>()?;
    if !rest.is_empty() {
        return Err(MapFault::Trailing);
    }
    place_chunks(&runs, ids.into_iter().zip(plain).zip(stored))
}

fn place_chunks(
    runs: &[(PackId, u64, u64)],
    mut chunks: impl ExactSizeIterator<Item = ((ChunkId, u32), u32)>,
) -> Result<Vec<ChunkRef>, MapFault> {
    let mut placed = Vec::with_capacity(chunks.len());
    let mut last_end = None;
    for (pack, offset, frames) in runs {
        let mut offset = *offset;
        // A run that goes on where the last one ended is not what encoding writes.
        if *frames == 0 || last_end == Some((*pack, offset)) {
            return Err(MapFault::Number);
        }
        for _ in 0..*frames {
            let ((id, plain_bytes), stored_bytes) = chunks.next().ok_or(MapFault::Number)?;
            let place = Place {
                pack: *pack,
                offset,
                stored_bytes,
            };
            offset = offset
                .checked_add(FRAME_OVERHEAD_BYTES as u64 + u64::from(stored_bytes))
                .ok_or(MapFault::Number)?;
            placed.push(ChunkRef {
                id,
                plain_bytes,
                place,
            });
        }
        last_end = Some((*pack, offset));
    }
    if chunks.len() > 0 {
        Err(MapFault::Number)
    } else {
        Ok(placed)
    }
}

impl Map {
    /// Returns the map's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(chunks) => {
                let mut bytes = vec![KIND_LEAF];
                bytes.extend_from_slice(&encode_leaf(chunks));
                bytes
            }
            Self::Tree(leaves) => {
                let mut bytes = vec![KIND_TREE];
                put_number(&mut bytes, leaves.len() as u64);
                for leaf in leaves {
                    put_pack(&mut bytes, leaf.place.pack);
                    put_number(&mut bytes, leaf.place.offset);
                    put_number(&mut bytes, u64::from(leaf.place.stored_bytes));
                    bytes.extend_from_slice(&leaf.leaf_id.0);
                    put_number(&mut bytes, u64::from(leaf.chunks));
                    put_number(&mut bytes, leaf.plain_bytes);
                }
                bytes
            }
        }
    }

    /// Reads a map; `bytes` is exactly it.
    pub fn decode(bytes: &[u8]) -> Result<Self, MapFault> {
        let (kind, mut rest) = bytes.split_first().ok_or(MapFault::Short)?;
        match *kind {
            KIND_LEAF => decode_leaf(rest).map(Self::Leaf),
            KIND_TREE => {
                let count = take_count(&mut rest, 37)?;
                let leaves = (0..count)
                    .map(|_| take_leaf(&mut rest))
                    .collect::<Result<Vec<_>, _>>()?;
                if rest.is_empty() {
                    Ok(Self::Tree(leaves))
                } else {
                    Err(MapFault::Trailing)
                }
            }
            _ => Err(MapFault::Version),
        }
    }
}

fn take_leaf(bytes: &mut &[u8]) -> Result<LeafRef, MapFault> {
    Ok(LeafRef {
        place: Place {
            pack: take_pack(bytes)?,
            offset: take_number(bytes)?,
            stored_bytes: take_length(bytes)?,
        },
        leaf_id: take_id(bytes)?,
        chunks: take_narrow(bytes)?,
        plain_bytes: take_number(bytes)?,
    })
}

#[cfg(test)]
mod tests;
