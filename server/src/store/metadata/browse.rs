//! Questions about what is there now: find a node, list a folder, a space's quota.
//!
//! A listing is read in pages, each on a snapshot of its own that ends before
//! its rows are sent (a reader that waits for a slow client would pin the
//! write-ahead log). Pages go on by node number, which renames do not disturb.

use std::collections::HashMap;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::locks::LockRow;
use crate::store::metadata::locks::any_lock;
use crate::store::metadata::locks::covering;
use crate::store::metadata::locks::read_lock;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::effective_quota;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::nodes::walk;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Property;
use crate::store::metadata::records::QuotaState;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Children in one page.
pub const PAGE_NODES: usize = 1_000;

/// Finds the node at a path.
#[derive(Debug)]
pub struct FindNode {
    /// The space.
    pub space: SpaceId,
    /// The path.
    pub path: NodePath,
}

impl Operation for FindNode {
    type Output = Option<Node>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Node>> {
        Ok(walk(tx, self.space, &self.path).await?.target().cloned())
    }
}

/// Finds the node at a path with what a listing shows, and its first children.
#[derive(Debug)]
pub struct OpenListing {
    /// The space.
    pub space: SpaceId,
    /// The path.
    pub path: NodePath,
    /// What to bring.
    pub wants: ListingWants,
    /// Whether the first page of children is wanted as well.
    pub with_children: bool,
    /// The moment, for locks.
    pub now: Timestamp,
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
}

impl Operation for OpenListing {
    type Output = OpenedListing;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<OpenedListing> {
        let found = walk(tx, self.space, &self.path).await?;
        let node = found.existing()?.clone();
        let locks = if self.wants.locks && any_lock(tx, self.space, self.now).await? {
            covering(tx, &found.nodes, self.now).await?
        } else {
            Vec::new()
        };
        let at = |(index, lock): &(usize, LockRow)| lock.at(ancestor(&self.path, *index));
        let entry = Entry {
            checksum: match node.content.filter(|_| self.wants.checksums) {
                Some(id) => checksum_of(tx, id.0).await?,
                None => None,
            },
            properties: if self.wants.properties {
                properties_of(tx, node.id).await?
            } else {
                Vec::new()
            },
            locks: locks.iter().map(at).collect(),
            node,
        };
        let mut next = ListChildren {
            space: self.space,
            folder: entry.node.id,
            path: self.path.clone(),
            after: NodeId(0),
            wants: self.wants,
            deep_locks: locks.iter().filter(|(_, lock)| lock.deep).map(at).collect(),
            now: self.now,
        };
        let page = if self.with_children && entry.node.is_folder() {
            next.run(tx).await?
        } else {
            Vec::new()
        };
        Ok(OpenedListing {
            entry,
            page,
            deep_locks: std::mem::take(&mut next.deep_locks),
        })
    }
}

fn ancestor(path: &NodePath, names: usize) -> NodePath {
    let mut at = path.clone();
    while at.names().len() > names {
        at = at.parent().unwrap_or_default();
    }
    at
}

async fn checksum_of<T: Tx>(tx: &mut T, content: i64) -> StoreResult<Option<String>> {
    let found = tx
        .row(
            "SELECT checksum FROM content WHERE id = $1",
            &[content.into()],
            |row| row.opt_text(0),
        )
        .await?;
    Ok(found.flatten())
}

/// Reads the dead properties of a node.
pub(crate) async fn properties_of<T: Tx>(tx: &mut T, node: NodeId) -> StoreResult<Vec<Property>> {
    tx.rows(
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
        let mut entries = self.nodes(tx).await?;
        if self.wants.properties {
            self.add_properties(tx, &mut entries).await?;
        }
        if self.wants.locks {
            self.add_locks(tx, &mut entries).await?;
        }
        Ok(entries)
    }
}

