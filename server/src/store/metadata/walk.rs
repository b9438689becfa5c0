//! The way from a space's root to the node at a path.
//!
//! A path is followed in one question: each name is one more join, by the index of names within
//! a folder. So it costs one round trip however deep it leads, and can travel
//! together with other questions ([`ask_walk`]). Very deep paths take one question for
//! each [`LEG_NAMES`] names.

use std::sync::LazyLock;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;

/// Names that one question follows.
const LEG_NAMES: usize = 8;
/// The columns that [`read_node`] reads.
const COLUMNS: [&str; NODE_COLUMNS] = [
    "id",
    "space_id",
    "parent_id",
    "name",
    "kind",
    "seq",
    "tree_seq",
    "content_id",
    "size",
    "tree_files",
    "rev",
    "mtime",
    "ctime",
    "flags",
];

/// From a space's root, by the number of names.
static FROM_ROOT: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    (0..=LEG_NAMES)
        .map(|names| statement(names, Start::Root))
        .collect()
});
/// From a folder, by the number of names less one.
static FROM_FOLDER: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    (1..=LEG_NAMES)
        .map(|names| statement(names, Start::Folder))
        .collect()
});

/// A node, the folders above it, the highest first, and the root of a space beside.
const CHAIN: &str = "WITH RECURSIVE up(id, parent_id, height) AS (\
    SELECT id, parent_id, 0 FROM node WHERE id = $1 UNION ALL \
    SELECT n.id, n.parent_id, u.height + 1 FROM up u CROSS JOIN node n \
    WHERE n.id = u.parent_id AND u.height < 300) \
    SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, n.content_id, \
    n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, \
    (SELECT root_id FROM space WHERE id = $2 AND state = 0) \
    FROM up u CROSS JOIN node n WHERE n.id = u.id ORDER BY u.height DESC";

/// Where a question begins.
#[derive(Clone, Copy)]
enum Start {
    /// At the root of the space `$1`, which is part of the answer.
    Root,
    /// Below the folder `$1`, which is not.
    Folder,
}

/// Makes the statement that follows so many names; it lives as long as the program.
fn statement(names: usize, start: Start) -> &'static str {
    let first = match start {
        Start::Root => 0,
        Start::Folder => 1,
    };
    let columns: Vec<String> = (first..=names)
        .flat_map(|level| COLUMNS.map(|column| format!("n{level}.{column}")))
        .collect();
    let mut sql = format!("SELECT {} FROM ", columns.join(", "));
    sql.push_str(match start {
        Start::Root => {
            "(SELECT root_id FROM space WHERE id = $1 AND state = 0) s \
             JOIN node n0 ON n0.id = s.root_id"
        }
        Start::Folder => "(SELECT id FROM node WHERE id = $1) n0",
    });
    sql.extend((1..=names).map(|level| {
        let (above, name) = (level - 1, level + 1);
        format!(
            " LEFT JOIN node n{level} ON n{level}.parent_id = n{above}.id AND n{level}.name = ${name}"
        )
    }));
    Box::leak(sql.into_boxed_str())
}

/// Returns every statement of this file, for the test of plans.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let both = FROM_ROOT.iter().chain(FROM_FOLDER.iter());
    let all = both.chain(std::iter::once(&CHAIN));
    all.map(|sql| (*sql).to_owned()).collect()
}

/// What a path leads to: the nodes from the root down, as far as they exist.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// From the root; never empty.
    pub(crate) nodes: Vec<Node>,
    /// Names of the path that nothing has.
    pub(crate) missing: usize,
    /// The place in `nodes` at which the path begins; what stands before is above it.
    pub(crate) top: usize,
}

impl Walk {
    /// Returns the path, in the terms of the one that was walked, of the node at an index. What lies above the
    /// path's beginning is told as the beginning.
    pub(crate) fn path_at(&self, path: &NodePath, index: usize) -> NodePath {
        prefix(path, index.saturating_sub(self.top))
    }

