//! Who can see a node, and why: its owner, and every share on it or above it, with what that gives at this moment.
//!
//! It is read from the same rows, and cut by the same rule, as what somebody may do ([`grants`](super::grants)).
//! A group is one line, however many belong to it.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::grants::Circle;
use crate::store::metadata::grants::fitting;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shown;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Whose a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A person's.
    Person {
        /// Who.
        id: UserId,
        /// Their names.
        shown: Shown,
        /// Whether they may sign in.
        is_active: bool,
    },
    /// A group's: all who belong to it see it.
    Team {
        /// Which.
        id: TeamId,
        /// Its names.
        shown: Shown,
        /// How many of its members who may sign in have which role.
        roles: Vec<(Role, u64)>,
    },
}

/// Where something was shared: the node itself, or a folder above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedAt {
    /// Which.
    pub node: NodeId,
    /// Its name; empty: the root of a space.
    pub name: String,
    /// How many folders above the node; 0: itself.
    pub height: u32,
}

/// One share by which others than the owner see a node.
#[derive(Debug, Clone)]
pub struct Way {
    /// The share.
    pub share: ShareId,
    /// Whom it reaches.
    pub to: Receiver,
    /// Their names; of a link, empty.
    pub to_shown: Shown,
    /// Of a group: how many belong to it who may sign in.
    pub members: u64,
    /// What was shared; `None`: something above what the asker sees.
    pub at: Option<SharedAt>,
    /// Who gave it.
    pub by: UserId,
    /// That person's names.
    pub by_shown: Shown,
    /// Of what its giver was given themselves: everybody who passed it on before, the first of them first.
    pub through: Vec<Shown>,
    /// What it says that may be done.
    pub stated: Permissions,
    /// What may be done by it now: no more than its giver may. Without `READ`: a link to send into.
    pub permissions: Permissions,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// When it ends, or one that it rests on; `None`: not by itself.
    pub until: Option<Timestamp>,
    /// When it was made.
    pub made_at: Timestamp,
    /// Of a link: what its giver calls it.
    pub label: String,
    /// Of a link: whether it asks for a password.
    pub has_password: bool,
    /// Of a link: what its address ends with; `None`: not for the asker.
    pub token: Option<String>,
}

/// A page of who can see a node.
#[derive(Debug, Clone)]
pub struct Audience {
    /// The node.
    pub node: Node,
    /// Whose it is.
    pub owner: Owner,
    /// By which shares others see it, in the order in which they were made.
    pub ways: Vec<Way>,
    /// After which share the next page begins; `None`: this is the last.
    pub next: Option<ShareId>,
}

/// Reads who can see a node.
#[derive(Debug)]
pub struct ReadAudience {
    /// Which.
    pub node: NodeId,
    /// Only ways that reach this person by their name or by a group; `None`: all, links too.
    pub reaching: Option<UserId>,
    /// The moment.
    pub now: Timestamp,
    /// Only shares after this one; 0 to begin.
    pub after: ShareId,
    /// The most shares that are looked at.
    pub limit: i64,
}

/// A share as it is stored.
struct Stored {
    way: Way,
    height: i64,
    is_owners: bool,
    is_of_folder: bool,
}

impl Stored {
    /// Returns what it says that may be done, with `DOWNLOAD`.
    fn stated(&self) -> Permissions {
        self.way.stated.with_download(self.way.may_download)
    }

    fn fitting(&self, permissions: Permissions) -> Permissions {
        if self.is_of_folder {
            permissions
        } else {
            permissions.without(Permissions::CREATE.or(Permissions::DELETE))
        }
    }
}

// The way up is found first, then the shares of each folder on it.
macro_rules! select_ways {
    ($tail:literal) => {
        concat!(
            "SELECT s.id, s.kind, s.to_id, s.sharer_id, s.permissions, s.may_download, s.expires_at, \
             s.made_at, s.label, CASE WHEN s.password_hash IS NULL THEN 0 ELSE 1 END, s.token, \
             n.id, n.name, n.kind, u.height, \
             CASE WHEN sp.kind = 1 AND sp.owner_id = s.sharer_id THEN 1 ELSE 0 END, \
             coalesce((SELECT r.name FROM account r WHERE s.kind = 0 AND r.id = s.to_id), \
             (SELECT g.name FROM team g WHERE s.kind = 1 AND g.id = s.to_id), ''), \
             coalesce((SELECT r.display_name FROM account r WHERE s.kind = 0 AND r.id = s.to_id), \
             (SELECT g.name FROM team g WHERE s.kind = 1 AND g.id = s.to_id), ''), \
             coalesce((SELECT b.name FROM account b WHERE b.id = s.sharer_id), ''), \
             coalesce((SELECT b.display_name FROM account b WHERE b.id = s.sharer_id), ''), \
             (SELECT COUNT(*) FROM member m JOIN account a ON a.id = m.account_id AND a.state = 0 \
             WHERE s.kind = 1 AND m.team_id = s.to_id) \
             FROM (WITH RECURSIVE up(id, parent_id, height) AS (\
             SELECT id, parent_id, 0 FROM node WHERE id = $1 UNION ALL \
             SELECT c.id, c.parent_id, p.height + 1 FROM up p CROSS JOIN node c \
             WHERE c.id = p.parent_id AND p.height < 300) SELECT id, height FROM up) u \
             CROSS JOIN share s CROSS JOIN space sp CROSS JOIN node n ",
            $tail
        )
    };
}

