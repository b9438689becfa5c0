//! Why a file operation did not happen.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;

pub use crate::store::metadata::error::PartsFault;
pub use crate::store::metadata::error::StoreError;

/// The result of every call of the core.
pub type FilesResult<T> = Result<T, FilesError>;

/// What was wrong with a received body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// The body ended early or went on too long.
    #[error("{received_bytes} bytes were received, {announced_bytes} were announced")]
    Length {
        /// What the request said.
        announced_bytes: u64,
        /// What came.
        received_bytes: u64,
    },
    /// The bytes do not match the checksum that came with them.
    #[error("the received bytes do not match the checksum")]
    Checksum,
    /// The parts of a file do not make up the length that was announced.
    #[error("the parts have {received_bytes} bytes together, {announced_bytes} were announced")]
    Parts {
        /// What the request said.
        announced_bytes: u64,
        /// What came.
        received_bytes: u64,
    },
    /// A file was to be made of no parts, and nothing said that it is empty.
    #[error("no part of the file has come")]
    NoParts,
    /// The checksum header cannot be understood.
    #[error("the checksum is not of the form TYPE:hex")]
    ChecksumForm,
}

/// Why a tag cannot be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// Nothing can have that name: what can be the name of a file can be that of a tag.
    #[error("no tag can have this name")]
    BadName,
    /// The space has a tag of that name.
    #[error("a tag of this name exists already")]
    Taken,
    /// The space has as many tags as the settings allow.
    #[error("there are {max} tags already")]
    TooMany {
        /// The limit.
        max: u64,
    },
}

