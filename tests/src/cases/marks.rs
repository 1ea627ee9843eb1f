// SPDX-License-Identifier: MIT OR Apache-2.0

//! Marks: the bytes that the dead were writing, until somebody has written them properly.

use super::death::{DIED, complete, die_writing, holding, status};
use crate::harness::tests;
use crate::sys::Process;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Handle, SIZE, poll};

tests![
    the_mark_stays_until_a_write_is_completed,
    readers_are_told_and_take_no_mark_away,
    a_write_takes_the_mark_off_its_own_bytes_only,
    a_second_death_in_the_marked_range_keeps_the_mark,
    only_the_bytes_of_the_dead_are_marked,
    a_death_is_not_a_generation,
    sixty_four_marks_are_exact,
    past_sixty_four_marks_nothing_is_forgotten,
];

fn the_mark_stays_until_a_write_is_completed() {
    let handle = Handle::rw();
    die_writing(0, 8);
    for _ in 0..3 {
        let begun = handle.begin(ACCESS_READ, 0, 8, 0).unwrap();
        assert_eq!(begun.status, DIED);
        handle.end(ACCESS_READ, 0, 8).unwrap();
    }
    assert_eq!(complete(&handle, 0, 8), DIED, "who repairs it is told");
    assert_eq!(status(&handle, 0, 8), 0);
    assert_eq!(complete(&handle, 0, 8), 0);
}

fn readers_are_told_and_take_no_mark_away() {
    die_writing(0, 8);
    let readers: Vec<_> = (0..4).map(|_| Handle::ro()).collect();
    for reader in &readers {
        assert_eq!(reader.begin(ACCESS_READ, 4, 100, 0).unwrap().status, DIED);
    }
    for reader in &readers {
        reader.end(ACCESS_READ, 4, 100).unwrap();
    }
    assert_eq!(status(&Handle::rw(), 0, 8), DIED);
}

fn a_write_takes_the_mark_off_its_own_bytes_only() {
    let handle = Handle::rw();
    die_writing(100, 100);
    assert_eq!(complete(&handle, 120, 10), DIED);
    assert_eq!(status(&handle, 120, 10), 0, "the middle was written");
    for (offset, len) in [
        (100, 20),
        (119, 1),
        (130, 1),
        (130, 70),
        (119, 12),
        (0, SIZE as u64),
    ] {
        assert_eq!(status(&handle, offset, len), DIED, "[{offset}, {len})");
    }
    complete(&handle, 0, 120);
    assert_eq!(status(&handle, 0, 130), 0);
    assert_eq!(status(&handle, 0, 131), DIED);
    complete(&handle, 130, 1000);
    assert_eq!(status(&handle, 0, SIZE as u64), 0);
}

fn a_second_death_in_the_marked_range_keeps_the_mark() {
    let handle = Handle::rw();
    die_writing(0, 8);
    let process = holding(&[(ACCESS_WRITE, 4, 8)]);
    process.kill();
    assert_eq!(status(&handle, 0, 1), DIED);
    assert_eq!(status(&handle, 11, 1), DIED);
    complete(&handle, 0, 12);
    assert_eq!(status(&handle, 0, SIZE as u64), 0);
}

fn only_the_bytes_of_the_dead_are_marked() {
    let handle = Handle::rw();
    holding(&[
        (ACCESS_WRITE, 10, 10),
        (ACCESS_READ, 40, 10),
        (ACCESS_WRITE, 60, 1),
    ])
    .kill();
    for byte in 0..80 {
        let marked = (10..20).contains(&byte) || byte == 60;
        assert_eq!(status(&handle, byte, 1) == DIED, marked, "byte {byte}");
    }
}

fn a_death_is_not_a_generation() {
    let handle = Handle::rw();
    let generation = handle.generation();
    let mapping = handle.whole();
    Process::fork(|| {
        Handle::rw().begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        mapping.set(0, 1);
    })
    .join();
    assert_eq!(handle.fdinfo()["generation"], generation.to_string());
    assert!(
        !poll::is_readable(&handle),
        "a write that was not completed is no write"
    );
    assert_eq!(handle.generation(), generation);
}

/// Leaves this many separate marks of four bytes, ten bytes apart.
fn leave_marks(count: u64) {
    let ranges: Vec<_> = (0..count).map(|index| (ACCESS_WRITE, index * 10, 4)).collect();
    holding(&ranges).kill();
}

fn sixty_four_marks_are_exact() {
    let handle = Handle::rw();
    leave_marks(64);
    for index in 0..64 {
        assert_eq!(status(&handle, index * 10, 4), DIED, "mark {index}");
        assert_eq!(
            status(&handle, index * 10 + 4, 6),
            0,
            "between {index} and the next"
        );
    }
}

fn past_sixty_four_marks_nothing_is_forgotten() {
    let handle = Handle::rw();
    leave_marks(100);
    let mut joined = 0;
    for index in 0..100 {
        assert_eq!(status(&handle, index * 10, 1), DIED, "mark {index}");
        assert_eq!(status(&handle, index * 10 + 3, 1), DIED, "mark {index}");
        joined += u32::from(status(&handle, index * 10 + 4, 6) == DIED);
    }
    assert_eq!(
        joined, 36,
        "a hundred marks in sixty-four: thirty-six gaps are closed, and no more"
    );
    assert_eq!(status(&handle, 1000, SIZE as u64 - 1000), 0);
    complete(&handle, 0, 1000);
    assert_eq!(status(&handle, 0, SIZE as u64), 0);
}
