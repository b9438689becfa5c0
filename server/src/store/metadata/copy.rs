//! Copies of trees: rows that name the same bytes, in one transaction.
//!
//! Content is never copied. Inside a space a copied node names the same content;
//! in another space it names a content row of that space with the same frames,
//! because rows of `content` belong to one space.
//!
//! The tree is walked once into the temporary table `copied` (old number, position;
//! a folder stands before what it holds), which every connection has. Positions then give numbers and changes.
//! SQLite knows nothing of the size of a temporary table; `CROSS JOIN` makes it begin
//! there instead of scanning the nodes of everybody.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Event;
use crate::store::metadata::activity::note;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::archive;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::more_seqs;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tree::Ends;
use crate::store::metadata::tree::files_of;
use crate::store::metadata::tree::lock_both;
use crate::store::metadata::tree::put_into_trash;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Copies a node, with everything below, as rows that name the same contents; also to another space.
#[derive(Debug)]
pub struct Copy {
    /// Space, person and moment at the source.
    pub source: Change,
    /// The same at the target.
    pub change: Change,
    /// What.
    pub from: NodePath,
    /// Where to.
    pub to: NodePath,
    /// Replaces what is there; else that refuses.
    pub overwrite: bool,
    /// Copies a folder without its members (Depth: 0).
    pub shallow: bool,
    /// The request's conditions (of the source).
    pub precondition: Precondition,
}

impl Operation for Copy {
    type Output = Committed;

    fn space(&self) -> Option<SpaceId> {
        (self.source.space == self.change.space).then_some(self.change.space)
    }

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Committed> {
        let change = &self.change;
        self.source.require(Permissions::READ)?;
        // The source's lock keeps the collector from contents that get a second name here.
        let (_, space) = lock_both(tx, (&self.source, 0), (change, 1)).await?;
        let paths = (&self.from, &self.to);
        let places = (&self.source, change);
        let ends = Ends::find(tx, places, paths, &self.precondition, self.overwrite).await?;
        let source = ends.from.existing()?;
        let old = ends.to.target();
        if old.is_some_and(|old| old.id == source.id) || (ends.is_into_itself()? && !self.shallow) {
            return Err(Refusal::IntoItself.into());
        }
        if old.is_none() {
            change.require(Permissions::CREATE)?;
        }
        let whole = !(self.shallow && source.is_folder());
        let added = if whole { signed(source.size_bytes) } else { 0 };
        space.check_quota(added - old.map_or(0, |node| signed(node.size_bytes)))?;
        if let Some(old) = old {
            if !source.is_folder() && !old.is_folder() {
                return overwrite_file(tx, change, (source, old), &ends, space.first_seq).await;
            }
            if self.to.is_root() {
                // What somebody was given is not replaced by something else.
                return Err(Refusal::Root.into());
            }
            put_into_trash(tx, change, &space, (old, ends.to.above()?), space.first_seq).await?;
        }
        let target = CopyTarget {
            space: change.space,
            above: ends.to.above()?,
            name: self.to.name().ok_or(Refusal::Root)?,
            now: change.now,
        };
        let id = copy_tree(tx, source, whole, &target).await?;
        let node = node_by_id(tx, id).await?.ok_or(Refusal::NotFound)?;
        note(tx, change, Event::of(Deed::Created, &node)).await?;
        Ok(Committed {
            node,
            created: old.is_none(),
        })
    }
}

/// Makes the source's content a new version of the target, which keeps its number.
async fn overwrite_file<T: Tx>(
    tx: &mut T,
    change: &Change,
    (source, old): (&Node, &Node),
    ends: &Ends,
    seq: i64,
) -> StoreResult<Committed> {
    archive(tx, (old, signed(old.size_bytes)), seq, change).await?;
    let content = content_here(tx, change, source).await?;
    tx.perform(
        "UPDATE node SET seq = $1, tree_seq = $1, content_id = $2, size = $3, mtime = $4, \
         rev = CASE WHEN rev + 1 > $1 THEN rev + 1 ELSE $1 END, \
         content_at = CASE WHEN content_at + 1 > $5 THEN content_at + 1 ELSE $5 END \
         WHERE id = $6",
        &[
            seq.into(),
            content.into(),
            signed(source.size_bytes).into(),
            source.mtime.0.into(),
            (change.now.0 / 1_000).into(),
            old.id.0.into(),
        ],
    )
    .await?;
    tx.perform(
        "DELETE FROM property WHERE node_id = $1",
        &[old.id.0.into()],
    )
    .await?;
    tx.perform(
        "INSERT INTO property (node_id, namespace, name, value) \
         SELECT $1, namespace, name, value FROM property WHERE node_id = $2",
        &[old.id.0.into(), source.id.0.into()],
    )
    .await?;
    let growth = Growth {
        bytes: signed(source.size_bytes) - signed(old.size_bytes),
        files: 0,
    };
    touch_above(tx, ends.to.above()?, seq, growth).await?;
    charge(tx, change.space, growth, signed(old.size_bytes)).await?;
    let node = node_by_id(tx, old.id).await?.ok_or(Refusal::NotFound)?;
    note(tx, change, Event::of(Deed::Changed, &node)).await?;
    Ok(Committed {
        node,
        created: false,
    })
}

