//! What happened to what a caller can see: who did what, to what, when and from where.
//!
//! Rows are written once, by whoever acts; here it is decided who reads them. A person reads what happened in
//! their home and in the spaces of their groups, and in what was shared with them since it was. That is
//! decided by where the folders lie now, as for every other request.
//!
//! Much at a time by one person in one folder is one [`Activity`]: rows that follow each other within
//! [`GAP_SECONDS`] are grouped while they are read.
//!
//! # Always true
//!
//! * Of a share or link only those read who gave it, were given it, or own what it is of.
//! * A network address is shown to whoever acted and to administrators; of a link's visitors a shortened one to
//!   whoever gave the link or owns what it leads to.
//! * A page costs a bounded number of rows, so it may be short; it says whether there is more.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::permissions::joined;
use crate::identity::Caller;
use crate::identity::Role;
use crate::identity::TeamId;
use crate::store::metadata::activity::ActivityRow;
use crate::store::metadata::activity::ActivityScope;
use crate::store::metadata::activity::Places;
use crate::store::metadata::activity::ReadActivity;
use crate::store::metadata::mounts::Source;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shown;

pub use crate::store::metadata::activity::ActivityFrom;
pub use crate::store::metadata::activity::Deed;
pub use crate::store::metadata::activity::Program;

/// What one person does within this time of what they did before, in one folder, is shown as one, in seconds.
pub const GAP_SECONDS: i64 = 5 * 60;
/// Rows of each space that are read at once.
const BATCH_ROWS: i64 = 200;
/// Rows that one page looks at.
const ROWS_MAX: usize = 5_000;
/// Nodes that one activity names; the others are counted.
const NAMED_MAX: usize = 20;
/// Activities of one page.
pub const PAGE_MAX: usize = 200;

/// Whose activities are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whose {
    /// Everybody's.
    #[default]
    Everybody,
    /// The caller's own.
    Mine,
    /// Those of everybody else.
    Others,
}

/// What kind of activities is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kinds {
    /// All.
    #[default]
    All,
    /// What was done to files and folders.
    Files,
    /// What was done to shares and links.
    Sharing,
}

/// Which activities are wanted.
#[derive(Debug, Clone, Copy)]
pub struct ActivityRequest {
    /// Those of this node only.
    pub node: Option<NodeId>,
    /// Whose.
    pub whose: Whose,
    /// Of what kind.
    pub kinds: Kinds,
    /// From where on; before `i64::MAX` begins with the newest.
    pub from: ActivityFrom,
    /// How many, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A person.
    Person {
        /// Their names.
        shown: Shown,
        /// Whether it is the caller.
        is_caller: bool,
    },
    /// Somebody who has a link.
    Visitor,
    /// Whoever answers for the installation, by a command.
    Administrator,
    /// Somebody whose account is gone.
    Gone,
}

/// With whom something was shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// The caller.
    Caller,
    /// Another person, or a group.
    Named {
        /// Their names.
        shown: Shown,
        /// Whether it is a group.
        is_team: bool,
    },
    /// Whoever has the link.
    Link {
        /// What its giver calls it; may be empty.
        label: String,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something is new.
    Created,
    /// A file has another content.
    Changed,
    /// It has another name.
    Renamed {
        /// The name before.
        former: String,
    },
    /// It lies in another folder.
    Moved {
        /// Where it was; `None`: where the caller sees nothing.
        from: Option<NodePath>,
        /// Where it is; `None`: where the caller sees nothing.
        to: Option<NodePath>,
    },
    /// It was deleted.
    Deleted,
    /// It came back from the trash.
    Restored,
    /// A former version is the current one.
    VersionRestored,
    /// It was shared.
    Shared(With),
    /// A share of it was changed.
    ShareChanged(With),
    /// A share of it ended.
    ShareEnded(With),
    /// A link to it was opened.
    LinkOpened {
        /// What its giver calls it; may be empty.
        label: String,
    },
    /// It was downloaded by a link.
    LinkDownloaded {
        /// What its giver calls it; may be empty.
        label: String,
    },
}

/// A node to which something was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its number; it may be gone.
    pub node: NodeId,
    /// Its name then.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Where the caller sees it, or would if it were still there; `None`: its folder is gone.
    pub path: Option<NodePath>,
}

/// From where somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whence {
    /// With what they came.
    pub program: Program,
    /// What their device is called, where the caller may know.
    pub device: Option<String>,
    /// Their network address, where the caller may know; perhaps shortened to its network.
    pub address: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The number of its newest row.
    pub id: i64,
    /// Who did it.
    pub who: Who,
    /// What they did.
    pub what: What,
    /// To what: the newest first, no more than some.
    pub on: Vec<Subject>,
    /// To how many nodes.
    pub count: usize,
    /// When it ended.
    pub at: Timestamp,
    /// When it began.
    pub begun_at: Timestamp,
    /// From where.
    pub from: Whence,
}

