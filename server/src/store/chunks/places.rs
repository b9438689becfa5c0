//! Where frames are now, and their bytes.
//!
//! A place in a map is logical. [`Places`] leads it to the pack that holds the
//! frame today, reads complete packs through [`Objects`] and open segments of a folder
//! through their own file, and proves each chunk before anybody gets it. It remembers
//! where packs went, decoded leaves and small chunks, within one budget of bytes,
//! and which frames were proven during the last day.

use std::collections::HashSet;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use moka::sync::Cache;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::frame::FRAME_BYTES_MAX;
use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::FrameHeader;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::Shared;
use crate::store::chunks::compress::decompress;
use crate::store::chunks::ingest::leaf_chunks;
use crate::store::chunks::objects::ObjectFault;
use crate::store::chunks::objects::Objects;
use crate::store::chunks::segment::Segment;
use crate::store::chunks::segment::Segments;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::packs::FindPack;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::redirections::Redirections;

/// Frames that are remembered as proven, in each half of the day.
const PROVEN_MAX: usize = 100_000;
/// A frame proven longer ago than twice this is proven again, in seconds.
const PROVEN_HALF_SECONDS: i64 = 12 * 3_600;
/// Packs whose whereabouts are remembered.
const PACKS_MAX: u64 = 10_000;
/// Work from which a blocking thread is worth its hand-over, in bytes.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// A stored chunk as its map or row describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// `None`: the row does not say; the frame's own header does, and the caller proves it.
    pub(super) id: Option<ChunkId>,
    pub(super) plain_bytes: u32,
    pub(super) place: Place,
}

impl From<&ChunkRef> for Expected {
    fn from(chunk: &ChunkRef) -> Self {
        Self {
            id: Some(chunk.id),
            plain_bytes: chunk.plain_bytes,
            place: chunk.place,
        }
    }
}

impl Expected {
    fn frame_bytes(&self) -> u64 {
        FRAME_OVERHEAD_BYTES as u64 + u64::from(self.place.stored_bytes)
    }
}

/// A chunk's bytes, proven to be what its name says.
#[derive(Debug, Clone)]
pub(super) struct ProvenChunk {
    pub(super) id: ChunkId,
    pub(super) plain: Bytes,
}

/// What has become of a pack.
#[derive(Debug, Clone)]
enum Whereabouts {
    Sealed([u8; 16]),
    Moved(Arc<Redirections>),
}

/// The reader of frames.
#[derive(Debug)]
pub(super) struct Places {
    objects: Arc<Objects>,
    metadata: Arc<MetadataStore>,
    segments: Option<Arc<Segments>>,
    packs: Cache<PackId, Whereabouts>,
    leaves: Cache<Place, Arc<Vec<ChunkRef>>>,
    chunks: Cache<Place, ProvenChunk>,
    proven: Proven,
}

/// Why a frame could not be read where it was thought to be.
enum ReadFault {
    /// Its file is not there: it may have moved meanwhile.
    Gone,
    Error(ChunkError),
}

impl From<ChunkError> for ReadFault {
    fn from(error: ChunkError) -> Self {
        Self::Error(error)
    }
}

/// A frame and where it physically is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) expected: Expected,
    pub(super) pack: PackId,
    pub(super) offset: u64,
}

impl Located {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.expected.frame_bytes())
    }

    /// Returns whether `next` lies right behind, in the same file.
    pub(super) fn is_followed_by(&self, next: &Self) -> bool {
        self.pack == next.pack && self.end() == next.offset
    }
}

impl Places {
    pub(super) fn new(
        objects: Arc<Objects>,
        cache_bytes: u64,
        metadata: Arc<MetadataStore>,
        segments: Option<Arc<Segments>>,
    ) -> Self {
        let leaf_weight = |_: &Place, leaf: &Arc<Vec<ChunkRef>>| {
            u32::try_from(leaf.len() * size_of::<ChunkRef>()).unwrap_or(u32::MAX)
        };
        let chunk_weight = |_: &Place, chunk: &ProvenChunk| {
            u32::try_from(chunk.plain.len() + 128).unwrap_or(u32::MAX)
        };
        Self {
            objects,
            metadata,
            segments,
            packs: Cache::new(PACKS_MAX),
            leaves: Cache::builder()
                .max_capacity(cache_bytes / 4)
                .weigher(leaf_weight)
                .build(),
            chunks: Cache::builder()
                .max_capacity(cache_bytes / 4 * 3)
                .weigher(chunk_weight)
                .build(),
            proven: Proven::default(),
        }
    }

    /// Returns a segment of this process that can be read only as long as it is one.
    pub(super) fn find_segment(&self, pack: PackId) -> Option<Arc<Segment>> {
        self.segments.as_ref()?.find(pack)
    }

