//! A content back into bytes.
//!
//! The content's chunks that a range needs are located, gathered into runs that
//! lie back to back in one file, and read a few runs ahead of the receiver. Every
//! chunk is proven before its first byte goes out. A stream that meets damage
//! ends with an error; it never pads and never skips.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::TryStreamExt;
use futures_util::stream;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::chunk_id::ContentId;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::Map;

use crate::store::chunks::ChunkError;
use crate::store::chunks::Shared;
use crate::store::chunks::places::Expected;
use crate::store::chunks::places::Located;
use crate::store::chunks::places::ProvenChunk;
use crate::store::metadata::contents::FindContentById;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;

/// Plain bytes of one run.
const RUN_BYTES_MAX: u64 = 1 << 20;
/// Chunks up to this length are kept for the next reader.
const KEPT_CHUNK_BYTES_MAX: u32 = 256 << 10;
/// Contents up to this length are kept chunk by chunk; longer ones would only push others out.
const KEPT_CONTENT_BYTES_MAX: u64 = 4 << 20;

/// Streams a range of a content.
pub(super) fn stream(
    shared: Arc<Shared>,
    content: Content,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, ChunkError>> + Send + 'static {
    // What comes over a network is in memory twice on its way.
    let ahead = match content.profile {
        Profile::S | Profile::M if !shared.objects.are_shared() => 3,
        Profile::S | Profile::M | Profile::L => 2,
    };
    let keeps = content.size_bytes <= KEPT_CONTENT_BYTES_MAX
        || range.end.saturating_sub(range.start) <= RUN_BYTES_MAX;
    let reader = Arc::clone(&shared);
    let plan = Plan {
        shared,
        state: State::Begin(content),
        range,
        position: 0,
        left_over: None,
    };
    stream::try_unfold(plan, |mut plan| async move {
        let run = plan.next_run().await?;
        Ok(run.map(|run| (run, plan)))
    })
    .map_ok(move |run| run.read(Arc::clone(&reader), keeps))
    .try_buffered(ahead)
    .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
    .try_flatten()
}

/// A chunk to read, and which of its bytes are wanted.
#[derive(Debug)]
struct Wanted {
    frame: Located,
    part: Range<usize>,
}

/// Chunks that are read together.
#[derive(Debug)]
enum Run {
    /// Bytes that are at hand.
    Bytes(Bytes),
    /// Frames that lie back to back in one file.
    Frames(Vec<Wanted>),
    /// The frame of a content of one chunk, which that content's name proves.
    Single(Wanted, ContentId),
}

impl Run {
    async fn read(self, shared: Arc<Shared>, keeps: bool) -> Result<Vec<Bytes>, ChunkError> {
        let (wanted, hash) = match self {
            Self::Bytes(bytes) => return Ok(vec![bytes]),
            Self::Frames(wanted) => (wanted, None),
            Self::Single(only, hash) => (vec![only], Some(hash)),
        };
        let frames = wanted.iter().map(|wanted| wanted.frame).collect();
        let chunks = read_frames(&shared, frames, keeps).await?;
        if let (Some(hash), [only]) = (hash, chunks.as_slice()) {
            prove_single(only, &hash, &shared.secrets.key)?;
        }
        let parts = chunks.into_iter().zip(wanted);
        Ok(parts
            .map(|(chunk, wanted)| chunk.plain.slice(wanted.part))
            .collect())
    }
}

/// Reads frames that lie back to back, from memory where that has them all.
async fn read_frames(
    shared: &Arc<Shared>,
    frames: Vec<Located>,
    keeps: bool,
) -> Result<Vec<ProvenChunk>, ChunkError> {
    if !keeps {
        return shared.places.read_run(shared, frames).await;
    }
    let cached: Option<Vec<ProvenChunk>> = frames
        .iter()
        .map(|frame| shared.places.cached(&frame.expected.place))
        .collect();
    if let Some(chunks) = cached {
        return Ok(chunks);
    }
    let expected: Vec<Expected> = frames.iter().map(|frame| frame.expected).collect();
    let chunks = shared.places.read_run(shared, frames).await?;
    for (frame, chunk) in expected.iter().zip(&chunks) {
        if frame.plain_bytes <= KEPT_CHUNK_BYTES_MAX {
            // A slice of a longer read would keep all of it in memory.
            let chunk = ProvenChunk {
                id: chunk.id,
                plain: Bytes::copy_from_slice(&chunk.plain),
            };
            shared.places.keep(frame.place, chunk);
        }
    }
    Ok(chunks)
}

fn prove_single(chunk: &ProvenChunk, hash: &ContentId, key: &ChunkKey) -> Result<(), ChunkError> {
    let mut hasher = key.content_hasher();
    let length = u32::try_from(chunk.plain.len()).unwrap_or(u32::MAX);
    hasher.push(chunk.id, length);
    if hasher.finish() == *hash {
        Ok(())
    } else {
        Err(ChunkError::Damaged(format!(
            "content {hash}: its frame is of another content"
        )))
    }
}

/// Which runs come next.
#[derive(Debug)]
struct Plan {
    shared: Arc<Shared>,
    state: State,
    range: Range<u64>,
    /// Where in the content the next chunk begins.
    position: u64,
    /// A chunk that did not fit the run before.
    left_over: Option<Wanted>,
}

