//! What somebody was given, as it appears in their home.
//!
//! It is computed each time from shares and memberships; a row in `mount` exists only where they moved, renamed or
//! left it, or where its name was taken.
//!
//! # Always true
//!
//! * A mount lies in a home, never below something that was given; so there are no cycles.
//! * Its name is none that a node or another mount has there, and does not change by itself.

use std::collections::HashMap;
use std::collections::HashSet;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::grants::fitting;
use crate::store::metadata::grants::passed_on_by;
use crate::store::metadata::grants::permissions_of;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shown;
use crate::store::metadata::sharing_news;
use crate::store::metadata::sharing_news::Touched;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::walk;

/// Numbers tried behind a name that is taken.
const NAMES_TRIED: u32 = 1_000;

/// What a mount is due to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It was given by these shares.
    Shares(Vec<ShareId>),
    /// It is the space of a group that the person belongs to.
    Team(TeamId, Role),
}

/// Something that lies elsewhere and appears in somebody's home.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The node that is shown, under its own name.
    pub node: Node,
    /// Where it appears.
    pub path: NodePath,
    /// What may be done with it and below.
    pub permissions: Permissions,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// Whose it is: a person, or a group.
    pub owner: Shown,
    /// Who gave it (with several, the first).
    pub sharer: Shown,
    /// What it is due to.
    pub source: Source,
    /// When any of this ends by itself, at the earliest.
    pub until: Option<Timestamp>,
    /// Since when it has been shared with the person; `None`: it is their group's.
    pub since: Option<Timestamp>,
}

impl Mount {
    /// Returns where paths below it begin.
    pub fn root(&self) -> Root {
        Root {
            space: self.node.space,
            top: Some(self.node.id),
        }
    }
}

/// What somebody gave, as stored.
struct Grant {
    node: Node,
    id: ShareId,
    sharer: UserId,
    permissions: Permissions,
    may_download: bool,
    expires_at: Option<Timestamp>,
    name: String,
    made_at: Timestamp,
    is_owners: bool,
    name_is_taken: bool,
    owner: Shown,
    by: Shown,
}

macro_rules! select_grants {
    ($tail:literal) => {
        concat!(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, n.content_id, \
             n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, \
             s.id, s.sharer_id, s.permissions, s.may_download, s.expires_at, s.name, s.made_at, \
             CASE WHEN sp.kind = 1 AND sp.owner_id = s.sharer_id THEN 1 ELSE 0 END, \
             CASE WHEN EXISTS (SELECT 1 FROM space h JOIN node c ON c.parent_id = h.root_id \
             WHERE h.id = $1 AND c.name = s.name) THEN 1 ELSE 0 END, \
             coalesce((SELECT o.name FROM account o WHERE sp.kind = 1 AND o.id = sp.owner_id), \
             (SELECT t.name FROM team t WHERE sp.kind = 2 AND t.id = sp.owner_id), ''), \
             coalesce((SELECT o.display_name FROM account o WHERE sp.kind = 1 AND o.id = sp.owner_id), \
             (SELECT t.name FROM team t WHERE sp.kind = 2 AND t.id = sp.owner_id), ''), \
             coalesce((SELECT b.name FROM account b WHERE b.id = s.sharer_id), ''), \
             coalesce((SELECT b.display_name FROM account b WHERE b.id = s.sharer_id), '') \
             FROM share s JOIN space sp ON sp.id = s.space_id AND sp.state = 0 \
             JOIN node n ON n.id = s.node_id ",
            $tail
        )
    };
}

fn read_grant(row: &dyn Row) -> StoreResult<Grant> {
    let at = |column: usize| NODE_COLUMNS + column;
    Ok(Grant {
        node: read_node(row)?,
        id: ShareId(row.int(at(0))?),
        sharer: UserId(row.int(at(1))?),
        permissions: Permissions::of_bits(row.int(at(2))?),
        may_download: row.int(at(3))? != 0,
        expires_at: row.opt_int(at(4))?.map(Timestamp),
        name: row.text(at(5))?,
        made_at: Timestamp(row.int(at(6))?),
        is_owners: row.int(at(7))? != 0,
        name_is_taken: row.int(at(8))? != 0,
        owner: Shown {
            name: row.text(at(9))?,
            display_name: row.text(at(10))?,
        },
        by: Shown {
            name: row.text(at(11))?,
            display_name: row.text(at(12))?,
        },
    })
}

/// A group that somebody belongs to, with the root of its space.
struct Belonging {
    root: Node,
    team: TeamId,
    name: String,
    role: Role,
    name_is_taken: bool,
}

/// Where somebody put what they were given.
struct Placed {
    node: NodeId,
    parent: Option<NodeId>,
    name: String,
    left_at: Option<Timestamp>,
    name_is_taken: bool,
}