/// Why a file operation did not happen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Nothing there, or nothing this caller may know of.
    #[error("nothing is at {path}")]
    NotFound {
        /// The path asked for.
        path: NodePath,
    },
    /// The folder above does not exist.
    #[error("the folder that should hold {path} does not exist")]
    ParentMissing {
        /// The path asked for.
        path: NodePath,
    },
    /// Something is there already.
    #[error("{path} exists already")]
    AlreadyExists {
        /// The path asked for.
        path: NodePath,
    },
    /// Bytes cannot be written to or read from a folder.
    #[error("{path} is a folder")]
    IsAFolder {
        /// The path asked for.
        path: NodePath,
    },
    /// Only a folder can hold or list nodes.
    #[error("{path} is not a folder")]
    NotAFolder {
        /// The path asked for.
        path: NodePath,
    },
    /// The node is visible, the action is not permitted.
    #[error("you may not change {path}")]
    NotPermitted {
        /// The path asked for.
        path: NodePath,
    },
    /// The target of a move or copy lies inside its source, or is its source.
    #[error("a folder cannot be moved or copied into itself")]
    IntoItself,
    /// A condition of the request does not hold: somebody changed the node meanwhile.
    #[error("a condition of the request does not hold: {path} has changed")]
    PreconditionFailed {
        /// The path asked for.
        path: NodePath,
    },
    /// A lock covers the node and its token did not come with the request.
    #[error("{path} is locked")]
    Locked {
        /// The locked node.
        path: NodePath,
        /// When the lock ends by itself.
        until: Option<Timestamp>,
    },
    /// The token of an UNLOCK or refresh names no lock of this node.
    #[error("no such lock on {path}")]
    NoSuchLock {
        /// The path asked for.
        path: NodePath,
    },
    /// The caller holds as many locks as the settings allow.
    #[error("too many locks are held by this account")]
    TooManyLocks,
    /// The space would hold more than its quota.
    #[error("the quota of {quota_bytes} bytes would be exceeded by {missing_bytes} bytes")]
    QuotaExceeded {
        /// What the space may hold.
        quota_bytes: u64,
        /// What it holds now.
        used_bytes: u64,
        /// How much is missing.
        missing_bytes: u64,
    },
    /// A property is too large, or there are too many.
    #[error("properties of {path} would be too large")]
    PropertiesTooLarge {
        /// The path asked for.
        path: NodePath,
    },
    /// A tag cannot be called so.
    #[error(transparent)]
    Tag(#[from] TagFault),
    /// A folder or selection is more than one archive may hold.
    #[error("an archive may hold {members_max} files and folders and {bytes_max} bytes")]
    ArchiveTooLarge {
        /// How many files and folders it may hold.
        members_max: u64,
        /// How many bytes.
        bytes_max: u64,
    },
    /// As many archives are being made as the settings allow.
    #[error("too many archives are being made at this moment")]
    TooManyArchives,
    /// An upload in parts cannot go on.
    #[error(transparent)]
    Parts(#[from] PartsFault),
    /// The body is not what was announced.
    #[error(transparent)]
    BadContent(#[from] ContentFault),
    /// The server's disk is nearly full; reading and deleting still work.
    #[error("the server's storage is full")]
    StorageFull,
    /// Storage failed or is too busy; nothing was changed, unless [`may_have_happened`](Self::may_have_happened).
    #[error("storage is unavailable")]
    Unavailable(#[source] StoreError),
    /// The bytes of this content cannot be read or are damaged.
    #[error("the content of {path} cannot be read")]
    Unreadable {
        /// The path asked for.
        path: NodePath,
    },
}

impl FilesError {
    /// Returns whether the change may have been made all the same: the database went away in the middle of its commit.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable(StoreError::Unknown(_)))
    }

    /// Returns whether no request can be served now: the database is out of reach, or the server stops.
    ///
    /// Otherwise what failed is this request, or what lies in the store of the bytes.
    pub fn is_of_the_whole_server(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(StoreError::Unavailable(_) | StoreError::Closed)
        )
    }
}

/// Puts a path to what the store says, as a value for `map_err`.
pub(crate) fn at<E: Into<StoreError>>(path: &NodePath) -> impl FnOnce(E) -> FilesError {
    let path = path.clone();
    move |error| match error.into() {
        StoreError::Refused(refusal) => refused(refusal, path),
        StoreError::DiskFull => FilesError::StorageFull,
        error => {
            tracing::error!(%error, %path, "storage failed");
            FilesError::Unavailable(error)
        }
    }
}

fn refused(refusal: Refusal, path: NodePath) -> FilesError {
    match refusal {
        Refusal::NotFound => FilesError::NotFound { path },
        Refusal::ParentMissing => FilesError::ParentMissing { path },
        Refusal::AlreadyExists => FilesError::AlreadyExists { path },
        Refusal::IsAFolder => FilesError::IsAFolder { path },
        Refusal::NotAFolder => FilesError::NotAFolder { path },
        Refusal::PreconditionFailed => FilesError::PreconditionFailed { path },
        Refusal::Locked { path, until } => FilesError::Locked {
            path,
            until: Some(until),
        },
        Refusal::LockConflict { path } => FilesError::Locked { path, until: None },
        Refusal::TooManyLocks => FilesError::TooManyLocks,
        Refusal::QuotaExceeded {
            quota_bytes,
            used_bytes,
            needed_bytes,
        } => FilesError::QuotaExceeded {
            quota_bytes,
            used_bytes,
            missing_bytes: used_bytes
                .saturating_add(needed_bytes)
                .saturating_sub(quota_bytes),
        },
        Refusal::Parts(fault) => FilesError::Parts(fault),
        Refusal::IntoItself => FilesError::IntoItself,
        Refusal::Root | Refusal::NotPermitted => FilesError::NotPermitted { path },
        Refusal::SourceGone | Refusal::Account(_) => {
            FilesError::Unavailable(StoreError::Refused(refusal))
        }
    }
}

#[cfg(test)]
mod tests {
    use nuage_shared::node_path::NodePath;

    use super::FilesError;
    use super::at;
    use crate::store::metadata::error::StoreError;

    #[test]
    fn a_database_out_of_reach_is_unavailable_storage() {
        let path = NodePath::parse("a").unwrap();
        let error = at(&path)(StoreError::Unavailable("no connection".to_owned()));
        let is_passed_on = matches!(error, FilesError::Unavailable(StoreError::Unavailable(_)));
        assert!(is_passed_on, "{error:?}");
    }
}
