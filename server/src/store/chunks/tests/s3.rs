//! Packs on an S3 store: groups, parts, outages, servers side by side, the cache, the mark.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::Fixture;
use super::noise;
use super::on_both;
use super::on_s3_with_each_database;
use super::run;
use super::s3_server::packs_below;
use super::secrets;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkSettings;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::Collected;
use crate::store::chunks::Graces;
use crate::store::chunks::PackHome;
use crate::store::chunks::S3_HOT_BYTES_MAX;
use crate::store::chunks::disk::SystemDisk;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::OpenPacks;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::postgres::test_server;
use crate::store::metadata::records::Content;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::testing::open_postgres;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

impl Fixture {
    /// Moves the clock past every grace but that of backups, and collects.
    async fn collect_later(&self) -> Collected {
        self.move_clock(3 * 3_600);
        let graces = Graces::over();
        self.chunks().collect(graces, &mut |_| {}).await.unwrap()
    }

    async fn packs_in(&self, state: PackState) -> usize {
        let list = ListPacks {
            state,
            after: nuage_shared::manifest::PackId(0),
            limit: 10_000,
        };
        self.metadata.read(list).await.unwrap().len()
    }

    /// Opens another server on the same database and store.
    fn second(&self, metadata: &Arc<MetadataStore>) -> Result<Arc<ChunkStore>, ChunkError> {
        let settings = ChunkSettings {
            home: match self.settings().home {
                PackHome::Folder(folder) => PackHome::Folder(folder),
                PackHome::S3(mut s3) => {
                    s3.cache_folder = self.folder.path().join("second-cache");
                    PackHome::S3(s3)
                }
            },
            ..self.settings()
        };
        let metadata = Arc::clone(metadata);
        ChunkStore::open(settings, secrets(), metadata, self.clock.clone()).map(Arc::new)
    }

    async fn assert_clean(&self) {
        let found = self.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(found.is_clean(), "{found:?}");
    }

    fn cache_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.cache_folder()).unwrap() {
            let folder = entry.unwrap().path();
            if folder.is_dir() {
                let found = std::fs::read_dir(folder).unwrap();
                files.extend(found.map(|file| file.unwrap().path()));
            }
        }
        files
    }

    async fn cache_is_quiet(&self) {
        let shared = &self.chunks().shared;
        shared.objects.cache().unwrap().quiet().await;
    }
}

/// Uploads many files at once; returns those that were acknowledged, and how many were not.
async fn upload_many(
    fixture: &Fixture,
    files: u64,
    length: usize,
) -> (Vec<(Content, Vec<u8>)>, Vec<ChunkError>) {
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..files {
        let chunks = Arc::clone(fixture.chunks());
        let request = fixture.request(Some(length as u64), None);
        uploads.spawn(async move {
            let bytes = noise(length, number);
            let mut ingest = chunks.ingest(request);
            for piece in bytes.chunks(60_000) {
                ingest.write(Bytes::copy_from_slice(piece)).await?;
            }
            Ok::<_, ChunkError>((number, bytes, ingest.finish().await?))
        });
    }
    let (mut kept, mut failed) = (Vec::new(), Vec::new());
    while let Some(upload) = uploads.join_next().await {
        match upload.unwrap() {
            Ok((number, bytes, ingested)) => {
                let content = fixture.commit(&format!("f{number}"), &ingested).await;
                kept.push((content.unwrap(), bytes));
            }
            Err(error) => failed.push(error),
        }
    }
    (kept, failed)
}

#[test]
fn uploads_at_the_same_time_share_objects() {
    on_s3_with_each_database(async |mut fixture: Fixture| {
        let (kept, failed) = upload_many(&fixture, 60, 40_000).await;
        assert!(failed.is_empty(), "{failed:?}");
        assert!(fixture.packs() <= 30, "{} objects", fixture.packs());
        fixture.reopen();
        assert_eq!(fixture.packs_in(PackState::Open).await, 0);
        assert_eq!(
            fixture.packs_in(PackState::Sealed).await,
            fixture.packs(),
            "rows of what was not needed are given back"
        );
        for (content, bytes) in &kept {
            assert!(fixture.read(content).await.unwrap() == *bytes);
        }
        fixture.assert_clean().await;
    });
}

#[test]
fn a_large_file_leaves_in_parts_while_it_arrives() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        let bytes = noise(70 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        assert!(fixture.packs() <= 4, "{} objects", fixture.packs());
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.reopen();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.assert_clean().await;
    });
}

