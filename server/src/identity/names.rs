//! Names of accounts and groups: what may be one, and when two are the same.
//!
//! A name travels in Basic authentication (no `:`), as a segment of URLs (no `/`,
//! not `.` or `..`), in tables and logs (no control characters). It is kept in NFC as
//! it was written, and compared by its case-folded form.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::PathFault;

/// The longest name, in characters.
pub const CHARACTERS_MAX: usize = 64;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is too long.
    #[error("it is longer than {CHARACTERS_MAX} characters")]
    TooLong,
    /// It begins or ends with white space.
    #[error("it begins or ends with a space")]
    OuterSpace,
    /// It has `:`, `\` or a control character in it.
    #[error("it holds the character U+{:04X}", u32::from(*.character))]
    Forbidden {
        /// The character.
        character: char,
    },
    /// It could not stand in a path either.
    #[error(transparent)]
    Path(#[from] PathFault),
}

/// A valid name of an account or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName {
    name: String,
    fold: String,
}

impl AccountName {
    /// Validates and normalises to NFC.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text.chars().count() > CHARACTERS_MAX {
            return Err(NameFault::TooLong);
        }
        if text.trim() != text {
            return Err(NameFault::OuterSpace);
        }
        let is_forbidden =
            |character: &char| matches!(character, ':' | '\\') || character.is_control();
        if let Some(character) = text.chars().find(is_forbidden) {
            return Err(NameFault::Forbidden { character });
        }
        let name = NodeName::parse(text)?;
        Ok(Self {
            fold: name.fold(),
            name: name.as_str().to_owned(),
        })
    }

    /// Returns the name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns what two spellings of one name have in common.
    pub fn fold(&self) -> &str {
        &self.fold
    }
}

#[cfg(test)]
mod tests {
    use super::AccountName;
    use super::NameFault;

    #[test]
    fn spellings_that_differ_in_case_or_normal_form_are_one_name() {
        let spellings = ["Zoé", "zoé", "ZOÉ", "zoe\u{301}"];
        let folds = spellings.map(|text| AccountName::parse(text).unwrap().fold().to_owned());
        assert!(folds.iter().all(|fold| *fold == folds[0]), "{folds:?}");
        assert_ne!(folds[0], AccountName::parse("zoe").unwrap().fold());
    }

    #[test]
    fn ordinary_names_are_valid_and_kept_as_written() {
        for text in [
            "a",
            "Ana.Pérez",
            "ana@example.org",
            "o'neil",
            "李",
            "x y",
            &"é".repeat(64),
        ] {
            assert_eq!(AccountName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_a_url_or_a_header_could_not_carry_are_refused() {
        for text in [
            "", ".", "..", "a/b", "a:b", "a\\b", "a\0", "a\nb", "\u{7f}", "\u{85}",
        ] {
            assert!(AccountName::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(AccountName::parse(" a"), Err(NameFault::OuterSpace));
        assert_eq!(AccountName::parse("a\u{a0}"), Err(NameFault::OuterSpace));
        assert_eq!(AccountName::parse(&"a".repeat(65)), Err(NameFault::TooLong));
    }
}
