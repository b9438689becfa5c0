//! The commit of an upload: the one transaction that names new bytes.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Event;
use crate::store::metadata::activity::note;
use crate::store::metadata::contents::ask_held;
use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::contents::name_content;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::LockRow;
use crate::store::metadata::locks::Reach;
use crate::store::metadata::locks::SpaceLocks;
use crate::store::metadata::locks::check_precondition;
use crate::store::metadata::locks::require_tokens;
use crate::store::metadata::nodes::AskedSpace;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::archive;
use crate::store::metadata::nodes::ask_lock_space;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::NodeKind;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::AskedWalk;
use crate::store::metadata::walk::Walk;
use crate::store::metadata::walk::answer_walk;
use crate::store::metadata::walk::ask_walk;

/// An upload without a lease may take this long; then its chunks may be collected.
const UNLEASED_SECONDS_MAX: i64 = 30 * 60;

/// Tests, before the body, all that the commit will test again.
#[derive(Debug)]
pub struct PrepareUpload {
    /// Space, person and moment.
    pub change: Change,
    /// Where the file will be.
    pub path: NodePath,
    /// Its length, when known.
    pub declared_bytes: Option<u64>,
    /// Bytes that other uploads in progress have reserved in this space.
    pub reserved_bytes: u64,
    /// The request's conditions.
    pub precondition: Precondition,
}

/// What an upload replaces, as it stands before the body.
///
/// The default is for an upload that nothing was asked about: the commit's tests are all there are.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The content that will be replaced.
    pub replaced: Option<Content>,
    /// Bytes by which the space will grow, when the length is known.
    pub growth_bytes: u64,
    /// Bytes that the new version may have within the quota.
    pub room_bytes: u64,
    /// The quota; `None`: no limit.
    pub quota_bytes: Option<u64>,
}

impl Operation for PrepareUpload {
    type Output = Prepared;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Prepared> {
        let change = &self.change;
        let asked = ask_target(tx, change, &self.path).await?;
        let space = AskedSpace::ask(tx, change).await?;
        let found = answer_target(tx, change, (&self.path, asked), &self.precondition).await?;
        let old = found.target();
        let old_bytes = old.map_or(0, |node| node.size_bytes);
        let growth_bytes = self.declared_bytes.unwrap_or(0).saturating_sub(old_bytes);
        let mut space = space.answer(tx).await?;
        space.used = space.used.saturating_add(signed(self.reserved_bytes));
        space.check_quota(signed(growth_bytes))?;
        let replaced = match old.and_then(|node| node.content) {
            Some(id) => content_by_id(tx, id).await?,
            None => None,
        };
        let quota_bytes = space.quota;
        let room_bytes = quota_bytes
            .map_or(u64::MAX, |quota| {
                quota.saturating_sub(unsigned(space.taken()))
            })
            .saturating_add(old_bytes);
        Ok(Prepared {
            replaced,
            growth_bytes,
            room_bytes,
            quota_bytes,
        })
    }
}

/// What must be known of a path before a file is put there.
struct AskedTarget {
    walk: AskedWalk,
    locks: Asked<LockRow>,
}

async fn ask_target<T: Tx>(
    tx: &mut T,
    change: &Change,
    path: &NodePath,
) -> StoreResult<AskedTarget> {
    Ok(AskedTarget {
        walk: ask_walk(tx, change.root(), path).await?,
        locks: SpaceLocks::ask(tx, change.space, change.now).await?,
    })
}

/// Returns what is at the path, after every test that needs no numbers.
async fn answer_target<T: Tx>(
    tx: &mut T,
    change: &Change,
    (path, asked): (&NodePath, AskedTarget),
    precondition: &Precondition,
) -> StoreResult<Walk> {
    let found = answer_walk(tx, asked.walk).await?;
    let locks = SpaceLocks::answer(tx, asked.locks).await?;
    found.above()?;
    if found.target().is_some_and(Node::is_folder) {
        return Err(Refusal::IsAFolder.into());
    }
    check_precondition(tx, change, &found, precondition).await?;
    change.require(match found.target() {
        Some(_) => Permissions::UPDATE,
        None => Permissions::CREATE,
    })?;
    let rules = (precondition, Reach::Node);
    require_tokens(tx, change, (path, &found), rules, &locks).await?;
    Ok(found)
}

/// What keeps the collector from new chunks until they are named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protection {
    /// When the first of them was stored.
    pub(crate) begun_at: Timestamp,
    /// The lease, where that is long ago.
    pub(crate) lease: Option<[u8; 16]>,
}

impl Protection {
    pub(crate) async fn ask<T: Tx>(
        &self,
        tx: &mut T,
        now: Timestamp,
    ) -> StoreResult<Option<Asked<i64>>> {
        let Some(lease) = &self.lease else {
            return Ok(None);
        };
        let asked = tx
            .ask(
                "SELECT 1 FROM lease WHERE id = $1 AND until > $2",
                &[lease.as_slice().into(), now.0.into()],
                |row| row.int(0),
            )
            .await?;
        Ok(Some(asked))
    }

