//! The bytes, addressed by content: cut, hashed, kept as frames in append-only packs.
//!
//! [`ChunkStore`] is the door. An [`Ingest`] turns a stream of bytes into durable
//! chunks and a [`NewContent`] that a commit may name; [`ChunkStore::stream`] turns a
//! content back into bytes, each chunk verified before its first byte goes out.
//!
//! ```text
//! write: ingest ─▶ cutter (blocking thread: cut, hash, known?, compress) ─▶ appender (group fdatasync) ─▶ map
//! read:  read ─▶ places (where is the frame now?) ─▶ packs (file, or open segment) ─▶ verify ─▶ bytes
//! later: hot (database → packs) · collect (dead contents, compaction, deletion) · verify, repair
//! ```
//!
//! # Always true
//!
//! * A frame is never rewritten; a pack's number and file name never mean another pack.
//! * Bytes are durable before [`Ingest::finish`] returns the content that names them.
//! * One process at a time appends to, recovers, compacts or deletes from a folder: who holds
//!   the lock of `.owner` in it.
//! * Memory of one transfer is bounded by its profile (at most 16 MiB), that of all uploads by
//!   [`ChunkSettings::upload_memory_bytes`].
//!
//! # Surprises
//!
//! A place is logical for ever: after compaction the pack's row tells where a frame went.
//! Small bodies have no frame at all until [`ChunkStore::pack_hot`].

mod appender;
mod checksum;
mod collect;
mod compress;
mod cutter;
mod damage;
mod disk;
mod files;
mod home;
mod hot;
mod ingest;
mod known;
mod map_builder;
mod memory;
mod named;
mod places;
mod read;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod uploads;
mod verify;
mod wait;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::Stream;
use nuage_shared::chunk_id::ChunkKey;
use rustix::fs::FlockOperation;

use crate::clock::Clock;
use crate::clock::NANOS;
use crate::store::chunks::appender::Appenders;
use crate::store::chunks::collect::Collector;
use crate::store::chunks::compress::Compressors;
use crate::store::chunks::damage::Damage;
use crate::store::chunks::disk::Disk;
use crate::store::chunks::disk::SystemDisk;
use crate::store::chunks::memory::Memory;
use crate::store::chunks::places::Places;
use crate::store::chunks::segment::Segments;
use crate::store::chunks::uploads::UploadMark;
use crate::store::chunks::uploads::Uploads;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;

pub use crate::store::chunks::collect::CollectProgress;
pub use crate::store::chunks::collect::Collected;
pub use crate::store::chunks::collect::Graces;
pub use crate::store::chunks::home::FOLDER_HOT_BYTES_MAX;
pub use crate::store::chunks::home::PackHome;
pub use crate::store::chunks::home::S3_HOT_BYTES_MAX;
pub use crate::store::chunks::home::S3Credentials;
pub use crate::store::chunks::home::S3Settings;
pub use crate::store::chunks::ingest::Ingest;
pub use crate::store::chunks::verify::HurtContent;
pub use crate::store::chunks::verify::HurtFile;
pub use crate::store::chunks::verify::PackDamage;
pub use crate::store::chunks::verify::RepairReport;
pub use crate::store::chunks::verify::VerifyProgress;
pub use crate::store::chunks::verify::VerifyReport;

/// The length from which a segment is sealed.
const SEGMENT_BYTES: u64 = 64 << 20;
/// How long an answer about free space holds, in nanoseconds.
const FREE_SPACE_NANOS: i64 = NANOS;

/// Where packs are and how much they may use.
#[derive(Debug, Clone)]
pub struct ChunkSettings {
    /// Where the packs are.
    pub home: PackHome,
    /// Bodies up to this length travel in the commit, in bytes.
    pub hot_bytes_max: usize,
    /// Plain bytes in flight of all uploads together, in memory.
    pub upload_memory_bytes: u64,
    /// Decoded chunks kept in memory for readers, in bytes.
    pub cache_bytes: u64,
    /// Uploads are refused when the disk has less free, in bytes.
    pub free_bytes_min: u64,
}

