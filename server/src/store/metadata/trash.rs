//! The trash of a space: see what was deleted, bring it back, let it go.
//!
//! A deleted tree hangs whole under the space's hidden folder, and a row of `trash` says
//! where it was. Bringing it back is one move, with everything that was kept of it:
//! number, versions, properties. It goes to the folder that held it, wherever that is now; where
//! that folder is gone, to the root. A name that is taken gets ` (restored)`.
//!
//! # Always true
//!
//! * Name and second of deletion together name one entry of a space's trash.
//! * A row whose moment is 0 was let go: nobody sees it, nothing brings it back, and the next
//!   slices of housekeeping delete it for good.
//! * What comes back appears in the feed node by node, so that somebody who began to read
//!   while it was deleted learns of all of it.

use std::collections::HashMap;
use std::collections::HashSet;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Event;
use crate::store::metadata::activity::note;
use crate::store::metadata::copy::gather;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::history::purge_tree;
use crate::store::metadata::locks::Reach;
use crate::store::metadata::locks::require_unlocked;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::more_seqs;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::shares::suspend_shares;
use crate::store::metadata::tree::files_of;
use crate::store::metadata::tree::place_node;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::walk;

/// Entries of the trash in one page.
pub const TRASH_PAGE: usize = 1_000;

/// Names that are tried for something that comes back where its own name is taken.
const NAMES_TRIED: usize = 100;
/// What follows the last dot of a name is its ending, with the dot, unless it is longer.
const ENDING_BYTES_MAX: usize = 64;

/// A deleted tree.
#[derive(Debug, Clone)]
pub struct TrashEntry {
    /// Its top, as it is now; its name says nothing.
    pub node: Node,
    /// The name that it had.
    pub name: String,
    /// When it was deleted; unlike that of any other entry of this name, to the second.
    pub deleted_at: Timestamp,
    /// Sign-in name of who deleted it; `None`: the account is gone.
    pub deleted_by: Option<String>,
    /// That person's name as people see it.
    pub deleted_by_shown: Option<String>,
    /// Where it was, by the present names of the folders above.
    pub original: NodePath,
    parent: Option<NodeId>,
}

/// Reads the columns of a node, then `name, at, account name, display name, parent` of its deletion.
fn read_entry(row: &dyn Row) -> StoreResult<TrashEntry> {
    Ok(TrashEntry {
        node: read_node(row)?,
        name: row.text(NODE_COLUMNS)?,
        deleted_at: Timestamp(row.int(NODE_COLUMNS + 1)?),
        deleted_by: row.opt_text(NODE_COLUMNS + 2)?,
        deleted_by_shown: row.opt_text(NODE_COLUMNS + 3)?,
        original: NodePath::root(),
        parent: row.opt_int(NODE_COLUMNS + 4)?.map(NodeId),
    })
}

/// The statement of a page of a space's trash, from some place on.
macro_rules! page_of_trash {
    ($tail:literal) => {
        concat!(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
             n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, t.name, \
             t.at, a.name, a.display_name, t.parent_id FROM trash t \
             JOIN node n ON n.id = t.node_id LEFT JOIN account a ON a.id = t.deleted_by \
             WHERE t.space_id = $1 AND t.at > 0 AND ",
            $tail
        )
    };
}

/// Reads a page of a space's trash, beside the entry with this moment and number.
async fn list_page<T: Tx>(
    tx: &mut T,
    page: &'static str,
    space: SpaceId,
    (at, id): (Timestamp, NodeId),
) -> StoreResult<Vec<TrashEntry>> {
    let limit = signed(TRASH_PAGE as u64);
    let place = [space.0.into(), at.0.into(), id.0.into(), limit.into()];
    let mut entries = tx.rows(page, &place, read_entry).await?;
    name_origins(tx, &mut entries).await?;
    Ok(entries)
}

/// Lists the next deleted trees of a space, the oldest first.
#[derive(Debug)]
pub struct ListTrash {
    /// The space.
    pub space: SpaceId,
    /// Moment and number of the last one of the page before; zeros to begin.
    pub after: (Timestamp, NodeId),
}

