//! What is found by something else than its folder: by number, by mark, by search.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use nuage_shared::node_path::NodePath;

use super::Fixture;
use super::account;
use super::path;
use super::refusal;
use crate::clock::Timestamp;
use crate::store::metadata::browse::CountChildren;
use crate::store::metadata::browse::FindChildAt;
use crate::store::metadata::browse::FindPath;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::PurgeTrash;
use crate::store::metadata::marks::DeleteTag;
use crate::store::metadata::marks::FindMarked;
use crate::store::metadata::marks::ListTags;
use crate::store::metadata::marks::MARKED_PAGE;
use crate::store::metadata::marks::MarkFavorite;
use crate::store::metadata::marks::NameTag;
use crate::store::metadata::marks::TagNode;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::precondition::EtagList;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Property;
use crate::store::metadata::records::PropertyPatch;
use crate::store::metadata::records::UserId;
use crate::store::metadata::search::DescribeNodes;
use crate::store::metadata::search::ListFavorites;
use crate::store::metadata::search::SCANNED_PAGE;
use crate::store::metadata::search::ScanSpace;
use crate::store::metadata::search::Test;
use crate::store::metadata::trash::ListTrash;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::tree::PatchProperties;

const ME: UserId = UserId(1);

impl Fixture {
    async fn path_of(&self, node: NodeId) -> Option<String> {
        let space = self.space;
        let found = self.store.read(FindPath { space, node }).await.unwrap();
        found.map(|path| path.to_string())
    }

    async fn mark_by(&self, person: UserId, at: &str, is_favorite: bool) -> StoreResult<()> {
        let change = Change {
            actor: person,
            ..self.change(0)
        };
        self.store
            .write(MarkFavorite {
                change,
                path: path(at),
                is_favorite,
                precondition: Precondition::default(),
            })
            .await
    }

    async fn name_tag(&self, tag: Option<i64>, name: &str) -> StoreResult<Option<i64>> {
        self.store
            .write(NameTag {
                space: self.space,
                tag,
                name: name.to_owned(),
                fold: name.to_lowercase(),
                tags_max: 3,
            })
            .await
    }

    async fn tag(&self, at: &str, tag: i64, on: bool) -> StoreResult<bool> {
        let node = self.find(at).await.unwrap().id;
        let space = self.space;
        self.store
            .write(TagNode {
                space,
                node,
                tag,
                on,
            })
            .await
    }

    async fn tags(&self, node: Option<NodeId>) -> StoreResult<Vec<String>> {
        let space = self.space;
        let tags = self.store.read(ListTags { space, node }).await?;
        Ok(tags.into_iter().map(|tag| tag.name).collect())
    }

    async fn marked(&self, favorite_of: Option<UserId>, tags: &[i64]) -> Vec<String> {
        let mut found = Vec::new();
        let mut after = Some(NodeId(0));
        while let Some(from) = after {
            let find = FindMarked {
                space: self.space,
                tops: Vec::new(),
                favorite_of,
                tags: tags.to_vec(),
                after: from,
                wants: ListingWants::default(),
            };
            let page = self.store.read(find).await.unwrap();
            assert!(page.found.len() <= MARKED_PAGE);
            for (_, path, entry) in page.found {
                assert_eq!(self.find(&path.to_string()).await, Some(entry.node));
                found.push(path.to_string());
            }
            after = page.next;
        }
        found.sort();
        found
    }

    /// Returns the paths below a folder whose names hold a text.
    async fn search(&self, below: &str, text: &'static str) -> Vec<String> {
        let mut found = Vec::new();
        let mut after = Some(0);
        while let Some(from) = after {
            let scan = ScanSpace {
                space: self.space,
                after: from,
                test: Test(Arc::new(move |node| node.name.contains(text))),
                scope: path(below),
            };
            let page = self.store.read(scan).await.unwrap();
            found.extend(page.found.into_iter().map(|(path, _)| path.to_string()));
            after = page.next;
        }
        found.sort();
        found
    }

