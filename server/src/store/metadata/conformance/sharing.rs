//! Who may do what, against a model that knows nothing of SQL: people share, pass on, join and leave groups,
//! move, delete and restore, and after each step nobody has more, or less, than the model says.

use std::collections::HashMap;
use std::collections::HashSet;

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::FindTeamByName;
use crate::store::metadata::accounts::teams::RemoveMember;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::audience::Owner;
use crate::store::metadata::audience::ReadAudience;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::grants::permissions_on;
use crate::store::metadata::mounts::ListMounts;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::ChangeShare;
use crate::store::metadata::shares::CreateShare;
use crate::store::metadata::shares::EndShare;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareChange;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shared;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::tree::Delete;
use crate::store::metadata::tree::MakeFolder;
use crate::store::metadata::tree::Move;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

use super::Fixture;
use super::account;

/// Steps on SQLite, where each costs a fraction of a millisecond.
const STEPS: u32 = 100_000;
/// Steps on PostgreSQL.
const STEPS_ON_POSTGRES: u32 = 3_000;
const PEOPLE: usize = 6;
const TEAMS: usize = 3;
const NODES_MAX: usize = 40;
const SHARES_MAX: usize = 40;

/// Asks what somebody may do with a node.
struct Ask(UserId, NodeId, Timestamp);

impl Operation for Ask {
    type Output = Permissions;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Permissions> {
        permissions_on(tx, (self.0, self.1, self.2)).await
    }
}

struct Person {
    id: UserId,
    home: SpaceId,
    is_active: bool,
}

struct Group {
    id: TeamId,
    space: SpaceId,
    members: HashMap<usize, Role>,
}

#[derive(Clone)]
struct Folder {
    id: NodeId,
    space: SpaceId,
    name: String,
    /// `None`: a root, or in the trash.
    parent: Option<usize>,
    /// Where it was when it went to the trash, and when.
    trashed: Option<(usize, i64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum To {
    Person(usize),
    Group(usize),
}

struct Given {
    id: ShareId,
    folder: usize,
    giver: usize,
    to: To,
    permissions: Permissions,
}

struct World {
    on: Fixture,
    people: Vec<Person>,
    groups: Vec<Group>,
    folders: Vec<Folder>,
    given: Vec<Given>,
    chance: StdRng,
    seconds: i64,
    named: u32,
    /// Shares that were made.
    made: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let on = Fixture::new().await;
        let mut world = Self {
            people: Vec::new(),
            groups: Vec::new(),
            folders: Vec::new(),
            given: Vec::new(),
            chance: StdRng::seed_from_u64(seed),
            seconds: 10,
            named: 0,
            made: 0,
            on,
        };
        for number in 0..PEOPLE {
            let made = account(&world.on, &format!("p{number}")).await;
            world.add_root(made.home).await;
            world.people.push(Person {
                id: made.id,
                home: made.home,
                is_active: true,
            });
        }
        for number in 0..TEAMS {
            let name = format!("g{number}");
            let create = CreateTeam {
                name: name.clone(),
                fold: name.clone(),
                quota: Quota::Default,
                now: world.on.change(0).now,
            };
            let id = world.on.store.write(create).await.unwrap();
            let find = FindTeamByName { fold: name };
            let space = world.on.store.read(find).await.unwrap().unwrap().space;
            world.add_root(space).await;
            world.groups.push(Group {
                id,
                space,
                members: HashMap::new(),
            });
        }
        world
    }

    async fn add_root(&mut self, space: SpaceId) {
        let find = FindNode {
            root: space.into(),
            path: NodePath::root(),
        };
        let root = self.on.store.read(find).await.unwrap().unwrap();
        self.folders.push(Folder {
            id: root.id,
            space,
            name: String::new(),
            parent: None,
            trashed: None,
        });
    }

    fn change(&self, space: SpaceId) -> Change {
        Change {
            space,
            ..self.on.change(self.seconds)
        }
    }

    fn below(&mut self, count: usize) -> usize {
        self.chance.random_range(0..count)
    }

    /// Returns the folders from one up to its root, itself first; empty: in the trash.
    fn chain(&self, folder: usize) -> Vec<usize> {
        let mut chain = vec![folder];
        let mut at = folder;
        while let Some(parent) = self.folders[at].parent {
            chain.push(parent);
            at = parent;
        }
        if self.folders[at].trashed.is_some() {
            return Vec::new();
        }
        chain
    }

    fn path(&self, folder: usize) -> NodePath {
        let mut names: Vec<&str> = self
            .chain(folder)
            .iter()
            .map(|at| self.folders[*at].name.as_str())
            .collect();
        names.pop();
        names.reverse();
        NodePath::parse(&names.join("/")).unwrap()
    }

    fn is_root(folder: usize) -> bool {
        folder < PEOPLE + TEAMS
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.folders.len())
            .filter(|folder| !self.chain(*folder).is_empty())
            .collect()
    }

