//! Collection against everything that happens at the same time.
//!
//! The model below does random things to a real store: uploads that copy from
//! others, commits, COPY, overwriting, deletion for good, collection with its graces
//! counted as over, packing of small bodies, leases, jumps of the clock, restarts.
//! At every moment each file must read back as it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuage_shared::node_path::NodePath;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Fixture;
use super::noise;
use super::on_both;
use super::run;
use crate::clock::Timestamp;
use crate::store::chunks::Collected;
use crate::store::chunks::Graces;
use crate::store::chunks::Ingested;
use crate::store::metadata::copy::Copy;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::history::PurgeTrash;
use crate::store::metadata::packs::BeginLease;
use crate::store::metadata::packs::EndLease;
use crate::store::metadata::packs::RepairPacksOf;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Content;
use crate::store::metadata::tree::Delete;
use crate::store::metadata::upload::CommitUpload;

impl Fixture {
    async fn collect_now(&self) -> Collected {
        if self.server.is_some() {
            // No hurry overcomes the grace of packs that servers share.
            self.move_clock(36 * 60);
        }
        let report = &mut |_| {};
        self.chunks().collect(Graces::over(), report).await.unwrap()
    }

    /// Deletes a file for good.
    pub(super) async fn forget(&self, at: &str) {
        let delete = Delete {
            change: self.change(),
            path: NodePath::parse(at).unwrap(),
            for_good: false,
            precondition: Precondition::default(),
        };
        self.metadata.write(delete).await.unwrap();
        let now = self.clock.now();
        let purge = || PurgeTrash {
            deleted_until: now,
            now,
        };
        while self.metadata.write(purge()).await.unwrap() > 0 {}
    }

    async fn copy(&self, from: &str, to: &str) {
        let copy = Copy {
            source: self.change(),
            change: self.change(),
            from: NodePath::parse(from).unwrap(),
            to: NodePath::parse(to).unwrap(),
            overwrite: true,
            shallow: false,
            precondition: Precondition::default(),
        };
        self.metadata.write(copy).await.unwrap();
    }

    async fn with_segments(segment_bytes: u64) -> Self {
        let mut fixture = Self::new().await;
        fixture.segment_bytes = segment_bytes;
        fixture.reopen();
        fixture
    }
}

#[test]
fn what_nothing_names_goes_and_what_shares_its_frames_stays() {
    on_both(async |mut fixture: Fixture| {
        fixture.segment_bytes = 1 << 20;
        fixture.reopen();
        let bytes = noise(6 << 20, 1);
        fixture.put("a", &bytes).await;
        // Shares most of its chunks with the file that will go.
        let mut edited = bytes.clone();
        edited[3 << 20..(3 << 20) + 1000].fill(0);
        edited.truncate(2 << 20);
        let kept = fixture.put("a", &edited).await;
        fixture.put("b", &noise(5 << 20, 2)).await;
        let before = fixture.pack_bytes();
        fixture.forget("b").await;
        fixture.reopen();
        let done = fixture.collect_now().await;
        assert_eq!(done.contents_deleted, 1, "{done:?}");
        assert!(done.freed_bytes >= 4 << 20, "{done:?}");
        assert!(fixture.pack_bytes() < before - (4 << 20));
        assert!(fixture.read(&kept).await.unwrap() == edited);
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(found.is_clean(), "{found:?}");
        fixture.forget("a").await;
        fixture.collect_now().await;
        fixture.reopen();
        fixture.collect_now().await;
        assert_eq!(fixture.pack_bytes(), 0, "nothing is left of anything");
    });
}

#[test]
fn graces_leases_and_uploads_in_progress_hold_their_packs() {
    run(async {
        let mut fixture = Fixture::with_segments(1 << 20).await;
        let bytes = noise(5 << 20, 1);
        fixture.put("a", &bytes).await;
        fixture.reopen();
        fixture.forget("a").await;
        let wait = async |fixture: &Fixture| {
            let report = &mut |_| {};
            let graces = Graces::default();
            fixture.chunks().collect(graces, report).await.unwrap()
        };
        assert_eq!(wait(&fixture).await.contents_deleted, 0);
        fixture.move_clock(3 * 3_600);
        let lease = BeginLease {
            id: [1; 16],
            space: fixture.space,
            begun: Timestamp(0),
            until: fixture.clock.now().plus_seconds(86_400),
            contents: Vec::new(),
        };
        fixture.metadata.write(lease).await.unwrap();
        let done = wait(&fixture).await;
        assert_eq!(
            (done.contents_deleted, done.packs_compacted),
            (1, 0),
            "{done:?}"
        );
        fixture
            .metadata
            .write(EndLease { id: [1; 16] })
            .await
            .unwrap();
        let done = wait(&fixture).await;
        assert!(
            done.packs_compacted >= 4 && done.files_deleted == 0,
            "{done:?}"
        );
        fixture.move_clock(49 * 3_600);
        assert!(wait(&fixture).await.files_deleted >= 4);

        // An upload that is not committed yet, and an administrator in a hurry.
        let request = fixture.request(Some(bytes.len() as u64), None);
        let ingested = fixture.ingest(&bytes, request).await.unwrap();
        for number in 0..8 {
            fixture.put("filler", &noise(1 << 20, 10 + number)).await;
        }
        let done = fixture.collect_now().await;
        assert!(done.packs_waiting > 0, "{done:?}");
        let content = fixture.commit("b", &ingested).await.unwrap();
        assert!(fixture.read(&content).await.unwrap() == bytes);
    });
}

