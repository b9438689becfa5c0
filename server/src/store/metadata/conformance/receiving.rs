//! What was given: who is told that it has changed, and how it is found.

use std::collections::HashSet;

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::RemoveMember;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::marks::FindMarked;
use crate::store::metadata::marks::mark_favorite;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::UserId;
use crate::store::metadata::search::SCANNED_CHILDREN;
use crate::store::metadata::search::ScanFolders;
use crate::store::metadata::shares::CreateShare;
use crate::store::metadata::shares::EndShare;
use crate::store::metadata::shares::ListSharedBy;
use crate::store::metadata::shares::ListShares;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shared;
use crate::store::metadata::shares::Which;
use crate::store::metadata::sharing_news::FindTouched;
use crate::store::metadata::sharing_news::News;
use crate::store::metadata::sharing_news::ReadNews;
use crate::store::metadata::sharing_news::SweepNews;
use crate::store::metadata::trash::ListTrash;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

use super::Fixture;
use super::StoreResult;
use super::account;

struct Favorite(UserId, NodeId);

impl Operation for Favorite {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        mark_favorite(tx, self.0, self.1, true).await
    }
}

impl Fixture {
    async fn pass_on(&self, from: &Account, node: NodeId, receiver: Receiver) -> ShareId {
        let create = CreateShare {
            sharer: from.id,
            node,
            receiver,
            permissions: Permissions::READ.or(Permissions::SHARE),
            may_download: true,
            note: String::new(),
            label: String::new(),
            expires_at: None,
            token: (receiver == Receiver::Link).then(|| ("t".to_owned(), vec![1])),
            password_hash: None,
            shares_max: 1_000,
            origin: None,
            tells: false,
            now: self.change(0).now,
        };
        match self.store.write(create).await.unwrap() {
            Shared::Made(share) => share.id,
            other => panic!("{other:?}"),
        }
    }

    async fn end(&self, asker: &Account, share: ShareId) {
        let (asker, now) = (asker.id, self.change(0).now);
        let end = EndShare {
            share,
            asker,
            origin: None,
            now,
        };
        self.store.write(end).await.unwrap();
    }

    async fn bring_back(&self, name: &str) {
        let list = ListTrash {
            space: self.space,
            after: (Timestamp(0), NodeId(0)),
        };
        let trash = self.store.read(list).await.unwrap();
        let entry = trash.iter().find(|entry| entry.name == name).unwrap();
        let restore = RestoreFromTrash {
            change: self.change(0),
            name: entry.name.clone(),
            second: entry.deleted_at.seconds(),
        };
        self.store.write(restore).await.unwrap();
    }

    async fn news(&self, after: &mut i64) -> News {
        let read = ReadNews {
            after: Some(*after),
        };
        let news = self.store.read(read).await.unwrap();
        *after = news.last;
        news
    }

    /// Returns whom of these the news since the last time touches; nobody's is missing.
    async fn told(&self, after: &mut i64, among: &[&Account]) -> Vec<UserId> {
        let news = self.news(after).await;
        assert!(!news.is_anybodys);
        let find = FindTouched {
            touched: news.touched.into_iter().collect(),
            among: among.iter().map(|one| one.id).collect(),
        };
        let mut told: Vec<UserId> = self.store.read(find).await.unwrap().into_iter().collect();
        told.sort();
        told
    }

    async fn team(&self) -> TeamId {
        let create = CreateTeam {
            name: "staff".to_owned(),
            fold: "staff".to_owned(),
            quota: Quota::Default,
            now: self.change(0).now,
        };
        self.store.write(create).await.unwrap()
    }

    async fn join(&self, team: TeamId, who: &Account) {
        let join = SetMember {
            team,
            account: who.id,
            role: Role::Member,
        };
        self.store.write(join).await.unwrap();
    }
}