/// A page of activities.
#[derive(Debug, Clone, Default)]
pub struct ActivityPage {
    /// In the order that was asked for.
    pub activities: Vec<Activity>,
    /// The number at which the next page goes on; `None`: nothing was looked at.
    pub last: Option<i64>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// Something that the caller sees, and since when.
struct Top {
    node: NodeId,
    since: Option<Timestamp>,
    path: NodePath,
}

/// What of a space the caller sees.
#[derive(Default)]
struct Seen {
    is_whole: bool,
    is_master: bool,
    tops: Vec<Top>,
}

/// What a caller sees of everything.
struct Sight<'a> {
    caller: &'a Caller,
    spaces: HashMap<SpaceId, Seen>,
    teams: HashSet<TeamId>,
    shares: HashSet<ShareId>,
}

impl Files {
    /// Lists what happened to what the caller can see.
    ///
    /// Who came by a link is refused with `NotPermitted`.
    pub async fn activity(
        &self,
        caller: &Caller,
        request: &ActivityRequest,
    ) -> FilesResult<ActivityPage> {
        Self::require_home(caller)?;
        let sight = self.sight(caller).await?;
        let scope = match request.node {
            Some(node) => ActivityScope::Node(node),
            None => ActivityScope::Spaces(sight.spaces.keys().copied().collect()),
        };
        let mut page = Page::new(request.limit.clamp(1, PAGE_MAX));
        let mut from = request.from;
        let mut looked_at = 0;
        loop {
            let read = ReadActivity {
                scope: scope.clone(),
                from,
                limit: BATCH_ROWS,
            };
            let found = self.metadata.read(read).await;
            let found = found.map_err(at(&NodePath::root()))?;
            looked_at += found.rows.len();
            for row in &found.rows {
                let shown = request
                    .wants(row, caller.user)
                    .then(|| sight.show(row, &found.places))
                    .flatten();
                if let Some(shown) = shown
                    && !page.take(row, shown)
                {
                    return Ok(page.end(true));
                }
                page.last = Some(row.id);
            }
            let Some(reached) = found.reached else {
                return Ok(page.end(false));
            };
            page.last = Some(reached);
            if looked_at >= ROWS_MAX {
                return Ok(page.end(true));
            }
            from = match from {
                ActivityFrom::Before(_) => ActivityFrom::Before(reached),
                ActivityFrom::After(_) => ActivityFrom::After(reached),
            };
        }
    }

    async fn sight<'a>(&self, caller: &'a Caller) -> FilesResult<Sight<'a>> {
        let root = self.find(caller, &NodePath::root()).await?;
        let mounts = self.mounts(caller).await.map_err(at(&NodePath::root()))?;
        let mut sight = Sight {
            caller,
            spaces: HashMap::new(),
            teams: HashSet::new(),
            shares: HashSet::new(),
        };
        let home = Seen {
            is_whole: true,
            is_master: true,
            tops: vec![Top {
                node: root.id,
                since: None,
                path: NodePath::root(),
            }],
        };
        sight.spaces.insert(caller.home, home);
        let readable = mounts
            .iter()
            .filter(|mount| mount.permissions.has(Permissions::READ));
        for mount in readable {
            let seen = sight.spaces.entry(mount.node.space).or_default();
            match &mount.source {
                Source::Team(team, role) => {
                    seen.is_whole = true;
                    seen.is_master |= *role == Role::Manager;
                    sight.teams.insert(*team);
                }
                Source::Shares(ids) => sight.shares.extend(ids),
            }
            seen.tops.push(Top {
                node: mount.node.id,
                since: mount.since,
                path: mount.path.clone(),
            });
        }
        Ok(sight)
    }
}

impl ActivityRequest {
    fn wants(&self, row: &ActivityRow, caller: UserId) -> bool {
        let by = match self.whose {
            Whose::Everybody => true,
            Whose::Mine => row.actor == caller,
            Whose::Others => row.actor != caller,
        };
        by && match self.kinds {
            Kinds::All => true,
            Kinds::Files => !row.deed.is_of_sharing(),
            Kinds::Sharing => row.deed.is_of_sharing(),
        }
    }
}

/// A row as the caller sees it.
struct ShownRow {
    who: Who,
    what: What,
    on: Subject,
    from: Whence,
}

