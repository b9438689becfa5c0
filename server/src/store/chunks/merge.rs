//! Small packs become large ones: on S3 each group of uploads leaves one, in a folder each restart.
//!
//! # The same bytes are not copied again and again
//!
//! Packs of [`SMALL_BYTES`] or more are never merged. Smaller ones are merged when together they
//! reach that, and then rest; or, when they are many, into one that is at least twice as long as the
//! longest of them, so that a byte is copied once for each doubling of its pack at most: a
//! dozen times from the smallest upload on.

use nuage_shared::manifest::PackId;

use crate::store::chunks::ChunkError;
use crate::store::chunks::collect::Live;
use crate::store::chunks::collect::Round;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::SmallPacks;

/// Packs from this length on are left as they are, in bytes.
const SMALL_BYTES: u64 = 16 << 20;
/// So many packs are merged even if together they stay small.
const MANY: usize = 16;
/// Most packs that are merged together; the rows of all stay in memory meanwhile.
const TOGETHER_MAX: usize = 1_000;
/// Packs that one question returns.
const PAGE: i64 = 200;

impl Round<'_> {
    /// Merges small packs, a full pack's worth at a time.
    pub(super) async fn merge_packs(&mut self) -> Result<(), ChunkError> {
        // As much smaller as the packs are, where a test makes them smaller.
        let small_bytes = SMALL_BYTES.min(self.shared.segment_bytes / 4);
        let mut after = PackId(0);
        let mut group: Vec<PackRow> = Vec::new();
        let mut group_bytes = 0;
        loop {
            let page = SmallPacks {
                bytes_below: small_bytes,
                sealed_until: self.fresh_until(),
                now: self.lease_now,
                after,
                limit: PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            for row in page {
                if self.shared.uploads.may_use(row.id) {
                    self.done.packs_waiting += 1;
                    continue;
                }
                group_bytes += row.size_bytes;
                group.push(row);
                if group_bytes >= self.shared.segment_bytes || group.len() >= TOGETHER_MAX {
                    self.merge(std::mem::take(&mut group), small_bytes).await?;
                    group_bytes = 0;
                }
            }
        }
        self.merge(group, small_bytes).await
    }

    /// Merges packs if that pays.
    async fn merge(&mut self, group: Vec<PackRow>, small_bytes: u64) -> Result<(), ChunkError> {
        if !pays(&group, small_bytes) {
            return Ok(());
        }
        let mut lives: Vec<(PackRow, Live)> = Vec::with_capacity(group.len());
        for row in group {
            match self.live_frames(row.id).await {
                Ok(live) => lives.push((row, live)),
                Err(ChunkError::Damaged(what)) => self.note_damaged(row.id, &what),
                Err(error) => return Err(error),
            }
        }
        self.move_packs(lives).await
    }
}

/// Returns whether packs are worth to be copied into one.
fn pays(group: &[PackRow], small_bytes: u64) -> bool {
    let bytes: u64 = group.iter().map(|row| row.size_bytes).sum();
    let longest = group.iter().map(|row| row.size_bytes).max().unwrap_or(0);
    group.len() >= 2 && (bytes >= small_bytes || (group.len() >= MANY && longest * 2 <= bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::metadata::packs::PackState;

    fn packs(sizes: &[u64]) -> Vec<PackRow> {
        let row = |(id, size_bytes): (i64, &u64)| PackRow {
            id: PackId(id),
            uuid: [0; 16],
            state: PackState::Sealed,
            size_bytes: *size_bytes,
            sealed_at: None,
            gone_at: None,
            verified_at: None,
        };
        (1..).zip(sizes).map(row).collect()
    }

    #[test]
    fn what_is_copied_rests_or_at_least_doubles() {
        let worth = |sizes: &[u64]| pays(&packs(sizes), 100);
        assert!(worth(&[60, 60]));
        assert!(!worth(&[99]));
        assert!(!worth(&[20, 20, 20]), "few, and still small together");
        assert!(worth(&[1; 16]), "many, and each doubles");
        let mut grown = vec![1; 16];
        grown.push(40);
        assert!(!worth(&grown), "the long one would be copied for little");
    }
}
