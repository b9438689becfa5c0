//! Shares and links: who gave what to whom.
//!
//! A share is one row however many people it reaches: a group's members are joined when somebody reads. What
//! somebody may do by it is in `grants`, where it appears in `mounts`.
//!
//! # Always true
//!
//! * Nothing in a trash is shared, and comes back shared when it is restored.
//! * A link that does not hold is not found.

use std::collections::HashMap;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Origin;
use crate::store::metadata::activity::ShareEvent;
use crate::store::metadata::activity::note_ended_link;
use crate::store::metadata::activity::note_share;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::grants::fitting;
use crate::store::metadata::grants::passed_on_by;
use crate::store::metadata::grants::permissions_on;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::mounts::LeaveMount;
use crate::store::metadata::nodes::NODE_COLUMNS;
use crate::store::metadata::nodes::node_by_id;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::paths_of;
use crate::store::metadata::nodes::read_node;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::notices::Notice;
use crate::store::metadata::notices::give_notice;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::sharing_news;
use crate::store::metadata::sharing_news::Touched;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;
use crate::store::metadata::walk::walk;

/// A share or link. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId(pub i64);

/// Whom a share reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// One person.
    Person(UserId),
    /// Everybody who belongs to a group at the moment.
    Team(TeamId),
    /// Whoever has the link.
    Link,
}

impl Receiver {
    /// Returns how it is stored: its kind, and whom.
    pub(crate) fn columns(self) -> (i64, Option<i64>) {
        match self {
            Self::Person(person) => (0, Some(person.0)),
            Self::Team(team) => (1, Some(team.0)),
            Self::Link => (3, None),
        }
    }

    pub(crate) fn of_columns(kind: i64, to: Option<i64>) -> StoreResult<Self> {
        match (kind, to) {
            (0, Some(person)) => Ok(Self::Person(UserId(person))),
            (1, Some(team)) => Ok(Self::Team(TeamId(team))),
            (3, None) => Ok(Self::Link),
            (kind, _) => Err(StoreError::Corrupt(format!("share.kind {kind}"))),
        }
    }
}

/// Somebody or a group, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Sign-in name of a person, name of a group.
    pub name: String,
    /// The name that people see.
    pub display_name: String,
}

/// Marks the shares of a tree that goes to the trash, or comes back from it.
pub(crate) async fn suspend_shares<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    top: NodeId,
    is_in_trash: bool,
) -> StoreResult<()> {
    tx.perform(
        "UPDATE share SET state = $1, went_with = $2 WHERE space_id = $3 AND id IN (\
         WITH RECURSIVE up(share, at) AS (\
         SELECT s.id, s.node_id FROM share s WHERE s.space_id = $3 UNION ALL \
         SELECT u.share, n.parent_id FROM up u CROSS JOIN node n \
         WHERE n.id = u.at AND n.parent_id IS NOT NULL AND u.at <> $2) \
         SELECT share FROM up WHERE at = $2)",
        &[i64::from(is_in_trash).into(), top.0.into(), space.0.into()],
    )
    .await?;
    sharing_news::tell_if_any_went(tx, (space, top.0)).await
}

/// Tells whoever listens that the receiver of a share sees other things now.
async fn tell_receiver<T: Tx>(tx: &mut T, receiver: Receiver) -> StoreResult<()> {
    let touched = match receiver {
        Receiver::Person(person) => Touched::Person(person),
        Receiver::Team(team) => Touched::Team(team),
        Receiver::Link => return Ok(()),
    };
    sharing_news::tell(tx, touched).await
}

/// Tells the same of the receiver, and of those to whom what was shared may have been passed on.
async fn tell_all<T: Tx>(tx: &mut T, share: &Share) -> StoreResult<()> {
    if share.receiver == Receiver::Link {
        return Ok(());
    }
    tell_receiver(tx, share.receiver).await?;
    sharing_news::tell(tx, Touched::PassedOn(share.node.space)).await
}