#[test]
fn uploads_in_memory_that_is_too_small_for_a_part_all_finish() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        fixture.chunks = None;
        let settings = ChunkSettings {
            upload_memory_bytes: 4 << 20,
            ..fixture.settings()
        };
        let metadata = Arc::clone(&fixture.metadata);
        let chunks = ChunkStore::open(settings, secrets(), metadata, fixture.clock.clone());
        fixture.chunks = Some(Arc::new(chunks.unwrap()));
        let (kept, failed) = upload_many(&fixture, 6, 5 << 20).await;
        assert!(failed.is_empty(), "{failed:?}");
        for (content, bytes) in &kept {
            assert!(fixture.read(content).await.unwrap() == *bytes);
        }
    });
}

#[test]
fn an_outage_fails_uploads_in_time_and_ends_by_itself() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        let (mut kept, _) = upload_many(&fixture, 10, 40_000).await;
        // The store dies while a large file is on its way.
        let bytes = noise(40 << 20, 99);
        let mut ingest = fixture.chunks().ingest(fixture.request(None, None));
        for piece in bytes[..20 << 20].chunks(1 << 20) {
            ingest.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        fixture.server.as_mut().unwrap().kill();
        let begun = Instant::now();
        let rest = async {
            for piece in bytes[20 << 20..].chunks(1 << 20) {
                ingest.write(Bytes::copy_from_slice(piece)).await?;
            }
            ingest.finish().await.map(|_| ())
        };
        let failed = rest.await.unwrap_err();
        assert!(matches!(failed, ChunkError::Unavailable(_)), "{failed:?}");
        let (none, failed) = upload_many(&fixture, 10, 41_000).await;
        assert!(none.is_empty());
        assert!(
            failed
                .iter()
                .all(|e| matches!(e, ChunkError::Unavailable(_)))
        );
        let read = fixture.read(&kept[0].0).await;
        assert!(matches!(read, Err(ChunkError::Unavailable(_))), "{read:?}");
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(fixture.chunks().verify(&mut |_| {}).await.is_err());
        fixture.server.as_mut().unwrap().resume();
        let (again, failed) = upload_many(&fixture, 10, 50_000).await;
        assert!(failed.is_empty(), "{failed:?}");
        kept.extend(again);
        for (content, bytes) in &kept {
            assert!(fixture.read(content).await.unwrap() == *bytes);
        }
        fixture.assert_clean().await;
    });
}

#[test]
fn a_short_outage_is_not_noticed() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        let mut server = fixture.server.take().unwrap();
        server.kill();
        let uploads = upload_many(&fixture, 10, 40_000);
        let back = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            tokio::task::block_in_place(|| server.resume());
        };
        let ((kept, failed), ()) = tokio::join!(uploads, back);
        assert!(failed.is_empty(), "{failed:?}");
        for (content, bytes) in &kept {
            assert!(fixture.read(content).await.unwrap() == *bytes);
        }
        fixture.chunks = None;
        fixture.server = Some(server);
    });
}

/// Leaves the rows as a server does that was killed before it noted anything.
struct Unseal;

impl Operation for Unseal {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let unseal = "UPDATE pack SET state = 0, bytes = 0, sealed_at = NULL WHERE state = 1";
        tx.execute(unseal, &[]).await?;
        tx.execute("DELETE FROM pack_work", &[]).await?;
        Ok(())
    }
}

#[test]
fn what_a_killed_server_left_open_is_readable_and_noted_later() {
    on_s3_with_each_database(async |mut fixture: Fixture| {
        let bytes = noise(300_000, 1);
        let content = fixture.put("a", &bytes).await;
        let lost = fixture.put("b", &noise(300_000, 2)).await;
        fixture.reopen();
        fixture.metadata.write(Unseal).await.unwrap();
        let unused = OpenPacks {
            uuids: vec![[7; 16], [8; 16]],
            at: fixture.clock.now(),
        };
        fixture.metadata.write(unused).await.unwrap();
        assert_eq!(fixture.packs_in(PackState::Open).await, 4);
        fixture.reopen();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.assert_clean().await;
        // The object of one that is named is lost.
        let packs = fixture.server.as_ref().unwrap().packs();
        let of_lost = pack_of(&fixture, &lost).await;
        let lost_file = packs.iter().find(|pack| pack.ends_with(&of_lost)).unwrap();
        std::fs::remove_file(lost_file).unwrap();
        let collect = async || {
            let report = &mut |_| {};
            let graces = Graces::default();
            fixture.chunks().collect(graces, report).await.unwrap()
        };
        collect().await;
        assert_eq!(fixture.packs_in(PackState::Open).await, 4, "too early");
        fixture.move_clock(25 * 3_600);
        collect().await;
        assert_eq!(fixture.packs_in(PackState::Open).await, 3);
        fixture.move_clock(8 * 86_400);
        collect().await;
        assert_eq!(
            fixture.packs_in(PackState::Open).await,
            1,
            "what files name is never forgotten"
        );
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert_eq!((found.hurts, found.hurt[0].content), (1, lost.id.0));
        assert!(fixture.read(&content).await.unwrap() == bytes);
    });
}

