//! Former versions of a file: list them, bring one back, name one, let one go.
//!
//! A version is a run of neighbouring states in `hist` with one content that differs from the
//! content after it: renames and new times within it are no versions of their own. It is known by
//! the number of its last state, which stays as long as the version does. States stand in the order
//! in which they ended: a file that replaced another has that one's past, and may have begun before it ended.

use crate::clock::Timestamp;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Event;
use crate::store::metadata::activity::note;
use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::Former;
use crate::store::metadata::history::forget_former;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::locks::Reach;
use crate::store::metadata::locks::check_precondition;
use crate::store::metadata::locks::require_unlocked;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::archive;
use crate::store::metadata::nodes::charge;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::walk;

/// States of one file that are looked at; older ones are not shown.
const STATES_MAX: u64 = 20_000;

/// A former version of a file.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its number among the versions of the file.
    pub number: i64,
    /// Its bytes.
    pub size_bytes: u64,
    /// When it was modified, as the client had set it.
    pub modified_at: Timestamp,
    /// What somebody called it.
    pub label: Option<String>,
    /// Sign-in name of who made it; `None`: not known any more.
    pub author: Option<String>,
    content: ContentRef,
    /// Its states, by number.
    states: Vec<Former>,
}

/// A row of `hist`, of a file.
struct State {
    former: Former,
    content: ContentRef,
    size: i64,
    mtime: Timestamp,
    label: Option<String>,
    /// Who ended it, so who made the next.
    ended_by: Option<String>,
}

fn read_state(row: &dyn Row) -> StoreResult<State> {
    let content = row.int(2)?;
    Ok(State {
        former: Former {
            node: row.int(0)?,
            from_seq: row.int(1)?,
            content: Some(content),
            kept: row.int(3)?,
            at: row.int(4)?,
        },
        content: ContentRef(content),
        size: row.int(5)?,
        mtime: Timestamp(row.int(6)?),
        label: row.opt_text(7)?,
        ended_by: row.opt_text(8)?,
    })
}

/// Returns a file of the space that is not in the trash.
async fn file<T: Tx>(tx: &mut T, space: SpaceId, id: NodeId) -> StoreResult<Node> {
    let node = node_by_id(tx, id).await?;
    let node = node.filter(|node| node.space == space && node.content.is_some());
    let node = node.ok_or(Refusal::NotFound)?;
    match path_of(tx, space, id).await? {
        Some(_) => Ok(node),
        None => Err(Refusal::NotFound.into()),
    }
}

/// Reads the former versions of a file, the newest first.
async fn versions_of<T: Tx>(tx: &mut T, node: &Node) -> StoreResult<Vec<Version>> {
    let states = tx
        .rows(
            "SELECT h.node_id, h.from_seq, h.content_id, h.kept, h.at, h.size, h.mtime, h.label, \
             a.name FROM hist h LEFT JOIN account a ON a.id = h.actor \
             WHERE h.node_id = $1 AND h.space_id = $2 AND h.content_id IS NOT NULL \
             ORDER BY h.to_seq DESC LIMIT $3",
            &[
                node.id.0.into(),
                node.space.0.into(),
                signed(STATES_MAX).into(),
            ],
            read_state,
        )
        .await?;
    let mut versions: Vec<Version> = Vec::new();
    let mut newer = node.content;
    for state in states {
        // Whoever ended this state made the one after it, which was read before.
        if newer != Some(state.content)
            && let Some(last) = versions.last_mut()
        {
            last.author.clone_from(&state.ended_by);
        }
        let is_new = newer != Some(state.content);
        newer = Some(state.content);
        if is_new {
            versions.push(Version {
                number: state.former.from_seq,
                size_bytes: unsigned(state.size),
                modified_at: state.mtime,
                label: state.label,
                author: None,
                content: state.content,
                states: vec![state.former],
            });
        } else if let Some(version) = versions.last_mut().filter(|v| v.content == state.content) {
            version.label = version.label.take().or(state.label);
            version.states.push(state.former);
        }
    }
    Ok(versions)
}

async fn version<T: Tx>(tx: &mut T, node: &Node, number: i64) -> StoreResult<Version> {
    let versions = versions_of(tx, node).await?;
    let found = versions
        .into_iter()
        .find(|version| version.number == number);
    found.ok_or_else(|| Refusal::NotFound.into())
}

/// Lists the former versions of a file, the newest first.
#[derive(Debug)]
pub struct ListVersions {
    /// The space.
    pub space: SpaceId,
    /// The file.
    pub node: NodeId,
}

impl Operation for ListVersions {
    /// The file, and its versions.
    type Output = (Node, Vec<Version>);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(Node, Vec<Version>)> {
        let node = file(tx, self.space, self.node).await?;
        let versions = versions_of(tx, &node).await?;
        Ok((node, versions))
    }
}