/// A share or link with what people see of it.
#[derive(Debug, Clone)]
pub struct Share {
    /// Its number for life.
    pub id: ShareId,
    /// Whom it reaches.
    pub receiver: Receiver,
    /// The receiver's names; of a link, empty.
    pub receiver_shown: Shown,
    /// The node, as it is now.
    pub node: Node,
    /// Who gave it.
    pub sharer: UserId,
    /// That person's names.
    pub sharer_shown: Shown,
    /// Whose the node is: a person's, or a group's.
    pub owner_shown: Shown,
    /// What it says that may be done; the giver may have less by now.
    pub permissions: Permissions,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// What it is called at the receiver's, unless that says otherwise.
    pub name: String,
    /// A message to the receiver.
    pub note: String,
    /// What the giver calls it.
    pub label: String,
    /// The first moment at which it does not hold any more.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub made_at: Timestamp,
    /// Of a link: what its address ends with.
    pub token: Option<String>,
    /// Of a link with a password: its hash.
    pub password_hash: Option<String>,
    /// Downloads through the link.
    pub opens: u64,
    /// When the link was last used.
    pub opened_at: Option<Timestamp>,
}

impl Share {
    /// Something was done to it, by somebody, from somewhere.
    fn event<'a>(
        &'a self,
        deed: Deed,
        (actor, origin): (UserId, Option<&'a Origin>),
        now: Timestamp,
    ) -> ShareEvent<'a> {
        ShareEvent {
            deed,
            share: self.id,
            receiver: self.receiver,
            node: &self.node,
            actor,
            origin,
            now,
        }
    }
}

// Names are asked for one by one: with a join for each, PostgreSQL would not look for the best order any more.
macro_rules! select_shares {
    ($tail:literal) => {
        concat!(
            "SELECT n.id, n.space_id, n.parent_id, n.name, n.kind, n.seq, n.tree_seq, n.content_id, \
             n.size, n.tree_files, n.rev, n.mtime, n.ctime, n.flags, \
             s.id, s.kind, s.to_id, s.sharer_id, s.permissions, s.may_download, s.name, s.note, \
             s.label, s.expires_at, s.made_at, s.token, s.password_hash, s.opens, s.opened_at, \
             coalesce((SELECT r.name FROM account r WHERE s.kind = 0 AND r.id = s.to_id), \
             (SELECT g.name FROM team g WHERE s.kind = 1 AND g.id = s.to_id), ''), \
             coalesce((SELECT r.display_name FROM account r WHERE s.kind = 0 AND r.id = s.to_id), \
             (SELECT g.name FROM team g WHERE s.kind = 1 AND g.id = s.to_id), ''), \
             coalesce((SELECT b.name FROM account b WHERE b.id = s.sharer_id), ''), \
             coalesce((SELECT b.display_name FROM account b WHERE b.id = s.sharer_id), ''), \
             coalesce((SELECT o.name FROM account o WHERE sp.kind = 1 AND o.id = sp.owner_id), \
             (SELECT t.name FROM team t WHERE sp.kind = 2 AND t.id = sp.owner_id), ''), \
             coalesce((SELECT o.display_name FROM account o WHERE sp.kind = 1 AND o.id = sp.owner_id), \
             (SELECT t.name FROM team t WHERE sp.kind = 2 AND t.id = sp.owner_id), '') \
             FROM share s JOIN node n ON n.id = s.node_id \
             JOIN space sp ON sp.id = s.space_id AND sp.state = 0 ",
            $tail
        )
    };
}

fn read_share(row: &dyn Row) -> StoreResult<Share> {
    let at = |column: usize| NODE_COLUMNS + column;
    let shown = |first: usize| -> StoreResult<Shown> {
        Ok(Shown {
            name: row.text(at(first))?,
            display_name: row.text(at(first + 1))?,
        })
    };
    Ok(Share {
        node: read_node(row)?,
        id: ShareId(row.int(at(0))?),
        receiver: Receiver::of_columns(row.int(at(1))?, row.opt_int(at(2))?)?,
        sharer: UserId(row.int(at(3))?),
        permissions: Permissions::of_bits(row.int(at(4))?),
        may_download: row.int(at(5))? != 0,
        name: row.text(at(6))?,
        note: row.text(at(7))?,
        label: row.text(at(8))?,
        expires_at: row.opt_int(at(9))?.map(Timestamp),
        made_at: Timestamp(row.int(at(10))?),
        token: row.opt_text(at(11))?,
        password_hash: row.opt_text(at(12))?,
        opens: unsigned(row.int(at(13))?),
        opened_at: row.opt_int(at(14))?.map(Timestamp),
        receiver_shown: shown(15)?,
        sharer_shown: shown(17)?,
        owner_shown: shown(19)?,
    })
}