    fn reaches(&self, to: To, person: usize) -> bool {
        match to {
            To::Person(receiver) => receiver == person,
            To::Group(group) => self.groups[group].members.contains_key(&person),
        }
    }

    /// What the model says of everybody: the least that satisfies every share, found by repetition.
    fn effective(&self, chains: &[Vec<usize>]) -> Vec<Permissions> {
        let mut effective = vec![Permissions::NONE; self.given.len()];
        loop {
            let mut is_new = false;
            for (index, share) in self.given.iter().enumerate() {
                if chains[share.folder].is_empty() {
                    continue;
                }
                let of_giver = if self.people[share.giver].home == self.folders[share.folder].space
                {
                    Permissions::ALL
                } else {
                    let rights = self.rights((share.giver, share.folder), chains, &effective);
                    if rights.has(Permissions::SHARE) {
                        rights
                    } else {
                        Permissions::NONE
                    }
                };
                let now = share.permissions.and(of_giver);
                is_new |= now != effective[index];
                effective[index] = now;
            }
            if !is_new {
                return effective;
            }
        }
    }

    fn rights(
        &self,
        (person, folder): (usize, usize),
        chains: &[Vec<usize>],
        effective: &[Permissions],
    ) -> Permissions {
        if !self.people[person].is_active {
            return Permissions::NONE;
        }
        let space = self.folders[folder].space;
        if self.people[person].home == space {
            return Permissions::ALL;
        }
        let group = self.groups.iter().find(|group| group.space == space);
        let role = group.and_then(|group| group.members.get(&person));
        let mut rights = match role {
            None => Permissions::NONE,
            Some(Role::Reader) => Permissions::READ,
            Some(Role::Member) => Permissions::of_bits(15),
            Some(Role::Manager) => Permissions::ALL,
        };
        for (share, effective) in self.given.iter().zip(effective) {
            if chains[folder].contains(&share.folder) && self.reaches(share.to, person) {
                rights = rights.or(*effective);
            }
        }
        rights
    }

    fn chains(&self) -> Vec<Vec<usize>> {
        (0..self.folders.len())
            .map(|folder| self.chain(folder))
            .collect()
    }

    async fn step(&mut self) {
        self.seconds += 1;
        match self.below(100) {
            0..25 => self.make().await,
            25..55 => self.give().await,
            55..63 => self.end().await,
            63..70 => self.narrow().await,
            70..78 => self.join_or_leave().await,
            78..80 => self.disable_or_enable().await,
            80..90 => self.relocate().await,
            90..95 => self.trash().await,
            _ => self.restore().await,
        }
    }

    async fn make(&mut self) {
        let alive = self.alive();
        if alive.len() >= NODES_MAX {
            return self.trash().await;
        }
        let parent = alive[self.below(alive.len())];
        if self.chain(parent).len() > 6 {
            return;
        }
        self.named += 1;
        let name = format!("n{}", self.named);
        let space = self.folders[parent].space;
        let path = self
            .path(parent)
            .child(nuage_shared::node_path::NodeName::parse(&name).unwrap());
        let make = MakeFolder {
            change: self.change(space),
            path: path.unwrap(),
            patches: Vec::new(),
            bytes_max: 1_000,
            precondition: Precondition::default(),
        };
        let folder = self.on.store.write(make).await.unwrap().unwrap();
        self.folders.push(Folder {
            id: folder.id,
            space,
            name,
            parent: Some(parent),
            trashed: None,
        });
    }

