//! What a damaged disk may hand to the store: packs, maps; and any content to the chunker.

use nuage_shared::chunker::Chunker;
use nuage_shared::chunker::Profile;
use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;
use nuage_shared::frame::decode_frame;
use nuage_shared::frame::encode_frame_header;
use nuage_shared::frame::frame_crc;
use nuage_shared::manifest::Map;
use nuage_shared::manifest::decode_leaf;
use nuage_shared::manifest::encode_leaf;

/// The cuts make up the content, within the profile, however the bytes arrive.
pub fn chunker(input: &[u8]) {
    let Some((front, rest)) = input.split_first_chunk::<4>() else {
        return;
    };
    let [profile, seed, step, repeats] = *front;
    let profile = [Profile::S, Profile::M, Profile::L][usize::from(profile % 3)];
    // Inputs are small; what they hold again and again is a content of some size.
    let content = rest.repeat(1 + usize::from(repeats));
    let content = &content[..content.len().min(2 << 20)];
    let whole = cut(content, profile, u64::from(seed), content.len().max(1));
    assert_eq!(whole.iter().sum::<usize>(), content.len());
    assert!(
        whole
            .iter()
            .all(|length| (1..=profile.max_bytes()).contains(length))
    );
    let steps = 1000 + usize::from(step) * 1000;
    assert_eq!(whole, cut(content, profile, u64::from(seed), steps));
}

fn cut(content: &[u8], profile: Profile, seed: u64, step: usize) -> Vec<usize> {
    let mut chunker = Chunker::new(profile, seed);
    let (mut from, mut arrived) = (0, 0);
    let mut lengths = Vec::new();
    loop {
        let at_end = arrived == content.len();
        while let Some(length) = chunker.next_cut(&content[from..arrived], at_end) {
            lengths.push(length);
            from += length;
        }
        if at_end {
            return lengths;
        }
        arrived = content.len().min(arrived + step);
    }
}

/// A pack's header and a frame that are accepted are what writing them yields.
pub fn frame(input: &[u8]) {
    if let Ok(header) = PackHeader::decode(&mend(input, PACK_HEADER_BYTES - 4)) {
        assert_eq!(PackHeader::decode(&header.encode()), Ok(header));
    }
    let mended = mend(input, input.len().saturating_sub(4));
    for bytes in [input, &mended] {
        if let Ok((header, payload)) = decode_frame(bytes) {
            let head = encode_frame_header(&header);
            assert_eq!(head[..], bytes[..FRAME_HEADER_BYTES]);
            assert_eq!(payload.len(), header.stored_bytes as usize);
        }
    }
}

/// Puts the true check sum of what stands before `at` there: no search would find it.
fn mend(input: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = input.to_vec();
    if let (Some(front), Some(end)) = (input.get(..at), input.get(at..at + 4)) {
        let crc = frame_crc(front, &[]);
        bytes[at..at + end.len()].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// A footer that is accepted is what writing it yields; also one that a faulty writer proved.
pub fn footer(input: &[u8]) {
    let mut proven = input.to_vec();
    proven.extend_from_slice(blake3::hash(input).as_bytes());
    proven.extend_from_slice(&(input.len() as u64 + 40).to_le_bytes());
    for bytes in [input, &proven] {
        if let Ok(footer) = Footer::decode(bytes) {
            assert_eq!(footer.encode(), bytes);
        }
    }
}

/// A map that is accepted is what writing it yields.
pub fn map(input: &[u8]) {
    if let Ok(map) = Map::decode(input) {
        assert_eq!(map.encode(), input);
    }
    if let Ok(chunks) = decode_leaf(input) {
        assert_eq!(encode_leaf(&chunks), input);
    }
}