/// Makes a share or link.
#[derive(Debug, Clone)]
pub struct CreateShare {
    /// Who gives it.
    pub sharer: UserId,
    /// The node.
    pub node: NodeId,
    /// Whom it reaches.
    pub receiver: Receiver,
    /// What may be done.
    pub permissions: Permissions,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// A message to the receiver.
    pub note: String,
    /// What the giver calls it.
    pub label: String,
    /// The first moment at which it does not hold any more.
    pub expires_at: Option<Timestamp>,
    /// Of a link: its token, and the keyed hash of that.
    pub token: Option<(String, Vec<u8>)>,
    /// Of a link with a password: its hash.
    pub password_hash: Option<String>,
    /// Shares that one person may have given.
    pub shares_max: u64,
    /// Whether those whom it reaches are told by mail.
    pub tells: bool,
    /// From where the giver asks; `None`: nothing is noted.
    pub origin: Option<Origin>,
    /// The moment.
    pub now: Timestamp,
}

/// What became of a wish to share.
#[derive(Debug)]
pub enum Shared {
    /// It is made.
    Made(Box<Share>),
    /// The giver may not give that much of it; this is what they may do themselves.
    TooMuch(Permissions),
    /// The receiver has it already: by this share of the giver, or because it is their own.
    Already(Option<ShareId>),
    /// The receiver is not there.
    NoReceiver,
    /// The token is taken.
    TokenTaken,
    /// The giver has given as many as they may.
    TooMany,
}