/// Something that shall appear, before it has a place.
struct Given {
    mount: Mount,
    wanted: String,
    name_is_taken: bool,
    made_at: Timestamp,
}

/// Computes what appears in somebody's home, on one snapshot.
#[derive(Debug)]
pub struct ListMounts {
    /// Whose home.
    pub account: UserId,
    /// The home.
    pub home: SpaceId,
    /// The moment.
    pub now: Timestamp,
}

/// Reads the nodes, as they are now, of what somebody may have been given or belongs to them as a member of a group.
///
/// It says nothing of what they may do: who knows that already, from the same state of all shares, learns here what
/// their mounts look like since the last change of content.
#[derive(Debug)]
pub struct ReadMountedNodes(pub UserId);

impl Operation for ReadMountedNodes {
    type Output = HashMap<NodeId, Node>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<HashMap<NodeId, Node>> {
        let nodes = tx
            .rows(
                "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, n.content_id, \
                 n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags FROM node n WHERE n.id IN (\
                 SELECT s.node_id FROM share s WHERE s.to_id = $1 AND s.kind = 0 UNION ALL \
                 SELECT z.node_id FROM member m JOIN share z ON z.to_id = m.team_id AND z.kind = 1 \
                 WHERE m.account_id = $1 UNION ALL \
                 SELECT sp.root_id FROM member m JOIN team t ON t.id = m.team_id \
                 JOIN space sp ON sp.id = t.space_id WHERE m.account_id = $1)",
                &[self.0.0.into()],
                read_node,
            )
            .await?;
        Ok(nodes.into_iter().map(|node| (node.id, node)).collect())
    }
}

/// What appears in a home.
#[derive(Debug, Default)]
pub struct Mounts {
    /// In the order of their paths.
    pub mounts: Vec<Mount>,
    /// Mounts that got another name than their own because that was taken, to be kept.
    pub to_keep: Vec<(NodeId, NodePath)>,
}

impl Operation for ListMounts {
    type Output = Mounts;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Mounts> {
        let to_person = tx
            .ask(
                select_grants!(
                    "WHERE s.to_id = $2 AND s.kind = 0 AND s.state = 0 \
                     AND (s.expires_at IS NULL OR s.expires_at > $3) AND s.space_id <> $1"
                ),
                &[self.home.0.into(), self.account.0.into(), self.now.0.into()],
                read_grant,
            )
            .await?;
        let to_teams = tx
            .ask(
                select_grants!(
                    "WHERE s.id IN (SELECT z.id FROM member m \
                     JOIN team g ON g.id = m.team_id AND g.state = 0 \
                     JOIN share z ON z.to_id = m.team_id AND z.kind = 1 WHERE m.account_id = $2) \
                     AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $3) \
                     AND s.space_id <> $1"
                ),
                &[self.home.0.into(), self.account.0.into(), self.now.0.into()],
                read_grant,
            )
            .await?;
        let belongings = self.ask_belongings(tx).await?;
        let placed = self.ask_placed(tx).await?;
        let mut grants = tx.answer(to_person).await?;
        grants.extend(tx.answer(to_teams).await?);
        let belongings = tx.answer(belongings).await?;
        let placed = tx.answer(placed).await?;
        if grants.is_empty() && belongings.is_empty() {
            return Ok(Mounts::default());
        }
        grants.sort_by_key(|grant| grant.id);
        let mut given = self.combine(tx, grants).await?;
        for belonging in belongings {
            let mut own = belonging.given();
            // A space that was also shared with one of its members appears once.
            let same = |given: &Given| given.mount.node.id == own.mount.node.id;
            if let Some(place) = given.iter().position(same) {
                let shared = given.swap_remove(place).mount;
                own.mount.permissions = own.mount.permissions.or(shared.permissions);
                own.mount.until = shared.until;
            }
            given.push(own);
        }
        self.place(tx, given, placed).await
    }
}

impl Belonging {
    fn given(self) -> Given {
        let shown = Shown {
            name: self.name.clone(),
            display_name: self.name.clone(),
        };
        Given {
            wanted: self.name,
            name_is_taken: self.name_is_taken,
            made_at: Timestamp(i64::MAX),
            mount: Mount {
                node: self.root,
                path: NodePath::root(),
                permissions: permissions_of(self.role),
                may_download: true,
                owner: shown.clone(),
                sharer: shown,
                source: Source::Team(self.team, self.role),
                until: None,
                since: None,
            },
        }
    }
}

