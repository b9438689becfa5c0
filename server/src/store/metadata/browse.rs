//! Questions about what is there now: find a node, list a folder, a space's quota.
//!
//! A listing is read in pages, each on a snapshot of its own that ends before
//! its rows are sent (a reader that waits for a slow client would pin the
//! write-ahead log). Pages go on by node number, which renames do not disturb.

use std::collections::HashMap;
use std::collections::HashSet;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::details::AskedDetails;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::LockRow;
use crate::store::metadata::locks::SpaceLocks;
use crate::store::metadata::locks::read_lock;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::effective_quota;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Property;
use crate::store::metadata::records::QuotaState;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::answer_walk;
use crate::store::metadata::walk::ask_walk;
use crate::store::metadata::walk::walk;

/// Children in one page.
pub const PAGE_NODES: usize = 1_000;

/// Finds the node at a path.
#[derive(Debug)]
pub struct FindNode {
    /// Where the path begins.
    pub root: Root,
    /// The path.
    pub path: NodePath,
}

impl Operation for FindNode {
    type Output = Option<Node>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Node>> {
        Ok(walk(tx, self.root, &self.path).await?.target().cloned())
    }
}

/// Finds the path of a node.
#[derive(Debug)]
pub struct FindPath {
    /// The space.
    pub space: SpaceId,
    /// The node.
    pub node: NodeId,
}

impl Operation for FindPath {
    /// `None`: there is no such node in the space, or it is in the trash.
    type Output = Option<NodePath>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<NodePath>> {
        path_of(tx, self.space, self.node).await
    }
}

/// Finds the node at a path with what a listing shows, and its first children.
#[derive(Debug)]
pub struct OpenListing {
    /// Where the path begins.
    pub root: Root,
    /// The path.
    pub path: NodePath,
    /// What to bring.
    pub wants: ListingWants,
    /// Whether the first page of children is wanted as well.
    pub with_children: bool,
    /// The moment, for locks.
    pub now: Timestamp,
    /// Quota of spaces that have none of their own.
    pub quota_default_bytes: Option<u64>,
}

/// What a listing begins with.
#[derive(Debug)]
pub struct OpenedListing {
    /// The node itself.
    pub entry: Entry,
    /// The first children.
    pub page: Vec<Entry>,
    /// Deep locks of the node and the folders above: they cover every child.
    pub deep_locks: Vec<Lock>,
    /// The space's quota, where it was asked for.
    pub quota: Option<QuotaState>,
}

impl Operation for OpenListing {
    type Output = OpenedListing;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<OpenedListing> {
        let asked = ask_walk(tx, self.root, &self.path).await?;
        let locks = if self.wants.locks {
            SpaceLocks::ask(tx, self.root.space, self.now).await?
        } else {
            Asked::nothing()
        };
        let quota = if self.wants.quota {
            ask_quota(tx, self.root.space).await?
        } else {
            Asked::nothing()
        };
        let found = answer_walk(tx, asked).await?;
        let node = found.existing()?.clone();
        let quota = tx.answer_one(quota).await?;
        let space_locks = SpaceLocks::answer(tx, locks).await?;

        let checksum = match node.content.filter(|_| self.wants.checksums) {
            Some(id) => ask_checksum(tx, id).await?,
            None => Asked::nothing(),
        };
        let properties = if self.wants.properties {
            ask_properties(tx, node.id).await?
        } else {
            Asked::nothing()
        };
        let next = ListChildren {
            space: self.root.space,
            folder: node.id,
            path: self.path.clone(),
            after: NodeId(0),
            max: PAGE_NODES,
            wants: self.wants,
            deep_locks: Vec::new(),
            now: self.now,
        };
        let marks = ask_marks(tx, &node, self.wants).await?;
        let details = AskedDetails::of(tx, node.id, self.wants).await?;
        let page = if self.with_children && node.is_folder() {
            Some(next.ask_page(tx).await?)
        } else {
            None
        };
        let locks = space_locks.covering(tx, &found.nodes, self.now).await?;
        let at = |(index, lock): &(usize, LockRow)| lock.at(found.path_at(&self.path, *index));
        let next = ListChildren {
            deep_locks: locks.iter().filter(|(_, lock)| lock.deep).map(at).collect(),
            ..next
        };
        let mut entry = Entry {
            checksum: tx.answer_one(checksum).await?.flatten(),
            properties: tx.answer(properties).await?,
            locks: locks.iter().map(at).collect(),
            is_favorite: tx.answer_one(marks.favorite).await?.is_some(),
            tags: tx.answer(marks.tags).await?,
            ..Entry::bare(node)
        };
        details.answer(tx, self.wants).await?.put_to(&mut entry);
        let page = match page {
            Some(asked) => next.answer_page(tx, asked, &space_locks).await?,
            None => Vec::new(),
        };
        Ok(OpenedListing {
            entry,
            page,
            deep_locks: next.deep_locks,
            quota: quota.map(|(used, stored)| QuotaState {
                used_bytes: unsigned(used),
                quota_bytes: effective_quota(stored, self.quota_default_bytes),
            }),
        })
    }
}