impl Operation for CreateShare {
    type Output = Shared;

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` a node of which the giver may not know.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Shared> {
        let node = node_by_id(tx, self.node).await?.ok_or(Refusal::NotFound)?;
        lock_space_row(tx, node.space).await?;
        let node = node_by_id(tx, self.node).await?.ok_or(Refusal::NotFound)?;
        if path_of(tx, node.space, node.id).await?.is_none() {
            return Err(Refusal::NotFound.into());
        }
        let own = permissions_on(tx, (self.sharer, node.id, self.now)).await?;
        if !own.has(Permissions::READ) {
            return Err(Refusal::NotFound.into());
        }
        let own = fitting(own, &node);
        if !own.has(self.permissions.or(Permissions::SHARE)) {
            return Ok(Shared::TooMuch(own));
        }
        if let Some(refused) = self.look_at_receiver(tx, &node).await? {
            return Ok(refused);
        }
        if let Some((_, hash)) = &self.token {
            let taken = tx
                .row(
                    "SELECT 1 FROM share WHERE token_hash = $1",
                    &[hash.as_slice().into()],
                    |row| row.int(0),
                )
                .await?;
            if taken.is_some() {
                return Ok(Shared::TokenTaken);
            }
        }
        let given = tx
            .row(
                "SELECT count(*) FROM share WHERE sharer_id = $1",
                &[self.sharer.0.into()],
                |row| row.int(0),
            )
            .await?;
        if unsigned(given.unwrap_or(0)) >= self.shares_max {
            return Ok(Shared::TooMany);
        }
        let id = self.insert(tx, &node).await?;
        tell_receiver(tx, self.receiver).await?;
        let event = ShareEvent {
            deed: Deed::Shared,
            share: id,
            receiver: self.receiver,
            node: &node,
            actor: self.sharer,
            origin: self.origin.as_ref(),
            now: self.now,
        };
        note_share(tx, event).await?;
        if self.tells {
            give_notice(tx, (id, Notice::Given), self.now).await?;
        }
        let share = find_share(tx, id).await?.ok_or(Refusal::NotFound)?;
        Ok(Shared::Made(Box::new(share)))
    }
}

impl CreateShare {
    async fn look_at_receiver<T: Tx>(
        &self,
        tx: &mut T,
        node: &Node,
    ) -> StoreResult<Option<Shared>> {
        let (kind, to) = self.receiver.columns();
        let there = match self.receiver {
            Receiver::Link => return Ok(None),
            Receiver::Person(person) if person == self.sharer => {
                return Ok(Some(Shared::Already(None)));
            }
            Receiver::Person(person) => {
                tx.row(
                    "SELECT home_space FROM account WHERE id = $1 AND state = 0",
                    &[person.0.into()],
                    |row| row.int(0),
                )
                .await?
            }
            Receiver::Team(team) => {
                tx.row(
                    "SELECT space_id FROM team WHERE id = $1 AND state = 0",
                    &[team.0.into()],
                    |row| row.int(0),
                )
                .await?
            }
        };
        match there {
            None => return Ok(Some(Shared::NoReceiver)),
            Some(space) if space == node.space.0 => return Ok(Some(Shared::Already(None))),
            Some(_) => {}
        }
        let same = tx
            .row(
                "SELECT id FROM share WHERE node_id = $1 AND kind = $2 AND to_id = $3 \
                 AND sharer_id = $4 AND (expires_at IS NULL OR expires_at > $5)",
                &[
                    node.id.0.into(),
                    kind.into(),
                    to.into(),
                    self.sharer.0.into(),
                    self.now.0.into(),
                ],
                |row| row.int(0),
            )
            .await?;
        Ok(same.map(|id| Shared::Already(Some(ShareId(id)))))
    }

    async fn insert<T: Tx>(&self, tx: &mut T, node: &Node) -> StoreResult<ShareId> {
        let (kind, to) = self.receiver.columns();
        let name = if node.parent.is_some() {
            node.name.clone()
        } else {
            // The root of a space has no name; whose it is names it.
            let of_owner = tx
                .row(
                    "SELECT coalesce(t.name, a.display_name, '') FROM space s \
                     LEFT JOIN team t ON s.kind = 2 AND t.id = s.owner_id \
                     LEFT JOIN account a ON s.kind = 1 AND a.id = s.owner_id WHERE s.id = $1",
                    &[node.space.0.into()],
                    |row| row.text(0),
                )
                .await?;
            of_owner.unwrap_or_default()
        };
        let id = tx.reserve_ids("share", 1).await?;
        tx.perform(
            "INSERT INTO share (id, kind, space_id, node_id, sharer_id, to_id, permissions, \
             may_download, name, note, label, expires_at, made_at, token, token_hash, password_hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                id.into(),
                kind.into(),
                node.space.0.into(),
                node.id.0.into(),
                self.sharer.0.into(),
                to.into(),
                self.permissions.bits().into(),
                i64::from(self.may_download).into(),
                name.as_str().into(),
                self.note.as_str().into(),
                self.label.as_str().into(),
                self.expires_at.map(|at| at.0).into(),
                self.now.0.into(),
                self.token.as_ref().map(|(token, _)| token.as_str()).into(),
                self.token
                    .as_ref()
                    .map_or(Value::Null, |(_, hash)| {
                        hash.as_slice().into()
                    }),
                self.password_hash.as_deref().into(),
            ],
        )
        .await?;
        Ok(ShareId(id))
    }
}

/// Finds a share whose node is not in the trash, whether or not its time is over.
pub(crate) async fn find_share<T: Tx>(tx: &mut T, id: ShareId) -> StoreResult<Option<Share>> {
    tx.row(
        select_shares!("WHERE s.id = $1 AND s.state = 0"),
        &[id.0.into()],
        read_share,
    )
    .await
}

/// Which shares are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// This one.
    One(ShareId),
    /// All that somebody gave.
    By(UserId),
    /// All of a node, whoever gave them.
    Of(NodeId),
    /// All of the children of a folder.
    Below(NodeId),
    /// All links, whoever gave them.
    Links,
    /// All that somebody was given, themselves or as a member of a group.
    To(UserId),
    /// Those of one node that somebody was given.
    ToOf(UserId, NodeId),
}

/// Lists shares that are in force, in the order in which they were made.
#[derive(Debug)]
pub struct ListShares {
    /// Which.
    pub which: Which,
    /// The moment.
    pub now: Timestamp,
    /// Only those after this one; 0 to begin.
    pub after: ShareId,
    /// The most that are brought.
    pub limit: i64,
}

impl Operation for ListShares {
    type Output = Vec<Share>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Share>> {
        let (sql, whose) = match self.which {
            Which::ToOf(person, node) => return self.given_of(tx, person, node).await,
            Which::One(id) => (
                select_shares!(
                    "WHERE s.id = $1 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                id.0,
            ),
            Which::By(person) => (
                select_shares!(
                    "WHERE s.sharer_id = $1 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                person.0,
            ),
            Which::Of(node) => (
                select_shares!(
                    "WHERE s.node_id = $1 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                node.0,
            ),
            Which::Below(folder) => (
                select_shares!(
                    "WHERE s.node_id IN (SELECT c.id FROM node c WHERE c.parent_id = $1) \
                     AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                folder.0,
            ),
            Which::Links => (
                select_shares!(
                    "WHERE s.kind = $1 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                Receiver::Link.columns().0,
            ),
            Which::To(person) => (
                select_shares!(
                    "WHERE s.id IN (SELECT z.id FROM share z WHERE z.to_id = $1 AND z.kind = 0 \
                     UNION SELECT z.id FROM member m JOIN team y ON y.id = m.team_id AND y.state = 0 \
                     JOIN share z ON z.to_id = m.team_id AND z.kind = 1 WHERE m.account_id = $1) \
                     AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                     AND s.id > $3 ORDER BY s.id LIMIT $4"
                ),
                person.0,
            ),
        };
        tx.rows(
            sql,
            &[
                whose.into(),
                self.now.0.into(),
                self.after.0.into(),
                self.limit.into(),
            ],
            read_share,
        )
        .await
    }
}

impl ListShares {
    async fn given_of<T: Tx>(
        &self,
        tx: &mut T,
        person: UserId,
        node: NodeId,
    ) -> StoreResult<Vec<Share>> {
        tx.rows(
            select_shares!(
                "WHERE s.node_id = $1 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $2) \
                 AND ((s.kind = 0 AND s.to_id = $3) OR (s.kind = 1 AND EXISTS (SELECT 1 FROM member m \
                 JOIN team y ON y.id = m.team_id AND y.state = 0 \
                 WHERE m.team_id = s.to_id AND m.account_id = $3))) \
                 AND s.id > $4 ORDER BY s.id LIMIT $5"
            ),
            &[
                node.0.into(),
                self.now.0.into(),
                person.0.into(),
                self.after.0.into(),
                self.limit.into(),
            ],
            read_share,
        )
        .await
    }
}

/// What shall change of a share; `None`: stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ShareChange {
    /// What may be done.
    pub permissions: Option<Permissions>,
    /// Whether contents may leave the server as they are.
    pub may_download: Option<bool>,
    /// A message to the receiver.
    pub note: Option<String>,
    /// What the giver calls it.
    pub label: Option<String>,
    /// The first moment at which it does not hold any more; inner `None`: no end.
    pub expires_at: Option<Option<Timestamp>>,
    /// Of a link: its token, and the keyed hash of that.
    pub token: Option<(String, Vec<u8>)>,
    /// Of a link: the hash of its password; inner `None`: no password.
    pub password_hash: Option<Option<String>>,
}

/// Changes a share.
#[derive(Debug, Clone)]
pub struct ChangeShare {
    /// Which.
    pub share: ShareId,
    /// Who asks: its giver, or whoever owns what is shared.
    pub asker: UserId,
    /// What changes.
    pub change: ShareChange,
    /// From where somebody asks; `None`: nothing is noted.
    pub origin: Option<Origin>,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for ChangeShare {
    type Output = Shared;

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` a share that is not there or of which the asker may not know, with `NotPermitted`
    /// one that is not theirs to change.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Shared> {
        let share = find_share(tx, self.share).await?.ok_or(Refusal::NotFound)?;
        lock_space_row(tx, share.node.space).await?;
        require_mastery(tx, (&share, self.asker, self.now)).await?;
        let change = &self.change;
        if let Some(permissions) = change.permissions {
            let own = permissions_on(tx, (share.sharer, share.node.id, self.now)).await?;
            let own = fitting(own, &share.node);
            if !own.has(permissions) {
                return Ok(Shared::TooMuch(own));
            }
        }
        if let Some((_, hash)) = &change.token {
            let taken = tx
                .row(
                    "SELECT 1 FROM share WHERE token_hash = $1 AND id <> $2",
                    &[hash.as_slice().into(), self.share.0.into()],
                    |row| row.int(0),
                )
                .await?;
            if taken.is_some() {
                return Ok(Shared::TokenTaken);
            }
        }
        self.write(tx, &share).await?;
        tell_all(tx, &share).await?;
        let (deed, origin) = (Deed::ShareChanged, self.origin.as_ref());
        note_share(tx, share.event(deed, (self.asker, origin), self.now)).await?;
        let share = find_share(tx, self.share).await?.ok_or(Refusal::NotFound)?;
        Ok(Shared::Made(Box::new(share)))
    }
}

