//! Frames that a read or an audit has found damaged.
//!
//! Nothing new may rest on them: an upload of the same bytes stores them anew, and
//! its commit gives the content that the space holds the new place, so that
//! storing a file again heals it everywhere. The list lives in memory; after a
//! restart the next read or audit fills it again.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use nuage_shared::manifest::Map;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;

use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;

/// Most frames remembered; about 3 MB.
const FRAMES_MAX: usize = 100_000;

/// Where damage was found, by logical place.
#[derive(Debug, Default)]
pub(super) struct Damage {
    is_any: AtomicBool,
    frames: RwLock<HashSet<(PackId, u64)>>,
}

impl Damage {
    /// Returns whether anything is known to be damaged.
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    /// Remembers a damaged frame.
    pub(super) fn note(&self, place: &Place) {
        let mut frames = self.frames.write().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < FRAMES_MAX {
            frames.insert((place.pack, place.offset));
            self.is_any.store(true, Ordering::Release);
        }
    }

    /// Returns whether a frame is known to be damaged.
    pub(super) fn holds(&self, place: &Place) -> bool {
        self.is_any()
            && self
                .frames
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&(place.pack, place.offset))
    }

    /// Returns whether a content is known to rest on a damaged frame, as far as its row tells.
    pub(super) fn touches(&self, content: &Content) -> bool {
        if !self.is_any() {
            return false;
        }
        match &content.body {
            ContentBody::Hot(_) => false,
            ContentBody::One(place) => self.holds(place),
            ContentBody::Map(bytes) => match Map::decode(bytes) {
                Ok(Map::Leaf(chunks)) => chunks.iter().any(|chunk| self.holds(&chunk.place)),
                Ok(Map::Tree(leaves)) => leaves.iter().any(|leaf| self.holds(&leaf.place)),
                Err(_) => true,
            },
        }
    }
}
