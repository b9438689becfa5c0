//! The conditions that a request sets, free of any protocol's syntax.
//!
//! They travel with the operation and are tested inside its transaction, so
//! that nothing can change between the test and the write.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::records::Root;

/// A list of ETags as in If-Match (RFC 9110 section 13.1); tags are without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagList {
    /// `*`: anything that exists.
    Any,
    /// Strong tags. Weak tags of If-Match are left out by the parser (they never match).
    Tags(Vec<String>),
}

impl EtagList {
    /// Returns whether the list matches what is there (`None`: nothing is).
    pub fn matches(&self, etag: Option<&str>) -> bool {
        match (self, etag) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Tags(tags), Some(etag)) => tags.iter().any(|tag| tag == etag),
        }
    }
}

/// One condition of an If header's list (RFC 4918 section 10.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The resource is locked with this token.
    Token {
        /// The lock token, such as `urn:uuid:…`.
        token: String,
        /// `Not` stood before it.
        negated: bool,
    },
    /// The resource has this ETag (without quotes).
    Etag {
        /// The tag.
        tag: String,
        /// `Not` stood before it.
        negated: bool,
    },
}

/// One list of an If header: all of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionList {
    /// The resource that it speaks of; `None`: one outside the caller's space, which has no state.
    pub path: Option<NodePath>,
    /// Where the path begins; `None`: where that of the request does.
    pub root: Option<Root>,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// All conditions of a request; the default has none and always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// If-Match.
    pub if_match: Option<EtagList>,
    /// If-None-Match.
    pub if_none_match: Option<EtagList>,
    /// If-Unmodified-Since.
    pub unmodified_since: Option<Timestamp>,
    /// The If header: at least one list must hold; empty: no such header.
    pub lists: Vec<ConditionList>,
}

impl Precondition {
    /// Returns every lock token that the request submits (negated ones are not submitted).
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.lists
            .iter()
            .flat_map(|list| &list.conditions)
            .filter_map(|condition| match condition {
                Condition::Token {
                    token,
                    negated: false,
                } => Some(token.as_str()),
                Condition::Token { .. } | Condition::Etag { .. } => None,
            })
    }

    /// Returns whether the request sets no condition at all.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.unmodified_since.is_none()
            && self.lists.is_empty()
    }
}
