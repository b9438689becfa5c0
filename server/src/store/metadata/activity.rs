//! What people did to files and shares: one row for each thing that was done, written by the
//! transaction that did it.
//!
//! Nothing is written for those who may read it; who that is, is decided when somebody reads, by where the folders lie
//! then. The numbers of rows come from the database at the insert: they rise with time, so that pages are read by number.
//!
//! # Always true
//!
//! * A row costs no round trip of its own: its insert travels with what follows.
//! * A copy or deletion of a whole tree is one row.
//! * A [`Change`] without an [`Origin`] leaves no row: commands and jobs, and every change where none are kept.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shown;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Rows that one transaction sweeps.
pub const SLICE_ACTIVITIES: u64 = 1_000;
/// Former rows of a node that are looked at for a visit that is still going on.
const VISITS_LOOKED_AT: i64 = 100;
/// The actor of rows whose account is gone for good, or was none.
const SOMEBODY_GONE: i64 = -1;

/// With what somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Program {
    /// It is not known.
    #[default]
    Unknown = 0,
    /// The web page.
    Page = 1,
    /// A program that knows the account's password.
    Password = 2,
    /// A device or program with an app password of its own.
    Device = 3,
    /// Whatever opens links.
    Link = 4,
    /// A command of an administrator.
    Command = 5,
}

impl Program {
    fn of_column(number: i64) -> Self {
        match number {
            1 => Self::Page,
            2 => Self::Password,
            3 => Self::Device,
            4 => Self::Link,
            5 => Self::Command,
            _ => Self::Unknown,
        }
    }
}

/// From where somebody does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// With what they came.
    pub program: Program,
    /// The app password of the device.
    pub token: Option<TokenId>,
    /// The link that they came by.
    pub link: Option<ShareId>,
    /// The client's network address.
    pub address: Option<IpAddr>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A file or folder is new.
    Created = 1,
    /// A file has another content.
    Changed = 2,
    /// It has another name.
    Renamed = 3,
    /// It is in another folder.
    Moved = 4,
    /// It went to the trash, or for good.
    Deleted = 5,
    /// It came back from the trash.
    Restored = 6,
    /// A former version of it is the current one.
    VersionRestored = 7,
    /// It was given to somebody, or a link was made.
    Shared = 8,
    /// A share or link was changed.
    ShareChanged = 9,
    /// A share or link ended before its time.
    ShareEnded = 10,
    /// A link was opened.
    LinkOpened = 11,
    /// A link was downloaded from.
    LinkDownloaded = 12,
}

impl Deed {
    fn of_column(number: i64) -> StoreResult<Self> {
        Ok(match number {
            1 => Self::Created,
            2 => Self::Changed,
            3 => Self::Renamed,
            4 => Self::Moved,
            5 => Self::Deleted,
            6 => Self::Restored,
            7 => Self::VersionRestored,
            8 => Self::Shared,
            9 => Self::ShareChanged,
            10 => Self::ShareEnded,
            11 => Self::LinkOpened,
            12 => Self::LinkDownloaded,
            other => return Err(StoreError::Corrupt(format!("activity.kind {other}"))),
        })
    }

    /// Returns whether it tells of a share or link: that is not for everybody who sees the node.
    pub fn is_of_sharing(self) -> bool {
        matches!(
            self,
            Self::Shared
                | Self::ShareChanged
                | Self::ShareEnded
                | Self::LinkOpened
                | Self::LinkDownloaded
        )
    }
}

/// Something that was done to a node, before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    deed: Deed,
    node: NodeId,
    folder: Option<NodeId>,
    name: &'a str,
    is_folder: bool,
    former_folder: Option<NodeId>,
    former_name: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// Something was done to a node, where it is.
    pub(crate) fn of(deed: Deed, node: &'a Node) -> Self {
        Self {
            deed,
            node: node.id,
            folder: node.parent,
            name: &node.name,
            is_folder: node.is_folder(),
            former_folder: None,
            former_name: None,
        }
    }

    /// A node is now in a folder, under a name.
    pub(crate) fn at(self, folder: Option<NodeId>, name: &'a str) -> Self {
        Self {
            folder,
            name,
            ..self
        }
    }

    /// A node was in a folder, under a name.
    pub(crate) fn from(self, folder: Option<NodeId>, name: &'a str) -> Self {
        Self {
            former_folder: folder,
            former_name: (name != self.name).then_some(name),
            ..self
        }
    }
}

