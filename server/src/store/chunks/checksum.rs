//! Checksums that clients announce, computed while a body streams.

use md5::Md5;
use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;

use crate::store::chunks::ChecksumKind;

/// Checksums of the same bytes, of some kinds, so far.
#[derive(Debug, Clone, Default)]
pub struct Checksums(Vec<(ChecksumKind, Checksum)>);

impl Checksums {
    /// Begins before the first byte.
    pub fn of(kinds: impl IntoIterator<Item = ChecksumKind>) -> Self {
        let begun = kinds.into_iter().map(|kind| (kind, Checksum::new(kind)));
        Self(begun.collect())
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for (_, checksum) in &mut self.0 {
            checksum.update(bytes);
        }
    }

    /// Returns whether a kind is computed.
    pub fn has(&self, kind: ChecksumKind) -> bool {
        self.0.iter().any(|(own, _)| *own == kind)
    }

    /// Returns the checksum of all bytes so far in lower-case hexadecimal, where that kind is computed.
    pub fn value(&self, kind: ChecksumKind) -> Option<String> {
        let mut own = self.0.iter();
        let found = own.find(|(own, _)| *own == kind);
        found.map(|(_, checksum)| checksum.clone().finish())
    }
}

/// A checksum of the bytes so far.
#[derive(Clone)]
enum Checksum {
    Sha1(Sha1),
    Md5(Md5),
    Sha256(Sha256),
    Adler32(adler2::Adler32),
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checksum(…)")
    }
}

impl Checksum {
    fn new(kind: ChecksumKind) -> Self {
        match kind {
            ChecksumKind::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumKind::Md5 => Self::Md5(Md5::new()),
            ChecksumKind::Sha256 => Self::Sha256(Sha256::new()),
            ChecksumKind::Adler32 => Self::Adler32(adler2::Adler32::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(state) => state.update(bytes),
            Self::Md5(state) => state.update(bytes),
            Self::Sha256(state) => state.update(bytes),
            Self::Adler32(state) => state.write_slice(bytes),
        }
    }

    /// Returns the checksum in lower-case hexadecimal.
    fn finish(self) -> String {
        match self {
            Self::Sha1(state) => hex::encode(state.finalize()),
            Self::Md5(state) => hex::encode(state.finalize()),
            Self::Sha256(state) => hex::encode(state.finalize()),
            Self::Adler32(state) => format!("{:08x}", state.checksum()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_that_other_programs_print() {
        for (kind, expected) in [
            (
                ChecksumKind::Sha1,
                "03de6c570bfe24bfc328ccd7ca46b76eadaf4334",
            ),
            (ChecksumKind::Md5, "ab56b4d92b40713acc5af89985d4b786"),
            (
                ChecksumKind::Sha256,
                "36bbe50ed96841d10443bcb670d6554f0a34b761be67ec9c4a8ad2c0c44ca42c",
            ),
            (ChecksumKind::Adler32, "05c801f0"),
        ] {
            let mut checksum = Checksum::new(kind);
            checksum.update(b"ab");
            checksum.update(b"cde");
            assert_eq!(checksum.finish(), expected);
            assert_eq!(expected.len(), kind.hex_digits());
        }
    }
}
