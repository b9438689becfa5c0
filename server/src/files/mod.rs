//! What a caller may do with nodes: the one door of the core, for every protocol.
//!
//! An adapter understands a request, asks [`Files`], and turns the answer into
//! its protocol. Permission, locks, conditions, quota and history are decided
//! here and in the transactions below, once.
//!
//! # Always true
//!
//! * Every method begins with [`permissions`]: (caller, path) → where, and what is allowed.
//! * A change happens entirely, durably and before the answer, or not at all.
//! * Nothing here knows a protocol.

pub mod activity;
mod archive;
mod arrange;
mod browse;
mod download;
pub mod error;
mod locks;
mod parts;
mod permissions;
pub mod precondition;
mod prefixes;
mod reception;
pub mod search;
mod trash;
mod upload;
mod versions;
mod watch;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::files::permissions::KnownMounts;
use crate::files::prefixes::Prefixes;
use crate::files::upload::Reservations;
use crate::store::chunks::ChunkStore;
use crate::store::metadata::MetadataStore;

pub use crate::clock::Timestamp;
pub use crate::files::archive::Archive;
pub use crate::files::archive::ArchiveRequest;
pub use crate::files::archive::Member;
pub use crate::files::archive::Missing;
pub use crate::files::arrange::PropertyChange;
pub use crate::files::browse::Listing;
pub use crate::files::browse::ListingPlace;
pub use crate::files::download::Download;
pub use crate::files::locks::LockRequest;
pub use crate::files::parts::PartNumber;
pub use crate::files::parts::PartReception;
pub use crate::files::parts::PartsRequest;
pub use crate::files::parts::WholeRequest;
pub use crate::files::permissions::Reason;
pub use crate::files::permissions::Rights;
pub use crate::files::trash::InTrash;
pub use crate::files::upload::Checksum;
pub use crate::files::upload::Upload;
pub use crate::files::upload::UploadRequest;
pub use crate::files::watch::Watcher;
pub use crate::store::chunks::ChecksumKind;
pub use crate::store::metadata::locks::HandLock;
pub use crate::store::metadata::marks::Tag;
pub use crate::store::metadata::mounts::Mount;
pub use crate::store::metadata::mounts::Source;
pub use crate::store::metadata::parts::Became;
pub use crate::store::metadata::parts::Part;
pub use crate::store::metadata::parts::PartedUpload;
pub use crate::store::metadata::records::Children;
pub use crate::store::metadata::records::Committed;
pub use crate::store::metadata::records::Entry;
pub use crate::store::metadata::records::ListingWants;
pub use crate::store::metadata::records::Lock;
pub use crate::store::metadata::records::LockKind;
pub use crate::store::metadata::records::Node;
pub use crate::store::metadata::records::NodeId;
pub use crate::store::metadata::records::NodeKind;
pub use crate::store::metadata::records::Permissions;
pub use crate::store::metadata::records::Property;
pub use crate::store::metadata::records::PropertyPatch;
pub use crate::store::metadata::records::QuotaState;
pub use crate::store::metadata::records::SpaceId;
pub use crate::store::metadata::shares::Shown;
pub use crate::store::metadata::trash::TrashEntry;
pub use crate::store::metadata::versions::Version;

/// Contents that are read again at the same time to compute their checksums: each takes a processor.
const REREADS_MAX: usize = 2;

/// The rules' settings.
#[derive(Debug, Clone)]
pub struct FilesSettings {
    /// Quota of spaces that have none of their own, in bytes; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
    /// The longest lock, in seconds.
    pub lock_timeout_max_seconds: i64,
    /// How long a lock by hand lasts, in seconds.
    pub hand_lock_seconds: i64,
    /// Locks that one account may hold.
    pub locks_per_account_max: u64,
    /// Nodes that one search looks at.
    pub search_nodes_max: usize,
    /// Tags that one space may have.
    pub tags_max: u64,
    /// Dead properties of one node together, in bytes.
    pub property_bytes_max: u64,
    /// An upload in parts that gets no part for so long ends, in seconds.
    pub parts_abandoned_seconds: i64,
    /// Parts that one upload may have.
    pub parts_max: u64,
    /// Uploads in parts that a space may have in progress.
    pub parted_uploads_max: u64,
    /// Files and folders of one archive.
    pub archive_members_max: u64,
    /// Bytes of the files of one archive.
    pub archive_bytes_max: u64,
    /// Archives that are made at the same time.
    pub archives_max: usize,
    /// Whether it is noted who did what.
    pub keeps_activity: bool,
}

impl Default for FilesSettings {
    fn default() -> Self {
        Self {
            quota_default_bytes: Some(100_000_000_000),
            lock_timeout_max_seconds: 24 * 3_600,
            hand_lock_seconds: 30 * 60,
            locks_per_account_max: 10_000,
            search_nodes_max: 1_000_000,
            tags_max: 1_000,
            property_bytes_max: 256 << 10,
            parts_abandoned_seconds: 7 * 86_400,
            parts_max: 10_000,
            parted_uploads_max: 1_000,
            archive_members_max: 200_000,
            archive_bytes_max: 200_000_000_000,
            archives_max: 64,
            keeps_activity: true,
        }
    }
}

/// The door to nodes.
#[derive(Debug)]
pub struct Files {
    metadata: Arc<MetadataStore>,
    chunks: Arc<ChunkStore>,
    clock: Clock,
    settings: FilesSettings,
    reservations: Arc<Reservations>,
    known_mounts: KnownMounts,
    prefixes: Arc<Prefixes>,
    /// Contents that are read again to compute their checksums, at the same time.
    rereads: Semaphore,
    /// Archives that are being made.
    archives: Arc<Semaphore>,
}

impl Files {
    /// Builds the door over the two stores.
    pub fn new(
        metadata: Arc<MetadataStore>,
        chunks: Arc<ChunkStore>,
        clock: Clock,
        settings: FilesSettings,
    ) -> Self {
        let archives = Arc::new(Semaphore::new(settings.archives_max));
        Self {
            metadata,
            chunks,
            clock,
            settings,
            reservations: Arc::default(),
            known_mounts: KnownMounts::default(),
            prefixes: Arc::default(),
            rereads: Semaphore::new(REREADS_MAX),
            archives,
        }
    }

    /// Returns the rules' settings.
    pub(crate) fn settings(&self) -> &FilesSettings {
        &self.settings
    }

    /// Returns the moment by which locks and conditions are decided.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