const INSERT: &str = "INSERT INTO activity (space_id, node_id, folder_id, kind, name, is_folder, \
     former_id, former, share_id, peer_kind, peer_id, actor, program, token_id, address, at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// Notes what a change did to a node of its space.
pub(crate) async fn note<T: Tx>(tx: &mut T, change: &Change, event: Event<'_>) -> StoreResult<()> {
    let Some(origin) = &change.origin else {
        return Ok(());
    };
    let address = origin.address.map(|address| address.to_string());
    tx.perform(
        INSERT,
        &[
            change.space.0.into(),
            event.node.0.into(),
            event.folder.map(|id| id.0).into(),
            (event.deed as i64).into(),
            event.name.into(),
            i64::from(event.is_folder).into(),
            event.former_folder.map(|id| id.0).into(),
            event.former_name.into(),
            origin.link.map(|id| id.0).into(),
            None::<i64>.into(),
            None::<i64>.into(),
            change.actor.0.into(),
            (origin.program as i64).into(),
            origin.token.map(|id| id.0).into(),
            address.as_deref().into(),
            change.now.0.into(),
        ],
    )
    .await
}

/// Something that was done to a share or link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShareEvent<'a> {
    /// What.
    pub(crate) deed: Deed,
    /// The share.
    pub(crate) share: ShareId,
    /// Whom it reaches.
    pub(crate) receiver: Receiver,
    /// The node.
    pub(crate) node: &'a Node,
    /// Who did it.
    pub(crate) actor: UserId,
    /// From where; `None`: nothing is kept.
    pub(crate) origin: Option<&'a Origin>,
    /// When.
    pub(crate) now: Timestamp,
}

/// Notes what was done to a share.
pub(crate) async fn note_share<T: Tx>(tx: &mut T, event: ShareEvent<'_>) -> StoreResult<()> {
    let Some(origin) = event.origin else {
        return Ok(());
    };
    let address = origin.address.map(|address| address.to_string());
    let (peer_kind, peer) = event.receiver.columns();
    tx.perform(
        INSERT,
        &[
            event.node.space.0.into(),
            event.node.id.0.into(),
            event.node.parent.map(|id| id.0).into(),
            (event.deed as i64).into(),
            event.node.name.as_str().into(),
            i64::from(event.node.is_folder()).into(),
            None::<i64>.into(),
            None::<&str>.into(),
            event.share.0.into(),
            peer_kind.into(),
            peer.into(),
            event.actor.0.into(),
            (origin.program as i64).into(),
            origin.token.map(|id| id.0).into(),
            address.as_deref().into(),
            event.now.0.into(),
        ],
    )
    .await
}

/// Notes that an administrator ends a link, by a command.
pub(crate) async fn note_ended_link<T: Tx>(
    tx: &mut T,
    link: ShareId,
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO activity (space_id, node_id, folder_id, kind, name, is_folder, share_id, \
         peer_kind, actor, program, at) SELECT n.space_id, n.id, n.parent_id, 10, n.name, \
         CASE n.kind WHEN 0 THEN 1 ELSE 0 END, s.id, 3, $1, 5, $2 \
         FROM share s JOIN node n ON n.id = s.node_id WHERE s.id = $3 AND s.kind = 3",
        &[SOMEBODY_GONE.into(), now.0.into(), link.0.into()],
    )
    .await
}

/// Gives the past of a file to the one that replaces it.
pub(crate) async fn inherit<T: Tx>(tx: &mut T, node: NodeId, old: NodeId) -> StoreResult<()> {
    tx.perform(
        "UPDATE activity SET node_id = $1 WHERE node_id = $2",
        &[node.0.into(), old.0.into()],
    )
    .await
}

/// Notes that somebody opened a link, or downloaded from it, unless that visit was noted already.
#[derive(Debug, Clone)]
pub struct NoteVisit {
    /// Opened or downloaded.
    pub deed: Deed,
    /// The link.
    pub link: ShareId,
    /// Who gave it.
    pub sharer: UserId,
    /// What it leads to.
    pub node: Node,
    /// The visitor's network address.
    pub address: IpAddr,
    /// The moment.
    pub now: Timestamp,
    /// A visit from the same address since then is the same one.
    pub since: Timestamp,
}

