//! Sizes as people write them: `100GB` is 100 × 10⁹ bytes, `100GiB` is 100 × 2³⁰.
//!
//! Used by settings and commands alike. A bare number is bytes; letters count the
//! same in either case; `G` alone is refused because it could mean either.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Visitor;

/// Units from the largest: those of ten first, so that they win where both divide.
const UNITS: [(&str, u64); 11] = [
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// How many of [`UNITS`] are powers of ten.
const DECIMAL_UNITS: usize = 5;

/// The most bytes that a size can say: what the database can hold.
const BYTES_MAX: u64 = i64::MAX.unsigned_abs();

/// A number of bytes, at most 2⁶³ − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeFault {
    /// It is not a number with a unit.
    #[error("'{text}' is not a size: write bytes, or a number with a unit as in 100GB or 100GiB")]
    Form {
        /// What was written.
        text: String,
    },
    /// It is more than any disk holds.
    #[error("'{text}' is too large a size")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

impl ByteSize {
    /// Makes a size; more than the greatest size becomes the greatest.
    pub const fn from_bytes(bytes: u64) -> Self {
        if bytes > BYTES_MAX {
            return Self(BYTES_MAX);
        }
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Returns it for people, with one decimal and a unit of ten: `60.2 GB`.
    pub fn rounded(self) -> String {
        let unit = UNITS
            .iter()
            .take(DECIMAL_UNITS)
            .find(|(_, bytes)| self.0 >= *bytes);
        match unit {
            None => format!("{} B", self.0),
            Some((name, bytes)) => {
                let whole = self.0 / bytes;
                let tenth = self.0 % bytes * 10 / bytes;
                format!("{whole}.{tenth} {name}")
            }
        }
    }
}

impl FromStr for ByteSize {
    type Err = SizeFault;

    fn from_str(text: &str) -> Result<Self, SizeFault> {
        let form = || SizeFault::Form {
            text: text.to_owned(),
        };
        let too_large = || SizeFault::TooLarge {
            text: text.to_owned(),
        };
        let trimmed = text.trim();
        let digits_end = trimmed
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits_end);
        let unit_bytes = unit_bytes(unit.trim_start()).ok_or_else(form)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        // A part of a byte is nothing; six decimals are enough for everybody.
        let is_odd = number.contains('.') && unit_bytes == 1;
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 || is_odd {
            return Err(form());
        }
        let whole: u128 = whole.parse().ok().ok_or_else(too_large)?;
        let millionths: u128 = format!("{fraction:0<6}").parse().ok().ok_or_else(form)?;
        let unit_bytes = u128::from(unit_bytes);
        whole
            .checked_mul(unit_bytes)
            .and_then(|bytes| bytes.checked_add(millionths * unit_bytes / 1_000_000))
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| *bytes <= BYTES_MAX)
            .map(Self)
            .ok_or_else(too_large)
    }
}

fn unit_bytes(unit: &str) -> Option<u64> {
    if unit.is_empty() {
        return Some(1);
    }
    UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, bytes)| *bytes)
}

/// Writes it exactly, so that it parses to the same size: `100GB`, `16MiB`, `1234`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, bytes)| *bytes > 1 && self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match unit {
            None => write!(f, "{}", self.0),
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a size such as \"100GB\" or \"16MiB\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        if bytes > BYTES_MAX {
            return Err(E::custom("too large a size"));
        }
        Ok(ByteSize(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::ByteSize;

    fn bytes_of(text: &str) -> Option<u64> {
        text.parse().ok().map(ByteSize::bytes)
    }

    #[test]
    fn decimal_and_binary_units_are_told_apart() {
        let known = [
            ("100GB", 100_000_000_000),
            ("100GiB", 107_374_182_400),
            ("100 gb", 100_000_000_000),
            (" 1kB ", 1000),
            ("1KiB", 1024),
            ("1.5GB", 1_500_000_000),
            ("0.5KiB", 512),
            ("12345", 12345),
            ("0", 0),
            ("7B", 7),
            ("9223372036854775807", 9_223_372_036_854_775_807),
        ];
        for (text, bytes) in known {
            assert_eq!(bytes_of(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let wrong = [
            "",
            "GB",
            "-1",
            "1G",
            "1.5",
            "1.5B",
            "1..5GB",
            ".5GB",
            "5.GB",
            "1e9",
            "none",
            "9223372036854775808",
            "99999999PB",
            "999999999999999999999999999999999999999999999999999GB",
            "1GB extra",
        ];
        for text in wrong {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }

    #[test]
    fn people_see_one_decimal() {
        assert_eq!(ByteSize(999).rounded(), "999 B");
        assert_eq!(ByteSize(60_240_000_000).rounded(), "60.2 GB");
        assert_eq!(ByteSize(1_000).rounded(), "1.0 kB");
    }

    proptest! {
        #[test]
        fn what_is_written_parses_to_the_same_size(bytes in any::<u64>(), unit in 0_usize..11) {
            let size = ByteSize::from_bytes(bytes / super::UNITS[unit].1 * super::UNITS[unit].1);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
