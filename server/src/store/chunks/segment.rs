//! Open segments: pack files while frames are appended to them.
//!
//! [`Segments`] makes them (number and row first, then the file, then its name
//! made durable), keeps those that are not sealed yet within reach of readers,
//! and seals them with a footer.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use nuage_shared::frame::Footer;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;
use nuage_shared::manifest::PackId;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::store::chunks::ChunkError;
use crate::store::chunks::disk::Disk;
use crate::store::chunks::disk::SegmentFile;
use crate::store::chunks::disk::is_full;
use crate::store::chunks::pack_location;
use crate::store::chunks::uploads::Uploads;
use crate::store::chunks::wait::wait_for;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::packs::DropPack;
use crate::store::metadata::packs::OpenPack;
use crate::store::metadata::packs::SealPack;

/// A pack that is not sealed yet, as writers' and readers' threads share it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) pack: PackId,
    /// Where its bytes are until it is sealed; `None`: nowhere that could be read.
    pub(super) file: Option<SegmentBytes>,
    durable_bytes: AtomicU64,
    fault: OnceLock<AppendFault>,
    settled: Notify,
}

/// The file of a segment.
#[derive(Debug)]
pub(super) struct SegmentBytes {
    pub(super) path: PathBuf,
    pub(super) reader: Arc<File>,
}

impl Segment {
    /// Begins a segment of which the first bytes are durable.
    pub(super) fn new(pack: PackId, file: Option<SegmentBytes>, durable_bytes: u64) -> Self {
        Self {
            pack,
            file,
            durable_bytes: AtomicU64::new(durable_bytes),
            fault: OnceLock::new(),
            settled: Notify::new(),
        }
    }

    /// Waits until the first `end` bytes are durable, or never will be.
    pub(super) async fn settle(&self, end: u64) -> Result<(), AppendFault> {
        loop {
            let mut change = pin!(self.settled.notified());
            change.as_mut().enable();
            if self.is_durable(end) {
                return Ok(());
            }
            if let Some(fault) = self.fault() {
                return Err(fault.clone());
            }
            change.await;
        }
    }

    /// Returns whether its first `end` bytes survive a power cut.
    pub(super) fn is_durable(&self, end: u64) -> bool {
        self.durable_bytes.load(Ordering::Acquire) >= end
    }

    /// Returns up to where it survives a power cut.
    pub(super) fn durable_bytes(&self) -> u64 {
        self.durable_bytes.load(Ordering::Acquire)
    }

    pub(super) fn note_durable(&self, end: u64) {
        self.durable_bytes.fetch_max(end, Ordering::AcqRel);
        self.settled.notify_waiters();
    }

    /// Returns why a write or sync failed; nothing further becomes durable then.
    pub(super) fn fault(&self) -> Option<&AppendFault> {
        self.fault.get()
    }

    pub(super) fn note_failed(&self, fault: AppendFault) {
        // The first fault is the cause.
        drop(self.fault.set(fault));
        self.settled.notify_waiters();
    }
}

/// A segment in the hands of the thread that appends to it.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) shared: Arc<Segment>,
    pub(super) file: Box<dyn SegmentFile>,
    pub(super) entries: Vec<FooterEntry>,
    /// Where the next frame begins.
    pub(super) end: u64,
}

impl OpenSegment {
    /// Returns the path of its file.
    pub(super) fn path(&self) -> &Path {
        let file = self.shared.file.as_ref();
        file.map_or(Path::new(""), |file| &file.path)
    }
}

/// Why something could not be appended; each of those who wait gets a copy.
#[derive(Debug, Clone)]
pub(super) enum AppendFault {
    /// The disk is full, or too full for uploads.
    DiskFull,
    /// The file could not be written or synced.
    File {
        path: String,
        kind: io::ErrorKind,
        text: String,
    },
    /// The row of a new pack could not be written.
    Metadata(String),
    /// The S3 store or the database cannot be reached now.
    Unavailable(String),
    /// The store is stopping.
    Closed,
}

impl AppendFault {
    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        if is_full(error) {
            Self::DiskFull
        } else {
            Self::File {
                path: path.display().to_string(),
                kind: error.kind(),
                text: error.to_string(),
            }
        }
    }
}

impl From<StoreError> for AppendFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::Closed => Self::Closed,
            StoreError::Unavailable(what) => Self::Unavailable(what),
            other => Self::Metadata(other.to_string()),
        }
    }
}

