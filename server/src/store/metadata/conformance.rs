//! What every engine must do alike: one suite, run on each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::chunker::Profile;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::clock::Timestamp;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::CreateAccount;
use crate::store::metadata::accounts::DeleteAccount;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::RestoreAccount;
use crate::store::metadata::accounts::hand_over::Receiver;
use crate::store::metadata::activity::Origin;
use crate::store::metadata::activity::Program;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::browse::ListChildren;
use crate::store::metadata::browse::OpenListing;
use crate::store::metadata::browse::PAGE_NODES;
use crate::store::metadata::check::CheckSpace;
use crate::store::metadata::check::RepairSums;
use crate::store::metadata::contents::OpenFile;
use crate::store::metadata::copy::Copy;
use crate::store::metadata::deleted::FindDeletedFile;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::feed::FeedEntry;
use crate::store::metadata::feed::ReadFeed;
use crate::store::metadata::history::PurgeTrash;
use crate::store::metadata::history::RelievePressure;
use crate::store::metadata::history::SpacesUnderPressure;
use crate::store::metadata::history::ThinHistory;
use crate::store::metadata::locks::CreateLock;
use crate::store::metadata::locks::EndLock;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::precondition::Condition;
use crate::store::metadata::precondition::ConditionList;
use crate::store::metadata::precondition::EtagList;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::NewContent;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::testing::Home;
use crate::store::metadata::trash::DiscardTrash;
use crate::store::metadata::trash::ListTrash;
use crate::store::metadata::trash::PurgeDiscarded;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::tree::Delete;
use crate::store::metadata::tree::MakeFolder;
use crate::store::metadata::tree::Move;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::versions::DeleteVersion;
use crate::store::metadata::versions::ListVersions;
use crate::store::metadata::versions::RestoreVersion;

#[path = "conformance/activity.rs"]
mod activity;
#[path = "conformance/finding.rs"]
mod finding;
#[path = "conformance/mail.rs"]
mod mail;
#[path = "conformance/parts.rs"]
mod parts;
#[path = "conformance/past.rs"]
mod past;
#[path = "conformance/receiving.rs"]
mod receiving;
#[path = "conformance/sharing.rs"]
mod sharing;

struct MakeSpace;

impl Operation for MakeSpace {
    type Output = SpaceId;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<SpaceId> {
        let space = tx.reserve_ids("space", 1).await?;
        let root = tx.reserve_ids("node", 2).await?;
        for (id, seq) in [(root, 1), (root + 1, 2)] {
            tx.execute(
                "INSERT INTO node (id, space_id, name, fold, kind, seq, born, tree_seq, mtime, ctime) \
                 VALUES ($1, $2, '', '', 0, $3, $3, $3, 0, 0)",
                &[id.into(), space.into(), seq.into()],
            )
            .await?;
        }
        tx.execute(
            "INSERT INTO space (id, domain_id, kind, owner_id, root_id, trash_id, seq) \
             VALUES ($1, 1, 1, 1, $2, $3, 2)",
            &[space.into(), root.into(), (root + 1).into()],
        )
        .await?;
        Ok(SpaceId(space))
    }
}

/// One space on a database of its own, and short words for what can be done in it.
struct Fixture {
    store: Arc<MetadataStore>,
    space: SpaceId,
    quota: Option<u64>,
    home: Arc<Home>,
}

fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

impl Fixture {
    async fn new() -> Self {
        Self::at_home(Arc::new(Home::of(module_path!()).await)).await
    }

    async fn at_home(home: Arc<Home>) -> Self {
        let store = Arc::new(home.open().await);
        let space = store.write(MakeSpace).await.unwrap();
        Self {
            store,
            space,
            quota: None,
            home,
        }
    }

    /// The same space, or another one, through this server.
    fn at(&self, space: SpaceId) -> Self {
        Self {
            store: Arc::clone(&self.store),
            space,
            quota: self.quota,
            home: Arc::clone(&self.home),
        }
    }

    fn change(&self, at_seconds: i64) -> Change {
        Change {
            space: self.space,
            top: None,
            allowed: Permissions::ALL,
            actor: UserId(1),
            origin: Some(Origin {
                program: Program::Device,
                token: Some(TokenId(1)),
                link: None,
                address: Some(IpAddr::from([192, 0, 2, 77])),
            }),
            now: Timestamp::from_seconds(1_000_000 + at_seconds),
            quota_default_bytes: self.quota,
        }
    }

    fn content(text: &str) -> NewContent {
        let key = ChunkKey::new([7; 32]);
        let mut hasher = key.content_hasher();
        hasher.push(
            key.chunk_id(text.as_bytes()),
            u32::try_from(text.len()).unwrap(),
        );
        NewContent {
            hash: hasher.finish(),
            size_bytes: text.len() as u64,
            profile: Profile::S,
            chunks: u32::from(!text.is_empty()),
            body: Some(ContentBody::Hot(Bytes::copy_from_slice(text.as_bytes()))),
            packs: Vec::new(),
            hooks: Vec::new(),
            sources: Vec::new(),
            checksum: None,
            heals: false,
        }
    }