/// What of the content is still to come.
#[derive(Debug)]
enum State {
    Begin(Content),
    Chunks(VecDeque<ChunkRef>),
    Leaves(VecDeque<LeafRef>, VecDeque<ChunkRef>),
    End,
}

/// A position in bytes that are in memory.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl Plan {
    async fn next_run(&mut self) -> Result<Option<Run>, ChunkError> {
        if let State::Begin(_) = self.state
            && let Some(run) = self.begin().await?
        {
            return Ok(Some(run));
        }
        let mut run: Vec<Wanted> = Vec::new();
        let mut run_bytes = 0;
        while run_bytes < RUN_BYTES_MAX {
            let Some(next) = self.next_wanted().await? else {
                break;
            };
            let follows = run
                .last()
                .is_none_or(|last| last.frame.is_followed_by(&next.frame));
            let bytes = u64::from(next.frame.expected.plain_bytes);
            if !follows || (!run.is_empty() && run_bytes + bytes > RUN_BYTES_MAX) {
                self.left_over = Some(next);
                break;
            }
            run_bytes += bytes;
            run.push(next);
        }
        Ok((!run.is_empty()).then_some(Run::Frames(run)))
    }

    /// Looks where the content's bytes are; returns a run if that is all of it.
    async fn begin(&mut self) -> Result<Option<Run>, ChunkError> {
        let State::Begin(mut content) = std::mem::replace(&mut self.state, State::End) else {
            return Ok(None);
        };
        if let ContentBody::Hot(bytes) = &content.body
            && bytes.len() as u64 != content.size_bytes
        {
            // The packer took the bytes between two reads.
            let again = FindContentById(content.id);
            content =
                self.shared.metadata.read(again).await?.ok_or_else(|| {
                    ChunkError::Damaged(format!("content {} is gone", content.id.0))
                })?;
        }
        let lost = || ChunkError::Damaged(format!("content {} has lost bytes", content.id.0));
        if self.range.end > content.size_bytes || self.range.start > self.range.end {
            return Err(lost());
        }
        if self.range.is_empty() {
            return Ok(None);
        }
        let part = index(self.range.start)..index(self.range.end);
        match &content.body {
            ContentBody::Hot(bytes) if part.end <= bytes.len() => {
                Ok(Some(Run::Bytes(bytes.slice(part))))
            }
            ContentBody::Hot(_) => Err(lost()),
            ContentBody::One(place) => {
                let expected = Expected {
                    id: None,
                    plain_bytes: u32::try_from(content.size_bytes).map_err(|_cause| lost())?,
                    place: *place,
                };
                let frame = self.shared.places.locate(expected).await?;
                Ok(Some(Run::Single(Wanted { frame, part }, content.hash)))
            }
            ContentBody::Map(bytes) => {
                let map = Map::decode(bytes).map_err(|fault| {
                    ChunkError::Damaged(format!("map of content {}: {fault}", content.id.0))
                })?;
                self.state = match map {
                    Map::Leaf(chunks) => State::Chunks(chunks.into()),
                    Map::Tree(leaves) => State::Leaves(leaves.into(), VecDeque::new()),
                };
                Ok(None)
            }
        }
    }

    /// Returns the next chunk that the range touches, and where it is.
    async fn next_wanted(&mut self) -> Result<Option<Wanted>, ChunkError> {
        if let Some(wanted) = self.left_over.take() {
            return Ok(Some(wanted));
        }
        if self.position >= self.range.end {
            self.state = State::End;
            return Ok(None);
        }
        while let Some(chunk) = self.next_chunk().await? {
            let begin = self.position;
            self.position += u64::from(chunk.plain_bytes);
            if self.position <= self.range.start {
                continue;
            }
            let from = self.range.start.saturating_sub(begin);
            let until = self.range.end.min(self.position) - begin;
            let frame = self.shared.places.locate(Expected::from(&chunk)).await?;
            let part = index(from)..index(until);
            return Ok(Some(Wanted { frame, part }));
        }
        match self.state {
            // Nothing was asked for beyond what a run at hand held.
            State::End => Ok(None),
            State::Begin(_) | State::Chunks(_) | State::Leaves(..) => Err(ChunkError::Damaged(
                "a map ends before its content does".to_owned(),
            )),
        }
    }

    /// Returns the next chunk of the map; skips leaves that the range does not touch.
    async fn next_chunk(&mut self) -> Result<Option<ChunkRef>, ChunkError> {
        loop {
            let leaf = match &mut self.state {
                State::Begin(_) | State::End => return Ok(None),
                State::Chunks(chunks) => return Ok(chunks.pop_front()),
                State::Leaves(leaves, chunks) => {
                    if let Some(chunk) = chunks.pop_front() {
                        return Ok(Some(chunk));
                    }
                    let Some(leaf) = leaves.pop_front() else {
                        return Ok(None);
                    };
                    leaf
                }
            };
            if self.position + leaf.plain_bytes <= self.range.start {
                self.position += leaf.plain_bytes;
                continue;
            }
            let loaded = self.shared.places.leaf(&self.shared, &leaf).await?;
            if let State::Leaves(_, chunks) = &mut self.state {
                chunks.extend(loaded.iter().copied());
            }
        }
    }
}
