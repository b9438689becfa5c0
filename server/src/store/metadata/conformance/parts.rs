//! Uploads in parts: what comes, what goes, what becomes a file.

use std::sync::Arc;

use crate::store::metadata::accounts::DeleteAccount;
use crate::store::metadata::error::PartsFault;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::PurgeSpace;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::packs::CollectDead;
use crate::store::metadata::parts::Became;
use crate::store::metadata::parts::BeginParts;
use crate::store::metadata::parts::DropPart;
use crate::store::metadata::parts::DropParts;
use crate::store::metadata::parts::FinishParts;
use crate::store::metadata::parts::ListParted;
use crate::store::metadata::parts::Part;
use crate::store::metadata::parts::PartedUpload;
use crate::store::metadata::parts::PartsTarget;
use crate::store::metadata::parts::PreparePart;
use crate::store::metadata::parts::PutPart;
use crate::store::metadata::parts::ReadContents;
use crate::store::metadata::parts::ReadParts;
use crate::store::metadata::parts::SweepParts;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::UserId;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::upload::CommitUpload;
use crate::store::metadata::upload::PrepareUpload;
use nuage_shared::chunk_id::ChunkKey;

use super::Fixture;
use super::account;
use super::path;
use super::refusal;

/// Uploads in parts of the fixture's space.
impl Fixture {
    async fn begin_parts(&self, name: &str, total: Option<u64>) -> StoreResult<()> {
        let change = self.change(0);
        self.store
            .write(BeginParts {
                until: change.now.plus_seconds(100),
                change,
                name: name.to_owned(),
                total_bytes: total,
                target: None,
                uploads_max: 3,
            })
            .await
    }

    async fn put_part(
        &self,
        name: &str,
        number: i64,
        text: &str,
    ) -> StoreResult<(i64, ContentRef)> {
        let change = self.change(10);
        self.store
            .write(PutPart {
                upload: name.to_owned(),
                number,
                name: format!("{number:05}"),
                content: Self::content(text),
                chunk: Some(ChunkKey::new([7; 32]).chunk_id(text.as_bytes())),
                begun_at: change.now,
                lease: None,
                until: change.now.plus_seconds(100),
                parts_max: 4,
                change,
            })
            .await
    }

    async fn parts(&self, name: &str) -> StoreResult<(PartedUpload, Vec<Part>)> {
        let read = ReadParts {
            account: UserId(1),
            upload: name.to_owned(),
        };
        self.store.read(read).await
    }

    async fn finish_parts(
        &self,
        name: &str,
        at: &str,
        text: &str,
        changes: i64,
    ) -> StoreResult<Became> {
        let change = self.change(20);
        self.store
            .write(FinishParts {
                source: self.space,
                shown: at.to_owned(),
                until: change.now.plus_seconds(1_000),
                upload: name.to_owned(),
                changes,
                commit: CommitUpload {
                    begun_at: change.now,
                    change,
                    path: path(at),
                    content: Self::content(text),
                    modified_at: None,
                    created_at: None,
                    lease: None,
                    precondition: Precondition::default(),
                },
            })
            .await
    }

    async fn collect_all(&self, at_seconds: i64) -> u64 {
        let now = self.change(at_seconds).now;
        let collect = CollectDead {
            after: ContentRef(0),
            lost_until: now,
            now,
        };
        self.store.write(collect).await.unwrap().deleted
    }
}

