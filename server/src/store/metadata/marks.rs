//! What people mark nodes with: favourites, each person's own, and tags, which belong to a space.
//!
//! A mark is no change of the node: it has no number in the feed and changes no ETag. Whoever asks
//! for marked nodes pays for those that are marked, not for the space.

use nuage_shared::node_path::NodePath;

use crate::store::metadata::browse::complete;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::locks::check_precondition;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::places_below;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::root_of;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::walk;

/// Marked nodes in one page.
pub const MARKED_PAGE: usize = 500;

/// Marks a node as a favourite of a person, or no longer.
#[derive(Debug)]
pub struct MarkFavorite {
    /// Space, person and moment.
    pub change: Change,
    /// The node.
    pub path: NodePath,
    /// What it shall be.
    pub is_favorite: bool,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for MarkFavorite {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        // The node must not be deleted for good between the look and the mark.
        lock_space_row(tx, self.change.space).await?;
        let found = walk(tx, self.change.root(), &self.path).await?;
        let node = found.existing()?.id;
        check_precondition(tx, &self.change, &found, &self.precondition).await?;
        mark_favorite(tx, self.change.actor, node, self.is_favorite).await
    }
}

/// Writes or deletes the mark of a favourite.
pub(crate) async fn mark_favorite<T: Tx>(
    tx: &mut T,
    person: UserId,
    node: NodeId,
    is_favorite: bool,
) -> StoreResult<()> {
    let statement = if is_favorite {
        "INSERT INTO favorite (account_id, node_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM favorite WHERE account_id = $1 AND node_id = $2"
    };
    tx.perform(statement, &[person.0.into(), node.0.into()])
        .await
}

/// A name that people put on nodes of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its number for life.
    pub id: i64,
    /// As people see it.
    pub name: String,
}

fn read_tag(row: &dyn Row) -> StoreResult<Tag> {
    Ok(Tag {
        id: row.int(0)?,
        name: row.text(1)?,
    })
}

/// Lists the tags of a space, or those of one node of it.
#[derive(Debug)]
pub struct ListTags {
    /// The space.
    pub space: SpaceId,
    /// The node; `None`: all.
    pub node: Option<NodeId>,
}

impl Operation for ListTags {
    type Output = Vec<Tag>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Tag>> {
        match self.node {
            None => {
                tx.rows(
                    "SELECT id, name FROM tag WHERE space_id = $1 ORDER BY fold",
                    &[self.space.0.into()],
                    read_tag,
                )
                .await
            }
            Some(node) => {
                require_node(tx, self.space, node).await?;
                tx.rows(
                    "SELECT t.id, t.name FROM node_tag m JOIN tag t ON t.id = m.tag_id \
                     WHERE m.node_id = $1 AND t.space_id = $2 ORDER BY t.fold",
                    &[node.0.into(), self.space.0.into()],
                    read_tag,
                )
                .await
            }
        }
    }
}

/// Refuses a node that is not in the space, or in its trash.
async fn require_node<T: Tx>(tx: &mut T, space: SpaceId, node: NodeId) -> StoreResult<()> {
    let found = node_by_id(tx, node).await?;
    let is_here = found.is_some_and(|node| node.space == space);
    if is_here && path_of(tx, space, node).await?.is_some() {
        Ok(())
    } else {
        Err(Refusal::NotFound.into())
    }
}

async fn require_tag<T: Tx>(tx: &mut T, space: SpaceId, tag: i64) -> StoreResult<()> {
    let found = tx
        .row(
            "SELECT 1 FROM tag WHERE id = $1 AND space_id = $2",
            &[tag.into(), space.0.into()],
            |row| row.int(0),
        )
        .await?;
    found.map(drop).ok_or_else(|| Refusal::NotFound.into())
}

/// Makes a tag, or gives one another name; a name that is taken refuses with `AlreadyExists`.
#[derive(Debug)]
pub struct NameTag {
    /// The space.
    pub space: SpaceId,
    /// The tag; `None`: a new one.
    pub tag: Option<i64>,
    /// Its name.
    pub name: String,
    /// The name without regard to case.
    pub fold: String,
    /// Tags that a space may have.
    pub tags_max: u64,
}

impl Operation for NameTag {
    /// The tag's number; `None`: the space has too many.
    type Output = Option<i64>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<i64>> {
        lock_space_row(tx, self.space).await?;
        let same = tx
            .row(
                "SELECT id FROM tag WHERE space_id = $1 AND fold = $2",
                &[self.space.0.into(), self.fold.as_str().into()],
                |row| row.int(0),
            )
            .await?;
        if same.is_some() && same != self.tag {
            return Err(Refusal::AlreadyExists.into());
        }
        if let Some(tag) = self.tag {
            require_tag(tx, self.space, tag).await?;
            tx.perform(
                "UPDATE tag SET name = $1, fold = $2 WHERE id = $3",
                &[
                    self.name.as_str().into(),
                    self.fold.as_str().into(),
                    tag.into(),
                ],
            )
            .await?;
            return Ok(Some(tag));
        }
        let held = tx
            .row(
                "SELECT count(*) FROM tag WHERE space_id = $1",
                &[self.space.0.into()],
                |row| row.int(0),
            )
            .await?;
        if held.unwrap_or(0).unsigned_abs() >= self.tags_max {
            return Ok(None);
        }
        let id = tx.reserve_ids("tag", 1).await?;
        tx.perform(
            "INSERT INTO tag (id, space_id, name, fold) VALUES ($1, $2, $3, $4)",
            &[
                id.into(),
                self.space.0.into(),
                self.name.as_str().into(),
                self.fold.as_str().into(),
            ],
        )
        .await?;
        Ok(Some(id))
    }
}

