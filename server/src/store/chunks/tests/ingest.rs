//! Bytes in, the same bytes out; and nothing stored twice.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::test_runner::TestRunner;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Fixture;
use super::noise;
use super::on_both;
use super::run;
use crate::store::chunks::ChecksumKind;
use crate::store::chunks::Checksums;
use crate::store::chunks::ChunkError;
use crate::store::chunks::DedupScope;
use crate::store::chunks::disk::SystemDisk;
use crate::store::metadata::records::ContentBody;

#[test]
fn contents_of_every_size_come_back_whole_and_in_part() {
    on_both(async |fixture: Fixture| {
        for (seed, length) in [
            0, 1, 16_384, 16_385, 65_536, 65_537, 262_144, 1_000_000, 4_194_304, 4_194_305,
            30_000_000,
        ]
        .into_iter()
        .enumerate()
        {
            let bytes = noise(length, seed as u64);
            let content = fixture.put(&format!("f{seed}"), &bytes).await;
            assert_eq!(content.size_bytes, length as u64);
            assert!(fixture.read(&content).await.unwrap() == bytes, "{length}");
            let (from, until) = (length / 3, length / 3 * 2);
            let part = fixture
                .read_range(&content, from as u64..until as u64)
                .await
                .unwrap();
            assert!(part == bytes[from..until], "{length}");
        }
    });
}

#[test]
fn any_bytes_in_any_pieces_have_one_name_and_come_back_in_any_range() {
    on_both(async |fixture: Fixture| {
        let fixture = Arc::new(fixture);
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 40,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let handle = tokio::runtime::Handle::current();
        let tested = Arc::clone(&fixture);
        tokio::task::spawn_blocking(move || {
            runner.run(&(any::<u64>(), 0_usize..3_000_000), |(seed, length)| {
                handle.block_on(one_content(&tested, seed, length));
                Ok(())
            })
        })
        .await
        .unwrap()
        .unwrap();
    });
}

/// Stores a content twice, cut into other pieces, and reads parts of it.
async fn one_content(fixture: &Fixture, seed: u64, length: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = noise(length, seed);
    if random.random() {
        // Half of them shrink when compressed.
        for byte in &mut bytes {
            *byte &= 0x0f;
        }
    }
    let mut names = Vec::new();
    let mut last = None;
    for _ in 0..2 {
        let mut request = fixture.request(Some(length as u64), None);
        request.dedup = DedupScope::Replaced;
        request.checksums = Checksums::of([ChecksumKind::Adler32]);
        let mut ingest = fixture.chunks().ingest(request);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let piece = rest.len().min(random.random_range(1..200_000));
            ingest
                .write(Bytes::copy_from_slice(&rest[..piece]))
                .await
                .unwrap();
            rest = &rest[piece..];
        }
        let ingested = ingest.finish().await.unwrap();
        let mut adler = adler2::Adler32::new();
        adler.write_slice(&bytes);
        let found = ingested.checksums.value(ChecksumKind::Adler32);
        assert_eq!(found, Some(format!("{:08x}", adler.checksum())));
        names.push(ingested.content.hash);
        last = Some(fixture.commit("f", &ingested).await.unwrap());
    }
    assert_eq!(names[0], names[1]);
    let content = last.unwrap();
    for _ in 0..4 {
        let from = random.random_range(0..=length);
        let until = random.random_range(from..=length);
        let part = fixture
            .read_range(&content, from as u64..until as u64)
            .await
            .unwrap();
        assert!(part == bytes[from..until], "seed {seed}, {from}..{until}");
    }
}

#[test]
fn the_same_large_file_again_appends_nothing() {
    run(async {
        let fixture = Fixture::new().await;
        let bytes = noise(300 << 20, 1);
        let first = fixture.put("a", &bytes).await;
        assert!(matches!(first.body, ContentBody::Map(_)));
        let before = fixture.pack_bytes();
        let second = fixture.put("b", &bytes).await;
        assert_eq!(fixture.pack_bytes(), before);
        assert_eq!(second.hash, first.hash);
        assert_eq!(second.id, first.id);
    });
}

