//! The end of the past: purge the trash, thin versions, drop tombstones.
//!
//! Every operation is one slice of at most [`SLICE_ROWS`] rows, so that no
//! person's write waits long behind it; the job asks again until a slice says
//! that nothing is left. Contents that lose a name are handed to the collector
//! through `maybe_dead`; nothing here deletes bytes.

use crate::clock::NANOS;
use crate::clock::Timestamp;
use crate::store::metadata::activity::forget_some_of_space;
use crate::store::metadata::contents::maybe_dead;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::effective_quota;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::parts::drop_some_of_space;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Most rows that one slice deletes.
pub const SLICE_ROWS: i64 = 500;

const DAY_NANOS: i64 = 86_400 * NANOS;

/// Deletes for good some of what went to the trash up to a moment.
#[derive(Debug)]
pub struct PurgeTrash {
    /// Trees deleted at or before this moment go.
    pub deleted_until: Timestamp,
    /// The present, noted beside contents that may be dead.
    pub now: Timestamp,
}

impl Operation for PurgeTrash {
    /// Nodes that went; 0: nothing is left to purge.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let due = tx
            .row(
                "SELECT node_id, space_id FROM trash WHERE at <= $1 ORDER BY at LIMIT 1",
                &[self.deleted_until.0.into()],
                |row| Ok((row.int(0)?, row.int(1)?)),
            )
            .await?;
        let Some((top, space)) = due else {
            return Ok(0);
        };
        lock_space_row(tx, SpaceId(space)).await?;
        // Another server may have purged it before this one held the space.
        let size = tx
            .row(
                "SELECT size FROM trash WHERE node_id = $1 AND space_id = $2",
                &[top.into(), space.into()],
                |row| row.int(0),
            )
            .await?;
        let Some(size) = size else { return Ok(1) };
        purge_tree(tx, SpaceId(space), (NodeId(top), size), self.now).await
    }
}

/// Takes a space's row lock without taking a number.
pub(crate) async fn lock_space_row<T: Tx>(tx: &mut T, space: SpaceId) -> StoreResult<()> {
    tx.perform(
        "UPDATE space SET seq = seq WHERE id = $1",
        &[space.0.into()],
    )
    .await?;
    Ok(())
}

struct Child {
    id: i64,
    is_folder: bool,
    content: Option<i64>,
}

fn read_child(row: &dyn Row) -> StoreResult<Child> {
    Ok(Child {
        id: row.int(0)?,
        is_folder: row.int(1)? == 0,
        content: row.opt_int(2)?,
    })
}

/// Deletes nodes of a tree from its leaves up; returns how many, and whether the top is gone.
///
/// Each call starts at the top and goes down to where the last one stopped, so
/// that nothing has to be remembered between slices.
pub(crate) async fn forget_tree<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    top: NodeId,
    rows_max: i64,
    now: Timestamp,
) -> StoreResult<(u64, bool)> {
    let mut gone = 0;
    let mut trail = vec![top.0];
    while let Some(folder) = trail.last().copied() {
        if gone >= rows_max.unsigned_abs() {
            return Ok((gone, false));
        }
        let children = tx
            .rows(
                "SELECT id, kind, content_id FROM node WHERE parent_id = $1 ORDER BY id LIMIT $2",
                &[folder.into(), rows_max.into()],
                read_child,
            )
            .await?;
        let mut below = None;
        for child in &children {
            if child.is_folder {
                below = Some(child.id);
            } else {
                forget_node(tx, space, child.id, child.content, now).await?;
                gone += 1;
            }
        }
        match below {
            Some(below) => trail.push(below),
            None if children.is_empty() => {
                let content = tx
                    .row(
                        "SELECT content_id FROM node WHERE id = $1",
                        &[folder.into()],
                        |row| row.opt_int(0),
                    )
                    .await?;
                forget_node(tx, space, folder, content.flatten(), now).await?;
                gone += 1;
                trail.pop();
            }
            None => {}
        }
    }
    Ok((gone, true))
}

