//! What is noted of changes, how far it is read and swept; and whom notices of shares reach, once.

use super::Fixture;
use super::account;
use super::path;
use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::activity::ActivityFrom;
use crate::store::metadata::activity::ActivityRow;
use crate::store::metadata::activity::ActivityScope;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::NoteVisit;
use crate::store::metadata::activity::Program;
use crate::store::metadata::activity::ReadActivity;
use crate::store::metadata::activity::SweepActivity;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::PurgeSpace;
use crate::store::metadata::mail::NewLetter;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::notices::NextNotice;
use crate::store::metadata::notices::NoteLanguage;
use crate::store::metadata::notices::Notice;
use crate::store::metadata::notices::PendingNotice;
use crate::store::metadata::notices::RemindOfEnds;
use crate::store::metadata::notices::SendNotice;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::CreateShare;
use crate::store::metadata::shares::EndShare;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::Share;
use crate::store::metadata::shares::Shared;
use crate::store::metadata::tree::MakeFolder;
use crate::store::metadata::tree::Move;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Gives an account an address.
struct GiveAddress(UserId, &'static str);

impl Operation for GiveAddress {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE account SET email = $1 WHERE id = $2",
            &[self.1.into(), self.0.0.into()],
        )
        .await
    }
}

/// Archives a space, as the deletion of its account does.
struct Archive(SpaceId);

impl Operation for Archive {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE space SET state = 1 WHERE id = $1",
            &[self.0.0.into()],
        )
        .await
    }
}

impl Fixture {
    async fn activity(&self, scope: ActivityScope, limit: i64) -> Vec<ActivityRow> {
        let mut rows = Vec::new();
        let mut before = i64::MAX;
        loop {
            let read = ReadActivity {
                scope: scope.clone(),
                from: ActivityFrom::Before(before),
                limit,
            };
            let found = self.store.read(read).await.unwrap();
            rows.extend(found.rows);
            match found.reached {
                Some(reached) => before = reached,
                None => return rows,
            }
        }
    }

    async fn deeds_of(&self, spaces: Vec<SpaceId>, limit: i64) -> Vec<(Deed, String)> {
        let rows = self.activity(ActivityScope::Spaces(spaces), limit).await;
        rows.into_iter().map(|row| (row.deed, row.name)).collect()
    }

    async fn folder_of(&self, owner: &Account, name: &str) -> NodeId {
        let make = MakeFolder {
            change: Change {
                space: owner.home,
                actor: owner.id,
                ..self.change(0)
            },
            path: path(name),
            patches: Vec::new(),
            bytes_max: 0,
            precondition: Precondition::default(),
        };
        self.store.write(make).await.unwrap().unwrap().id
    }

    async fn give(
        &self,
        (sharer, node): (UserId, NodeId),
        receiver: Receiver,
        (made, expires): (i64, Option<i64>),
    ) -> Share {
        let token = (receiver == Receiver::Link).then(|| ("token".to_owned(), vec![1]));
        let create = CreateShare {
            sharer,
            node,
            receiver,
            permissions: Permissions::READ,
            may_download: true,
            note: String::new(),
            label: String::new(),
            expires_at: expires.map(|at| self.change(at).now),
            token,
            password_hash: None,
            shares_max: 1_000,
            tells: true,
            origin: self.change(0).origin,
            now: self.change(made).now,
        };
        match self.store.write(create).await.unwrap() {
            Shared::Made(share) => *share,
            other => panic!("{other:?}"),
        }
    }

    async fn next_notice(&self, at: i64, tells_groups: bool) -> Option<PendingNotice> {
        let next = NextNotice {
            now: self.change(at).now,
            tells_groups,
            limit: 2,
        };
        self.store.read(next).await.unwrap()
    }

    /// Sends a letter to each reader of the next notice; returns who they were.
    async fn tell(&self, at: i64) -> Vec<String> {
        let pending = self.next_notice(at, true).await.unwrap();
        let to: Vec<String> = pending.readers.iter().map(|r| r.email.clone()).collect();
        assert!(self.send(&pending, at, 1_000).await);
        // The same once more, as after a crash that nobody noticed: nothing is sent.
        let before = self.due(1_000_000, 1_000).await.len();
        assert!(self.send(&pending, at, 1_000).await);
        assert_eq!(self.due(1_000_000, 1_000).await.len(), before);
        to
    }

