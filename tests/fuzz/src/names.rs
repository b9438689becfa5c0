//! What a person or program may write: paths and sizes.

use nuage_server::size::ByteSize;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

/// A path that is accepted has a normal form within the limits, and no name leads out.
pub fn node_path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(path) = NodePath::parse(text) else {
        return;
    };
    assert_eq!(NodePath::parse(&path.to_string()).as_ref(), Ok(&path));
    assert!(path.names().len() <= NodePath::DEPTH_MAX);
    for name in path.names() {
        let written = name.as_str();
        assert!(!matches!(written, "" | "." | ".."));
        assert!(written.len() <= NodeName::BYTES_MAX && !written.contains(['/', '\0']));
        assert!(!name.fold().is_empty());
    }
}

/// A size that is accepted prints as one that means the same.
pub fn byte_size(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse(), Ok(size));
        assert!(!size.rounded().is_empty());
    }
}
