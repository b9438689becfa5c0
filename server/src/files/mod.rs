//! What a caller may do with nodes: the one door of the core, for every protocol.

pub mod error;
pub mod precondition;

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::error::FilesResult;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::records::Node;

/// A verified or announced checksum of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum(pub String);

impl Checksum {
    /// Parses `SHA1:hex`, `MD5:hex`, `SHA256:hex` or `ADLER32:hex` (any case of the type).
    pub fn parse(_text: &str) -> FilesResult<Self> {
        todo!()
    }
}

/// What is known of an upload before its body.
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// Where the file will be.
    pub path: NodePath,
    /// Content-Length (or X-Expected-Entity-Length, OC-Total-Length), when known.
    pub declared_bytes: Option<u64>,
    /// X-OC-MTime; the default is now.
    pub modified_at: Option<Timestamp>,
    /// X-OC-CTime.
    pub created_at: Option<Timestamp>,
    /// OC-Checksum.
    pub checksum: Option<Checksum>,
    /// The request's conditions.
    pub precondition: Precondition,
}

/// What a finished change made.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The node as it is now.
    pub node: Node,
    /// Whether it did not exist before (201, else 204).
    pub created: bool,
}

/// What a listing shall bring beside the nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListingWants {
    /// Dead properties.
    pub properties: bool,
    /// Active locks that cover each node.
    pub locks: bool,
    /// Checksums of contents.
    pub checksums: bool,
}

/// A dead property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Namespace URI; may be empty.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// The whole element as XML that stands alone (declares its namespaces).
    pub xml: String,
}

/// A change of a dead property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyPatch {
    /// Sets it.
    Set(Property),
    /// Removes it; removing one that is not there is no error.
    Remove {
        /// Namespace URI.
        namespace: String,
        /// Local name.
        name: String,
    },
}

/// A lock in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// `urn:uuid:…`.
    pub token: String,
    /// Where the locked node is now (the lock's root).
    pub path: NodePath,
    /// Sign-in name of who holds it.
    pub owner_name: String,
    /// Shared, else exclusive.
    pub shared: bool,
    /// Depth infinity, else 0.
    pub deep: bool,
    /// When it ends by itself.
    pub until: Timestamp,
    /// What was granted at the last LOCK.
    pub timeout_seconds: i64,
    /// The owner element of the LOCK request as XML.
    pub info: Option<String>,
}

/// What a LOCK asks.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// Shared, else exclusive.
    pub shared: bool,
    /// Depth infinity, else 0.
    pub deep: bool,
    /// Asked seconds; `None` (or Infinite): the longest that the settings allow.
    pub timeout_seconds: Option<i64>,
    /// The owner element as XML.
    pub info: Option<String>,
}

/// A node with what a listing brings.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The node.
    pub node: Node,
    /// Checksum of its content, if wanted and known.
    pub checksum: Option<String>,
    /// Its dead properties, if wanted.
    pub properties: Vec<Property>,
    /// Locks that cover it, if wanted.
    pub locks: Vec<Lock>,
}

/// A node and, page by page, its children.
#[derive(Debug)]
pub struct Listing {
    /// The node itself.
    pub entry: Entry,
}

impl Listing {
    /// Returns the next children (at most 1 000, in an order that renames do not disturb); empty: no more.
    ///
    /// An error must end the answer visibly: it never means "no more".
    pub async fn next_page(&mut self) -> FilesResult<Vec<Entry>> {
        todo!()
    }
}

/// A file that is ready to be read.
#[derive(Debug)]
pub struct Download {
    /// The file.
    pub node: Node,
    /// Verified checksum of its content, when known.
    pub checksum: Option<String>,
}

impl Download {
    /// Streams bytes of the content as it was when the download began; each chunk is verified first.
    ///
    /// `range` must lie within the size. An error ends the stream; nothing is padded.
    pub fn stream(
        self,
        _range: Range<u64>,
    ) -> impl Stream<Item = FilesResult<Bytes>> + Send + 'static {
        futures_util::stream::empty()
    }
}

/// What a space may hold and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// Bytes of its current files.
    pub used_bytes: u64,
    /// What it may hold; `None`: no limit.
    pub quota_bytes: Option<u64>,
}