async fn ask_checksum<T: Tx>(
    tx: &mut T,
    content: ContentRef,
) -> StoreResult<Asked<Option<String>>> {
    tx.ask(
        "SELECT checksum FROM content WHERE id = $1",
        &[content.0.into()],
        |row| row.opt_text(0),
    )
    .await
}

/// What people marked one node with.
struct AskedMarks {
    favorite: Asked<i64>,
    tags: Asked<String>,
}

async fn ask_marks<T: Tx>(tx: &mut T, node: &Node, wants: ListingWants) -> StoreResult<AskedMarks> {
    let favorite = match wants.favorites_of {
        Some(person) => {
            tx.ask(
                "SELECT 1 FROM favorite WHERE account_id = $1 AND node_id = $2",
                &[person.0.into(), node.id.0.into()],
                |row| row.int(0),
            )
            .await?
        }
        None => Asked::nothing(),
    };
    let tags = if wants.tags {
        tx.ask(
            "SELECT t.name FROM node_tag m JOIN tag t ON t.id = m.tag_id WHERE m.node_id = $1 \
             ORDER BY t.fold",
            &[node.id.0.into()],
            |row| row.text(0),
        )
        .await?
    } else {
        Asked::nothing()
    };
    Ok(AskedMarks { favorite, tags })
}

/// Brings what a listing shows of nodes that were found by something else than their folder.
pub(crate) async fn complete<T: Tx>(
    tx: &mut T,
    nodes: Vec<Node>,
    wants: ListingWants,
) -> StoreResult<Vec<Entry>> {
    let mut asked = Vec::with_capacity(nodes.len());
    for node in nodes {
        let checksum = match node.content.filter(|_| wants.checksums) {
            Some(id) => ask_checksum(tx, id).await?,
            None => Asked::nothing(),
        };
        let properties = if wants.properties {
            ask_properties(tx, node.id).await?
        } else {
            Asked::nothing()
        };
        let marks = ask_marks(tx, &node, wants).await?;
        let details = AskedDetails::of(tx, node.id, wants).await?;
        asked.push((node, checksum, properties, marks, details));
    }
    let mut entries = Vec::with_capacity(asked.len());
    for (node, checksum, properties, marks, details) in asked {
        let mut entry = Entry {
            checksum: tx.answer_one(checksum).await?.flatten(),
            properties: tx.answer(properties).await?,
            is_favorite: tx.answer_one(marks.favorite).await?.is_some(),
            tags: tx.answer(marks.tags).await?,
            ..Entry::bare(node)
        };
        details.answer(tx, wants).await?.put_to(&mut entry);
        entries.push(entry);
    }
    Ok(entries)
}

/// Asks for the dead properties of a node.
async fn ask_properties<T: Tx>(tx: &mut T, node: NodeId) -> StoreResult<Asked<Property>> {
    tx.ask(
        "SELECT namespace, name, value FROM property WHERE node_id = $1 ORDER BY namespace, name",
        &[node.0.into()],
        |row| {
            Ok(Property {
                namespace: row.text(0)?,
                name: row.text(1)?,
                xml: row.text(2)?,
            })
        },
    )
    .await
}

/// Reads the dead properties of a node.
pub(crate) async fn properties_of<T: Tx>(tx: &mut T, node: NodeId) -> StoreResult<Vec<Property>> {
    let asked = ask_properties(tx, node).await?;
    tx.answer(asked).await
}

/// Lists the next children of a folder.
#[derive(Debug)]
pub struct ListChildren {
    /// The space.
    pub space: SpaceId,
    /// The folder.
    pub folder: NodeId,
    /// The folder's path, for the paths of locks.
    pub path: NodePath,
    /// The last child of the page before; 0 to begin.
    pub after: NodeId,
    /// How many to list, at most [`PAGE_NODES`].
    pub max: usize,
    /// What to bring.
    pub wants: ListingWants,
    /// Locks that cover every child.
    pub deep_locks: Vec<Lock>,
    /// The moment, for locks.
    pub now: Timestamp,
}

