//! Operations on whole trees: make a folder, move, delete, set times and properties.
//!
//! A move or delete is one row however large the tree.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::NANOS;
use crate::clock::Timestamp;
use crate::store::metadata::across::move_across;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Event;
use crate::store::metadata::activity::inherit;
use crate::store::metadata::activity::note;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::Reach;
use crate::store::metadata::locks::check_precondition;
use crate::store::metadata::locks::end_locks_of_tree;
use crate::store::metadata::locks::require_unlocked;
use crate::store::metadata::marks::mark_favorite;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Departure;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::LockedSpace;
use crate::store::metadata::nodes::archive;
use crate::store::metadata::nodes::bury;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::PropertyPatch;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::shares::suspend_shares;
use crate::store::metadata::sharing_news::tell_if_any_went;
use crate::store::metadata::trash::discard_one;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::Walk;
use crate::store::metadata::walk::walk;

/// Makes a folder, with dead properties if asked (RFC 5689).
#[derive(Debug)]
pub struct MakeFolder {
    /// Space, person and moment.
    pub change: Change,
    /// Where.
    pub path: NodePath,
    /// Dead properties to set.
    pub patches: Vec<PropertyPatch>,
    /// Bytes that the properties of one node may have together.
    pub bytes_max: u64,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for MakeFolder {
    /// `None`: the properties would be too large, and nothing was changed.
    type Output = Option<Node>;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Node>> {
        if bytes_of(&self.patches) > self.bytes_max {
            return Ok(None);
        }
        let change = &self.change;
        let space = lock_space(tx, change, 1).await?;
        let found = walk(tx, change.root(), &self.path).await?;
        if found.target().is_some() {
            return Err(Refusal::AlreadyExists.into());
        }
        let above = found.above()?;
        change.require(Permissions::CREATE)?;
        check_precondition(tx, change, &found, &self.precondition).await?;
        require_unlocked(
            tx,
            change,
            (&self.path, &found),
            &self.precondition,
            Reach::Tree,
        )
        .await?;
        let parent = above.last().ok_or(Refusal::ParentMissing)?;
        let name = self.path.name().ok_or(Refusal::Root)?;
        let id = NodeId(tx.reserve_ids("node", 1).await?);
        let seq = space.first_seq;
        tx.perform(
            "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
             mtime, ctime) VALUES ($1, $2, $3, $4, $5, 0, $6, $6, $6, $7, $7)",
            &[
                id.0.into(),
                change.space.0.into(),
                parent.id.0.into(),
                name.as_str().into(),
                name.fold().as_str().into(),
                seq.into(),
                change.now.0.into(),
            ],
        )
        .await?;
        for patch in &self.patches {
            apply_patch(tx, id, patch).await?;
        }
        touch_above(tx, above, seq, Growth::default()).await?;
        let node = node_by_id(tx, id).await?.ok_or(Refusal::NotFound)?;
        note(tx, change, Event::of(Deed::Created, &node)).await?;
        Ok(Some(node))
    }
}

