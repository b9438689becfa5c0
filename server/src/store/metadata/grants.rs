//! What somebody may do with a node: the sum of all ways in which they were given it.
//!
//! # Always true
//!
//! * A share gives no more than its giver has now and may pass on: whoever passes on what they were given passes on
//!   nothing once it is taken from them. To take contents away is one of the things that can be given or not.
//! * Nobody's right rests on itself, however people share with each other in a circle.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Returns what a member of a group may do in its space.
pub(crate) fn permissions_of(role: Role) -> Permissions {
    match role {
        Role::Reader => Permissions::READ,
        Role::Member => Permissions::ALL.without(Permissions::SHARE),
        Role::Manager => Permissions::ALL,
    }
}

/// Returns what of a set of permissions means something for a node.
pub(crate) fn fitting(permissions: Permissions, node: &Node) -> Permissions {
    if node.is_folder() {
        permissions
    } else {
        permissions.without(Permissions::CREATE.or(Permissions::DELETE))
    }
}

/// Returns what somebody may pass on of a node: what they may do with it themselves, `DOWNLOAD` too, if they
/// may share it.
pub(crate) async fn passed_on_by<T: Tx>(
    tx: &mut T,
    (sharer, node, now): (UserId, NodeId, Timestamp),
) -> StoreResult<Permissions> {
    let found = all_on(tx, (sharer, node, now)).await?;
    Ok(if_shareable(found))
}

fn if_shareable(rights: Permissions) -> Permissions {
    if rights.has(Permissions::SHARE) {
        rights
    } else {
        Permissions::NONE
    }
}

/// What is known of somebody, and of the space of a node.
struct Standing {
    is_own: bool,
    role: Option<i64>,
    is_active: bool,
}

/// A share of a node or of something above it.
struct OnTheWay {
    id: ShareId,
    until: Option<Timestamp>,
    /// How far above.
    height: i64,
    sharer: UserId,
    kind: i64,
    to: i64,
    permissions: Permissions,
    /// Whether it was given by the owner of the space.
    is_owners: bool,
    is_of_folder: bool,
}

impl OnTheWay {
    /// Returns what of a set of permissions means something for what was shared.
    fn fitting(&self, permissions: Permissions) -> Permissions {
        if self.is_of_folder {
            permissions
        } else {
            permissions.without(Permissions::CREATE.or(Permissions::DELETE))
        }
    }
}

/// Returns what somebody may do with a node, wherever it lies and by whatever way; nothing in a trash.
pub(crate) async fn permissions_on<T: Tx>(
    tx: &mut T,
    whose: (UserId, NodeId, Timestamp),
) -> StoreResult<Permissions> {
    Ok(all_on(tx, whose).await?.with_download(false))
}

/// Returns the same with `DOWNLOAD`.
async fn all_on<T: Tx>(
    tx: &mut T,
    (person, node, now): (UserId, NodeId, Timestamp),
) -> StoreResult<Permissions> {
    let standing = ask_standing(tx, person, node).await?;
    let shares = tx
        .ask(
            "WITH RECURSIVE up(id, parent_id, height) AS (\
             SELECT id, parent_id, 0 FROM node WHERE id = $1 UNION ALL \
             SELECT n.id, n.parent_id, u.height + 1 FROM up u CROSS JOIN node n \
             WHERE n.id = u.parent_id AND u.height < 300) \
             SELECT u.height, s.sharer_id, s.kind, s.to_id, s.permissions, \
             CASE WHEN sp.kind = 1 AND sp.owner_id = s.sharer_id THEN 1 ELSE 0 END, n.kind, s.id, s.expires_at, s.may_download \
             FROM up u CROSS JOIN share s CROSS JOIN space sp CROSS JOIN node n \
             WHERE s.node_id = u.id AND s.state = 0 AND sp.id = s.space_id AND sp.state = 0 \
             AND n.id = s.node_id AND (s.expires_at IS NULL OR s.expires_at > $2) \
             AND ((s.kind = 0 AND s.to_id = $3) OR (s.kind = 1 AND EXISTS (SELECT 1 FROM member m \
             JOIN team t ON t.id = m.team_id AND t.state = 0 \
             WHERE m.team_id = s.to_id AND m.account_id = $3)))",
            &[node.0.into(), now.0.into(), person.0.into()],
            read_share,
        )
        .await?;
    let standing = tx.answer_one(standing).await?;
    let shares = tx.answer(shares).await?;
    let own = match standing {
        Some(standing) if standing.is_active => standing.own()?,
        Some(_) | None => return Ok(Permissions::NONE),
    };
    if own.has(Permissions::ALL) || shares.is_empty() {
        return Ok(own);
    }
    if shares.iter().all(|share| share.is_owners) {
        let given = shares.iter().map(|share| share.fitting(share.permissions));
        return Ok(given.fold(own, Permissions::or));
    }
    let circle = Circle::gather(tx, (node, now), &[person]).await?;
    Ok(circle.rights(person))
}

