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
    both.map(|sql| (*sql).to_owned()).collect()
}

/// What a path leads to: the nodes from the root down, as far as they exist.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// From the root; never empty.
    pub(crate) nodes: Vec<Node>,
    /// Names of the path that nothing has.
    pub(crate) missing: usize,
}

impl Walk {
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

/// A walk that was asked for; see [`Tx::ask`].
pub(crate) struct AskedWalk {
    first: Asked<Vec<Node>>,
    path: NodePath,
}

/// Walks a path from the root of a space.
pub(crate) async fn walk<T: Tx>(tx: &mut T, space: SpaceId, path: &NodePath) -> StoreResult<Walk> {
    let asked = ask_walk(tx, space, path).await?;
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
    space: SpaceId,
    path: &NodePath,
) -> StoreResult<AskedWalk> {
    let names = path.names();
    let names = names.get(..LEG_NAMES).unwrap_or(names);
    let first = ask_leg(tx, (&FROM_ROOT, names.len()), space.0, names).await?;
    Ok(AskedWalk {
        first,
        path: path.clone(),
    })
}

/// Returns what a path leads to, once the answer is there.
pub(crate) async fn answer_walk<T: Tx>(tx: &mut T, asked: AskedWalk) -> StoreResult<Walk> {
    let AskedWalk { first, path } = asked;
    let names = path.names();
    let mut nodes = tx.answer_one(first).await?.ok_or(Refusal::NotFound)?;
    // The first leg finds the root as well.
    let mut done = LEG_NAMES;
    while nodes.len() == done + 1
        && let Some(rest) = names.get(done..).filter(|rest| !rest.is_empty())
        && let Some(folder) = nodes.last().map(|node| node.id)
    {
        let leg = rest.get(..LEG_NAMES).unwrap_or(rest);
        let asked = ask_leg(tx, (&FROM_FOLDER, leg.len() - 1), folder.0, leg).await?;
        nodes.extend(tx.answer_one(asked).await?.unwrap_or_default());
        done += leg.len();
    }
    Ok(Walk {
        missing: names.len() + 1 - nodes.len(),
        nodes,
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