#[test]
fn a_reader_goes_on_while_its_pack_is_compacted_and_deleted() {
    on_both(async |mut fixture: Fixture| {
        fixture.segment_bytes = 1 << 20;
        fixture.reopen();
        let bytes = noise(8 << 20, 1);
        fixture.put("a", &bytes).await;
        // Half of every pack dies.
        let mut half = Vec::new();
        for part in bytes.chunks(512 << 10).step_by(2) {
            half.extend_from_slice(part);
        }
        let kept = fixture.put("b", &half).await;
        fixture.forget("a").await;
        fixture.reopen();
        assert!(fixture.read(&kept).await.unwrap() == half);
        fixture.collect_now().await;
        assert!(fixture.read(&kept).await.unwrap() == half);
        fixture.reopen();
        fixture.collect_now().await;
        assert!(fixture.read(&kept).await.unwrap() == half);
    });
}

#[test]
fn small_bodies_move_into_packs_and_read_the_same() {
    on_both(async |fixture: Fixture| {
        let mut files = Vec::new();
        for number in 0..250 {
            let bytes = noise(number * 60, number as u64);
            files.push((fixture.put(&format!("f{number}"), &bytes).await, bytes));
        }
        assert_eq!(fixture.chunks().pack_hot().await.unwrap(), 249);
        assert_eq!(fixture.chunks().pack_hot().await.unwrap(), 0);
        for (content, bytes) in &files {
            // A row that was read before the packer came, and one read after it.
            assert!(fixture.read(content).await.unwrap() == *bytes);
            let again = fixture.by_id(content).await.unwrap();
            assert!(fixture.read(&again).await.unwrap() == *bytes);
        }
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(found.is_clean(), "{found:?}");
    });
}

