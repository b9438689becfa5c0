//! What was deleted or overwritten: seen, brought back, let go.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use super::Fixture;
use super::account;
use super::path;
use super::refusal;
use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::PurgeTrash;
use crate::store::metadata::history::ThinHistory;
use crate::store::metadata::locks::EndLock;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::precondition::EtagList;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::ContentBody;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::trash::DiscardTrash;
use crate::store::metadata::trash::FindInTrash;
use crate::store::metadata::trash::ListTrash;
use crate::store::metadata::trash::PurgeDiscarded;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::trash::TrashEntry;
use crate::store::metadata::tree::Delete;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::versions::DeleteVersion;
use crate::store::metadata::versions::LabelVersion;
use crate::store::metadata::versions::ListVersions;
use crate::store::metadata::versions::OpenVersion;
use crate::store::metadata::versions::RestoreVersion;
use crate::store::metadata::versions::Version;

const START: (Timestamp, NodeId) = (Timestamp(0), NodeId(0));

impl Fixture {
    async fn trash_after(&self, after: (Timestamp, NodeId)) -> Vec<TrashEntry> {
        let space = self.space;
        self.store.read(ListTrash { space, after }).await.unwrap()
    }

    async fn trash(&self) -> Vec<TrashEntry> {
        self.trash_after(START).await
    }

    /// Finds what a deleted tree, the `nth` of its name to be deleted, holds below it.
    async fn find_deleted(&self, name: &str, nth: i64, below: &[&str]) -> Option<Node> {
        let find = FindInTrash {
            space: self.space,
            name: name.to_owned(),
            second: self.change(0).now.seconds() + nth,
            below: below
                .iter()
                .map(|name| NodeName::parse(name).unwrap())
                .collect(),
        };
        let found = self.store.read(find).await.unwrap();
        found.map(|(_, node)| node)
    }

    async fn restore_nth(&self, name: &str, nth: i64) -> StoreResult<(Node, NodePath)> {
        let change = self.change(50);
        let second = self.change(0).now.seconds() + nth;
        let name = name.to_owned();
        self.store
            .write(RestoreFromTrash {
                change,
                name,
                second,
            })
            .await
    }

    async fn restore(&self, name: &str) -> StoreResult<String> {
        let (node, path) = self.restore_nth(name, 0).await?;
        let found = self.find(&path.to_string()).await.unwrap();
        assert_eq!(node, found);
        Ok(path.to_string())
    }

    async fn versions(&self, at: &str) -> Vec<Version> {
        let list = ListVersions {
            space: self.space,
            node: self.find(at).await.unwrap().id,
        };
        self.store.read(list).await.unwrap().1
    }