    async fn put_if(
        &self,
        at: &str,
        text: &str,
        precondition: Precondition,
    ) -> StoreResult<Committed> {
        let content = Self::content(text);
        let change = self.change(0);
        let begun_at = change.now;
        let (modified_at, created_at, lease) = (None, None, None);
        let path = path(at);
        self.store
            .write(CommitUpload {
                change,
                path,
                content,
                modified_at,
                created_at,
                begun_at,
                lease,
                precondition,
            })
            .await
    }

    async fn put(&self, at: &str, text: &str) -> StoreResult<Committed> {
        self.put_if(at, text, Precondition::default()).await
    }

    async fn mkdir(&self, at: &str) -> StoreResult<Node> {
        let precondition = Precondition::default();
        self.store
            .write(MakeFolder {
                change: self.change(0),
                path: path(at),
                patches: Vec::new(),
                bytes_max: 0,
                precondition,
            })
            .await
            .map(|made| made.expect("no properties are not too large"))
    }

    /// Makes folders in each other, as deep as a path leads less one; returns the last one's path.
    async fn deepest_folder(&self) -> String {
        let mut deep = NodePath::root();
        for _ in 1..NodePath::DEPTH_MAX {
            deep = deep.child(NodeName::parse("deep").unwrap()).unwrap();
            self.mkdir(&deep.to_string()).await.unwrap();
        }
        deep.to_string()
    }

    async fn mv(&self, from: &str, to: &str) -> StoreResult<Committed> {
        let (from, to) = (path(from), path(to));
        let precondition = Precondition::default();
        self.store
            .write(Move {
                source: self.change(0),
                change: self.change(0),
                from,
                to,
                overwrite: true,
                precondition,
            })
            .await
    }

    async fn cp(&self, from: &str, to: &str) -> StoreResult<Committed> {
        let (from, to) = (path(from), path(to));
        let (overwrite, shallow, precondition) = (true, false, Precondition::default());
        let change = self.change(0);
        self.store
            .write(Copy {
                source: change.clone(),
                change,
                from,
                to,
                overwrite,
                shallow,
                precondition,
            })
            .await
    }

    async fn rm(&self, at: &str) -> StoreResult<()> {
        let precondition = Precondition::default();
        self.store
            .write(Delete {
                change: self.change(0),
                path: path(at),
                for_good: false,
                precondition,
            })
            .await
            .map(drop)
    }

    async fn find(&self, at: &str) -> Option<Node> {
        self.store
            .read(FindNode {
                root: self.space.into(),
                path: path(at),
            })
            .await
            .unwrap()
    }

