//! A content made of others, whose bytes stay where they are.
//!
//! A new map names the chunks of the parts in order; its cost follows their number, not their
//! bytes. Parts whose bytes are still in the database have no frames that a map could name:
//! neighbours among them are gathered into chunks. A whole that is small is cut anew.
//!
//! # Always true
//!
//! * The map names frames of the parts, so these must be kept until the content is named, in the
//!   transaction that lets go of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunk_id::ContentHasher;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::Map;

use crate::store::chunks::Checksums;
use crate::store::chunks::ChunkError;
use crate::store::chunks::DedupScope;
use crate::store::chunks::Ingest;
use crate::store::chunks::IngestRequest;
use crate::store::chunks::Ingested;
use crate::store::chunks::Shared;
use crate::store::chunks::appender::NewFrame;
use crate::store::chunks::appender::Until;
use crate::store::chunks::cutter::Piece;
use crate::store::chunks::ingest::Stored;
use crate::store::chunks::known::KnownChunk;
use crate::store::chunks::read;
use crate::store::chunks::uploads::UploadMark;
use crate::store::metadata::contents::FindContentById;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::SpaceId;

/// A whole up to this length is cut anew.
const CUT_ANEW_BYTES_MAX: u64 = 1 << 20;
/// Chunks that go to the map together.
const BATCH_CHUNKS: usize = 256;

/// A content that grows by whole contents; dropping it leaves only frames that nothing names.
#[derive(Debug)]
pub struct Concatenation(Way);

#[derive(Debug)]
enum Way {
    CutAnew(Arc<Shared>, Box<Ingest>),
    Named(Box<Named>),
}

/// Chunks on their way into a new map.
#[derive(Debug)]
struct Named {
    shared: Arc<Shared>,
    stored: Box<Stored>,
    mark: UploadMark,
    hasher: ContentHasher,
    profile: Profile,
    pieces: Vec<Piece>,
    /// Bytes of small parts that will be the next chunk.
    gathered: Vec<u8>,
}

impl Concatenation {
    pub(super) async fn begin(
        shared: Arc<Shared>,
        space: SpaceId,
        size_bytes: u64,
        profile: Profile,
    ) -> Result<Self, ChunkError> {
        if size_bytes <= CUT_ANEW_BYTES_MAX {
            let request = IngestRequest {
                space,
                dedup: DedupScope::Space,
                declared_bytes: Some(size_bytes),
                replaced: None,
                profile: Some(profile),
                checksums: Checksums::default(),
            };
            let ingest = Box::new(Ingest::new(Arc::clone(&shared), request));
            return Ok(Self(Way::CutAnew(shared, ingest)));
        }
        shared.require_space()?;
        Ok(Self(Way::Named(Box::new(Named {
            mark: shared.uploads.begin(),
            stored: Box::new(Stored::of_chunks(&shared, space, profile).await?),
            hasher: shared.secrets.key.content_hasher(),
            shared,
            profile,
            pieces: Vec::new(),
            gathered: Vec::new(),
        }))))
    }

    /// Adds a content; `chunk` is the id of its chunk, where that is one.
    pub async fn push(
        &mut self,
        content: &Content,
        chunk: Option<ChunkId>,
    ) -> Result<(), ChunkError> {
        match &mut self.0 {
            Way::CutAnew(shared, ingest) => {
                let whole = 0..content.size_bytes;
                let stream = read::stream(Arc::clone(shared), content.clone(), whole);
                let mut stream = std::pin::pin!(stream);
                while let Some(bytes) = stream.next().await {
                    ingest.write(bytes?).await?;
                }
                Ok(())
            }
            Way::Named(named) => named.push(content, chunk).await,
        }
    }

    /// Makes what was made durable and names the whole.
    pub async fn finish(self) -> Result<Ingested, ChunkError> {
        match self.0 {
            Way::CutAnew(_, ingest) => ingest.finish().await,
            Way::Named(named) => named.finish().await,
        }
    }
}