impl Operation for ListTrash {
    type Output = Vec<TrashEntry>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<TrashEntry>> {
        let page = page_of_trash!(
            "t.at >= $2 AND (t.at > $2 OR t.node_id > $3) ORDER BY t.at, t.node_id LIMIT $4"
        );
        list_page(tx, page, self.space, self.after).await
    }
}

/// Lists the next deleted trees of a space, the newest first.
#[derive(Debug)]
pub struct ListNewestTrash {
    /// The space.
    pub space: SpaceId,
    /// Moment and number of the last one of the page before; `None` to begin.
    pub before: Option<(Timestamp, NodeId)>,
}

impl Operation for ListNewestTrash {
    type Output = Vec<TrashEntry>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<TrashEntry>> {
        let last = (Timestamp(i64::MAX), NodeId(i64::MAX));
        let before = self.before.unwrap_or(last);
        let page = page_of_trash!(
            "t.at <= $2 AND (t.at < $2 OR t.node_id < $3) ORDER BY t.at DESC, t.node_id DESC LIMIT $4"
        );
        list_page(tx, page, self.space, before).await
    }
}

/// Finds the name that a deleted tree had, and when it was deleted.
#[derive(Debug)]
pub struct NameInTrash {
    /// The space.
    pub space: SpaceId,
    /// The tree.
    pub node: NodeId,
}

impl Operation for NameInTrash {
    type Output = Option<(String, Timestamp)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<(String, Timestamp)>> {
        tx.row(
            "SELECT name, at FROM trash WHERE node_id = $1 AND space_id = $2 AND at > 0",
            &[self.node.0.into(), self.space.0.into()],
            |row| Ok((row.text(0)?, Timestamp(row.int(1)?))),
        )
        .await
    }
}

/// Finds a deleted tree by the name that it had and the second of its deletion, or what lies below it.
#[derive(Debug)]
pub struct FindInTrash {
    /// The space.
    pub space: SpaceId,
    /// The name that it had.
    pub name: String,
    /// The second, since 1970.
    pub second: i64,
    /// The names that lead down from it.
    pub below: Vec<NodeName>,
}

impl Operation for FindInTrash {
    /// The entry, and the node that was asked for.
    type Output = Option<(TrashEntry, Node)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<(TrashEntry, Node)>> {
        let found = find(tx, self.space, (&self.name, self.second)).await?;
        let Some(entry) = found else {
            return Ok(None);
        };
        let node = if self.below.is_empty() {
            Some(entry.node.clone())
        } else {
            crate::store::metadata::walk::walk_below(tx, entry.node.id, &self.below).await?
        };
        let mut entries = [entry];
        name_origins(tx, &mut entries).await?;
        let [entry] = entries;
        Ok(node.map(|node| (entry, node)))
    }
}

async fn find<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    (name, second): (&str, i64),
) -> StoreResult<Option<TrashEntry>> {
    let from = Timestamp::from_seconds(second);
    tx.row(
        "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
         n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, t.name, \
         t.at, a.name, a.display_name, t.parent_id FROM trash t \
         JOIN node n ON n.id = t.node_id LEFT JOIN account a ON a.id = t.deleted_by \
         WHERE t.space_id = $1 AND t.at > 0 AND t.at >= $2 AND t.at < $3 AND t.name = $4 \
         ORDER BY t.at LIMIT 1",
        &[
            space.0.into(),
            from.0.into(),
            from.plus_seconds(1).0.into(),
            name.into(),
        ],
        read_entry,
    )
    .await
}