impl Operation for ListChildren {
    type Output = Vec<Entry>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Entry>> {
        let locks = if self.wants.locks {
            SpaceLocks::ask(tx, self.space, self.now).await?
        } else {
            Asked::nothing()
        };
        let asked = self.ask_page(tx).await?;
        let locks = SpaceLocks::answer(tx, locks).await?;
        self.answer_page(tx, asked, &locks).await
    }
}

/// A page of children that was asked for.
struct AskedPage {
    entries: Asked<Entry>,
    properties: Asked<(i64, Property)>,
    favorites: Asked<i64>,
    tags: Asked<(i64, String)>,
    details: AskedDetails,
}

impl ListChildren {
    async fn ask_page<T: Tx>(&self, tx: &mut T) -> StoreResult<AskedPage> {
        let page = [
            self.folder.0.into(),
            self.after.0.into(),
            signed(self.max as u64).into(),
        ];
        Ok(AskedPage {
            details: AskedDetails::of_page(tx, &page, self.wants).await?,
            entries: self.ask_nodes(tx).await?,
            properties: if self.wants.properties {
                self.ask_properties(tx).await?
            } else {
                Asked::nothing()
            },
            favorites: match self.wants.favorites_of {
                Some(person) => {
                    tx.ask(
                        "SELECT f.node_id FROM (SELECT id FROM node WHERE parent_id = $1 \
                         AND id > $2 ORDER BY id LIMIT $3) n \
                         JOIN favorite f ON f.account_id = $4 AND f.node_id = n.id",
                        &[
                            self.folder.0.into(),
                            self.after.0.into(),
                            signed(self.max as u64).into(),
                            person.0.into(),
                        ],
                        |row| row.int(0),
                    )
                    .await?
                }
                None => Asked::nothing(),
            },
            tags: if self.wants.tags {
                tx.ask(
                    "SELECT m.node_id, t.name FROM (SELECT id FROM node WHERE parent_id = $1 \
                     AND id > $2 ORDER BY id LIMIT $3) n JOIN node_tag m ON m.node_id = n.id \
                     JOIN tag t ON t.id = m.tag_id ORDER BY t.fold",
                    &[
                        self.folder.0.into(),
                        self.after.0.into(),
                        signed(self.max as u64).into(),
                    ],
                    |row| Ok((row.int(0)?, row.text(1)?)),
                )
                .await?
            } else {
                Asked::nothing()
            },
        })
    }

    async fn answer_page<T: Tx>(
        &self,
        tx: &mut T,
        asked: AskedPage,
        locks: &SpaceLocks,
    ) -> StoreResult<Vec<Entry>> {
        let mut entries = tx.answer(asked.entries).await?;
        let mut properties: HashMap<i64, Vec<Property>> = HashMap::new();
        for (node, property) in tx.answer(asked.properties).await? {
            properties.entry(node).or_default().push(property);
        }
        let favorites: HashSet<i64> = tx.answer(asked.favorites).await?.into_iter().collect();
        let mut tags: HashMap<i64, Vec<String>> = HashMap::new();
        for (node, tag) in tx.answer(asked.tags).await? {
            tags.entry(node).or_default().push(tag);
        }
        let mut details = asked.details.answer(tx, self.wants).await?;
        for entry in &mut entries {
            details.put_to(entry);
            entry.properties = properties.remove(&entry.node.id.0).unwrap_or_default();
            entry.is_favorite = favorites.contains(&entry.node.id.0);
            entry.tags = tags.remove(&entry.node.id.0).unwrap_or_default();
        }
        if self.wants.locks {
            self.add_locks(tx, &mut entries, locks).await?;
        }
        Ok(entries)
    }

    async fn ask_nodes<T: Tx>(&self, tx: &mut T) -> StoreResult<Asked<Entry>> {
        let params = [
            self.folder.0.into(),
            self.after.0.into(),
            signed(self.max as u64).into(),
        ];
        if !self.wants.checksums {
            return tx
                .ask(
                    "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, \
                     tree_files, rev, mtime, ctime, flags FROM node \
                     WHERE parent_id = $1 AND id > $2 ORDER BY id LIMIT $3",
                    &params,
                    |row| read_node(row).map(Entry::bare),
                )
                .await;
        }
        tx.ask(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
             n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, c.checksum \
             FROM node n LEFT JOIN content c ON c.id = n.content_id \
             WHERE n.parent_id = $1 AND n.id > $2 ORDER BY n.id LIMIT $3",
            &params,
            |row| {
                let mut entry = Entry::bare(read_node(row)?);
                entry.checksum = row.opt_text(NODE_COLUMNS)?;
                Ok(entry)
            },
        )
        .await
    }