/// Moves a node, with everything below, to the trash of its space.
#[derive(Debug)]
pub struct Delete {
    /// Space, person and moment.
    pub change: Change,
    /// What.
    pub path: NodePath,
    /// Not to come back: it is in no trash, and goes for good as soon as there is time.
    pub for_good: bool,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for Delete {
    /// What it was.
    type Output = NodeId;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<NodeId> {
        let change = &self.change;
        let space = lock_space(tx, change, 1).await?;
        let found = walk(tx, change.root(), &self.path).await?;
        let node = found.existing()?;
        let above = found.above()?;
        change.require(Permissions::DELETE)?;
        check_precondition(tx, change, &found, &self.precondition).await?;
        require_unlocked(
            tx,
            change,
            (&self.path, &found),
            &self.precondition,
            Reach::Tree,
        )
        .await?;
        put_into_trash(tx, change, &space, (node, above), space.first_seq).await?;
        note(tx, change, Event::of(Deed::Deleted, node)).await?;
        if self.for_good {
            discard_one(tx, change.space, node.id).await?;
        }
        Ok(node.id)
    }
}

pub(crate) fn files_of(node: &Node) -> i64 {
    if node.is_folder() {
        signed(node.tree_files)
    } else {
        1
    }
}

pub(crate) async fn put_into_trash<T: Tx>(
    tx: &mut T,
    change: &Change,
    space: &LockedSpace,
    (node, above): (&Node, &[Node]),
    seq: i64,
) -> StoreResult<()> {
    end_locks_of_tree(tx, change.space, node, change.now).await?;
    suspend_shares(tx, change.space, node.id, true).await?;
    archive(tx, (node, 0), seq, change).await?;
    bury(tx, node, seq, Departure::Deleted, change.now).await?;
    tx.perform(
        // Name and second together name an entry of the trash, so a second that is taken is passed over.
        "INSERT INTO trash (node_id, space_id, deleted_by, at, parent_id, name, size) \
         SELECT $1, $2, $3, coalesce((SELECT max(at) + 1000000000 FROM trash \
         WHERE space_id = $2 AND at >= $4 AND name = $5), $6), $7, $5, $8",
        &[
            node.id.0.into(),
            node.space.0.into(),
            change.actor.0.into(),
            (change.now.0 - change.now.0.rem_euclid(NANOS)).into(),
            node.name.as_str().into(),
            change.now.0.into(),
            node.parent.map(|id| id.0).into(),
            signed(node.size_bytes).into(),
        ],
    )
    .await?;
    let name = node.id.0.to_string();
    place_node(tx, node, space.trash, (&name, &name), seq).await?;
    let gone = Growth {
        bytes: -signed(node.size_bytes),
        files: -files_of(node),
    };
    touch_above(tx, above, seq, gone).await?;
    charge(tx, change.space, gone, signed(node.size_bytes)).await
}

/// Gives a node another folder, name and number; what lies below is not touched.
pub(crate) async fn place_node<T: Tx>(
    tx: &mut T,
    node: &Node,
    folder: NodeId,
    (name, fold): (&str, &str),
    seq: i64,
) -> StoreResult<()> {
    tx.perform(
        "UPDATE node SET parent_id = $1, name = $2, fold = $3, seq = $4, \
         tree_seq = CASE WHEN tree_seq > $4 THEN tree_seq ELSE $4 END WHERE id = $5",
        &[
            folder.0.into(),
            name.into(),
            fold.into(),
            seq.into(),
            node.id.0.into(),
        ],
    )
    .await?;
    Ok(())
}

/// What a move or copy needs to know of its two ends.
pub(crate) struct Ends {
    pub(crate) from: Walk,
    pub(crate) to: Walk,
}

impl Ends {
    /// Walks both paths and makes the tests that MOVE and COPY share.
    ///
    /// The conditions are those of the source, where `source` may see it; `change` is made at the target.
    pub(crate) async fn find<T: Tx>(
        tx: &mut T,
        (source, change): (&Change, &Change),
        (from, to): (&NodePath, &NodePath),
        precondition: &Precondition,
        overwrite: bool,
    ) -> StoreResult<Self> {
        let found = walk(tx, source.root(), from).await?;
        let node = found.existing()?;
        let target = walk(tx, change.root(), to).await?;
        target.above()?;
        if let Some(old) = target.target() {
            let above = found.above().unwrap_or_default();
            if above.iter().any(|folder| folder.id == old.id) {
                // Replacing a folder by something inside it would delete the source first.
                return Err(Refusal::IntoItself.into());
            }
        }
        check_precondition(tx, source, &found, precondition).await?;
        match target.target() {
            Some(_) if !overwrite => return Err(Refusal::PreconditionFailed.into()),
            Some(old) if old.is_folder() || node.is_folder() => {
                change.require(Permissions::CREATE.or(Permissions::DELETE))?;
            }
            Some(_) => change.require(Permissions::UPDATE)?,
            None => {}
        }
        require_unlocked(tx, change, (to, &target), precondition, Reach::Tree).await?;
        Ok(Self {
            from: found,
            to: target,
        })
    }

    /// Returns whether the target lies within the source, or is it.
    pub(crate) fn is_into_itself(&self) -> StoreResult<bool> {
        let node = self.from.existing()?;
        Ok(self.to.nodes.iter().any(|above| above.id == node.id))
    }

    /// Returns whether both are members of one folder.
    fn is_renaming(&self) -> StoreResult<bool> {
        let folder = self.to.above()?.last().map(|folder| folder.id);
        Ok(self.from.existing()?.parent == folder)
    }
}

/// Moves or renames a node in one step, also from one space to another.
#[derive(Debug)]
pub struct Move {
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
    /// The request's conditions (of the source).
    pub precondition: Precondition,
}

impl Operation for Move {
    type Output = Committed;