/// Returns the name of the file of a content's only pack.
async fn pack_of(fixture: &Fixture, content: &Content) -> String {
    use crate::store::chunks::pack_location;
    use crate::store::metadata::packs::FindPack;
    use crate::store::metadata::records::ContentBody;

    let pack = match &content.body {
        ContentBody::One(place) => place.pack,
        ContentBody::Map(bytes) => match nuage_shared::manifest::Map::decode(bytes).unwrap() {
            nuage_shared::manifest::Map::Leaf(chunks) => chunks[0].place.pack,
            nuage_shared::manifest::Map::Tree(leaves) => leaves[0].place.pack,
        },
        ContentBody::Hot(_) => panic!("it is in no pack"),
    };
    let (row, _) = fixture
        .metadata
        .read(FindPack(pack))
        .await
        .unwrap()
        .unwrap();
    pack_location(&row.uuid).display().to_string()
}

#[test]
fn servers_share_a_store() {
    on_s3_with_each_database(async |fixture: Fixture| {
        let metadata = match &fixture.url {
            Some(url) => Arc::new(open_postgres(url).await),
            None => Arc::clone(&fixture.metadata),
        };
        let second = fixture.second(&metadata).unwrap();
        let bytes = noise(3 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        let read = async |content: &Content| {
            use futures_util::TryStreamExt;
            let pieces: Result<Vec<Bytes>, _> = second
                .stream(content.clone(), 0..content.size_bytes)
                .try_collect()
                .await;
            pieces.map(|pieces| pieces.concat())
        };
        // At once: the first may not have noted the pack as sealed.
        assert!(read(&content).await.unwrap() == bytes);
        // The first has an upload that is not committed; the second collects in a hurry.
        let waiting = noise(2 << 20, 2);
        let request = fixture.request(Some(2 << 20), None);
        let ingested = fixture.ingest(&waiting, request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        fixture.move_clock(29 * 60);
        let done = second.collect(Graces::over(), &mut |_| {}).await.unwrap();
        assert!(done.packs_waiting > 0, "{done:?}");
        assert_eq!((done.packs_compacted, done.files_deleted), (0, 0));
        let content = fixture.commit("b", &ingested).await.unwrap();
        assert!(read(&content).await.unwrap() == waiting);
        // The first compacts and deletes under the second's feet.
        fixture.forget("a").await;
        let done = fixture.collect_later().await;
        assert!(
            done.packs_compacted > 0 && done.files_deleted > 0,
            "{done:?}"
        );
        assert!(read(&content).await.unwrap() == waiting);
    });
}

#[test]
fn an_orphan_is_as_old_as_the_store_says() {
    on_s3_with_each_database(async |fixture: Fixture| {
        fixture.put("a", &noise(100_000, 1)).await;
        let server = fixture.server.as_ref().unwrap();
        let pack = server.packs().remove(0);
        // As of a database that was restored to before the pack.
        let mut bytes = std::fs::read(&pack).unwrap();
        let uuid = [0xab; 16];
        let header = nuage_shared::frame::PackHeader {
            uuid,
            pack: nuage_shared::manifest::PackId(1_000_000),
            flags: 0,
        };
        let header = header.encode();
        bytes[..header.len()].copy_from_slice(&header);
        let shelf = pack.parent().unwrap().parent().unwrap().join("ab");
        std::fs::create_dir_all(&shelf).unwrap();
        let orphan = shelf.join(format!("{}.pack", hex::encode(uuid)));
        std::fs::write(&orphan, bytes).unwrap();
        let packs = fixture.packs();
        // This server's clock is wrong by more than the grace.
        fixture.move_clock(8 * 86_400);
        let report = &mut |_| {};
        let graces = Graces::default();
        let done = fixture.chunks().collect(graces, report).await.unwrap();
        assert!(orphan.exists(), "{done:?}");
        let done = fixture.collect_later().await;
        assert!(!orphan.exists(), "{done:?}");
        assert_eq!(fixture.packs(), packs - 1);
        fixture.assert_clean().await;
    });
}

#[test]
fn small_packs_become_large_ones_once() {
    on_both(async |mut fixture: Fixture| {
        fixture.segment_bytes = 4 << 20;
        let mut files = Vec::new();
        for number in 0..30 {
            fixture.reopen();
            let bytes = noise(80_000, number);
            files.push((fixture.put(&format!("f{number}"), &bytes).await, bytes));
        }
        fixture.reopen();
        let before = fixture.packs();
        assert!(before >= 30);
        let done = fixture.collect_later().await;
        assert_eq!(done.packs_compacted, 30, "{done:?}");
        // Segments that are open still count in a folder.
        fixture.reopen();
        assert!(fixture.packs() <= 4, "{} of {before}", fixture.packs());
        let done = fixture.collect_later().await;
        assert_eq!(
            (done.packs_compacted, done.copied_bytes),
            (0, 0),
            "{done:?}"
        );
        for (content, bytes) in &files {
            assert!(fixture.read(content).await.unwrap() == *bytes);
        }
        fixture.assert_clean().await;
    });
}

#[test]
fn small_bodies_are_packed_into_few_objects() {
    on_s3_with_each_database(async |mut fixture: Fixture| {
        fixture.hot_bytes_max = S3_HOT_BYTES_MAX;
        fixture.reopen();
        let mut files = Vec::new();
        for number in 0..400 {
            let bytes = noise(2_000 + number * 100, number as u64);
            files.push((fixture.put(&format!("f{number}"), &bytes).await, bytes));
        }
        assert_eq!(fixture.packs(), 0, "no upload waited for the store");
        assert_eq!(fixture.chunks().pack_hot().await.unwrap(), 400);
        assert_eq!(fixture.packs(), 1);
        for (content, bytes) in &files {
            let content = fixture.by_id(content).await.unwrap();
            assert!(fixture.read(&content).await.unwrap() == *bytes);
        }
        fixture.assert_clean().await;
    });
}

#[test]
fn the_cache_answers_alone_and_heals_what_its_disk_damages() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        let bytes = noise(5 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.cache_is_quiet().await;
        fixture.server.as_mut().unwrap().kill();
        fixture.chunks = None;
        // Nothing answers but the disk, after a restart that found what it holds.
        fixture.server.as_mut().unwrap().resume();
        fixture.reopen();
        tokio::time::sleep(Duration::from_millis(200)).await;
        fixture.server.as_mut().unwrap().kill();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.server.as_mut().unwrap().resume();
        fixture.reopen();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let files = fixture.cache_files();
        assert!(files.len() >= 20, "{}", files.len());
        for (index, file) in files.iter().enumerate() {
            let mut held = std::fs::read(file).unwrap();
            match index % 4 {
                0 => held.truncate(held.len() / 2),
                1 => *held.last_mut().unwrap() ^= 1,
                2 => held[9] ^= 1,
                // Another block's bytes under this one's name.
                _ => held = std::fs::read(&files[(index + 1) % files.len()]).unwrap(),
            }
            std::fs::write(file, held).unwrap();
        }
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.cache_is_quiet().await;
        // It is whole again.
        fixture.reopen();
        tokio::time::sleep(Duration::from_millis(200)).await;
        fixture.server.as_mut().unwrap().kill();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        fixture.chunks = None;
    });
}

