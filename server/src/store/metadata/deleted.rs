//! A file in the trash, found by its number: as whoever has seen it in a listing names it.

use nuage_shared::node_path::NodePath;

use crate::store::metadata::contents::content_by_id;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Finds a deleted file, or a file in a deleted folder, with its content.
#[derive(Debug)]
pub struct FindDeletedFile {
    /// The space whose trash it is in.
    pub space: SpaceId,
    /// The file.
    pub node: NodeId,
}

impl Operation for FindDeletedFile {
    /// The file under the name that it had; `None`: no such file is in that trash.
    type Output = Option<(Node, Content)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<(Node, Content)>> {
        let found = node_by_id(tx, self.node).await?;
        let Some(mut node) = found.filter(|node| node.space == self.space) else {
            return Ok(None);
        };
        let Some(content) = node.content else {
            return Ok(None);
        };
        let Some((top, name)) = deleted_top(tx, node.id).await? else {
            return Ok(None);
        };
        if top == node.id {
            node.name = name;
        }
        let content = content_by_id(tx, content).await?;
        Ok(content.map(|content| (node, content)))
    }
}

/// Returns the top of the deleted tree that a node is in, and the name that it had; `None`: it is not
/// deleted, or was let go.
async fn deleted_top<T: Tx>(tx: &mut T, node: NodeId) -> StoreResult<Option<(NodeId, String)>> {
    let mut at = node;
    for _level in 0..=NodePath::DEPTH_MAX {
        let row = tx
            .row(
                "SELECT n.parent_id, t.at, t.name FROM node n LEFT JOIN trash t ON t.node_id = n.id \
                 WHERE n.id = $1",
                &[at.0.into()],
                |row| Ok((row.opt_int(0)?, row.opt_int(1)?, row.opt_text(2)?)),
            )
            .await?;
        match row {
            Some((_, Some(deleted_at), name)) => {
                // The moment 0: somebody let it go.
                return Ok((deleted_at > 0).then_some((at, name.unwrap_or_default())));
            }
            Some((Some(parent), None, _)) => at = NodeId(parent),
            Some((None, None, _)) | None => return Ok(None),
        }
    }
    Ok(None)
}
