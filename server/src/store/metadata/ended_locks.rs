//! Locks whose time is over: their rows go, and clients see it as they see an UNLOCK.
//!
//! Such a lock does not exist any more, for every request from its last second on; nobody need wait for this. But a
//! listing that showed it is kept by clients until an ETag changes. So a background job gives the folders above new ones, soon
//! after; no reading request writes anything for it.

use std::collections::BTreeSet;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Locks that one transaction ends.
pub const SLICE_LOCKS: i64 = 200;

/// Finds spaces with locks whose time is over.
#[derive(Debug)]
pub struct SpacesWithEndedLocks {
    /// The moment.
    pub now: Timestamp,
}

impl Operation for SpacesWithEndedLocks {
    type Output = Vec<SpaceId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SpaceId>> {
        let found = tx
            .rows(
                "SELECT space_id FROM lock WHERE until <= $1 ORDER BY until LIMIT $2",
                &[self.now.0.into(), SLICE_LOCKS.into()],
                |row| row.int(0),
            )
            .await?;
        let spaces: BTreeSet<i64> = found.into_iter().collect();
        Ok(spaces.into_iter().map(SpaceId).collect())
    }
}

/// Deletes the next locks of a space whose time is over, and gives the folders above their nodes new ETags.
#[derive(Debug)]
pub struct EndLocks {
    /// The space.
    pub space: SpaceId,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for EndLocks {
    /// How many were deleted; fewer than [`SLICE_LOCKS`]: no more.
    type Output = i64;

    fn space(&self) -> Option<SpaceId> {
        Some(self.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        // Under the space's lock: whoever renews a lock now comes before or after.
        let seq = tx
            .row(
                "UPDATE space SET seq = seq + 1 WHERE id = $1 RETURNING seq",
                &[self.space.0.into()],
                |row| row.int(0),
            )
            .await?;
        let ended = tx
            .rows(
                "SELECT token, node_id FROM lock WHERE space_id = $1 AND until <= $2 LIMIT $3",
                &[self.space.0.into(), self.now.0.into(), SLICE_LOCKS.into()],
                |row| Ok((row.text(0)?, row.int(1)?)),
            )
            .await?;
        let mut above = BTreeSet::new();
        for (token, node) in &ended {
            gather_above(tx, *node, &mut above).await?;
            let delete = "DELETE FROM lock WHERE token = $1";
            tx.perform(delete, &[token.as_str().into()]).await?;
        }
        for (_, node) in &ended {
            show_on_file(tx, *node, seq.unwrap_or_default()).await?;
        }
        for folder in above {
            let params = [seq.unwrap_or_default().into(), folder.into()];
            tx.perform("UPDATE node SET tree_seq = $1 WHERE id = $2", &params)
                .await?;
        }
        Ok(i64::try_from(ended.len()).unwrap_or(SLICE_LOCKS))
    }
}

/// Notes at a file that its lock changed: whoever was given the file alone is not shown a folder above it.
pub(crate) async fn show_on_file<T: Tx>(tx: &mut T, node: i64, seq: i64) -> StoreResult<()> {
    tx.perform(
        "UPDATE node SET tree_seq = $1 WHERE id = $2 AND kind = 1",
        &[seq.into(), node.into()],
    )
    .await
}

/// Adds the folders above a node, up to the first that is known already.
async fn gather_above<T: Tx>(tx: &mut T, node: i64, above: &mut BTreeSet<i64>) -> StoreResult<()> {
    let mut at = node;
    for _level in 0..=NodePath::DEPTH_MAX {
        let parent = tx
            .row(
                "SELECT parent_id FROM node WHERE id = $1",
                &[at.into()],
                |row| row.opt_int(0),
            )
            .await?;
        match parent.flatten() {
            Some(parent) if above.insert(parent) => at = parent,
            Some(_) | None => return Ok(()),
        }
    }
    Ok(())
}