/// Finds out where deleted trees were: one question for each folder, all of one depth together.
async fn name_origins<T: Tx>(tx: &mut T, entries: &mut [TrashEntry]) -> StoreResult<()> {
    let mut known: HashMap<NodeId, (Option<NodeId>, String)> = HashMap::new();
    let mut wanted: HashSet<NodeId> = entries.iter().filter_map(|entry| entry.parent).collect();
    for _level in 0..NodePath::DEPTH_MAX {
        let mut asked = Vec::new();
        for id in wanted.drain() {
            // A folder that is deleted itself is known by where it was.
            let question = tx
                .ask(
                    "SELECT coalesce(t.parent_id, n.parent_id), coalesce(t.name, n.name) \
                     FROM node n LEFT JOIN trash t ON t.node_id = n.id WHERE n.id = $1",
                    &[id.0.into()],
                    |row| Ok((row.opt_int(0)?.map(NodeId), row.text(1)?)),
                )
                .await?;
            asked.push((id, question));
        }
        let mut above = HashSet::new();
        for (id, question) in asked {
            let found = tx.answer_one(question).await?;
            let found = found.unwrap_or((None, String::new()));
            above.extend(found.0);
            known.insert(id, found);
        }
        wanted = above
            .into_iter()
            .filter(|id| !known.contains_key(id))
            .collect();
        if wanted.is_empty() {
            break;
        }
    }
    for entry in entries {
        let mut names = vec![entry.name.clone()];
        let mut at = entry.parent;
        while let Some((above, name)) = at.and_then(|id| known.get(&id)) {
            if names.len() >= NodePath::DEPTH_MAX {
                break;
            }
            if !name.is_empty() {
                names.push(name.clone());
            }
            at = *above;
        }
        names.reverse();
        let whole = NodePath::parse(&names.join("/"));
        entry.original = whole
            .or_else(|_too_long| NodePath::parse(&entry.name))
            .unwrap_or_default();
    }
    Ok(())
}

/// Brings a deleted tree back.
#[derive(Debug)]
pub struct RestoreFromTrash {
    /// Space, person and moment.
    pub change: Change,
    /// The name that it had.
    pub name: String,
    /// The second of its deletion, since 1970.
    pub second: i64,
}

impl Operation for RestoreFromTrash {
    /// The node as it is now, and where.
    type Output = (Node, NodePath);

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(Node, NodePath)> {
        let change = &self.change;
        let space = lock_space(tx, change, 1).await?;
        let found = find(tx, change.space, (&self.name, self.second)).await?;
        let entry = found.ok_or(Refusal::NotFound)?;
        let node = &entry.node;
        space.check_quota(signed(node.size_bytes))?;
        let folder = match entry.parent {
            Some(parent) => path_of(tx, change.space, parent).await?,
            None => None,
        };
        let (path, name) = free_name(tx, change, folder.unwrap_or_default(), &entry.name).await?;
        let target = walk(tx, change.space, &path).await?;
        let no_tokens = Precondition::default();
        require_unlocked(tx, change, (&path, &target), &no_tokens, Reach::Tree).await?;
        let above = target.above()?;
        let folder = above.last().ok_or(Refusal::ParentMissing)?;
        let last_seq = renumber(tx, change, node, space.first_seq).await?;
        let renumbered = node_by_id(tx, node.id).await?.ok_or(Refusal::NotFound)?;
        let fold = name.fold();
        place_node(
            tx,
            &renumbered,
            folder.id,
            (name.as_str(), &fold),
            renumbered.seq,
        )
        .await?;
        let kept = tx
            .row(
                "DELETE FROM trash WHERE node_id = $1 RETURNING size",
                &[node.id.0.into()],
                |row| row.int(0),
            )
            .await?;
        suspend_shares(tx, change.space, node.id, false).await?;
        let growth = Growth {
            bytes: signed(node.size_bytes),
            files: files_of(node),
        };
        touch_above(tx, above, last_seq, growth).await?;
        charge(tx, change.space, growth, -kept.unwrap_or(0)).await?;
        let node = node_by_id(tx, node.id).await?.ok_or(Refusal::NotFound)?;
        note(tx, change, Event::of(Deed::Restored, &node)).await?;
        Ok((node, path))
    }
}

/// Returns a path in a folder (or, where that is too deep, in the root) that nothing has.
async fn free_name<T: Tx>(
    tx: &mut T,
    change: &Change,
    folder: NodePath,
    name: &str,
) -> StoreResult<(NodePath, NodeName)> {
    for number in 0..NAMES_TRIED {
        let Ok(name) = NodeName::parse(&numbered(name, number)) else {
            continue;
        };
        let path = folder.child(name.clone());
        let Ok(path) = path.or_else(|_too_deep| NodePath::root().child(name.clone())) else {
            continue;
        };
        if walk(tx, change.space, &path).await?.target().is_none() {
            return Ok((path, name));
        }
    }
    Err(Refusal::AlreadyExists.into())
}

