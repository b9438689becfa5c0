//! The pack format: header, frames, footer. Numbers are little-endian.
//!
//! ```text
//! pack   = header | frame* | footer
//! header = "NPK1" | uuid 16 | pack number u64 | flags u32 | crc32c u32 of what stands before
//! frame  = "F" | ordinal u32 | key number u32 | stored length u32 | plain length u32
//!          | chunk id 32 | payload | crc32c u32 of header and payload
//! footer = "E" | count u32 | (chunk id 32 | offset u64 | stored length u32 | plain length u32)*
//!          sorted by id | blake3 32 of the footer so far | length u64 of the whole footer
//! ```
//!
//! A payload whose stored length differs from the plain one is compressed (zstd).
//! A frame proves itself by its crc; the bytes in it by the chunk id.

use crate::chunk_id::ChunkId;
use crate::manifest::PackId;

/// Bytes of a pack's header.
pub const PACK_HEADER_BYTES: usize = 36;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = 49;
/// Bytes of a frame beside its payload.
pub const FRAME_OVERHEAD_BYTES: usize = FRAME_HEADER_BYTES + 4;
/// Bytes of a footer's entry.
const ENTRY_BYTES: usize = 48;
/// Bytes of a footer beside its entries.
const FOOTER_OVERHEAD_BYTES: usize = 1 + 4 + 32 + 8;
/// The largest payload and the largest chunk that a frame may announce, in bytes.
pub const FRAME_BYTES_MAX: u32 = 8 << 20;

/// Why bytes are not a header, frame or footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Short,
    /// The mark at the beginning is another one.
    #[error("the mark at the beginning is not the expected one")]
    Mark,
    /// The check sum is another one.
    #[error("the check sum does not match")]
    Checksum,
    /// A length is larger than the format allows.
    #[error("a length is impossible")]
    Length,
    /// The entries of a footer are not sorted, so that a search in them would miss some.
    #[error("the entries are out of order")]
    Order,
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], FrameFault> {
    let (front, rest) = bytes.split_first_chunk::<N>().ok_or(FrameFault::Short)?;
    *bytes = rest;
    Ok(*front)
}

/// The beginning of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackHeader {
    /// The pack's name.
    pub uuid: [u8; 16],
    /// The pack's number.
    pub pack: PackId,
    /// 0 in this version.
    pub flags: u32,
}

impl PackHeader {
    /// Returns the header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PACK_HEADER_BYTES);
        bytes.extend_from_slice(b"NPK1");
        bytes.extend_from_slice(&self.uuid);
        bytes.extend_from_slice(&self.pack.0.to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the front of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        let checked = bytes
            .get(..PACK_HEADER_BYTES - 4)
            .ok_or(FrameFault::Short)?;
        let mut rest = bytes;
        if take::<4>(&mut rest)? != *b"NPK1" {
            return Err(FrameFault::Mark);
        }
        let header = Self {
            uuid: take(&mut rest)?,
            pack: PackId(i64::from_le_bytes(take(&mut rest)?)),
            flags: u32::from_le_bytes(take(&mut rest)?),
        };
        if u32::from_le_bytes(take(&mut rest)?) != crc32c::crc32c(checked) {
            return Err(FrameFault::Checksum);
        }
        Ok(header)
    }
}

/// What stands before a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Position of the frame in its pack, from 0.
    pub ordinal: u32,
    /// The key that its chunk id was made with.
    pub key_number: u32,
    /// Length of the payload.
    pub stored_bytes: u32,
    /// Length of the chunk.
    pub plain_bytes: u32,
    /// Name of the chunk.
    pub id: ChunkId,
}

impl FrameHeader {
    /// Returns whether the payload is compressed.
    pub fn is_compressed(&self) -> bool {
        self.stored_bytes != self.plain_bytes
    }

    /// Reads a header from the front of `bytes`; its check sum follows the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        let mut rest = bytes;
        if take::<1>(&mut rest)? != *b"F" {
            return Err(FrameFault::Mark);
        }
        let header = Self {
            ordinal: u32::from_le_bytes(take(&mut rest)?),
            key_number: u32::from_le_bytes(take(&mut rest)?),
            stored_bytes: u32::from_le_bytes(take(&mut rest)?),
            plain_bytes: u32::from_le_bytes(take(&mut rest)?),
            id: ChunkId(take(&mut rest)?),
        };
        if header.stored_bytes > FRAME_BYTES_MAX || header.plain_bytes > FRAME_BYTES_MAX {
            return Err(FrameFault::Length);
        }
        Ok(header)
    }
}