    fn space(&self) -> Option<SpaceId> {
        (self.source.space == self.change.space).then_some(self.change.space)
    }

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Committed> {
        let (source, change) = (&self.source, &self.change);
        let name = self.to.name().ok_or(Refusal::Root)?;
        let (left, space) = lock_both(tx, (source, 1), (change, 2)).await?;
        let paths = (&self.from, &self.to);
        let precondition = &self.precondition;
        let ends = Ends::find(tx, (source, change), paths, precondition, self.overwrite).await?;
        if ends.from.above().is_err() {
            return Err(Refusal::Root.into());
        }
        if ends.is_into_itself()? {
            return Err(Refusal::IntoItself.into());
        }
        if ends.is_renaming()? {
            source.require(Permissions::UPDATE)?;
        } else {
            source.require(Permissions::DELETE)?;
            if ends.to.target().is_none() {
                change.require(Permissions::CREATE)?;
            }
        }
        let at_source = (&self.from, &ends.from);
        require_unlocked(tx, source, at_source, precondition, Reach::Tree).await?;
        let node = ends.from.existing()?;
        let created = ends.to.target().is_none();
        if source.space == change.space {
            if let Some(old) = ends.to.target() {
                self.replace(tx, &space, (node, old), &ends).await?;
            }
            self.relocate(tx, (node, &ends), name, space.first_seq + 1)
                .await?;
        } else {
            let sides = ((source, &left), (change, &space));
            move_across(tx, sides, &ends, name).await?;
        }
        self.note(tx, node, &ends).await?;
        let node = node_by_id(tx, node.id).await?.ok_or(Refusal::NotFound)?;
        Ok(Committed { node, created })
    }
}

/// Takes the row locks of a source's and a target's space, which may be one; in the order of their
/// numbers, so that two that cross do not wait for each other.
pub(crate) async fn lock_both<T: Tx>(
    tx: &mut T,
    (source, left): (&Change, i64),
    (change, count): (&Change, i64),
) -> StoreResult<(LockedSpace, LockedSpace)> {
    if source.space == change.space {
        let space = lock_space(tx, change, count).await?;
        return Ok((space, space));
    }
    if source.space < change.space {
        let first = lock_space(tx, source, left).await?;
        return Ok((first, lock_space(tx, change, count).await?));
    }
    let second = lock_space(tx, change, count).await?;
    Ok((lock_space(tx, source, left).await?, second))
}

impl Move {
    /// Notes what it was to people: a move to another space is one for each of the two, and a file that
    /// replaces a file is a new version of that.
    async fn note<T: Tx>(&self, tx: &mut T, node: &Node, ends: &Ends) -> StoreResult<()> {
        let (source, change) = (&self.source, &self.change);
        let folder = ends.to.above()?.last().map(|folder| folder.id);
        let name = self.to.name().ok_or(Refusal::Root)?.as_str();
        let whole = |deed| Event::of(deed, node).at(folder, name);
        if source.space != change.space {
            let left = Event::of(Deed::Moved, node).at(None, &node.name);
            note(tx, source, left.from(node.parent, &node.name)).await?;
            return note(tx, change, whole(Deed::Moved).from(None, &node.name)).await;
        }
        let replaces = ends.to.target();
        let event = if replaces.is_some_and(|old| !old.is_folder() && !node.is_folder()) {
            whole(Deed::Changed)
        } else if ends.is_renaming()? {
            whole(Deed::Renamed).from(node.parent, &node.name)
        } else {
            whole(Deed::Moved).from(node.parent, &node.name)
        };
        note(tx, change, event).await
    }