/// An upload in progress; dropping it leaves the former version.
#[derive(Debug)]
pub struct Upload {}

impl Upload {
    /// Takes the next bytes of the body.
    pub async fn write(&mut self, _bytes: Bytes) -> FilesResult<()> {
        todo!()
    }

    /// Makes the received bytes the current version of the file, durably.
    ///
    /// Fails with `BadContent` when the body is shorter than announced or does not match its checksum.
    pub async fn finish(self) -> FilesResult<Committed> {
        todo!()
    }
}

/// The door to nodes.
#[derive(Debug)]
pub struct Files {}

impl Files {
    /// Returns the node at a path.
    pub async fn find(&self, _caller: &Caller, _path: &NodePath) -> FilesResult<Node> {
        todo!()
    }

    /// Returns the node at a path and the means to list its children.
    pub async fn list(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _wants: ListingWants,
    ) -> FilesResult<Listing> {
        todo!()
    }

    /// Tests a precondition as it stands now, for requests that change nothing.
    pub async fn check(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _precondition: &Precondition,
    ) -> FilesResult<()> {
        todo!()
    }

    /// Begins an upload: tests conditions, locks, rights and (when the length is known) quota.
    pub async fn begin_upload(
        &self,
        _caller: &Caller,
        _request: UploadRequest,
    ) -> FilesResult<Upload> {
        todo!()
    }

    /// Opens a file for reading.
    pub async fn download(&self, _caller: &Caller, _path: &NodePath) -> FilesResult<Download> {
        todo!()
    }

    /// Makes a folder.
    pub async fn make_folder(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _precondition: &Precondition,
    ) -> FilesResult<Node> {
        todo!()
    }

    /// Moves or renames a node in one step, replacing the target if `overwrite`.
    pub async fn move_node(
        &self,
        _caller: &Caller,
        _from: &NodePath,
        _to: &NodePath,
        _overwrite: bool,
        _precondition: &Precondition,
    ) -> FilesResult<Committed> {
        todo!()
    }

    /// Copies a node (with everything below unless `shallow`) without copying content.
    pub async fn copy_node(
        &self,
        _caller: &Caller,
        _from: &NodePath,
        _to: &NodePath,
        _overwrite: bool,
        _shallow: bool,
        _precondition: &Precondition,
    ) -> FilesResult<Committed> {
        todo!()
    }

    /// Moves a node, with everything below, to the trash.
    pub async fn delete(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _precondition: &Precondition,
    ) -> FilesResult<()> {
        todo!()
    }

    /// Returns the dead properties of a node.
    pub async fn properties(
        &self,
        _caller: &Caller,
        _path: &NodePath,
    ) -> FilesResult<Vec<Property>> {
        todo!()
    }

    /// Changes dead properties: all or none.
    pub async fn patch_properties(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _patches: Vec<PropertyPatch>,
        _precondition: &Precondition,
    ) -> FilesResult<()> {
        todo!()
    }

    /// Sets the modification time of a node.
    pub async fn touch(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _modified_at: Timestamp,
        _precondition: &Precondition,
    ) -> FilesResult<Node> {
        todo!()
    }

    /// Locks a node; a path that names nothing gets an empty file first (RFC 4918 section 7.3), and `created` says so.
    pub async fn lock(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _request: LockRequest,
        _precondition: &Precondition,
    ) -> FilesResult<(Lock, bool)> {
        todo!()
    }

    /// Prolongs a lock of the caller that covers `path`.
    pub async fn refresh_lock(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _token: &str,
        _timeout_seconds: Option<i64>,
    ) -> FilesResult<Lock> {
        todo!()
    }

    /// Ends a lock of the caller that covers `path`.
    pub async fn unlock(
        &self,
        _caller: &Caller,
        _path: &NodePath,
        _token: &str,
    ) -> FilesResult<()> {
        todo!()
    }

    /// Returns every lock that covers a path (also one that names nothing yet).
    pub async fn covering_locks(
        &self,
        _caller: &Caller,
        _path: &NodePath,
    ) -> FilesResult<Vec<Lock>> {
        todo!()
    }

    /// Returns the quota of the space that holds a path.
    pub async fn quota(&self, _caller: &Caller, _path: &NodePath) -> FilesResult<QuotaState> {
        todo!()
    }
}
