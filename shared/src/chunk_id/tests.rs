//! What the names of chunks and contents promise.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::prop_assert_ne;
use proptest::proptest;

use crate::chunk_id::ChunkId;
use crate::chunk_id::ChunkKey;
use crate::chunk_id::ContentId;

/// Names a content of these chunks.
fn content_id(key: &ChunkKey, chunks: &[([u8; 32], u32)]) -> ContentId {
    let mut hasher = key.content_hasher();
    for (id, plain_bytes) in chunks {
        hasher.push(ChunkId(*id), *plain_bytes);
    }
    hasher.finish()
}

proptest! {
    #[test]
    fn equal_bytes_have_one_name_and_other_bytes_another(a in vec(any::<u8>(), 0..64), b in vec(any::<u8>(), 0..64)) {
        let key = ChunkKey::new([7; 32]);
        prop_assert_eq!(key.chunk_id(&a), key.chunk_id(&a.clone()));
        prop_assert_eq!(a == b, key.chunk_id(&a) == key.chunk_id(&b));
    }

    #[test]
    fn whoever_lacks_the_key_cannot_tell_the_name(bytes in vec(any::<u8>(), 0..64), key in any::<[u8; 32]>(), flipped in 0_usize..256) {
        let mut other = key;
        other[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert_ne!(ChunkKey::new(key).chunk_id(&bytes), ChunkKey::new(other).chunk_id(&bytes));
        prop_assert_ne!(ChunkKey::new(key).chunk_id(&bytes), ChunkId(*blake3::hash(&bytes).as_bytes()));
    }

    #[test]
    fn the_name_of_a_content_tells_its_chunks_their_lengths_and_their_order(
        a in vec((any::<[u8; 32]>(), any::<u32>()), 0..6),
        b in vec((any::<[u8; 32]>(), any::<u32>()), 0..6),
    ) {
        let key = ChunkKey::new([9; 32]);
        prop_assert_eq!(a == b, content_id(&key, &a) == content_id(&key, &b));
        let mut turned = a.clone();
        turned.reverse();
        prop_assert_eq!(a == turned, content_id(&key, &a) == content_id(&key, &turned));
    }

    #[test]
    fn the_prefix_is_the_first_eight_bytes(id in any::<[u8; 32]>()) {
        let prefix = ChunkId(id).prefix8().to_le_bytes();
        prop_assert_eq!(&prefix[..], &id[..8]);
    }
}

#[test]
fn one_chunk_in_sixteen_is_a_hook() {
    let key = ChunkKey::new([1; 32]);
    let hooks = (0_u32..4096)
        .filter(|number| key.chunk_id(&number.to_le_bytes()).is_hook())
        .count();
    assert!((200..320).contains(&hooks), "{hooks} of 4096");
}

#[test]
fn a_key_does_not_print_itself() {
    assert_eq!(format!("{:?}", ChunkKey::new([0xab; 32])), "ChunkKey(…)");
}
