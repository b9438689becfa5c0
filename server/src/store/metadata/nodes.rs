//! Steps that operations on nodes share: take a space's lock,
//! keep a former state, carry a change up to the root.
//!
//! # Always true
//!
//! * Every write of a space takes its numbers from the space's row first; that
//!   row is the lock by which writers of one space take turns, so that numbers
//!   become visible in order.
//! * A node whose `seq` changes leaves its former state in `hist`.
//! * `size`, `tree_files` and `tree_seq` of every ancestor change in the same
//!   transaction as the node.

use std::collections::HashMap;
use std::collections::HashSet;

use nuage_shared::node_path::NodePath;
use nuage_shared::node_path::PathFault;

use crate::clock::Timestamp;
use crate::store::metadata::activity::Origin;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::NodeKind;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;

/// Number of columns that [`read_node`] takes.
pub(crate) const NODE_COLUMNS: usize = 14;

/// Reads the columns `id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size,
/// tree_files, rev, mtime, ctime, flags` of a row.
pub(crate) fn read_node(row: &dyn Row) -> StoreResult<Node> {
    Ok(Node {
        id: NodeId(row.int(0)?),
        space: SpaceId(row.int(1)?),
        parent: row.opt_int(2)?.map(NodeId),
        name: row.text(3)?,
        kind: if row.int(4)? == 0 {
            NodeKind::Folder
        } else {
            NodeKind::File
        },
        seq: row.int(5)?,
        tree_seq: row.int(6)?,
        content: row.opt_int(7)?.map(ContentRef),
        size_bytes: unsigned(row.int(8)?),
        tree_files: unsigned(row.int(9)?),
        rev: row.int(10)?,
        mtime: Timestamp(row.int(11)?),
        ctime: Timestamp(row.int(12)?),
        flags: row.int(13)?,
    })
}

/// A stored count or length, which is never negative.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A length as the database stores it.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Who makes a change, when, and under which rules.
#[derive(Debug, Clone)]
pub struct Change {
    /// The space that changes.
    pub space: SpaceId,
    /// The node from which paths are followed; `None`: the space's root.
    pub top: Option<NodeId>,
    /// What whoever asks may do there.
    pub allowed: Permissions,
    /// Who asked.
    pub actor: UserId,
    /// From where they asked; `None`: what is done leaves no row in the log of activities.
    pub origin: Option<Origin>,
    /// The moment of the request.
    pub now: Timestamp,
    /// Quota of spaces that have none of their own; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
}

impl Change {
    /// Returns where paths begin.
    pub(crate) fn root(&self) -> Root {
        Root {
            space: self.space,
            top: self.top,
        }
    }

    /// Refuses what whoever asks may not do.
    pub(crate) fn require(&self, needed: Permissions) -> StoreResult<()> {
        if self.allowed.has(needed) {
            Ok(())
        } else {
            Err(Refusal::NotPermitted.into())
        }
    }
}

/// A space's row, locked by this transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedSpace {
    /// The first of the numbers that this change took.
    pub(crate) first_seq: i64,
    /// The hidden folder of deleted trees.
    pub(crate) trash: NodeId,
    /// Bytes of current files.
    pub(crate) used: i64,
    /// What is on its way there in parts.
    pub(crate) in_parts: InParts,
    /// What the space may hold.
    pub(crate) quota: Option<u64>,
}

/// Uploads in parts of a space that are in progress.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InParts {
    /// How many.
    pub(crate) uploads: i64,
    /// By how many bytes they would let the space grow so far; nothing else may take these.
    pub(crate) bytes: i64,
}

/// A space that was asked for.
pub(crate) struct AskedSpace {
    row: Asked<LockedSpace>,
    in_parts: Asked<InParts>,
}

