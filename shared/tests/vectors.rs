//! The formats, byte for byte: data written by any released version must stay readable, and
//! other programs (sync client, browser) must cut and name alike.
//!
//! Changing a value below means a new format version (docs/formats.md), never an edit.

use nuage_shared::chunk_id::ChunkId;
use nuage_shared::chunk_id::ChunkKey;
use nuage_shared::chunker::Chunker;
use nuage_shared::chunker::Profile;
use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::FrameHeader;
use nuage_shared::frame::PackHeader;
use nuage_shared::frame::decode_frame;
use nuage_shared::frame::encode_frame_header;
use nuage_shared::frame::frame_crc;
use nuage_shared::manifest::ChunkRef;
use nuage_shared::manifest::LeafRef;
use nuage_shared::manifest::Map;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;

/// The key of all vectors: bytes 0 to 31.
fn key() -> ChunkKey {
    let mut bytes = [0; 32];
    for (byte, value) in bytes.iter_mut().zip(0..) {
        *byte = value;
    }
    ChunkKey::new(bytes)
}

/// The text of the vectors' only chunk.
const TEXT: &[u8] = b"Nuage keeps every acknowledged byte.";

/// Bytes that anybody can make anew: x ← x · 6364136223846793005 + 1442695040888963407 (mod 2⁶⁴)
/// from x = 1, the highest byte of each x.
fn stream(length: usize) -> Vec<u8> {
    let mut x = 1_u64;
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.push((x >> 56) as u8);
    }
    bytes
}

fn cuts(profile: Profile, seed: u64, bytes: &[u8]) -> Vec<usize> {
    let mut chunker = Chunker::new(profile, seed);
    let mut rest = bytes;
    let mut lengths = Vec::new();
    while let Some(length) = chunker.next_cut(rest, true) {
        lengths.push(length);
        rest = rest.split_at(length).1;
    }
    lengths
}

fn place(pack: i64, offset: u64) -> Place {
    Place {
        pack: PackId(pack),
        offset,
        stored_bytes: 1_000,
    }
}

fn chunk(first_byte: u8, pack: i64, offset: u64) -> ChunkRef {
    let mut id = [0; 32];
    id[0] = first_byte;
    ChunkRef {
        id: ChunkId(id),
        plain_bytes: 70_000,
        place: place(pack, offset),
    }
}

#[test]
fn names_of_chunks_and_contents_are_these() {
    let id = key().chunk_id(TEXT);
    assert_eq!(
        id.to_string(),
        "4662b4861230eb61ae97f902d324b6fce9df99f3b9b6052c367a27e2b757dac6"
    );
    let mut hasher = key().content_hasher();
    hasher.push(id, 36);
    hasher.push(key().chunk_id(b""), 0);
    assert_eq!(
        hasher.finish().to_string(),
        "e98a89e595aa6fbe23443acc60a94a0304fee2c94ddc778d6ef99a0308e9e35c"
    );
    assert_eq!(
        key().content_hasher().finish().to_string(),
        "5515d77066f04199479666f07e65b7598ab0627867011b275a995d17f9413291"
    );
    assert_eq!(id.prefix8(), 7_055_786_097_333_527_110);
}

#[test]
fn cut_points_are_these() {
    let bytes = stream(1 << 20);
    assert_eq!(
        cuts(Profile::S, 0, &bytes),
        [
            125_811, 78_145, 101_666, 83_949, 47_712, 79_075, 41_827, 73_610, 78_850, 68_194,
            98_023, 155_785, 15_929
        ]
    );
    assert_eq!(
        cuts(Profile::S, 77, &bytes),
        [
            173_624, 140_353, 96_015, 120_455, 41_720, 54_643, 122_905, 69_273, 113_462, 34_277,
            32_140, 28_662, 21_047
        ]
    );
    assert_eq!(
        cuts(Profile::M, 0, &bytes),
        [139_970, 297_313, 595_805, 15_488]
    );
    assert_eq!(
        cuts(Profile::L, 0, &stream(6 << 20)),
        [1_311_003, 1_690_848, 1_195_202, 1_342_531, 751_872]
    );
    assert_eq!(cuts(Profile::S, 0, &bytes[..65_536]), [65_536]);
    // A zip archive: members begin at 0, 5 000 (too near to cut) and 20 000.
    let mut zip = bytes[..100_000].to_vec();
    for at in [0, 5_000, 20_000] {
        zip[at..at + 4].copy_from_slice(b"PK\x03\x04");
    }
    assert_eq!(cuts(Profile::S, 0, &zip), [20_000, 80_000]);
}