    /// Clears the target's name.
    ///
    /// A file that replaces a file inherits its past: programs save by writing
    /// a temporary file and renaming it, and expect versions, locks and shares to stay.
    async fn replace<T: Tx>(
        &self,
        tx: &mut T,
        space: &LockedSpace,
        (node, old): (&Node, &Node),
        ends: &Ends,
    ) -> StoreResult<()> {
        let change = &self.change;
        let above = ends.to.above()?;
        let seq = space.first_seq;
        if node.is_folder() || old.is_folder() {
            return put_into_trash(tx, change, space, (old, above), seq).await;
        }
        archive(tx, (old, signed(old.size_bytes)), seq, change).await?;
        tx.perform(
            "UPDATE hist SET node_id = $1 WHERE node_id = $2",
            &[node.id.0.into(), old.id.0.into()],
        )
        .await?;
        end_locks_of_tree(tx, change.space, node, change.now).await?;
        tx.perform(
            "UPDATE lock SET node_id = $1 WHERE node_id = $2",
            &[node.id.0.into(), old.id.0.into()],
        )
        .await?;
        tx.perform(
            "DELETE FROM property WHERE node_id = $1",
            &[old.id.0.into()],
        )
        .await?;
        for statement in [
            "UPDATE favorite SET node_id = $1 WHERE node_id = $2 AND NOT EXISTS (SELECT 1 \
             FROM favorite f WHERE f.node_id = $1 AND f.account_id = favorite.account_id)",
            "UPDATE node_tag SET node_id = $1 WHERE node_id = $2 AND NOT EXISTS (SELECT 1 \
             FROM node_tag t WHERE t.node_id = $1 AND t.tag_id = node_tag.tag_id)",
        ] {
            tx.perform(statement, &[node.id.0.into(), old.id.0.into()])
                .await?;
        }
        tx.perform(
            "UPDATE share SET node_id = $1, went_with = $1 WHERE node_id = $2",
            &[node.id.0.into(), old.id.0.into()],
        )
        .await?;
        inherit(tx, node.id, old.id).await?;
        tx.perform(
            "UPDATE mount SET node_id = $1 WHERE node_id = $2 AND NOT EXISTS (SELECT 1 FROM mount m \
             WHERE m.node_id = $1 AND m.account_id = mount.account_id)",
            &[node.id.0.into(), old.id.0.into()],
        )
        .await?;
        for statement in [
            "DELETE FROM favorite WHERE node_id = $1",
            "DELETE FROM node_tag WHERE node_id = $1",
            "DELETE FROM node WHERE id = $1",
        ] {
            tx.perform(statement, &[old.id.0.into()]).await?;
        }
        bury(tx, old, seq, Departure::Deleted, change.now).await?;
        let gone = Growth {
            bytes: -signed(old.size_bytes),
            files: -1,
        };
        touch_above(tx, above, seq, gone).await?;
        charge(tx, change.space, gone, signed(old.size_bytes)).await?;
        tell_if_any_went(tx, (change.space, node.id.0)).await
    }

