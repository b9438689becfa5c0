//! Names and paths of nodes: validated, in NFC, ordered.

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

/// One name of a path, in NFC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// The longest name, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 255;

    /// Normalises to NFC and validates.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        todo!("{text}")
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name case-folded (full folding of a pinned Unicode version), for search and for warnings about twins.
    pub fn fold(&self) -> String {
        todo!()
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
        todo!("{text}")
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
        todo!("{name:?}")
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