impl Standing {
    /// Returns what somebody may do without having been given anything.
    fn own(&self) -> StoreResult<Permissions> {
        let own = match (self.is_own, self.role) {
            (true, _) => Permissions::ALL,
            (false, Some(role)) => permissions_of(Role::from_column(role)?),
            (false, None) => return Ok(Permissions::NONE),
        };
        Ok(own.with_download(true))
    }
}

async fn ask_standing<T: Tx>(
    tx: &mut T,
    person: UserId,
    node: NodeId,
) -> StoreResult<Asked<Standing>> {
    tx.ask(
        "SELECT CASE WHEN s.kind = 1 AND s.owner_id = $1 THEN 1 ELSE 0 END, \
         (SELECT m.role FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
         WHERE s.kind = 2 AND m.team_id = s.owner_id AND m.account_id = $1), \
         (SELECT 1 FROM account a WHERE a.id = $1 AND a.state = 0) \
         FROM node n JOIN space s ON s.id = n.space_id AND s.state = 0 WHERE n.id = $2",
        &[person.0.into(), node.0.into()],
        |row| {
            Ok(Standing {
                is_own: row.int(0)? != 0,
                role: row.opt_int(1)?,
                is_active: row.opt_int(2)?.is_some(),
            })
        },
    )
    .await
}

fn read_share(row: &dyn Row) -> StoreResult<OnTheWay> {
    Ok(OnTheWay {
        height: row.int(0)?,
        sharer: UserId(row.int(1)?),
        kind: row.int(2)?,
        to: row.int(3)?,
        permissions: Permissions::of_bits(row.int(4)?).with_download(row.int(9)? != 0),
        is_owners: row.int(5)? != 0,
        is_of_folder: row.int(6)? == 0,
        id: ShareId(row.int(7)?),
        until: row.opt_int(8)?.map(Timestamp),
    })
}

/// Everybody whose rights on a node, or on something above it, hang together because they pass on what they were given.
pub(crate) struct Circle {
    shares: Vec<OnTheWay>,
    people: HashMap<UserId, Involved>,
    /// What each share gives: the least that satisfies all of them, so that rights which rest on each other alone are
    /// none.
    given: Vec<Permissions>,
    /// In which round of the search each share was found to give anything.
    found_in: Vec<u32>,
}

/// One of them.
struct Involved {
    id: UserId,
    /// What they may do without having been given anything; the same for all of a space.
    own: Permissions,
    is_active: bool,
    teams: HashSet<i64>,
}

/// By whom a share came to be possible.
pub(crate) struct Passed {
    /// Everybody who passed it on, the first of them first, its giver last.
    pub(crate) through: Vec<UserId>,
    /// When any of the shares by which they have it ends.
    pub(crate) until: Option<Timestamp>,
}