    async fn send(&self, pending: &PendingNotice, at: i64, letters_max: u64) -> bool {
        let letter = |email: &String| NewLetter {
            recipient: email.clone(),
            subject: "s".to_owned(),
            body: "b".to_owned(),
            html: None,
        };
        let send = SendNotice {
            id: pending.id,
            notice: pending.notice,
            after: pending.after,
            next: pending.next,
            letters: pending.readers.iter().map(|r| letter(&r.email)).collect(),
            now: self.change(at).now,
            letters_max,
        };
        self.store.write(send).await.unwrap()
    }
}

#[tokio::test]
async fn each_thing_that_is_done_is_one_row_however_large_the_tree() {
    let f = Fixture::new().await;
    f.mkdir("/a").await.unwrap();
    f.put("/a/file", "one").await.unwrap();
    f.put("/a/file", "two").await.unwrap();
    f.mv("/a/file", "/a/other").await.unwrap();
    f.cp("/a", "/b").await.unwrap();
    f.mv("/a/other", "/b/moved").await.unwrap();
    f.put("/a/new", "temporary").await.unwrap();
    f.put("/a/old", "before").await.unwrap();
    f.mv("/a/new", "/a/old").await.unwrap();
    f.rm("/b").await.unwrap();

    let expected = [
        (Deed::Deleted, "b"),
        (Deed::Changed, "old"),
        (Deed::Created, "old"),
        (Deed::Created, "new"),
        (Deed::Moved, "moved"),
        (Deed::Created, "b"),
        (Deed::Renamed, "other"),
        (Deed::Changed, "file"),
        (Deed::Created, "file"),
        (Deed::Created, "a"),
    ]
    .map(|(deed, name)| (deed, name.to_owned()));
    for limit in [1, 3, 100] {
        assert_eq!(f.deeds_of(vec![f.space], limit).await, expected);
    }
    // A file that replaces another has the past of both.
    let old = f.find("/a/old").await.unwrap();
    let rows = f.activity(ActivityScope::Node(old.id), 100).await;
    assert_eq!(rows.len(), 3);
    let moved = f.activity(ActivityScope::Spaces(vec![f.space]), 100).await;
    let moved = moved.iter().find(|row| row.deed == Deed::Moved).unwrap();
    let folder = f.find("/a").await.unwrap().id;
    assert_eq!(moved.former_folder, Some(folder));
    assert_eq!(moved.former_name.as_deref(), Some("other"));
    assert_eq!(moved.program, Program::Device);
    assert_eq!(moved.address.unwrap().to_string(), "192.0.2.77");

    let read = ReadActivity {
        scope: ActivityScope::Spaces(vec![f.space]),
        from: ActivityFrom::After(0),
        limit: 3,
    };
    let first = f.store.read(read).await.unwrap();
    let names: Vec<&str> = first.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a", "file", "file"]);
    assert_eq!(first.reached, first.rows.last().map(|row| row.id));
}

#[tokio::test]
async fn a_change_without_an_origin_leaves_no_row_and_a_refused_one_neither() {
    let f = Fixture::new().await;
    let make = |at: &str, origin| MakeFolder {
        change: Change {
            origin,
            ..f.change(0)
        },
        path: path(at),
        patches: Vec::new(),
        bytes_max: 0,
        precondition: Precondition::default(),
    };
    f.store.write(make("/silent", None)).await.unwrap();
    f.mkdir("/silent").await.unwrap_err();
    assert!(f.deeds_of(vec![f.space], 10).await.is_empty());
}

#[tokio::test]
async fn pages_over_several_spaces_hold_every_row_once_in_order() {
    let f = Fixture::new().await;
    let ana = account(&f, "ana").await;
    let g = f.at(ana.home);
    let mut expected = Vec::new();
    for number in 0..25 {
        let name = format!("n{number}");
        // Bursts of one space and single rows of the other.
        let on = if number % 7 == 3 { &g } else { &f };
        on.mkdir(&format!("/{name}")).await.unwrap();
        expected.insert(0, (Deed::Created, name));
    }
    for limit in [1, 2, 5, 100] {
        assert_eq!(f.deeds_of(vec![f.space, g.space], limit).await, expected);
    }
}