impl Seen {
    /// Returns where the caller sees a folder, and since when; `None`: they do not.
    fn place(
        &self,
        folder: Option<NodeId>,
        places: &Places,
    ) -> Option<(NodePath, Option<Timestamp>)> {
        let mut names = Vec::new();
        let mut at = folder?;
        loop {
            if let Some(top) = self.tops.iter().find(|top| top.node == at) {
                names.reverse();
                let below = NodePath::parse(&names.join("/")).ok()?;
                return Some((joined(&top.path, &below), top.since));
            }
            let (parent, name) = places.get(&at)?;
            if names.len() > NodePath::DEPTH_MAX {
                return None;
            }
            names.push(name.as_str());
            at = (*parent)?;
        }
    }
}

impl Sight<'_> {
    /// Returns what the caller sees of a row; `None`: nothing.
    fn show(&self, row: &ActivityRow, places: &Places) -> Option<ShownRow> {
        let seen = self.spaces.get(&row.space)?;
        let in_time = |since: Option<Timestamp>| since.is_none_or(|since| since <= row.at);
        let place = |folder| {
            let place = seen.place(folder, places);
            place
                .filter(|(_, since)| in_time(*since))
                .map(|(path, _)| path)
        };
        let (here, former) = (place(row.folder), place(row.former_folder));
        let itself = seen.tops.iter().find(|top| top.node == row.node);
        let itself = itself.filter(|top| in_time(top.since));
        if !seen.is_whole && here.is_none() && former.is_none() && itself.is_none() {
            return None;
        }
        if row.deed.is_of_sharing() && !self.may_know_of_share(row, seen) {
            return None;
        }
        // Of a place that the caller does not see, not even the name that something has there is told.
        let knows_name = seen.is_whole || here.is_some() || itself.is_some();
        let name = match (&row.former_name, knows_name) {
            (Some(former), false) => former.clone(),
            _ => row.name.clone(),
        };
        let path = match (itself, &here, &former) {
            (Some(top), _, _) => Some(top.path.clone()),
            (None, Some(folder), _) | (None, None, Some(folder)) => NodeName::parse(&name)
                .ok()
                .and_then(|name| folder.child(name).ok()),
            (None, None, None) => None,
        };
        Some(ShownRow {
            who: self.who(row),
            what: self.what(row, (here, former)),
            on: Subject {
                node: row.node,
                name,
                is_folder: row.is_folder,
                path,
            },
            from: self.whence(row, seen),
        })
    }

    fn may_know_of_share(&self, row: &ActivityRow, seen: &Seen) -> bool {
        let is_receiver = match row.receiver {
            Some(Receiver::Person(person)) => person == self.caller.user,
            Some(Receiver::Team(team)) => {
                self.teams.contains(&team)
                    || row.share.is_some_and(|share| self.shares.contains(&share))
            }
            Some(Receiver::Link) | None => false,
        };
        seen.is_master
            || row.actor == self.caller.user
            || row.link_giver == Some(self.caller.user)
            || is_receiver
    }

    fn who(&self, row: &ActivityRow) -> Who {
        if row.program == Program::Link {
            return Who::Visitor;
        }
        if row.program == Program::Command {
            return Who::Administrator;
        }
        if row.actor_shown.name.is_empty() {
            return Who::Gone;
        }
        Who::Person {
            shown: row.actor_shown.clone(),
            is_caller: row.actor == self.caller.user,
        }
    }

    fn what(
        &self,
        row: &ActivityRow,
        (here, former): (Option<NodePath>, Option<NodePath>),
    ) -> What {
        match row.deed {
            Deed::Created => What::Created,
            Deed::Changed => What::Changed,
            Deed::Renamed => What::Renamed {
                former: row.former_name.clone().unwrap_or_default(),
            },
            Deed::Moved => What::Moved {
                from: former,
                to: here,
            },
            Deed::Deleted => What::Deleted,
            Deed::Restored => What::Restored,
            Deed::VersionRestored => What::VersionRestored,
            Deed::Shared => What::Shared(self.with(row)),
            Deed::ShareChanged => What::ShareChanged(self.with(row)),
            Deed::ShareEnded => What::ShareEnded(self.with(row)),
            Deed::LinkOpened => What::LinkOpened {
                label: row.link_label.clone(),
            },
            Deed::LinkDownloaded => What::LinkDownloaded {
                label: row.link_label.clone(),
            },
        }
    }

    fn with(&self, row: &ActivityRow) -> With {
        match row.receiver {
            Some(Receiver::Person(person)) if person == self.caller.user => With::Caller,
            Some(Receiver::Person(_)) => With::Named {
                shown: row.receiver_shown.clone(),
                is_team: false,
            },
            Some(Receiver::Team(_)) => With::Named {
                shown: row.receiver_shown.clone(),
                is_team: true,
            },
            Some(Receiver::Link) | None => With::Link {
                label: row.link_label.clone(),
            },
        }
    }

    fn whence(&self, row: &ActivityRow, seen: &Seen) -> Whence {
        let knows_all = row.actor == self.caller.user || self.caller.is_admin;
        let knows_network = row.program == Program::Link
            && (seen.is_master || row.link_giver == Some(self.caller.user));
        let address = match row.address {
            Some(address) if knows_all => Some(address.to_string()),
            Some(address) if knows_network => Some(network_of(address)),
            Some(_) | None => None,
        };
        Whence {
            program: row.program,
            device: row.device.clone().filter(|_| knows_all),
            address,
        }
    }
}

