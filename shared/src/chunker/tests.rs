//! What the cut points promise: a function of the bytes alone, sizes within the
//! profile, and an edit that costs the chunks around it.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use crate::chunker::Chunker;
use crate::chunker::ONE_CHUNK_BYTES_MAX;
use crate::chunker::Profile;
use crate::chunker::ZIP_CHUNK_BYTES_MIN;
use crate::chunker::ZIP_MEMBER;

const KIB: usize = 1 << 10;

/// Returns bytes that nothing compresses; the generator is SplitMix64, so that any language can repeat it.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let words = (1..=length.div_ceil(8) as u64).map(|index| {
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    });
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(length);
    bytes
}

/// Cuts `bytes` when all of them are at hand.
fn cut_whole(bytes: &[u8], profile: Profile, seed: u64) -> Vec<usize> {
    let mut chunker = Chunker::new(profile, seed);
    let mut lengths = Vec::new();
    let mut rest = bytes;
    while let Some(length) = chunker.next_cut(rest, true) {
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

/// Cuts `bytes` as they come in, `arrivals` bytes at a time.
fn cut_stream(bytes: &[u8], profile: Profile, seed: u64, arrivals: &[usize]) -> Vec<usize> {
    let mut chunker = Chunker::new(profile, seed);
    let mut lengths = Vec::new();
    let (mut from, mut arrived) = (0, 0);
    let mut arrivals = arrivals.iter().cycle();
    loop {
        let at_end = arrived == bytes.len();
        while let Some(length) = chunker.next_cut(&bytes[from..arrived], at_end) {
            lengths.push(length);
            from += length;
        }
        if at_end {
            return lengths;
        }
        arrived = bytes.len().min(arrived + arrivals.next().unwrap());
    }
}

/// Returns the chunks of a content, as a set.
fn chunks_of(bytes: &[u8], profile: Profile) -> HashSet<Vec<u8>> {
    let mut from = 0;
    cut_whole(bytes, profile, 0)
        .into_iter()
        .map(|length| {
            from += length;
            bytes[from - length..from].to_vec()
        })
        .collect()
}

/// Returns how many chunks of `new` are not in `old`.
fn new_chunks(old: &[u8], new: &[u8], profile: Profile) -> usize {
    let known = chunks_of(old, profile);
    chunks_of(new, profile).difference(&known).count()
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop_oneof![Just(Profile::S), Just(Profile::M), Just(Profile::L)]
}

/// Contents of all the kinds that a cutter meets: noise, runs, short periods, archives.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0_usize..4096, 0..(96 * KIB), 0..(1300 * KIB)];
    (any::<u64>(), length, 0_u8..4).prop_map(|(seed, length, kind)| match kind {
        0 => noise(seed, length),
        1 => vec![seed.to_le_bytes()[0]; length],
        2 => noise(seed, 97).into_iter().cycle().take(length).collect(),
        _ => archive(seed, length),
    })
}

/// Returns something that looks like a zip archive: members of noise, some of them tiny.
fn archive(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 256 * KIB);
    let mut member = seed;
    while bytes.len() < length {
        member = member
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(ZIP_MEMBER);
        bytes.extend_from_slice(&noise(member, (member >> 32) as usize % (90 * KIB)));
    }
    bytes.truncate(length);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cuts_do_not_depend_on_how_the_bytes_arrive(
        bytes in contents(),
        profile in profiles(),
        seed in any::<u64>(),
        arrivals in vec(1_usize..200_000, 1..8),
    ) {
        prop_assert_eq!(cut_whole(&bytes, profile, seed), cut_stream(&bytes, profile, seed, &arrivals));
    }

    #[test]
    fn chunks_make_up_the_content_and_keep_to_the_profile(
        bytes in contents(),
        profile in profiles(),
        seed in any::<u64>(),
    ) {
        let lengths = cut_whole(&bytes, profile, seed);
        prop_assert_eq!(lengths.iter().sum::<usize>(), bytes.len());
        prop_assert!(lengths.iter().all(|length| *length > 0 && *length <= profile.max_bytes()));
        let least = if bytes.starts_with(ZIP_MEMBER) { ZIP_CHUNK_BYTES_MIN } else { profile.min_bytes() };
        let but_last = lengths.split_last().map_or(&[][..], |(_, rest)| rest);
        prop_assert!(but_last.iter().all(|length| *length >= least), "{:?}", lengths);
        if bytes.len() <= ONE_CHUNK_BYTES_MAX {
            prop_assert!(lengths.len() <= 1);
        }
    }

    #[test]
    fn another_seed_cuts_noise_elsewhere(number in any::<u64>(), seed in 1_u64..) {
        let bytes = noise(number, 1 << 20);
        prop_assert!(cut_whole(&bytes, Profile::S, 0) != cut_whole(&bytes, Profile::S, seed));
    }

    #[test]
    fn every_member_of_an_archive_begins_a_chunk_unless_one_began_just_before(
        seed in any::<u64>(),
        length in (64 * KIB + 1)..(700 * KIB),
    ) {
        let bytes = archive(seed, length);
        let lengths = cut_whole(&bytes, Profile::S, 0);
        let mut starts = vec![0];
        for length in &lengths {
            starts.push(starts.last().unwrap() + length);
        }
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(ZIP_MEMBER) {
                let last = *starts.iter().rfind(|start| **start <= at).unwrap();
                // A chunk of the largest size ends where it must, its window ends there.
                let straddles = starts.iter().any(|start| (at + 1..at + 4).contains(start));
                prop_assert!(at - last < ZIP_CHUNK_BYTES_MIN || straddles, "{} from {}", at, last);
            }
        }
    }
}