/// Returns the bytes of a frame's header.
pub fn encode_frame_header(header: &FrameHeader) -> [u8; FRAME_HEADER_BYTES] {
    let mut bytes = [0; FRAME_HEADER_BYTES];
    let parts: [&[u8]; 6] = [
        b"F",
        &header.ordinal.to_le_bytes(),
        &header.key_number.to_le_bytes(),
        &header.stored_bytes.to_le_bytes(),
        &header.plain_bytes.to_le_bytes(),
        &header.id.0,
    ];
    for (byte, value) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *byte = *value;
    }
    bytes
}

/// Returns the check sum that follows a frame's payload.
pub fn frame_crc(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), payload)
}

/// Reads a whole frame from the front of `bytes` and proves its check sum.
pub fn decode_frame(bytes: &[u8]) -> Result<(FrameHeader, &[u8]), FrameFault> {
    let header = FrameHeader::decode(bytes)?;
    let end = FRAME_HEADER_BYTES + header.stored_bytes as usize;
    let head = bytes.get(..FRAME_HEADER_BYTES).ok_or(FrameFault::Short)?;
    let payload = bytes
        .get(FRAME_HEADER_BYTES..end)
        .ok_or(FrameFault::Short)?;
    let mut rest = bytes.get(end..).ok_or(FrameFault::Short)?;
    if u32::from_le_bytes(take(&mut rest)?) != frame_crc(head, payload) {
        return Err(FrameFault::Checksum);
    }
    Ok((header, payload))
}

/// Where a sealed pack holds a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FooterEntry {
    /// Name of the chunk.
    pub id: ChunkId,
    /// Offset of the frame's first byte in the pack.
    pub offset: u64,
    /// Length of the payload.
    pub stored_bytes: u32,
    /// Length of the chunk.
    pub plain_bytes: u32,
}

/// The end of a sealed pack: what it holds, sorted by chunk id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footer {
    /// One for each frame.
    pub entries: Vec<FooterEntry>,
}

impl Footer {
    /// Returns the footer's bytes; the entries are sorted.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.sort_unstable();
        let mut bytes = Vec::with_capacity(FOOTER_OVERHEAD_BYTES + entries.len() * ENTRY_BYTES);
        bytes.push(b'E');
        bytes.extend_from_slice(
            &u32::try_from(entries.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for entry in &entries {
            bytes.extend_from_slice(&entry.id.0);
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.stored_bytes.to_le_bytes());
            bytes.extend_from_slice(&entry.plain_bytes.to_le_bytes());
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        let length = bytes.len() as u64 + 8;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Returns the length of the footer that ends with `tail` (at least its last 8 bytes).
    pub fn length_from_tail(tail: &[u8]) -> Result<u64, FrameFault> {
        let (_, length) = tail.split_last_chunk::<8>().ok_or(FrameFault::Short)?;
        let length = u64::from_le_bytes(*length);
        if length < FOOTER_OVERHEAD_BYTES as u64 {
            return Err(FrameFault::Length);
        }
        Ok(length)
    }

    /// Reads a footer; `bytes` is exactly it.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        if Self::length_from_tail(bytes)? != bytes.len() as u64 {
            return Err(FrameFault::Length);
        }
        let hashed = bytes.get(..bytes.len() - 40).ok_or(FrameFault::Short)?;
        let proof = bytes
            .get(bytes.len() - 40..bytes.len() - 8)
            .ok_or(FrameFault::Short)?;
        let mut rest = hashed;
        if take::<1>(&mut rest)? != *b"E" {
            return Err(FrameFault::Mark);
        }
        if blake3::hash(hashed).as_bytes() != proof {
            return Err(FrameFault::Checksum);
        }
        let count = u32::from_le_bytes(take(&mut rest)?) as usize;
        if count.checked_mul(ENTRY_BYTES) != Some(rest.len()) {
            return Err(FrameFault::Length);
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = FooterEntry {
                id: ChunkId(take(&mut rest)?),
                offset: u64::from_le_bytes(take(&mut rest)?),
                stored_bytes: u32::from_le_bytes(take(&mut rest)?),
                plain_bytes: u32::from_le_bytes(take(&mut rest)?),
            };
            if entry.stored_bytes > FRAME_BYTES_MAX || entry.plain_bytes > FRAME_BYTES_MAX {
                return Err(FrameFault::Length);
            }
            entries.push(entry);
        }
        if entries.is_sorted() {
            Ok(Self { entries })
        } else {
            Err(FrameFault::Order)
        }
    }
}

#[cfg(test)]
mod tests;