    async fn give(&mut self) {
        if self.given.len() >= SHARES_MAX {
            return self.end().await;
        }
        let mut folder = self.below(self.folders.len());
        let mut giver = self.below(PEOPLE);
        let chains = self.chains();
        let effective = self.effective(&chains);
        if self.chance.random_bool(0.8) {
            // Mostly somebody who may, of something that is there.
            let alive = self.alive();
            folder = alive[self.below(alive.len())];
            let may = |person: &usize| {
                let rights = self.rights((*person, folder), &chains, &effective);
                rights.has(Permissions::SHARE)
            };
            let able: Vec<usize> = (0..PEOPLE).filter(may).collect();
            if !able.is_empty() {
                giver = able[self.below(able.len())];
            }
        }
        let to = if self.chance.random_bool(0.7) {
            To::Person(self.below(PEOPLE))
        } else {
            To::Group(self.below(TEAMS))
        };
        let permissions =
            Permissions::of_bits(self.chance.random_range(0..32)).or(Permissions::READ);
        let (receiver, space) = match to {
            To::Person(person) => (
                Receiver::Person(self.people[person].id),
                self.people[person].home,
            ),
            To::Group(group) => (
                Receiver::Team(self.groups[group].id),
                self.groups[group].space,
            ),
        };
        let create = CreateShare {
            sharer: self.people[giver].id,
            node: self.folders[folder].id,
            receiver,
            permissions,
            may_download: true,
            note: String::new(),
            label: String::new(),
            expires_at: None,
            token: None,
            password_hash: None,
            shares_max: 1_000,
            tells: false,
            origin: None,
            now: self.change(space).now,
        };
        let rights = self.rights((giver, folder), &chains, &effective);
        let outcome = self.on.store.write(create).await;
        let is_there = match to {
            To::Person(person) => self.people[person].is_active,
            To::Group(_) => true,
        };
        let has_it = self
            .given
            .iter()
            .any(|one| one.folder == folder && one.giver == giver && one.to == to);
        if chains[folder].is_empty() || !rights.has(Permissions::READ) {
            assert!(
                matches!(outcome, Err(StoreError::Refused(Refusal::NotFound))),
                "{outcome:?}"
            );
            return;
        }
        match outcome.unwrap() {
            Shared::TooMuch(own) => {
                assert_eq!(own, rights);
                assert!(!rights.has(permissions.or(Permissions::SHARE)));
            }
            Shared::NoReceiver => assert!(!is_there),
            Shared::Already(None) => {
                assert!(space == self.folders[folder].space || to == To::Person(giver));
            }
            Shared::Already(Some(_)) => assert!(has_it),
            Shared::Made(share) => {
                assert!(rights.has(permissions.or(Permissions::SHARE)) && is_there && !has_it);
                self.made += 1;
                self.given.push(Given {
                    id: share.id,
                    folder,
                    giver,
                    to,
                    permissions,
                });
            }
            other => panic!("{other:?}"),
        }
    }