fn read_stored(row: &dyn Row) -> StoreResult<Stored> {
    let height = row.int(14)?;
    let shown = |first: usize| -> StoreResult<Shown> {
        Ok(Shown {
            name: row.text(first)?,
            display_name: row.text(first + 1)?,
        })
    };
    let stated = Permissions::of_bits(row.int(4)?);
    Ok(Stored {
        height,
        is_owners: row.int(15)? != 0,
        is_of_folder: row.int(13)? == 0,
        way: Way {
            share: ShareId(row.int(0)?),
            to: Receiver::of_columns(row.int(1)?, row.opt_int(2)?)?,
            to_shown: shown(16)?,
            members: unsigned(row.int(20)?),
            at: Some(SharedAt {
                node: NodeId(row.int(11)?),
                name: row.text(12)?,
                height: u32::try_from(height).unwrap_or(u32::MAX),
            }),
            by: UserId(row.int(3)?),
            by_shown: shown(18)?,
            through: Vec::new(),
            stated,
            permissions: stated,
            may_download: row.int(5)? != 0,
            until: row.opt_int(6)?.map(Timestamp),
            made_at: Timestamp(row.int(7)?),
            label: row.text(8)?,
            has_password: row.int(9)? != 0,
            token: row.opt_text(10)?,
        },
    })
}

impl Operation for ReadAudience {
    /// `None`: the node is not there, or in a trash.
    type Output = Option<Audience>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Audience>> {
        let Some(node) = node_by_id(tx, self.node).await? else {
            return Ok(None);
        };
        if path_of(tx, node.space, node.id).await?.is_none() {
            return Ok(None);
        }
        let Some(owner) = read_owner(tx, &node).await? else {
            return Ok(None);
        };
        let stored = self.read_stored(tx).await?;
        let is_last = (stored.len() as u64) < self.limit.unsigned_abs();
        let last = stored.last().map(|stored| stored.way.share);
        let ways = self.cut(tx, (&node, &owner), stored).await?;
        Ok(Some(Audience {
            node,
            owner,
            ways,
            next: last.filter(|_| !is_last),
        }))
    }
}

impl ReadAudience {
    async fn read_stored<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Stored>> {
        let (node, now, after) = (self.node.0.into(), self.now.0.into(), self.after.0.into());
        match self.reaching {
            None => {
                tx.rows(
                    select_ways!(
                        "WHERE s.node_id = u.id AND s.state = 0 AND sp.id = s.space_id AND sp.state = 0 \
                         AND n.id = s.node_id AND (s.expires_at IS NULL OR s.expires_at > $2) \
                         AND s.id > $3 AND (s.kind = 3 \
                         OR (s.kind = 0 AND EXISTS (SELECT 1 FROM account a WHERE a.id = s.to_id AND a.state = 0)) \
                         OR (s.kind = 1 AND EXISTS (SELECT 1 FROM team t WHERE t.id = s.to_id AND t.state = 0))) \
                         ORDER BY s.id LIMIT $4"
                    ),
                    &[node, now, after, self.limit.into()],
                    read_stored,
                )
                .await
            }
            Some(person) => {
                tx.rows(
                    select_ways!(
                        "WHERE s.node_id = u.id AND s.state = 0 AND sp.id = s.space_id AND sp.state = 0 \
                         AND n.id = s.node_id AND (s.expires_at IS NULL OR s.expires_at > $2) \
                         AND s.id > $3 AND ((s.kind = 0 AND s.to_id = $4) \
                         OR (s.kind = 1 AND EXISTS (SELECT 1 FROM member m \
                         JOIN team t ON t.id = m.team_id AND t.state = 0 \
                         WHERE m.team_id = s.to_id AND m.account_id = $4))) \
                         ORDER BY s.id LIMIT $5"
                    ),
                    &[node, now, after, person.0.into(), self.limit.into()],
                    read_stored,
                )
                .await
            }
        }
    }