/// Deletes a node with its past, properties and locks.
async fn forget_node<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    id: i64,
    content: Option<i64>,
    now: Timestamp,
) -> StoreResult<()> {
    let past = tx
        .rows(
            "DELETE FROM hist WHERE node_id = $1 AND space_id = $2 RETURNING content_id, kept",
            &[id.into(), space.0.into()],
            |row| Ok((row.opt_int(0)?, row.int(1)?)),
        )
        .await?;
    let kept: i64 = past.iter().map(|(_, kept)| kept).sum();
    if kept != 0 {
        tx.perform(
            "UPDATE space SET kept = kept - $1 WHERE id = $2",
            &[kept.into(), space.0.into()],
        )
        .await?;
    }
    for content in past
        .into_iter()
        .filter_map(|(content, _)| content)
        .chain(content)
    {
        maybe_dead(tx, ContentRef(content), now).await?;
    }
    tx.perform("DELETE FROM property WHERE node_id = $1", &[id.into()])
        .await?;
    for statement in [
        "DELETE FROM lock WHERE node_id = $1",
        "DELETE FROM favorite WHERE node_id = $1",
        "DELETE FROM share WHERE node_id = $1",
        "DELETE FROM mount WHERE node_id = $1",
        "DELETE FROM node_tag WHERE node_id = $1",
    ] {
        tx.perform(statement, &[id.into()]).await?;
    }
    tx.perform("DELETE FROM node WHERE id = $1", &[id.into()])
        .await?;
    Ok(())
}

/// Thins the states that ended in a stretch of time: of each node only the last
/// one of each period stays, and only if its content differed from the next.
///
/// A job runs it on the stretch that has just passed an age limit (30 days:
/// one a day; 180 days: one a week), so that its cost follows what changed then.
#[derive(Debug)]
pub struct ThinHistory {
    /// The space.
    pub space: SpaceId,
    /// States that ended after this moment …
    pub after: Timestamp,
    /// … and at or before this one.
    pub until: Timestamp,
    /// Length of a period, in days.
    pub period_days: i64,
    /// The present.
    pub now: Timestamp,
}

impl Operation for ThinHistory {
    /// Rows that went; fewer than [`SLICE_ROWS`]: the stretch is done.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        lock_space_row(tx, self.space).await?;
        let doomed = tx
            .rows(
                "SELECT h.node_id, h.from_seq, h.content_id, h.kept, h.at FROM hist h \
                 WHERE h.space_id = $1 AND h.at > $2 AND h.at <= $3 AND h.label IS NULL \
                 AND (h.kept = 0 OR EXISTS (SELECT 1 FROM hist l WHERE l.node_id = h.node_id \
                 AND l.space_id = h.space_id AND l.from_seq > h.from_seq AND l.at <= $3 \
                 AND l.at / $4 = h.at / $4 AND l.kept > 0)) LIMIT $5",
                &[
                    self.space.0.into(),
                    self.after.0.into(),
                    self.until.0.into(),
                    (self.period_days * DAY_NANOS).into(),
                    SLICE_ROWS.into(),
                ],
                read_former,
            )
            .await?;
        let count = doomed.len() as u64;
        let mut kept = 0;
        for former in doomed {
            forget_former(tx, self.space, &former, self.now).await?;
            kept += former.kept;
        }
        tx.perform(
            "UPDATE space SET kept = kept - $1 WHERE id = $2",
            &[kept.into(), self.space.0.into()],
        )
        .await?;
        Ok(count)
    }
}

/// Lists the next spaces, by number, whose files and past together exceed their quota.
#[derive(Debug)]
pub struct SpacesUnderPressure {
    /// The last space of the page before; 0 to begin.
    pub past: SpaceId,
    /// Quota of spaces that have none of their own; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
}