impl Named {
    async fn push(&mut self, content: &Content, chunk: Option<ChunkId>) -> Result<(), ChunkError> {
        if let ContentBody::Hot(bytes) = &content.body {
            if bytes.len() as u64 == content.size_bytes {
                return self.gather(bytes).await;
            }
            // The packer took the bytes between two reads.
            let again = self.shared.metadata.read(FindContentById(content.id));
            let again = again.await?.ok_or_else(|| lost(content))?;
            return match again.body {
                ContentBody::Hot(_) => Err(lost(content)),
                ContentBody::One(_) | ContentBody::Map(_) => self.push_placed(&again, chunk).await,
            };
        }
        self.push_placed(content, chunk).await
    }

    /// Adds a content that has frames.
    async fn push_placed(
        &mut self,
        content: &Content,
        chunk: Option<ChunkId>,
    ) -> Result<(), ChunkError> {
        self.end_gathered().await?;
        let map = match &content.body {
            ContentBody::Hot(_) => return Err(lost(content)),
            ContentBody::One(place) => {
                let only = ChunkRef {
                    id: chunk.ok_or_else(|| lost(content))?,
                    plain_bytes: u32::try_from(content.size_bytes)
                        .map_err(|_too_long| lost(content))?,
                    place: *place,
                };
                return self.push_chunks(&[only]).await;
            }
            ContentBody::Map(bytes) => Map::decode(bytes).map_err(|fault| {
                ChunkError::Damaged(format!("map of content {}: {fault}", content.id.0))
            })?,
        };
        match map {
            Map::Leaf(chunks) => self.push_chunks(&chunks).await,
            Map::Tree(leaves) => {
                for leaf in &leaves {
                    self.stored.know_leaf(leaf);
                    let chunks = self.shared.places.leaf(&self.shared, leaf).await?;
                    self.push_chunks(&chunks).await?;
                }
                Ok(())
            }
        }
    }

    async fn push_chunks(&mut self, chunks: &[ChunkRef]) -> Result<(), ChunkError> {
        for chunk in chunks {
            self.hasher.push(chunk.id, chunk.plain_bytes);
            self.pieces.push(Piece::Known(KnownChunk::kept(*chunk)));
        }
        if self.pieces.len() >= BATCH_CHUNKS {
            self.hand_over().await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), ChunkError> {
        let pieces = std::mem::take(&mut self.pieces);
        self.stored.send(pieces, Until::Written).await?;
        self.stored.settle().await
    }

    /// Adds bytes that have no frame to the next chunk of such.
    async fn gather(&mut self, bytes: &Bytes) -> Result<(), ChunkError> {
        if self.gathered.len() + bytes.len() > self.profile.max_bytes() {
            self.end_gathered().await?;
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= self.profile.avg_bytes() {
            self.end_gathered().await?;
        }
        Ok(())
    }

    /// Makes a chunk of the bytes that were gathered.
    async fn end_gathered(&mut self) -> Result<(), ChunkError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.gathered);
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || {
            let mut payload = Vec::with_capacity(plain.len());
            shared.compressors.store(&plain, &mut payload);
            NewFrame {
                id: shared.secrets.key.chunk_id(&plain),
                plain_bytes: u32::try_from(plain.len()).unwrap_or(u32::MAX),
                payload: Bytes::from(payload),
            }
        });
        let frame = made.await.map_err(|_gone| ChunkError::Closed)?;
        self.hasher.push(frame.id, frame.plain_bytes);
        self.pieces.push(Piece::New(frame));
        self.hand_over().await
    }

    async fn finish(mut self: Box<Self>) -> Result<Ingested, ChunkError> {
        self.end_gathered().await?;
        self.hand_over().await?;
        let ingested = Ingested {
            content: NewContent {
                hash: self.hasher.finish(),
                size_bytes: 0,
                profile: self.profile,
                chunks: 0,
                body: None,
                packs: Vec::new(),
                hooks: Vec::new(),
                sources: Vec::new(),
                checksum: None,
                // It rests on frames that were there before.
                heals: false,
            },
            checksums: Checksums::default(),
            only_chunk: None,
            _mark: self.mark,
        };
        self.stored.seal(ingested).await
    }
}

fn lost(content: &Content) -> ChunkError {
    ChunkError::Damaged(format!("content {} has lost bytes", content.id.0))
}
