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
//! * Nothing that lies in the trash appears.
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
        /// It went to another folder of the space; else it was deleted.
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
            let hidden = match &entry {
                FeedEntry::Departed { .. } => false,
                FeedEntry::Present(node) if node.id == trash => true,
                FeedEntry::Present(node) => match node.parent {
                    Some(parent) => is_in_trash(tx, parent, &mut in_trash).await?,
                    None => false,
                },
            };
            if !hidden {
                shown.push(entry);
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

/// Returns whether a folder lies in the trash; remembers what it learned on the way up.
async fn is_in_trash<T: Tx>(
    tx: &mut T,
    folder: NodeId,
    known: &mut HashMap<NodeId, bool>,
) -> StoreResult<bool> {
    let mut trail = Vec::new();
    let mut at = folder;
    let answer = loop {
        if let Some(answer) = known.get(&at) {
            break *answer;
        }
        trail.push(at);
        let parent = tx
            .row(
                "SELECT parent_id FROM node WHERE id = $1",
                &[at.0.into()],
                |row| row.opt_int(0),
            )
            .await?
            .flatten();
        match parent {
            Some(parent) => at = NodeId(parent),
            None => break false,
        }
    };
    known.extend(trail.into_iter().map(|id| (id, answer)));
    Ok(answer)
}