impl Operation for SpacesUnderPressure {
    type Output = Vec<SpaceId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SpaceId>> {
        tx.rows(
            "SELECT s.id FROM space s WHERE s.id > $1 AND s.kept > 0 AND s.state = 0 \
             AND coalesce(s.quota, $2) >= 0 AND s.used + s.kept > coalesce(s.quota, $2) \
             ORDER BY s.id LIMIT 1000",
            &[
                self.past.0.into(),
                self.quota_default_bytes.map_or(-1, signed).into(),
            ],
            |row| Ok(SpaceId(row.int(0)?)),
        )
        .await
    }
}

/// Ends some of the past of a space whose files and past together exceed its quota.
///
/// First go versions that were current for less than an hour, then the oldest
/// versions and deleted trees. Nothing younger than 14 days goes unless the past
/// alone exceeds the quota: a program that encrypts every file must not push out
/// the good versions.
#[derive(Debug)]
pub struct RelievePressure {
    /// The space.
    pub space: SpaceId,
    /// Quota of spaces that have none of their own; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
    /// The present.
    pub now: Timestamp,
}

/// The past that pressure alone never touches, in seconds.
const SAFE_SECONDS: i64 = 14 * 86_400;
/// A version that was current for less than this is the first to go.
const SHORT_LIFE_NANOS: i64 = 3_600 * NANOS;

/// A former version that may go.
#[derive(Debug, Clone)]
pub(crate) struct Former {
    pub(crate) node: i64,
    pub(crate) from_seq: i64,
    pub(crate) content: Option<i64>,
    pub(crate) kept: i64,
    pub(crate) at: i64,
}

fn read_former(row: &dyn Row) -> StoreResult<Former> {
    Ok(Former {
        node: row.int(0)?,
        from_seq: row.int(1)?,
        content: row.opt_int(2)?,
        kept: row.int(3)?,
        at: row.int(4)?,
    })
}

impl Operation for RelievePressure {
    /// Whether there may be more to end.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        lock_space_row(tx, self.space).await?;
        let row = tx
            .row(
                "SELECT used, kept, quota FROM space WHERE id = $1 AND state = 0",
                &[self.space.0.into()],
                |row| Ok((row.int(0)?, row.int(1)?, row.opt_int(2)?)),
            )
            .await?;
        let Some((used, kept, quota)) = row else {
            return Ok(false);
        };
        let Some(quota) = effective_quota(quota, self.quota_default_bytes) else {
            return Ok(false);
        };
        let excess = used.saturating_add(kept).saturating_sub(signed(quota));
        if excess <= 0 || kept == 0 {
            return Ok(false);
        }
        let until = if kept > signed(quota) {
            self.now
        } else {
            self.now.plus_seconds(-SAFE_SECONDS)
        };
        let short_lived = tx
            .rows(
                "SELECT h.node_id, h.from_seq, h.content_id, h.kept, h.at FROM hist h \
                 WHERE h.space_id = $1 AND h.at <= $2 AND h.kept > 0 AND h.label IS NULL \
                 AND EXISTS (SELECT 1 FROM hist p WHERE p.node_id = h.node_id \
                 AND p.space_id = h.space_id AND p.to_seq = h.from_seq AND h.at - p.at < $3) \
                 ORDER BY h.at LIMIT $4",
                &[
                    self.space.0.into(),
                    until.0.into(),
                    SHORT_LIFE_NANOS.into(),
                    SLICE_ROWS.into(),
                ],
                read_former,
            )
            .await?;
        if !short_lived.is_empty() {
            self.forget(tx, &short_lived, excess).await?;
            return Ok(true);
        }
        self.forget_oldest(tx, until, excess).await
    }
}

impl RelievePressure {
    async fn forget_oldest<T: Tx>(
        &self,
        tx: &mut T,
        until: Timestamp,
        excess: i64,
    ) -> StoreResult<bool> {
        let tree = tx
            .row(
                "SELECT at FROM trash WHERE space_id = $1 AND at <= $2 ORDER BY at LIMIT 1",
                &[self.space.0.into(), until.0.into()],
                |row| row.int(0),
            )
            .await?;
        let oldest = tx
            .rows(
                "SELECT node_id, from_seq, content_id, kept, at FROM hist \
                 WHERE space_id = $1 AND at <= $2 AND kept > 0 AND label IS NULL \
                 ORDER BY at LIMIT $3",
                &[self.space.0.into(), until.0.into(), SLICE_ROWS.into()],
                read_former,
            )
            .await?;
        let before_tree: Vec<_> = oldest
            .into_iter()
            .filter(|former| tree.is_none_or(|at| former.at <= at))
            .collect();
        if !before_tree.is_empty() {
            self.forget(tx, &before_tree, excess).await?;
            return Ok(true);
        }
        if tree.is_none() {
            return Ok(false);
        }
        purge_oldest_tree(tx, self.space, self.now).await?;
        Ok(true)
    }