    /// Cuts each share by what its giver may do now, and leaves out those that give nothing.
    async fn cut<T: Tx>(
        &self,
        tx: &mut T,
        (node, owner): (&Node, &Owner),
        stored: Vec<Stored>,
    ) -> StoreResult<Vec<Way>> {
        let givers = stored.iter().filter(|stored| !stored.is_owners);
        let givers: Vec<UserId> = givers.map(|stored| stored.way.by).collect();
        let circle = if givers.is_empty() {
            None
        } else {
            Some(Circle::gather(tx, (self.node, self.now), &givers).await?)
        };
        let mut names: HashMap<UserId, Shown> = HashMap::new();
        let mut ways = Vec::with_capacity(stored.len());
        for stored in stored {
            let is_link = stored.way.to == Receiver::Link;
            let permissions = match (&circle, stored.is_owners) {
                // A link opens as long as who made it may sign in.
                (_, true) if is_link && !owner.is_active() => Permissions::NONE,
                (_, true) => stored.stated(),
                (Some(circle), false) if is_link => {
                    let of_giver = circle.rights_at(stored.way.by, stored.height);
                    if of_giver.has(Permissions::SHARE) {
                        stored.stated().and(of_giver)
                    } else {
                        Permissions::NONE
                    }
                }
                (Some(circle), false) => {
                    circle.gives(stored.way.share).unwrap_or(Permissions::NONE)
                }
                (None, false) => Permissions::NONE,
            };
            let permissions = fitting(stored.fitting(permissions), node);
            let may_download = permissions.has(Permissions::DOWNLOAD);
            let permissions = permissions.with_download(false);
            let is_seen = permissions.has(Permissions::READ);
            if !(is_seen || is_link && permissions != Permissions::NONE) {
                continue;
            }
            let mut way = stored.way;
            way.permissions = permissions;
            way.may_download = may_download;
            if let (Some(circle), false) = (&circle, stored.is_owners) {
                let passed = circle.passed_to(way.by, stored.height);
                way.until = match (way.until, passed.until) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                for person in passed.through.iter().filter(|person| **person != way.by) {
                    way.through.push(shown(tx, &mut names, *person).await?);
                }
            }
            ways.push(way);
        }
        Ok(ways)
    }
}

impl Owner {
    /// Returns whether a person whose it is may sign in.
    fn is_active(&self) -> bool {
        match self {
            Self::Person { is_active, .. } => *is_active,
            Self::Team { .. } => true,
        }
    }
}

async fn shown<T: Tx>(
    tx: &mut T,
    names: &mut HashMap<UserId, Shown>,
    person: UserId,
) -> StoreResult<Shown> {
    if let Some(known) = names.get(&person) {
        return Ok(known.clone());
    }
    let found = tx
        .row(
            "SELECT name, display_name FROM account WHERE id = $1",
            &[person.0.into()],
            |row| {
                Ok(Shown {
                    name: row.text(0)?,
                    display_name: row.text(1)?,
                })
            },
        )
        .await?;
    let found = found.unwrap_or_default();
    names.insert(person, found.clone());
    Ok(found)
}

async fn read_owner<T: Tx>(tx: &mut T, node: &Node) -> StoreResult<Option<Owner>> {
    let person = tx
        .ask(
            "SELECT a.id, a.name, a.display_name, a.state FROM space s \
             JOIN account a ON a.id = s.owner_id WHERE s.id = $1 AND s.kind = 1 AND s.state = 0",
            &[node.space.0.into()],
            |row| {
                Ok(Owner::Person {
                    id: UserId(row.int(0)?),
                    shown: Shown {
                        name: row.text(1)?,
                        display_name: row.text(2)?,
                    },
                    is_active: row.int(3)? == 0,
                })
            },
        )
        .await?;
    let team = tx
        .ask(
            "SELECT t.id, t.name FROM space s JOIN team t ON t.id = s.owner_id AND t.state = 0 \
             WHERE s.id = $1 AND s.kind = 2 AND s.state = 0",
            &[node.space.0.into()],
            |row| Ok((TeamId(row.int(0)?), row.text(1)?)),
        )
        .await?;
    let roles = tx
        .ask(
            "SELECT m.role, COUNT(*) FROM space s JOIN member m ON m.team_id = s.owner_id \
             JOIN account a ON a.id = m.account_id AND a.state = 0 \
             WHERE s.id = $1 AND s.kind = 2 GROUP BY m.role ORDER BY m.role DESC",
            &[node.space.0.into()],
            |row| Ok((Role::from_column(row.int(0)?)?, unsigned(row.int(1)?))),
        )
        .await?;
    let person = tx.answer_one(person).await?;
    let team = tx.answer_one(team).await?;
    let roles = tx.answer(roles).await?;
    let of_team = team.map(|(id, name)| Owner::Team {
        id,
        shown: Shown {
            name: name.clone(),
            display_name: name,
        },
        roles,
    });
    Ok(person.or(of_team))
}
