//! What a listing tells of nodes beyond themselves: when a file's bytes came, how many children a folder has.
//!
//! Few clients ask for it, and counting costs as much as there is to count; so it is brought only
//! where it was asked for, in one statement for a page of nodes.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::Children;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;

/// Details that were asked for, of one node or of a page of them.
pub(crate) struct AskedDetails {
    /// Node and microseconds.
    uploaded: Asked<(i64, i64)>,
    /// Folder, kind, and how many of it.
    children: Asked<(i64, i64, i64)>,
}

/// Details by node.
pub(crate) struct Details {
    uploaded: HashMap<i64, i64>,
    children: HashMap<i64, Children>,
    has_children: bool,
}

impl AskedDetails {
    /// Asks for the details of one node.
    pub(crate) async fn of<T: Tx>(
        tx: &mut T,
        node: NodeId,
        wants: ListingWants,
    ) -> StoreResult<Self> {
        let params = [node.0.into()];
        let uploaded = "SELECT id, content_at FROM node WHERE id = $1";
        let children = "SELECT parent_id, kind, count(*) FROM node WHERE parent_id = $1 GROUP BY parent_id, kind";
        Self::ask(tx, [uploaded, children], &params, wants).await
    }

    /// Asks for the details of a page of children: the `limit` next after a node.
    pub(crate) async fn of_page<T: Tx>(
        tx: &mut T,
        page: &[Value<'_>; 3],
        wants: ListingWants,
    ) -> StoreResult<Self> {
        let uploaded = "SELECT id, content_at FROM node WHERE parent_id = $1 AND id > $2 \
                        ORDER BY id LIMIT $3";
        let children = "SELECT c.parent_id, c.kind, count(*) \
                        FROM (SELECT id FROM node WHERE parent_id = $1 AND id > $2 \
                        ORDER BY id LIMIT $3) n JOIN node c ON c.parent_id = n.id \
                        GROUP BY c.parent_id, c.kind";
        Self::ask(tx, [uploaded, children], page, wants).await
    }

    async fn ask<T: Tx>(
        tx: &mut T,
        [uploaded, children]: [&'static str; 2],
        params: &[Value<'_>],
        wants: ListingWants,
    ) -> StoreResult<Self> {
        Ok(Self {
            uploaded: if wants.uploaded {
                tx.ask(uploaded, params, |row| Ok((row.int(0)?, row.int(1)?)))
                    .await?
            } else {
                Asked::nothing()
            },
            children: if wants.children {
                tx.ask(children, params, |row| {
                    Ok((row.int(0)?, row.int(1)?, row.int(2)?))
                })
                .await?
            } else {
                Asked::nothing()
            },
        })
    }

    /// Reads what was asked for.
    pub(crate) async fn answer<T: Tx>(
        self,
        tx: &mut T,
        wants: ListingWants,
    ) -> StoreResult<Details> {
        let uploaded = tx.answer(self.uploaded).await?.into_iter().collect();
        let mut children: HashMap<i64, Children> = HashMap::new();
        for (folder, kind, count) in tx.answer(self.children).await? {
            let held = children.entry(folder).or_default();
            if kind == 0 {
                held.folders = unsigned(count);
            } else {
                held.files += unsigned(count);
            }
        }
        Ok(Details {
            uploaded,
            children,
            has_children: wants.children,
        })
    }
}

impl Details {
    /// Puts to an entry what is known of its node.
    pub(crate) fn put_to(&mut self, entry: &mut Entry) {
        let id = entry.node.id.0;
        if entry.node.is_folder() {
            let held = self.children.remove(&id).unwrap_or_default();
            entry.children = self.has_children.then_some(held);
        } else {
            entry.uploaded_at = self
                .uploaded
                .remove(&id)
                .map(|micros| Timestamp(micros.saturating_mul(1_000)));
        }
    }
}