impl Operation for NoteVisit {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let address = self.address.to_string();
        tx.perform(
            "INSERT INTO activity (space_id, node_id, folder_id, kind, name, is_folder, share_id, \
             peer_kind, peer_id, actor, program, address, at) \
             SELECT $1, $2, $3, $4, $5, $6, $7, 3, $8, 0, 4, $9, $10 \
             WHERE NOT EXISTS (SELECT 1 FROM (SELECT a.kind, a.share_id, a.address, a.at \
             FROM activity a WHERE a.node_id = $2 ORDER BY a.id DESC LIMIT $11) v \
             WHERE v.kind = $4 AND v.share_id = $7 AND v.address = $9 AND v.at > $12)",
            &[
                self.node.space.0.into(),
                self.node.id.0.into(),
                self.node.parent.map(|id| id.0).into(),
                (self.deed as i64).into(),
                self.node.name.as_str().into(),
                i64::from(self.node.is_folder()).into(),
                self.link.0.into(),
                self.sharer.0.into(),
                address.as_str().into(),
                self.now.0.into(),
                VISITS_LOOKED_AT.into(),
                self.since.0.into(),
            ],
        )
        .await
    }
}

/// A row, with what people see of what it names.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// Its number; greater ones are newer.
    pub id: i64,
    /// The space where it happened.
    pub space: SpaceId,
    /// The node; it may be gone.
    pub node: NodeId,
    /// The folder where it happened.
    pub folder: Option<NodeId>,
    /// What was done.
    pub deed: Deed,
    /// The node's name then.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Moved: the folder where it was.
    pub former_folder: Option<NodeId>,
    /// Renamed or moved: its name before, if that was another.
    pub former_name: Option<String>,
    /// The share or link.
    pub share: Option<ShareId>,
    /// Whom the share reaches.
    pub receiver: Option<Receiver>,
    /// Of a link that was opened: who gave it.
    pub link_giver: Option<UserId>,
    /// The receiver's names; of a link, empty.
    pub receiver_shown: Shown,
    /// What the giver calls the link.
    pub link_label: String,
    /// Who did it.
    pub actor: UserId,
    /// Their names; empty: whoever has the link, or somebody who is gone.
    pub actor_shown: Shown,
    /// With what they came.
    pub program: Program,
    /// What their device is called.
    pub device: Option<String>,
    /// Their network address.
    pub address: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
}

macro_rules! select_activity {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.space_id, a.node_id, a.folder_id, a.kind, a.name, a.is_folder, \
             a.former_id, a.former, a.share_id, a.peer_kind, a.peer_id, a.actor, a.program, \
             a.address, a.at, \
             coalesce((SELECT p.name FROM account p WHERE p.id = a.actor), ''), \
             coalesce((SELECT p.display_name FROM account p WHERE p.id = a.actor), ''), \
             (SELECT t.label FROM token t WHERE t.id = a.token_id), \
             coalesce((SELECT r.name FROM account r WHERE a.peer_kind = 0 AND r.id = a.peer_id), \
             (SELECT g.name FROM team g WHERE a.peer_kind = 1 AND g.id = a.peer_id), ''), \
             coalesce((SELECT r.display_name FROM account r WHERE a.peer_kind = 0 AND r.id = a.peer_id), \
             (SELECT g.name FROM team g WHERE a.peer_kind = 1 AND g.id = a.peer_id), ''), \
             coalesce((SELECT s.label FROM share s WHERE s.id = a.share_id), '') \
             FROM activity a ",
            $tail
        )
    };
}