impl Circle {
    /// Gathers those who give something that is not theirs on the way to a node, and further people.
    pub(crate) async fn gather<T: Tx>(
        tx: &mut T,
        (node, now): (NodeId, Timestamp),
        further: &[UserId],
    ) -> StoreResult<Self> {
        let shares = tx
            .rows(
                "WITH RECURSIVE up(id, parent_id, height) AS (\
                 SELECT id, parent_id, 0 FROM node WHERE id = $1 UNION ALL \
                 SELECT n.id, n.parent_id, u.height + 1 FROM up u CROSS JOIN node n \
                 WHERE n.id = u.parent_id AND u.height < 300) \
                 SELECT u.height, s.sharer_id, s.kind, s.to_id, s.permissions, \
                 CASE WHEN sp.kind = 1 AND sp.owner_id = s.sharer_id THEN 1 ELSE 0 END, n.kind, s.id, s.expires_at, s.may_download \
                 FROM up u CROSS JOIN share s CROSS JOIN space sp CROSS JOIN node n \
                 WHERE s.node_id = u.id AND s.state = 0 AND s.to_id IS NOT NULL \
                 AND sp.id = s.space_id AND sp.state = 0 AND n.id = s.node_id \
                 AND (s.expires_at IS NULL OR s.expires_at > $2)",
                &[node.0.into(), now.0.into()],
                read_share,
            )
            .await?;
        let givers = shares.iter().filter(|share| !share.is_owners);
        let givers = givers.map(|share| share.sharer);
        let involved: HashSet<UserId> = givers.chain(further.iter().copied()).collect();
        let mut asked = Vec::with_capacity(involved.len());
        for one in involved {
            let standing = ask_standing(tx, one, node).await?;
            let teams = tx
                .ask(
                    "SELECT m.team_id FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
                     WHERE m.account_id = $1",
                    &[one.0.into()],
                    |row| row.int(0),
                )
                .await?;
            asked.push((one, standing, teams));
        }
        let mut people = HashMap::with_capacity(asked.len());
        for (one, standing, teams) in asked {
            let Some(standing) = tx.answer_one(standing).await? else {
                continue;
            };
            let involved = Involved {
                id: one,
                own: standing.own()?,
                is_active: standing.is_active,
                teams: tx.answer(teams).await?.into_iter().collect(),
            };
            people.insert(one, involved);
        }
        let mut circle = Self {
            given: vec![Permissions::NONE; shares.len()],
            found_in: vec![0; shares.len()],
            shares,
            people,
        };
        circle.settle();
        Ok(circle)
    }

    fn settle(&mut self) {
        for round in 1.. {
            let next: Vec<Permissions> = self.shares.iter().map(|share| self.cut(share)).collect();
            if next == self.given {
                return;
            }
            for (found_in, given) in self.found_in.iter_mut().zip(&next) {
                if *found_in == 0 && *given != Permissions::NONE {
                    *found_in = round;
                }
            }
            self.given = next;
        }
    }

    /// Returns what a share gives, as far as is known of what its giver has.
    fn cut(&self, share: &OnTheWay) -> Permissions {
        let of_giver = if share.is_owners {
            Permissions::ALL.with_download(true)
        } else {
            if_shareable(self.rights_at(share.sharer, share.height))
        };
        share.fitting(share.permissions.and(of_giver))
    }

    /// Returns what one of these people may do with the node, with `DOWNLOAD`.
    pub(crate) fn rights(&self, person: UserId) -> Permissions {
        self.rights_at(person, 0)
    }

    /// Returns what one of these people may do so far above the node, with `DOWNLOAD`.
    pub(crate) fn rights_at(&self, person: UserId, height: i64) -> Permissions {
        let Some(one) = self.people.get(&person).filter(|one| one.is_active) else {
            return Permissions::NONE;
        };
        let shares = self.shares.iter().zip(&self.given);
        let shares = shares.filter(|(share, _)| share.height >= height && one.is_reached_by(share));
        shares.fold(one.own, |sum, (_, given)| sum.or(*given))
    }

    /// Returns what a share with people gives now, with `DOWNLOAD`; `None`: it is none of those on the way.
    pub(crate) fn gives(&self, share: ShareId) -> Option<Permissions> {
        let shares = self.shares.iter().zip(&self.given);
        let mut shares = shares.filter(|(one, _)| one.id == share);
        shares.next().map(|(_, given)| *given)
    }

    /// Returns by whom it came that one of these people can share what lies so far above the node.
    pub(crate) fn passed_to(&self, person: UserId, height: i64) -> Passed {
        let mut passed = Passed {
            through: vec![person],
            until: None,
        };
        let (mut person, mut height) = (person, height);
        // Each rests on one that was found in an earlier round, so this ends.
        for _ in 0..self.shares.len() {
            let Some(one) = self.people.get(&person) else {
                break;
            };
            if one.own.has(Permissions::SHARE) {
                break;
            }
            let shares = self.shares.iter().zip(&self.given).zip(&self.found_in);
            let shares = shares.filter(|((share, given), _)| {
                share.height >= height && given.has(Permissions::SHARE) && one.is_reached_by(share)
            });
            let Some(((share, _), _)) = shares.min_by_key(|(_, found_in)| **found_in) else {
                break;
            };
            passed.until = match (passed.until, share.until) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            (person, height) = (share.sharer, share.height);
            passed.through.push(person);
        }
        passed.through.reverse();
        passed
    }
}

impl Involved {
    fn is_reached_by(&self, share: &OnTheWay) -> bool {
        match share.kind {
            0 => share.to == self.id.0,
            _ => self.teams.contains(&share.to),
        }
    }
}
