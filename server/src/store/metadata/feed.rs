//! The feed: what changed in a space after a cursor.
//!
//! It is state-based: a node changed fifty times is one entry, in its present
//! state, and a moved folder is one entry however much lies in it. Tombstones tell
//! what left. Whoever applies every entry after a cursor to the state at that
//! cursor has the present state.
//!
//! # Always true
//!
//! * A page is read on one snapshot, and its cursor is the space's number on that
//!   snapshot (or the last entry's, when the page was cut): no change with a
//!   smaller number becomes visible later.
//! * Nothing that lies in the trash appears; what moved to where it was deleted is deleted.
//! * Of two entries with one number the departure comes first.

use std::collections::HashMap;

use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Reads what changed in a space after a cursor.
#[derive(Debug)]
pub struct ReadFeed {
    /// The space.
    pub space: SpaceId,
    /// The cursor of the page before; 0: from the beginning.
    pub after: i64,
    /// The most nodes, and the most departures, that a page brings; at least 2.
    pub limit: i64,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEntry {
    /// A node left a folder.
    Departed {
        /// The number of the change.
        seq: i64,
        /// The node.
        node: NodeId,
        /// The folder that it left.
        parent: Option<NodeId>,
        /// It went to another folder of the space and is there; else it was deleted.
        moved: bool,
    },
    /// A node is there, in this state.
    Present(Node),
}

impl FeedEntry {
    /// Returns the number of the change.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Departed { seq, .. } => *seq,
            Self::Present(node) => node.seq,
        }
    }
}

/// A part of the feed.
#[derive(Debug)]
pub struct FeedPage {
    /// In order.
    pub entries: Vec<FeedEntry>,
    /// Where the next page begins.
    pub cursor: i64,
    /// Whether more is there already.
    pub more: bool,
}

impl Operation for ReadFeed {
    /// `None`: the cursor lies before what is remembered; read everything from 0.
    type Output = Option<FeedPage>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<FeedPage>> {
        let space = tx
            .row(
                "SELECT seq, floor, trash_id FROM space WHERE id = $1 AND state = 0",
                &[self.space.0.into()],
                |row| Ok((row.int(0)?, row.int(1)?, NodeId(row.int(2)?))),
            )
            .await?;
        let (end, floor, trash) = space.ok_or(Refusal::NotFound)?;
        if self.after != 0 && self.after < floor {
            return Ok(None);
        }
        let mut page = self.changes(tx, end).await?;
        let mut in_trash = HashMap::from([(trash, true)]);
        let mut shown = Vec::with_capacity(page.entries.len());
        for entry in std::mem::take(&mut page.entries) {
            match entry {
                FeedEntry::Departed {
                    seq,
                    node,
                    parent,
                    moved,
                } => {
                    // Where it went may have been deleted meanwhile; then it is gone for the reader.
                    let moved = moved && is_shown(tx, node, &mut in_trash).await?;
                    shown.push(FeedEntry::Departed {
                        seq,
                        node,
                        parent,
                        moved,
                    });
                }
                FeedEntry::Present(node) => {
                    if is_shown(tx, node.id, &mut in_trash).await? {
                        shown.push(FeedEntry::Present(node));
                    }
                }
            }
        }
        page.entries = shown;
        Ok(Some(page))
    }
}

impl ReadFeed {
    /// Merges changed nodes and departures up to where both are complete.
    async fn changes<T: Tx>(&self, tx: &mut T, end: i64) -> StoreResult<FeedPage> {
        let params = [
            self.space.0.into(),
            self.after.into(),
            end.into(),
            self.limit.into(),
        ];
        let present = tx
            .rows(
                "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, \
                 tree_files, rev, mtime, ctime, flags FROM node \
                 WHERE space_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
                &params,
                |row| read_node(row).map(FeedEntry::Present),
            )
            .await?;
        let departed = tx
            .rows(
                "SELECT seq, node_id, parent_id, why FROM tomb \
                 WHERE space_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
                &params,
                |row| {
                    Ok(FeedEntry::Departed {
                        seq: row.int(0)?,
                        node: NodeId(row.int(1)?),
                        parent: row.opt_int(2)?.map(NodeId),
                        moved: row.int(3)? == 1,
                    })
                },
            )
            .await?;
        let cursor = self
            .complete_until(&present)
            .min(self.complete_until(&departed));
        let more = cursor < end;
        let cursor = cursor.min(end);
        let mut entries: Vec<_> = departed
            .into_iter()
            .chain(present)
            .filter(|entry| entry.seq() <= cursor)
            .collect();
        // Stable: of one number, the departure stays in front.
        entries.sort_by_key(FeedEntry::seq);
        Ok(FeedPage {
            entries,
            cursor,
            more,
        })
    }

    /// Returns the number up to which a list has everything.
    fn complete_until(&self, entries: &[FeedEntry]) -> i64 {
        match entries.last() {
            Some(last) if entries.len() as u64 >= self.limit.unsigned_abs() => last.seq(),
            Some(_) | None => i64::MAX,
        }
    }
}

/// Returns whether a node exists and lies outside the trash; remembers what it learned on the way up.
async fn is_shown<T: Tx>(
    tx: &mut T,
    node: NodeId,
    in_trash: &mut HashMap<NodeId, bool>,
) -> StoreResult<bool> {
    let mut trail = Vec::new();
    let mut at = node;
    let hidden = loop {
        if let Some(known) = in_trash.get(&at) {
            break *known;
        }
        trail.push(at);
        let above = tx
            .row(
                "SELECT parent_id FROM node WHERE id = $1",
                &[at.0.into()],
                |row| row.opt_int(0),
            )
            .await?;
        match above {
            Some(Some(parent)) => at = NodeId(parent),
            Some(None) => break false,
            None => break true,
        }
    };
    in_trash.extend(trail.into_iter().map(|id| (id, hidden)));
    Ok(!hidden)
}