impl AskedSpace {
    /// Asks without taking the lock and without a number.
    pub(crate) async fn ask<T: Tx>(tx: &mut T, change: &Change) -> StoreResult<Self> {
        let row = tx
            .ask(
                "SELECT seq, trash_id, used, quota FROM space WHERE id = $1 AND state = 0",
                &[change.space.0.into()],
                read_space(change, 1),
            )
            .await?;
        Self::with_parts(tx, change.space, row).await
    }

    /// A statement of its own: on PostgreSQL, one that waited for the lock does not see what
    /// was committed meanwhile in other tables.
    async fn with_parts<T: Tx>(
        tx: &mut T,
        space: SpaceId,
        row: Asked<LockedSpace>,
    ) -> StoreResult<Self> {
        let in_parts = tx
            .ask(
                "SELECT count(*), coalesce(sum(CASE WHEN received > replaces THEN received - replaces \
                 ELSE 0 END), 0) FROM upload WHERE space_id = $1 AND node_id IS NULL",
                &[space.0.into()],
                |row| {
                    Ok(InParts {
                        uploads: row.int(0)?,
                        bytes: row.int(1)?,
                    })
                },
            )
            .await?;
        Ok(Self { row, in_parts })
    }

    /// Returns the space; one that is not there refuses with `NotFound`.
    pub(crate) async fn answer<T: Tx>(self, tx: &mut T) -> StoreResult<LockedSpace> {
        let space = tx.answer_one(self.row).await?.ok_or(Refusal::NotFound)?;
        let in_parts = tx.answer_one(self.in_parts).await?.unwrap_or_default();
        Ok(LockedSpace { in_parts, ..space })
    }
}

/// Reads `seq, trash_id, used, quota` after `count` numbers were taken.
fn read_space(
    change: &Change,
    count: i64,
) -> impl FnMut(&dyn Row) -> StoreResult<LockedSpace> + Send + use<> {
    let quota_default_bytes = change.quota_default_bytes;
    move |row| {
        Ok(LockedSpace {
            first_seq: row.int(0)? - count + 1,
            trash: NodeId(row.int(1)?),
            used: row.int(2)?,
            in_parts: InParts::default(),
            quota: effective_quota(row.opt_int(3)?, quota_default_bytes),
        })
    }
}

/// Takes the space's row lock and `count` numbers.
pub(crate) async fn lock_space<T: Tx>(
    tx: &mut T,
    change: &Change,
    count: i64,
) -> StoreResult<LockedSpace> {
    let asked = ask_lock_space(tx, change, count).await?;
    asked.answer(tx).await
}

/// Sends the statement that takes the space's row lock and `count` numbers; questions that
/// travel behind it are answered under the lock.
pub(crate) async fn ask_lock_space<T: Tx>(
    tx: &mut T,
    change: &Change,
    count: i64,
) -> StoreResult<AskedSpace> {
    let row = tx
        .ask(
            "UPDATE space SET seq = seq + $1 WHERE id = $2 AND state = 0 \
             RETURNING seq, trash_id, used, quota",
            &[count.into(), change.space.0.into()],
            read_space(change, count),
        )
        .await?;
    AskedSpace::with_parts(tx, change.space, row).await
}

/// Takes more numbers after [`lock_space`]; returns the first.
pub(crate) async fn more_seqs<T: Tx>(tx: &mut T, space: SpaceId, count: i64) -> StoreResult<i64> {
    let seq = tx
        .row(
            "UPDATE space SET seq = seq + $1 WHERE id = $2 RETURNING seq",
            &[count.into(), space.0.into()],
            |row| row.int(0),
        )
        .await?;
    Ok(seq.ok_or(Refusal::NotFound)? - count + 1)
}

/// A space's own quota, else the default; a stored -1 means no limit.
pub(crate) fn effective_quota(stored: Option<i64>, default_bytes: Option<u64>) -> Option<u64> {
    match stored {
        None => default_bytes,
        Some(bytes) => u64::try_from(bytes).ok(),
    }
}

impl LockedSpace {
    /// Bytes that nothing else may take: of current files, and of parts on their way.
    pub(crate) fn taken(&self) -> i64 {
        self.used.saturating_add(self.in_parts.bytes)
    }

