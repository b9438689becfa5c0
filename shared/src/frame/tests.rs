//! What headers, frames and footers promise: they read back as written, any
//! damage is noticed, and no bytes whatever do harm.

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_compose;
use proptest::proptest;

use crate::chunk_id::ChunkId;
use crate::frame::FRAME_BYTES_MAX;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FRAME_OVERHEAD_BYTES;
use crate::frame::Footer;
use crate::frame::FooterEntry;
use crate::frame::FrameFault;
use crate::frame::FrameHeader;
use crate::frame::PACK_HEADER_BYTES;
use crate::frame::PackHeader;
use crate::frame::decode_frame;
use crate::frame::encode_frame_header;
use crate::frame::frame_crc;
use crate::manifest::PackId;

/// Returns a whole frame.
fn frame(header: &FrameHeader, payload: &[u8]) -> Vec<u8> {
    let head = encode_frame_header(header);
    let crc = frame_crc(&head, payload).to_le_bytes();
    [&head[..], payload, &crc].concat()
}

/// Flips one bit; `at` wraps around.
fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    let at = at % (bytes.len() * 8);
    flipped[at / 8] ^= 1 << (at % 8);
    flipped
}

prop_compose! {
    fn pack_headers()(uuid in any::<[u8; 16]>(), pack in any::<i64>(), flags in any::<u32>()) -> PackHeader {
        PackHeader { uuid, pack: PackId(pack), flags }
    }
}

prop_compose! {
    fn frames()(
        ordinal in any::<u32>(),
        key_number in any::<u32>(),
        plain_bytes in 0..=FRAME_BYTES_MAX,
        id in any::<[u8; 32]>(),
        payload in vec(any::<u8>(), 0..300),
    ) -> (FrameHeader, Vec<u8>) {
        let stored_bytes = u32::try_from(payload.len()).unwrap();
        (FrameHeader { ordinal, key_number, stored_bytes, plain_bytes, id: ChunkId(id) }, payload)
    }
}

fn footers() -> impl Strategy<Value = Footer> {
    let entry = (
        any::<[u8; 32]>(),
        any::<u64>(),
        0..=FRAME_BYTES_MAX,
        0..=FRAME_BYTES_MAX,
    );
    vec(entry, 0..12).prop_map(|entries| {
        let mut entries: Vec<FooterEntry> = entries
            .into_iter()
            .map(|(id, offset, stored_bytes, plain_bytes)| FooterEntry {
                id: ChunkId(id),
                offset,
                stored_bytes,
                plain_bytes,
            })
            .collect();
        entries.sort_unstable();
        Footer { entries }
    })
}

