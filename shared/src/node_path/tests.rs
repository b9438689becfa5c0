//! What a parsed name or path promises, whatever was sent.

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use crate::node_path::NodeName;
use crate::node_path::NodePath;
use crate::node_path::PathFault;

/// Text that looks for a way out: any characters, and those that mean something to somebody.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[./\\\\%a-c\u{0}\u{7f}\u{fffe}\u{ffff}]{0,12}",
        // Marks and letters that normalisation composes, decomposes and reorders.
        "[a-eA-E\u{300}-\u{315}\u{345}\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11a8}-\u{11c2}\u{f900}-\u{f910}\u{212b}\u{37e}\u{1f80}-\u{1fff}]{0,12}",
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_parsed_name_parses_to_itself(text in texts()) {
        if let Ok(name) = NodeName::parse(&text) {
            prop_assert_eq!(NodeName::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder(text in texts()) {
        if let Ok(name) = NodeName::parse(&text) {
            let name = name.as_str();
            prop_assert!(!name.is_empty() && name != "." && name != "..");
            prop_assert!(name.len() <= NodeName::BYTES_MAX);
            prop_assert!(!name.contains('/'));
            prop_assert!(!name.chars().any(|character| character.is_ascii_control()));
        }
    }

    #[test]
    fn composed_and_decomposed_text_is_one_name(text in texts()) {
        use unicode_normalization::UnicodeNormalization;
        let decomposed: String = text.nfd().collect();
        prop_assert_eq!(NodeName::parse(&text).is_ok(), NodeName::parse(&decomposed).is_ok());
        if let (Ok(one), Ok(other)) = (NodeName::parse(&text), NodeName::parse(&decomposed)) {
            prop_assert_eq!(one.fold(), other.fold());
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn a_folded_name_folds_to_itself(text in texts()) {
        if let Ok(name) = NodeName::parse(&text)
            && let Ok(folded) = NodeName::parse(&name.fold())
        {
            prop_assert_eq!(folded.fold(), name.fold());
        }
    }

    #[test]
    fn a_parsed_path_parses_to_itself(text in texts()) {
        if let Ok(path) = NodePath::parse(&text) {
            prop_assert_eq!(NodePath::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn a_path_has_the_names_that_were_written_and_none_other(names in vec("[a-zA-Z0-9. ]{1,12}", 0..9), slashes in 1_usize..4) {
        let text = names.join(&"/".repeat(slashes));
        match NodePath::parse(&text) {
            Ok(path) => {
                let parsed: Vec<&str> = path.names().iter().map(NodeName::as_str).collect();
                prop_assert_eq!(parsed, names.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Err(fault) => {
                prop_assert_eq!(fault, PathFault::Dots);
                prop_assert!(names.iter().any(|name| name == "." || name == ".."));
            }
        }
    }

    #[test]
    fn a_child_lies_within_its_parent_and_nowhere_else(text in texts(), name in texts()) {
        if let (Ok(path), Ok(name)) = (NodePath::parse(&text), NodeName::parse(&name))
            && let Ok(child) = path.child(name.clone())
        {
            prop_assert_eq!(child.name(), Some(&name));
            prop_assert_eq!(child.parent(), Some(path.clone()));
            prop_assert!(child.is_within(&path) && child.is_within(&child));
            prop_assert!(child.is_within(&NodePath::root()));
            prop_assert!(!path.is_within(&child));
        }
    }
}

#[test]
fn a_name_ends_at_255_bytes_of_its_normal_form() {
    assert!(NodeName::parse(&"a".repeat(255)).is_ok());
    assert_eq!(
        NodeName::parse(&"a".repeat(256)),
        Err(PathFault::NameTooLong { bytes: 256 })
    );
    // 3 bytes each decomposed, 2 composed.
    assert!(NodeName::parse(&"e\u{301}".repeat(127)).is_ok());
}

#[test]
fn a_path_ends_at_256_names_and_8192_bytes() {
    assert!(NodePath::parse(&"a/".repeat(256)).is_ok());
    assert_eq!(NodePath::parse(&"a/".repeat(257)), Err(PathFault::TooLong));
    let long = format!("{}/", "b".repeat(255)).repeat(32);
    assert!(NodePath::parse(&long).is_ok());
    assert_eq!(
        NodePath::parse(&format!("{long}c")),
        Err(PathFault::TooLong)
    );
    assert!(
        NodePath::parse(&long)
            .unwrap()
            .child(NodeName::parse("c").unwrap())
            .is_err()
    );
}

#[test]
fn a_similar_beginning_is_not_above() {
    let path = |text| NodePath::parse(text).unwrap();
    assert!(!path("/plans").is_within(&path("/plan")));
    assert!(path("/plan/a").is_within(&path("/plan")));
}