#[tokio::test]
async fn who_is_touched_by_a_share_is_told_and_nobody_else() {
    let on = Fixture::new().await;
    let (ann, bob) = (account(&on, "ann").await, account(&on, "bob").await);
    let (cid, dee) = (account(&on, "cid").await, account(&on, "dee").await);
    let all = [&ann, &bob, &cid, &dee];
    let home = on.at(ann.home);
    home.mkdir("/above").await.unwrap();
    let given = home.mkdir("/above/given").await.unwrap();
    let sub = home.mkdir("/above/given/sub").await.unwrap();
    let mut after = on.store.read(ReadNews { after: None }).await.unwrap().last;

    let to_bob = on.pass_on(&ann, given.id, Receiver::Person(bob.id)).await;
    assert_eq!(on.told(&mut after, &all).await, [bob.id]);
    on.pass_on(&bob, sub.id, Receiver::Person(cid.id)).await;
    on.told(&mut after, &all).await;
    // Who may not be told of does not come.
    home.put("/above/given/f", "x").await.unwrap();
    home.rm("/above/given/f").await.unwrap();
    on.pass_on(&ann, given.id, Receiver::Link).await;
    assert_eq!(on.news(&mut after).await.touched, []);

    home.rm("/above").await.unwrap();
    assert_eq!(on.told(&mut after, &all).await, [bob.id, cid.id]);
    home.mkdir("/other").await.unwrap();
    home.rm("/other").await.unwrap();
    assert_eq!(on.news(&mut after).await.touched, []);
    home.bring_back("above").await;
    assert_eq!(on.told(&mut after, &all).await, [bob.id, cid.id]);

    on.end(&ann, to_bob).await;
    assert_eq!(on.told(&mut after, &all).await, [bob.id, cid.id]);

    let team = on.team().await;
    on.join(team, &dee).await;
    assert_eq!(on.told(&mut after, &all).await, [dee.id]);
    on.pass_on(&ann, given.id, Receiver::Team(team)).await;
    assert_eq!(on.told(&mut after, &all).await, [dee.id]);
    let account = dee.id;
    let leave = RemoveMember { team, account };
    on.store.write(leave).await.unwrap();
    assert_eq!(on.told(&mut after, &all).await, [dee.id]);
    assert_eq!(on.told(&mut after, &[&ann]).await, []);

    // A place that is not kept any more says that anything may be missing.
    let mut long_ago = after - 1;
    on.store.write(SweepNews).await.unwrap();
    assert!(!on.news(&mut long_ago).await.is_anybodys);
    let mut before_all = -20_000;
    assert!(on.news(&mut before_all).await.is_anybodys);
    assert_eq!(before_all, after);
}

#[tokio::test]
async fn what_is_marked_is_found_below_what_was_given_and_nowhere_else() {
    let on = Fixture::new().await;
    let (ann, bob) = (account(&on, "ann").await, account(&on, "bob").await);
    let (hers, his) = (on.at(ann.home), on.at(bob.home));
    let given = hers.mkdir("/given").await.unwrap();
    let inner = hers.mkdir("/given/inner").await.unwrap();
    let inside = hers.put("/given/inner/f", "1").await.unwrap().node;
    let outside = hers.put("/outside", "2").await.unwrap().node;
    let own = his.put("/own", "3").await.unwrap().node;
    for node in [&given, &inside, &outside, &own] {
        on.store.write(Favorite(bob.id, node.id)).await.unwrap();
    }
    let find = |tops: &[NodeId]| {
        on.store.read(FindMarked {
            space: bob.home,
            tops: tops.to_vec(),
            favorite_of: Some(bob.id),
            tags: Vec::new(),
            after: NodeId(0),
            wants: ListingWants::default(),
        })
    };
    let shown = |page: crate::store::metadata::marks::MarkedPage| {
        let found = page.found.into_iter();
        let shown = found.map(|(top, path, entry)| (top, path.to_string(), entry.node.id));
        shown.collect::<Vec<_>>()
    };
    let mine = (None, "/own".to_owned(), own.id);
    assert_eq!(shown(find(&[]).await.unwrap()), std::slice::from_ref(&mine));
    let top = Some(given.id);
    assert_eq!(
        shown(find(&[given.id]).await.unwrap()),
        [
            (top, "/".to_owned(), given.id),
            (top, "/inner/f".to_owned(), inside.id),
            mine.clone()
        ]
    );
    // The nearest of several counts.
    assert_eq!(
        shown(find(&[given.id, inner.id]).await.unwrap()),
        [
            (top, "/".to_owned(), given.id),
            (Some(inner.id), "/f".to_owned(), inside.id),
            mine.clone()
        ]
    );
    hers.rm("/given").await.unwrap();
    assert_eq!(shown(find(&[inner.id]).await.unwrap()).len(), 2);
    assert_eq!(shown(find(&[]).await.unwrap()), [mine]);
}

