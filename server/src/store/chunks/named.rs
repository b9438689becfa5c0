//! Every frame that a content names: what liveness and the audit ask.

use std::sync::Arc;

use nuage_shared::chunk_id::ChunkId;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::Map;
use nuage_shared::manifest::Place;

use crate::store::chunks::ChunkError;
use crate::store::chunks::Shared;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;

/// A frame that a content's row, map or leaf names.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFrame {
    pub(super) place: Place,
    /// `None`: the row of a content of one chunk does not say.
    pub(super) id: Option<ChunkId>,
    pub(super) plain_bytes: u32,
    /// Whether it is a part of the map, not of the content.
    pub(super) is_leaf: bool,
}

impl From<&ChunkRef> for NamedFrame {
    fn from(chunk: &ChunkRef) -> Self {
        Self {
            place: chunk.place,
            id: Some(chunk.id),
            plain_bytes: chunk.plain_bytes,
            is_leaf: false,
        }
    }
}

/// Shows `visit` every frame that a content names, in order; leaves before their chunks.
pub(super) async fn visit_frames(
    shared: &Arc<Shared>,
    content: &Content,
    visit: &mut (dyn FnMut(NamedFrame) + Send),
) -> Result<(), ChunkError> {
    let map = match &content.body {
        ContentBody::Hot(_) => return Ok(()),
        ContentBody::One(place) => {
            visit(NamedFrame {
                place: *place,
                id: None,
                plain_bytes: u32::try_from(content.size_bytes).unwrap_or(u32::MAX),
                is_leaf: false,
            });
            return Ok(());
        }
        ContentBody::Map(bytes) => Map::decode(bytes).map_err(|fault| {
            ChunkError::Damaged(format!("map of content {}: {fault}", content.id.0))
        })?,
    };
    match map {
        Map::Leaf(chunks) => {
            for chunk in &chunks {
                visit(chunk.into());
            }
        }
        Map::Tree(leaves) => {
            for leaf in &leaves {
                visit(NamedFrame {
                    place: leaf.place,
                    id: Some(leaf.leaf_id),
                    plain_bytes: leaf.place.stored_bytes,
                    is_leaf: true,
                });
                for chunk in shared.places.leaf(shared, leaf).await?.iter() {
                    visit(chunk.into());
                }
            }
        }
    }
    Ok(())
}