impl ChangeShare {
    async fn write<T: Tx>(&self, tx: &mut T, share: &Share) -> StoreResult<()> {
        let change = &self.change;
        let permissions = change.permissions.unwrap_or(share.permissions);
        let note = change.note.as_deref().unwrap_or(&share.note);
        let label = change.label.as_deref().unwrap_or(&share.label);
        let expires_at = change.expires_at.unwrap_or(share.expires_at);
        let former = share.password_hash.clone();
        let password_hash = change.password_hash.clone().unwrap_or(former);
        tx.perform(
            "UPDATE share SET permissions = $1, may_download = $2, note = $3, label = $4, \
             expires_at = $5, password_hash = $6, \
             reminded_at = CASE WHEN expires_at = $5 THEN reminded_at ELSE NULL END WHERE id = $7",
            &[
                permissions.bits().into(),
                i64::from(change.may_download.unwrap_or(share.may_download)).into(),
                note.into(),
                label.into(),
                expires_at.map(|at| at.0).into(),
                password_hash.as_deref().into(),
                self.share.0.into(),
            ],
        )
        .await?;
        if let Some((token, hash)) = &change.token {
            tx.perform(
                "UPDATE share SET token = $1, token_hash = $2 WHERE id = $3",
                &[
                    token.as_str().into(),
                    hash.as_slice().into(),
                    self.share.0.into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}

/// Refuses whoever is neither the giver of a share nor owns what is shared: with `NotPermitted` only those who may know
/// of it.
async fn require_mastery<T: Tx>(
    tx: &mut T,
    (share, asker, now): (&Share, UserId, Timestamp),
) -> StoreResult<()> {
    let own = permissions_on(tx, (asker, share.node.id, now)).await?;
    if !own.has(Permissions::READ) {
        return Err(Refusal::NotFound.into());
    }
    if share.sharer == asker || own == Permissions::ALL && is_master(tx, share, asker).await? {
        return Ok(());
    }
    let is_receiver = share.receiver == Receiver::Person(asker);
    let is_known = own.has(Permissions::SHARE) && share.receiver != Receiver::Link;
    if is_receiver || is_known {
        Err(Refusal::NotPermitted.into())
    } else {
        Err(Refusal::NotFound.into())
    }
}

/// Returns whether somebody owns the space of a share, or manages the group that does.
async fn is_master<T: Tx>(tx: &mut T, share: &Share, person: UserId) -> StoreResult<bool> {
    let found = tx
        .row(
            "SELECT 1 FROM space s WHERE s.id = $1 AND ((s.kind = 1 AND s.owner_id = $2) \
             OR (s.kind = 2 AND EXISTS (SELECT 1 FROM member m WHERE m.team_id = s.owner_id \
             AND m.account_id = $2 AND m.role = 2)))",
            &[share.node.space.0.into(), person.0.into()],
            |row| row.int(0),
        )
        .await?;
    Ok(found.is_some())
}

/// Ends a share: by its giver, by whoever owns what is shared, or by the person who was given it.
#[derive(Debug, Clone)]
pub struct EndShare {
    /// Which.
    pub share: ShareId,
    /// Who asks.
    pub asker: UserId,
    /// From where; `None`: nothing is noted.
    pub origin: Option<Origin>,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for EndShare {
    /// The share that ended; `None`: the asker left what a group was given.
    type Output = Option<Share>;

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Share>> {
        let share = find_share(tx, self.share).await?.ok_or(Refusal::NotFound)?;
        lock_space_row(tx, share.node.space).await?;
        let is_receiver = share.receiver == Receiver::Person(self.asker);
        if !is_receiver {
            let master = require_mastery(tx, (&share, self.asker, self.now)).await;
            let is_member = match share.receiver {
                Receiver::Team(team) => is_member(tx, team, self.asker).await?,
                Receiver::Person(_) | Receiver::Link => false,
            };
            match master {
                Err(StoreError::Refused(_)) if is_member => {
                    let leave = LeaveMount {
                        account: self.asker,
                        node: share.node.id,
                        name: share.name.clone(),
                        now: self.now,
                    };
                    leave.run(tx).await?;
                    return Ok(None);
                }
                other => other?,
            }
        }
        tx.perform("DELETE FROM share WHERE id = $1", &[self.share.0.into()])
            .await?;
        tell_all(tx, &share).await?;
        let (deed, origin) = (Deed::ShareEnded, self.origin.as_ref());
        note_share(tx, share.event(deed, (self.asker, origin), self.now)).await?;
        Ok(Some(share))
    }
}

async fn is_member<T: Tx>(tx: &mut T, team: TeamId, person: UserId) -> StoreResult<bool> {
    let found = tx
        .row(
            "SELECT 1 FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
             WHERE m.team_id = $1 AND m.account_id = $2",
            &[team.0.into(), person.0.into()],
            |row| row.int(0),
        )
        .await?;
    Ok(found.is_some())
}

/// Ends links, whoever gave them; for whoever answers for the installation.
#[derive(Debug)]
pub struct EndLinks {
    /// Which.
    pub links: Vec<ShareId>,
    /// Whether it is noted that an administrator did it.
    pub is_noted: bool,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for EndLinks {
    /// How many there were.
    type Output = u64;

    fn changes_sharing(&self) -> bool {
        true
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let mut ended = 0;
        for link in &self.links {
            if self.is_noted {
                note_ended_link(tx, *link, self.now).await?;
            }
            let sql = "DELETE FROM share WHERE id = $1 AND kind = 3";
            ended += tx.execute(sql, &[link.0.into()]).await?;
        }
        Ok(ended)
    }
}

/// Finds where a node lies: from the highest folder above down to itself.
#[derive(Debug)]
pub struct FindChain(pub NodeId);

impl Operation for FindChain {
    /// Empty: it is not there, or in a trash.
    type Output = Vec<Node>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Node>> {
        let Some(node) = node_by_id(tx, self.0).await? else {
            return Ok(Vec::new());
        };
        let root = Root {
            space: node.space,
            top: Some(node.id),
        };
        match walk(tx, root, &NodePath::root()).await {
            Ok(found) => Ok(found.nodes),
            Err(StoreError::Refused(Refusal::NotFound)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// A link that somebody opens, as it stands now.
#[derive(Debug, Clone)]
pub struct OpenedLink {
    /// The link.
    pub share: Share,
    /// What may be done through it: no more than its giver may do now.
    pub permissions: Permissions,
}

/// Finds the link of a token, if it holds now.
#[derive(Debug)]
pub struct FindLink {
    /// The keyed hash of its token.
    pub token_hash: Vec<u8>,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for FindLink {
    /// `None`: unknown, ended, in the trash, or its giver may not give it any more.
    type Output = Option<OpenedLink>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<OpenedLink>> {
        let share = tx
            .row(
                select_shares!(
                    "WHERE s.token_hash = $1 AND s.state = 0 \
                     AND (s.expires_at IS NULL OR s.expires_at > $2)"
                ),
                &[self.token_hash.as_slice().into(), self.now.0.into()],
                read_share,
            )
            .await?;
        let Some(mut share) = share else {
            return Ok(None);
        };
        let of_giver = passed_on_by(tx, (share.sharer, share.node.id, self.now)).await?;
        share.may_download &= of_giver.has(Permissions::DOWNLOAD);
        let permissions = fitting(share.permissions.and(of_giver), &share.node);
        Ok((permissions != Permissions::NONE).then_some(OpenedLink { share, permissions }))
    }
}

/// Notes that a link was used.
#[derive(Debug)]
pub struct NoteLinkUse {
    /// Which.
    pub share: ShareId,
    /// Downloads to be counted.
    pub opens: u64,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for NoteLinkUse {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE share SET opens = opens + $1, opened_at = $2 WHERE id = $3",
            &[
                signed(self.opens).into(),
                self.now.0.into(),
                self.share.0.into(),
            ],
        )
        .await
    }
}

/// Which of some nodes somebody has shared, and how.
#[derive(Debug)]
pub struct ListSharedBy {
    /// Who shares.
    pub sharer: UserId,
    /// Nodes.
    pub nodes: Vec<NodeId>,
    /// Children of this folder, from one number to another.
    pub children: Option<(NodeId, NodeId, NodeId)>,
    /// The moment.
    pub now: Timestamp,
}

impl Operation for ListSharedBy {
    /// Nodes, with the kinds of their shares by the numbers of the OCS sharing API.
    type Output = HashMap<NodeId, Vec<u8>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<HashMap<NodeId, Vec<u8>>> {
        let mut asked = Vec::with_capacity(self.nodes.len() + 1);
        for node in &self.nodes {
            let kinds = tx
                .ask(
                    "SELECT node_id, kind FROM share WHERE node_id = $1 AND sharer_id = $2 AND state = 0 \
                     AND (expires_at IS NULL OR expires_at > $3) GROUP BY node_id, kind ORDER BY kind",
                    &[node.0.into(), self.sharer.0.into(), self.now.0.into()],
                    read_kind,
                )
                .await?;
            asked.push(kinds);
        }
        if let Some((folder, first, last)) = self.children {
            let kinds = tx
                .ask(
                    "SELECT s.node_id, s.kind FROM node c CROSS JOIN share s \
                     WHERE c.parent_id = $1 AND c.id >= $2 AND c.id <= $3 AND s.node_id = c.id \
                     AND s.sharer_id = $4 AND s.state = 0 AND (s.expires_at IS NULL OR s.expires_at > $5) \
                     GROUP BY s.node_id, s.kind ORDER BY s.node_id, s.kind",
                    &[
                        folder.0.into(),
                        first.0.into(),
                        last.0.into(),
                        self.sharer.0.into(),
                        self.now.0.into(),
                    ],
                    read_kind,
                )
                .await?;
            asked.push(kinds);
        }
        let mut found: HashMap<NodeId, Vec<u8>> = HashMap::new();
        for kinds in asked {
            for (node, kind) in tx.answer(kinds).await? {
                let kind = u8::try_from(kind).unwrap_or_default();
                found.entry(node).or_default().push(kind);
            }
        }
        Ok(found)
    }
}

fn read_kind(row: &dyn Row) -> StoreResult<(NodeId, i64)> {
    Ok((NodeId(row.int(0)?), row.int(1)?))
}

/// Finds the paths of nodes within one space: one question for each folder above them.
#[derive(Debug)]
pub struct FindPaths {
    /// The space.
    pub space: SpaceId,
    /// The nodes.
    pub nodes: Vec<NodeId>,
}

impl Operation for FindPaths {
    /// For each node its path; `None`: it lies elsewhere, or in the trash.
    type Output = Vec<Option<NodePath>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Option<NodePath>>> {
        let mut found = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            found.push(node_by_id(tx, *node).await?);
        }
        let is_here = |node: &&Node| node.space == self.space;
        let here: Vec<Node> = found.iter().flatten().filter(is_here).cloned().collect();
        let mut paths = paths_of(tx, self.space, &here).await?.into_iter();
        let place = |node: Option<Node>| {
            node.filter(|node| is_here(&node))
                .and_then(|_| paths.next().flatten())
        };
        Ok(found.into_iter().map(place).collect())
    }
}