    /// Makes a folder of many files in few steps.
    async fn many_files(&self, folder: &str, files_min: usize) -> usize {
        self.mkdir(folder).await.unwrap();
        self.put(&format!("{folder}/x"), "x").await.unwrap();
        let mut files = 1;
        let mut round = 0;
        while files < files_min {
            let copy = format!("{folder}-copy");
            self.cp(folder, &copy).await.unwrap();
            let inside = format!("{folder}/{round}");
            self.mv(&copy, &inside).await.unwrap();
            files *= 2;
            round += 1;
        }
        files
    }
}

#[tokio::test]
async fn a_node_is_found_by_its_number_wherever_it_is_and_nowhere_else() {
    let on = Fixture::new().await;
    on.mkdir("/a").await.unwrap();
    on.mkdir("/a/b").await.unwrap();
    on.put("/a/b/file", "x").await.unwrap();
    let id = |node: Option<crate::store::metadata::records::Node>| node.unwrap().id;
    let root = id(on.find("/").await);
    let folder = id(on.find("/a/b").await);
    let file = id(on.find("/a/b/file").await);

    assert_eq!(on.path_of(root).await.as_deref(), Some("/"));
    assert_eq!(on.path_of(file).await.as_deref(), Some("/a/b/file"));
    on.mv("/a", "/c").await.unwrap();
    assert_eq!(on.path_of(file).await.as_deref(), Some("/c/b/file"));
    assert_eq!(on.path_of(folder).await.as_deref(), Some("/c/b"));

    let other = Fixture::at_home(on.home.clone()).await;
    for node in [root, folder, file, NodeId(0), NodeId(i64::MAX)] {
        assert_eq!(other.path_of(node).await, None);
    }
    on.rm("/c/b").await.unwrap();
    let space = on.space;
    let after = (Timestamp(0), NodeId(0));
    let deleted = on.store.read(ListTrash { space, after }).await.unwrap();
    let trash = deleted[0].node.parent.unwrap();
    for node in [folder, file, trash] {
        assert_eq!(on.path_of(node).await, None);
    }
}

#[tokio::test]
async fn what_moved_too_deep_for_a_path_is_not_found_and_harms_nothing() {
    let on = Fixture::new().await;
    let deep = on.deepest_folder().await;
    on.mkdir("/t").await.unwrap();
    on.mkdir("/t/u").await.unwrap();
    on.put("/t/u/file", "x").await.unwrap();
    on.put("/t/u/file", "xy").await.unwrap();
    on.mark_by(ME, "/t/u/file", true).await.unwrap();
    let tag = on.name_tag(None, "tag").await.unwrap().unwrap();
    on.tag("/t/u/file", tag, true).await.unwrap();
    let file = on.find("/t/u/file").await.unwrap().id;
    on.mv("/t", &format!("{deep}/t")).await.unwrap();

    assert_eq!(on.path_of(file).await, None);
    assert!(on.marked(Some(ME), &[]).await.is_empty());
    assert!(on.search("/", "file").await.is_empty());
    assert_eq!(refusal(on.tags(Some(file)).await), Refusal::NotFound);
    on.mv(&format!("{deep}/t"), "/t").await.unwrap();
    assert_eq!(on.path_of(file).await.as_deref(), Some("/t/u/file"));
    assert_eq!(on.tags(Some(file)).await.unwrap(), ["tag"]);
    assert_eq!(on.marked(Some(ME), &[tag]).await, ["/t/u/file"]);
    on.assert_sound().await;
}

#[tokio::test]
async fn children_are_counted_and_found_by_their_place() {
    let on = Fixture::new().await;
    on.mkdir("/d").await.unwrap();
    let folder = on.find("/d").await.unwrap().id;
    assert_eq!(on.store.read(CountChildren { folder }).await.unwrap(), 0);
    on.put("/d/first", "x").await.unwrap();
    on.mkdir("/d/second").await.unwrap();
    on.put("/d/second/below", "x").await.unwrap();
    on.put("/d/third", "x").await.unwrap();
    on.mv("/d/first", "/d/zz").await.unwrap();
    assert_eq!(on.store.read(CountChildren { folder }).await.unwrap(), 3);
    for (index, at) in [
        (0, Some("/d/zz")),
        (1, Some("/d/second")),
        (2, Some("/d/third")),
        (3, None),
    ] {
        let found = on.store.read(FindChildAt { folder, index }).await.unwrap();
        let expected = match at {
            Some(at) => Some(on.find(at).await.unwrap().id),
            None => None,
        };
        assert_eq!(found, expected, "{index}");
    }
    let (index, all) = (u64::MAX, folder);
    let found = on.store.read(FindChildAt { folder: all, index }).await;
    assert_eq!(found.unwrap(), None);
    on.rm("/d/second").await.unwrap();
    assert_eq!(on.store.read(CountChildren { folder }).await.unwrap(), 2);
    on.assert_sound().await;
}

