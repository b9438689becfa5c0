//! Checksums of the parts that came so far, for uploads whose parts come in order.
//!
//! A client says what the whole must be only at the end. While parts arrive one after the
//! other on this server, their bytes are hashed on the way; at the end the sum is there. It is a
//! memory, never the truth: who uses a prefix compares the parts that it stands for with
//! those that are stored, and reads again what is missing.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::store::chunks::ChecksumKind;
use crate::store::chunks::Checksums;
use crate::store::metadata::records::ContentRef;

/// Uploads remembered.
const UPLOADS_MAX: usize = 256;
/// Kinds of sums that are computed beforehand: those that clients used last.
const KINDS_MAX: usize = 2;

/// The first parts of an upload and their sums.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefix {
    /// Number and content of each.
    pub(super) parts: Vec<(i64, ContentRef)>,
    pub(super) sums: Checksums,
}

#[derive(Debug, Default)]
struct Remembered {
    prefix: Prefix,
    coming: BTreeSet<i64>,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    by_upload: HashMap<i64, Remembered>,
    kinds: Vec<ChecksumKind>,
    clock: u64,
}

/// The prefixes that this server remembers.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    state: Mutex<State>,
}

/// A part that is on its way; dropping it says that it did not come.
#[derive(Debug)]
pub(super) struct Coming {
    of: Arc<Prefixes>,
    upload: i64,
    number: i64,
    /// How many parts the prefix had, if this part follows them.
    follows: Option<usize>,
}

impl Prefixes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part; `before` is the last stored one that comes before it. Returns the sums that
    /// go on with its bytes: none, if it does not follow what is known.
    pub(super) fn begin(
        self: &Arc<Self>,
        upload: i64,
        number: i64,
        before: Option<i64>,
    ) -> (Coming, Checksums) {
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        let kinds = state.kinds();
        if !state.by_upload.contains_key(&upload) && state.by_upload.len() >= UPLOADS_MAX {
            state.forget_oldest();
        }
        let remembered = state.by_upload.entry(upload).or_insert_with(|| Remembered {
            prefix: Prefix {
                parts: Vec::new(),
                sums: Checksums::of(kinds),
            },
            ..Remembered::default()
        });
        remembered.used = used;
        remembered.coming.insert(number);
        let last = remembered.prefix.parts.last().map(|(number, _)| *number);
        let follows = (last == before && last.is_none_or(|last| last < number))
            .then_some(remembered.prefix.parts.len());
        let sums = follows.map(|_| remembered.prefix.sums.clone());
        let coming = Coming {
            of: Arc::clone(self),
            upload,
            number,
            follows,
        };
        (coming, sums.unwrap_or_default())
    }

    /// Returns what is known of an upload.
    pub(super) fn find(&self, upload: i64) -> Option<Prefix> {
        let state = self.lock();
        state
            .by_upload
            .get(&upload)
            .map(|known| known.prefix.clone())
    }

    /// Remembers what was read again.
    pub(super) fn put(&self, upload: i64, prefix: Prefix) {
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        if !state.by_upload.contains_key(&upload) && state.by_upload.len() >= UPLOADS_MAX {
            state.forget_oldest();
        }
        let remembered = state.by_upload.entry(upload).or_default();
        remembered.used = used;
        remembered.prefix = prefix;
    }

    /// Forgets an upload that ended.
    pub(super) fn forget(&self, upload: i64) {
        self.lock().by_upload.remove(&upload);
    }

    /// Notes which sum a client used.
    pub(super) fn note_kind(&self, kind: ChecksumKind) {
        let mut state = self.lock();
        state.kinds.retain(|known| *known != kind);
        state.kinds.insert(0, kind);
        state.kinds.truncate(KINDS_MAX);
    }
}

impl State {
    fn kinds(&self) -> Vec<ChecksumKind> {
        if self.kinds.is_empty() {
            vec![ChecksumKind::Sha256]
        } else {
            self.kinds.clone()
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_upload.iter().min_by_key(|(_, known)| known.used);
        if let Some(upload) = oldest.map(|(upload, _)| *upload) {
            self.by_upload.remove(&upload);
        }
    }
}

impl Coming {
    /// Notes that the part is stored; `sums` are those from the beginning up to its end.
    pub(super) fn arrived(self, content: ContentRef, sums: Checksums) {
        let mut state = self.of.lock();
        let Some(remembered) = state.by_upload.get_mut(&self.upload) else {
            return;
        };
        let prefix = &mut remembered.prefix;
        let is_next = self.follows == Some(prefix.parts.len());
        // One that comes between may still arrive.
        let is_overtaking = remembered.coming.first() != Some(&self.number);
        if is_next && !is_overtaking {
            prefix.parts.push((self.number, content));
            prefix.sums = sums;
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        if let Some(remembered) = state.by_upload.get_mut(&self.upload) {
            remembered.coming.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(prefixes: &Arc<Prefixes>, number: i64, before: Option<i64>, bytes: &[u8]) {
        let (coming, mut sums) = prefixes.begin(7, number, before);
        sums.update(bytes);
        coming.arrived(ContentRef(number), sums);
    }

    fn numbers(prefixes: &Arc<Prefixes>) -> Vec<i64> {
        let prefix = prefixes.find(7).unwrap();
        prefix.parts.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn parts_in_order_have_the_sum_of_the_whole() {
        let prefixes = Arc::new(Prefixes::default());
        arrive(&prefixes, 1, None, b"ab");
        arrive(&prefixes, 2, Some(1), b"cde");
        let mut whole = Checksums::of([ChecksumKind::Sha256]);
        whole.update(b"abcde");
        let kept = prefixes.find(7).unwrap().sums;
        let value = kept.value(ChecksumKind::Sha256);
        assert!(value.is_some());
        assert_eq!(value, whole.value(ChecksumKind::Sha256));
    }

    #[test]
    fn a_part_that_overtakes_another_is_not_added() {
        let prefixes = Arc::new(Prefixes::default());
        arrive(&prefixes, 1, None, b"a");
        let (second, second_sums) = prefixes.begin(7, 2, Some(1));
        let (third, third_sums) = prefixes.begin(7, 3, Some(1));
        third.arrived(ContentRef(3), third_sums);
        assert_eq!(numbers(&prefixes), [1]);
        second.arrived(ContentRef(2), second_sums);
        assert_eq!(numbers(&prefixes), [1, 2]);
        // What follows the third follows nothing that is known.
        arrive(&prefixes, 4, Some(3), b"d");
        assert_eq!(numbers(&prefixes), [1, 2]);
    }

    #[test]
    fn a_replaced_part_or_one_before_changes_nothing() {
        let prefixes = Arc::new(Prefixes::default());
        arrive(&prefixes, 5, None, b"a");
        arrive(&prefixes, 5, None, b"b");
        arrive(&prefixes, 1, None, b"c");
        assert_eq!(numbers(&prefixes), [5]);
    }

    #[test]
    fn memory_is_bounded() {
        let prefixes = Arc::new(Prefixes::default());
        for upload in 0..1_000 {
            drop(prefixes.begin(upload, 1, None));
        }
        assert_eq!(prefixes.lock().by_upload.len(), UPLOADS_MAX);
        assert!(prefixes.find(999).is_some() && prefixes.find(0).is_none());
    }
}
