//! Chunks that need not be stored again, as one upload knows them.
//!
//! They come from contents of the space that the caller may read: the version
//! being replaced, and (by hooks) others. A small content's map is known at once.
//! A large one's leaves are loaded a few ahead of the last chunk that was found, so
//! that a stream which follows an old one, with insertions and gaps, keeps
//! finding it, in bounded memory. What the upload stored itself counts too.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use nuage_shared::chunk_id::ChunkId;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::Place;

use crate::store::chunks::damage::Damage;
use crate::store::metadata::records::ContentRef;

/// Most chunks remembered; about 3 MB.
const CHUNKS_MAX: usize = 24_000;
/// Leaves loaded ahead of the last chunk that was found.
const LEAVES_AHEAD: usize = 2;
/// After so many chunks in a row that nobody knew, one leaf more is looked at.
const MISSES_PER_LEAF: usize = 64;

/// A chunk that is stored already.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownChunk {
    pub(super) chunk: ChunkRef,
    /// The content that keeps it alive; `None`: this upload stored it.
    pub(super) source: Option<ContentRef>,
    leaf: usize,
}

impl KnownChunk {
    /// A chunk that something keeps alive until the content that takes it is named.
    pub(super) fn kept(chunk: ChunkRef) -> Self {
        Self {
            chunk,
            source: None,
            leaf: 0,
        }
    }
}

/// A content whose chunks may come again.
#[derive(Debug)]
struct Source {
    content: ContentRef,
    leaves: Vec<LeafRef>,
    loaded: usize,
    found_in: usize,
}

/// A leaf that should be loaded next.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedLeaf {
    pub(super) leaf: LeafRef,
    source: usize,
    index: usize,
}

/// The chunks that one upload can find.
#[derive(Debug)]
pub(super) struct Known {
    damage: Arc<Damage>,
    chunks: HashMap<ChunkId, KnownChunk>,
    order: VecDeque<ChunkId>,
    sources: Vec<Source>,
    misses: usize,
    /// Leaves of sources by name: an equal part of the map is not stored again.
    leaves: HashMap<ChunkId, (Place, ContentRef)>,
    asked: BTreeSet<i64>,
}

impl Known {
    /// Knows nothing yet, and will never know a chunk whose frame is damaged.
    pub(super) fn new(damage: Arc<Damage>) -> Self {
        Self {
            damage,
            chunks: HashMap::new(),
            order: VecDeque::new(),
            sources: Vec::new(),
            misses: 0,
            leaves: HashMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// Adds a content of one leaf.
    pub(super) fn add_chunks(&mut self, content: ContentRef, chunks: &[ChunkRef]) {
        self.remember(Some(content), 0, chunks);
    }

    /// Adds a content of many leaves.
    pub(super) fn add_leaves(&mut self, content: ContentRef, leaves: Vec<LeafRef>) {
        if self.has_source(content) {
            return;
        }
        self.sources.push(Source {
            content,
            leaves,
            loaded: 0,
            found_in: 0,
        });
    }

    /// Returns whether a content of many leaves was added.
    pub(super) fn has_source(&self, content: ContentRef) -> bool {
        self.sources.iter().any(|source| source.content == content)
    }

    /// Returns whether a chunk is known.
    pub(super) fn holds(&self, id: &ChunkId) -> bool {
        self.chunks.contains_key(id)
    }

    /// Wants one leaf more of a content.
    pub(super) fn look_further(&mut self, content: ContentRef) {
        let mut sources = self.sources.iter_mut();
        if let Some(source) = sources.find(|source| source.content == content) {
            source.found_in = source.found_in.max(source.loaded);
        }
    }

    /// Returns a leaf to load, if one is near what was found last.
    pub(super) fn wanted(&self) -> Option<WantedLeaf> {
        let ahead = 1 + LEAVES_AHEAD + self.misses / MISSES_PER_LEAF;
        self.sources.iter().enumerate().find_map(|(index, source)| {
            let is_near = source.loaded < source.found_in + ahead;
            let leaf = source.leaves.get(source.loaded).filter(|_| is_near)?;
            Some(WantedLeaf {
                leaf: *leaf,
                source: index,
                index: source.loaded,
            })
        })
    }

    /// Takes a leaf that was wanted; `None`: it could not be read.
    pub(super) fn loaded(&mut self, wanted: WantedLeaf, chunks: Option<&[ChunkRef]>) {
        let Some(source) = self.sources.get_mut(wanted.source) else {
            return;
        };
        source.loaded = wanted.index + 1;
        let content = source.content;
        let Some(chunks) = chunks else { return };
        if self.leaves.len() >= CHUNKS_MAX {
            self.leaves.clear();
        }
        self.leaves
            .insert(wanted.leaf.leaf_id, (wanted.leaf.place, content));
        self.remember(Some(content), wanted.index, chunks);
    }

    /// Adds what the upload stored itself.
    pub(super) fn add_own(&mut self, chunks: &[ChunkRef]) {
        self.remember(None, 0, chunks);
    }

    fn remember(&mut self, source: Option<ContentRef>, leaf: usize, chunks: &[ChunkRef]) {
        for chunk in chunks {
            if self.damage.holds(&chunk.place) {
                continue;
            }
            let known = KnownChunk {
                chunk: *chunk,
                source,
                leaf,
            };
            if self.chunks.insert(chunk.id, known).is_none() {
                self.order.push_back(chunk.id);
            }
            if self.order.len() > CHUNKS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.chunks.remove(&oldest);
            }
        }
    }

    /// Finds a chunk by name and length.
    pub(super) fn find(&mut self, id: &ChunkId, plain_bytes: u32) -> Option<KnownChunk> {
        let found = self
            .chunks
            .get(id)
            .filter(|known| known.chunk.plain_bytes == plain_bytes)
            .copied();
        match found {
            None => self.misses += 1,
            Some(known) => {
                self.misses = 0;
                let source = known.source.and_then(|content| {
                    self.sources
                        .iter_mut()
                        .find(|source| source.content == content)
                });
                if let Some(source) = source {
                    source.found_in = source.found_in.max(known.leaf);
                }
            }
        }
        found
    }

    /// Returns where a leaf with this name is stored already.
    pub(super) fn find_leaf(&self, id: &ChunkId) -> Option<(Place, ContentRef)> {
        self.leaves.get(id).copied()
    }

    /// Returns whether a hook has not been asked for yet, and notes it.
    pub(super) fn ask(&mut self, hook: i64) -> bool {
        if self.asked.len() >= CHUNKS_MAX {
            self.asked.clear();
        }
        self.asked.insert(hook)
    }
}