    /// Refuses a commit whose chunks the collector may have taken meanwhile.
    pub(crate) async fn require<T: Tx>(
        &self,
        tx: &mut T,
        asked: Option<Asked<i64>>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let lives = match asked {
            Some(asked) => tx.answer_one(asked).await?.is_some(),
            None => now <= self.begun_at.plus_seconds(UNLEASED_SECONDS_MAX),
        };
        if lives {
            Ok(())
        } else {
            Err(Refusal::SourceGone.into())
        }
    }
}

/// Makes a content the current version of the file at a path.
#[derive(Debug)]
pub struct CommitUpload {
    /// Space, person and moment.
    pub change: Change,
    /// Where the file will be.
    pub path: NodePath,
    /// Its bytes.
    pub content: NewContent,
    /// Modification time; the default is now.
    pub modified_at: Option<Timestamp>,
    /// Creation time of a new node; the default is now.
    pub created_at: Option<Timestamp>,
    /// When the upload began.
    pub begun_at: Timestamp,
    /// The lease that protects its chunks, where it took long.
    pub lease: Option<[u8; 16]>,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for CommitUpload {
    type Output = Committed;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Committed> {
        let change = &self.change;
        // Everything that must be known travels together, behind the lock under which it is true.
        let space = ask_lock_space(tx, change, 1).await?;
        let protection = Protection {
            begun_at: self.begun_at,
            lease: self.lease,
        };
        let lease = protection.ask(tx, change.now).await?;
        let asked = ask_target(tx, change, &self.path).await?;
        let held = ask_held(tx, change.space, &self.content).await?;
        let space = space.answer(tx).await?;
        protection.require(tx, lease, change.now).await?;
        let found = answer_target(tx, change, (&self.path, asked), &self.precondition).await?;
        let old = found.target();
        let size = signed(self.content.size_bytes);
        let growth = Growth {
            bytes: size - old.map_or(0, |node| signed(node.size_bytes)),
            files: i64::from(old.is_none()),
        };
        space.check_quota(growth.bytes)?;

        let content = name_content(tx, change, &self.content, held).await?;
        let seq = space.first_seq;
        let (node, kept_bytes) = match old {
            Some(old) => self.replace(tx, old, content, seq).await?,
            None => (self.create(tx, &found, content, seq).await?, 0),
        };
        touch_above(tx, found.above()?, seq, growth).await?;
        charge(tx, change.space, growth, kept_bytes).await?;
        let deed = if old.is_none() {
            Deed::Created
        } else {
            Deed::Changed
        };
        note(tx, change, Event::of(deed, &node)).await?;
        Ok(Committed {
            node,
            created: old.is_none(),
        })
    }
}

impl CommitUpload {
    /// Writes the new state of a file that exists; returns it, and the bytes kept as a version.
    async fn replace<T: Tx>(
        &self,
        tx: &mut T,
        old: &Node,
        content: ContentRef,
        seq: i64,
    ) -> StoreResult<(Node, i64)> {
        archive(tx, (old, signed(old.size_bytes)), seq, &self.change).await?;
        let node = Node {
            seq,
            tree_seq: seq,
            content: Some(content),
            size_bytes: self.content.size_bytes,
            rev: seq.max(old.rev + 1),
            mtime: self.modified_at.unwrap_or(self.change.now),
            ..old.clone()
        };
        let micros = self.change.now.0 / 1_000;
        tx.perform(
            "UPDATE node SET seq = $1, tree_seq = $1, content_id = $2, size = $3, mtime = $4, \
             rev = $5, \
             content_at = CASE WHEN content_at + 1 > $6 THEN content_at + 1 ELSE $6 END \
             WHERE id = $7",
            &[
                seq.into(),
                content.0.into(),
                signed(node.size_bytes).into(),
                node.mtime.0.into(),
                node.rev.into(),
                micros.into(),
                old.id.0.into(),
            ],
        )
        .await?;
        Ok((node, signed(old.size_bytes)))
    }

    /// Makes the file's node.
    async fn create<T: Tx>(
        &self,
        tx: &mut T,
        found: &Walk,
        content: ContentRef,
        seq: i64,
    ) -> StoreResult<Node> {
        let parent = found.nodes.last().ok_or(Refusal::ParentMissing)?;
        let name = self.path.name().ok_or(Refusal::Root)?;
        let now = self.change.now;
        let node = Node {
            id: NodeId(tx.reserve_ids("node", 1).await?),
            space: self.change.space,
            parent: Some(parent.id),
            name: name.as_str().to_owned(),
            kind: NodeKind::File,
            seq,
            tree_seq: seq,
            content: Some(content),
            size_bytes: self.content.size_bytes,
            tree_files: 0,
            rev: seq,
            mtime: self.modified_at.unwrap_or(now),
            ctime: self.created_at.unwrap_or(now),
            flags: 0,
        };
        tx.perform(
            "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
             content_id, size, rev, content_at, mtime, ctime) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $6, $7, $8, $6, $9, $10, $11)",
            &[
                node.id.0.into(),
                node.space.0.into(),
                parent.id.0.into(),
                name.as_str().into(),
                name.fold().as_str().into(),
                seq.into(),
                content.0.into(),
                signed(node.size_bytes).into(),
                (now.0 / 1_000).into(),
                node.mtime.0.into(),
                node.ctime.0.into(),
            ],
        )
        .await?;
        Ok(node)
    }
}