impl ListMounts {
    async fn ask_belongings<T: Tx>(&self, tx: &mut T) -> StoreResult<Asked<Belonging>> {
        tx.ask(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, n.content_id, \
             n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, t.id, t.name, m.role, \
             CASE WHEN EXISTS (SELECT 1 FROM space h JOIN node c ON c.parent_id = h.root_id \
             WHERE h.id = $1 AND c.name = t.name) THEN 1 ELSE 0 END \
             FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
             JOIN space s ON s.id = t.space_id AND s.state = 0 JOIN node n ON n.id = s.root_id \
             WHERE m.account_id = $2",
            &[self.home.0.into(), self.account.0.into()],
            |row| {
                Ok(Belonging {
                    root: read_node(row)?,
                    team: TeamId(row.int(NODE_COLUMNS)?),
                    name: row.text(NODE_COLUMNS + 1)?,
                    role: Role::from_column(row.int(NODE_COLUMNS + 2)?)?,
                    name_is_taken: row.int(NODE_COLUMNS + 3)? != 0,
                })
            },
        )
        .await
    }

    async fn ask_placed<T: Tx>(&self, tx: &mut T) -> StoreResult<Asked<Placed>> {
        tx.ask(
            "SELECT m.node_id, m.parent_id, m.name, m.left_at, \
             CASE WHEN EXISTS (SELECT 1 FROM space h JOIN node c \
             ON c.parent_id = coalesce(m.parent_id, h.root_id) \
             WHERE h.id = $1 AND c.name = m.name) THEN 1 ELSE 0 END \
             FROM mount m WHERE m.account_id = $2",
            &[self.home.0.into(), self.account.0.into()],
            |row| {
                Ok(Placed {
                    node: NodeId(row.int(0)?),
                    parent: row.opt_int(1)?.map(NodeId),
                    name: row.text(2)?,
                    left_at: row.opt_int(3)?.map(Timestamp),
                    name_is_taken: row.int(4)? != 0,
                })
            },
        )
        .await
    }

    /// Makes one thing of all shares of one node; their permissions add up.
    async fn combine<T: Tx>(&self, tx: &mut T, grants: Vec<Grant>) -> StoreResult<Vec<Given>> {
        let mut given: Vec<Given> = Vec::new();
        let mut place_of: HashMap<NodeId, usize> = HashMap::new();
        for grant in grants {
            if grant.sharer == self.account {
                // What one gives to a group of one's own is not given to oneself.
                continue;
            }
            let of_giver = if grant.is_owners {
                Permissions::ALL.with_download(true)
            } else {
                passed_on_by(tx, (grant.sharer, grant.node.id, self.now)).await?
            };
            let permissions = fitting(grant.permissions.and(of_giver), &grant.node);
            if permissions == Permissions::NONE {
                continue;
            }
            let may_download = grant.may_download && of_giver.has(Permissions::DOWNLOAD);
            if let Some(same) = place_of
                .get(&grant.node.id)
                .and_then(|place| given.get_mut(*place))
            {
                let mount = &mut same.mount;
                mount.permissions = mount.permissions.or(permissions);
                mount.may_download |= may_download;
                mount.until = earlier(mount.until, grant.expires_at);
                mount.since = earlier(mount.since, Some(grant.made_at));
                same.made_at = same.made_at.max(grant.made_at);
                if let Source::Shares(ids) = &mut mount.source {
                    ids.push(grant.id);
                }
                continue;
            }
            place_of.insert(grant.node.id, given.len());
            given.push(Given {
                wanted: grant.name,
                name_is_taken: grant.name_is_taken,
                made_at: grant.made_at,
                mount: Mount {
                    node: grant.node,
                    path: NodePath::root(),
                    permissions,
                    may_download,
                    owner: grant.owner,
                    sharer: grant.by,
                    source: Source::Shares(vec![grant.id]),
                    until: grant.expires_at,
                    since: Some(grant.made_at),
                },
            });
        }
        Ok(given)
    }