    /// Returns, in the terms of the path that was walked, a path from the space's root to something below.
    pub(crate) fn path_below(&self, whole: &NodePath) -> NodePath {
        let names = whole.names().iter().skip(self.top);
        names.fold(NodePath::root(), |at, name| {
            at.child(name.clone()).unwrap_or_default()
        })
    }

    /// Returns the node at the path, if there is one.
    pub(crate) fn target(&self) -> Option<&Node> {
        if self.missing == 0 {
            self.nodes.last()
        } else {
            None
        }
    }

    /// Returns the node at the path or refuses.
    pub(crate) fn existing(&self) -> StoreResult<&Node> {
        self.target().ok_or_else(|| Refusal::NotFound.into())
    }

    /// Returns the folders above the target, the root first; refuses when the
    /// folder that should hold it is not there.
    pub(crate) fn above(&self) -> StoreResult<&[Node]> {
        let above = match self.missing {
            0 => self.nodes.get(..self.nodes.len() - 1).unwrap_or_default(),
            1 => self.nodes.as_slice(),
            _ => return Err(Refusal::ParentMissing.into()),
        };
        match above.last() {
            Some(parent) if parent.is_folder() => Ok(above),
            Some(_) => Err(Refusal::ParentMissing.into()),
            None => Err(Refusal::Root.into()),
        }
    }
}

/// Returns the first names of a path.
pub(crate) fn prefix(path: &NodePath, names: usize) -> NodePath {
    let mut at = path.clone();
    while at.names().len() > names {
        at = at.parent().unwrap_or_default();
    }
    at
}

/// A walk that was asked for; see [`Tx::ask`].
pub(crate) struct AskedWalk {
    /// Where it begins inside a space: that node and the folders above, the root first.
    chain: Option<Asked<(Node, Option<i64>)>>,
    first: Asked<Vec<Node>>,
    path: NodePath,
}

/// Walks a path from a root.
pub(crate) async fn walk<T: Tx>(
    tx: &mut T,
    root: impl Into<Root>,
    path: &NodePath,
) -> StoreResult<Walk> {
    let asked = ask_walk(tx, root, path).await?;
    answer_walk(tx, asked).await
}

/// Follows names down from a folder; `None`: one of them is not there.
pub(crate) async fn walk_below<T: Tx>(
    tx: &mut T,
    folder: NodeId,
    names: &[NodeName],
) -> StoreResult<Option<Node>> {
    let mut at = folder;
    let mut found = None;
    for leg in names.chunks(LEG_NAMES) {
        let asked = ask_leg(tx, (&FROM_FOLDER, leg.len() - 1), at.0, leg).await?;
        let nodes = tx.answer_one(asked).await?.unwrap_or_default();
        let Some(last) = nodes.into_iter().nth(leg.len() - 1) else {
            return Ok(None);
        };
        at = last.id;
        found = Some(last);
    }
    Ok(found)
}

/// Sends the question for a path; it travels with what is asked next.
pub(crate) async fn ask_walk<T: Tx>(
    tx: &mut T,
    root: impl Into<Root>,
    path: &NodePath,
) -> StoreResult<AskedWalk> {
    let root = root.into();
    let names = path.names();
    let names = names.get(..LEG_NAMES).unwrap_or(names);
    let (chain, first) = match root.top {
        None => {
            let leg = (FROM_ROOT.as_slice(), names.len());
            (None, ask_leg(tx, leg, root.space.0, names).await?)
        }
        Some(top) => {
            let chain = ask_chain(tx, root.space, top).await?;
            let first = match names.len().checked_sub(1) {
                Some(index) => ask_leg(tx, (FROM_FOLDER.as_slice(), index), top.0, names).await?,
                None => Asked::nothing(),
            };
            (Some(chain), first)
        }
    };
    Ok(AskedWalk {
        chain,
        first,
        path: path.clone(),
    })
}

