// SPDX-License-Identifier: GPL-2.0

//! Marks against a set of bytes.

use crate::sync::{
    marks::{Marks, MARKS_MAX},
    ranges::Range,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn range(start: u64, end: u64) -> Range {
    Range { start, end }
}

fn reserved() -> Marks {
    let mut marks = Marks::new();
    marks.reserve().unwrap();
    marks
}

fn any_range(space: u64) -> impl Strategy<Value = Range> {
    (0..space, 1..=8_u64).prop_map(|(start, len)| range(start, start + len))
}

proptest! {
    #[test]
    fn a_few_marks_are_exactly_the_bytes_added_and_not_removed(
        steps in proptest::collection::vec((any::<bool>(), any_range(100)), 0..60),
    ) {
        let mut marks = reserved();
        let mut bytes = BTreeSet::new();
        for (add, step) in steps {
            if add {
                marks.add(step);
                bytes.extend(step.start..step.end);
            } else {
                marks.remove(step);
                bytes.retain(|byte| !(step.start..step.end).contains(byte));
            }
            for byte in 0..110 {
                prop_assert_eq!(marks.any(range(byte, byte + 1)), bytes.contains(&byte), "byte {}", byte);
            }
        }
    }

    #[test]
    fn many_marks_cover_at_least_what_was_added(
        steps in proptest::collection::vec(any_range(100_000), 1..300),
    ) {
        let mut marks = reserved();
        for step in &steps {
            marks.add(*step);
        }
        for step in steps {
            for byte in step.start..step.end {
                prop_assert!(marks.any(range(byte, byte + 1)), "byte {} was lost", byte);
            }
        }
    }
}

#[test]
fn past_the_limit_the_two_nearest_marks_are_joined_and_no_others() {
    let mut marks = reserved();
    // Gaps of 100 bytes, but one of 50 after the tenth.
    let start = |index: u64| index * 101 - if index > 10 { 50 } else { 0 };
    for index in 0..=MARKS_MAX as u64 {
        marks.add(range(start(index), start(index) + 1));
    }
    assert!(
        marks.any(range(start(10) + 1, start(11))),
        "the narrowest gap is filled"
    );
    for index in (0..MARKS_MAX as u64).filter(|index| *index != 10) {
        assert!(
            !marks.any(range(start(index) + 1, start(index + 1))),
            "the gap after {index} is empty"
        );
    }
}

#[test]
fn removing_everything_leaves_nothing_however_many_there_were() {
    let mut marks = reserved();
    for index in 0..1000 {
        marks.add(range(index * 10, index * 10 + 1));
    }
    marks.remove(range(0, 10_000));
    assert!(!marks.any(range(0, u64::MAX)));
}

#[test]
fn marks_reach_to_the_last_byte_of_the_address_space() {
    let mut marks = reserved();
    marks.add(range(u64::MAX - 1, u64::MAX));
    marks.add(range(0, 1));
    assert!(marks.any(range(u64::MAX - 1, u64::MAX)));
    marks.remove(range(1, u64::MAX));
    assert!(!marks.any(range(1, u64::MAX)));
    assert!(marks.any(range(0, u64::MAX)));
}