    /// Returns where a frame physically is.
    pub(super) async fn locate(&self, expected: Expected) -> Result<Located, ChunkError> {
        let Place { pack, offset, .. } = expected.place;
        if self.find_segment(pack).is_some() {
            return Ok(Located {
                expected,
                pack,
                offset,
            });
        }
        let (pack, offset) = match self.whereabouts(pack).await? {
            Whereabouts::Sealed(_) => (pack, offset),
            Whereabouts::Moved(moved) => moved.resolve(offset).ok_or_else(|| {
                ChunkError::Damaged(format!("no frame at {offset} of pack {} moved", pack.0))
            })?,
        };
        Ok(Located {
            expected,
            pack,
            offset,
        })
    }

    async fn whereabouts(&self, pack: PackId) -> Result<Whereabouts, ChunkError> {
        if let Some(known) = self.packs.get(&pack) {
            return Ok(known);
        }
        let (row, moved) = self
            .metadata
            .read(FindPack(pack))
            .await?
            .ok_or_else(|| ChunkError::Damaged(format!("pack {} is unknown", pack.0)))?;
        let found = if let Some(moved) = moved {
            Whereabouts::Moved(Arc::new(moved))
        } else {
            Whereabouts::Sealed(row.uuid)
        };
        // A pack that another process has not noted as sealed yet may yet change its state.
        if row.state != PackState::Open {
            self.packs.insert(pack, found.clone());
        }
        Ok(found)
    }

    /// Forgets where a pack was thought to be.
    pub(super) fn forget(&self, pack: PackId) {
        self.packs.invalidate(&pack);
    }

    /// Reads bytes of a pack's file.
    async fn fetch(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, ReadFault> {
        if let Some(segment) = self.find_segment(pack) {
            return Ok(read_segment(segment, range).await?);
        }
        let Whereabouts::Sealed(uuid) = self.whereabouts(pack).await? else {
            return Err(ReadFault::Gone);
        };
        match self.objects.read(&uuid, range).await {
            Ok(bytes) => Ok(bytes),
            Err(ObjectFault::Missing) => Err(ReadFault::Gone),
            Err(ObjectFault::Failed(error)) => Err(error.into()),
        }
    }

    /// Reads frames that lie back to back in one file, and proves their chunks.
    ///
    /// If the file is gone, each frame is looked for once more where it is now.
    pub(super) async fn read_run(
        &self,
        shared: &Arc<Shared>,
        run: Vec<Located>,
    ) -> Result<Vec<ProvenChunk>, ChunkError> {
        let fault = match self.try_run(shared, &run).await {
            Ok(chunks) => return Ok(chunks),
            Err(ReadFault::Error(error)) => return Err(error),
            Err(ReadFault::Gone) => run,
        };
        let mut chunks = Vec::with_capacity(fault.len());
        for frame in fault {
            self.forget(frame.expected.place.pack);
            self.forget(frame.pack);
            let now = self.locate(frame.expected).await?;
            match self.try_run(shared, &[now]).await {
                Ok(found) => chunks.extend(found),
                Err(ReadFault::Error(error)) => return Err(error),
                Err(ReadFault::Gone) => {
                    let pack = now.pack.0;
                    shared.damage.note(&frame.expected.place);
                    return Err(ChunkError::Damaged(format!(
                        "the file of pack {pack} is gone"
                    )));
                }
            }
        }
        Ok(chunks)
    }

    async fn try_run(
        &self,
        shared: &Arc<Shared>,
        run: &[Located],
    ) -> Result<Vec<ProvenChunk>, ReadFault> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(Vec::new());
        };
        let fetched = self.fetch(first.pack, first.offset..last.end()).await;
        if let Err(ReadFault::Error(ChunkError::File { .. })) = &fetched {
            // A dying disk or a file that was cut: whichever frame it was, none is trusted.
            for frame in run {
                shared.damage.note(&frame.expected.place);
            }
        }
        let bytes = fetched?;
        let now = shared.clock.now();
        let frames: Vec<(Located, bool)> = run
            .iter()
            .map(|frame| (*frame, self.proven.holds(frame, now)))
            .collect();
        let is_compressed =
            |frame: &Located| frame.expected.plain_bytes != frame.expected.place.stored_bytes;
        let work: usize = frames
            .iter()
            .filter(|(frame, is_proven)| !is_proven || is_compressed(frame))
            .map(|(frame, _)| frame.expected.plain_bytes as usize)
            .sum();
        let chunks = if work <= INLINE_BYTES_MAX {
            prove_run(shared, &bytes, &frames)?
        } else {
            let shared = Arc::clone(shared);
            tokio::task::spawn_blocking(move || prove_run(&shared, &bytes, &frames))
                .await
                .map_err(|_gone| ChunkError::Closed)??
        };
        for frame in run {
            self.proven.note(frame, now);
        }
        Ok(chunks)
    }

    /// Returns the chunks of a leaf.
    pub(super) async fn leaf(
        &self,
        shared: &Arc<Shared>,
        leaf: &LeafRef,
    ) -> Result<Arc<Vec<ChunkRef>>, ChunkError> {
        if let Some(known) = self.leaves.get(&leaf.place) {
            return Ok(known);
        }
        // Leaves are stored as they are, so their length is the frame's.
        let expected = Expected {
            id: Some(leaf.leaf_id),
            plain_bytes: leaf.place.stored_bytes,
            place: leaf.place,
        };
        let run = vec![self.locate(expected).await?];
        let found = self.read_run(shared, run).await?.pop();
        let bytes = found.map(|chunk| chunk.plain).unwrap_or_default();
        let chunks = Arc::new(leaf_chunks(&bytes, leaf)?);
        self.leaves.insert(leaf.place, Arc::clone(&chunks));
        Ok(chunks)
    }

    /// Returns a chunk that was read lately.
    pub(super) fn cached(&self, place: &Place) -> Option<ProvenChunk> {
        self.chunks.get(place)
    }

    /// Keeps a chunk for the next reader.
    pub(super) fn keep(&self, place: Place, chunk: ProvenChunk) {
        self.chunks.insert(place, chunk);
    }
}