/// Finds a former version with its content.
#[derive(Debug)]
pub struct OpenVersion {
    /// The space.
    pub space: SpaceId,
    /// The file.
    pub node: NodeId,
    /// The version's number.
    pub number: i64,
}

impl Operation for OpenVersion {
    /// The file as it was then, under its present name; and its content.
    type Output = (Node, Content);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<(Node, Content)> {
        let node = file(tx, self.space, self.node).await?;
        let version = version(tx, &node, self.number).await?;
        let content = content_by_id(tx, version.content).await?.ok_or_else(|| {
            StoreError::Corrupt(format!("a version of node {} lost its content", node.id.0))
        })?;
        let then = Node {
            content: Some(version.content),
            size_bytes: version.size_bytes,
            mtime: version.modified_at,
            rev: version.number,
            ..node
        };
        Ok((then, content))
    }
}

/// Makes a former version the current one; what was current becomes a version.
#[derive(Debug)]
pub struct RestoreVersion {
    /// Space, person and moment.
    pub change: Change,
    /// The file.
    pub node: NodeId,
    /// The version's number.
    pub number: i64,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for RestoreVersion {
    type Output = Node;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Node> {
        let change = &self.change;
        change.require(Permissions::UPDATE)?;
        let space = lock_space(tx, change, 1).await?;
        let old = file(tx, change.space, self.node).await?;
        let path = path_of(tx, change.space, old.id).await?;
        let path = path.ok_or(Refusal::NotFound)?;
        let found = walk(tx, change.space, &path).await?;
        check_precondition(tx, change, &found, &self.precondition).await?;
        let target = (&path, &found);
        require_unlocked(tx, change, target, &self.precondition, Reach::Node).await?;
        let version = version(tx, &old, self.number).await?;
        let growth = Growth {
            bytes: signed(version.size_bytes) - signed(old.size_bytes),
            files: 0,
        };
        space.check_quota(growth.bytes)?;
        let seq = space.first_seq;
        archive(tx, (&old, signed(old.size_bytes)), seq, change).await?;
        tx.perform(
            "UPDATE node SET seq = $1, tree_seq = $1, content_id = $2, size = $3, mtime = $4, \
             rev = CASE WHEN rev + 1 > $1 THEN rev + 1 ELSE $1 END, \
             content_at = CASE WHEN content_at + 1 > $5 THEN content_at + 1 ELSE $5 END \
             WHERE id = $6",
            &[
                seq.into(),
                version.content.0.into(),
                signed(version.size_bytes).into(),
                version.modified_at.0.into(),
                (change.now.0 / 1_000).into(),
                old.id.0.into(),
            ],
        )
        .await?;
        touch_above(tx, found.above()?, seq, growth).await?;
        charge(tx, change.space, growth, signed(old.size_bytes)).await?;
        note(tx, change, Event::of(Deed::VersionRestored, &old)).await?;
        Ok(node_by_id(tx, old.id).await?.ok_or(Refusal::NotFound)?)
    }
}

/// Calls a version something, so that neither age nor pressure ends it; or takes that back.
#[derive(Debug)]
pub struct LabelVersion {
    /// The space.
    pub space: SpaceId,
    /// The file.
    pub node: NodeId,
    /// The version's number.
    pub number: i64,
    /// The label; `None`: no label.
    pub label: Option<String>,
}

impl Operation for LabelVersion {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        lock_space_row(tx, self.space).await?;
        let node = file(tx, self.space, self.node).await?;
        let version = version(tx, &node, self.number).await?;
        for state in &version.states {
            let is_last = state.from_seq == version.number;
            tx.perform(
                "UPDATE hist SET label = $1 WHERE node_id = $2 AND space_id = $3 AND from_seq = $4",
                &[
                    self.label.as_deref().filter(|_| is_last).into(),
                    state.node.into(),
                    self.space.0.into(),
                    state.from_seq.into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}

/// Deletes a former version for good.
#[derive(Debug)]
pub struct DeleteVersion {
    /// The space.
    pub space: SpaceId,
    /// The file.
    pub node: NodeId,
    /// The version's number.
    pub number: i64,
    /// The present.
    pub now: Timestamp,
}

impl Operation for DeleteVersion {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        lock_space_row(tx, self.space).await?;
        let node = file(tx, self.space, self.node).await?;
        let version = version(tx, &node, self.number).await?;
        let mut kept = 0;
        for state in &version.states {
            forget_former(tx, self.space, state, self.now).await?;
            kept += state.kept;
        }
        tx.perform(
            "UPDATE space SET kept = kept - $1 WHERE id = $2",
            &[kept.into(), self.space.0.into()],
        )
        .await
    }
}
