//! A tree goes to another space: its nodes keep their numbers, so that clients see a move.
//!
//! What it was stays with the space that it leaves, as history that charges that space: so "this
//! folder as of any moment" still shows it there. In its new space it begins anew, with contents of that space
//! which name the same frames; no byte is copied.

use nuage_shared::node_path::NodeName;

use crate::store::metadata::copy::carry_contents;
use crate::store::metadata::copy::gather;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::end_locks_of_tree;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Departure;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::LockedSpace;
use crate::store::metadata::nodes::bury;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::more_seqs;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::sharing_news::tell_if_any_went;
use crate::store::metadata::tree::Ends;
use crate::store::metadata::tree::files_of;
use crate::store::metadata::tree::put_into_trash;
use crate::store::metadata::tx::Tx;

/// One end of the move: who asks there, and the space's locked row.
type Side<'a> = (&'a Change, &'a LockedSpace);

/// Moves what `ends` found to the other space under `name`; what is there goes to that space's trash.
pub(crate) async fn move_across<T: Tx>(
    tx: &mut T,
    ((source, left), (change, space)): (Side<'_>, Side<'_>),
    ends: &Ends,
    name: &NodeName,
) -> StoreResult<()> {
    let node = ends.from.existing()?;
    let above = ends.to.above()?;
    let folder = above.last().ok_or(Refusal::ParentMissing)?;
    let size = signed(node.size_bytes);
    let old = ends.to.target();
    space.check_quota(size - old.map_or(0, |old| signed(old.size_bytes)))?;
    if let Some(old) = old {
        put_into_trash(tx, change, space, (old, above), space.first_seq).await?;
    }
    end_locks_of_tree(tx, source.space, node, source.now).await?;
    bury(tx, node, left.first_seq, Departure::Moved, source.now).await?;

    let count = gather(tx, node, true).await?;
    keep_as_history(tx, source, left.first_seq).await?;
    carry_contents(tx, (change.space, change.now)).await?;
    let first_seq = more_seqs(tx, change.space, count).await?;
    let last_seq = first_seq + count - 1;
    renumber(tx, (change, node.id.0), (first_seq, last_seq)).await?;
    tx.perform(
        "UPDATE node SET parent_id = $1, name = $2, fold = $3 WHERE id = $4",
        &[
            folder.id.0.into(),
            name.as_str().into(),
            name.fold().as_str().into(),
            node.id.0.into(),
        ],
    )
    .await?;
    let files = files_of(node);
    let gone = Growth {
        bytes: -size,
        files: -files,
    };
    touch_above(tx, ends.from.above()?, left.first_seq, gone).await?;
    charge(tx, source.space, gone, size).await?;
    let come = Growth { bytes: size, files };
    touch_above(tx, above, last_seq, come).await?;
    charge(tx, change.space, come, 0).await?;
    tell_if_any_went(tx, (change.space, node.id.0)).await
}

/// Keeps the state of every gathered node in the space that it leaves.
async fn keep_as_history<T: Tx>(tx: &mut T, source: &Change, to_seq: i64) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO hist (node_id, space_id, from_seq, to_seq, parent_id, name, content_id, size, \
         mtime, actor, at, kept) SELECT n.id, n.space_id, n.seq, $1, n.parent_id, n.name, \
         n.content_id, n.size, n.mtime, $2, $3, CASE n.kind WHEN 0 THEN 0 ELSE n.size END \
         FROM copied c CROSS JOIN node n WHERE n.id = c.old_id",
        &[to_seq.into(), source.actor.0.into(), source.now.0.into()],
    )
    .await
}

/// Gives every gathered node its place in the order of the new space, and contents of that space. Tags
/// belong to the space that is left.
async fn renumber<T: Tx>(
    tx: &mut T,
    (change, top): (&Change, i64),
    (first_seq, last_seq): (i64, i64),
) -> StoreResult<()> {
    tx.perform(
        "UPDATE node SET space_id = $1, \
         seq = $2 + (SELECT c.ordinal FROM copied c WHERE c.old_id = node.id), \
         born = $2 + (SELECT c.ordinal FROM copied c WHERE c.old_id = node.id), \
         tree_seq = CASE WHEN kind = 0 THEN $3 \
         ELSE $2 + (SELECT c.ordinal FROM copied c WHERE c.old_id = node.id) END, \
         content_id = coalesce((SELECT k.new_id FROM carried k WHERE k.old_id = node.content_id), content_id) \
         WHERE id IN (SELECT old_id FROM copied)",
        &[change.space.0.into(), first_seq.into(), last_seq.into()],
    )
    .await?;
    tx.perform(
        "DELETE FROM node_tag WHERE node_id IN (SELECT old_id FROM copied)",
        &[],
    )
    .await?;
    tx.perform(
        "UPDATE share SET space_id = $1, went_with = $2 WHERE node_id IN (SELECT old_id FROM copied)",
        &[change.space.0.into(), top.into()],
    )
    .await
}