proptest! {
    #[test]
    fn a_pack_header_reads_back_as_written_and_shows_any_flipped_bit(header in pack_headers(), at in any::<usize>()) {
        let bytes = header.encode();
        prop_assert_eq!(bytes.len(), PACK_HEADER_BYTES);
        prop_assert_eq!(PackHeader::decode(&bytes), Ok(header));
        prop_assert!(PackHeader::decode(&flip(&bytes, at)).is_err());
        prop_assert_eq!(PackHeader::decode(&bytes[..at % PACK_HEADER_BYTES]), Err(FrameFault::Short));
    }

    #[test]
    fn a_frame_reads_back_as_written_whatever_follows_it((header, payload) in frames(), behind in vec(any::<u8>(), 0..80)) {
        let mut bytes = frame(&header, &payload);
        prop_assert_eq!(bytes.len(), payload.len() + FRAME_OVERHEAD_BYTES);
        bytes.extend_from_slice(&behind);
        prop_assert_eq!(decode_frame(&bytes), Ok((header, payload.as_slice())));
        prop_assert_eq!(FrameHeader::decode(&bytes), Ok(header));
    }

    #[test]
    fn a_frame_shows_any_flipped_bit_and_any_cut((header, payload) in frames(), at in any::<usize>()) {
        let bytes = frame(&header, &payload);
        prop_assert!(decode_frame(&flip(&bytes, at)).is_err());
        prop_assert!(decode_frame(&bytes[..at % bytes.len()]).is_err());
    }

    #[test]
    fn a_frame_announces_no_more_than_the_format_allows((header, _) in frames(), more in 1_u32..=u32::MAX - FRAME_BYTES_MAX) {
        for large in [
            FrameHeader { stored_bytes: FRAME_BYTES_MAX + more, ..header },
            FrameHeader { plain_bytes: FRAME_BYTES_MAX + more, ..header },
        ] {
            prop_assert_eq!(FrameHeader::decode(&encode_frame_header(&large)), Err(FrameFault::Length));
        }
    }

    #[test]
    fn a_footer_reads_back_as_written_and_shows_any_flipped_bit(footer in footers(), at in any::<usize>()) {
        let bytes = footer.encode();
        prop_assert_eq!(Footer::length_from_tail(&bytes), Ok(bytes.len() as u64));
        prop_assert_eq!(Footer::decode(&bytes), Ok(footer));
        prop_assert!(Footer::decode(&flip(&bytes, at)).is_err());
        prop_assert!(Footer::decode(&bytes[..at % bytes.len()]).is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_are_what_encoding_writes(bytes in vec(any::<u8>(), 0..400), mark in 0_u8..4) {
        let mut bytes = bytes;
        let marks: [&[u8]; 4] = [b"", b"NPK1", b"F", b"E"];
        bytes.splice(..0, marks[usize::from(mark)].iter().copied());
        if let Ok(header) = PackHeader::decode(&bytes) {
            prop_assert_eq!(header.encode(), &bytes[..PACK_HEADER_BYTES]);
        }
        if let Ok(header) = FrameHeader::decode(&bytes) {
            prop_assert_eq!(&encode_frame_header(&header)[..], &bytes[..FRAME_HEADER_BYTES]);
        }
        if let Ok(footer) = Footer::decode(&bytes) {
            prop_assert_eq!(footer.encode(), bytes);
        }
    }
}

/// Returns a footer of these bytes with a true proof, as a faulty writer would leave it.
fn proven(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    let length = bytes.len() as u64 + 8;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn a_footer_that_a_faulty_writer_left_is_refused() {
    let entry = |first: u8, stored_bytes: u32| {
        let numbers = [
            &8_u64.to_le_bytes()[..],
            &stored_bytes.to_le_bytes(),
            &9_u32.to_le_bytes(),
        ];
        [&[first; 32][..], &numbers.concat()].concat()
    };
    let footer = |count: u32, entries: &[Vec<u8>]| {
        proven([&b"E"[..], &count.to_le_bytes(), &entries.concat()].concat())
    };

    assert!(Footer::decode(&footer(2, &[entry(1, 9), entry(2, 9)])).is_ok());
    assert_eq!(
        Footer::decode(&footer(2, &[entry(2, 9), entry(1, 9)])),
        Err(FrameFault::Order)
    );
    assert_eq!(
        Footer::decode(&footer(1, &[entry(1, FRAME_BYTES_MAX + 1)])),
        Err(FrameFault::Length)
    );
    assert_eq!(
        Footer::decode(&footer(3, &[entry(1, 9), entry(2, 9)])),
        Err(FrameFault::Length)
    );
    assert_eq!(
        Footer::decode(&footer(u32::MAX, &[])),
        Err(FrameFault::Length)
    );
    assert_eq!(
        Footer::decode(&proven(b"F\0\0\0\0".to_vec())),
        Err(FrameFault::Mark)
    );
}

#[test]
fn a_footer_is_sorted_by_chunk_id() {
    let entry = |first: u8| FooterEntry {
        id: ChunkId([first; 32]),
        offset: 36,
        stored_bytes: 1,
        plain_bytes: 1,
    };
    let footer = Footer {
        entries: vec![entry(3), entry(1), entry(2)],
    };
    let read = Footer::decode(&footer.encode()).unwrap();
    assert_eq!(read.entries, [entry(1), entry(2), entry(3)]);
}

/// The bytes of the format, written by hand: another program can be held to them.
#[test]
fn a_frame_has_these_very_bytes() {
    let header = FrameHeader {
        ordinal: 2,
        key_number: 1,
        stored_bytes: 3,
        plain_bytes: 3,
        id: ChunkId([0xaa; 32]),
    };
    assert!(!header.is_compressed());
    let expected = format!(
        "46020000000100000003000000030000 00{}6f6e65",
        "aa".repeat(32)
    )
    .replace(' ', "");
    assert_eq!(
        hex::encode(&frame(&header, b"one")[..FRAME_HEADER_BYTES + 3]),
        expected
    );
    let pack = PackHeader {
        uuid: [0x11; 16],
        pack: PackId(7),
        flags: 0,
    };
    let expected = format!("4e504b31{}070000000000000000000000", "11".repeat(16));
    assert_eq!(
        hex::encode(&pack.encode()[..PACK_HEADER_BYTES - 4]),
        expected
    );
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
}