#[test]
fn the_same_small_file_again_appends_nothing() {
    on_both(async |fixture: Fixture| {
        let bytes = noise(2 << 20, 1);
        fixture.put("a", &bytes).await;
        let before = fixture.pack_bytes();
        fixture.put("b", &bytes).await;
        assert_eq!(fixture.pack_bytes(), before);
    });
}

#[test]
fn an_edit_costs_about_what_was_edited() {
    run(async {
        let fixture = Fixture::new().await;
        let mut bytes = noise(100 << 20, 1);
        fixture.put("a", &bytes).await;
        let before = fixture.pack_bytes();
        // In the middle, over the former version.
        let middle = 50 << 20;
        bytes[middle..middle + (1 << 20)].copy_from_slice(&noise(1 << 20, 2));
        fixture.put("a", &bytes).await;
        let edited = fixture.pack_bytes() - before;
        assert!(edited < 2 << 20, "{edited} bytes for an overwritten MiB");
        // In front, as a new file: found by hooks.
        let mut longer = noise(1 << 20, 3);
        longer.extend_from_slice(&bytes);
        let before = fixture.pack_bytes();
        let content = fixture.put("b", &longer).await;
        let inserted = fixture.pack_bytes() - before;
        assert!(inserted < 16 << 20, "{inserted} bytes for a MiB in front");
        assert!(fixture.read(&content).await.unwrap() == longer);
    });
}

#[test]
fn who_may_read_only_the_replaced_version_finds_nothing_else() {
    run(async {
        let fixture = Fixture::new().await;
        let bytes = noise(8 << 20, 1);
        fixture.put("a", &bytes).await;
        let before = fixture.pack_bytes();
        let mut request = fixture.request(Some(bytes.len() as u64), None);
        request.dedup = DedupScope::Replaced;
        let ingested = fixture.ingest(&bytes, request).await.unwrap();
        assert!(fixture.pack_bytes() - before >= 8 << 20);
        assert!(ingested.content.sources.is_empty());
    });
}

#[test]
fn text_is_stored_compressed_and_read_back() {
    on_both(async |fixture: Fixture| {
        let text = "la même phrase, encore et encore; "
            .repeat(400_000)
            .into_bytes();
        let before = fixture.pack_bytes();
        let content = fixture.put("a", &text).await;
        assert!(fixture.pack_bytes() - before < text.len() as u64 / 10);
        assert!(fixture.read(&content).await.unwrap() == text);
    });
}

#[test]
fn a_restart_keeps_everything_and_a_second_process_is_refused() {
    run(async {
        let mut fixture = Fixture::new().await;
        let bytes = noise(3 << 20, 1);
        let content = fixture.put("a", &bytes).await;
        let second = fixture.try_open_on(Arc::new(SystemDisk));
        assert!(matches!(second, Err(ChunkError::InUse { .. })));
        fixture.reopen();
        assert!(fixture.read(&content).await.unwrap() == bytes);
    });
}

#[test]
fn many_uploads_at_once_in_little_memory_all_finish() {
    on_both(async |mut fixture: Fixture| {
        fixture.chunks = None;
        let mut settings = fixture.settings();
        settings.upload_memory_bytes = 1 << 20;
        let store = super::ChunkStore::open(
            settings,
            super::secrets(),
            Arc::clone(&fixture.metadata),
            fixture.clock.clone(),
        );
        fixture.chunks = Some(Arc::new(store.unwrap()));
        let fixture = Arc::new(fixture);
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                let fixture = Arc::clone(&fixture);
                tokio::spawn(async move {
                    let bytes = noise(100_000 << (number % 6), number);
                    let content = fixture.put(&format!("f{number}"), &bytes).await;
                    assert!(fixture.read(&content).await.unwrap() == bytes);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