/// Returns a file's content in the space that changes; of a file of another space, with the same frames.
async fn content_here<T: Tx>(
    tx: &mut T,
    change: &Change,
    source: &Node,
) -> StoreResult<Option<i64>> {
    let content = source.content.map(|id| id.0);
    if source.space == change.space {
        return Ok(content);
    }
    gather(tx, source, false).await?;
    carry_contents(tx, (change.space, change.now)).await?;
    tx.row(
        "SELECT new_id FROM carried WHERE old_id = $1",
        &[content.into()],
        |row| row.int(0),
    )
    .await
}

/// Where a copied tree goes. The name is free, the quota was tested, the space is locked.
#[derive(Debug)]
pub(crate) struct CopyTarget<'a> {
    /// The space.
    pub(crate) space: SpaceId,
    /// The folders above, the root first.
    pub(crate) above: &'a [Node],
    /// The copy's name.
    pub(crate) name: &'a NodeName,
    /// The moment.
    pub(crate) now: Timestamp,
}

/// Numbers that a copy has taken.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    first_id: i64,
    first_seq: i64,
    last_seq: i64,
}

/// Copies a node, of a folder only itself unless `whole`; returns the copy's number.
///
/// Carries its size up to the root and charges the space.
pub(crate) async fn copy_tree<T: Tx>(
    tx: &mut T,
    source: &Node,
    whole: bool,
    target: &CopyTarget<'_>,
) -> StoreResult<NodeId> {
    let count = gather(tx, source, whole && source.is_folder()).await?;
    if source.space != target.space {
        carry_contents(tx, (target.space, target.now)).await?;
    }
    let first_seq = more_seqs(tx, target.space, count).await?;
    let numbers = Numbers {
        first_id: tx.reserve_ids("node", count).await?,
        first_seq,
        last_seq: first_seq + count - 1,
    };
    insert_members(tx, target, numbers).await?;
    let growth = if whole || !source.is_folder() {
        Growth {
            bytes: signed(source.size_bytes),
            files: files_of(source),
        }
    } else {
        Growth::default()
    };
    insert_top(tx, source, target, growth, numbers).await?;
    tx.perform(
        "INSERT INTO property (node_id, namespace, name, value) \
         SELECT $1 + c.ordinal, p.namespace, p.name, p.value \
         FROM copied c CROSS JOIN property p WHERE p.node_id = c.old_id",
        &[numbers.first_id.into()],
    )
    .await?;
    touch_above(tx, target.above, numbers.last_seq, growth).await?;
    charge(tx, target.space, growth, 0).await?;
    Ok(NodeId(numbers.first_id))
}

/// Fills `copied` with a node and, if `deep`, all below it; returns how many.
pub(crate) async fn gather<T: Tx>(tx: &mut T, source: &Node, deep: bool) -> StoreResult<i64> {
    tx.perform("DELETE FROM copied", &[]).await?;
    tx.perform("DELETE FROM carried", &[]).await?;
    let depth_max = if deep { i64::MAX } else { 0 };
    let count = tx
        .execute(
            "INSERT INTO copied (old_id, ordinal) \
             WITH RECURSIVE tree(id, depth) AS (\
             SELECT n.id, 0 FROM node n WHERE n.id = $1 UNION ALL \
             SELECT n.id, t.depth + 1 FROM tree t JOIN node n ON n.parent_id = t.id \
             WHERE t.depth < $2) \
             SELECT id, row_number() OVER (ORDER BY depth, id) - 1 FROM tree",
            &[source.id.0.into(), depth_max.into()],
        )
        .await?;
    Ok(signed(count))
}