#[tokio::test]
async fn a_move_to_another_space_is_one_row_in_each() {
    let f = Fixture::new().await;
    let ana = account(&f, "ana").await;
    f.mkdir("/a").await.unwrap();
    f.put("/a/secret", "x").await.unwrap();
    let to = f.at(ana.home);
    let across = Move {
        source: f.change(1),
        change: to.change(1),
        from: path("/a/secret"),
        to: path("/public"),
        overwrite: false,
        precondition: Precondition::default(),
    };
    f.store.write(across).await.unwrap();

    let left = f.activity(ActivityScope::Spaces(vec![f.space]), 10).await;
    assert_eq!(
        (left[0].deed, left[0].name.as_str()),
        (Deed::Moved, "secret")
    );
    assert!(left[0].folder.is_none() && left[0].former_folder.is_some());
    let come = f.activity(ActivityScope::Spaces(vec![ana.home]), 10).await;
    assert_eq!(
        (come[0].deed, come[0].name.as_str()),
        (Deed::Moved, "public")
    );
    assert!(come[0].folder.is_some() && come[0].former_folder.is_none());
    assert_eq!(come.len(), 1);
}

#[tokio::test]
async fn shares_and_visits_are_noted_a_visit_once() {
    let f = Fixture::new().await;
    let (ana, zoe) = (account(&f, "ana").await, account(&f, "zoe").await);
    let node = f.folder_of(&ana, "/given").await;
    let share = f
        .give((ana.id, node), Receiver::Person(zoe.id), (1, None))
        .await;
    let link = f.give((ana.id, node), Receiver::Link, (2, None)).await;
    let visit = |deed, at: i64, address: &str| NoteVisit {
        deed,
        link: link.id,
        sharer: ana.id,
        node: link.node.clone(),
        address: address.parse().unwrap(),
        now: f.change(at).now,
        since: f.change(at - 100).now,
    };
    for (deed, at, address) in [
        (Deed::LinkOpened, 10, "192.0.2.1"),
        (Deed::LinkOpened, 20, "192.0.2.1"),
        (Deed::LinkDownloaded, 20, "192.0.2.1"),
        (Deed::LinkOpened, 30, "2001:db8::1"),
        (Deed::LinkOpened, 111, "192.0.2.1"),
    ] {
        f.store.write(visit(deed, at, address)).await.unwrap();
    }
    let end = EndShare {
        share: share.id,
        asker: ana.id,
        origin: f.change(0).origin,
        now: f.change(200).now,
    };
    f.store.write(end).await.unwrap();

    let rows = f.activity(ActivityScope::Node(node), 10).await;
    let deeds: Vec<Deed> = rows.iter().map(|row| row.deed).collect();
    assert_eq!(
        deeds,
        [
            Deed::ShareEnded,
            Deed::LinkOpened,
            Deed::LinkOpened,
            Deed::LinkDownloaded,
            Deed::LinkOpened,
            Deed::Shared,
            Deed::Shared,
            Deed::Created,
        ]
    );
    assert_eq!(rows[0].receiver, Some(Receiver::Person(zoe.id)));
    assert_eq!(rows[0].receiver_shown.name, "zoe");
    assert_eq!(rows[1].link_giver, Some(ana.id));
    assert_eq!(
        (rows[1].actor, rows[1].receiver),
        (UserId(0), Some(Receiver::Link))
    );
    assert_eq!(rows[5].receiver, Some(Receiver::Link));
}

#[tokio::test]
async fn old_rows_are_swept_and_those_of_a_purged_space_go_with_it() {
    let f = Fixture::new().await;
    let (ana, zoe) = (account(&f, "ana").await, account(&f, "zoe").await);
    f.folder_of(&ana, "/own").await;
    // Ana did something in Zoe's home as well.
    let elsewhere = MakeFolder {
        change: Change {
            space: zoe.home,
            actor: ana.id,
            ..f.change(50)
        },
        path: path("/by ana"),
        patches: Vec::new(),
        bytes_max: 0,
        precondition: Precondition::default(),
    };
    f.store.write(elsewhere).await.unwrap();
    let sweep = |at| SweepActivity {
        before: f.change(at).now,
    };
    assert_eq!(f.store.write(sweep(0)).await.unwrap(), 0);
    assert_eq!(f.store.write(sweep(1)).await.unwrap(), 1);
    assert!(f.deeds_of(vec![ana.home], 10).await.is_empty());

    f.folder_of(&ana, "/later").await;
    f.store.write(Archive(ana.home)).await.unwrap();
    let (space, now) = (ana.home, Timestamp::from_seconds(3_000_000));
    while !f.store.write(PurgeSpace { space, now }).await.unwrap() {}
    assert!(f.deeds_of(vec![ana.home], 10).await.is_empty());
    let rest = f.activity(ActivityScope::Spaces(vec![zoe.home]), 10).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].actor, UserId(-1));
    assert!(rest[0].address.is_none() && rest[0].actor_shown.name.is_empty());
}

