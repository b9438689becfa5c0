//! A content made of others: the same bytes, under one name, without copying what has frames.

use bytes::Bytes;
use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::Map;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Fixture;
use super::noise;
use super::on_both;
use super::run;
use crate::store::chunks::ChunkError;
use crate::store::chunks::Ingested;
use crate::store::chunks::tests::s3_server::packs_below;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::ContentBody;

const MIB: usize = 1 << 20;

/// A content that is stored, and the id of its chunk, where that is one.
struct Part {
    content: Content,
    chunk: Option<ChunkId>,
}

impl Fixture {
    async fn part(&self, at: &str, bytes: &[u8], profile: Profile) -> Part {
        let mut request = self.request(Some(bytes.len() as u64), None);
        request.profile = Some(profile);
        let ingested = self.ingest(bytes, request).await.unwrap();
        Part {
            content: self.commit(at, &ingested).await.unwrap(),
            chunk: ingested.only_chunk,
        }
    }

    async fn parts(&self, name: &str, bodies: &[Vec<u8>], profile: Profile) -> Vec<Part> {
        let mut parts = Vec::new();
        for (number, body) in bodies.iter().enumerate() {
            parts.push(self.part(&format!("{name}-{number}"), body, profile).await);
        }
        parts
    }

    async fn try_join(&self, parts: &[Part], profile: Profile) -> Result<Ingested, ChunkError> {
        let size_bytes = parts.iter().map(|part| part.content.size_bytes).sum();
        let whole = self.chunks().concatenate(self.space, size_bytes, profile);
        let mut whole = whole.await?;
        for part in parts {
            whole.push(&part.content, part.chunk).await?;
        }
        whole.finish().await
    }

    async fn join(&self, parts: &[Part], profile: Profile) -> Content {
        let ingested = self.try_join(parts, profile).await.unwrap();
        self.commit("whole", &ingested).await.unwrap()
    }

    /// Compares a content with bytes, as a whole and around every boundary of its parts.
    async fn assert_holds(&self, content: &Content, bodies: &[Vec<u8>]) {
        let expected = bodies.concat();
        assert_eq!(content.size_bytes, expected.len() as u64);
        assert!(self.read(content).await.unwrap() == expected);
        let mut boundary = 0;
        for body in bodies {
            boundary += body.len();
            let range = boundary.saturating_sub(7)..(boundary + 7).min(expected.len());
            let asked = range.start as u64..range.end as u64;
            let found = self.read_range(content, asked).await.unwrap();
            assert!(found == expected[range], "around {boundary}");
        }
    }
}