    /// Refuses a growth that the quota does not allow; shrinking is always allowed.
    pub(crate) fn check_quota(&self, growth_bytes: i64) -> StoreResult<()> {
        match self.quota {
            Some(quota_bytes)
                if growth_bytes > 0
                    && self.taken().saturating_add(growth_bytes) > signed(quota_bytes) =>
            {
                Err(Refusal::QuotaExceeded {
                    quota_bytes,
                    used_bytes: unsigned(self.taken()),
                    needed_bytes: unsigned(growth_bytes),
                }
                .into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Reads a node by number.
pub(crate) async fn node_by_id<T: Tx>(tx: &mut T, id: NodeId) -> StoreResult<Option<Node>> {
    tx.row(
        "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, tree_files, \
         rev, mtime, ctime, flags FROM node WHERE id = $1",
        &[id.0.into()],
        read_node,
    )
    .await
}

/// Keeps the state that `node` had until now as a row of history.
///
/// `kept_bytes` is what the row charges to the space's versions: the size of a
/// content that is replaced, else 0.
pub(crate) async fn archive<T: Tx>(
    tx: &mut T,
    (node, kept_bytes): (&Node, i64),
    to_seq: i64,
    change: &Change,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO hist (node_id, space_id, from_seq, to_seq, parent_id, name, content_id, size, \
         mtime, actor, at, kept) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            node.id.0.into(),
            node.space.0.into(),
            node.seq.into(),
            to_seq.into(),
            node.parent.map(|id| id.0).into(),
            node.name.as_str().into(),
            node.content.map(|id| id.0).into(),
            signed(node.size_bytes).into(),
            node.mtime.0.into(),
            change.actor.0.into(),
            change.now.0.into(),
            kept_bytes.into(),
        ],
    )
    .await?;
    Ok(())
}

/// What a change does to everything above it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Growth {
    /// Bytes of current files, more or less.
    pub(crate) bytes: i64,
    /// Current files, more or less.
    pub(crate) files: i64,
}

/// Carries a change up through `above` (the root first).
pub(crate) async fn touch_above<T: Tx>(
    tx: &mut T,
    above: &[Node],
    seq: i64,
    growth: Growth,
) -> StoreResult<()> {
    for folder in above.iter().rev() {
        tx.perform(
            "UPDATE node SET tree_seq = $1, size = size + $2, tree_files = tree_files + $3 \
             WHERE id = $4",
            &[
                seq.into(),
                growth.bytes.into(),
                growth.files.into(),
                folder.id.0.into(),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Charges a space: current bytes and files, and bytes kept as versions and trash.
pub(crate) async fn charge<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    growth: Growth,
    kept_bytes: i64,
) -> StoreResult<()> {
    tx.perform(
        "UPDATE space SET used = used + $1, files = files + $2, kept = kept + $3 WHERE id = $4",
        &[
            growth.bytes.into(),
            growth.files.into(),
            kept_bytes.into(),
            space.0.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Writes the mark by which the feed tells that a node left a folder.
pub(crate) async fn bury<T: Tx>(
    tx: &mut T,
    node: &Node,
    seq: i64,
    why: Departure,
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO tomb (space_id, seq, node_id, parent_id, why, at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            node.space.0.into(),
            seq.into(),
            node.id.0.into(),
            node.parent.map(|id| id.0).into(),
            Value::Int(why as i64),
            now.0.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Why a node left its folder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Departure {
    /// It was deleted.
    Deleted = 0,
    /// It moved to another folder.
    Moved = 1,
}

/// Returns the path of a node by walking up; `None` when it is not under a root (trash), or lies
/// deeper than a path can lead because a folder above it was moved.
pub(crate) async fn path_of<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    id: NodeId,
) -> StoreResult<Option<NodePath>> {
    let root = tx
        .row(
            "SELECT root_id FROM space WHERE id = $1",
            &[space.0.into()],
            |row| row.int(0),
        )
        .await?;
    let mut names = Vec::new();
    let mut at = id;
    while Some(at.0) != root {
        let Some((parent, name)) = tx
            .row(
                "SELECT parent_id, name FROM node WHERE id = $1",
                &[at.0.into()],
                |row| Ok((row.opt_int(0)?, row.text(1)?)),
            )
            .await?
        else {
            return Ok(None);
        };
        let Some(parent) = parent else {
            return Ok(None);
        };
        names.push(name);
        at = NodeId(parent);
        if names.len() > NodePath::DEPTH_MAX {
            return Ok(None);
        }
    }
    names.reverse();
    match NodePath::parse(&names.join("/")) {
        Ok(path) => Ok(Some(path)),
        Err(PathFault::TooLong) => Ok(None),
        Err(fault) => Err(StoreError::Corrupt(format!("node {}: {fault}", id.0))),
    }
}

/// Returns the paths of nodes, `None` for those that [`path_of`] has none for: one question for each folder above them,
/// all of one depth together.
pub(crate) async fn paths_of<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    nodes: &[Node],
) -> StoreResult<Vec<Option<NodePath>>> {
    let tops = HashSet::from([root_of(tx, space).await?]);
    let places = places_below(tx, &tops, nodes).await?;
    let path = |place: Option<(NodeId, NodePath)>| place.map(|(_, path)| path);
    Ok(places.into_iter().map(path).collect())
}

/// Returns the root of a space.
pub(crate) async fn root_of<T: Tx>(tx: &mut T, space: SpaceId) -> StoreResult<NodeId> {
    let root = tx
        .row(
            "SELECT root_id FROM space WHERE id = $1",
            &[space.0.into()],
            |row| row.int(0),
        )
        .await?;
    Ok(NodeId(root.ok_or(Refusal::NotFound)?))
}

/// Finds where each of some nodes lies below the nearest of some tops: one question for each folder above them.
///
/// `None`: below none of them, or in a trash.
pub(crate) async fn places_below<T: Tx>(
    tx: &mut T,
    tops: &HashSet<NodeId>,
    nodes: &[Node],
) -> StoreResult<Vec<Option<(NodeId, NodePath)>>> {
    let mut known: HashMap<NodeId, (Option<NodeId>, String)> = HashMap::new();
    let below = nodes.iter().filter(|node| !tops.contains(&node.id));
    let mut wanted: HashSet<NodeId> = below.filter_map(|node| node.parent).collect();
    wanted.retain(|id| !tops.contains(id));
    while !wanted.is_empty() {
        let mut asked = Vec::with_capacity(wanted.len());
        for id in wanted.drain() {
            let question = tx
                .ask(
                    "SELECT parent_id, name FROM node WHERE id = $1",
                    &[id.0.into()],
                    |row| Ok((row.opt_int(0)?.map(NodeId), row.text(1)?)),
                )
                .await?;
            asked.push((id, question));
        }
        for (id, question) in asked {
            let found = tx.answer_one(question).await?;
            let (parent, name) = found.unwrap_or((None, String::new()));
            known.insert(id, (parent, name));
        }
        let above = known.values().filter_map(|(parent, _)| *parent);
        wanted = above
            .filter(|id| !tops.contains(id) && !known.contains_key(id))
            .collect();
    }
    let place = |node: &Node| {
        if tops.contains(&node.id) {
            return Some((node.id, NodePath::root()));
        }
        let mut names = Vec::new();
        let (mut parent, mut name) = (node.parent, node.name.as_str());
        let top = loop {
            names.push(name);
            let above = parent.filter(|_| names.len() <= NodePath::DEPTH_MAX)?;
            if tops.contains(&above) {
                break above;
            }
            let (next, of_above) = known.get(&above)?;
            (parent, name) = (*next, of_above.as_str());
        };
        names.reverse();
        Some((top, NodePath::parse(&names.join("/")).ok()?))
    };
    Ok(nodes.iter().map(place).collect())
}