#[tokio::test]
async fn everybody_of_a_group_is_told_once_but_the_giver_and_whoever_cannot_read() {
    let f = Fixture::new().await;
    let create = CreateTeam {
        name: "g".into(),
        fold: "g".into(),
        quota: Quota::Default,
        now: f.change(0).now,
    };
    let team: TeamId = f.store.write(create).await.unwrap();
    let mut people = Vec::new();
    for (name, address) in [
        ("a", "a@example.org"),
        ("b", ""),
        ("c", "c@example.org"),
        ("d", "d@example.org"),
        ("e", "e@example.org"),
    ] {
        let person = account(&f, name).await;
        f.store
            .write(GiveAddress(person.id, address))
            .await
            .unwrap();
        let member = SetMember {
            team,
            account: person.id,
            role: Role::Member,
        };
        f.store.write(member).await.unwrap();
        people.push(person);
    }
    let disable = SetDisabled {
        id: people[2].id,
        disabled: true,
        now: f.change(0).now,
    };
    f.store.write(disable).await.unwrap();
    let language = NoteLanguage {
        account: people[4].id,
        tag: "fr",
    };
    f.store.write(language).await.unwrap();
    let node = f.folder_of(&people[3], "/given").await;
    f.give((people[3].id, node), Receiver::Team(team), (0, None))
        .await;

    let silent = f.next_notice(0, false).await.unwrap();
    assert!(silent.readers.is_empty() && silent.next.is_none());
    assert_eq!(f.tell(0).await, ["a@example.org"]);
    assert!(f.tell(0).await.is_empty());
    let last = f.next_notice(0, true).await.unwrap();
    assert_eq!(last.readers[0].language.as_deref(), Some("fr"));
    assert!(!f.send(&last, 0, 1).await, "there is no room for a second");
    assert_eq!(f.tell(0).await, ["e@example.org"]);
    assert!(f.next_notice(0, true).await.is_none());
    assert_eq!(f.due(0, 10).await.len(), 2);
}

#[tokio::test]
async fn of_an_end_people_are_told_once_and_never_of_what_is_over() {
    let f = Fixture::new().await;
    let (ana, zoe) = (account(&f, "ana").await, account(&f, "zoe").await);
    for (person, address) in [(&ana, "ana@example.org"), (&zoe, "zoe@example.org")] {
        f.store
            .write(GiveAddress(person.id, address))
            .await
            .unwrap();
    }
    let node = f.folder_of(&ana, "/given").await;
    let brief = f.folder_of(&ana, "/brief").await;
    let to = Receiver::Person(zoe.id);
    f.give((ana.id, node), to, (0, Some(1_000))).await;
    f.give((ana.id, brief), to, (0, Some(90))).await;
    let remind = |at| RemindOfEnds {
        now: f.change(at).now,
        ahead_seconds: 100,
        limit: 10,
    };
    assert_eq!(f.tell(0).await, ["zoe@example.org"]);
    // The second is over before anybody could be told of it.
    assert!(f.tell(95).await.is_empty());
    assert!(f.next_notice(95, true).await.is_none());

    assert_eq!(f.store.write(remind(1)).await.unwrap(), 0, "it is brief");
    assert_eq!(f.store.write(remind(899)).await.unwrap(), 0);
    assert_eq!(f.store.write(remind(900)).await.unwrap(), 1);
    assert_eq!(f.store.write(remind(901)).await.unwrap(), 0);
    let pending = f.next_notice(901, true).await.unwrap();
    assert_eq!(pending.notice, Notice::Ends);
    assert_eq!(f.tell(901).await, ["ana@example.org", "zoe@example.org"]);
    assert!(f.next_notice(901, true).await.is_none());
}

#[tokio::test]
async fn the_folders_above_come_with_the_rows() {
    let f = Fixture::new().await;
    f.mkdir("/a").await.unwrap();
    f.mkdir("/a/b").await.unwrap();
    f.put("/a/b/file", "x").await.unwrap();
    let read = ReadActivity {
        scope: ActivityScope::Node(f.find("/a/b/file").await.unwrap().id),
        from: ActivityFrom::Before(i64::MAX),
        limit: 10,
    };
    let found = f.store.read(read).await.unwrap();
    let root = FindNode {
        root: f.space.into(),
        path: path("/"),
    };
    let root = f.store.read(root).await.unwrap().unwrap().id;
    let mut at = found.rows[0].folder.unwrap();
    let mut names = Vec::new();
    while let Some((Some(parent), name)) = found.places.get(&at) {
        names.push(name.as_str());
        at = *parent;
    }
    assert_eq!(names, ["b", "a"]);
    assert_eq!(at, root);
}