#[tokio::test]
async fn favourites_are_each_persons_own_and_follow_the_node() {
    let on = Fixture::new().await;
    account(&on, "me").await;
    let zoe = account(&on, "zoe").await.id;
    on.mkdir("/a").await.unwrap();
    on.put("/a/file", "x").await.unwrap();
    on.put("/b", "x").await.unwrap();
    let before = on.find("/").await.unwrap();
    for at in ["/a", "/a/file", "/"] {
        on.mark_by(ME, at, true).await.unwrap();
        on.mark_by(ME, at, true).await.unwrap();
    }
    on.mark_by(zoe, "/b", true).await.unwrap();
    assert_eq!(
        refusal(on.mark_by(ME, "/gone", true).await),
        Refusal::NotFound
    );

    assert_eq!(on.find("/").await.unwrap(), before, "it is no change");
    assert_eq!(on.marked(Some(ME), &[]).await, ["/", "/a", "/a/file"]);
    assert_eq!(on.marked(Some(zoe), &[]).await, ["/b"]);
    let known = on.store.read(ListFavorites(zoe)).await.unwrap();
    assert_eq!(known, [on.find("/b").await.unwrap().id]);
    on.mv("/a", "/moved").await.unwrap();
    on.mark_by(ME, "/", false).await.unwrap();
    on.mark_by(ME, "/b", false).await.unwrap();
    assert_eq!(on.marked(Some(ME), &[]).await, ["/moved", "/moved/file"]);
    assert_eq!(on.marked(Some(zoe), &[]).await, ["/b"]);

    // Out of sight in the trash, and back with it.
    on.rm("/moved").await.unwrap();
    assert!(on.marked(Some(ME), &[]).await.is_empty());
    let change = on.change(1);
    let restore = RestoreFromTrash {
        second: on.change(0).now.seconds(),
        name: "moved".to_owned(),
        change,
    };
    on.store.write(restore).await.unwrap();
    assert_eq!(on.marked(Some(ME), &[]).await, ["/moved", "/moved/file"]);
    let conditional = MarkFavorite {
        change: on.change(2),
        path: path("/b"),
        is_favorite: true,
        precondition: Precondition {
            if_match: Some(EtagList::Tags(vec!["stale".to_owned()])),
            ..Precondition::default()
        },
    };
    let refused = on.store.write(conditional).await;
    assert_eq!(refusal(refused), Refusal::PreconditionFailed);

    // Gone for good, nothing of it remains.
    on.rm("/moved").await.unwrap();
    let now = on.change(10).now;
    let purge = || PurgeTrash {
        deleted_until: now,
        now,
    };
    while on.store.write(purge()).await.unwrap() > 0 {}
    assert!(on.store.read(ListFavorites(ME)).await.unwrap().is_empty());
    on.assert_sound().await;
}

#[tokio::test]
async fn marks_are_inherited_by_the_file_that_replaces_the_marked_one() {
    let on = Fixture::new().await;
    on.put("/doc", "x").await.unwrap();
    on.put("/doc.tmp", "y").await.unwrap();
    let (one, two) = (
        on.name_tag(None, "one").await.unwrap().unwrap(),
        on.name_tag(None, "two").await.unwrap().unwrap(),
    );
    on.tag("/doc", one, true).await.unwrap();
    on.tag("/doc", two, true).await.unwrap();
    on.tag("/doc.tmp", two, true).await.unwrap();
    on.mark_by(ME, "/doc", true).await.unwrap();
    on.mark_by(ME, "/doc.tmp", true).await.unwrap();

    on.mv("/doc.tmp", "/doc").await.unwrap();

    assert_eq!(on.marked(Some(ME), &[one, two]).await, ["/doc"]);
    let node = on.find("/doc").await.unwrap().id;
    assert_eq!(on.tags(Some(node)).await.unwrap(), ["one", "two"]);
    assert_eq!(on.store.read(ListFavorites(ME)).await.unwrap(), [node]);
    on.assert_sound().await;
}

