//! Which uploads are in progress: their frames are named by no content yet.
//!
//! A lease protects the frames of a long upload; those of a short one are safe
//! because fresh packs are left alone. Neither helps when an administrator asks
//! for collection at once, so the process also remembers which uploads began
//! before a pack was sealed: such a pack is left alone until they have ended.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nuage_shared::manifest::PackId;

/// The uploads of this process.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    active: BTreeSet<u64>,
    /// For each pack sealed while an upload was in progress: the first upload that began after.
    sealed: HashMap<PackId, u64>,
}

/// An upload in progress, or its content on the way to a commit.
#[derive(Debug)]
pub(super) struct UploadMark {
    uploads: Arc<Uploads>,
    number: u64,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(self: &Arc<Self>) -> UploadMark {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.active.insert(number);
        UploadMark {
            uploads: Arc::clone(self),
            number,
        }
    }

    /// Notes that nothing further is appended to a pack.
    pub(super) fn note_sealed(&self, pack: PackId) {
        let mut state = self.lock();
        let next = state.next;
        if !state.active.is_empty() {
            state.sealed.insert(pack, next);
        }
    }

    /// Returns whether an upload in progress may have frames in a sealed pack.
    pub(super) fn may_use(&self, pack: PackId) -> bool {
        let state = self.lock();
        match (state.active.first(), state.sealed.get(&pack)) {
            (Some(oldest), Some(after)) => oldest < after,
            (Some(_) | None, _) => false,
        }
    }
}

impl Drop for UploadMark {
    fn drop(&mut self) {
        let mut state = self.uploads.lock();
        state.active.remove(&self.number);
        match state.active.first().copied() {
            None => state.sealed.clear(),
            Some(oldest) => state.sealed.retain(|_, after| oldest < *after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_in_use_until_every_upload_older_than_its_sealing_ends() {
        let uploads = Arc::new(Uploads::default());
        let first = uploads.begin();
        uploads.note_sealed(PackId(1));
        let second = uploads.begin();
        uploads.note_sealed(PackId(2));
        assert!(uploads.may_use(PackId(1)) && uploads.may_use(PackId(2)));
        drop(first);
        assert!(!uploads.may_use(PackId(1)) && uploads.may_use(PackId(2)));
        drop(second);
        assert!(!uploads.may_use(PackId(2)));
    }
}
