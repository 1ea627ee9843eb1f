// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mappings against a `Vec` model, and what they refuse. Private memory stands for the device's.

use std::sync::atomic::{AtomicI16, AtomicU8, AtomicU32, AtomicU64, Ordering};

use proptest::prelude::*;
use shmdev::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use shmdev::{AccessError, Mapping};

/// More than a chunk of the code under test, and not a multiple of a word.
const LEN: usize = 3 * 4096 + 5;

fn mapping_of(bytes: &[u8]) -> Mapping {
    let mapping = Mapping::anonymous(bytes.len()).unwrap();
    mapping.write_at(bytes, 0).unwrap();
    mapping
}

fn contents(mapping: &Mapping) -> Vec<u8> {
    mapping.to_vec(0, mapping.len()).unwrap()
}

/// Two places and a length that fit.
fn spans() -> impl Strategy<Value = (usize, usize, usize)> {
    (0..=LEN, 0..=LEN).prop_flat_map(|(a, b)| (Just(a), Just(b), 0..=LEN - a.max(b)))
}

fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed)
        .collect()
}

fn rfind(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(needle.len())?)
        .rev()
        .find(|&at| bytes[at..].starts_with(needle))
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(needle.len())?).find(|&at| bytes[at..].starts_with(needle))
}

