//! Looking through a space for nodes that somebody describes.
//!
//! There is no index of names or times: a search reads the space's nodes in the order of their numbers, a
//! page at a time and each page on a snapshot of its own, so its cost follows the size of the space and
//! nobody's write waits for it. A node that changes meanwhile comes again later in that order. What somebody
//! was given of another space is read folder by folder, so that the rest of that space costs nothing.

use std::fmt;
use std::sync::Arc;

use nuage_shared::node_path::NodePath;

use crate::store::metadata::browse::complete;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::paths_of;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Nodes that one page looks at.
pub const SCANNED_PAGE: usize = 2_000;
/// Folders that are looked at together.
pub const SCANNED_FOLDERS: usize = 32;
/// Children of one folder that are looked at together.
pub const SCANNED_CHILDREN: usize = 250;
/// Favourites of one person that a search knows.
const FAVORITES_MAX: u64 = 100_000;

/// Says whether a node is what is looked for, by the node alone.
#[derive(Clone)]
pub struct Test(pub Arc<dyn Fn(&Node) -> bool + Send + Sync>);

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Test")
    }
}

/// Looks at the next nodes of a space.
#[derive(Debug)]
pub struct ScanSpace {
    /// The space.
    pub space: SpaceId,
    /// Where the page before ended; 0 to begin.
    pub after: i64,
    /// What is looked for.
    pub test: Test,
    /// Only what lies below.
    pub scope: NodePath,
}

/// What a page of a search found.
#[derive(Debug)]
pub struct ScannedPage {
    /// Nodes and where they are; nothing that lies in the trash.
    pub found: Vec<(NodePath, Node)>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<i64>,
}

impl Operation for ScanSpace {
    type Output = ScannedPage;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<ScannedPage> {
        let nodes = tx
            .rows(
                "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, \
                 tree_files, rev, mtime, ctime, flags FROM node \
                 WHERE space_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                &[
                    self.space.0.into(),
                    self.after.into(),
                    signed(SCANNED_PAGE as u64).into(),
                ],
                read_node,
            )
            .await?;
        let is_full = nodes.len() >= SCANNED_PAGE;
        let next = nodes.last().map(|node| node.seq).filter(|_| is_full);
        let is_meant = |node: &Node| node.parent.is_some() && (self.test.0)(node);
        let nodes: Vec<Node> = nodes.into_iter().filter(is_meant).collect();
        let paths = paths_of(tx, self.space, &nodes).await?;
        let is_below =
            |path: &NodePath| path.is_within(&self.scope) && path.names() != self.scope.names();
        let found = paths
            .into_iter()
            .zip(nodes)
            .filter_map(|(path, node)| Some((path.filter(is_below)?, node)))
            .collect();
        Ok(ScannedPage { found, next })
    }
}

/// Looks at the next children of folders, wherever these lie.
#[derive(Debug)]
pub struct ScanFolders {
    /// Folders, each with the last child that was looked at; 0 to begin. At most [`SCANNED_FOLDERS`].
    pub folders: Vec<(NodeId, NodeId)>,
}

impl Operation for ScanFolders {
    /// For each folder its next children, at most [`SCANNED_CHILDREN`]; fewer: there are no more.
    type Output = Vec<Vec<Node>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Vec<Node>>> {
        let mut asked = Vec::with_capacity(self.folders.len());
        for (folder, after) in &self.folders {
            let children = tx
                .ask(
                    "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, \
                     tree_files, rev, mtime, ctime, flags FROM node \
                     WHERE parent_id = $1 AND id > $2 ORDER BY id LIMIT $3",
                    &[
                        folder.0.into(),
                        after.0.into(),
                        signed(SCANNED_CHILDREN as u64).into(),
                    ],
                    read_node,
                )
                .await?;
            asked.push(children);
        }
        let mut pages = Vec::with_capacity(asked.len());
        for children in asked {
            pages.push(tx.answer(children).await?);
        }
        Ok(pages)
    }
}

/// Lists the nodes that a person marked as favourites, as far as a search knows them.
#[derive(Debug)]
pub struct ListFavorites(pub UserId);

impl Operation for ListFavorites {
    type Output = Vec<NodeId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<NodeId>> {
        tx.rows(
            "SELECT node_id FROM favorite WHERE account_id = $1 LIMIT $2",
            &[self.0.0.into(), signed(FAVORITES_MAX).into()],
            |row| Ok(NodeId(row.int(0)?)),
        )
        .await
    }
}

/// Brings what a listing shows of nodes that were found.
#[derive(Debug)]
pub struct DescribeNodes {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What to bring.
    pub wants: ListingWants,
}

impl Operation for DescribeNodes {
    type Output = Vec<Entry>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Entry>> {
        complete(tx, self.nodes.clone(), self.wants).await
    }
}
