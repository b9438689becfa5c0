//! The bytes, addressed by content: cut, hashed, kept as frames in append-only packs.
//!
//! [`ChunkStore`] is the door. An [`Ingest`] turns a stream of bytes into durable
//! chunks and a [`NewContent`] that a commit may name; [`ChunkStore::stream`] turns a
//! content back into bytes, each chunk verified before its first byte goes out.
//!
//! ```text
//! write: ingest ─▶ cutter (blocking thread: cut, hash, known?, compress) ─▶ appender (group fdatasync, or PUT) ─▶ map
//! read:  read ─▶ places (where is the frame now?) ─▶ objects (file, or S3 by way of a cache) ─▶ verify ─▶ bytes
//! later: hot (database → packs) · collect (dead contents, compaction, deletion) · verify, repair
//! ```
//!
//! # Always true
//!
//! * A frame is never rewritten; a pack's number and file name never mean another pack.
//! * Bytes are durable before [`Ingest::finish`] returns the content that names them.
//! * One process at a time appends to, recovers, compacts or deletes from a folder: who holds
//!   the lock of `.owner` in it. An S3 store is shared by any number of servers.
//! * Memory of one transfer is bounded by its profile (at most 16 MiB), that of all uploads by
//!   [`ChunkSettings::upload_memory_bytes`].
//!
//! # Surprises
//!
//! A place is logical for ever: after compaction the pack's row tells where a frame went.
//! Small bodies have no frame at all until [`ChunkStore::pack_hot`].

mod appender;
mod buffers;
mod checksum;
mod collect;
mod compress;
mod concatenate;
mod cutter;
mod damage;
mod disk;
mod files;
mod home;
mod hot;
mod ingest;
mod known;
mod map_builder;
mod marker;
mod memory;
mod merge;
mod named;
mod objects;
mod places;
mod read;
mod recover;
mod s3;
mod segment;
mod stale;
#[cfg(test)]
mod tests;
mod transfer;
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
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::chunker::Profile;
use object_store::ObjectStore;
use rustix::fs::FlockOperation;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::clock::NANOS;
use crate::store::chunks::appender::Appenders;
use crate::store::chunks::buffers::Buffers;
use crate::store::chunks::collect::Collector;
use crate::store::chunks::compress::Compressors;
use crate::store::chunks::damage::Damage;
use crate::store::chunks::disk::Disk;
use crate::store::chunks::disk::SystemDisk;
use crate::store::chunks::memory::Memory;
use crate::store::chunks::objects::Objects;
use crate::store::chunks::places::Places;
use crate::store::chunks::s3::S3Runtime;
use crate::store::chunks::s3::appender::S3Ground;
use crate::store::chunks::s3::cache::BlockCache;
use crate::store::chunks::segment::Segments;
use crate::store::chunks::uploads::UploadMark;
use crate::store::chunks::uploads::Uploads;
use crate::store::chunks::wait::wait_for;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;

pub use crate::store::chunks::checksum::Checksums;
pub use crate::store::chunks::collect::CollectProgress;
pub use crate::store::chunks::collect::Collected;
pub use crate::store::chunks::collect::Graces;
pub use crate::store::chunks::concatenate::Concatenation;
pub use crate::store::chunks::home::FOLDER_HOT_BYTES_MAX;
pub use crate::store::chunks::home::PackHome;
pub use crate::store::chunks::home::S3_HOT_BYTES_MAX;
pub use crate::store::chunks::home::S3Credentials;
pub use crate::store::chunks::home::S3Settings;
pub use crate::store::chunks::ingest::Ingest;
pub use crate::store::chunks::transfer::PackTransfer;
pub use crate::store::chunks::transfer::ProvenPack;
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
    /// The chunks that the settings name are not those of the database.
    #[error("{0}")]
    WrongStore(String),
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
            ChunkError::Unavailable(what) => Self::BytesUnavailable(what),
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
    /// Returns the kind that clients know by a name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        let kinds = [Self::Sha1, Self::Md5, Self::Sha256, Self::Adler32];
        let mut kinds = kinds.into_iter();
        kinds.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Returns the name by which clients know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA256",
            Self::Adler32 => "ADLER32",
        }
    }

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
    /// How it is cut, where that is decided already: as the whole that it is a part of.
    pub profile: Option<Profile>,
    /// Checksums to compute on the way; they may have begun with bytes before.
    pub checksums: Checksums,
}

