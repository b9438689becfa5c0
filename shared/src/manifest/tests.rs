//! What a map promises: it reads back as written, one map has one form, and no
//! bytes whatever do harm.

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use crate::chunk_id::ChunkId;
use crate::frame::FRAME_BYTES_MAX;
use crate::frame::FRAME_OVERHEAD_BYTES;
use crate::manifest::ChunkRef;
use crate::manifest::LEAF_CHUNKS_MAX;
use crate::manifest::LEAF_CHUNKS_MIN;
use crate::manifest::LeafRef;
use crate::manifest::Map;
use crate::manifest::MapFault;
use crate::manifest::PackId;
use crate::manifest::Place;
use crate::manifest::decode_leaf;
use crate::manifest::encode_leaf;
use crate::manifest::ends_leaf;

fn places() -> impl Strategy<Value = Place> {
    let offset = prop_oneof![0_u64..1 << 26, 0_u64..1 << 62];
    (0..=i64::MAX, offset, 0..=FRAME_BYTES_MAX).prop_map(|(pack, offset, stored_bytes)| Place {
        pack: PackId(pack),
        offset,
        stored_bytes,
    })
}

/// Chunks as they come to lie: mostly back to back, sometimes elsewhere.
fn chunks() -> impl Strategy<Value = Vec<ChunkRef>> {
    let chunk = (any::<[u8; 32]>(), 0..=FRAME_BYTES_MAX, places(), 0_u8..4);
    vec(chunk, 0..40).prop_map(|chunks| {
        let mut placed: Vec<ChunkRef> = Vec::new();
        for (id, plain_bytes, mut place, jump) in chunks {
            if let Some(last) = placed.last().filter(|_| jump > 0) {
                place.pack = last.place.pack;
                place.offset = last.place.end_offset();
            }
            placed.push(ChunkRef {
                id: ChunkId(id),
                plain_bytes,
                place,
            });
        }
        placed
    })
}

fn leaves() -> impl Strategy<Value = Vec<LeafRef>> {
    let leaf = (places(), any::<[u8; 32]>(), any::<u32>(), any::<u64>());
    vec(
        leaf.prop_map(|(place, id, chunks, plain_bytes)| LeafRef {
            place,
            leaf_id: ChunkId(id),
            chunks,
            plain_bytes,
        }),
        0..20,
    )
}

fn maps() -> impl Strategy<Value = Map> {
    prop_oneof![chunks().prop_map(Map::Leaf), leaves().prop_map(Map::Tree)]
}

proptest! {
    #[test]
    fn a_map_reads_back_as_written(map in maps()) {
        prop_assert_eq!(Map::decode(&map.encode()), Ok(map));
    }

    #[test]
    fn a_leaf_reads_back_as_written(chunks in chunks()) {
        prop_assert_eq!(decode_leaf(&encode_leaf(&chunks)), Ok(chunks));
    }

    #[test]
    fn a_map_that_is_cut_or_followed_by_something_is_refused(map in maps(), at in any::<usize>(), behind in any::<u8>()) {
        let mut bytes = map.encode();
        prop_assert!(Map::decode(&bytes[..at % bytes.len()]).is_err());
        bytes.push(behind);
        prop_assert!(Map::decode(&bytes).is_err());
    }

    #[test]
    fn one_map_has_one_form(bytes in vec(any::<u8>(), 0..200), kind in 1_u8..3) {
        let mut bytes = bytes;
        bytes.splice(..0, [kind, 1]);
        if let Ok(map) = Map::decode(&bytes) {
            prop_assert_eq!(map.encode(), bytes);
        }
    }

    #[test]
    fn damaged_maps_are_refused_or_are_other_maps(map in maps(), hurt in vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut bytes = map.encode();
        for (at, value) in hurt {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(other) = Map::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn small_numbers_are_one_form_too(bytes in vec(0_u8..4, 0..80), ids in 0_u8..3) {
        // One run of so many frames, ids of one value, and then anything small: this often is a map.
        let mut bytes = bytes;
        bytes.splice(..0, [vec![1, 1, 1, 3, 9, ids, ids], vec![5; 32 * usize::from(ids)]].concat());
        if let Ok(map) = Map::decode(&bytes) {
            prop_assert_eq!(map.encode(), bytes);
        }
    }

    #[test]
    fn a_leaf_ends_between_its_least_and_its_largest(last in any::<[u8; 32]>(), count in 1_usize..1000) {
        let ends = ends_leaf(count, &ChunkId(last));
        prop_assert!(count >= LEAF_CHUNKS_MIN || !ends);
        prop_assert!(count < LEAF_CHUNKS_MAX || ends);
    }
}

#[test]
fn frames_back_to_back_are_one_run() {
    let chunk = |number: u64| ChunkRef {
        id: ChunkId([number.to_le_bytes()[0]; 32]),
        plain_bytes: 100,
        place: Place {
            pack: PackId(3),
            offset: 36 + number * (100 + FRAME_OVERHEAD_BYTES as u64),
            stored_bytes: 100,
        },
    };
    let chunks: Vec<ChunkRef> = (0..200).map(chunk).collect();
    let bytes = encode_leaf(&chunks);

    // Version, one run (pack, offset, 200 frames), 200 chunks of an id and two lengths.
    assert_eq!(bytes.len(), 1 + 1 + (1 + 1 + 2) + 2 + 200 * (32 + 1 + 1));
    assert_eq!(decode_leaf(&bytes), Ok(chunks));
}

#[test]
fn a_run_cut_in_two_is_not_what_encoding_writes() {
    // Two runs of one frame each; the second begins where the first ends, 10 + 53 + 7.
    let halves = [
        &[1, 2, 4, 10, 1, 4, 70, 1, 2][..],
        &[0; 64],
        &[9, 9],
        &[7, 7],
    ]
    .concat();
    assert_eq!(decode_leaf(&halves), Err(MapFault::Number));
    let apart = [
        &[1, 2, 4, 10, 1, 4, 71, 1, 2][..],
        &[0; 64],
        &[9, 9],
        &[7, 7],
    ]
    .concat();
    assert!(decode_leaf(&apart).is_ok());
}

#[test]
fn counts_that_nothing_backs_are_refused_before_memory_is_asked_for() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for front in [&[1, 1][..], &[1, 1, 0], &[2]] {
        assert!(Map::decode(&[front, &huge].concat()).is_err());
    }
    // One run that says it has 2⁶⁴ − 1 frames.
    let endless = [&[1, 1, 1, 4, 10][..], &huge, &[0]].concat();
    assert_eq!(Map::decode(&endless), Err(MapFault::Number));
}