/// The secrets of a domain by which chunks are named and cut.
#[derive(Debug, Clone)]
pub struct ChunkSecrets {
    /// Names chunks.
    pub key: ChunkKey,
    /// Chooses cut points.
    pub seed: u64,
}

/// Why bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The metadata store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk is full, or too full for uploads.
    #[error("the disk of the chunks is full")]
    DiskFull,
    /// A file of the store could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The S3 store cannot be reached now, or is too busy; asking again may help.
    #[error("the chunk store is not available: {0}")]
    Unavailable(String),
    /// Stored bytes are not what their name says.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Another process holds this folder.
    #[error("another process is using {folder}")]
    InUse {
        /// The folder of packs.
        folder: PathBuf,
    },
    /// The store is stopping.
    #[error("the chunk store is closed")]
    Closed,
}

impl From<ChunkError> for StoreError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Store(error) => error,
            ChunkError::DiskFull => Self::DiskFull,
            ChunkError::Closed => Self::Closed,
            ChunkError::Unavailable(what) => Self::Unavailable(what),
            other => Self::Database(other.to_string()),
        }
    }
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ChunkError {
    let path = path.display().to_string();
    move |source| ChunkError::File { path, source }
}

/// A checksum that is computed while a body streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumKind {
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
    /// Adler-32.
    Adler32,
}

impl ChecksumKind {
    /// Returns the number of hexadecimal digits of such a checksum.
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Md5 => 32,
            Self::Sha256 => 64,
            Self::Adler32 => 8,
        }
    }
}

/// Among which contents an upload may find chunks that are stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupScope {
    /// The version that it replaces.
    Replaced,
    /// Every content of the space: only for callers who may read all of it.
    Space,
}

/// What is known of a content before its bytes.
#[derive(Debug)]
pub struct IngestRequest {
    /// The space that will hold it.
    pub space: SpaceId,
    /// Where equal chunks may be found.
    pub dedup: DedupScope,
    /// Its length, when known.
    pub declared_bytes: Option<u64>,
    /// The version that it replaces.
    pub replaced: Option<Content>,
    /// A checksum to compute on the way.
    pub checksum: Option<ChecksumKind>,
}

/// A content that a commit may now name.
///
/// Keep it until the commit is queued: it marks its frames as in use.
#[derive(Debug)]
pub struct Ingested {
    /// Durable, or small enough to travel in the commit.
    pub content: NewContent,
    /// The checksum that was asked for, in lower-case hexadecimal.
    pub checksum: Option<String>,
    _mark: UploadMark,
}

/// Returns where a pack's file is, relative to the folder of packs: `aa/<uuid>.pack`.
pub fn pack_location(uuid: &[u8; 16]) -> PathBuf {
    let name = hex::encode(uuid);
    let shelf = name.get(..2).unwrap_or_default();
    PathBuf::from(format!("{shelf}/{name}.pack"))
}

/// The door to bytes; one process at a time may open a folder.
#[derive(Debug)]
pub struct ChunkStore {
    shared: Arc<Shared>,
}

/// What uploads, readers and jobs share.
#[derive(Debug)]
struct Shared {
    settings: ChunkSettings,
    folder: PathBuf,
    secrets: ChunkSecrets,
    metadata: Arc<MetadataStore>,
    clock: Clock,
    segments: Arc<Segments>,
    damage: Arc<Damage>,
    appenders: Appenders,
    uploads: Arc<Uploads>,
    compressors: Arc<Compressors>,
    places: Places,
    /// Memory of uploads' windows: taken whole when an upload outgrows the commit.
    window_memory: Memory,
    /// Memory of frames on their way to the disk: always given back by itself.
    frame_memory: Memory,
    free_space: FreeSpace,
    /// Locked by the round of collection that is going on.
    collector: tokio::sync::Mutex<Collector>,
    /// Locked as long as this process owns the folder.
    _owner: File,
}

impl ChunkStore {
    /// Takes the folder for this process and brings open segments to order after a crash. Blocks.
    pub fn open(
        settings: ChunkSettings,
        secrets: ChunkSecrets,
        metadata: Arc<MetadataStore>,
        clock: Clock,
    ) -> Result<Self, ChunkError> {
        let ground = (Arc::new(SystemDisk) as Arc<dyn Disk>, SEGMENT_BYTES);
        Self::open_on(ground, settings, secrets, metadata, clock)
    }