#[test]
fn the_cache_stays_within_its_bound() {
    run(async {
        let mut fixture = Fixture::on_s3().await;
        let reopen = |fixture: &mut Fixture, cache_bytes: u64| {
            fixture.chunks = None;
            let mut settings = fixture.settings();
            settings.cache_bytes = 0;
            if let PackHome::S3(s3) = &mut settings.home {
                s3.cache_bytes = cache_bytes;
            }
            let metadata = Arc::clone(&fixture.metadata);
            let chunks = ChunkStore::open(settings, secrets(), metadata, fixture.clock.clone());
            fixture.chunks = Some(Arc::new(chunks.unwrap()));
        };
        reopen(&mut fixture, 3 << 20);
        let bytes = noise(9 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        for bound in [3_u64 << 20, 1 << 20] {
            reopen(&mut fixture, bound);
            for _ in 0..2 {
                assert!(fixture.read(&content).await.unwrap() == bytes);
                fixture.cache_is_quiet().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                let on_disk = fixture.cache_files();
                let on_disk = on_disk.iter().map(|file| file.metadata().unwrap().len());
                let on_disk: u64 = on_disk.sum();
                let cache = fixture.chunks().shared.objects.cache().unwrap();
                assert!(cache.used_bytes() <= bound);
                assert!(on_disk <= bound && on_disk > bound / 2, "{on_disk}");
            }
        }
    });
}

#[test]
fn a_cache_that_cannot_be_written_fails_nobody() {
    run(async {
        let fixture = Fixture::on_s3().await;
        // Files stand where its folders belong, as on a disk that takes nothing.
        for shelf in 0..=255 {
            std::fs::write(fixture.cache_folder().join(format!("{shelf:02x}")), "").unwrap();
        }
        let bytes = noise(3 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        for _ in 0..2 {
            assert!(fixture.read(&content).await.unwrap() == bytes);
            fixture.cache_is_quiet().await;
        }
        let cache = fixture.chunks().shared.objects.cache().unwrap();
        assert_eq!(cache.used_bytes(), 0, "room that was taken is given back");
    });
}

#[test]
fn readers_of_the_same_bytes_fetch_them_once() {
    run(async {
        let fixture = Fixture::on_s3().await;
        let bytes = noise(300_000, 1);
        let content = fixture.put("a", &bytes).await;
        let reads = (0..20).map(|_| fixture.read(&content));
        for read in futures_util::future::join_all(reads).await {
            assert!(read.unwrap() == bytes);
        }
        let cache = fixture.chunks().shared.objects.cache().unwrap();
        assert!(cache.fetches() <= 2, "{}", cache.fetches());
        // Somebody reads a large file from front to back: ever more at once.
        let bytes = noise(20 << 20, 2);
        let content = fixture.put("b", &bytes).await;
        let before = cache.fetches();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        let fetches = cache.fetches() - before;
        assert!(fetches <= 16, "{fetches} requests for 80 blocks");
    });
}

#[test]
fn the_store_of_another_installation_is_refused() {
    on_s3_with_each_database(async |fixture: Fixture| {
        fixture.put("a", &noise(100_000, 1)).await;
        let other = fixture.folder.path().join("other.db");
        let other = MetadataStore::open_sqlite(&other, SqliteSettings::default()).unwrap();
        let refused = fixture.second(&Arc::new(other)).unwrap_err();
        assert!(matches!(refused, ChunkError::WrongStore(_)), "{refused}");
        let mut settings = fixture.settings();
        if let PackHome::S3(s3) = &mut settings.home {
            s3.prefix = "else/where".to_owned();
            s3.cache_bytes = 0;
        }
        // Sealing is noted behind the upload's back.
        while fixture.packs_in(PackState::Sealed).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let metadata = Arc::clone(&fixture.metadata);
        let refused = ChunkStore::open(settings, secrets(), metadata, fixture.clock.clone());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("s3://nuage/some/where"), "{refused}");
        assert!(!format!("{:?}", fixture.settings()).contains("nuage-test-secret"));
        assert!(!packs_below(fixture.folder.path()).is_empty());
    });
}

#[test]
fn a_folder_that_is_not_the_databases_is_refused() {
    run(async {
        let url = test_server::database().await;
        let disk = Arc::new(SystemDisk);
        let mut fixture = Fixture::on_home(disk, false, Some(url)).await;
        let bytes = noise(100_000, 1);
        let content = fixture.put("a", &bytes).await;
        fixture.reopen();
        assert!(fixture.read(&content).await.unwrap() == bytes);
        let settings = ChunkSettings {
            home: PackHome::Folder(fixture.folder.path().join("empty")),
            ..fixture.settings()
        };
        let metadata = Arc::clone(&fixture.metadata);
        let refused = ChunkStore::open(settings, secrets(), metadata, fixture.clock.clone());
        let refused = refused.unwrap_err().to_string();
        let right = fixture.pack_folder().canonicalize().unwrap();
        assert!(refused.contains(&right.display().to_string()), "{refused}");
    });
}