#[test]
fn an_overwritten_range_costs_the_chunks_around_it() {
    let cost = |number: u64| {
        let old = noise(number, 4 << 20);
        let mut new = old.clone();
        new[2 << 20..(2 << 20) + 1000].copy_from_slice(&noise(!number, 1000));
        new_chunks(&old, &new, Profile::S)
    };
    let costs: Vec<usize> = (0..24).map(cost).collect();

    assert!(
        costs.iter().all(|cost| (1..=16).contains(cost)),
        "{costs:?}"
    );
    assert!(costs.iter().sum::<usize>() <= 4 * costs.len(), "{costs:?}");
}

#[test]
fn bytes_put_in_front_cost_the_first_chunks() {
    let cost = |number: u16| {
        let old = noise(number.into(), 4 << 20);
        let mut new = noise(!u64::from(number), 1 + usize::from(number) * 321);
        new.extend_from_slice(&old);
        new_chunks(&old, &new, Profile::S)
    };
    let costs: Vec<usize> = (0..24).map(cost).collect();

    assert!(
        costs.iter().all(|cost| (1..=16).contains(cost)),
        "{costs:?}"
    );
    assert!(costs.iter().sum::<usize>() <= 4 * costs.len(), "{costs:?}");
}

#[test]
fn members_of_an_archive_keep_their_chunks_when_they_change_places() {
    let members: Vec<Vec<u8>> = (0_u64..20)
        .map(|number| [ZIP_MEMBER, noise(number, 20 * KIB).as_slice()].concat())
        .collect();
    let old = members.concat();
    let mut turned = members;
    turned.reverse();

    assert_eq!(new_chunks(&old, &turned.concat(), Profile::S), 0);
}

#[test]
fn a_signature_across_a_cut_begins_a_chunk_of_its_own() {
    let mut bytes = ZIP_MEMBER.to_vec();
    bytes.extend_from_slice(&noise(5, 512 * KIB));
    let first = cut_whole(&bytes, Profile::S, 0)[0];
    for before in 1..4 {
        let mut bytes = bytes.clone();
        bytes[first - before..first - before + 4].copy_from_slice(ZIP_MEMBER);
        assert_eq!(cut_whole(&bytes, Profile::S, 0)[0], first - before);
    }
}

#[test]
fn a_content_of_64_kib_is_one_chunk_and_one_byte_more_is_cut_as_any() {
    let bytes = noise(3, ONE_CHUNK_BYTES_MAX + 1);
    let one = &bytes[..ONE_CHUNK_BYTES_MAX];

    assert_eq!(cut_whole(one, Profile::S, 0), [ONE_CHUNK_BYTES_MAX]);
    assert!(
        cut_whole(&bytes, Profile::S, 0)
            .iter()
            .all(|length| *length <= 256 * KIB)
    );
    assert_eq!(cut_whole(&[], Profile::S, 0), [0_usize; 0]);
}

#[test]
fn a_file_keeps_its_profile_until_it_has_outgrown_it_eightfold() {
    let mib = 1 << 20;
    assert_eq!(Profile::for_size(Some(4 * mib)), Profile::S);
    assert_eq!(Profile::for_size(Some(4 * mib + 1)), Profile::M);
    assert_eq!(Profile::for_size(Some(1024 * mib + 1)), Profile::L);
    assert_eq!(Profile::for_size(None), Profile::M);
    assert_eq!(Profile::S.successor(32 * mib), Profile::S);
    assert_eq!(Profile::S.successor(32 * mib + 1), Profile::M);
    assert_eq!(Profile::M.successor(mib / 2), Profile::M);
    assert_eq!(Profile::M.successor(mib / 2 - 1), Profile::S);
    assert_eq!(Profile::L.successor(u64::MAX), Profile::L);
    for profile in [Profile::S, Profile::M, Profile::L] {
        assert_eq!(Profile::from_number(profile.number()), Some(profile));
    }
    assert_eq!(Profile::from_number(0), None);
}

/// The cuts that every implementation must make (`vectors/cuts.txt`).
#[test]
fn cuts_are_those_of_the_vectors() {
    let mut checked = 0;
    for line in include_str!("../../vectors/cuts.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (what, lengths) = line.split_once('|').unwrap();
        let fields: Vec<&str> = what.split_whitespace().collect();
        let number = |index: usize| fields[index].parse::<u64>().unwrap();
        let profile = match fields[0] {
            "S" => Profile::S,
            "M" => Profile::M,
            "L" => Profile::L,
            other => panic!("no profile is called {other}"),
        };
        let mut bytes = if fields[4] == "zip" {
            ZIP_MEMBER.to_vec()
        } else {
            Vec::new()
        };
        bytes.extend_from_slice(&noise(number(2), fields[3].parse().unwrap()));
        if fields[4] == "zip" {
            for at in (50_000..bytes.len() - 4).step_by(50_000) {
                bytes[at..at + 4].copy_from_slice(ZIP_MEMBER);
            }
        }
        let expected: Vec<usize> = lengths
            .split_whitespace()
            .map(|length| length.parse().unwrap())
            .collect();

        let cuts = cut_whole(&bytes, profile, number(1));
        assert_eq!(
            cuts,
            expected,
            "{what}| {}",
            cuts.iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        );
        checked += 1;
    }
    assert!(checked >= 8);
}