#[tokio::test]
async fn children_of_several_folders_come_page_by_page() {
    let on = Fixture::new().await;
    let many = on.mkdir("/many").await.unwrap();
    let few = on.mkdir("/few").await.unwrap();
    for number in 0..SCANNED_CHILDREN + 3 {
        on.mkdir(&format!("/many/{number}")).await.unwrap();
    }
    on.mkdir("/few/one").await.unwrap();
    let scan = |folders: Vec<(NodeId, NodeId)>| on.store.read(ScanFolders { folders });
    let zero = NodeId(0);
    let pages = scan(vec![(many.id, zero), (few.id, zero)]).await.unwrap();
    let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [SCANNED_CHILDREN, 1]);
    let last = pages[0].last().unwrap().id;
    let rest = scan(vec![(many.id, last)]).await.unwrap();
    assert_eq!(rest[0].len(), 3);
    let all: HashSet<NodeId> = pages[0].iter().chain(&rest[0]).map(|n| n.id).collect();
    assert_eq!(all.len(), SCANNED_CHILDREN + 3);
}

#[tokio::test]
async fn how_nodes_are_shared_is_read_for_those_that_are_listed() {
    let on = Fixture::new().await;
    let (ann, bob) = (account(&on, "ann").await, account(&on, "bob").await);
    let home = on.at(ann.home);
    let folder = home.mkdir("/d").await.unwrap();
    let first = home.mkdir("/d/a").await.unwrap();
    let second = home.mkdir("/d/b").await.unwrap();
    let third = home.mkdir("/d/c").await.unwrap();
    for node in [&folder, &first, &third] {
        on.pass_on(&ann, node.id, Receiver::Person(bob.id)).await;
    }
    on.pass_on(&ann, first.id, Receiver::Link).await;
    let list = |nodes: &[NodeId], children| {
        on.store.read(ListSharedBy {
            sharer: ann.id,
            nodes: nodes.to_vec(),
            children,
            now: on.change(0).now,
        })
    };
    let found = list(&[folder.id], Some((folder.id, first.id, second.id))).await;
    let found = found.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&folder.id], [0]);
    assert_eq!(found[&first.id], [0, 3]);
    assert!(list(&[second.id], None).await.unwrap().is_empty());

    let given = |person: UserId, node: NodeId| {
        on.store.read(ListShares {
            which: Which::ToOf(person, node),
            now: on.change(0).now,
            after: ShareId(0),
            limit: 10,
        })
    };
    assert_eq!(given(bob.id, first.id).await.unwrap().len(), 1);
    assert!(given(bob.id, second.id).await.unwrap().is_empty());
    assert!(given(ann.id, first.id).await.unwrap().is_empty());
    let team = on.team().await;
    on.pass_on(&ann, second.id, Receiver::Team(team)).await;
    assert!(given(bob.id, second.id).await.unwrap().is_empty());
    on.join(team, &bob).await;
    assert_eq!(given(bob.id, second.id).await.unwrap().len(), 1);
}
