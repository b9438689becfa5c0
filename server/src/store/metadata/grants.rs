//! What somebody may do with a node: the sum of all ways in which they were given it.
//!
//! # Always true
//!
//! * A share gives no more than its giver has now and may pass on: whoever passes on what they were given passes on
//!   nothing once it is taken from them.
//! * Nobody's right rests on itself, however people share with each other in a circle.

use std::collections::HashSet;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::UserId;
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

/// Returns what somebody may pass on of a node: what they may do with it themselves, if they may share it.
///
/// `asking` are those whose rights are being asked for: nobody's right rests on itself.
pub(crate) async fn passed_on_by<T: Tx>(
    tx: &mut T,
    (sharer, node, now): (UserId, NodeId, Timestamp),
    asking: &mut HashSet<UserId>,
) -> StoreResult<Permissions> {
    if !asking.insert(sharer) {
        return Ok(Permissions::NONE);
    }
    let found = rights_of(tx, (sharer, node, now), asking).await?;
    asking.remove(&sharer);
    Ok(if found.has(Permissions::SHARE) {
        found
    } else {
        Permissions::NONE
    })
}

/// Returns what somebody may do with a node, wherever it lies and by whatever way; nothing in a trash.
pub(crate) async fn permissions_on<T: Tx>(
    tx: &mut T,
    (person, node, now): (UserId, NodeId, Timestamp),
) -> StoreResult<Permissions> {
    rights_of(tx, (person, node, now), &mut HashSet::from([person])).await
}

/// What [`rights_of`] reads of the space of a node.
struct Standing {
    is_own: bool,
    role: Option<i64>,
    is_active: bool,
}

async fn rights_of<T: Tx>(
    tx: &mut T,
    (person, node, now): (UserId, NodeId, Timestamp),
    asking: &mut HashSet<UserId>,
) -> StoreResult<Permissions> {
    let standing = tx
        .ask(
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
        .await?;
    let shares = tx
        .ask(
            "WITH RECURSIVE up(id, parent_id, height) AS (\
             SELECT id, parent_id, 0 FROM node WHERE id = $1 UNION ALL \
             SELECT n.id, n.parent_id, u.height + 1 FROM up u CROSS JOIN node n \
             WHERE n.id = u.parent_id AND u.height < 300) \
             SELECT s.sharer_id, s.node_id, s.permissions, \
             CASE WHEN sp.kind = 1 AND sp.owner_id = s.sharer_id THEN 1 ELSE 0 END, n.kind \
             FROM up u CROSS JOIN share s CROSS JOIN space sp CROSS JOIN node n \
             WHERE s.node_id = u.id AND s.state = 0 AND sp.id = s.space_id AND sp.state = 0 \
             AND n.id = s.node_id AND (s.expires_at IS NULL OR s.expires_at > $2) \
             AND ((s.kind = 0 AND s.to_id = $3) OR (s.kind = 1 AND EXISTS (SELECT 1 FROM member m \
             JOIN team t ON t.id = m.team_id AND t.state = 0 \
             WHERE m.team_id = s.to_id AND m.account_id = $3)))",
            &[node.0.into(), now.0.into(), person.0.into()],
            |row| {
                Ok((
                    UserId(row.int(0)?),
                    NodeId(row.int(1)?),
                    Permissions::of_bits(row.int(2)?),
                    row.int(3)? != 0,
                    row.int(4)? == 0,
                ))
            },
        )
        .await?;
    let standing = tx.answer_one(standing).await?;
    let shares = tx.answer(shares).await?;
    let Some(standing) = standing.filter(|standing| standing.is_active) else {
        return Ok(Permissions::NONE);
    };
    if standing.is_own {
        return Ok(Permissions::ALL);
    }
    let mut found = match standing.role {
        Some(role) => permissions_of(Role::from_column(role)?),
        None => Permissions::NONE,
    };
    for (sharer, node, stored, is_owners, is_folder) in shares {
        let of_giver = if is_owners {
            Permissions::ALL
        } else {
            Box::pin(passed_on_by(tx, (sharer, node, now), asking)).await?
        };
        let given = stored.and(of_giver);
        found = found.or(if is_folder {
            given
        } else {
            given.without(Permissions::CREATE.or(Permissions::DELETE))
        });
    }
    Ok(found)
}