    async fn end(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let index = self.below(self.given.len());
        let share = &self.given[index];
        let (giver, folder, id) = (share.giver, share.folder, share.id);
        if matches!(share.to, To::Group(_)) && self.reaches(share.to, giver) {
            // Whoever may not end it any more would leave it.
            return;
        }
        let end = EndShare {
            share: id,
            asker: self.people[giver].id,
            origin: None,
            now: self.change(self.folders[folder].space).now,
        };
        let chains = self.chains();
        let rights = self.rights((giver, folder), &chains, &self.effective(&chains));
        match self.on.store.write(end).await {
            Ok(_) => {
                assert!(!chains[folder].is_empty() && rights.has(Permissions::READ));
                self.given.remove(index);
            }
            Err(StoreError::Refused(Refusal::NotFound)) => {
                assert!(chains[folder].is_empty() || !rights.has(Permissions::READ));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn narrow(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let index = self.below(self.given.len());
        let permissions =
            Permissions::of_bits(self.chance.random_range(0..32)).or(Permissions::READ);
        let share = &self.given[index];
        let change = ChangeShare {
            share: share.id,
            asker: self.people[share.giver].id,
            origin: None,
            change: ShareChange {
                permissions: Some(permissions),
                ..ShareChange::default()
            },
            now: self.change(self.folders[share.folder].space).now,
        };
        if let Ok(Shared::Made(_)) = self.on.store.write(change).await {
            self.given[index].permissions = permissions;
        }
    }

    async fn join_or_leave(&mut self) {
        let (group, person) = (self.below(TEAMS), self.below(PEOPLE));
        let (team, account) = (self.groups[group].id, self.people[person].id);
        if self.chance.random_bool(0.4) {
            let removed = self.on.store.write(RemoveMember { team, account }).await;
            assert_eq!(
                removed.is_ok(),
                self.groups[group].members.remove(&person).is_some()
            );
            return;
        }
        let role = [Role::Reader, Role::Member, Role::Manager][self.below(3)];
        let set = SetMember {
            team,
            account,
            role,
        };
        self.on.store.write(set).await.unwrap();
        self.groups[group].members.insert(person, role);
    }

    async fn disable_or_enable(&mut self) {
        let person = self.below(PEOPLE);
        let disabled = self.people[person].is_active;
        let set = SetDisabled {
            id: self.people[person].id,
            disabled,
            now: self.change(self.people[person].home).now,
        };
        self.on.store.write(set).await.unwrap();
        self.people[person].is_active = !disabled;
    }

    async fn relocate(&mut self) {
        let alive = self.alive();
        let folder = alive[self.below(alive.len())];
        let to = alive[self.below(alive.len())];
        if Self::is_root(folder) || self.chain(to).contains(&folder) || self.chain(to).len() > 5 {
            return;
        }
        let name = nuage_shared::node_path::NodeName::parse(&self.folders[folder].name).unwrap();
        let (left, entered) = (self.folders[folder].space, self.folders[to].space);
        let moving = Move {
            source: self.change(left),
            change: self.change(entered),
            from: self.path(folder),
            to: self.path(to).child(name).unwrap(),
            overwrite: false,
            precondition: Precondition::default(),
        };
        match self.on.store.write(moving).await {
            Ok(moved) => assert_eq!(moved.node.id, self.folders[folder].id),
            // It is there already.
            Err(StoreError::Refused(Refusal::PreconditionFailed | Refusal::IntoItself)) => return,
            other => panic!("{other:?}"),
        }
        self.folders[folder].parent = Some(to);
        for below in 0..self.folders.len() {
            if self.chain(below).contains(&folder) {
                self.folders[below].space = entered;
            }
        }
    }

    async fn trash(&mut self) {
        let alive = self.alive();
        let folder = alive[self.below(alive.len())];
        if Self::is_root(folder) {
            return;
        }
        let delete = Delete {
            change: self.change(self.folders[folder].space),
            path: self.path(folder),
            for_good: false,
            precondition: Precondition::default(),
        };
        self.on.store.write(delete).await.unwrap();
        let parent = self.folders[folder].parent.take().unwrap();
        let second = self.on.change(self.seconds).now.seconds();
        self.folders[folder].trashed = Some((parent, second));
    }

    async fn restore(&mut self) {
        let in_trash: Vec<usize> = (0..self.folders.len())
            .filter(|folder| self.folders[*folder].trashed.is_some())
            .collect();
        if in_trash.is_empty() || self.alive().len() >= NODES_MAX {
            return;
        }
        let folder = in_trash[self.below(in_trash.len())];
        let Some((parent, second)) = self.folders[folder].trashed else {
            return;
        };
        let space = self.folders[folder].space;
        let restore = RestoreFromTrash {
            change: self.change(space),
            name: self.folders[folder].name.clone(),
            second,
        };
        self.on.store.write(restore).await.unwrap();
        let is_home = |folder: usize| self.folders[folder].space == space && Self::is_root(folder);
        let root = (0..PEOPLE + TEAMS).find(|root| is_home(*root)).unwrap();
        let is_there = !self.chain(parent).is_empty() && self.folders[parent].space == space;
        self.folders[folder].trashed = None;
        self.folders[folder].parent = Some(if is_there { parent } else { root });
    }

    /// Compares what is said of some, or of all.
    async fn compare(&mut self, all: bool) {
        let chains = self.chains();
        let effective = self.effective(&chains);
        let folder = self.below(self.folders.len());
        // It takes longer than the others.
        let is_turn = all || self.chance.random_ratio(1, 10);
        if is_turn && !chains[folder].is_empty() {
            self.compare_audience(folder, &chains, &effective).await;
        }
        let mut pairs = Vec::new();
        if all {
            for person in 0..PEOPLE {
                pairs.extend((0..self.folders.len()).map(|folder| (person, folder)));
            }
        } else {
            pairs.push((self.below(PEOPLE), self.below(self.folders.len())));
        }
        for (person, folder) in pairs {
            if chains[folder].is_empty() {
                continue;
            }
            let expected = self.rights((person, folder), &chains, &effective);
            let now = self.on.change(self.seconds).now;
            let ask = Ask(self.people[person].id, self.folders[folder].id, now);
            let found = self.on.store.read(ask).await.unwrap();
            assert_eq!(found, expected, "person {person}, folder {folder}");
        }
        if all {
            self.compare_mounts(&chains, &effective).await;
        }
    }

    /// Exactly those who are named as seeing a folder may read it.
    async fn compare_audience(
        &self,
        folder: usize,
        chains: &[Vec<usize>],
        effective: &[Permissions],
    ) {
        let mut named: HashSet<usize> = HashSet::new();
        let now = self.on.change(self.seconds).now;
        let mut after = ShareId(0);
        loop {
            let read = ReadAudience {
                node: self.folders[folder].id,
                reaching: None,
                now,
                after,
                limit: 3,
            };
            let page = self.on.store.read(read).await.unwrap().unwrap();
            let person = |id: UserId| self.people.iter().position(|known| known.id == id).unwrap();
            let members = |id: TeamId| {
                let group = self.groups.iter().find(|group| group.id == id).unwrap();
                let members = group.members.keys().copied();
                members.filter(|member| self.people[*member].is_active)
            };
            match page.owner {
                Owner::Person { id, is_active, .. } => {
                    named.extend(is_active.then(|| person(id)));
                }
                Owner::Team { id, roles, .. } => {
                    let counted: u64 = roles.iter().map(|(_, members)| members).sum();
                    assert_eq!(counted, members(id).count() as u64);
                    named.extend(members(id));
                }
            }
            for way in page.ways {
                let index = self.given.iter().position(|share| share.id == way.share);
                let index = index.unwrap();
                assert_eq!(way.permissions, effective[index], "{way:?}");
                assert_eq!(way.stated, self.given[index].permissions);
                let at = way.at.clone().unwrap();
                assert_eq!(at.node, self.folders[self.given[index].folder].id);
                assert_eq!(way.by, self.people[self.given[index].giver].id);
                match way.to {
                    Receiver::Person(id) => {
                        named.insert(person(id));
                    }
                    Receiver::Team(id) => {
                        assert_eq!(way.members, members(id).count() as u64);
                        named.extend(members(id));
                    }
                    Receiver::Link => panic!("{way:?}"),
                }
            }
            let Some(next) = page.next else {
                break;
            };
            after = next;
        }
        for person in 0..PEOPLE {
            let rights = self.rights((person, folder), chains, effective);
            let may_read = rights.has(Permissions::READ);
            assert_eq!(
                named.contains(&person),
                may_read,
                "person {person}, folder {folder}"
            );
        }
    }

    /// What appears in each home is each under a name of its own, and leads to what the model says.
    async fn compare_mounts(&self, chains: &[Vec<usize>], effective: &[Permissions]) {
        for (person, known) in self
            .people
            .iter()
            .enumerate()
            .filter(|(_, known)| known.is_active)
        {
            let list = ListMounts {
                account: known.id,
                home: known.home,
                now: self.on.change(self.seconds).now,
            };
            let found = self.on.store.read(list).await.unwrap().mounts;
            let mut paths: Vec<String> = found.iter().map(|mount| mount.path.to_string()).collect();
            paths.sort();
            paths.dedup();
            assert_eq!(paths.len(), found.len());
            let by_node: HashMap<NodeId, Permissions> = found
                .iter()
                .map(|mount| (mount.node.id, mount.permissions))
                .collect();
            // Whatever somebody may reach, they reach through what appears in their home, and nothing else.
            for (folder, chain) in chains.iter().enumerate() {
                if chain.is_empty() || self.folders[folder].space == known.home {
                    continue;
                }
                let above = chain
                    .iter()
                    .filter_map(|at| by_node.get(&self.folders[*at].id));
                let reached = above.fold(Permissions::NONE, |sum, one| sum.or(*one));
                assert_eq!(reached, self.rights((person, folder), chains, effective));
            }
        }
    }
}

#[tokio::test]
async fn nobody_ever_has_more_or_less_than_the_model_says() {
    let steps = if module_path!().contains("on_postgres") {
        STEPS_ON_POSTGRES
    } else {
        STEPS
    };
    let given = std::env::var("NUAGE_TEST_SEED").ok();
    let seed: u64 = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("NUAGE_TEST_SEED={seed}");
    let mut world = World::new(seed).await;
    for step in 0..steps {
        world.step().await;
        world.compare(step % 500 == 499).await;
        if world.folders.len() > 400 {
            world.forget_the_trash();
        }
    }
    assert!(world.made > steps / 100, "only {} shares", world.made);
}

impl World {
    /// Leaves what is in the trash, with the shares of it, to the database alone.
    fn forget_the_trash(&mut self) {
        let chains = self.chains();
        let mut places = HashMap::new();
        let mut kept: Vec<Folder> = Vec::new();
        for (folder, chain) in chains.iter().enumerate() {
            if !chain.is_empty() {
                places.insert(folder, kept.len());
                kept.push(self.folders[folder].clone());
            }
        }
        for folder in &mut kept {
            folder.parent = folder.parent.map(|parent| places[&parent]);
        }
        self.folders = kept;
        self.given
            .retain(|share| places.contains_key(&share.folder));
        for share in &mut self.given {
            share.folder = places[&share.folder];
        }
    }
}