/// Returns the network of an address: its first 24 bits, or 48 of one of version 6.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// What rows have in common that are shown as one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Bundle {
    actor: UserId,
    link: Option<ShareId>,
    space: SpaceId,
    folder: Option<NodeId>,
    deed: Deed,
}

impl Bundle {
    /// Returns the bundle that a row belongs to; `None`: it stands alone.
    fn of(row: &ActivityRow) -> Option<Self> {
        let deed = match row.deed {
            // What is new is changed at once, often.
            Deed::Created | Deed::Changed => Deed::Changed,
            deed @ (Deed::Moved | Deed::Deleted | Deed::Restored) => deed,
            _ => return None,
        };
        Some(Self {
            actor: row.actor,
            link: row.share,
            space: row.space,
            folder: row.folder.or(row.former_folder),
            deed,
        })
    }
}

/// The nodes of an activity, and which of them were new in it.
#[derive(Default)]
struct Nodes {
    are_new: HashMap<NodeId, bool>,
    new: usize,
}

impl Nodes {
    /// Takes the node of a row; returns whether it is another one.
    fn insert(&mut self, row: &ActivityRow) -> bool {
        let known = self.are_new.len();
        let is_new = self.are_new.entry(row.node).or_insert(false);
        if row.deed == Deed::Created && !*is_new {
            *is_new = true;
            self.new += 1;
        }
        self.are_new.len() > known
    }
}

/// A page in the making.
struct Page {
    limit: usize,
    activities: Vec<Activity>,
    /// Nodes of each of them.
    nodes: Vec<Nodes>,
    /// Which of them a bundle's next row may belong to.
    open: HashMap<Bundle, usize>,
    last: Option<i64>,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            activities: Vec::new(),
            nodes: Vec::new(),
            open: HashMap::new(),
            last: None,
        }
    }

    /// Takes a row; `false`: it would be one activity too many.
    fn take(&mut self, row: &ActivityRow, shown: ShownRow) -> bool {
        let bundle = Bundle::of(row);
        let known = bundle.as_ref().and_then(|bundle| self.open.get(bundle));
        if let Some(index) = known.copied()
            && let (Some(activity), Some(nodes)) =
                (self.activities.get_mut(index), self.nodes.get_mut(index))
            && is_near(activity, row.at)
        {
            join(activity, nodes, (row, shown));
            return true;
        }
        if self.activities.len() >= self.limit {
            return false;
        }
        if let Some(bundle) = bundle {
            self.open.insert(bundle, self.activities.len());
        }
        let mut nodes = Nodes::default();
        nodes.insert(row);
        self.nodes.push(nodes);
        self.activities.push(Activity {
            id: row.id,
            who: shown.who,
            what: shown.what,
            on: vec![shown.on],
            count: 1,
            at: row.at,
            begun_at: row.at,
            from: shown.from,
        });
        true
    }

    fn end(self, has_more: bool) -> ActivityPage {
        ActivityPage {
            activities: self.activities,
            last: self.last,
            has_more,
        }
    }
}

fn is_near(activity: &Activity, at: Timestamp) -> bool {
    at.plus_seconds(GAP_SECONDS) >= activity.begun_at && activity.at.plus_seconds(GAP_SECONDS) >= at
}

/// Makes a row part of an activity.
fn join(activity: &mut Activity, nodes: &mut Nodes, (row, shown): (&ActivityRow, ShownRow)) {
    activity.id = activity.id.max(row.id);
    activity.at = activity.at.max(row.at);
    activity.begun_at = activity.begun_at.min(row.at);
    if nodes.insert(row) {
        activity.count += 1;
        if activity.on.len() < NAMED_MAX {
            activity.on.push(shown.on);
        }
    }
    // Some new and some changed are changed, all together.
    if matches!(row.deed, Deed::Created | Deed::Changed) {
        activity.what = if nodes.new == activity.count {
            What::Created
        } else {
            What::Changed
        };
    }
    if activity.from != shown.from {
        activity.from.device = None;
        activity.from.address = None;
    }
}

#[cfg(test)]
mod tests {
    use super::network_of;

    #[test]
    fn an_address_is_shortened_to_its_network() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()), network);
        }
    }
}
