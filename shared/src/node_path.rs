//! Names and paths of nodes: validated, in NFC, ordered.

use unicode_normalization::UnicodeNormalization;

/// Why a name or path cannot exist in Nuage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// A name is empty.
    #[error("a name is empty")]
    Empty,
    /// A name is `.` or `..`.
    #[error("a name cannot be . or ..")]
    Dots,
    /// A name is longer than [`NodeName::BYTES_MAX`].
    #[error("a name is {bytes} bytes long, at most 255 are allowed")]
    NameTooLong {
        /// Its length in UTF-8, after normalisation.
        bytes: usize,
    },
    /// A character that no client could show or XML carry: `/`, NUL, C0 and DEL controls, U+FFFE, U+FFFF.
    #[error("a name holds the forbidden character U+{:04X}", u32::from(*.character))]
    Forbidden {
        /// The character.
        character: char,
    },
    /// More than [`NodePath::DEPTH_MAX`] names, or more than [`NodePath::BYTES_MAX`] bytes.
    #[error("the path is too long or too deep")]
    TooLong,
}

fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '/' | '\0'..='\x1f' | '\x7f' | '\u{fffe}' | '\u{ffff}'
    )
}

/// One name of a path, in NFC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// The longest name, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 255;

    /// Normalises to NFC and validates.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        let name: String = text.nfc().collect();
        match name.as_str() {
            "" => return Err(PathFault::Empty),
            "." | ".." => return Err(PathFault::Dots),
            _ => {}
        }
        if let Some(character) = name.chars().find(|character| is_forbidden(*character)) {
            return Err(PathFault::Forbidden { character });
        }
        if name.len() > Self::BYTES_MAX {
            return Err(PathFault::NameTooLong { bytes: name.len() });
        }
        Ok(Self(name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name case-folded (full folding of a pinned Unicode version), for search and for warnings about twins.
    pub fn fold(&self) -> String {
        caseless::default_case_fold_str(&self.0).nfc().collect()
    }
}

/// A path inside a space; the root has no names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodePath(Vec<NodeName>);

impl NodePath {
    /// The deepest path.
    pub const DEPTH_MAX: usize = 256;
    /// The longest path, in bytes with its slashes.
    pub const BYTES_MAX: usize = 8192;

    /// Returns the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses decoded text such as `Cours/plan.odt` or `/Cours/`; empty segments (`//`) are skipped.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        if text.len() > 3 * Self::BYTES_MAX {
            return Err(PathFault::TooLong);
        }
        let names = text
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(NodeName::parse)
            .collect::<Result<Vec<_>, _>>()?;
        Self::bounded(names)
    }

    fn bounded(names: Vec<NodeName>) -> Result<Self, PathFault> {
        let bytes: usize = names.iter().map(|name| name.0.len() + 1).sum();
        if names.len() > Self::DEPTH_MAX || bytes > Self::BYTES_MAX {
            return Err(PathFault::TooLong);
        }
        Ok(Self(names))
    }

    /// Returns its names from the top.
    pub fn names(&self) -> &[NodeName] {
        &self.0
    }

    /// Returns whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the last name, or `None` for the root.
    pub fn name(&self) -> Option<&NodeName> {
        self.0.last()
    }

    /// Returns the folder above, or `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// Returns the path one name further down.
    pub fn child(&self, name: NodeName) -> Result<Self, PathFault> {
        let mut names = self.0.clone();
        names.push(name);
        Self::bounded(names)
    }

    /// Returns whether `self` is `above` or lies below it.
    pub fn is_within(&self, above: &Self) -> bool {
        self.0.starts_with(&above.0)
    }
}

impl std::fmt::Display for NodePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{}", name.0))
    }
}

#[cfg(test)]
mod tests;