    async fn text(&self, at: &str) -> String {
        let open = OpenFile {
            root: self.space.into(),
            path: path(at),
        };
        let (_, content) = self.store.read(open).await.unwrap();
        match content.body {
            ContentBody::Hot(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn names(&self, at: &str) -> Vec<String> {
        let list = ListChildren {
            space: self.space,
            folder: self.find(at).await.unwrap().id,
            path: path(at),
            after: NodeId(0),
            max: PAGE_NODES,
            wants: ListingWants::default(),
            deep_locks: Vec::new(),
            now: self.change(0).now,
        };
        let entries = self.store.read(list).await.unwrap();
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.node.name).collect();
        names.sort();
        names
    }

    async fn lock(&self, at: &str, deep: bool) -> StoreResult<Lock> {
        self.store
            .write(CreateLock {
                change: self.change(0),
                path: path(at),
                token: format!("urn:uuid:{at}-{deep}"),
                shared: false,
                deep,
                timeout_seconds: 100,
                info: None,
                precondition: Precondition::default(),
                locks_max: 10,
            })
            .await
    }

    async fn assert_sound(&self) {
        let faults = self.store.read(CheckSpace(self.space)).await.unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: StoreResult<T>) -> Refusal {
    match result {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_path_of_any_depth_leads_to_its_node_or_says_how_much_is_missing() {
    let f = Fixture::new().await;
    let mut at = String::new();
    let mut folders = Vec::new();
    for level in 0..20 {
        at = format!("{at}/{level}");
        folders.push(f.mkdir(&at).await.unwrap().id);
    }
    for (level, id) in folders.iter().enumerate() {
        let names: Vec<String> = (0..=level).map(|name| name.to_string()).collect();
        let found = f.find(&format!("/{}", names.join("/"))).await.unwrap();
        assert_eq!((found.id, found.name), (*id, level.to_string()));
    }
    assert!(f.find("/").await.unwrap().parent.is_none());
    assert!(f.find(&format!("{at}/missing")).await.is_none());
    f.put(&format!("{at}/file"), "deep").await.unwrap();
    assert_eq!(f.text(&format!("{at}/file")).await, "deep");
    for missing in ["/x/y", "/0/1/2/3/4/5/6/x/8/9", "/0/1/2/3/4/5/6/7/8/x/y/z"] {
        assert_eq!(
            refusal(f.put(missing, "").await),
            Refusal::ParentMissing,
            "{missing}"
        );
    }
    f.put("/0/file", "").await.unwrap();
    let below_a_file = refusal(f.put("/0/file/below", "").await);
    assert_eq!(below_a_file, Refusal::ParentMissing);
}

#[tokio::test]
async fn what_a_commit_returns_is_what_is_there() {
    let f = Fixture::new().await;
    f.mkdir("/a").await.unwrap();
    for text in ["first", "second", "third"] {
        let committed = f.put("/a/file", text).await.unwrap();
        let found = f.find("/a/file").await.unwrap();
        assert_eq!(format!("{:?}", committed.node), format!("{found:?}"));
    }
}

#[tokio::test]
async fn a_request_waits_for_the_database_once_or_twice() {
    let f = Fixture::new().await;
    f.mkdir("/a").await.unwrap();
    f.mkdir("/a/b").await.unwrap();
    f.lock("/a", false).await.unwrap();
    let round_trips = || f.store.round_trips();
    // The first time around, a connection prepares its statements.
    for is_counted in [false, true] {
        let since = |before: Option<u64>| round_trips().zip(before).map(|(now, then)| now - then);
        let path_of = |name: &str| format!("/a/b/{name}-{is_counted}");
        let begun = round_trips();
        f.put(&path_of("file"), "new").await.unwrap();
        let put_new = since(begun);

        let begun = round_trips();
        f.put(&path_of("file"), "newer").await.unwrap();
        let put_again = since(begun);

        let begun = round_trips();
        f.text(&path_of("file")).await;
        let get = since(begun);

        let begun = round_trips();
        let open = OpenListing {
            root: f.space.into(),
            path: path("/a/b"),
            wants: ListingWants {
                properties: true,
                locks: true,
                checksums: true,
                quota: true,
                favorites_of: Some(UserId(1)),
                tags: true,
                share_kinds: true,
                uploaded: true,
                children: true,
            },
            with_children: true,
            now: f.change(0).now,
            quota_default_bytes: None,
        };
        f.store.read(open).await.unwrap();
        let propfind = since(begun);

        if let (true, Some(put_new), Some(put_again), Some(get), Some(propfind)) =
            (is_counted, put_new, put_again, get, propfind)
        {
            println!(
                "round trips: PUT {put_new}, PUT again {put_again}, GET {get}, PROPFIND {propfind}"
            );
            assert!(put_new <= 2 && put_again <= 2 && get <= 2 && propfind <= 2);
        }
    }
    f.assert_sound().await;
}

#[tokio::test]
async fn a_deleted_file_is_found_by_its_number_until_it_is_let_go() {
    let f = Fixture::new().await;
    f.mkdir("d").await.unwrap();
    let below = f.put("d/below", "1").await.unwrap().node.id;
    let top = f.put("top", "22").await.unwrap().node.id;
    let find = async |node: NodeId| {
        let space = f.space;
        let found = f.store.read(FindDeletedFile { space, node }).await.unwrap();
        found.map(|(node, content)| (node.name, content.size_bytes))
    };
    assert_eq!(find(top).await, None, "it is not deleted");
    for name in ["d", "top"] {
        let delete = Delete {
            change: f.change(1),
            path: path(name),
            for_good: false,
            precondition: Precondition::default(),
        };
        f.store.write(delete).await.unwrap();
    }
    assert_eq!(find(top).await, Some(("top".to_owned(), 2)));
    assert_eq!(find(below).await, Some(("below".to_owned(), 1)));
    let elsewhere = FindDeletedFile {
        space: SpaceId(f.space.0 + 1),
        node: top,
    };
    assert!(f.store.read(elsewhere).await.unwrap().is_none());
    let discard = DiscardTrash {
        space: f.space,
        only: Some(top),
    };
    f.store.write(discard).await.unwrap();
    assert_eq!(find(top).await, None);
}

#[tokio::test]
async fn a_listing_counts_children_and_tells_when_bytes_came_where_that_is_asked() {
    let f = Fixture::new().await;
    for folder in ["a", "a/x", "a/x/deep", "a/y", "b"] {
        f.mkdir(folder).await.unwrap();
    }
    f.put("a/f", "1").await.unwrap();
    f.put("a/x/g", "2").await.unwrap();
    f.put("h", "3").await.unwrap();
    let open = |children, uploaded| OpenListing {
        root: f.space.into(),
        path: path(""),
        wants: ListingWants {
            uploaded,
            children,
            ..ListingWants::default()
        },
        with_children: true,
        now: f.change(0).now,
        quota_default_bytes: None,
    };
    let found = f.store.read(open(true, true)).await.unwrap();
    let held = |entry: &Entry| entry.children.map(|held| (held.folders, held.files));
    assert_eq!(held(&found.entry), Some((2, 1)));
    let named = |name: &str| {
        let mut page = found.page.iter();
        page.find(|entry| entry.node.name == name).unwrap()
    };
    assert_eq!(held(named("a")), Some((2, 1)), "not what is deeper");
    assert_eq!(held(named("b")), Some((0, 0)));
    assert_eq!(held(named("h")), None);
    assert_eq!(named("h").uploaded_at, Some(f.change(0).now));
    assert_eq!(named("a").uploaded_at, None);

    let found = f.store.read(open(false, false)).await.unwrap();
    assert!(found.page.iter().all(|entry| held(entry).is_none()));
    assert!(found.page.iter().all(|entry| entry.uploaded_at.is_none()));
}

#[tokio::test]
async fn a_change_shows_in_every_folder_above() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.mkdir("a/b").await.unwrap();
    f.mkdir("other").await.unwrap();
    let before = [
        f.find("").await,
        f.find("a").await,
        f.find("a/b").await,
        f.find("other").await,
    ];

    f.put("a/b/file", "hello").await.unwrap();

    let after = [
        f.find("").await,
        f.find("a").await,
        f.find("a/b").await,
        f.find("other").await,
    ];
    let changed: Vec<_> = before
        .iter()
        .zip(&after)
        .map(|(b, a)| b.as_ref().unwrap().etag() != a.as_ref().unwrap().etag())
        .collect();
    assert_eq!(changed, [true, true, true, false]);
    assert_eq!(after[0].as_ref().unwrap().size_bytes, 5);
    assert_eq!(after[1].as_ref().unwrap().tree_files, 1);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_rename_keeps_number_and_etag_of_a_file() {
    let f = Fixture::new().await;
    f.mkdir("to").await.unwrap();
    let old = f.put("from", "x").await.unwrap().node;

    let moved = f.mv("from", "to/here").await.unwrap();

    assert!(moved.created);
    assert_eq!((moved.node.id, moved.node.etag()), (old.id, old.etag()));
    assert!(f.find("from").await.is_none());
    assert_eq!(f.text("to/here").await, "x");
    f.assert_sound().await;
}

#[tokio::test]
async fn a_file_moved_onto_a_file_replaces_it_and_inherits_its_past() {
    let f = Fixture::new().await;
    f.put("doc", "first").await.unwrap();
    f.put("doc", "second").await.unwrap();
    let temporary = f.put("doc.tmp", "third").await.unwrap().node;

    let moved = f.mv("doc.tmp", "doc").await.unwrap();

    assert!(!moved.created);
    assert_eq!(moved.node.id, temporary.id);
    assert_eq!(f.text("doc").await, "third");
    assert_eq!(f.names("").await, ["doc"]);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_folder_cannot_go_into_itself_nor_replace_what_holds_it() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.mkdir("a/b").await.unwrap();

    assert_eq!(refusal(f.mv("a", "a/b/c").await), Refusal::IntoItself);
    assert_eq!(refusal(f.mv("a/b", "a").await), Refusal::IntoItself);
    assert_eq!(refusal(f.cp("a", "a/b/c").await), Refusal::IntoItself);
    assert_eq!(refusal(f.cp("a", "a").await), Refusal::IntoItself);
    assert_eq!(refusal(f.rm("").await), Refusal::Root);
}

#[tokio::test]
async fn a_copied_tree_has_the_same_bytes_and_numbers_of_its_own() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.mkdir("a/deep").await.unwrap();
    for index in 0..20 {
        f.put(&format!("a/deep/{index}"), &format!("content {index}"))
            .await
            .unwrap();
    }

    f.cp("a", "copy").await.unwrap();
    f.put("a/deep/3", "changed").await.unwrap();

    assert_eq!(f.text("copy/deep/3").await, "content 3");
    assert_ne!(
        f.find("copy/deep/3").await.unwrap().id,
        f.find("a/deep/3").await.unwrap().id
    );
    assert_eq!(f.find("copy").await.unwrap().tree_files, 20);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_quota_is_exact_and_shrinking_is_always_allowed() {
    let mut f = Fixture::new().await;
    f.put("big", "0123456789").await.unwrap();
    f.quota = Some(12);

    assert_eq!(
        refusal(f.put("more", "abc").await),
        Refusal::QuotaExceeded {
            quota_bytes: 12,
            used_bytes: 10,
            needed_bytes: 3
        }
    );
    f.put("more", "ab").await.unwrap();
    assert!(matches!(
        refusal(f.cp("more", "again").await),
        Refusal::QuotaExceeded { .. }
    ));
    f.quota = Some(5);
    f.put("big", "01234567").await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn a_condition_is_tested_where_it_is_written() {
    let f = Fixture::new().await;
    let first = f.put("plan", "first").await.unwrap().node.etag();
    f.put("plan", "second").await.unwrap();
    let on = |list| Precondition {
        if_match: Some(list),
        ..Precondition::default()
    };

    let late = f
        .put_if("plan", "late", on(EtagList::Tags(vec![first])))
        .await;
    assert_eq!(refusal(late), Refusal::PreconditionFailed);
    let absent = f.put_if("absent", "x", on(EtagList::Any)).await;
    assert_eq!(refusal(absent), Refusal::PreconditionFailed);
    let new = Precondition {
        if_none_match: Some(EtagList::Any),
        ..Precondition::default()
    };
    assert_eq!(
        refusal(f.put_if("plan", "x", new).await),
        Refusal::PreconditionFailed
    );
    assert_eq!(f.text("plan").await, "second");
}

#[tokio::test]
async fn a_lock_keeps_others_out_and_its_token_lets_in() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.put("a/file", "x").await.unwrap();
    let lock = f.lock("a", true).await.unwrap();

    assert!(matches!(
        refusal(f.put("a/file", "y").await),
        Refusal::Locked { .. }
    ));
    assert!(matches!(
        refusal(f.put("a/new", "y").await),
        Refusal::Locked { .. }
    ));
    assert!(matches!(
        refusal(f.rm("a/file").await),
        Refusal::Locked { .. }
    ));
    assert!(matches!(
        refusal(f.mv("a", "b").await),
        Refusal::Locked { .. }
    ));
    assert!(matches!(
        refusal(f.lock("a/file", false).await),
        Refusal::LockConflict { .. }
    ));
    f.cp("a", "copy").await.unwrap();
    f.put("copy/new", "y").await.unwrap();

    let condition = Condition::Token {
        token: lock.token.clone(),
        negated: false,
    };
    let list = ConditionList {
        root: None,
        path: Some(path("a")),
        conditions: vec![condition],
    };
    let with_token = Precondition {
        lists: vec![list],
        ..Precondition::default()
    };
    f.put_if("a/file", "y", with_token).await.unwrap();

    let end = EndLock {
        change: f.change(0),
        path: path("a/file"),
        token: lock.token,
    };
    assert!(f.store.write(end).await.unwrap());
    f.put("a/file", "z").await.unwrap();
}

#[tokio::test]
async fn a_lock_below_keeps_the_tree_in_place_until_it_ends() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.mkdir("a/b").await.unwrap();
    f.put("a/b/file", "x").await.unwrap();
    f.lock("a/b/file", false).await.unwrap();

    assert_eq!(
        refusal(f.rm("a").await),
        Refusal::Locked {
            path: path("a/b/file"),
            until: Timestamp::from_seconds(1_000_100)
        }
    );
    let precondition = Precondition::default();
    let later = Delete {
        change: f.change(101),
        path: path("a"),
        for_good: false,
        precondition,
    };
    f.store.write(later).await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn purging_and_thinning_leave_the_sums_right() {
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    for index in 0..700 {
        f.put(&format!("a/{index}"), "x").await.unwrap();
    }
    for version in 0..5 {
        f.put("kept", &format!("version {version}")).await.unwrap();
    }
    f.rm("a").await.unwrap();
    f.assert_sound().await;

    let now = f.change(10).now;
    let mut slices = 0;
    while f
        .store
        .write(PurgeTrash {
            deleted_until: now,
            now,
        })
        .await
        .unwrap()
        > 0
    {
        slices += 1;
        f.assert_sound().await;
    }
    assert!(slices >= 2, "700 nodes go in slices, not at once");
    let (after, until) = (Timestamp(0), now);
    let thin = ThinHistory {
        space: f.space,
        after,
        until,
        period_days: 1,
        now,
    };
    assert!(f.store.write(thin).await.unwrap() >= 3);
    f.assert_sound().await;
    assert_eq!(f.text("kept").await, "version 4");
}

#[tokio::test]
async fn wrong_sums_are_found_and_mended() {
    struct Spoil;
    impl Operation for Spoil {
        type Output = u64;
        async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
            tx.execute(
                "UPDATE node SET size = size + 1 WHERE kind = 0 AND name = 'b'",
                &[],
            )
            .await
        }
    }
    let f = Fixture::new().await;
    f.mkdir("a").await.unwrap();
    f.mkdir("a/b").await.unwrap();
    f.put("a/b/file", "x").await.unwrap();
    f.store.write(Spoil).await.unwrap();

    let faults = f.store.read(CheckSpace(f.space)).await.unwrap();
    assert!(
        !faults.is_empty()
            && faults
                .iter()
                .all(super::check::MetadataFault::is_repairable)
    );
    assert_eq!(f.store.write(RepairSums(f.space)).await.unwrap(), 1);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_panic_or_a_wait_in_an_operation_stops_nobody_else() {
    struct Panics;
    impl Operation for Panics {
        type Output = ();
        async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
            tx.execute("DELETE FROM node", &[]).await?;
            panic!("a fault of the program")
        }
    }
    struct Waits;
    impl Operation for Waits {
        type Output = ();
        async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
            tx.execute("DELETE FROM node", &[]).await?;
            tokio::task::yield_now().await;
            Ok(())
        }
    }
    let f = Fixture::new().await;
    let (put, panics) = tokio::join!(f.put("file", "x"), f.store.write(Panics));
    assert!(put.is_ok() && panics.is_err());
    if module_path!().ends_with("on_sqlite") {
        // There it would stop every writer.
        assert!(f.store.write(Waits).await.is_err());
    }
    assert_eq!(f.text("file").await, "x");
    f.assert_sound().await;
}

#[tokio::test]
async fn any_order_of_changes_leaves_a_sound_space() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let f = Fixture::new().await;
    let place = |random: &mut StdRng| {
        let depth = random.random_range(1..4);
        let names: Vec<_> = (0..depth)
            .map(|_| ["a", "b", "c"][random.random_range(0..3)])
            .collect();
        names.join("/")
    };
    for step in 0..600 {
        let (from, to) = (place(&mut random), place(&mut random));
        let result = match random.random_range(0..6) {
            0 => f.mkdir(&from).await.map(|_| ()),
            1 | 2 => f.put(&from, &format!("{}", step % 17)).await.map(|_| ()),
            3 => f.mv(&from, &to).await.map(|_| ()),
            4 => f.cp(&from, &to).await.map(|_| ()),
            _ => f.rm(&from).await,
        };
        assert!(
            matches!(result, Ok(()) | Err(StoreError::Refused(_))),
            "seed {seed}: {result:?}"
        );
        if f.find("").await.unwrap().tree_files > 300 {
            f.rm("a").await.ok();
        }
        if step % 50 == 0 {
            f.assert_sound().await;
        }
    }
    f.assert_sound().await;
}

async fn account(on: &Fixture, name: &str) -> Account {
    let create = CreateAccount {
        name: name.into(),
        fold: name.into(),
        display_name: name.into(),
        email: None,
        password_hash: None,
        is_admin: false,
        quota: Quota::Default,
        now: on.change(0).now,
    };
    on.store.write(create).await.unwrap()
}

fn hand_over(from: &Account, to: &Account, quota_bytes: Option<u64>) -> DeleteAccount {
    DeleteAccount {
        id: from.id,
        hand_to: Some(Receiver {
            account: to.id,
            folder_name: NodeName::parse("leaver (archive)").unwrap(),
            quota_bytes,
        }),
        now: Timestamp::from_seconds(1_000_000),
        purge_at: Timestamp::from_seconds(2_000_000),
    }
}

#[tokio::test]
async fn files_of_a_deleted_person_go_to_another_and_can_still_come_back() {
    let mut on = Fixture::new().await;
    let (leaver, heir) = (account(&on, "leaver").await, account(&on, "heir").await);
    on.space = leaver.home;
    on.mkdir("/Cours").await.unwrap();
    on.put("/Cours/plan", "plan").await.unwrap();
    on.put("/Cours/same", "same").await.unwrap();
    on.cp("/Cours/same", "/again").await.unwrap();
    on.space = heir.home;
    on.mkdir("/leaver (archive)").await.unwrap();
    on.put("/mine", "same").await.unwrap();

    let too_small = on.store.write(hand_over(&leaver, &heir, Some(15))).await;
    assert!(matches!(
        refusal(too_small),
        Refusal::QuotaExceeded {
            used_bytes: 4,
            needed_bytes: 12,
            ..
        }
    ));
    let exact = hand_over(&leaver, &heir, Some(16));
    on.store.write(exact).await.unwrap();

    assert_eq!(
        on.names("/").await,
        ["leaver (archive)", "leaver (archive) (2)", "mine"]
    );
    assert_eq!(on.text("/leaver (archive) (2)/Cours/plan").await, "plan");
    assert_eq!(on.text("/leaver (archive) (2)/again").await, "same");
    on.assert_sound().await;
    let restore = RestoreAccount {
        fold: "leaver".into(),
        now: on.change(0).now,
    };
    on.store.write(restore).await.unwrap();
    on.space = leaver.home;
    assert_eq!(on.names("/").await, ["Cours", "again"]);
    assert_eq!(on.text("/Cours/plan").await, "plan");
    on.assert_sound().await;
}

#[tokio::test]
async fn a_full_space_loses_its_oldest_past_but_nothing_of_the_last_two_weeks() {
    let mut on = Fixture::new().await;
    on.put("/a", "0123456789").await.unwrap();
    on.put("/a", "abcdefghij").await.unwrap();
    on.put("/b", "9876543210").await.unwrap();
    on.rm("/b").await.unwrap();
    on.quota = Some(25);
    let relieve = async |days: i64| {
        let now = on.change(days * 86_400).now;
        let mut slices = 0;
        let (space, quota_default_bytes) = (on.space, on.quota);
        let relieve = || RelievePressure {
            space,
            quota_default_bytes,
            now,
        };
        while on.store.write_in_background(relieve()).await.unwrap() {
            slices += 1;
            assert!(slices < 10);
        }
        let under = SpacesUnderPressure {
            past: SpaceId(0),
            quota_default_bytes,
        };
        on.store.read(under).await.unwrap()
    };

    let young = relieve(13).await;
    assert_eq!(young, [on.space], "nothing is old enough to go");
    assert!(relieve(15).await.is_empty());
    on.assert_sound().await;
    assert_eq!(on.text("/a").await, "abcdefghij");

    on.put("/a", "klmnopqrst").await.unwrap();
    on.quota = Some(5);
    let own_past_too_large = RelievePressure {
        space: on.space,
        quota_default_bytes: on.quota,
        now: on.change(1).now,
    };
    assert!(
        on.store
            .write_in_background(own_past_too_large)
            .await
            .unwrap(),
        "a past that alone exceeds the quota goes however young"
    );
    on.assert_sound().await;
}

/// What somebody knows who only ever reads the feed.
#[derive(Default)]
struct Follower {
    cursor: i64,
    nodes: HashMap<NodeId, Node>,
}

impl Follower {
    async fn catch_up(&mut self, on: &Fixture, limit: i64) {
        loop {
            let (space, after) = (on.space, self.cursor);
            let read = ReadFeed {
                space,
                after,
                limit,
            };
            let page = on.store.read(read).await.unwrap().unwrap();
            for entry in page.entries {
                assert!(entry.seq() > after && entry.seq() <= page.cursor);
                match entry {
                    // Where it went to may be gone as well, and then nothing else tells of it.
                    FeedEntry::Departed { moved: true, .. } => {}
                    FeedEntry::Departed { node, .. } => drop(self.nodes.remove(&node)),
                    FeedEntry::Present(node) => drop(self.nodes.insert(node.id, node)),
                }
            }
            self.cursor = page.cursor;
            if !page.more {
                return;
            }
        }
    }

    /// Every path with the file's size, as far as it hangs together from the root.
    fn tree(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for node in self.nodes.values().filter(|node| node.parent.is_some()) {
            let mut names = vec![node.name.clone()];
            let mut above = node.parent;
            while let Some(folder) = above.and_then(|id| self.nodes.get(&id)) {
                names.push(folder.name.clone());
                above = folder.parent;
            }
            if above.is_none() {
                names.reverse();
                let size = if node.is_folder() { 0 } else { node.size_bytes };
                found.push((names.join("/"), size));
            }
        }
        found.sort();
        found
    }
}

async fn whole_tree(on: &Fixture) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in on.names(&folder).await {
            let path = format!("{folder}/{name}");
            let node = on.find(&path).await.unwrap();
            found.push((
                path.clone(),
                if node.is_folder() { 0 } else { node.size_bytes },
            ));
            if node.is_folder() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn whoever_follows_the_feed_has_the_present_tree() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let on = Fixture::new().await;
    let mut follower = Follower::default();
    for step in 0..400 {
        let mut place = || {
            let depth = random.random_range(1..4);
            let names: Vec<_> = (0..depth)
                .map(|_| ["a", "b", "c"][random.random_range(0..3)])
                .collect();
            names.join("/")
        };
        let (from, to) = (place(), place());
        let _refused_or_done = match random.random_range(0..6) {
            0 => on.mkdir(&from).await.map(drop),
            1 | 2 => on.put(&from, &"x".repeat(step % 17)).await.map(drop),
            3 => on.mv(&from, &to).await.map(drop),
            4 if on.find("").await.unwrap().tree_files < 200 => on.cp(&from, &to).await.map(drop),
            _ => on.rm(&from).await,
        };
        if random.random_range(0..4) == 0 {
            follower.catch_up(&on, random.random_range(2..9)).await;
            assert_eq!(
                follower.tree(),
                whole_tree(&on).await,
                "seed {seed}, step {step}"
            );
        }
    }
}

#[tokio::test]
async fn a_tree_that_comes_back_is_whole_for_those_who_read_the_feed_meanwhile() {
    let on = Fixture::new().await;
    on.mkdir("/d").await.unwrap();
    on.mkdir("/d/e").await.unwrap();
    on.put("/d/e/f", "1234").await.unwrap();
    on.put("/d/g", "12").await.unwrap();
    let id = on.find("/d/e/f").await.unwrap().id;
    let etag = on.find("/d/e/f").await.unwrap().etag();
    let before = whole_tree(&on).await;
    let mut from_the_start = Follower::default();
    from_the_start.catch_up(&on, 5).await;
    on.rm("/d").await.unwrap();
    let mut from_between = Follower::default();
    from_between.catch_up(&on, 5).await;
    from_the_start.catch_up(&on, 5).await;

    let change = on.change(0);
    let second = change.now.seconds();
    let restore = RestoreFromTrash {
        change,
        name: "d".to_owned(),
        second,
    };
    let (_, place) = on.store.write(restore).await.unwrap();
    assert_eq!(place, path("/d"));
    assert_eq!(whole_tree(&on).await, before);
    let file = on.find("/d/e/f").await.unwrap();
    assert_eq!((file.id, file.etag()), (id, etag));
    for follower in [&mut from_the_start, &mut from_between] {
        follower.catch_up(&on, 5).await;
        assert_eq!(follower.tree(), before);
    }
    on.assert_sound().await;
}

#[tokio::test]
async fn what_was_let_go_is_gone_and_leaves_the_sums_right() {
    let on = Fixture::new().await;
    on.put("/a", "1234").await.unwrap();
    on.put("/a", "12").await.unwrap();
    on.put("/b", "123").await.unwrap();
    on.rm("/a").await.unwrap();
    on.rm("/b").await.unwrap();
    let space = on.space;
    let after = (Timestamp(0), NodeId(0));
    let listed = on.store.read(ListTrash { space, after }).await.unwrap();
    assert_eq!(listed.len(), 2);
    let only = Some(listed[0].node.id);
    let discard = DiscardTrash { space, only };
    assert_eq!(on.store.write(discard).await.unwrap(), 1);
    let listed = on.store.read(ListTrash { space, after }).await.unwrap();
    assert_eq!(listed.len(), 1);
    on.assert_sound().await;
    let now = on.change(0).now;
    while on.store.write(PurgeDiscarded { space, now }).await.unwrap() {}
    on.assert_sound().await;
}

#[tokio::test]
async fn a_version_comes_back_and_another_goes_with_right_sums() {
    let on = Fixture::new().await;
    for text in ["1", "22", "", "333"] {
        on.put("/a", text).await.unwrap();
    }
    let node = on.find("/a").await.unwrap().id;
    let space = on.space;
    let list = || on.store.read(ListVersions { space, node });
    let (_, versions) = list().await.unwrap();
    let sizes: Vec<_> = versions.iter().map(|version| version.size_bytes).collect();
    assert_eq!(sizes, [0, 2, 1]);
    let restore = RestoreVersion {
        change: on.change(1),
        node,
        number: versions[1].number,
        precondition: Precondition::default(),
    };
    on.store.write(restore).await.unwrap();
    assert_eq!(on.text("/a").await, "22");
    let delete = DeleteVersion {
        space,
        node,
        number: versions[2].number,
        now: on.change(2).now,
    };
    on.store.write(delete).await.unwrap();
    let (_, versions) = list().await.unwrap();
    let sizes: Vec<_> = versions.iter().map(|version| version.size_bytes).collect();
    assert_eq!(sizes, [3, 0, 2]);
    on.assert_sound().await;
}

/// Does one of many things to a space at a place that others use as well.
async fn disturb(on: &Fixture, random: &mut StdRng, step: usize) -> StoreResult<()> {
    let mut place = || {
        let depth = random.random_range(1..4);
        let names: Vec<_> = (0..depth)
            .map(|_| ["a", "b", "c"][random.random_range(0..3)])
            .collect();
        names.join("/")
    };
    let (from, to) = (place(), place());
    match random.random_range(0..8) {
        0 | 1 => on.mkdir(&from).await.map(drop),
        2..=4 => on.put(&from, &"x".repeat(step % 17)).await.map(drop),
        5 => on.mv(&from, &to).await.map(drop),
        6 => on.cp(&from, &to).await.map(drop),
        _ => on.rm(&from).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_several_servers_leave_every_space_sound_and_its_feed_whole() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut one = Fixture::new().await;
    let mut other = Fixture::at_home(Arc::clone(&one.home)).await;
    let quota = 400;
    (one.quota, other.quota) = (Some(quota), Some(quota));
    let spaces = [one.space, other.space];
    let mut writers = Vec::new();
    for index in 0..8_u64 {
        let server = if index % 2 == 0 { &one } else { &other };
        let places = spaces.map(|space| server.at(space));
        let mut random = StdRng::seed_from_u64(seed ^ index);
        writers.push(tokio::spawn(async move {
            for step in 0..60 {
                let on = &places[random.random_range(0..2)];
                match disturb(on, &mut random, step).await {
                    Ok(()) | Err(StoreError::Refused(_)) => {}
                    Err(error) => panic!("seed {seed}: {error}"),
                }
                let used = on.find("").await.unwrap().size_bytes;
                assert!(used <= quota, "seed {seed}: {used} bytes");
            }
        }));
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut followers = Vec::new();
    for space in spaces {
        let (on, done) = (other.at(space), Arc::clone(&done));
        followers.push(tokio::spawn(async move {
            let mut follower = Follower::default();
            loop {
                let is_last = done.load(Ordering::SeqCst);
                follower.catch_up(&on, 7).await;
                if is_last {
                    return follower;
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for (space, follower) in spaces.into_iter().zip(followers) {
        let on = one.at(space);
        on.assert_sound().await;
        let follower = follower.await.unwrap();
        assert_eq!(follower.tree(), whole_tree(&on).await, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn people_who_leave_their_files_to_each_other_at_once_all_get_an_answer() {
    let one = Fixture::new().await;
    let other = Fixture::at_home(Arc::clone(&one.home)).await;
    for round in 0..6 {
        let ana = account(&one, &format!("ana {round}")).await;
        let ben = account(&one, &format!("ben {round}")).await;
        let (at_ana, at_ben) = (one.at(ana.home), other.at(ben.home));
        at_ana.put("mine", "from ana").await.unwrap();
        at_ben.put("mine", "from ben").await.unwrap();
        let (to_ben, to_ana, busy, busier) = tokio::join!(
            one.store.write(hand_over(&ana, &ben, None)),
            other.store.write(hand_over(&ben, &ana, None)),
            at_ana.put("new", "x"),
            at_ben.put("new", "y"),
        );
        for result in [to_ben, to_ana, busy.map(drop), busier.map(drop)] {
            assert!(
                matches!(result, Ok(()) | Err(StoreError::Refused(_))),
                "{result:?}"
            );
        }
        at_ana.assert_sound().await;
        at_ben.assert_sound().await;
    }
}