    /// Deletes versions, the first ones first, until the excess is gone.
    async fn forget<T: Tx>(&self, tx: &mut T, formers: &[Former], excess: i64) -> StoreResult<()> {
        let mut freed = 0;
        for former in formers {
            if freed >= excess {
                break;
            }
            forget_former(tx, self.space, former, self.now).await?;
            freed += former.kept;
        }
        tx.perform(
            "UPDATE space SET kept = kept - $1 WHERE id = $2",
            &[freed.into(), self.space.0.into()],
        )
        .await?;
        Ok(())
    }
}

/// Deletes one former version; its space's `kept` is charged by the caller.
pub(crate) async fn forget_former<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    former: &Former,
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "DELETE FROM hist WHERE node_id = $1 AND space_id = $2 AND from_seq = $3",
        &[former.node.into(), space.0.into(), former.from_seq.into()],
    )
    .await?;
    match former.content {
        Some(content) => maybe_dead(tx, ContentRef(content), now).await,
        None => Ok(()),
    }
}

/// Deletes for good a slice of the tree that was deleted first in a space.
async fn purge_oldest_tree<T: Tx>(tx: &mut T, space: SpaceId, now: Timestamp) -> StoreResult<u64> {
    let due = tx
        .row(
            "SELECT node_id, size FROM trash WHERE space_id = $1 ORDER BY at LIMIT 1",
            &[space.0.into()],
            |row| Ok((row.int(0)?, row.int(1)?)),
        )
        .await?;
    match due {
        Some((top, size)) => purge_tree(tx, space, (NodeId(top), size), now).await,
        None => Ok(0),
    }
}

/// Deletes a slice of a tree in the trash, and its entry with the last one.
pub(crate) async fn purge_tree<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    (top, size): (NodeId, i64),
    now: Timestamp,
) -> StoreResult<u64> {
    let (gone, is_complete) = forget_tree(tx, space, top, SLICE_ROWS, now).await?;
    if is_complete {
        tx.perform("DELETE FROM trash WHERE node_id = $1", &[top.0.into()])
            .await?;
        tx.perform(
            "UPDATE space SET kept = kept - $1 WHERE id = $2",
            &[size.into(), space.0.into()],
        )
        .await?;
    }
    Ok(gone.max(1))
}

/// Lists the next spaces, by number, that have states which ended in a stretch of time.
#[derive(Debug)]
pub struct SpacesWithHistory {
    /// The last space of the page before; 0 to begin.
    pub past: SpaceId,
    /// States that ended after this moment …
    pub after: Timestamp,
    /// … and at or before this one.
    pub until: Timestamp,
}

impl Operation for SpacesWithHistory {
    type Output = Vec<SpaceId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SpaceId>> {
        tx.rows(
            "SELECT s.id FROM space s WHERE s.id > $1 AND EXISTS (SELECT 1 FROM hist h \
             WHERE h.space_id = s.id AND h.at > $2 AND h.at <= $3) ORDER BY s.id LIMIT 1000",
            &[self.past.0.into(), self.after.0.into(), self.until.0.into()],
            |row| Ok(SpaceId(row.int(0)?)),
        )
        .await
    }
}

/// Lists the next spaces, by number, whose oldest tombstone is at least so old.
#[derive(Debug)]
pub struct SpacesWithTombs {
    /// The last space of the page before; 0 to begin.
    pub past: SpaceId,
    /// The moment.
    pub until: Timestamp,
}