impl ListChildren {
    async fn nodes<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Entry>> {
        let params = [
            self.folder.0.into(),
            self.after.0.into(),
            signed(PAGE_NODES as u64).into(),
        ];
        let bare = |node| Entry {
            node,
            checksum: None,
            properties: Vec::new(),
            locks: Vec::new(),
        };
        if !self.wants.checksums {
            return tx
                .rows(
                    "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, \
                     tree_files, rev, mtime, ctime, flags FROM node \
                     WHERE parent_id = $1 AND id > $2 ORDER BY id LIMIT $3",
                    &params,
                    |row| read_node(row).map(bare),
                )
                .await;
        }
        tx.rows(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, \
             n.content_id, n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, c.checksum \
             FROM node n LEFT JOIN content c ON c.id = n.content_id \
             WHERE n.parent_id = $1 AND n.id > $2 ORDER BY n.id LIMIT $3",
            &params,
            |row| {
                let mut entry = bare(read_node(row)?);
                entry.checksum = row.opt_text(NODE_COLUMNS)?;
                Ok(entry)
            },
        )
        .await
    }

    async fn add_properties<T: Tx>(&self, tx: &mut T, entries: &mut [Entry]) -> StoreResult<()> {
        let Some(last) = entries.last().map(|entry| entry.node.id) else {
            return Ok(());
        };
        let found = tx
            .rows(
                "SELECT p.node_id, p.namespace, p.name, p.value \
                 FROM node n JOIN property p ON p.node_id = n.id \
                 WHERE n.parent_id = $1 AND n.id > $2 AND n.id <= $3",
                &[self.folder.0.into(), self.after.0.into(), last.0.into()],
                |row| {
                    let property = Property {
                        namespace: row.text(1)?,
                        name: row.text(2)?,
                        xml: row.text(3)?,
                    };
                    Ok((row.int(0)?, property))
                },
            )
            .await?;
        let mut by_node: HashMap<i64, Vec<Property>> = HashMap::new();
        for (node, property) in found {
            by_node.entry(node).or_default().push(property);
        }
        for entry in entries {
            entry.properties = by_node.remove(&entry.node.id.0).unwrap_or_default();
        }
        Ok(())
    }

    async fn add_locks<T: Tx>(&self, tx: &mut T, entries: &mut [Entry]) -> StoreResult<()> {
        for entry in entries.iter_mut() {
            entry.locks.clone_from(&self.deep_locks);
        }
        if !any_lock(tx, self.space, self.now).await? {
            return Ok(());
        }
        let found = tx
            .rows(
                "SELECT l.token, l.node_id, l.owner_id, a.name, l.shared, l.deep, l.until, \
                 l.timeout_seconds, l.info FROM lock l JOIN node n ON n.id = l.node_id \
                 LEFT JOIN account a ON a.id = l.owner_id \
                 WHERE l.space_id = $1 AND l.until > $2 AND n.parent_id = $3",
                &[self.space.0.into(), self.now.0.into(), self.folder.0.into()],
                read_lock,
            )
            .await?;
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
}

/// Reads the dead properties of the node at a path.
#[derive(Debug)]
pub struct ListProperties {
    /// The space.
    pub space: SpaceId,
    /// The path.
    pub path: NodePath,
}

impl Operation for ListProperties {
    type Output = Vec<Property>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Property>> {
        let found = walk(tx, self.space, &self.path).await?;
        let node = found.existing()?.id;
        properties_of(tx, node).await
    }
}

/// Reads what a space holds and may hold.
#[derive(Debug)]
pub struct ReadQuota {
    /// The space.
    pub space: SpaceId,
    /// Quota of spaces that have none of their own.
    pub quota_default_bytes: Option<u64>,
}

impl Operation for ReadQuota {
    type Output = QuotaState;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<QuotaState> {
        let row = tx
            .row(
                "SELECT used, quota FROM space WHERE id = $1",
                &[self.space.0.into()],
                |row| Ok((row.int(0)?, row.opt_int(1)?)),
            )
            .await?;
        let (used, quota) = row.ok_or(Refusal::NotFound)?;
        Ok(QuotaState {
            used_bytes: unsigned(used),
            quota_bytes: effective_quota(quota, self.quota_default_bytes),
        })
    }
}