/// Asks for a node and the folders above it, the highest first, and for the root of the space beside.
async fn ask_chain<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    top: NodeId,
) -> StoreResult<Asked<(Node, Option<i64>)>> {
    tx.ask(CHAIN, &[top.0.into(), space.0.into()], |row| {
        Ok((read_node(row)?, row.opt_int(NODE_COLUMNS)?))
    })
    .await
}

/// Returns what a path leads to, once the answer is there.
pub(crate) async fn answer_walk<T: Tx>(tx: &mut T, asked: AskedWalk) -> StoreResult<Walk> {
    let AskedWalk { chain, first, path } = asked;
    let names = path.names();
    let (mut nodes, top) = match chain {
        // The first leg finds the root as well.
        None => (tx.answer_one(first).await?.ok_or(Refusal::NotFound)?, 0),
        Some(chain) => {
            let mut nodes = Vec::new();
            for (node, root) in tx.answer(chain).await? {
                // What does not hang from the root of a live space is in a trash, or gone.
                if nodes.is_empty() && Some(node.id.0) != root {
                    return Err(Refusal::NotFound.into());
                }
                nodes.push(node);
            }
            let top = nodes.len().checked_sub(1).ok_or(Refusal::NotFound)?;
            nodes.extend(tx.answer_one(first).await?.unwrap_or_default());
            (nodes, top)
        }
    };
    let mut done = LEG_NAMES;
    while nodes.len() == top + done + 1
        && let Some(rest) = names.get(done..).filter(|rest| !rest.is_empty())
        && let Some(folder) = nodes.last().map(|node| node.id)
    {
        let leg = rest.get(..LEG_NAMES).unwrap_or(rest);
        let asked = ask_leg(tx, (&FROM_FOLDER, leg.len() - 1), folder.0, leg).await?;
        nodes.extend(tx.answer_one(asked).await?.unwrap_or_default());
        done += leg.len();
    }
    Ok(Walk {
        missing: top + names.len() + 1 - nodes.len(),
        nodes,
        top,
    })
}

async fn ask_leg<T: Tx>(
    tx: &mut T,
    (statements, index): (&[&'static str], usize),
    start: i64,
    names: &[NodeName],
) -> StoreResult<Asked<Vec<Node>>> {
    let sql = statements.get(index).copied().unwrap_or_default();
    let mut params: Vec<Value<'_>> = vec![start.into()];
    params.extend(names.iter().map(|name| Value::Text(name.as_str())));
    let levels = sql.matches(".flags").count();
    tx.ask(sql, &params, move |row| read_levels(row, levels))
        .await
}

/// Reads nodes that stand side by side, up to the first that does not exist.
fn read_levels(row: &dyn Row, levels: usize) -> StoreResult<Vec<Node>> {
    let mut nodes = Vec::with_capacity(levels);
    for level in 0..levels {
        let by = level * NODE_COLUMNS;
        if row.opt_int(by)?.is_none() {
            break;
        }
        nodes.push(read_node(&Shifted { row, by })?);
    }
    Ok(nodes)
}

/// A row without its first columns.
struct Shifted<'r> {
    row: &'r dyn Row,
    by: usize,
}

impl Row for Shifted<'_> {
    fn int(&self, column: usize) -> StoreResult<i64> {
        self.row.int(self.by + column)
    }

    fn opt_int(&self, column: usize) -> StoreResult<Option<i64>> {
        self.row.opt_int(self.by + column)
    }

    fn text(&self, column: usize) -> StoreResult<String> {
        self.row.text(self.by + column)
    }

    fn opt_text(&self, column: usize) -> StoreResult<Option<String>> {
        self.row.opt_text(self.by + column)
    }

    fn blob(&self, column: usize) -> StoreResult<Vec<u8>> {
        self.row.blob(self.by + column)
    }

    fn opt_blob(&self, column: usize) -> StoreResult<Option<Vec<u8>>> {
        self.row.opt_blob(self.by + column)
    }
}
