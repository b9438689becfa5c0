//! A content's map while its chunks get their places.

use std::collections::BTreeSet;

use bytes::Bytes;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::MAP_INLINE_CHUNKS_MAX;
use nuage_shared::manifest::Map;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::ends_leaf;

use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::ContentRef;

/// Contents up to this length have no hooks.
const HOOKED_BYTES_MIN: u64 = 1 << 20;
/// Most hooks of one content.
const HOOKS_MAX: usize = 4_096;

/// The chunks so far: whole leaves by reference, the rest as they are.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    open: Vec<ChunkRef>,
    leaves: Vec<LeafRef>,
    chunks: u64,
    size_bytes: u64,
    packs: BTreeSet<PackId>,
    sources: BTreeSet<ContentRef>,
    hooks: Vec<i64>,
}

/// A finished map with what it rests on.
#[derive(Debug)]
pub(super) struct BuiltMap {
    pub(super) body: ContentBody,
    pub(super) size_bytes: u64,
    pub(super) chunks: u32,
    pub(super) packs: Vec<PackId>,
    pub(super) hooks: Vec<i64>,
    pub(super) sources: Vec<ContentRef>,
    pub(super) only_chunk: Option<ChunkId>,
}

impl MapBuilder {
    /// Adds the next chunk; `source` is the content that keeps it alive, if it is not the upload's own.
    pub(super) fn push(&mut self, chunk: ChunkRef, source: Option<ContentRef>) {
        if (self.chunks == 0 || chunk.id.is_hook()) && self.hooks.len() < HOOKS_MAX {
            self.hooks.push(chunk.id.prefix8());
        }
        self.chunks += 1;
        self.size_bytes += u64::from(chunk.plain_bytes);
        self.packs.insert(chunk.place.pack);
        self.sources.extend(source);
        self.open.push(chunk);
    }

    /// Returns the chunks of the next leaf once it is complete; `at_end`: nothing follows.
    pub(super) fn next_leaf(&mut self, at_end: bool) -> Option<Vec<ChunkRef>> {
        if self.chunks <= MAP_INLINE_CHUNKS_MAX as u64 || self.open.is_empty() {
            return None;
        }
        let mut ends = (1..).zip(&self.open);
        let end = ends.find_map(|(count, chunk)| ends_leaf(count, &chunk.id).then_some(count));
        match end {
            Some(count) => {
                let rest = self.open.split_off(count);
                Some(std::mem::replace(&mut self.open, rest))
            }
            None if at_end => Some(std::mem::take(&mut self.open)),
            None => None,
        }
    }

    /// Takes a leaf that is stored.
    pub(super) fn push_leaf(&mut self, leaf: LeafRef, source: Option<ContentRef>) {
        self.packs.insert(leaf.place.pack);
        self.sources.extend(source);
        self.leaves.push(leaf);
    }

    /// Returns the map, once no complete leaf is left.
    pub(super) fn finish(self) -> BuiltMap {
        let only_chunk = match (self.leaves.is_empty(), self.open.as_slice()) {
            (true, [only]) => Some(only.id),
            _ => None,
        };
        let body = match (self.leaves.is_empty(), self.open.as_slice()) {
            (true, []) => ContentBody::Hot(Bytes::new()),
            (true, [only]) => ContentBody::One(only.place),
            (true, _) => ContentBody::Map(Bytes::from(Map::Leaf(self.open).encode())),
            (false, _) => ContentBody::Map(Bytes::from(Map::Tree(self.leaves).encode())),
        };
        let hooks = if self.size_bytes > HOOKED_BYTES_MIN {
            let hooks: BTreeSet<i64> = self.hooks.into_iter().collect();
            hooks.into_iter().collect()
        } else {
            Vec::new()
        };
        BuiltMap {
            body,
            size_bytes: self.size_bytes,
            chunks: u32::try_from(self.chunks).unwrap_or(u32::MAX),
            packs: self.packs.into_iter().collect(),
            hooks,
            sources: self.sources.into_iter().collect(),
            only_chunk,
        }
    }
}
