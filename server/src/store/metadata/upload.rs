//! The commit of an upload: the one transaction that names new bytes.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::contents::name_content;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::Reach;
use crate::store::metadata::locks::check_precondition;
use crate::store::metadata::locks::require_unlocked;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::LockedSpace;
use crate::store::metadata::nodes::Walk;
use crate::store::metadata::nodes::archive;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::effective_quota;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::nodes::walk;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

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
#[derive(Debug)]
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
        let found = walk(tx, self.change.space, &self.path).await?;
        let old = tested_target(tx, &self.change, (&self.path, &found), &self.precondition).await?;
        let old_bytes = old.map_or(0, |node| node.size_bytes);
        let growth_bytes = self.declared_bytes.unwrap_or(0).saturating_sub(old_bytes);
        let space = tx
            .row(
                "SELECT seq, trash_id, used, quota FROM space WHERE id = $1",
                &[self.change.space.0.into()],
                |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?, row.opt_int(3)?)),
            )
            .await?
            .ok_or(Refusal::NotFound)?;
        let space = LockedSpace {
            first_seq: space.0,
            trash: NodeId(space.1),
            used: space.2.saturating_add(signed(self.reserved_bytes)),
            quota: effective_quota(space.3, self.change.quota_default_bytes),
        };
        space.check_quota(signed(growth_bytes))?;
        let replaced = match old.and_then(|node| node.content) {
            Some(id) => content_by_id(tx, id).await?,
            None => None,
        };
        let quota_bytes = space.quota;
        let room_bytes = quota_bytes
            .map_or(u64::MAX, |quota| quota.saturating_sub(unsigned(space.used)))
            .saturating_add(old_bytes);
        Ok(Prepared {
            replaced,
            growth_bytes,
            room_bytes,
            quota_bytes,
        })
    }
}

/// Returns the file that will be replaced, after every test that needs no numbers.
async fn tested_target<'w, T: Tx>(
    tx: &mut T,
    change: &Change,
    (path, found): (&NodePath, &'w Walk),
    precondition: &Precondition,
) -> StoreResult<Option<&'w Node>> {
    found.above()?;
    let old = found.target();
    if old.is_some_and(Node::is_folder) {
        return Err(Refusal::IsAFolder.into());
    }
    check_precondition(tx, change, found, precondition).await?;
    require_unlocked(tx, change, (path, found), precondition, Reach::Node).await?;
    Ok(old)
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
        let space = lock_space(tx, change, 1).await?;
        self.require_lease(tx).await?;
        let found = walk(tx, change.space, &self.path).await?;
        let old = tested_target(tx, change, (&self.path, &found), &self.precondition).await?;
        let size = signed(self.content.size_bytes);
        let growth = Growth {
            bytes: size - old.map_or(0, |node| signed(node.size_bytes)),
            files: i64::from(old.is_none()),
        };
        space.check_quota(growth.bytes)?;

        let content = name_content(tx, change, &self.content).await?;
        let seq = space.first_seq;
        let (id, kept_bytes) = match old {
            Some(old) => (old.id, self.replace(tx, old, content, seq).await?),
            None => (self.create(tx, &found, content, seq).await?, 0),
        };
        touch_above(tx, found.above()?, seq, growth).await?;
        charge(tx, change.space, growth, kept_bytes).await?;
        let node = node_by_id(tx, id).await?.ok_or(Refusal::NotFound)?;
        Ok(Committed {
            node,
            created: old.is_none(),
        })
    }
}

impl CommitUpload {
    /// Refuses a commit whose chunks the collector may have taken meanwhile.
    async fn require_lease<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let now = self.change.now;
        let lives = match &self.lease {
            Some(lease) => tx
                .row(
                    "SELECT 1 FROM lease WHERE id = $1 AND until > $2",
                    &[lease.as_slice().into(), now.0.into()],
                    |row| row.int(0),
                )
                .await?
                .is_some(),
            None => now <= self.begun_at.plus_seconds(UNLEASED_SECONDS_MAX),
        };
        if lives {
            Ok(())
        } else {
            Err(Refusal::SourceGone.into())
        }
    }

    /// Writes the new state of a file that exists; returns the bytes kept as a version.
    async fn replace<T: Tx>(
        &self,
        tx: &mut T,
        old: &Node,
        content: ContentRef,
        seq: i64,
    ) -> StoreResult<i64> {
        archive(tx, (old, signed(old.size_bytes)), seq, &self.change).await?;
        let micros = self.change.now.0 / 1_000;
        tx.perform(
            "UPDATE node SET seq = $1, tree_seq = $1, content_id = $2, size = $3, mtime = $4, \
             rev = CASE WHEN rev + 1 > $1 THEN rev + 1 ELSE $1 END, \
             content_at = CASE WHEN content_at + 1 > $5 THEN content_at + 1 ELSE $5 END \
             WHERE id = $6",
            &[
                seq.into(),
                content.0.into(),
                signed(self.content.size_bytes).into(),
                self.modified_at.unwrap_or(self.change.now).0.into(),
                micros.into(),
                old.id.0.into(),
            ],
        )
        .await?;
        Ok(signed(old.size_bytes))
    }

    async fn create<T: Tx>(
        &self,
        tx: &mut T,
        found: &Walk,
        content: ContentRef,
        seq: i64,
    ) -> StoreResult<NodeId> {
        let parent = found.nodes.last().ok_or(Refusal::ParentMissing)?;
        let name = self.path.name().ok_or(Refusal::Root)?;
        let id = tx.reserve_ids("node", 1).await?;
        let now = self.change.now;
        tx.perform(
            "INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, \
             content_id, size, rev, content_at, mtime, ctime) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $6, $7, $8, $6, $9, $10, $11)",
            &[
                id.into(),
                self.change.space.0.into(),
                parent.id.0.into(),
                name.as_str().into(),
                name.fold().as_str().into(),
                seq.into(),
                content.0.into(),
                signed(self.content.size_bytes).into(),
                (now.0 / 1_000).into(),
                self.modified_at.unwrap_or(now).0.into(),
                self.created_at.unwrap_or(now).0.into(),
            ],
        )
        .await?;
        Ok(NodeId(id))
    }
}