#[test]
fn a_pack_is_these_bytes() {
    let header = PackHeader {
        uuid: *b"0123456789abcdef",
        pack: PackId(258),
        flags: 0,
    };
    let bytes = header.encode();
    assert_eq!(
        hex::encode(&bytes),
        "4e504b3130313233343536373839616263646566020100000000000000000000f2059d16"
    );
    assert_eq!(PackHeader::decode(&bytes), Ok(header));

    let frame = FrameHeader {
        ordinal: 3,
        key_number: 0,
        stored_bytes: 36,
        plain_bytes: 36,
        id: key().chunk_id(TEXT),
    };
    let mut bytes = encode_frame_header(&frame).to_vec();
    assert_eq!(bytes.len(), FRAME_HEADER_BYTES);
    bytes.extend_from_slice(TEXT);
    let crc = frame_crc(&bytes[..FRAME_HEADER_BYTES], TEXT);
    bytes.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(
        hex::encode(&bytes),
        concat!(
            "46030000000000000024000000240000004662b4861230eb61ae97f902d324b6fce9df99f3b9b605",
            "2c367a27e2b757dac64e75616765206b656570732065766572792061636b6e6f776c656467656420",
            "627974652e287d6864"
        )
    );
    assert_eq!(decode_frame(&bytes), Ok((frame, TEXT)));

    let entry = |first_byte, offset| FooterEntry {
        id: chunk(first_byte, 1, 0).id,
        offset,
        stored_bytes: 36,
        plain_bytes: 36,
    };
    let footer = Footer {
        entries: vec![entry(9, 36), entry(4, 125)],
    };
    let bytes = footer.encode();
    assert_eq!(
        hex::encode(&bytes),
        concat!(
            "450200000004000000000000000000000000000000000000000000000000000000000000007d0000",
            "00000000002400000024000000090000000000000000000000000000000000000000000000000000",
            "0000000000240000000000000024000000240000005ef2e7fd3d90c09abcaf467c26ff25d5a4f141",
            "931e6cc46b2d9f844a67bad2cf8d00000000000000"
        )
    );
    let sorted = Footer {
        entries: vec![entry(4, 125), entry(9, 36)],
    };
    assert_eq!(Footer::decode(&bytes), Ok(sorted));
}

#[test]
fn maps_are_these_bytes() {
    // Two frames back to back in pack 5, and one in pack 300.
    let inline = Map::Leaf(vec![
        chunk(1, 5, 36),
        chunk(2, 5, 36 + 1_053),
        chunk(3, 300, 36),
    ]);
    assert_eq!(
        hex::encode(inline.encode()),
        concat!(
            "010102052402ac022401030100000000000000000000000000000000000000000000000000000000",
            "00000002000000000000000000000000000000000000000000000000000000000000000300000000",
            "000000000000000000000000000000000000000000000000000000f0a204f0a204f0a204e807e807",
            "e807"
        )
    );
    assert_eq!(Map::decode(&inline.encode()), Ok(inline));
    let tree = Map::Tree(vec![LeafRef {
        place: place(5, 4_000),
        leaf_id: chunk(7, 5, 0).id,
        chunks: 300,
        plain_bytes: 21_000_000,
    }]);
    assert_eq!(
        hex::encode(tree.encode()),
        "020105a01fe8070700000000000000000000000000000000000000000000000000000000000000ac02c0de810a"
    );
    assert_eq!(Map::decode(&tree.encode()), Ok(tree));
}