    async fn version_text(&self, node: NodeId, number: i64) -> StoreResult<String> {
        let space = self.space;
        let open = OpenVersion {
            space,
            node,
            number,
        };
        let (then, content) = self.store.read(open).await?;
        assert_eq!(then.size_bytes, content.size_bytes);
        let ContentBody::Hot(bytes) = content.body else {
            panic!("{content:?}");
        };
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Returns what the former versions of a file hold, the newest first.
    async fn version_texts(&self, at: &str) -> Vec<String> {
        let node = self.find(at).await.unwrap().id;
        let mut texts = Vec::new();
        for version in self.versions(at).await {
            texts.push(self.version_text(node, version.number).await.unwrap());
        }
        texts
    }

    async fn restore_version(
        &self,
        node: NodeId,
        number: i64,
        precondition: Precondition,
    ) -> StoreResult<Node> {
        let change = self.change(60);
        self.store
            .write(RestoreVersion {
                change,
                node,
                number,
                precondition,
            })
            .await
    }
}

#[tokio::test]
async fn entries_of_the_trash_are_told_apart_and_lead_to_what_lies_below() {
    let on = Fixture::new().await;
    for text in ["one", "two", "three"] {
        on.put("/same", text).await.unwrap();
        on.rm("/same").await.unwrap();
    }
    on.mkdir("/d").await.unwrap();
    on.mkdir("/d/e").await.unwrap();
    on.put("/d/e/f", "deep").await.unwrap();
    on.put("/d/g", "12345").await.unwrap();
    on.rm("/d").await.unwrap();

    // Of one name, each in a second of its own.
    let mut sizes = Vec::new();
    for nth in 0..3 {
        sizes.push(on.find_deleted("same", nth, &[]).await.unwrap().size_bytes);
    }
    assert_eq!(sizes, [3, 3, 5]);
    assert!(on.find_deleted("same", 3, &[]).await.is_none());
    let file = on.find_deleted("d", 0, &["e", "f"]).await.unwrap();
    assert_eq!((file.name.as_str(), file.size_bytes), ("f", 4));
    let folder = on.find_deleted("d", 0, &["e"]).await.unwrap();
    assert!(folder.is_folder());
    for below in [&["e", "x"][..], &["x"], &["g", "x"]] {
        assert!(on.find_deleted("d", 0, below).await.is_none(), "{below:?}");
    }

    // A page begins behind any entry of the one before.
    let all = on.trash().await;
    assert_eq!(all.len(), 4);
    for (index, entry) in all.iter().enumerate() {
        let rest = on.trash_after((entry.deleted_at, entry.node.id)).await;
        let rest: Vec<_> = rest.iter().map(|entry| entry.node.id).collect();
        let expected: Vec<_> = all[index + 1..].iter().map(|entry| entry.node.id).collect();
        assert_eq!(rest, expected);
    }
    // Nobody sees it from another space.
    let other = Fixture::at_home(on.home.clone()).await;
    assert!(other.trash().await.is_empty());
    assert!(other.find_deleted("d", 0, &[]).await.is_none());
    assert_eq!(refusal(other.restore("d").await), Refusal::NotFound);
    on.assert_sound().await;
}

#[tokio::test]
async fn the_trash_says_who_deleted_and_where_it_was_by_present_names() {
    let mut on = Fixture::new().await;
    let zoe = account(&on, "zoe").await;
    on.space = zoe.home;
    on.mkdir("/a").await.unwrap();
    on.mkdir("/a/b").await.unwrap();
    on.put("/a/b/inner", "x").await.unwrap();
    on.put("/a/outer", "x").await.unwrap();
    let change = Change {
        actor: zoe.id,
        ..on.change(0)
    };
    let (for_good, precondition) = (false, Precondition::default());
    let delete = Delete {
        change,
        path: path("/a/b/inner"),
        for_good,
        precondition,
    };
    on.store.write(delete).await.unwrap();
    on.rm("/a/b").await.unwrap();
    on.rm("/a/outer").await.unwrap();
    on.mv("/a", "/renamed").await.unwrap();

    let all = on.trash().await;
    let entry = |name: &str| all.iter().find(|entry| entry.name == name).unwrap();
    let inner = entry("inner");
    assert_eq!(
        (
            inner.deleted_by.as_deref(),
            inner.deleted_by_shown.as_deref()
        ),
        (Some("zoe"), Some("zoe"))
    );
    assert_eq!(inner.original, path("/renamed/b/inner"));
    assert_eq!(entry("b").original, path("/renamed/b"));
    assert_eq!(entry("outer").original, path("/renamed/outer"));
    assert_eq!(inner.deleted_at, on.change(0).now);

    // The folder of one is in the trash itself, so that goes to the root.
    assert_eq!(on.restore("inner").await.unwrap(), "/inner");
    assert_eq!(on.restore("outer").await.unwrap(), "/renamed/outer");
    assert_eq!(on.restore("b").await.unwrap(), "/renamed/b");
    on.assert_sound().await;
}

#[tokio::test]
async fn what_comes_back_finds_a_name_and_a_place() {
    let on = Fixture::new().await;
    let long = format!("{}.txt", "é".repeat(125));
    for (name, names) in [
        (
            "a.tar.gz",
            ["/a.tar (restored).gz", "/a.tar (restored 2).gz"],
        ),
        (".hidden", ["/.hidden (restored)", "/.hidden (restored 2)"]),
        ("plain", ["/plain (restored)", "/plain (restored 2)"]),
    ] {
        for _ in 0..3 {
            on.put(name, "old").await.unwrap();
            on.rm(name).await.unwrap();
        }
        on.put(name, "new").await.unwrap();
        for (nth, expected) in (0..).zip(names) {
            let (_, place) = on.restore_nth(name, nth).await.unwrap();
            assert_eq!(place.to_string(), expected);
        }
        assert_eq!(on.text(name).await, "new");
    }

    // The longest name has no room for more words.
    on.put(&long, "old").await.unwrap();
    on.rm(&long).await.unwrap();
    on.put(&long, "new").await.unwrap();
    let place = on.restore(&long).await.unwrap();
    assert!(
        place.starts_with("/ééé") && place.ends_with("é (restored).txt"),
        "{place}"
    );
    assert!(place.len() <= 1 + NodeName::BYTES_MAX);
    assert_eq!(on.text(&place).await, "old");

    // Its folder has moved so far down that nothing more fits below.
    on.mkdir("/folder").await.unwrap();
    on.put("/folder/file", "deep").await.unwrap();
    on.rm("/folder/file").await.unwrap();
    let deep = on.deepest_folder().await;
    on.mv("/folder", &format!("{deep}/folder")).await.unwrap();
    assert_eq!(on.restore("file").await.unwrap(), "/file");
    on.assert_sound().await;
}

#[tokio::test]
async fn bringing_back_obeys_locks_and_happens_once() {
    let on = Fixture::new().await;
    on.mkdir("/a").await.unwrap();
    on.put("/a/file", "x").await.unwrap();
    on.rm("/a/file").await.unwrap();
    on.lock("/a", true).await.unwrap();
    assert!(matches!(
        refusal(on.restore("file").await),
        Refusal::Locked { .. }
    ));
    on.rm("/a").await.unwrap_err();

    on.mkdir("/free").await.unwrap();
    on.put("/free/other", "y").await.unwrap();
    on.rm("/free/other").await.unwrap();
    assert_eq!(on.restore("other").await.unwrap(), "/free/other");
    assert_eq!(refusal(on.restore("other").await), Refusal::NotFound);
    on.assert_sound().await;
}

#[tokio::test]
async fn what_was_let_go_cannot_be_found_and_goes_in_slices() {
    let on = Fixture::new().await;
    on.mkdir("/d").await.unwrap();
    for index in 0..600 {
        on.put(&format!("/d/{index}"), "x").await.unwrap();
    }
    on.put("/kept", "xyz").await.unwrap();
    on.rm("/d").await.unwrap();
    on.rm("/kept").await.unwrap();
    let (space, now) = (on.space, on.change(5).now);
    let folder = on.find_deleted("d", 0, &[]).await.unwrap().id;
    let file = on.find_deleted("d", 0, &["7"]).await.unwrap().id;
    let discard = async |on: &Fixture, only| {
        let space = on.space;
        on.store.write(DiscardTrash { space, only }).await.unwrap()
    };

    let other = Fixture::at_home(on.home.clone()).await;
    assert_eq!(discard(&other, Some(folder)).await, 0);
    assert_eq!(discard(&other, None).await, 0);
    assert_eq!(discard(&on, Some(file)).await, 0, "it is no entry itself");
    assert_eq!(discard(&on, Some(folder)).await, 1);
    assert_eq!(discard(&on, Some(folder)).await, 0);

    assert!(on.find_deleted("d", 0, &["7"]).await.is_none());
    assert_eq!(refusal(on.restore("d").await), Refusal::NotFound);
    assert_eq!(on.trash().await.len(), 1);
    let mut slices = 0;
    while on.store.write(PurgeDiscarded { space, now }).await.unwrap() {
        slices += 1;
        on.assert_sound().await;
    }
    assert!(slices >= 2, "{slices}");
    assert_eq!(on.restore("kept").await.unwrap(), "/kept");

    // Deleted for good: in no trash from the beginning.
    let (change, precondition) = (on.change(6), Precondition::default());
    let for_good = Delete {
        change,
        path: path("/kept"),
        for_good: true,
        precondition,
    };
    on.store.write(for_good).await.unwrap();
    assert!(on.trash().await.is_empty());
    // Age finds it as well.
    let deleted_until = Timestamp(1);
    let purge = PurgeTrash { deleted_until, now };
    assert_eq!(on.store.write(purge).await.unwrap(), 1);
    on.assert_sound().await;
}

#[tokio::test]
async fn a_version_knows_its_bytes_its_author_and_its_label() {
    let mut on = Fixture::new().await;
    let (zoe, ana) = (account(&on, "zoe").await, account(&on, "ana").await);
    on.space = zoe.home;
    let by = |person, at_seconds| Change {
        actor: person,
        ..on.change(at_seconds)
    };
    let put = async |person, text: &str| {
        let commit = CommitUpload {
            change: by(person, 0),
            path: path("/a"),
            content: Fixture::content(text),
            modified_at: None,
            created_at: None,
            begun_at: on.change(0).now,
            lease: None,
            precondition: Precondition::default(),
        };
        on.store.write(commit).await.unwrap();
    };
    put(zoe.id, "by zoe").await;
    put(ana.id, "ana's").await;
    // Renames make no version, and do not hide who wrote it.
    on.mv("/a", "/b").await.unwrap();
    on.mv("/b", "/a").await.unwrap();
    put(zoe.id, "zoe again").await;
    put(zoe.id, "the last").await;

    let node = on.find("/a").await.unwrap().id;
    let versions = on.versions("/a").await;
    let told: Vec<_> = versions
        .iter()
        .map(|version| (version.size_bytes, version.author.as_deref()))
        .collect();
    // Who made the first one is not known any more: nothing came before it.
    assert_eq!(told, [(9, Some("zoe")), (5, Some("ana")), (6, None)]);
    assert_eq!(
        on.version_texts("/a").await,
        ["zoe again", "ana's", "by zoe"]
    );

    let label = |number, label: Option<&str>| LabelVersion {
        space: on.space,
        node,
        number,
        label: label.map(ToOwned::to_owned),
    };
    let number = versions[1].number;
    on.store.write(label(number, Some("good"))).await.unwrap();
    let labelled = on.versions("/a").await;
    let labels: Vec<_> = labelled
        .iter()
        .map(|version| version.label.as_deref())
        .collect();
    assert_eq!(labels, [None, Some("good"), None]);
    let now = on.change(10).now;
    let thin = || ThinHistory {
        space: on.space,
        after: Timestamp(0),
        until: now,
        period_days: 1,
        now,
    };
    on.store.write(thin()).await.unwrap();
    assert_eq!(on.version_texts("/a").await, ["zoe again", "ana's"]);
    assert_eq!(on.versions("/a").await[1].number, number);
    on.store.write(label(number, None)).await.unwrap();
    on.store.write(thin()).await.unwrap();
    assert_eq!(on.version_texts("/a").await, ["zoe again"]);
    on.assert_sound().await;
}

#[tokio::test]
async fn versions_are_those_of_one_living_file() {
    let on = Fixture::new().await;
    on.mkdir("/folder").await.unwrap();
    on.put("/a", "old").await.unwrap();
    on.put("/a", "new").await.unwrap();
    on.put("/other", "x").await.unwrap();
    let file = on.find("/a").await.unwrap().id;
    let number = on.versions("/a").await[0].number;
    let (folder, plain) = (
        on.find("/folder").await.unwrap().id,
        on.find("/other").await.unwrap().id,
    );
    let elsewhere = Fixture::at_home(on.home.clone()).await;
    let refused = async |from: &Fixture, node, number| {
        let (space, now) = (from.space, from.change(9).now);
        let label = LabelVersion {
            space,
            node,
            number,
            label: Some("x".to_owned()),
        };
        let delete = DeleteVersion {
            space,
            node,
            number,
            now,
        };
        let plain = Precondition::default();
        let results = [
            from.version_text(node, number).await.map(drop),
            from.restore_version(node, number, plain).await.map(drop),
            from.store.write(label).await,
            from.store.write(delete).await,
        ];
        results
            .into_iter()
            .all(|result| matches!(refusal(result), Refusal::NotFound))
    };

    assert!(refused(&on, file, number + 1_000).await);
    assert!(refused(&on, folder, number).await);
    assert!(refused(&on, plain, number).await);
    assert!(refused(&on, NodeId(i64::MAX), number).await);
    assert!(refused(&elsewhere, file, number).await);
    on.rm("/a").await.unwrap();
    assert!(refused(&on, file, number).await, "it is in the trash");
    on.restore("a").await.unwrap();
    assert_eq!(on.version_texts("/a").await, ["old"]);
    on.assert_sound().await;
}

#[tokio::test]
async fn a_version_comes_back_under_the_rules_of_a_write() {
    let mut on = Fixture::new().await;
    on.put("/a", "long enough").await.unwrap();
    on.put("/a", "short").await.unwrap();
    let before = on.find("/a").await.unwrap();
    let number = on.versions("/a").await[0].number;
    let plain = Precondition::default;

    let lock = on.lock("/a", false).await.unwrap();
    assert!(matches!(
        refusal(on.restore_version(before.id, number, plain()).await),
        Refusal::Locked { .. }
    ));
    let end = EndLock {
        change: on.change(1),
        path: path("/a"),
        token: lock.token,
    };
    on.store.write(end).await.unwrap();
    let stale = Precondition {
        if_match: Some(EtagList::Tags(vec!["stale".to_owned()])),
        ..plain()
    };
    assert_eq!(
        refusal(on.restore_version(before.id, number, stale).await),
        Refusal::PreconditionFailed
    );
    on.quota = Some(10);
    assert!(matches!(
        refusal(on.restore_version(before.id, number, plain()).await),
        Refusal::QuotaExceeded { .. }
    ));
    on.quota = Some(11);
    let restored = on
        .restore_version(before.id, number, plain())
        .await
        .unwrap();

    assert_eq!(restored, on.find("/a").await.unwrap());
    assert_eq!(restored.id, before.id);
    assert_ne!(restored.etag(), before.etag());
    assert_eq!(on.text("/a").await, "long enough");
    assert_eq!(on.version_texts("/a").await, ["short", "long enough"]);
    on.assert_sound().await;
}

#[tokio::test]
async fn a_file_moved_onto_another_has_the_versions_of_that_in_their_order() {
    let on = Fixture::new().await;
    on.put("/doc", "first").await.unwrap();
    // Written before the last save of what it will replace.
    on.put("/doc.tmp", "third").await.unwrap();
    on.put("/doc", "second").await.unwrap();

    on.mv("/doc.tmp", "/doc").await.unwrap();

    assert_eq!(on.text("/doc").await, "third");
    assert_eq!(on.version_texts("/doc").await, ["second", "first"]);
    on.assert_sound().await;
}