proptest! {
    #[test]
    fn copies_of_any_offset_and_length_are_exact((at, _, len) in spans(), seed: u8) {
        let mut model = pattern(0, LEN);
        let mapping = mapping_of(&model);
        let written = pattern(seed, len);
        model[at..at + len].copy_from_slice(&written);
        mapping.write_at(&written, at).unwrap();
        prop_assert_eq!(contents(&mapping), model);
        let mut read = vec![0; len];
        mapping.read_at(&mut read, at).unwrap();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn fill_sets_these_bytes_and_no_other((at, _, len) in spans(), byte: u8) {
        let mut model = pattern(1, LEN);
        let mapping = mapping_of(&model);
        model[at..at + len].fill(byte);
        mapping.fill(byte, at, len).unwrap();
        prop_assert_eq!(contents(&mapping), model);
    }

    #[test]
    fn copy_within_is_memmove((from, to, len) in spans()) {
        let mut model = pattern(2, LEN);
        let mapping = mapping_of(&model);
        model.copy_within(from..from + len, to);
        mapping.copy_within(from, to, len).unwrap();
        prop_assert_eq!(contents(&mapping), model);
    }

    #[test]
    fn find_and_rfind_agree_with_a_naive_search(
        bytes in prop::collection::vec(0..3u8, 1..300),
        needle in prop::collection::vec(0..3u8, 0..5),
        a in 0..320usize,
        b in 0..320usize,
    ) {
        let mapping = mapping_of(&bytes);
        let (start, end) = (a, b.min(bytes.len()));
        let within = (start <= end).then(|| &bytes[start..end]);
        let expect = |search: fn(&[u8], &[u8]) -> Option<usize>| {
            within.and_then(|within| search(within, &needle)).map(|at| start + at)
        };
        prop_assert_eq!(mapping.find(&needle, a..b), expect(find));
        prop_assert_eq!(mapping.rfind(&needle, a..b), expect(rfind));
    }

    #[test]
    fn what_lies_across_two_windows_of_the_search_is_found(at in 0..=LEN - 9, start in 0..LEN) {
        let mapping = Mapping::anonymous(LEN).unwrap();
        mapping.write_at(b"123456789", at).unwrap();
        prop_assert_eq!(mapping.find(b"123456789", ..), Some(at));
        prop_assert_eq!(mapping.rfind(b"123456789", ..), Some(at));
        prop_assert_eq!(mapping.find(b"123456789", start..), (start <= at).then_some(at));
        prop_assert_eq!(mapping.rfind(b"123456789", start..), (start <= at).then_some(at));
        prop_assert_eq!(mapping.rfind(b"123456789", ..start), (at + 9 <= start).then_some(at));
    }

    #[test]
    fn needles_longer_than_a_window_are_found(len in 4000..6000usize, at in 0..6000usize) {
        let needle = pattern(9, len);
        let mapping = Mapping::anonymous(LEN).unwrap();
        mapping.write_at(&needle, at).unwrap();
        prop_assert_eq!(mapping.find(&needle, ..), Some(at));
        prop_assert_eq!(mapping.rfind(&needle, ..), Some(at));
        prop_assert_eq!(mapping.find(&needle, ..at + len - 1), None);
    }

    #[test]
    fn values_survive_at_any_offset(at in 0..100usize, value: u64) {
        let mapping = Mapping::anonymous(128).unwrap();
        mapping.set(at, &value).unwrap();
        prop_assert_eq!(mapping.get::<u64>(at).unwrap(), value);
        prop_assert_eq!(mapping.get::<[u8; 8]>(at).unwrap(), value.to_ne_bytes());
    }
}

#[test]
fn a_mapping_has_the_length_asked_for_and_is_zeroed() {
    let mapping = Mapping::anonymous(4097).unwrap();
    assert_eq!(mapping.len(), 4097);
    assert!(mapping.is_writable());
    assert_eq!(contents(&mapping), vec![0; 4097]);
    assert!(Mapping::anonymous(0).is_err());
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_touched() {
    let mapping = Mapping::anonymous(100).unwrap();
    for (offset, len) in [
        (100, 1),
        (99, 2),
        (101, 0),
        (0, 101),
        (usize::MAX, 1),
        (1, usize::MAX),
        (usize::MAX, usize::MAX),
    ] {
        let refused = Err(AccessError::OutOfBounds {
            offset,
            len,
            mapped: 100,
        });
        assert_eq!(mapping.fill(1, offset, len), refused);
        assert_eq!(mapping.to_vec(offset, len).map(drop), refused);
        assert_eq!(mapping.copy_within(offset, 0, len), refused);
        assert!(mapping.copy_within(0, offset, len).is_err());
    }
    assert!(mapping.write_at(&[1, 1], 99).is_err());
    assert!(mapping.set(93, &1u64).is_err());
    assert!(mapping.get::<u64>(93).is_err());
    assert_eq!(contents(&mapping), vec![0; 100]);
    mapping.fill(1, 100, 0).unwrap();
    mapping.read_at(&mut [], 100).unwrap();
}

#[test]
fn atomics_are_the_memory_itself() {
    let mapping = Mapping::anonymous(4096).unwrap();
    mapping
        .atomic::<AtomicU32>(8)
        .unwrap()
        .store(0x0102_0304, Ordering::Relaxed);
    assert_eq!(mapping.get::<u32>(8).unwrap(), 0x0102_0304);
    mapping.set(8, &7u32).unwrap();
    assert_eq!(
        mapping
            .atomic::<AtomicU32>(8)
            .unwrap()
            .fetch_add(1, Ordering::AcqRel),
        7
    );
    assert_eq!(
        mapping.atomic::<AtomicU8>(4095).unwrap().load(Ordering::Relaxed),
        0
    );
    let all = mapping.atomics::<AtomicU64>(0, 512).unwrap();
    assert_eq!(all.len(), 512);
    assert!(mapping.atomics::<AtomicU64>(4096, 0).unwrap().is_empty());
}

#[test]
fn atomics_must_be_aligned_and_within() {
    let mapping = Mapping::anonymous(4096).unwrap();
    let unaligned = |offset, align| Some(AccessError::Unaligned { offset, align });
    assert_eq!(mapping.atomic::<AtomicU64>(4).err(), unaligned(4, 8));
    assert_eq!(mapping.atomic::<AtomicU32>(2).err(), unaligned(2, 4));
    assert_eq!(mapping.atomic::<AtomicI16>(1).err(), unaligned(1, 2));
    assert!(matches!(
        mapping.atomic::<AtomicU64>(4096),
        Err(AccessError::OutOfBounds { .. })
    ));
    assert!(matches!(
        mapping.atomics::<AtomicU64>(0, 513),
        Err(AccessError::OutOfBounds { .. })
    ));
    assert!(matches!(
        mapping.atomics::<AtomicU64>(8, usize::MAX),
        Err(AccessError::OutOfBounds { .. })
    ));
}

#[test]
fn structures_of_plain_bytes_are_copied_as_they_are() {
    #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    struct Sample {
        id: u32,
        channel: [u8; 4],
        value: f64,
    }
    let mapping = Mapping::anonymous(64).unwrap();
    let sample = Sample {
        id: 7,
        channel: *b"left",
        value: 0.25,
    };
    mapping.set(5, &sample).unwrap();
    assert_eq!(mapping.get::<Sample>(5).unwrap(), sample);
}

/// A reader that copies while a writer fills never sees a torn aligned value.
#[test]
fn aligned_values_are_copied_whole() {
    let mapping = Mapping::anonymous(4096).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..200_000u32 {
                mapping.set(64, &[0u32, u32::MAX][round as usize % 2]).unwrap();
            }
        });
        while !writer.is_finished() {
            let seen: u32 = mapping.get(64).unwrap();
            assert!(seen == 0 || seen == u32::MAX, "torn: {seen:#x}");
        }
    });
}