#[tokio::test]
async fn tags_belong_to_a_space_and_their_names_to_one_tag_each() {
    let on = Fixture::new().await;
    let other = Fixture::at_home(on.home.clone()).await;
    let foreign = other.name_tag(None, "Blue").await.unwrap().unwrap();
    let blue = on.name_tag(None, "Blue").await.unwrap().unwrap();
    let red = on.name_tag(None, "red").await.unwrap().unwrap();
    let taken = refusal(on.name_tag(None, "BLUE").await);
    assert_eq!(taken, Refusal::AlreadyExists);
    assert_eq!(
        refusal(on.name_tag(Some(red), "blue").await),
        Refusal::AlreadyExists
    );
    assert_eq!(
        refusal(on.name_tag(Some(foreign), "x").await),
        Refusal::NotFound
    );
    on.name_tag(Some(blue), "BLUE").await.unwrap();
    on.name_tag(Some(red), "Rouge").await.unwrap();
    on.name_tag(None, "amber").await.unwrap().unwrap();
    assert_eq!(on.name_tag(None, "too many").await.unwrap(), None);
    assert_eq!(on.tags(None).await.unwrap(), ["amber", "BLUE", "Rouge"]);
    assert_eq!(other.tags(None).await.unwrap(), ["Blue"]);

    on.mkdir("/a").await.unwrap();
    on.put("/a/file", "x").await.unwrap();
    on.put("/b", "x").await.unwrap();
    assert!(on.tag("/a/file", blue, true).await.unwrap());
    assert!(!on.tag("/a/file", blue, true).await.unwrap());
    on.tag("/a/file", red, true).await.unwrap();
    on.tag("/b", red, true).await.unwrap();
    for tag in [foreign, 0, i64::MAX] {
        assert_eq!(
            refusal(on.tag("/b", tag, true).await),
            Refusal::NotFound,
            "{tag}"
        );
    }
    let file = on.find("/a/file").await.unwrap().id;
    let theirs = TagNode {
        space: other.space,
        node: file,
        tag: foreign,
        on: true,
    };
    assert_eq!(refusal(on.store.write(theirs).await), Refusal::NotFound);
    assert_eq!(on.tags(Some(file)).await.unwrap(), ["BLUE", "Rouge"]);
    assert_eq!(refusal(other.tags(Some(file)).await), Refusal::NotFound);
    assert_eq!(on.marked(None, &[red]).await, ["/a/file", "/b"]);
    assert_eq!(on.marked(None, &[red, blue]).await, ["/a/file"]);
    assert_eq!(on.marked(None, &[blue, red]).await, ["/a/file"]);
    assert!(on.marked(None, &[]).await.is_empty());
    assert!(other.marked(None, &[red]).await.is_empty());
    on.mark_by(ME, "/b", true).await.unwrap();
    assert_eq!(on.marked(Some(ME), &[red]).await, ["/b"]);

    assert!(on.tag("/b", red, false).await.unwrap());
    assert!(!on.tag("/b", red, false).await.unwrap());
    assert_eq!(on.marked(None, &[red]).await, ["/a/file"]);
    let delete = |space, tag| on.store.write(DeleteTag { space, tag });
    assert_eq!(refusal(delete(other.space, red).await), Refusal::NotFound);
    delete(on.space, red).await.unwrap();
    assert_eq!(refusal(delete(on.space, red).await), Refusal::NotFound);
    assert_eq!(on.tags(Some(file)).await.unwrap(), ["BLUE"]);
    on.rm("/a").await.unwrap();
    assert_eq!(refusal(on.tags(Some(file)).await), Refusal::NotFound);
    assert!(on.marked(None, &[blue]).await.is_empty());
    on.assert_sound().await;
}

