//! Why a transaction did not happen.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;

/// The result of every store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a transaction did not happen. Nothing was changed, except for `Unknown`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A rule that holds inside the transaction said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database answered with an error.
    #[error("the metadata database failed: {0}")]
    Database(String),
    /// The database's disk is full.
    #[error("the metadata disk is full")]
    DiskFull,
    /// The commit's outcome is not known; the caller must look before repeating.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// A newer version of this program has changed the form of the data.
    #[error(
        "the data has schema version {found}, this program knows versions up to {known}: \
         use a newer nuage-server"
    )]
    NewerSchema {
        /// The version of the data.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// Stored data does not have the expected form.
    #[error("stored metadata is damaged: {0}")]
    Corrupt(String),
    /// The database cannot be reached now, or is too busy; nothing happened, asking again may help.
    #[error("the metadata database is not available: {0}")]
    Unavailable(String),
    /// The database answers, but the store of the bytes cannot be reached now, or is too busy; nothing happened.
    #[error("the chunk store is not available: {0}")]
    BytesUnavailable(String),
    /// The write belongs to work that another process has taken over.
    #[error("another server has taken this work over")]
    Superseded,
    /// The store is stopping or has stopped.
    #[error("the metadata store is closed")]
    Closed,
}

/// A rule that was tested inside the transaction and did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing has that path or id.
    #[error("not found")]
    NotFound,
    /// The folder that should hold the node does not exist (or is a file).
    #[error("the parent folder does not exist")]
    ParentMissing,
    /// Something with that name exists already.
    #[error("already exists")]
    AlreadyExists,
    /// The operation is for files, the node is a folder.
    #[error("is a folder")]
    IsAFolder,
    /// The operation is for folders, the node is a file.
    #[error("is not a folder")]
    NotAFolder,
    /// A condition of the request (If, If-Match, …) does not hold now.
    #[error("a precondition failed")]
    PreconditionFailed,
    /// A lock covers the node and its token was not submitted.
    #[error("{path} is locked")]
    Locked {
        /// The locked node.
        path: NodePath,
        /// When the lock ends by itself.
        until: Timestamp,
    },
    /// A new lock conflicts with one that exists.
    #[error("a lock conflicts")]
    LockConflict {
        /// The locked node.
        path: NodePath,
    },
    /// The account holds as many locks as it may.
    #[error("too many locks")]
    TooManyLocks,
    /// The space would hold more than its quota.
    #[error("quota exceeded")]
    QuotaExceeded {
        /// What the space may hold.
        quota_bytes: u64,
        /// What it holds.
        used_bytes: u64,
        /// What the request would add.
        needed_bytes: u64,
    },
    /// A folder cannot go into itself.
    #[error("a folder cannot be moved or copied into itself")]
    IntoItself,
    /// Whoever asks may see the node, but not do this.
    #[error("not permitted")]
    NotPermitted,
    /// The root of a space cannot be changed this way.
    #[error("the root cannot be changed")]
    Root,
    /// An upload in parts cannot go on.
    #[error(transparent)]
    Parts(#[from] PartsFault),
    /// Bytes that the upload relied on were collected meanwhile; it must start again.
    #[error("a source of the upload is gone")]
    SourceGone,
    /// The account, token or group is unknown, disabled or taken.
    #[error("{0}")]
    Account(&'static str),
}

/// Why an upload in parts cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartsFault {
    /// The account has none of that name, or no such part.
    #[error("no such upload is in progress")]
    Unknown,
    /// The account has one of that name.
    #[error("an upload of that name is in progress")]
    Exists,
    /// The space has as many in progress as it may.
    #[error("{max} uploads in parts are in progress")]
    TooMany {
        /// The limit.
        max: u64,
    },
    /// It has as many parts as it may.
    #[error("an upload has at most {max} parts")]
    TooManyParts {
        /// The limit.
        max: u64,
    },
    /// Its parts changed while they were put together.
    #[error("the parts changed meanwhile")]
    Changed,
}