fn read_activity(row: &dyn Row) -> StoreResult<ActivityRow> {
    let deed = Deed::of_column(row.int(4)?)?;
    let peer = (row.opt_int(10)?, row.opt_int(11)?);
    let is_visit = matches!(deed, Deed::LinkOpened | Deed::LinkDownloaded);
    let receiver = match peer {
        (Some(0), Some(person)) => Some(Receiver::Person(UserId(person))),
        (Some(1), Some(team)) => Some(Receiver::Team(TeamId(team))),
        (Some(3), _) => Some(Receiver::Link),
        _ => None,
    };
    let address = row.opt_text(14)?;
    Ok(ActivityRow {
        id: row.int(0)?,
        space: SpaceId(row.int(1)?),
        node: NodeId(row.int(2)?),
        folder: row.opt_int(3)?.map(NodeId),
        deed,
        name: row.text(5)?,
        is_folder: row.int(6)? != 0,
        former_folder: row.opt_int(7)?.map(NodeId),
        former_name: row.opt_text(8)?,
        share: row.opt_int(9)?.map(ShareId),
        receiver,
        link_giver: peer.1.filter(|_| is_visit).map(UserId),
        receiver_shown: Shown {
            name: row.text(19)?,
            display_name: row.text(20)?,
        },
        link_label: row.text(21)?,
        actor: UserId(row.int(12)?),
        actor_shown: Shown {
            name: row.text(16)?,
            display_name: row.text(17)?,
        },
        program: Program::of_column(row.int(13)?),
        device: row.opt_text(18)?,
        address: address.and_then(|text| text.parse().ok()),
        at: Timestamp(row.int(15)?),
    })
}

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityScope {
    /// All of these spaces.
    Spaces(Vec<SpaceId>),
    /// Those of a node.
    Node(NodeId),
    /// Those of what somebody did.
    By(UserId),
    /// All, for whoever answers for the installation.
    All,
}

/// From where on, and in which direction, rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityFrom {
    /// Those before this number, the newest first.
    Before(i64),
    /// Those after this number, the oldest first.
    After(i64),
}

/// Reads rows, on one snapshot with the folders above them.
#[derive(Debug, Clone)]
pub struct ReadActivity {
    /// Which.
    pub scope: ActivityScope,
    /// From where on.
    pub from: ActivityFrom,
    /// The most that are brought, of each space.
    pub limit: i64,
}

/// Where a folder lies: its own folder, and its name.
pub type Places = HashMap<NodeId, (Option<NodeId>, String)>;

/// Rows in the order of their numbers.
#[derive(Debug, Default)]
pub struct ActivityRows {
    /// The rows.
    pub rows: Vec<ActivityRow>,
    /// The last number that was looked at; `None`: there are no more.
    pub reached: Option<i64>,
    /// Every folder in which something happened, and all above them.
    pub places: Places,
}

impl Operation for ReadActivity {
    type Output = ActivityRows;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<ActivityRows> {
        let batches = self.read(tx).await?;
        let is_backward = matches!(self.from, ActivityFrom::Before(_));
        // A batch that is full tells nothing of what lies behind its last row, so no other may go further.
        let full = batches
            .iter()
            .filter(|batch| batch.len() as u64 >= self.limit.unsigned_abs());
        let ends = full.filter_map(|batch| batch.last()).map(|row| row.id);
        let reached = if is_backward { ends.max() } else { ends.min() };
        let is_within = |row: &ActivityRow| match reached {
            None => true,
            Some(end) if is_backward => row.id >= end,
            Some(end) => row.id <= end,
        };
        let mut rows: Vec<ActivityRow> = batches.into_iter().flatten().filter(is_within).collect();
        rows.sort_by_key(|row| if is_backward { -row.id } else { row.id });
        let folders = rows
            .iter()
            .flat_map(|row| [row.folder, row.former_folder])
            .flatten();
        let places = find_places(tx, folders.collect()).await?;
        Ok(ActivityRows {
            rows,
            reached,
            places,
        })
    }
}

