//! The bytes, addressed by content: cut, hashed, kept as frames in append-only packs.
//!
//! [`ChunkStore`] is the door. An [`Ingest`] turns a stream of bytes into durable
//! chunks and a [`NewContent`] that a commit may name; [`ChunkStore::stream`] turns a
//! content back into bytes, each chunk verified before its first byte goes out.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use nuage_shared::chunk_id::ChunkKey;

use crate::clock::Clock;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;

/// Where packs are and how much they may use.
#[derive(Debug, Clone)]
pub struct ChunkSettings {
    /// The folder of packs.
    pub folder: PathBuf,
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
            other => Self::Database(other.to_string()),
        }
    }
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
#[derive(Debug)]
pub struct Ingested {
    /// Durable, or small enough to travel in the commit.
    pub content: NewContent,
    /// The checksum that was asked for, in lower-case hexadecimal.
    pub checksum: Option<String>,
}

/// Bytes on their way into the store; dropping it leaves only frames that nothing names.
#[derive(Debug)]
pub struct Ingest {}

impl Ingest {
    /// Takes the next bytes; waits while too many are in flight.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<(), ChunkError> {
        Err(ChunkError::Closed)
    }

    /// Returns the contents of the space whose frames this one names so far.
    pub fn sources(&self) -> Vec<ContentRef> {
        Vec::new()
    }

    /// Makes every byte durable (or keeps a small content for the commit) and names the whole.
    pub async fn finish(self) -> Result<Ingested, ChunkError> {
        Err(ChunkError::Closed)
    }
}

/// The door to bytes; one process at a time may open a folder.
#[derive(Debug)]
pub struct ChunkStore {}

impl ChunkStore {
    /// Takes the folder for this process and brings open segments to order after a crash. Blocks.
    pub fn open(
        _settings: ChunkSettings,
        _secrets: ChunkSecrets,
        _metadata: Arc<MetadataStore>,
        _clock: Clock,
    ) -> Result<Self, ChunkError> {
        Ok(Self {})
    }

    /// Begins a content.
    pub fn ingest(&self, _request: IngestRequest) -> Ingest {
        Ingest {}
    }

    /// Streams bytes of a content; each chunk is verified before its first byte goes out.
    pub fn stream(
        self: &Arc<Self>,
        _content: Content,
        _range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ChunkError>> + Send + 'static + use<> {
        futures_util::stream::once(async { Err(ChunkError::Closed) })
    }

    /// Ends the appenders after what is queued. Blocks.
    pub fn close(&self) {}
}

/// Returns where a pack's file is, relative to the folder of packs: `aa/<uuid>.pack`.
pub fn pack_location(uuid: &[u8; 16]) -> PathBuf {
    let name = hex::encode(uuid);
    let shelf = name.get(..2).unwrap_or_default();
    PathBuf::from(format!("{shelf}/{name}.pack"))
}
