//! After a crash, and when the disk refuses.

use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Fixture;
use super::noise;
use super::run;
use crate::store::chunks::disk::Disk;
use crate::store::chunks::disk::SegmentFile;
use crate::store::chunks::disk::SystemDisk;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::Content;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Makes every sealed pack look as if its process had died before it was sealed.
struct Unseal;

impl Operation for Unseal {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.execute(
            "UPDATE pack SET state = 0, bytes = 0, sealed_at = NULL WHERE state = 1",
            &[],
        )
        .await?;
        Ok(())
    }
}

fn pack_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pack_files(&path));
        } else if path.extension().is_some_and(|kind| kind == "pack") {
            found.push(path);
        }
    }
    found
}

/// Three committed files and one upload that was never committed, in one segment; its bytes, and
/// where the committed ones end.
async fn one_segment() -> (Fixture, Vec<(Content, Vec<u8>)>, Vec<u8>, usize) {
    let mut fixture = Fixture::new().await;
    let mut files = Vec::new();
    let mut last: Option<nuage_shared::manifest::PackId> = None;
    // One appender takes its turn after the other: every second upload shares a segment.
    for number in 0..8 {
        let bytes = noise(20_000, number);
        let request = fixture.request(Some(20_000), None);
        let ingested = fixture.ingest(&bytes, request).await.unwrap();
        let pack = ingested.content.packs[0];
        if last.is_some_and(|held| held != pack) {
            continue;
        }
        last = Some(pack);
        if files.len() < 3 {
            let content = fixture
                .commit(&format!("f{number}"), &ingested)
                .await
                .unwrap();
            files.push((content, bytes));
        } else {
            break;
        }
    }
    assert_eq!(files.len(), 3);
    let place = match &files[0].0.body {
        crate::store::metadata::records::ContentBody::One(place) => *place,
        other => panic!("{other:?}"),
    };
    let segment = fixture
        .chunks()
        .shared
        .places
        .find_segment(place.pack)
        .unwrap();
    let bytes = std::fs::read(&segment.file.as_ref().unwrap().path).unwrap();
    let named_end = match &files[2].0.body {
        crate::store::metadata::records::ContentBody::One(place) => place.end_offset(),
        other => panic!("{other:?}"),
    };
    let path = segment.file.as_ref().unwrap().path.clone();
    drop(segment);
    fixture.chunks = None;
    for other in pack_files(&fixture.pack_folder()) {
        if other != path {
            std::fs::remove_file(other).unwrap();
        }
    }
    (fixture, files, bytes, usize::try_from(named_end).unwrap())
}

#[test]
fn a_segment_cut_at_any_point_behind_what_is_named_loses_nothing() {
    run(async {
        let (mut fixture, files, bytes, named_end) = one_segment().await;
        let path = pack_files(&fixture.pack_folder()).remove(0);
        let tail = bytes.len() - named_end;
        assert!(
            tail > FRAME_OVERHEAD_BYTES,
            "an uncommitted frame stands there"
        );
        let near_the_ends = (0..60).chain(tail - 60..=tail);
        for kept in near_the_ends.chain((60..tail - 60).step_by(997)) {
            fixture.metadata.write(Unseal).await.unwrap();
            std::fs::write(&path, &bytes[..named_end + kept]).unwrap();
            fixture.reopen();
            for (content, expected) in &files {
                assert!(fixture.read(content).await.unwrap() == *expected, "{kept}");
            }
            let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
            assert!(found.is_clean(), "{kept}: {found:?}");
            fixture.chunks = None;
        }
    });
}