impl ReadActivity {
    async fn read<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Vec<ActivityRow>>> {
        let (mark, is_backward) = match self.from {
            ActivityFrom::Before(mark) => (mark, true),
            ActivityFrom::After(mark) => (mark, false),
        };
        let (sql, keys): (_, Vec<i64>) = match (&self.scope, is_backward) {
            (ActivityScope::Spaces(spaces), true) => (
                select_activity!("WHERE a.space_id = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"),
                spaces.iter().map(|space| space.0).collect(),
            ),
            (ActivityScope::Spaces(spaces), false) => (
                select_activity!("WHERE a.space_id = $1 AND a.id > $2 ORDER BY a.id LIMIT $3"),
                spaces.iter().map(|space| space.0).collect(),
            ),
            (ActivityScope::Node(node), true) => (
                select_activity!("WHERE a.node_id = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"),
                vec![node.0],
            ),
            (ActivityScope::Node(node), false) => (
                select_activity!("WHERE a.node_id = $1 AND a.id > $2 ORDER BY a.id LIMIT $3"),
                vec![node.0],
            ),
            (ActivityScope::By(person), true) => (
                select_activity!("WHERE a.actor = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"),
                vec![person.0],
            ),
            (ActivityScope::By(person), false) => (
                select_activity!("WHERE a.actor = $1 AND a.id > $2 ORDER BY a.id LIMIT $3"),
                vec![person.0],
            ),
            (ActivityScope::All, true) => (
                select_activity!("WHERE a.id > $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"),
                vec![0],
            ),
            (ActivityScope::All, false) => (
                select_activity!("WHERE a.id > $1 AND a.id > $2 ORDER BY a.id LIMIT $3"),
                vec![0],
            ),
        };
        let mut asked = Vec::with_capacity(keys.len());
        for key in keys {
            let params = [key.into(), mark.into(), self.limit.into()];
            asked.push(tx.ask(sql, &params, read_activity).await?);
        }
        let mut batches = Vec::with_capacity(asked.len());
        for question in asked {
            batches.push(tx.answer(question).await?);
        }
        Ok(batches)
    }
}

/// Finds where folders lie: one question for each, all of one depth together.
async fn find_places<T: Tx>(tx: &mut T, folders: HashSet<NodeId>) -> StoreResult<Places> {
    let mut known = Places::new();
    let mut wanted = folders;
    for _level in 0..=NodePath::DEPTH_MAX {
        if wanted.is_empty() {
            break;
        }
        let mut asked = Vec::with_capacity(wanted.len());
        for id in wanted.drain() {
            let question = tx
                .ask(
                    "SELECT parent_id, name FROM node WHERE id = $1",
                    &[id.0.into()],
                    |row| Ok((row.opt_int(0)?.map(NodeId), row.text(1)?)),
                )
                .await?;
            asked.push((id, question));
        }
        let mut above = HashSet::new();
        for (id, question) in asked {
            if let Some(place) = tx.answer_one(question).await? {
                above.extend(place.0);
                known.insert(id, place);
            }
        }
        wanted = above
            .into_iter()
            .filter(|id| !known.contains_key(id))
            .collect();
    }
    Ok(known)
}

/// Deletes rows that are old enough, the oldest first, as many as one transaction may.
#[derive(Debug)]
pub struct SweepActivity {
    /// Those before this moment go.
    pub before: Timestamp,
}

impl Operation for SweepActivity {
    /// How many went.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        tx.execute(
            "DELETE FROM activity WHERE at < $1 AND id IN (SELECT id FROM activity ORDER BY id LIMIT $2)",
            &[
                self.before.0.into(),
                i64::try_from(SLICE_ACTIVITIES).unwrap_or(i64::MAX).into(),
            ],
        )
        .await
    }
}

/// Deletes some of what is known of a space that goes, and some of what is known of its owner elsewhere; returns whether
/// there was anything.
pub(crate) async fn forget_some_of_space<T: Tx>(tx: &mut T, space: SpaceId) -> StoreResult<bool> {
    let slice = i64::try_from(SLICE_ACTIVITIES).unwrap_or(i64::MAX);
    let gone = tx
        .execute(
            "DELETE FROM activity WHERE id IN (SELECT id FROM activity WHERE space_id = $1 \
             ORDER BY id LIMIT $2)",
            &[space.0.into(), slice.into()],
        )
        .await?;
    if gone > 0 {
        return Ok(true);
    }
    let nameless = tx
        .execute(
            "UPDATE activity SET actor = $1, token_id = NULL, address = NULL WHERE id IN (\
             SELECT a.id FROM space s CROSS JOIN activity a \
             WHERE s.id = $2 AND s.kind = 1 AND a.actor = s.owner_id LIMIT $3)",
            &[SOMEBODY_GONE.into(), space.0.into(), slice.into()],
        )
        .await?;
    Ok(nameless > 0)
}