/// Returns a name with ` (restored)` before its ending, or for 0 the name itself; what is too long loses
/// the end of its first part.
fn numbered(name: &str, number: usize) -> String {
    let mark = match number {
        0 => return name.to_owned(),
        1 => " (restored)".to_owned(),
        number => format!(" (restored {number})"),
    };
    let ending_at = name.rfind('.').filter(|at| *at > 0);
    let ending_at = ending_at.filter(|at| name.len() - at <= ENDING_BYTES_MAX);
    let (stem, ending) = name.split_at(ending_at.unwrap_or(name.len()));
    let room = NodeName::BYTES_MAX - mark.len() - ending.len();
    let (stem, _) = stem.split_at(stem.floor_char_boundary(room));
    format!("{stem}{mark}{ending}")
}

/// Gives every node of a tree a new number, from the top down, and keeps the former states;
/// returns the last number. The first one was taken already.
async fn renumber<T: Tx>(
    tx: &mut T,
    change: &Change,
    top: &Node,
    first_seq: i64,
) -> StoreResult<i64> {
    let count = gather(tx, top, true).await?;
    let last_seq = if count > 1 {
        more_seqs(tx, change.space, count - 1).await? + count - 2
    } else {
        first_seq
    };
    tx.perform(
        "INSERT INTO hist (node_id, space_id, from_seq, to_seq, parent_id, name, content_id, size, \
         mtime, actor, at, kept) SELECT n.id, n.space_id, n.seq, c.ordinal + $1, n.parent_id, \
         n.name, n.content_id, n.size, n.mtime, $2, $3, 0 \
         FROM copied c CROSS JOIN node n WHERE n.id = c.old_id",
        &[first_seq.into(), change.actor.0.into(), change.now.0.into()],
    )
    .await?;
    tx.perform(
        "UPDATE node SET seq = $1 + (SELECT c.ordinal FROM copied c WHERE c.old_id = node.id), \
         tree_seq = CASE WHEN kind = 0 THEN $2 \
         ELSE $1 + (SELECT c.ordinal FROM copied c WHERE c.old_id = node.id) END \
         WHERE id IN (SELECT old_id FROM copied)",
        &[first_seq.into(), last_seq.into()],
    )
    .await?;
    Ok(last_seq)
}

/// Lets go of what is in the trash: at once nobody sees it any more.
#[derive(Debug)]
pub struct DiscardTrash {
    /// The space.
    pub space: SpaceId,
    /// One deleted tree; `None`: all.
    pub only: Option<NodeId>,
}

impl Operation for DiscardTrash {
    /// Trees that were let go.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        lock_space_row(tx, self.space).await?;
        match self.only {
            Some(node) => discard_one(tx, self.space, node).await,
            None => {
                tx.execute(
                    "UPDATE trash SET at = 0 WHERE space_id = $1 AND at > 0",
                    &[self.space.0.into()],
                )
                .await
            }
        }
    }
}

/// Lets go of one deleted tree.
pub(crate) async fn discard_one<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    node: NodeId,
) -> StoreResult<u64> {
    tx.execute(
        "UPDATE trash SET at = 0 WHERE node_id = $1 AND space_id = $2 AND at > 0",
        &[node.0.into(), space.0.into()],
    )
    .await
}

/// Deletes for good a slice of what was let go in a space.
#[derive(Debug)]
pub struct PurgeDiscarded {
    /// The space.
    pub space: SpaceId,
    /// The present.
    pub now: Timestamp,
}

impl Operation for PurgeDiscarded {
    /// Whether there may be more.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        lock_space_row(tx, self.space).await?;
        let due = tx
            .row(
                "SELECT node_id, size FROM trash WHERE space_id = $1 AND at = 0 LIMIT 1",
                &[self.space.0.into()],
                |row| Ok((NodeId(row.int(0)?), row.int(1)?)),
            )
            .await?;
        match due {
            Some(tree) => purge_tree(tx, self.space, tree, self.now)
                .await
                .map(|_| true),
            None => Ok(false),
        }
    }
}