#[test]
fn a_segment_that_lost_named_bytes_is_reported_and_the_rest_stays_readable() {
    run(async {
        let (mut fixture, files, bytes, named_end) = one_segment().await;
        let path = pack_files(&fixture.pack_folder()).remove(0);
        // A flipped bit in the middle of the first file's frame; then the end of the third's missing.
        let mut flipped = bytes.clone();
        flipped[10_000] ^= 1;
        for (damaged, hurt) in [(flipped, 0), (bytes[..named_end - 1_000].to_vec(), 2)] {
            fixture.metadata.write(Unseal).await.unwrap();
            std::fs::write(&path, &damaged).unwrap();
            fixture.reopen();
            for (index, (content, expected)) in files.iter().enumerate() {
                match fixture.read(content).await {
                    Ok(read) => assert!(index != hurt && read == *expected),
                    Err(_) => assert_eq!(index, hurt),
                }
            }
            let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
            assert_eq!(found.hurts, 1, "{found:?}");
            assert_eq!(found.hurt[0].content, files[hurt].0.id.0);
            assert!(found.hurt[0].files[0].path.is_some());
            fixture.chunks = None;
        }
    });
}

/// A disk that fails at random: refuses space, errs, writes a part, or cannot sync.
#[derive(Debug)]
struct FailingDisk {
    random: Arc<Mutex<StdRng>>,
}

#[derive(Debug)]
struct FailingFile {
    random: Arc<Mutex<StdRng>>,
    file: Box<dyn SegmentFile>,
}

/// Returns an error in one of `among` cases.
fn chance(random: &Mutex<StdRng>, among: u32) -> io::Result<()> {
    let mut random = random.lock().unwrap();
    if random.random_range(0..among) > 0 {
        return Ok(());
    }
    Err(if random.random() {
        io::ErrorKind::StorageFull.into()
    } else {
        io::Error::from_raw_os_error(5)
    })
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<(Box<dyn SegmentFile>, Arc<File>)> {
        chance(&self.random, 10)?;
        let (file, reader) = SystemDisk.create(path)?;
        let random = Arc::clone(&self.random);
        Ok((Box::new(FailingFile { random, file }), reader))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        chance(&self.random, 20)?;
        SystemDisk.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(path)
    }
}

impl SegmentFile for FailingFile {
    fn append(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let Err(error) = chance(&self.random, 12) else {
            return self.file.append(pieces);
        };
        // Some of it reaches the file.
        let some = self.random.lock().unwrap().random_range(0..=pieces.len());
        self.file.append(&mut pieces[..some])?;
        Err(error)
    }

    fn sync(&mut self) -> io::Result<()> {
        chance(&self.random, 12)?;
        self.file.sync()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        chance(&self.random, 2)?;
        self.file.cut(bytes)
    }
}

#[test]
fn what_was_acknowledged_survives_a_disk_that_fails_at_any_point() {
    let seed = rand::random();
    println!("seed {seed}");
    run(async {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = FailingDisk {
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed ^ 1))),
        };
        let mut fixture = Fixture::on(Arc::new(disk)).await;
        let mut kept = Vec::new();
        let mut failed = 0;
        for number in 0..300 {
            let length = random.random_range(17_000..400_000);
            let bytes = noise(length, random.random());
            let request = fixture.request(Some(length as u64), None);
            match fixture.ingest(&bytes, request).await {
                Ok(ingested) => {
                    let content = fixture
                        .commit(&format!("f{number}"), &ingested)
                        .await
                        .unwrap();
                    kept.push((content, bytes));
                }
                Err(_) => failed += 1,
            }
            if let Some((content, bytes)) = kept.get(random.random_range(0..=kept.len())) {
                assert!(
                    fixture.read(content).await.unwrap() == *bytes,
                    "seed {seed}"
                );
            }
            if number % 60 == 59 {
                fixture.reopen();
                let disk = FailingDisk {
                    random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed ^ number))),
                };
                fixture.chunks = None;
                fixture.open_on(Arc::new(disk));
            }
        }
        assert!(
            failed > 10 && kept.len() > 50,
            "seed {seed}: {failed} failed"
        );
        fixture.reopen();
        for (content, bytes) in &kept {
            assert!(
                fixture.read(content).await.unwrap() == *bytes,
                "seed {seed}"
            );
        }
        let found = fixture.chunks().verify(&mut |_| {}).await.unwrap();
        assert!(found.is_clean(), "seed {seed}: {found:?}");
    });
}
