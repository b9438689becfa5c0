//! Who may do what where: one function of (caller, path), with the reason in words.

use nuage_shared::node_path::NodePath;

use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::identity::Caller;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::SpaceId;

/// What a caller may do with a node, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// See it, read its content, list its members.
    pub may_read: bool,
    /// Change content and properties, create, move, delete.
    pub may_change: bool,
    /// See the whole space, so that a question about what it holds tells nothing new.
    pub may_read_space: bool,
    /// The reason, as a clause: "you own this space".
    pub reason: &'static str,
}

/// A path that a caller named, with the space that it lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub(crate) space: SpaceId,
    pub(crate) rights: Rights,
}

impl Files {
    /// Decides where a caller's path leads and what the caller may do there.
    pub(crate) fn locate(caller: &Caller) -> Located {
        let rights = if caller.is_read_only {
            Rights {
                may_read: true,
                may_change: false,
                may_read_space: true,
                reason: "you own this space, with an app password that only reads",
            }
        } else {
            Rights {
                may_read: true,
                may_change: true,
                may_read_space: true,
                reason: "you own this space",
            }
        };
        Located {
            space: caller.home,
            rights,
        }
    }

    /// Returns the rights of a caller on a path.
    pub fn rights(&self, caller: &Caller, _path: &NodePath) -> Rights {
        Self::locate(caller).rights
    }

    /// Returns the space of a path that the caller may read.
    pub(crate) fn permit_reading(caller: &Caller, path: &NodePath) -> FilesResult<SpaceId> {
        let located = Self::locate(caller);
        if located.rights.may_read {
            Ok(located.space)
        } else {
            Err(FilesError::NotFound { path: path.clone() })
        }
    }

    /// Returns the change that the caller may make at a path.
    pub(crate) fn permit_change(&self, caller: &Caller, path: &NodePath) -> FilesResult<Change> {
        let located = Self::locate(caller);
        if located.rights.may_change {
            Ok(self.change(caller, located.space))
        } else {
            Err(FilesError::NotPermitted { path: path.clone() })
        }
    }

    /// Describes who asks, when and where, without permission to change anything.
    pub(crate) fn change(&self, caller: &Caller, space: SpaceId) -> Change {
        Change {
            space,
            actor: caller.user,
            now: self.clock.now(),
            quota_default_bytes: self.settings.quota_default_bytes,
        }
    }
}