    /// Gives everything a path: where its receiver put it, else in the root; a name that is taken gets a number.
    async fn place<T: Tx>(
        &self,
        tx: &mut T,
        given: Vec<Given>,
        placed: Vec<Placed>,
    ) -> StoreResult<Mounts> {
        let mut placed: HashMap<NodeId, Placed> = placed
            .into_iter()
            .map(|placed| (placed.node, placed))
            .collect();
        let mut waiting = Vec::with_capacity(given.len());
        for given in given {
            let place = placed.remove(&given.mount.node.id);
            let is_left = |place: &Placed| place.left_at.is_some_and(|at| given.made_at <= at);
            if !place.as_ref().is_some_and(is_left) {
                waiting.push((given, place));
            }
        }
        // Who has a place keeps it; the others come after, the oldest first.
        waiting.sort_by_key(|(_, place)| place.is_none());
        let mut found = Mounts::default();
        let mut taken: HashSet<NodePath> = HashSet::new();
        for (given, place) in waiting {
            let folder = match place.as_ref().and_then(|place| place.parent) {
                Some(parent) => path_of(tx, self.home, parent).await?,
                None => Some(NodePath::root()),
            };
            // Where its folder is gone, it is in the root again.
            let is_displaced = folder.is_none();
            let folder = folder.unwrap_or_default();
            let (wanted, is_taken) = match &place {
                Some(place) => (&place.name, place.name_is_taken || is_displaced),
                None => (&given.wanted, given.name_is_taken),
            };
            let name = NodeName::parse(wanted)
                .or_else(|_fault| NodeName::parse(&given.mount.node.id.0.to_string()));
            let name = name.map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
            let path = folder.child(name.clone()).ok();
            let free = path.filter(|path| !is_taken && !taken.contains(path));
            let path = if let Some(path) = free {
                path
            } else {
                let path = self.free_path(tx, &folder, &name, &taken).await?;
                found.to_keep.push((given.mount.node.id, path.clone()));
                path
            };
            taken.insert(path.clone());
            found.mounts.push(Mount {
                path,
                ..given.mount
            });
        }
        found
            .mounts
            .sort_by(|a, b| a.path.names().cmp(b.path.names()));
        Ok(found)
    }

    async fn free_path<T: Tx>(
        &self,
        tx: &mut T,
        folder: &NodePath,
        name: &NodeName,
        taken: &HashSet<NodePath>,
    ) -> StoreResult<NodePath> {
        for number in 1..NAMES_TRIED {
            let Ok(path) = folder.child(numbered(name, number)) else {
                continue;
            };
            if taken.contains(&path) {
                continue;
            }
            if walk(tx, self.home, &path).await?.target().is_none() {
                return Ok(path);
            }
        }
        Err(Refusal::AlreadyExists.into())
    }
}

/// Returns a name with a number before its ending, `plan (2).odt`; 1 is the name itself.
pub(crate) fn numbered(name: &NodeName, number: u32) -> NodeName {
    if number < 2 {
        return name.clone();
    }
    let text = name.as_str();
    let (stem, ending) = match text.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() <= 8 => {
            (stem, format!(".{ending}"))
        }
        Some(_) | None => (text, String::new()),
    };
    // A name of the greatest length loses some of its end.
    let mut stem = stem.to_owned();
    loop {
        if let Ok(name) = NodeName::parse(&format!("{stem} ({number}){ending}")) {
            return name;
        }
        if stem.pop().is_none() {
            return name.clone();
        }
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Keeps or changes where a mount of somebody appears.
#[derive(Debug)]
pub struct PlaceMount {
    /// Whose home.
    pub account: UserId,
    /// The home.
    pub home: SpaceId,
    /// What is mounted.
    pub node: NodeId,
    /// Where it shall appear.
    pub path: NodePath,
}

impl Operation for PlaceMount {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `ParentMissing` where the folder is not there, with `AlreadyExists` where the name is taken.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        lock_space_row(tx, self.home).await?;
        let found = walk(tx, self.home, &self.path).await?;
        if found.target().is_some() {
            return Err(Refusal::AlreadyExists.into());
        }
        let name = self.path.name().ok_or(Refusal::Root)?;
        let folder = found.above()?.last().ok_or(Refusal::ParentMissing)?;
        tx.perform(
            "INSERT INTO mount (account_id, node_id, parent_id, name) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account_id, node_id) DO UPDATE SET parent_id = excluded.parent_id, \
             name = excluded.name",
            &[
                self.account.0.into(),
                self.node.0.into(),
                folder.parent.map(|_| folder.id.0).into(),
                name.as_str().into(),
            ],
        )
        .await?;
        sharing_news::tell(tx, Touched::Person(self.account)).await
    }
}

/// Leaves what somebody was given: what was given to them alone ends, what a group was given is not shown
/// to them any more.
#[derive(Debug)]
pub struct LeaveMount {
    /// Who leaves.
    pub account: UserId,
    /// What.
    pub node: NodeId,
    /// Its name, should it come back.
    pub name: String,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for LeaveMount {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "DELETE FROM share WHERE to_id = $1 AND kind = 0 AND node_id = $2",
            &[self.account.0.into(), self.node.0.into()],
        )
        .await?;
        tx.perform(
            "INSERT INTO mount (account_id, node_id, name, left_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account_id, node_id) DO UPDATE SET left_at = excluded.left_at",
            &[
                self.account.0.into(),
                self.node.0.into(),
                self.name.as_str().into(),
                self.now.0.into(),
            ],
        )
        .await?;
        sharing_news::tell(tx, Touched::Person(self.account)).await
    }
}