/// Deletes a tag from the space and from every node.
#[derive(Debug)]
pub struct DeleteTag {
    /// The space.
    pub space: SpaceId,
    /// The tag.
    pub tag: i64,
}

impl Operation for DeleteTag {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        lock_space_row(tx, self.space).await?;
        require_tag(tx, self.space, self.tag).await?;
        for statement in [
            "DELETE FROM node_tag WHERE tag_id = $1",
            "DELETE FROM tag WHERE id = $1",
        ] {
            tx.perform(statement, &[self.tag.into()]).await?;
        }
        Ok(())
    }
}

/// Puts a tag on a node, or takes it off.
#[derive(Debug)]
pub struct TagNode {
    /// The space.
    pub space: SpaceId,
    /// The node.
    pub node: NodeId,
    /// The tag.
    pub tag: i64,
    /// On, else off.
    pub on: bool,
}

impl Operation for TagNode {
    /// Whether anything changed.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        lock_space_row(tx, self.space).await?;
        require_node(tx, self.space, self.node).await?;
        require_tag(tx, self.space, self.tag).await?;
        let statement = if self.on {
            "INSERT INTO node_tag (node_id, tag_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM node_tag WHERE node_id = $1 AND tag_id = $2"
        };
        let changed = tx
            .execute(statement, &[self.node.0.into(), self.tag.into()])
            .await?;
        Ok(changed > 0)
    }
}

/// Finds the next nodes that a person marked as favourites, or that have tags, among those that they can see.
#[derive(Debug)]
pub struct FindMarked {
    /// Their home.
    pub space: SpaceId,
    /// What else they see, with everything below.
    pub tops: Vec<NodeId>,
    /// Favourites of this person alone.
    pub favorite_of: Option<UserId>,
    /// Nodes with every one of these tags.
    pub tags: Vec<i64>,
    /// The last node of the page before; 0 to begin.
    pub after: NodeId,
    /// What to bring.
    pub wants: ListingWants,
}

/// Nodes that were found, with where they are.
#[derive(Debug, Default)]
pub struct MarkedPage {
    /// Nodes, each with the one of the tops that it lies below (`None`: in the home) and the path from there;
    /// what lies in the trash is left out.
    pub found: Vec<(Option<NodeId>, NodePath, Entry)>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<NodeId>,
}

impl Operation for FindMarked {
    type Output = MarkedPage;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<MarkedPage> {
        let limit = signed(MARKED_PAGE as u64);
        let (statement, mark) = match (self.favorite_of, self.tags.first()) {
            (Some(person), _) => (
                "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
                 n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags \
                 FROM favorite m JOIN node n ON n.id = m.node_id \
                 WHERE m.account_id = $1 AND m.node_id > $2 ORDER BY m.node_id LIMIT $3",
                person.0,
            ),
            (None, Some(tag)) => (
                "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
                 n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags \
                 FROM node_tag m JOIN node n ON n.id = m.node_id \
                 WHERE m.tag_id = $1 AND m.node_id > $2 ORDER BY m.node_id LIMIT $3",
                *tag,
            ),
            (None, None) => return Ok(MarkedPage::default()),
        };
        let params = [mark.into(), self.after.0.into(), limit.into()];
        let mut nodes = tx.rows(statement, &params, read_node).await?;
        let is_full = nodes.len() >= MARKED_PAGE;
        let next = nodes.last().map(|node| node.id).filter(|_| is_full);
        for tag in &self.tags {
            nodes = with_tag(tx, nodes, *tag).await?;
        }
        let root = root_of(tx, self.space).await?;
        let tops = self.tops.iter().copied().chain([root]).collect();
        let places = places_below(tx, &tops, &nodes).await?;
        let (places, nodes): (Vec<_>, Vec<_>) = places
            .into_iter()
            .zip(nodes)
            .filter_map(|(place, node)| Some((place?, node)))
            .unzip();
        let entries = complete(tx, nodes, self.wants).await?;
        let found = places.into_iter().zip(entries);
        let found = found.map(|((top, path), entry)| {
            let top = Some(top).filter(|top| *top != root);
            (top, path, entry)
        });
        Ok(MarkedPage {
            found: found.collect(),
            next,
        })
    }
}

/// Returns those of the nodes that have a tag.
async fn with_tag<T: Tx>(tx: &mut T, nodes: Vec<Node>, tag: i64) -> StoreResult<Vec<Node>> {
    let mut asked = Vec::with_capacity(nodes.len());
    for node in nodes {
        let question = tx
            .ask(
                "SELECT 1 FROM node_tag WHERE node_id = $1 AND tag_id = $2",
                &[node.id.0.into(), tag.into()],
                |row| row.int(0),
            )
            .await?;
        asked.push((node, question));
    }
    let mut kept = Vec::new();
    for (node, question) in asked {
        if tx.answer_one(question).await?.is_some() {
            kept.push(node);
        }
    }
    Ok(kept)
}