impl From<AppendFault> for ChunkError {
    fn from(fault: AppendFault) -> Self {
        match fault {
            AppendFault::DiskFull => Self::DiskFull,
            AppendFault::File { path, kind, text } => Self::File {
                path,
                source: io::Error::new(kind, text),
            },
            AppendFault::Metadata(text) => Self::Store(StoreError::Database(text)),
            AppendFault::Unavailable(what) => Self::Unavailable(what),
            AppendFault::Closed => Self::Closed,
        }
    }
}

/// The maker and keeper of segments.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) folder: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    /// The length from which a segment is sealed.
    pub(super) segment_bytes: u64,
    metadata: Arc<MetadataStore>,
    clock: Clock,
    uploads: Arc<Uploads>,
    open: Mutex<HashMap<PackId, Arc<Segment>>>,
}

impl Segments {
    pub(super) fn new(
        folder: PathBuf,
        (disk, segment_bytes): (Arc<dyn Disk>, u64),
        metadata: Arc<MetadataStore>,
        clock: Clock,
        uploads: Arc<Uploads>,
    ) -> Self {
        Self {
            folder,
            disk,
            segment_bytes,
            metadata,
            clock,
            uploads,
            open: Mutex::default(),
        }
    }

    /// Returns a segment that readers cannot find as a sealed pack yet.
    pub(super) fn find(&self, pack: PackId) -> Option<Arc<Segment>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&pack).cloned()
    }

    /// Makes a segment whose name survives a power cut. Blocks.
    pub(super) fn create(&self) -> Result<OpenSegment, AppendFault> {
        let uuid: [u8; 16] = rand::random();
        let at = self.clock.now();
        let pack = wait_for(self.metadata.write(OpenPack { uuid, at }))?;
        let path = self.folder.join(pack_location(&uuid));
        let made = self.create_file(pack, uuid, &path);
        let (file, reader) = made.map_err(|error| {
            drop(self.metadata.write_in_background(DropPack(pack)));
            AppendFault::from_io(&path, &error)
        })?;
        let file_bytes = SegmentBytes { path, reader };
        let header_bytes = PACK_HEADER_BYTES as u64;
        let shared = Arc::new(Segment::new(pack, Some(file_bytes), header_bytes));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(pack, Arc::clone(&shared));
        Ok(OpenSegment {
            shared,
            file,
            entries: Vec::new(),
            end: PACK_HEADER_BYTES as u64,
        })
    }

    fn create_file(
        &self,
        pack: PackId,
        uuid: [u8; 16],
        path: &Path,
    ) -> io::Result<(Box<dyn SegmentFile>, Arc<File>)> {
        let folder = path.parent().unwrap_or(path);
        match std::fs::create_dir(folder) {
            Ok(()) => self.disk.sync_folder(&self.folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let (mut file, reader) = self.disk.create(path)?;
        let header = PackHeader {
            uuid,
            pack,
            flags: 0,
        };
        file.append(&mut [IoSlice::new(&header.encode())])?;
        file.sync()?;
        self.disk.sync_folder(folder)?;
        Ok((file, reader))
    }

    /// Ends a segment with its footer; one without a frame is deleted. Blocks.
    ///
    /// A segment that cannot be sealed stays as it is, for the next start to mend.
    pub(super) fn seal(&self, mut segment: OpenSegment) {
        let pack = segment.shared.pack;
        self.uploads.note_sealed(pack);
        if segment.entries.is_empty() {
            self.discard(&segment);
            return;
        }
        let entries = std::mem::take(&mut segment.entries);
        let footer = Footer { entries }.encode();
        let written = segment
            .file
            .append(&mut [IoSlice::new(&footer)])
            .and_then(|()| segment.file.sync());
        if let Err(error) = written {
            tracing::error!(%error, pack = pack.0, "a pack could not be sealed");
            let fault = AppendFault::from_io(segment.path(), &error);
            segment.shared.note_failed(fault);
            return;
        }
        segment.shared.note_durable(segment.end);
        let sealing = SealPack {
            pack,
            size_bytes: segment.end + footer.len() as u64,
            at: self.clock.now(),
        };
        match wait_for(self.metadata.write(sealing)) {
            Ok(()) => self.release(pack),
            Err(error) => {
                tracing::error!(%error, pack = pack.0, "a sealed pack could not be noted");
            }
        }
    }

    fn discard(&self, segment: &OpenSegment) {
        self.release(segment.shared.pack);
        let dropped = wait_for(self.metadata.write(DropPack(segment.shared.pack)));
        if matches!(dropped, Ok(true))
            && let Err(error) = std::fs::remove_file(segment.path())
        {
            tracing::warn!(%error, pack = segment.shared.pack.0, "an empty segment stays");
        }
    }

    fn release(&self, pack: PackId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&pack);
    }
}