fn parts_fault<T: std::fmt::Debug>(result: StoreResult<T>) -> PartsFault {
    match result {
        Err(StoreError::Refused(Refusal::Parts(fault))) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn parts_come_go_and_become_a_file_once() {
    let f = Fixture::new().await;
    assert_eq!(
        parts_fault(f.put_part("u", 1, "x").await),
        PartsFault::Unknown
    );
    f.begin_parts("u", Some(8)).await.unwrap();
    assert_eq!(
        parts_fault(f.begin_parts("u", None).await),
        PartsFault::Exists
    );
    f.put_part("u", 10, "world").await.unwrap();
    f.put_part("u", 9, "wrong").await.unwrap();
    f.put_part("u", 9, "my ").await.unwrap();
    f.put_part("u", 11, "stray").await.unwrap();
    let drop = DropPart {
        change: f.change(10),
        upload: "u".to_owned(),
        number: 11,
        until: f.change(110).now,
    };
    f.store.write(drop).await.unwrap();
    f.assert_sound().await;

    let (upload, parts) = f.parts("u").await.unwrap();
    let numbers: Vec<i64> = parts.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [9, 10]);
    assert_eq!((upload.received_bytes, upload.parts), (8, 2));
    let contents = ReadContents(parts.iter().map(|part| part.content).collect());
    assert_eq!(f.store.read(contents).await.unwrap().len(), 2);
    // The collector takes what parts let go of, and leaves what they name.
    assert_eq!(f.collect_all(50).await, 2);
    f.assert_sound().await;

    let late = f
        .finish_parts("u", "file", "my world", upload.changes - 1)
        .await;
    assert_eq!(parts_fault(late), PartsFault::Changed);
    f.put("folder-less", "x").await.unwrap();
    assert!(
        f.finish_parts("u", "a/b", "my world", upload.changes)
            .await
            .is_err()
    );
    assert_eq!(f.parts("u").await.unwrap().1.len(), 2);
    let became = f
        .finish_parts("u", "file", "my world", upload.changes)
        .await
        .unwrap();
    assert!(became.created);
    assert_eq!(became.etag(), f.find("file").await.unwrap().etag());
    assert_eq!(f.text("file").await, "my world");
    let again = f
        .finish_parts("u", "file", "my world", upload.changes)
        .await
        .unwrap();
    assert_eq!(again, became);
    let elsewhere = f
        .finish_parts("u", "other", "my world", upload.changes)
        .await;
    assert_eq!(parts_fault(elsewhere), PartsFault::Unknown);
    assert_eq!(
        parts_fault(f.put_part("u", 1, "x").await),
        PartsFault::Unknown
    );
    assert_eq!(f.collect_all(60).await, 2);
    f.assert_sound().await;

    f.begin_parts("u", None).await.unwrap();
    assert!(f.parts("u").await.unwrap().0.became.is_none());
}

#[tokio::test]
async fn uploads_in_parts_are_bounded_by_number_parts_and_quota() {
    let mut f = Fixture::new().await;
    f.quota = Some(10);
    f.put("file", "four").await.unwrap();
    for name in ["a", "b", "c"] {
        f.begin_parts(name, None).await.unwrap();
    }
    let fault = parts_fault(f.begin_parts("d", None).await);
    assert_eq!(fault, PartsFault::TooMany { max: 3 });
    for number in 0..4 {
        f.put_part("a", number, "x").await.unwrap();
    }
    let fault = parts_fault(f.put_part("a", 4, "x").await);
    assert_eq!(fault, PartsFault::TooManyParts { max: 4 });
    f.put_part("a", 3, "y").await.unwrap();
    // 4 in the file, 4 in the first upload.
    f.put_part("b", 1, "no").await.unwrap();
    for (upload, number) in [("b", 2), ("c", 1)] {
        let full = f.put_part(upload, number, "z").await;
        assert!(
            matches!(
                full,
                Err(StoreError::Refused(Refusal::QuotaExceeded { .. }))
            ),
            "{full:?}"
        );
    }
    let prepare = PreparePart {
        change: f.change(10),
        name: "b".to_owned(),
        number: 1,
        declared_bytes: Some(2),
        parts_max: 4,
    };
    let prepared = f.store.read(prepare).await.unwrap();
    assert_eq!((prepared.room_bytes, prepared.before), (2, None));
    let give_up = DropParts {
        change: f.change(10),
        upload: "a".to_owned(),
    };
    f.store.write(give_up).await.unwrap();
    assert!(f.begin_parts("d", Some(5)).await.is_err());
    f.begin_parts("d", Some(4)).await.unwrap();
    let list = ListParted { account: UserId(1) };
    assert_eq!(f.store.read(list).await.unwrap().len(), 3);
    f.assert_sound().await;
}

#[tokio::test]
async fn parts_on_their_way_take_room_from_everything_else_and_not_from_their_own_file() {
    let mut f = Fixture::new().await;
    f.put("half", "01234").await.unwrap();
    f.put("gone", "ab").await.unwrap();
    f.rm("gone").await.unwrap();
    let deleted_at = f.change(0).now.seconds();
    f.quota = Some(10);
    f.begin_parts("u", None).await.unwrap();
    f.put_part("u", 1, "wxyz").await.unwrap();
    let full = |result: StoreResult<()>| {
        let fault = refusal(result);
        assert!(
            matches!(fault, Refusal::QuotaExceeded { used_bytes: 9, .. }),
            "{fault:?}"
        );
    };

    full(f.put("new", "12").await.map(drop));
    full(f.cp("half", "copy").await.map(drop));
    let restore = RestoreFromTrash {
        change: f.change(1),
        name: "gone".to_owned(),
        second: deleted_at,
    };
    full(f.store.write(restore).await.map(drop));
    let prepare = PrepareUpload {
        change: f.change(1),
        path: path("new"),
        declared_bytes: None,
        reserved_bytes: 0,
        precondition: Precondition::default(),
    };
    let prepared = f.store.read(prepare).await.unwrap();
    assert_eq!(prepared.room_bytes, 1);
    f.put("new", "1").await.unwrap();

    // Its own bytes are not in the way of what they become.
    let (upload, _) = f.parts("u").await.unwrap();
    f.finish_parts("u", "file", "wxyz", upload.changes)
        .await
        .unwrap();
    assert_eq!(f.find("").await.unwrap().size_bytes, 10);
    f.assert_sound().await;

    // What replaces a file takes only what it is longer.
    let change = f.change(2);
    let target = PartsTarget {
        path: path("half"),
        makes_parents: false,
    };
    let begin = BeginParts {
        until: change.now.plus_seconds(100),
        change,
        name: "v".to_owned(),
        total_bytes: Some(5),
        target: Some(target),
        uploads_max: 3,
    };
    f.store.write(begin).await.unwrap();
    f.put_part("v", 1, "56789").await.unwrap();
    assert!(f.put_part("v", 2, "x").await.is_err());
    let (upload, _) = f.parts("v").await.unwrap();
    f.finish_parts("v", "half", "56789", upload.changes)
        .await
        .unwrap();
    assert_eq!(f.text("half").await, "56789");
    f.assert_sound().await;
}

#[tokio::test]
async fn an_abandoned_upload_is_swept_with_its_parts() {
    let f = Fixture::new().await;
    f.begin_parts("early", None).await.unwrap();
    f.begin_parts("late", None).await.unwrap();
    f.put_part("late", 1, "one").await.unwrap();
    let sweep = async |at_seconds| {
        let now = f.change(at_seconds).now;
        let mut swept = 0;
        while f.store.write(SweepParts { now }).await.unwrap() {
            swept += 1;
        }
        swept
    };

    // Each part gives it more time.
    assert_eq!(sweep(105).await, 1);
    assert_eq!(f.parts("late").await.unwrap().1.len(), 1);
    assert_eq!(sweep(111).await, 1);

    assert_eq!(parts_fault(f.parts("late").await), PartsFault::Unknown);
    assert_eq!(f.collect_all(112).await, 1);
    f.assert_sound().await;
}

#[tokio::test]
async fn an_upload_is_cut_as_what_it_replaces_and_its_name_is_its_owners() {
    let f = Fixture::new().await;
    f.mkdir("folder").await.unwrap();
    f.put("folder/file", "replaced").await.unwrap();
    let begin = async |actor: UserId, at: &str, makes_parents| {
        let change = Change {
            actor,
            ..f.change(0)
        };
        let target = PartsTarget {
            path: path(at),
            makes_parents,
        };
        let begin = BeginParts {
            until: change.now.plus_seconds(100),
            change,
            name: "u".to_owned(),
            total_bytes: None,
            target: Some(target),
            uploads_max: 3,
        };
        f.store.write(begin).await
    };
    let me = UserId(1);
    assert_eq!(
        refusal(begin(me, "folder", false).await),
        Refusal::IsAFolder
    );
    assert_eq!(
        refusal(begin(me, "no/where", false).await),
        Refusal::ParentMissing
    );
    begin(me, "no/where", true).await.unwrap();
    begin(UserId(2), "folder/file", false).await.unwrap();

    // Of another account, so of another upload, whatever its name.
    let (mine, _) = f.parts("u").await.unwrap();
    assert_eq!((mine.former, mine.replaces_bytes), (None, 0));
    f.put_part("u", 1, "mine").await.unwrap();
    let theirs = ReadParts {
        account: UserId(2),
        upload: "u".to_owned(),
    };
    let (theirs, parts) = f.store.read(theirs).await.unwrap();
    let replaced = f.find("folder/file").await.unwrap();
    assert_eq!(
        (theirs.former, theirs.replaces_bytes),
        (replaced.content, 8)
    );
    assert_eq!(theirs.profile, nuage_shared::chunker::Profile::S);
    assert!(parts.is_empty());
    let list = ListParted { account: me };
    let listed = f.store.read(list).await.unwrap();
    assert_eq!(
        listed.iter().map(|upload| upload.id).collect::<Vec<_>>(),
        [mine.id]
    );
    f.assert_sound().await;
}

#[tokio::test]
async fn a_part_that_comes_again_or_too_late_leaves_nothing_wrong() {
    let f = Fixture::new().await;
    f.begin_parts("u", None).await.unwrap();
    let (_, first) = f.put_part("u", 1, "same").await.unwrap();
    let (_, again) = f.put_part("u", 1, "same").await.unwrap();
    assert_eq!(first, again);
    assert_eq!(f.collect_all(50).await, 0);
    assert_eq!(f.parts("u").await.unwrap().0.received_bytes, 4);

    // Its chunks lay about for longer than the collector waits.
    let change = f.change(10_000);
    let late = PutPart {
        upload: "u".to_owned(),
        number: 2,
        name: "2".to_owned(),
        content: Fixture::content("late"),
        chunk: None,
        begun_at: f.change(0).now,
        lease: None,
        until: change.now,
        parts_max: 4,
        change,
    };
    assert_eq!(refusal(f.store.write(late).await), Refusal::SourceGone);
    let missing = DropPart {
        change: f.change(11),
        upload: "u".to_owned(),
        number: 2,
        until: f.change(111).now,
    };
    assert_eq!(
        parts_fault(f.store.write(missing).await),
        PartsFault::Unknown
    );
    let gone = ReadContents(vec![first, ContentRef(i64::MAX)]);
    assert_eq!(parts_fault(f.store.read(gone).await), PartsFault::Changed);
    f.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_that_come_through_two_servers_at_once_are_all_counted() {
    let one = Fixture::new().await;
    let other = Fixture::at_home(Arc::clone(&one.home)).await.at(one.space);
    one.begin_parts("u", None).await.unwrap();
    let put = |on: &Fixture, number: i64, text: String| {
        let on = on.at(one.space);
        tokio::spawn(async move { on.put_part("u", number, &text).await })
    };
    let mut putting = Vec::new();
    for round in 0..10 {
        for number in 0..4 {
            let on = if round % 2 == 0 { &one } else { &other };
            let text = "x".repeat(usize::try_from(round * 4 + number + 1).unwrap());
            putting.push(put(on, number, text));
        }
    }
    for put in putting {
        put.await.unwrap().unwrap();
    }
    let (upload, parts) = one.parts("u").await.unwrap();
    let bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
    assert_eq!((upload.parts, upload.received_bytes), (4, bytes));
    assert_eq!(upload.changes, 40);
    one.assert_sound().await;
}

#[tokio::test]
async fn an_archived_space_loses_its_uploads_with_everything_else() {
    let mut f = Fixture::new().await;
    let leaver = account(&f, "leaver").await;
    f.space = leaver.home;
    f.put("file", "x").await.unwrap();
    for name in ["a", "b"] {
        f.begin_parts(name, None).await.unwrap();
        f.put_part(name, 1, name).await.unwrap();
    }
    let now = f.change(5).now;
    let delete = DeleteAccount {
        id: leaver.id,
        hand_to: None,
        now,
        purge_at: now,
    };
    f.store.write(delete).await.unwrap();
    let space = f.space;
    let mut slices = 0;
    while !f.store.write(PurgeSpace { space, now }).await.unwrap() {
        slices += 1;
        assert!(slices < 10);
    }
    for name in ["a", "b"] {
        assert_eq!(parts_fault(f.parts(name).await), PartsFault::Unknown);
    }
    assert_eq!(f.collect_all(60).await, 3);
}