async fn read_segment(segment: Arc<Segment>, range: Range<u64>) -> Result<Bytes, ChunkError> {
    let read = move || {
        let Some(file) = &segment.file else {
            return Err(ChunkError::Closed);
        };
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        match file.reader.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(source) => Err(ChunkError::File {
                path: file.path.display().to_string(),
                source,
            }),
        }
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_gone| ChunkError::Closed)?
}

fn prove_run(
    shared: &Shared,
    bytes: &Bytes,
    frames: &[(Located, bool)],
) -> Result<Vec<ProvenChunk>, ChunkError> {
    let start = frames.first().map_or(0, |(frame, _)| frame.offset);
    let mut chunks = Vec::with_capacity(frames.len());
    for (frame, is_proven) in frames {
        let from = usize::try_from(frame.offset - start).unwrap_or(usize::MAX);
        let until = usize::try_from(frame.end() - start).unwrap_or(usize::MAX);
        let damaged = |what: &str| {
            let (pack, offset) = (frame.pack.0, frame.offset);
            shared.damage.note(&frame.expected.place);
            ChunkError::Damaged(format!("frame at {offset} of pack {pack}: {what}"))
        };
        if until > bytes.len() || from > until {
            return Err(damaged("the pack ends too early"));
        }
        let frame_bytes = bytes.slice(from..until);
        let header =
            FrameHeader::decode(&frame_bytes).map_err(|fault| damaged(&fault.to_string()))?;
        let expected = &frame.expected;
        if header.stored_bytes != expected.place.stored_bytes
            || header.plain_bytes != expected.plain_bytes
            || expected.id.is_some_and(|id| id != header.id)
        {
            return Err(damaged("it is not the frame that the map names"));
        }
        let payload = frame_bytes.slice(FRAME_HEADER_BYTES..frame_bytes.len() - 4);
        let plain = unpack(&header, payload).ok_or_else(|| damaged("it cannot be unpacked"))?;
        if !is_proven && shared.secrets.key.chunk_id(&plain) != header.id {
            return Err(damaged("its bytes are not those of its name"));
        }
        chunks.push(ProvenChunk {
            id: header.id,
            plain,
        });
    }
    Ok(chunks)
}

/// Returns the chunk of a payload; its length is bounded before it is decompressed.
pub(super) fn unpack(header: &FrameHeader, payload: Bytes) -> Option<Bytes> {
    if header.plain_bytes > FRAME_BYTES_MAX {
        return None;
    }
    if header.is_compressed() {
        decompress(&payload, header.plain_bytes as usize).map(Bytes::from)
    } else {
        Some(payload)
    }
}

/// Frames that were hashed during the last day, by where they physically are.
#[derive(Debug, Default)]
struct Proven {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    began: i64,
    new: HashSet<(PackId, u64)>,
    old: HashSet<(PackId, u64)>,
}

impl Proven {
    fn holds(&self, frame: &Located, now: Timestamp) -> bool {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(now);
        let key = (frame.pack, frame.offset);
        halves.new.contains(&key) || halves.old.contains(&key)
    }

    fn note(&self, frame: &Located, now: Timestamp) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (frame.pack, frame.offset);
        if halves.old.contains(&key) {
            return;
        }
        if halves.new.len() >= PROVEN_MAX {
            halves.rotate(now);
        }
        halves.new.insert(key);
    }
}

impl Halves {
    fn turn(&mut self, now: Timestamp) {
        let age = now.seconds().saturating_sub(self.began);
        if !(0..2 * PROVEN_HALF_SECONDS).contains(&age) {
            self.new.clear();
            self.old.clear();
            self.began = now.seconds();
        } else if age >= PROVEN_HALF_SECONDS {
            self.rotate(now);
        }
    }

    fn rotate(&mut self, now: Timestamp) {
        self.old = std::mem::take(&mut self.new);
        self.began = now.seconds();
    }
}