/// A content that a commit may now name.
///
/// Keep it until the commit is queued: it marks its frames as in use.
#[derive(Debug)]
pub struct Ingested {
    /// Durable, or small enough to travel in the commit.
    pub content: NewContent,
    /// The checksums that were asked for, with these bytes.
    pub checksums: Checksums,
    /// The id of its chunk, where that is one.
    pub only_chunk: Option<ChunkId>,
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
    secrets: ChunkSecrets,
    metadata: Arc<MetadataStore>,
    clock: Clock,
    objects: Arc<Objects>,
    damage: Arc<Damage>,
    appenders: Appenders,
    uploads: Arc<Uploads>,
    compressors: Arc<Compressors>,
    buffers: Arc<Buffers>,
    places: Places,
    /// Memory of uploads' windows: taken whole when an upload outgrows the commit.
    window_memory: Memory,
    /// Memory of frames on their way to the disk: always given back by itself.
    frame_memory: Memory,
    /// `None`: nothing of this machine's disk is filled.
    free_space: Option<FreeSpace>,
    /// Locked by the round of collection that is going on.
    collector: tokio::sync::Mutex<Collector>,
    /// The length from which a pack is complete.
    segment_bytes: u64,
    /// Ends after everything above.
    _hold: Hold,
}

/// What a process keeps as long as it uses a home of packs.
#[derive(Debug)]
enum Hold {
    /// Locked as long as this process owns the folder.
    Folder(#[expect(dead_code, reason = "closing it gives the lock back")] File),
    /// Where everything happens to the S3 store.
    S3(#[expect(dead_code, reason = "dropping it ends its threads")] S3Runtime),
}

impl Shared {
    /// Refuses an upload when there is no room for it.
    fn require_space(&self) -> Result<(), ChunkError> {
        let free_space = self.free_space.as_ref();
        free_space.map_or(Ok(()), |space| space.require(&self.clock))
    }
}

/// What opening a home of packs yields.
struct Opened {
    objects: Arc<Objects>,
    segments: Option<Arc<Segments>>,
    appenders: Appenders,
    free_space: Option<FreeSpace>,
    hold: Hold,
}

impl ChunkStore {
    /// Takes a folder for this process and brings open segments to order after a crash, or joins the
    /// servers that share an S3 store. Blocks; must be called within a tokio runtime.
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
        ground: (Arc<dyn Disk>, u64),
        settings: ChunkSettings,
        secrets: ChunkSecrets,
        metadata: Arc<MetadataStore>,
        clock: Clock,
    ) -> Result<Self, ChunkError> {
        let segment_bytes = ground.1;
        let frame_bytes = settings.upload_memory_bytes / 4;
        let window_bytes = settings.upload_memory_bytes - frame_bytes;
        let frame_memory = Memory::new(frame_bytes);
        let opening = Opening {
            metadata: Arc::clone(&metadata),
            clock: clock.clone(),
            uploads: Arc::default(),
            frame_memory: frame_memory.clone(),
            buffers: Arc::default(),
        };
        let opened = match &settings.home {
            PackHome::Folder(folder) => opening.folder(folder, ground, settings.free_bytes_min)?,
            home @ PackHome::S3(s3) => opening.s3(home, s3, segment_bytes)?,
        };
        let places = Places::new(
            Arc::clone(&opened.objects),
            settings.cache_bytes,
            Arc::clone(&metadata),
            opened.segments,
        );
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                secrets,
                metadata,
                clock,
                objects: opened.objects,
                damage: Arc::default(),
                appenders: opened.appenders,
                uploads: opening.uploads,
                compressors: Arc::default(),
                buffers: opening.buffers,
                places,
                window_memory: Memory::new(window_bytes),
                frame_memory,
                free_space: opened.free_space,
                collector: tokio::sync::Mutex::default(),
                segment_bytes,
                _hold: opened.hold,
            }),
        })
    }

    /// Returns the length in bytes up to which bodies travel in the commit.
    pub fn hot_bytes_max(&self) -> usize {
        self.shared.settings.hot_bytes_max
    }

    /// Begins a content.
    pub fn ingest(&self, request: IngestRequest) -> Ingest {
        Ingest::new(Arc::clone(&self.shared), request)
    }

    /// Begins a content made of others, whose bytes are not stored again; `size_bytes` is what they
    /// have together, and `profile` how they were cut.
    pub async fn concatenate(
        &self,
        space: SpaceId,
        size_bytes: u64,
        profile: Profile,
    ) -> Result<Concatenation, ChunkError> {
        Concatenation::begin(Arc::clone(&self.shared), space, size_bytes, profile).await
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

/// What a home of packs is opened with.
struct Opening {
    metadata: Arc<MetadataStore>,
    clock: Clock,
    uploads: Arc<Uploads>,
    frame_memory: Memory,
    buffers: Arc<Buffers>,
}

impl Opening {
    /// Takes a folder for this process and brings its open segments to order.
    fn folder(
        &self,
        folder: &Path,
        (disk, segment_bytes): (Arc<dyn Disk>, u64),
        free_bytes_min: u64,
    ) -> Result<Opened, ChunkError> {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
        let owner = take_ownership(folder)?;
        let objects = Arc::new(Objects::in_folder(folder)?);
        // A database of this machine lies beside the folder.
        if self.metadata.path().is_none() {
            let place = folder.canonicalize().map_err(file_error(folder))?;
            let place = place.display().to_string();
            let checking = marker::check(&objects, marker::FOLDER_NAME, &place, &self.metadata);
            wait_for(checking)?;
        }
        recover::recover(folder, &self.metadata, &self.clock)?;
        let segments = Arc::new(Segments::new(
            folder.to_owned(),
            (Arc::clone(&disk), segment_bytes),
            Arc::clone(&self.metadata),
            self.clock.clone(),
            Arc::clone(&self.uploads),
        ));
        Ok(Opened {
            objects,
            appenders: Appenders::start(&segments).map_err(file_error(folder))?,
            segments: Some(segments),
            free_space: Some(FreeSpace {
                disk,
                folder: folder.to_owned(),
                bytes_min: free_bytes_min,
                looked_at: AtomicI64::new(i64::MIN),
                is_low: AtomicBool::new(false),
            }),
            hold: Hold::Folder(owner),
        })
    }

    /// Joins the servers that use a bucket.
    fn s3(
        &self,
        home: &PackHome,
        settings: &S3Settings,
        segment_bytes: u64,
    ) -> Result<Opened, ChunkError> {
        let runtime = S3Runtime::start()?;
        let handle = runtime.handle()?.clone();
        let store = s3::connect(settings, &handle)?;
        let cache = open_cache(settings, &store, &handle);
        let objects = Arc::new(Objects::on_s3(home, &settings.prefix, store, cache));
        let place = home.to_string();
        runtime.wait_for(marker::check(
            &objects,
            marker::S3_NAME,
            &place,
            &self.metadata,
        ))??;
        let ground = S3Ground {
            runtime: handle,
            objects: Arc::clone(&objects),
            metadata: Arc::clone(&self.metadata),
            clock: self.clock.clone(),
            uploads: Arc::clone(&self.uploads),
            frame_memory: self.frame_memory.clone(),
            buffers: Arc::clone(&self.buffers),
            segment_bytes,
        };
        Ok(Opened {
            objects,
            segments: None,
            appenders: Appenders::start_on_s3(&ground)?,
            free_space: None,
            hold: Hold::S3(runtime),
        })
    }
}

/// Opens the read cache; a server without one is slower, and nothing else.
fn open_cache(
    settings: &S3Settings,
    store: &Arc<dyn ObjectStore>,
    runtime: &Handle,
) -> Option<BlockCache> {
    if settings.cache_bytes == 0 {
        return None;
    }
    let folder = &settings.cache_folder;
    let store = Arc::clone(store);
    match BlockCache::open(folder, settings.cache_bytes, store, runtime) {
        Ok(cache) => Some(cache),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%error, %folder, "there is no read cache");
            None
        }
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