fn damage(result: Result<Ingested, ChunkError>) -> String {
    match result {
        Err(ChunkError::Damaged(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("nothing was noticed"),
    }
}

#[test]
fn parts_on_either_side_of_every_limit_make_a_whole() {
    on_both(async |fixture: Fixture| {
        // Nothing at all; cut anew up to 1 MiB; named by a map above; of a byte, of what is one chunk,
        // of what stays in the database, of what has frames.
        for (case, lengths) in [
            vec![0],
            vec![0, 0],
            vec![1],
            vec![MIB],
            vec![MIB + 1],
            vec![MIB - 1, 1],
            vec![MIB, 1],
            vec![0, MIB, 0, 1, 0],
            vec![16_384, 16_385, 65_536, 65_537, MIB],
            vec![3 * MIB, 1, 3 * MIB, 0, 20_000, 1, 1, 3 * MIB],
        ]
        .into_iter()
        .enumerate()
        {
            let bodies: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| noise(*length, (100 * case + number) as u64))
                .collect();
            let parts = fixture.parts("p", &bodies, Profile::M).await;
            let whole = fixture.join(&parts, Profile::M).await;
            println!("{lengths:?}");
            fixture.assert_holds(&whole, &bodies).await;
        }
    });
}

#[test]
fn one_part_is_named_and_not_copied() {
    on_both(async |fixture: Fixture| {
        let bodies = [noise(30 * MIB, 1)];
        let parts = fixture.parts("p", &bodies, Profile::M).await;
        let before = fixture.pack_bytes();

        let whole = fixture.join(&parts, Profile::M).await;

        assert!(fixture.pack_bytes() - before < 64 << 10);
        // The same bytes cut alike have one name.
        assert_eq!(whole.hash, parts[0].content.hash);
        fixture.assert_holds(&whole, &bodies).await;
    });
}

#[test]
fn parts_that_were_cut_by_several_profiles_make_a_whole() {
    run(async {
        let fixture = Fixture::new().await;
        let mut bodies: Vec<_> = (0..6).map(|seed| noise(9 * MIB, seed)).collect();
        let profiles = [Profile::L, Profile::S, Profile::M];
        let mut parts = Vec::new();
        for (number, body) in bodies.iter().enumerate() {
            let profile = profiles[number % profiles.len()];
            parts.push(fixture.part(&format!("p{number}"), body, profile).await);
        }
        let before = fixture.pack_bytes();
        for profile in profiles {
            // In another order each time: the same bytes would be the content that is there.
            parts.rotate_left(1);
            bodies.rotate_left(1);
            let whole = fixture.join(&parts, profile).await;
            assert_eq!(whole.profile, profile);
            fixture.assert_holds(&whole, &bodies).await;
        }
        assert!(fixture.pack_bytes() - before < 256 << 10);
    });
}

#[test]
fn parts_with_maps_of_leaves_make_one() {
    on_both(async |fixture: Fixture| {
        // About 64 KiB each: more chunks than a leaf holds, in the parts and in the whole.
        let bodies: Vec<_> = (0..3).map(|seed| noise(45 * MIB, seed)).collect();
        let parts = fixture.parts("p", &bodies, Profile::S).await;
        for part in &parts {
            let ContentBody::Map(map) = &part.content.body else {
                panic!("{:?}", part.content);
            };
            assert!(matches!(Map::decode(map), Ok(Map::Tree(_))));
        }
        let before = fixture.pack_bytes();

        let whole = fixture.join(&parts, Profile::S).await;

        let chunks: u32 = parts.iter().map(|part| part.content.chunks).sum();
        assert_eq!(whole.chunks, chunks);
        assert!(fixture.pack_bytes() - before < MIB as u64);
        fixture.assert_holds(&whole, &bodies).await;
    });
}

#[test]
fn small_parts_are_gathered_into_chunks_of_their_own() {
    on_both(async |fixture: Fixture| {
        let small: Vec<_> = (0..200).map(|seed| noise(9_000, seed)).collect();
        let mut bodies = small.clone();
        bodies.insert(77, noise(2 * MIB, 1_000));
        let parts = fixture.parts("p", &bodies, Profile::S).await;
        assert!(matches!(parts[0].content.body, ContentBody::Hot(_)));
        let before = fixture.pack_bytes();

        let whole = fixture.join(&parts, Profile::S).await;

        let grown = fixture.pack_bytes() - before;
        let bytes: usize = small.iter().map(Vec::len).sum();
        assert!(grown >= bytes as u64 && grown < bytes as u64 + (64 << 10));
        let own = u64::from(whole.chunks - parts[77].content.chunks);
        let (avg, max) = (Profile::S.avg_bytes(), Profile::S.max_bytes());
        assert!(own >= (bytes / max) as u64 && own <= (bytes / avg) as u64 + 2);
        fixture.assert_holds(&whole, &bodies).await;
    });
}

#[test]
fn a_part_that_was_packed_between_two_looks_is_found_where_it_went() {
    on_both(async |fixture: Fixture| {
        let bodies = [noise(9_000, 1), noise(2 * MIB, 2), noise(9_000, 3)];
        let parts = fixture.parts("p", &bodies, Profile::S).await;
        fixture.chunks().pack_hot().await.unwrap();
        // As a reader sees them whose snapshot lies before.
        let seen: Vec<_> = parts
            .iter()
            .map(|part| match &part.content.body {
                ContentBody::Hot(_) => Part {
                    content: Content {
                        body: ContentBody::Hot(Bytes::new()),
                        ..part.content.clone()
                    },
                    ..*part
                },
                ContentBody::One(_) | ContentBody::Map(_) => Part {
                    content: part.content.clone(),
                    ..*part
                },
            })
            .collect();

        let whole = fixture.join(&seen, Profile::S).await;

        fixture.assert_holds(&whole, &bodies).await;
    });
}

#[test]
fn a_damaged_part_is_noticed_and_no_whole_is_made_of_it() {
    on_both(async |fixture: Fixture| {
        let bodies = [noise(2 * MIB, 1), noise(9_000, 2), noise(50_000, 3)];
        let whole_parts = fixture.parts("p", &bodies, Profile::S).await;
        let with = |index: usize, body: Option<ContentBody>, chunk: Option<ChunkId>| {
            let parts = whole_parts.iter().enumerate();
            let parts = parts.map(|(number, part)| {
                let mut content = part.content.clone();
                let mut known = part.chunk;
                if number == index {
                    content.body = body.clone().unwrap_or(content.body);
                    known = chunk;
                }
                let chunk = known;
                Part { content, chunk }
            });
            parts.collect::<Vec<_>>()
        };
        let join = async |parts: Vec<Part>| fixture.try_join(&parts, Profile::S).await;

        // A map that is none.
        let garbage = ContentBody::Map(Bytes::from_static(b"no map"));
        let reason = damage(join(with(0, Some(garbage), None)).await);
        assert!(reason.contains("map of content"), "{reason}");
        // Bytes that the database no longer has, and never gave to a pack.
        let empty = ContentBody::Hot(Bytes::new());
        damage(join(with(1, Some(empty), None)).await);
        // A frame whose id nobody knows.
        assert!(matches!(whole_parts[2].content.body, ContentBody::One(_)));
        damage(join(with(2, None, None)).await);
        // Nothing of all that stays in the way.
        let whole = fixture.join(&whole_parts, Profile::S).await;
        fixture.assert_holds(&whole, &bodies).await;
    });
}

#[test]
fn a_part_whose_frame_is_damaged_is_not_read_into_a_small_whole_nor_out_of_a_large_one() {
    run(async {
        let fixture = Fixture::new().await;
        let bodies = [noise(500_000, 1), noise(2 * MIB, 2)];
        let parts = fixture.parts("p", &bodies, Profile::S).await;
        for pack in packs_below(&fixture.pack_folder()) {
            let mut bytes = std::fs::read(&pack).unwrap();
            let place = bytes
                .windows(64)
                .position(|window| window == &bodies[0][250_000..250_064]);
            if let Some(place) = place {
                bytes[place] ^= 1;
                std::fs::write(&pack, bytes).unwrap();
            }
        }

        // It is read, as it is cut anew.
        let small = fixture.try_join(&parts[..1], Profile::S).await;
        assert!(small.is_err());
        // It is named, as whoever reads the part itself would find it: broken there, whole behind.
        let whole = fixture.join(&parts, Profile::S).await;
        assert!(fixture.read(&whole).await.is_err());
        let behind = fixture.read_range(&whole, 500_000..whole.size_bytes).await;
        assert!(behind.unwrap() == bodies[1]);
    });
}

#[test]
fn any_parts_make_the_bytes_that_they_hold() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    on_both(async |fixture: Fixture| {
        let mut random = StdRng::seed_from_u64(seed);
        for round in 0..12 {
            let profile = [Profile::S, Profile::M, Profile::L][random.random_range(0..3)];
            let bodies: Vec<_> = (0..random.random_range(1..30))
                .map(|_| {
                    let length = match random.random_range(0..4) {
                        0 => 0,
                        1 => random.random_range(1..2_000),
                        2 => random.random_range(2_000..100_000),
                        _ => random.random_range(100_000..900_000),
                    };
                    noise(length, random.random())
                })
                .collect();
            let parts = fixture.parts("p", &bodies, profile).await;
            if random.random() {
                fixture.chunks().pack_hot().await.unwrap();
            }
            let whole = fixture.join(&parts, profile).await;
            println!("round {round}: {} parts", bodies.len());
            fixture.assert_holds(&whole, &bodies).await;
        }
    });
}