    fn open_on(
        (disk, segment_bytes): (Arc<dyn Disk>, u64),
        settings: ChunkSettings,
        secrets: ChunkSecrets,
        metadata: Arc<MetadataStore>,
        clock: Clock,
    ) -> Result<Self, ChunkError> {
        let PackHome::Folder(folder) = &settings.home else {
            return Err(ChunkError::Unavailable(settings.home.to_string()));
        };
        let folder = folder.clone();
        std::fs::create_dir_all(&folder).map_err(file_error(&folder))?;
        let owner = take_ownership(&folder)?;
        recover::recover(&folder, &metadata, &clock)?;
        let uploads = Arc::new(Uploads::default());
        let segments = Arc::new(Segments::new(
            folder.clone(),
            (Arc::clone(&disk), segment_bytes),
            Arc::clone(&metadata),
            clock.clone(),
            Arc::clone(&uploads),
        ));
        let appenders = Appenders::start(&segments).map_err(file_error(&folder))?;
        let places = Places::new(
            &folder,
            settings.cache_bytes,
            Arc::clone(&metadata),
            Arc::clone(&segments),
        )?;
        let frame_bytes = settings.upload_memory_bytes / 4;
        let window_bytes = settings.upload_memory_bytes - frame_bytes;
        let free_space = FreeSpace {
            disk,
            folder: folder.clone(),
            bytes_min: settings.free_bytes_min,
            looked_at: AtomicI64::new(i64::MIN),
            is_low: AtomicBool::new(false),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                folder,
                settings,
                secrets,
                metadata,
                clock,
                segments,
                damage: Arc::default(),
                appenders,
                uploads,
                compressors: Arc::default(),
                places,
                window_memory: Memory::new(window_bytes),
                frame_memory: Memory::new(frame_bytes),
                free_space,
                collector: tokio::sync::Mutex::default(),
                _owner: owner,
            }),
        })
    }

    /// Begins a content.
    pub fn ingest(&self, request: IngestRequest) -> Ingest {
        Ingest::new(Arc::clone(&self.shared), request)
    }

    /// Streams bytes of a content; each chunk is verified before its first byte goes out.
    ///
    /// `range` must lie within the size. An error ends the stream; nothing is padded.
    pub fn stream(
        self: &Arc<Self>,
        content: Content,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ChunkError>> + Send + 'static + use<> {
        read::stream(Arc::clone(&self.shared), content, range)
    }

    /// Ends the appenders after what is queued. Blocks.
    pub fn close(&self) {
        self.shared.appenders.close();
    }
}

impl Drop for ChunkStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Locks `.owner`: only its holder appends, recovers, compacts or deletes.
fn take_ownership(folder: &Path) -> Result<File, ChunkError> {
    let path = folder.join(".owner");
    let owner = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(file_error(&path))?;
    match rustix::fs::flock(&owner, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(owner),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ChunkError::InUse {
            folder: folder.to_owned(),
        }),
        Err(error) => Err(file_error(&path)(error.into())),
    }
}

/// Whether the disk has room for uploads; asked at most once a second.
#[derive(Debug)]
struct FreeSpace {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    bytes_min: u64,
    looked_at: AtomicI64,
    is_low: AtomicBool,
}

impl FreeSpace {
    /// Refuses an upload when the disk is too full for it.
    fn require(&self, clock: &Clock) -> Result<(), ChunkError> {
        if self.bytes_min == 0 {
            return Ok(());
        }
        let now = clock.now().0;
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        if now.saturating_sub(looked_at).unsigned_abs() > FREE_SPACE_NANOS.unsigned_abs() {
            self.looked_at.store(now, Ordering::Relaxed);
            match self.disk.free_bytes(&self.folder) {
                Ok(free) => self.is_low.store(free < self.bytes_min, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the free space could not be asked for"),
            }
        }
        if self.is_low.load(Ordering::Relaxed) {
            Err(ChunkError::DiskFull)
        } else {
            Ok(())
        }
    }
}