impl Operation for SpacesWithTombs {
    type Output = Vec<SpaceId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<SpaceId>> {
        tx.rows(
            "SELECT s.id FROM space s WHERE s.id > $1 AND (SELECT t.at FROM tomb t \
             WHERE t.space_id = s.id ORDER BY t.seq LIMIT 1) <= $2 ORDER BY s.id LIMIT 1000",
            &[self.past.0.into(), self.until.0.into()],
            |row| Ok(SpaceId(row.int(0)?)),
        )
        .await
    }
}

/// Drops tombstones up to a moment and remembers in `floor` that they are gone.
#[derive(Debug)]
pub struct DropTombs {
    /// The space.
    pub space: SpaceId,
    /// Tombstones written at or before this moment go.
    pub until: Timestamp,
}

impl Operation for DropTombs {
    /// Rows that went; fewer than [`SLICE_ROWS`]: the space is done.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        lock_space_row(tx, self.space).await?;
        let old = tx
            .rows(
                "SELECT seq, node_id, at FROM tomb WHERE space_id = $1 ORDER BY seq LIMIT $2",
                &[self.space.0.into(), SLICE_ROWS.into()],
                |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)),
            )
            .await?;
        let mut count = 0;
        for (seq, node, at) in old {
            if at > self.until.0 {
                break;
            }
            tx.perform(
                "DELETE FROM tomb WHERE space_id = $1 AND seq = $2 AND node_id = $3",
                &[self.space.0.into(), seq.into(), node.into()],
            )
            .await?;
            tx.perform(
                "UPDATE space SET floor = $1 WHERE id = $2 AND floor < $1",
                &[seq.into(), self.space.0.into()],
            )
            .await?;
            count += 1;
        }
        Ok(count)
    }
}

/// Reads a number that a job remembers between runs.
#[derive(Debug)]
pub struct ReadSetting(pub &'static str);

impl Operation for ReadSetting {
    type Output = Option<String>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<String>> {
        tx.row(
            "SELECT value FROM setting WHERE name = $1",
            &[self.0.into()],
            |row| row.text(0),
        )
        .await
    }
}

/// Writes what [`ReadSetting`] reads.
#[derive(Debug)]
pub struct WriteSetting(pub &'static str, pub String);

impl Operation for WriteSetting {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "INSERT INTO setting (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[self.0.into(), self.1.as_str().into()],
        )
        .await?;
        Ok(())
    }
}

/// Deletes for good some of what an archived space holds; its account or team is deleted after.
#[derive(Debug)]
pub struct PurgeSpace {
    /// A space whose account or team was deleted long enough ago.
    pub space: SpaceId,
    /// The present.
    pub now: Timestamp,
}

impl Operation for PurgeSpace {
    /// Whether nothing is left.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        lock_space_row(tx, self.space).await?;
        let tops = tx
            .row(
                "SELECT root_id, trash_id FROM space WHERE id = $1 AND state <> 0",
                &[self.space.0.into()],
                |row| Ok([row.int(0)?, row.int(1)?]),
            )
            .await?;
        let Some(tops) = tops else { return Ok(true) };
        if drop_some_of_space(tx, self.space, self.now).await?
            || forget_some_of_space(tx, self.space).await?
        {
            return Ok(false);
        }
        for top in tops {
            let exists = tx
                .row("SELECT 1 FROM node WHERE id = $1", &[top.into()], |row| {
                    row.int(0)
                })
                .await?;
            if exists.is_some() {
                forget_tree(tx, self.space, NodeId(top), SLICE_ROWS, self.now).await?;
                return Ok(false);
            }
        }
        for statement in [
            "DELETE FROM trash WHERE space_id = $1",
            "DELETE FROM tomb WHERE space_id = $1",
            "DELETE FROM lock WHERE space_id = $1",
            "DELETE FROM tag WHERE space_id = $1",
            "DELETE FROM space WHERE id = $1",
        ] {
            tx.perform(statement, &[self.space.0.into()]).await?;
        }
        Ok(true)
    }
}