#[test]
fn repair_writes_rows_of_packs_and_content_pack_anew() {
    on_both(async |mut fixture: Fixture| {
        fixture.segment_bytes = 1 << 20;
        fixture.reopen();
        let bytes = noise(5 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        fixture.reopen();
        let nothing = RepairPacksOf {
            content: content.id,
            packs: Vec::new(),
        };
        fixture.metadata.write(nothing).await.unwrap();
        fixture.metadata.write(super::LosePacks).await.unwrap();
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(!found.is_clean());
        let repaired = fixture.chunks().repair().await.unwrap();
        assert!(
            repaired.packs >= 4 && repaired.contents == 1,
            "{repaired:?}"
        );
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(found.is_clean(), "{found:?}");
        assert!(fixture.read(&content).await.unwrap() == bytes);
    });
}

/// An upload that waits for its commit.
struct Waiting {
    at: String,
    bytes: Vec<u8>,
    ingested: Ingested,
    begun_at: Timestamp,
    lease: Option<[u8; 16]>,
}

struct Model {
    fixture: Fixture,
    random: StdRng,
    files: BTreeMap<String, (Content, Vec<u8>)>,
    waiting: Vec<Waiting>,
    collecting: Vec<tokio::task::JoinHandle<()>>,
    refused: u32,
    committed: u32,
}

impl Model {
    fn name(&mut self) -> String {
        format!("f{}", self.random.random_range(0..12))
    }

    /// New bytes, or an edit of a file's: what dedup finds is then about to be deleted.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.random.random_range(0..250_000);
        let seed = self.random.random();
        let held: Vec<&Vec<u8>> = self.files.values().map(|(_, bytes)| bytes).collect();
        if held.is_empty() || self.random.random_range(0..3) == 0 {
            return noise(length, seed);
        }
        let index = self.random.random_range(0..held.len());
        let mut bytes = held[index].clone();
        if self.random.random_range(0..4) > 0 && !bytes.is_empty() {
            let at = self.random.random_range(0..bytes.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&noise(length / 2, seed));
        }
        bytes
    }

    async fn begin(&mut self) {
        let (at, bytes) = (self.name(), self.bytes());
        let replaced = self.files.get(&at).map(|(content, _)| content.clone());
        let declared = self.random.random_range(0..4) > 0;
        let request = self
            .fixture
            .request(declared.then_some(bytes.len() as u64), replaced);
        let begun_at = self.fixture.clock.now();
        let ingested = self.fixture.ingest(&bytes, request).await.unwrap();
        let lease = self.random.random::<bool>().then(|| self.random.random());
        if let Some(id) = lease {
            let lease = BeginLease {
                id,
                space: self.fixture.space,
                begun: begun_at,
                until: begun_at.plus_seconds(86_400),
                contents: ingested.content.sources.clone(),
            };
            match self.fixture.metadata.write(lease).await {
                Ok(()) => {}
                Err(StoreError::Refused(Refusal::SourceGone)) => return,
                Err(error) => panic!("{error}"),
            }
        }
        self.waiting.push(Waiting {
            at,
            bytes,
            ingested,
            begun_at,
            lease,
        });
    }

    async fn commit(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.waiting.len());
        let upload = self.waiting.swap_remove(index);
        let commit = CommitUpload {
            change: self.fixture.change(),
            path: NodePath::parse(&upload.at).unwrap(),
            content: upload.ingested.content.clone(),
            modified_at: None,
            created_at: None,
            begun_at: upload.begun_at,
            lease: upload.lease,
            precondition: Precondition::default(),
        };
        match self.fixture.metadata.write(commit).await {
            Ok(committed) => {
                let content = super::by_node(&self.fixture, &committed.node).await;
                self.files.insert(upload.at, (content, upload.bytes));
                self.committed += 1;
            }
            Err(StoreError::Refused(Refusal::SourceGone)) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
        if let Some(id) = upload.lease {
            self.fixture.metadata.write(EndLease { id }).await.unwrap();
        }
    }

    fn pick(&mut self) -> Option<String> {
        let index = self.random.random_range(0..self.files.len().max(1));
        self.files.keys().nth(index).cloned()
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..25 => self.begin().await,
            25..50 => self.commit().await,
            50..62 => {
                if let Some(at) = self.pick() {
                    self.files.remove(&at);
                    self.fixture.forget(&at).await;
                }
            }
            62..67 => {
                if let Some(from) = self.pick() {
                    let to = self.name();
                    if to != from {
                        self.fixture.copy(&from, &to).await;
                        let held = self.files[&from].clone();
                        self.files.insert(to, held);
                    }
                }
            }
            67..72 => self.collect_meanwhile(),
            72..75 => {
                self.rest().await;
                let report = &mut |_| {};
                let collected = self.fixture.chunks().collect(Graces::over(), report);
                collected.await.unwrap();
            }
            75..79 => {
                self.fixture.chunks().pack_hot().await.unwrap();
            }
            79..81 => self.fixture.move_clock(45 * 60),
            81..82 => {
                // A restart forgets which uploads were in progress, so none is.
                self.rest().await;
                self.waiting.clear();
                self.fixture.reopen();
            }
            _ => self.read_one().await,
        }
    }

    /// Collects while the next steps go on.
    fn collect_meanwhile(&mut self) {
        let chunks = Arc::clone(self.fixture.chunks());
        self.collecting.push(tokio::spawn(async move {
            chunks.collect(Graces::over(), &mut |_| {}).await.unwrap();
            chunks.pack_hot().await.unwrap();
        }));
    }

    async fn rest(&mut self) {
        for task in self.collecting.drain(..) {
            task.await.unwrap();
        }
    }

    async fn read_one(&mut self) {
        if let Some(at) = self.pick() {
            let (content, bytes) = &self.files[&at];
            // As a GET does: the row is read first.
            let content = self.fixture.by_id(content).await.unwrap();
            let read = self.fixture.read(&content).await;
            assert!(
                read.unwrap_or_else(|error| panic!("{at}: {error}")) == *bytes,
                "{at}"
            );
        }
    }
}

async fn play(mut fixture: Fixture, seed: u64, steps: u32) {
    fixture.segment_bytes = 300_000;
    fixture.reopen();
    let mut model = Model {
        fixture,
        random: StdRng::seed_from_u64(seed),
        files: BTreeMap::new(),
        waiting: Vec::new(),
        collecting: Vec::new(),
        refused: 0,
        committed: 0,
    };
    for step in 0..steps {
        model.step().await;
        if step % 500 == 499 {
            model.rest().await;
            let found = model.fixture.chunks().verify(&mut |_| {}).await.unwrap();
            assert!(found.is_clean(), "seed {seed}, step {step}: {found:?}");
        }
    }
    model.rest().await;
    while !model.waiting.is_empty() {
        model.commit().await;
    }
    let files = std::mem::take(&mut model.files);
    for (at, (content, bytes)) in &files {
        let content = model.fixture.by_id(content).await.unwrap();
        assert!(
            model.fixture.read(&content).await.unwrap() == *bytes,
            "seed {seed}: {at}"
        );
    }
    println!(
        "seed {seed}: {} commits, {} refused because a source was gone",
        model.committed, model.refused
    );
    // Nothing leaks: when every file is gone, so are their bytes.
    for at in files.keys() {
        model.fixture.forget(at).await;
    }
    model.fixture.reopen();
    // Leases of uploads that a restart cut off end by themselves.
    model.fixture.move_clock(2 * 86_400);
    for _ in 0..3 {
        model.fixture.collect_now().await;
    }
    model.fixture.reopen();
    model.fixture.collect_now().await;
    assert_eq!(model.fixture.pack_bytes(), 0, "seed {seed}");
}

#[test]
fn no_interleaving_of_uploads_deletions_and_collection_loses_a_byte() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    run(async {
        play(Fixture::new().await, seed, 4_000).await;
        play(Fixture::on_s3().await, seed, 600).await;
    });
}