#[tokio::test]
async fn pages_of_marked_nodes_hold_each_one_once() {
    let on = Fixture::new().await;
    let files = on.many_files("/d", MARKED_PAGE + 1).await;
    let all = on.search("/", "x").await;
    assert_eq!(all.len(), files);
    let marks = all.iter().map(|at| on.mark_by(ME, at, true));
    for marked in join_all(marks).await {
        marked.unwrap();
    }

    assert_eq!(on.marked(Some(ME), &[]).await, all);

    // Pages whose nodes are all out of sight do not end it.
    on.put("/late-x", "x").await.unwrap();
    on.mark_by(ME, "/late-x", true).await.unwrap();
    on.rm("/d").await.unwrap();
    assert_eq!(on.marked(Some(ME), &[]).await, ["/late-x"]);
}

#[tokio::test]
async fn a_search_finds_each_node_of_the_space_once_however_many_pages_it_takes() {
    let on = Fixture::new().await;
    let files = on.many_files("/d", SCANNED_PAGE + 1).await;
    on.mkdir("/exact").await.unwrap();
    on.put("/exact/x1", "x").await.unwrap();
    on.put("/exactly-x", "x").await.unwrap();
    on.put("/deleted-x", "x").await.unwrap();
    on.rm("/deleted-x").await.unwrap();
    let other = Fixture::at_home(on.home.clone()).await;
    other.put("/x", "not ours").await.unwrap();

    let found = on.search("/", "x").await;
    // `exact` holds the letter too.
    assert_eq!(found.len(), files + 3);
    let once: HashSet<_> = found.iter().collect();
    assert_eq!(once.len(), found.len());
    assert_eq!(on.search("/exact", "x").await, ["/exact/x1"]);
    assert!(on.search("/exactly-x", "x").await.is_empty());
    assert!(on.search("/nowhere", "x").await.is_empty());
    assert_eq!(other.search("/", "").await, ["/x"]);

    // A node that changed since a page comes again later in the order.
    let before = on.find("/").await.unwrap().tree_seq;
    on.mv("/exact/x1", "/exact/x2").await.unwrap();
    let scan = ScanSpace {
        space: on.space,
        after: before,
        test: Test(Arc::new(|_| true)),
        scope: NodePath::root(),
    };
    let page = on.store.read(scan).await.unwrap();
    let late: Vec<_> = page
        .found
        .iter()
        .map(|(path, _)| path.to_string())
        .collect();
    assert_eq!((late, page.next), (vec!["/exact/x2".to_owned()], None));
}

#[tokio::test]
async fn what_was_found_is_described_as_a_listing_would() {
    let on = Fixture::new().await;
    on.mkdir("/a").await.unwrap();
    on.put("/a/file", "x").await.unwrap();
    let tag = on.name_tag(None, "Tag").await.unwrap().unwrap();
    on.tag("/a/file", tag, true).await.unwrap();
    on.mark_by(ME, "/a/file", true).await.unwrap();
    let property = Property {
        namespace: "urn:x".to_owned(),
        name: "p".to_owned(),
        xml: "<p xmlns='urn:x'>1</p>".to_owned(),
    };
    let patch = PatchProperties {
        change: on.change(1),
        path: path("/a/file"),
        patches: vec![PropertyPatch::Set(property.clone())],
        modified_at: None,
        favorite: None,
        bytes_max: 1_000,
        precondition: Precondition::default(),
    };
    on.store.write(patch).await.unwrap();
    let nodes = vec![
        on.find("/a/file").await.unwrap(),
        on.find("/a").await.unwrap(),
    ];
    let describe = async |wants| {
        let nodes = nodes.clone();
        on.store.read(DescribeNodes { nodes, wants }).await.unwrap()
    };

    let full = describe(ListingWants {
        share_kinds: true,
        uploaded: true,
        children: true,
        properties: true,
        locks: false,
        checksums: true,
        quota: false,
        favorites_of: Some(ME),
        tags: true,
    })
    .await;
    assert_eq!(full.len(), 2);
    assert_eq!(full[0].node, nodes[0]);
    assert!(full[0].is_favorite && !full[1].is_favorite);
    assert_eq!(full[0].tags, ["Tag"]);
    assert_eq!(full[0].properties, [property]);
    assert!(full[1].tags.is_empty() && full[1].properties.is_empty());
    let bare = describe(ListingWants::default()).await;
    assert!(!bare[0].is_favorite && bare[0].tags.is_empty());
    assert!(bare[0].properties.is_empty());
}
