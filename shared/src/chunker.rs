//! Where to cut a stream of bytes: FastCDC (2020 form), with members of zip
//! archives as further cut points.
//!
//! Cuts are a function of (bytes, profile, seed) alone: equal files are cut
//! alike by server, sync client and browser, however the bytes arrive.

use std::borrow::Cow;

use fastcdc::v2020::Normalization;
use fastcdc::v2020::cut_gear;
use fastcdc::v2020::get_gear_with_seed;
use fastcdc::v2020::select_masks;

const KIB: usize = 1 << 10;
const MIB: u64 = 1 << 20;

/// A content of at most this many bytes is one chunk.
pub const ONE_CHUNK_BYTES_MAX: usize = 64 * KIB;
/// What begins each member of a zip archive, and so the archive.
const ZIP_MEMBER: &[u8; 4] = b"PK\x03\x04";
/// A member this far into a chunk ends it.
const ZIP_CHUNK_BYTES_MIN: usize = 8 * KIB;

/// The sizes by which a file is cut; sticky from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// 16 / 64 / 256 KiB: files up to 4 MiB.
    S,
    /// 64 / 256 / 1024 KiB: files up to 1 GiB.
    M,
    /// 256 KiB / 1 MiB / 4 MiB: larger ones.
    L,
}

impl Profile {
    /// Returns the number that stands for it in rows.
    pub fn number(self) -> i64 {
        match self {
            Self::S => 1,
            Self::M => 2,
            Self::L => 3,
        }
    }

    /// Returns the profile with a number.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::S),
            2 => Some(Self::M),
            3 => Some(Self::L),
            _ => None,
        }
    }

    /// Returns the smallest chunk but the last, in bytes.
    pub fn min_bytes(self) -> usize {
        self.avg_bytes() / 4
    }

    /// Returns the nominal mean chunk, in bytes.
    pub fn avg_bytes(self) -> usize {
        match self {
            Self::S => 64 * KIB,
            Self::M => 256 * KIB,
            Self::L => 1024 * KIB,
        }
    }

    /// Returns the largest chunk, in bytes.
    pub fn max_bytes(self) -> usize {
        self.avg_bytes() * 4
    }

    /// Returns the sizes of files that it is made for: from, up to.
    fn range_bytes(self) -> (u64, u64) {
        match self {
            Self::S => (0, 4 * MIB),
            Self::M => (4 * MIB, 1024 * MIB),
            Self::L => (1024 * MIB, u64::MAX),
        }
    }

    /// Chooses for a new file; `None`: its size is not known yet.
    pub fn for_size(size_bytes: Option<u64>) -> Self {
        match size_bytes {
            Some(size) if size <= 4 * MIB => Self::S,
            Some(size) if size > 1024 * MIB => Self::L,
            Some(_) | None => Self::M,
        }
    }

    /// Chooses for a new version: the same, unless the size has left its range by a factor of 8.
    ///
    /// A file that grows across a limit would otherwise be cut anew as a whole.
    #[must_use]
    pub fn successor(self, size_bytes: u64) -> Self {
        let (from, up_to) = self.range_bytes();
        if size_bytes >= from / 8 && size_bytes <= up_to.saturating_mul(8) {
            self
        } else {
            Self::for_size(Some(size_bytes))
        }
    }
}

/// Cuts one content.
#[derive(Debug)]
pub struct Chunker {
    profile: Profile,
    masks: (u64, u64),
    gear: (Cow<'static, [u64]>, Cow<'static, [u64]>),
    is_zip: Option<bool>,
}

impl Chunker {
    /// Begins a content; `seed` is the domain's.
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            masks: select_masks(profile.avg_bytes(), Normalization::Level1),
            gear: get_gear_with_seed(seed),
            is_zip: None,
        }
    }

    /// Returns the length of the chunk that `window` begins with, once that is decided.
    ///
    /// The first call's window begins at the content's first byte, each further one
    /// right after the last cut. `None`: more bytes are needed (the window is shorter
    /// than the largest chunk and not `at_end`), or the window is empty.
    pub fn next_cut(&mut self, window: &[u8], at_end: bool) -> Option<usize> {
        let largest = self.profile.max_bytes();
        if window.is_empty() || (window.len() < largest && !at_end) {
            return None;
        }
        let is_first = self.is_zip.is_none();
        let is_zip = *self
            .is_zip
            .get_or_insert_with(|| window.starts_with(ZIP_MEMBER));
        if is_first && at_end && window.len() <= ONE_CHUNK_BYTES_MAX {
            return Some(window.len());
        }
        let window = window.get(..largest).unwrap_or(window);
        let (strict, loose) = self.masks;
        let (_, cut) = cut_gear(
            window,
            self.profile.min_bytes(),
            self.profile.avg_bytes(),
            largest,
            strict,
            loose,
            strict << 1,
            loose << 1,
            &self.gear.0,
            &self.gear.1,
        );
        if !is_zip {
            return Some(cut);
        }
        // A signature may begin before the cut and end after it.
        let seen = window.len().min(cut.saturating_add(ZIP_MEMBER.len() - 1));
        let member = window.get(ZIP_CHUNK_BYTES_MIN..seen).and_then(find_member);
        Some(member.map_or(cut, |at| ZIP_CHUNK_BYTES_MIN + at))
    }
}

/// Finds the first signature of a zip member.
fn find_member(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == b'P') {
        let at = from + at;
        if bytes.get(at..)?.starts_with(ZIP_MEMBER) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests;