    /// Asks for the dead properties of the page's nodes, before anybody knows which they are.
    async fn ask_properties<T: Tx>(&self, tx: &mut T) -> StoreResult<Asked<(i64, Property)>> {
        tx.ask(
            "SELECT p.node_id, p.namespace, p.name, p.value \
             FROM (SELECT id FROM node WHERE parent_id = $1 AND id > $2 ORDER BY id LIMIT $3) n \
             JOIN property p ON p.node_id = n.id",
            &[
                self.folder.0.into(),
                self.after.0.into(),
                signed(self.max as u64).into(),
            ],
            |row| {
                let property = Property {
                    namespace: row.text(1)?,
                    name: row.text(2)?,
                    xml: row.text(3)?,
                };
                Ok((row.int(0)?, property))
            },
        )
        .await
    }

    async fn add_locks<T: Tx>(
        &self,
        tx: &mut T,
        entries: &mut [Entry],
        locks: &SpaceLocks,
    ) -> StoreResult<()> {
        for entry in entries.iter_mut() {
            entry.locks.clone_from(&self.deep_locks);
        }
        if locks.is_empty() {
            return Ok(());
        }
        let found = match locks.all() {
            Some(all) => all.to_vec(),
            None => self.read_locks(tx).await?,
        };
        let mut by_node: HashMap<NodeId, Vec<LockRow>> = HashMap::new();
        for lock in found {
            by_node.entry(lock.node).or_default().push(lock);
        }
        for entry in entries {
            let Some(locks) = by_node.remove(&entry.node.id) else {
                continue;
            };
            let path = NodePath::parse(&format!("{}/{}", self.path, entry.node.name));
            let path = path.unwrap_or_default();
            entry
                .locks
                .extend(locks.iter().map(|lock| lock.at(path.clone())));
        }
        Ok(())
    }

    /// Reads the locks of the folder's children.
    async fn read_locks<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<LockRow>> {
        tx.rows(
            "SELECT l.token, l.node_id, l.owner_id, a.name, l.shared, l.deep, l.until, \
             l.timeout_seconds, l.info, l.kind, l.at, l.editor, a.display_name FROM lock l JOIN node n ON n.id = l.node_id \
             LEFT JOIN account a ON a.id = l.owner_id \
             WHERE l.space_id = $1 AND l.until > $2 AND n.parent_id = $3",
            &[self.space.0.into(), self.now.0.into(), self.folder.0.into()],
            read_lock,
        )
        .await
    }
}

/// Counts the children of a folder.
#[derive(Debug)]
pub struct CountChildren {
    /// The folder.
    pub folder: NodeId,
}

impl Operation for CountChildren {
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let count = tx
            .row(
                "SELECT count(*) FROM node WHERE parent_id = $1",
                &[self.folder.0.into()],
                |row| row.int(0),
            )
            .await?;
        Ok(unsigned(count.unwrap_or_default()))
    }
}

/// Finds the child behind which a listing goes on that leaves out the first ones.
#[derive(Debug)]
pub struct FindChildAt {
    /// The folder.
    pub folder: NodeId,
    /// The child's place in the order of listings, from 0.
    pub index: u64,
}

impl Operation for FindChildAt {
    /// `None`: there are fewer.
    type Output = Option<NodeId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<NodeId>> {
        tx.row(
            "SELECT id FROM node WHERE parent_id = $1 ORDER BY id LIMIT 1 OFFSET $2",
            &[self.folder.0.into(), signed(self.index).into()],
            |row| Ok(NodeId(row.int(0)?)),
        )
        .await
    }
}

/// Reads the dead properties of the node at a path.
#[derive(Debug)]
pub struct ListProperties {
    /// Where the path begins.
    pub root: Root,
    /// The path.
    pub path: NodePath,
}

impl Operation for ListProperties {
    type Output = Vec<Property>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Property>> {
        let found = walk(tx, self.root, &self.path).await?;
        let node = found.existing()?.id;
        properties_of(tx, node).await
    }
}

/// Asks for the bytes that a space holds, and its own quota.
async fn ask_quota<T: Tx>(tx: &mut T, space: SpaceId) -> StoreResult<Asked<(i64, Option<i64>)>> {
    tx.ask(
        "SELECT used, quota FROM space WHERE id = $1",
        &[space.0.into()],
        |row| Ok((row.int(0)?, row.opt_int(1)?)),
    )
    .await
}
