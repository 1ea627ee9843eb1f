// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which ranges conflict: overlap and access, between handles and between processes.

use super::refused;
use crate::harness::tests;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, Process, SIZE};

tests![
    readers_share_and_writers_exclude,
    two_ranges_conflict_when_they_share_a_byte,
    disjoint_ranges_do_not_conflict,
    disjoint_writers_do_not_wait_for_one_another,
    many_readers_share_a_byte,
    another_process_is_excluded_as_another_handle_is,
    two_handles_of_one_process_exclude_one_another,
];

fn readers_share_and_writers_exclude() {
    let (one, other) = (Handle::rw(), Handle::rw());
    for (held, asked, conflict) in [
        (ACCESS_READ, ACCESS_READ, false),
        (ACCESS_READ, ACCESS_WRITE, true),
        (ACCESS_WRITE, ACCESS_READ, true),
        (ACCESS_WRITE, ACCESS_WRITE, true),
    ] {
        one.begin(held, 50, 10, 0).unwrap();
        if conflict {
            refused(other.begin(asked, 50, 10, 0), Errno::EAGAIN);
        } else {
            other.begin(asked, 50, 10, 0).unwrap();
            other.end(asked, 50, 10).unwrap();
        }
        one.end(held, 50, 10).unwrap();
    }
}

fn two_ranges_conflict_when_they_share_a_byte() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 8, 8, 0).unwrap();
    // Every range of up to 24 bytes around the held one, against plain arithmetic.
    for offset in 0..24 {
        for len in 1..=24 {
            let overlaps = offset < 16 && offset + len > 8;
            match other.begin(ACCESS_READ, offset, len, 0) {
                Ok(_) if !overlaps => drop(other.end(ACCESS_READ, offset, len).unwrap()),
                Err(Errno::EAGAIN) if overlaps => (),
                outcome => panic!("[{offset}, {len}): overlaps {overlaps}, {outcome:?}"),
            }
        }
    }
}

fn disjoint_ranges_do_not_conflict() {
    let handles: Vec<_> = (0..64).map(|_| Handle::rw()).collect();
    for (index, handle) in (0..).zip(&handles) {
        handle.begin(ACCESS_WRITE, index * 64, 64, 0).unwrap();
    }
    assert_eq!(handles[0].stat().unwrap().holders, 64);
    for (index, handle) in (0..).zip(&handles) {
        handle.end(ACCESS_WRITE, index * 64, 64).unwrap();
    }
}

fn disjoint_writers_do_not_wait_for_one_another() {
    let holder = Handle::rw();
    holder.begin(ACCESS_WRITE, 0, SIZE as u64 / 2, 0).unwrap();
    Process::fork(|| {
        let handle = Handle::rw();
        for _ in 0..200 {
            handle
                .begin(ACCESS_WRITE, SIZE as u64 / 2, SIZE as u64 / 2, DEADLINE_NEVER)
                .unwrap();
            handle
                .end(ACCESS_WRITE, SIZE as u64 / 2, SIZE as u64 / 2)
                .unwrap();
        }
    })
    .join();
    holder.end(ACCESS_WRITE, 0, SIZE as u64 / 2).unwrap();
}

fn many_readers_share_a_byte() {
    let (held, go) = (Gate::new(), Gate::new());
    let readers: Vec<_> = (0..20)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::ro();
                handle.begin(ACCESS_READ, 0, SIZE as u64, 0).unwrap();
                held.open();
                go.pass();
                handle.end(ACCESS_READ, 0, SIZE as u64).unwrap();
            })
        })
        .collect();
    readers.iter().for_each(|_| held.pass());
    let writer = Handle::rw();
    assert_eq!(writer.stat().unwrap().holders, 20);
    refused(writer.begin(ACCESS_WRITE, 77, 1, 0), Errno::EAGAIN);
    readers.iter().for_each(|_| go.open());
    readers.into_iter().for_each(Process::join);
    writer.begin(ACCESS_WRITE, 77, 1, 0).unwrap();
}

fn another_process_is_excluded_as_another_handle_is() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    Process::fork(|| {
        refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
        refused(Handle::rw().begin(ACCESS_WRITE, 7, 1, 0), Errno::EAGAIN);
    })
    .join();
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
}

fn two_handles_of_one_process_exclude_one_another() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    refused(other.begin(ACCESS_WRITE, 0, 8, 0), Errno::EAGAIN);
    drop(one);
    other.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
}