/// Gives the target's space a row for each content of the copied nodes: the one that
/// it has with the same hash, else a new one that names the same frames.
pub(crate) async fn carry_contents<T: Tx>(
    tx: &mut T,
    (space, now): (SpaceId, Timestamp),
) -> StoreResult<()> {
    let space = space.0;
    tx.perform(
        "INSERT INTO carried (old_id, new_id, ordinal) \
         SELECT o.id, h.id, row_number() OVER (PARTITION BY h.id IS NULL ORDER BY o.id) - 1 \
         FROM (SELECT DISTINCT n.content_id AS id FROM copied c CROSS JOIN node n \
         WHERE n.id = c.old_id AND n.content_id IS NOT NULL) d CROSS JOIN content o \
         LEFT JOIN content h ON h.space_id = $1 AND h.hash = o.hash WHERE o.id = d.id",
        &[space.into()],
    )
    .await?;
    let missing = tx
        .row(
            "SELECT count(*) FROM carried WHERE new_id IS NULL",
            &[],
            |row| row.int(0),
        )
        .await?
        .unwrap_or(0);
    let first = tx.reserve_ids("content", missing).await?;
    tx.perform(
        "INSERT INTO content (id, space_id, hash, key_number, size, profile, chunks, pack, off, \
         stored, map, checksum, at) \
         SELECT $1 + k.ordinal, $2, c.hash, c.key_number, c.size, c.profile, c.chunks, c.pack, \
         c.off, c.stored, c.map, c.checksum, $3 \
         FROM carried k CROSS JOIN content c WHERE c.id = k.old_id AND k.new_id IS NULL",
        &[first.into(), space.into(), now.0.into()],
    )
    .await?;
    tx.perform(
        "INSERT INTO hot_chunk (content_id, data) SELECT $1 + k.ordinal, h.data \
         FROM carried k CROSS JOIN hot_chunk h WHERE h.content_id = k.old_id AND k.new_id IS NULL",
        &[first.into()],
    )
    .await?;
    tx.perform(
        "INSERT INTO content_pack (pack, content_id) SELECT p.pack, $1 + k.ordinal \
         FROM carried k CROSS JOIN content_pack p WHERE p.content_id = k.old_id AND k.new_id IS NULL",
        &[first.into()],
    )
    .await?;
    tx.perform(
        "INSERT INTO hook (space_id, id8, content_id) SELECT $1, h.id8, $2 + k.ordinal \
         FROM carried k CROSS JOIN hook h WHERE h.content_id = k.old_id AND k.new_id IS NULL",
        &[space.into(), first.into()],
    )
    .await?;
    tx.perform(
        "UPDATE carried SET new_id = $1 + ordinal WHERE new_id IS NULL",
        &[first.into()],
    )
    .await?;
    Ok(())
}

/// Inserts what lies below the top: parents take smaller numbers than what they hold.
async fn insert_members<T: Tx>(
    tx: &mut T,
    target: &CopyTarget<'_>,
    numbers: Numbers,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
         content_id, size, tree_files, rev, content_at, mtime, ctime, flags) \
         SELECT $1 + c.ordinal, $2, $1 + p.ordinal, n.name, n.fold, n.kind, \
         $3 + c.ordinal, $3 + c.ordinal, CASE n.kind WHEN 0 THEN $4 ELSE $3 + c.ordinal END, \
         coalesce(k.new_id, n.content_id), n.size, n.tree_files, $3 + c.ordinal, $5, n.mtime, $6, \
         n.flags FROM copied c CROSS JOIN node n CROSS JOIN copied p \
         LEFT JOIN carried k ON k.old_id = n.content_id \
         WHERE n.id = c.old_id AND p.old_id = n.parent_id AND c.ordinal > 0",
        &[
            numbers.first_id.into(),
            target.space.0.into(),
            numbers.first_seq.into(),
            numbers.last_seq.into(),
            (target.now.0 / 1_000).into(),
            target.now.0.into(),
        ],
    )
    .await?;
    Ok(())
}

async fn insert_top<T: Tx>(
    tx: &mut T,
    source: &Node,
    target: &CopyTarget<'_>,
    growth: Growth,
    numbers: Numbers,
) -> StoreResult<()> {
    let folder = target.above.last().ok_or(Refusal::ParentMissing)?;
    let (tree_seq, tree_files) = if source.is_folder() {
        (numbers.last_seq, growth.files)
    } else {
        (numbers.first_seq, 0)
    };
    tx.perform(
        "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
         content_id, size, tree_files, rev, content_at, mtime, ctime, flags) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, \
         coalesce((SELECT new_id FROM carried WHERE old_id = $9), $9), $10, $11, $7, $12, $13, \
         $14, $15)",
        &[
            numbers.first_id.into(),
            target.space.0.into(),
            folder.id.0.into(),
            target.name.as_str().into(),
            target.name.fold().as_str().into(),
            i64::from(!source.is_folder()).into(),
            numbers.first_seq.into(),
            tree_seq.into(),
            source.content.map(|id| id.0).into(),
            growth.bytes.into(),
            tree_files.into(),
            (target.now.0 / 1_000).into(),
            source.mtime.0.into(),
            target.now.0.into(),
            source.flags.into(),
        ],
    )
    .await?;
    Ok(())
}