    async fn relocate<T: Tx>(
        &self,
        tx: &mut T,
        (node, ends): (&Node, &Ends),
        name: &NodeName,
        seq: i64,
    ) -> StoreResult<()> {
        let change = &self.change;
        if ends
            .to
            .target()
            .is_none_or(|old| old.is_folder() || node.is_folder())
        {
            end_locks_of_tree(tx, change.space, node, change.now).await?;
        }
        let (from_above, to_above) = (ends.from.above()?, ends.to.above()?);
        let folder = to_above.last().ok_or(Refusal::ParentMissing)?;
        archive(tx, (node, 0), seq, change).await?;
        if node.parent != Some(folder.id) {
            bury(tx, node, seq, Departure::Moved, change.now).await?;
        }
        place_node(tx, node, folder.id, (name.as_str(), &name.fold()), seq).await?;
        let (bytes, files) = (signed(node.size_bytes), files_of(node));
        touch_above(
            tx,
            from_above,
            seq,
            Growth {
                bytes: -bytes,
                files: -files,
            },
        )
        .await?;
        touch_above(tx, to_above, seq, Growth { bytes, files }).await
    }
}

/// Sets the modification time of a node.
#[derive(Debug)]
pub struct Touch {
    /// Space, person and moment.
    pub change: Change,
    /// What.
    pub path: NodePath,
    /// The new time.
    pub modified_at: Timestamp,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for Touch {
    type Output = Node;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Node> {
        let change = &self.change;
        let space = lock_space(tx, change, 1).await?;
        let found = walk(tx, change.root(), &self.path).await?;
        let node = found.existing()?;
        let above = found.above()?;
        change.require(Permissions::UPDATE)?;
        check_precondition(tx, change, &found, &self.precondition).await?;
        require_unlocked(
            tx,
            change,
            (&self.path, &found),
            &self.precondition,
            Reach::Node,
        )
        .await?;
        let seq = space.first_seq;
        archive(tx, (node, 0), seq, change).await?;
        set_mtime(tx, node.id, self.modified_at, seq).await?;
        touch_above(tx, above, seq, Growth::default()).await?;
        Ok(node_by_id(tx, node.id).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Gives a node another modification time, so a file another ETag.
async fn set_mtime<T: Tx>(
    tx: &mut T,
    node: NodeId,
    modified_at: Timestamp,
    seq: i64,
) -> StoreResult<()> {
    tx.execute(
        "UPDATE node SET seq = $1, tree_seq = CASE WHEN tree_seq > $1 THEN tree_seq ELSE $1 END, \
         mtime = $2, rev = CASE WHEN rev + 1 > $1 THEN rev + 1 ELSE $1 END WHERE id = $3",
        &[seq.into(), modified_at.0.into(), node.0.into()],
    )
    .await?;
    Ok(())
}

/// Changes dead properties of a node: all or none.
#[derive(Debug)]
pub struct PatchProperties {
    /// Space, person and moment.
    pub change: Change,
    /// Which node.
    pub path: NodePath,
    /// In the order of the request.
    pub patches: Vec<PropertyPatch>,
    /// Sets the modification time as well.
    pub modified_at: Option<Timestamp>,
    /// Marks it as a favourite of the person, or no longer.
    pub favorite: Option<bool>,
    /// Bytes that the properties of one node may have together.
    pub bytes_max: u64,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for PatchProperties {
    /// `false`: the properties would be too large, and nothing was changed.
    type Output = bool;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let change = &self.change;
        let space = lock_space(tx, change, 1).await?;
        let found = walk(tx, change.root(), &self.path).await?;
        let node = found.existing()?;
        change.require(Permissions::UPDATE)?;
        check_precondition(tx, change, &found, &self.precondition).await?;
        require_unlocked(
            tx,
            change,
            (&self.path, &found),
            &self.precondition,
            Reach::Node,
        )
        .await?;
        if self.size_after(tx, node.id).await? > self.bytes_max {
            return Ok(false);
        }
        for patch in &self.patches {
            apply_patch(tx, node.id, patch).await?;
        }
        if let Some(is_favorite) = self.favorite {
            mark_favorite(tx, change.actor, node.id, is_favorite).await?;
        }
        let seq = space.first_seq;
        archive(tx, (node, 0), seq, change).await?;
        tx.perform(
            "UPDATE node SET seq = $1, tree_seq = CASE WHEN tree_seq > $1 THEN tree_seq ELSE $1 END \
             WHERE id = $2",
            &[seq.into(), node.id.0.into()],
        )
        .await?;
        if let Some(modified_at) = self.modified_at {
            set_mtime(tx, node.id, modified_at, seq).await?;
        }
        let above = found.nodes.split_last().map_or(&[][..], |(_, above)| above);
        touch_above(tx, above, seq, Growth::default()).await?;
        Ok(true)
    }
}

impl PatchProperties {
    /// Returns an upper bound of the node's property bytes after the patches.
    async fn size_after<T: Tx>(&self, tx: &mut T, node: NodeId) -> StoreResult<u64> {
        let held = tx
            .row(
                "SELECT coalesce(sum(length(namespace) + length(name) + length(value)), 0) \
                 FROM property WHERE node_id = $1",
                &[node.0.into()],
                |row| row.int(0),
            )
            .await?;
        Ok(held.unwrap_or(0).unsigned_abs() + bytes_of(&self.patches))
    }
}

/// Returns the bytes of the properties that are set.
fn bytes_of(patches: &[PropertyPatch]) -> u64 {
    let bytes: usize = patches
        .iter()
        .map(|patch| match patch {
            PropertyPatch::Set(property) => {
                property.namespace.len() + property.name.len() + property.xml.len()
            }
            PropertyPatch::Remove { .. } => 0,
        })
        .sum();
    bytes as u64
}

async fn apply_patch<T: Tx>(tx: &mut T, node: NodeId, patch: &PropertyPatch) -> StoreResult<()> {
    match patch {
        PropertyPatch::Set(property) => {
            tx.perform(
                "INSERT INTO property (node_id, namespace, name, value) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (node_id, namespace, name) DO UPDATE SET value = excluded.value",
                &[
                    node.0.into(),
                    property.namespace.as_str().into(),
                    property.name.as_str().into(),
                    property.xml.as_str().into(),
                ],
            )
            .await?;
        }
        PropertyPatch::Remove { namespace, name } => {
            tx.perform(
                "DELETE FROM property WHERE node_id = $1 AND namespace = $2 AND name = $3",
                &[
                    node.0.into(),
                    namespace.as_str().into(),
                    name.as_str().into(),
                ],
            )
            .await?;
        }
    }
    Ok(())
}
