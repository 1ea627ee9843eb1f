// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters in the segment, counted by several processes under SYNC: nothing is lost.

use std::sync::atomic::Ordering;

use crate::harness::tests;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Gate, Handle, Process, SIZE};

tests![
    #[slow] two_processes_count_ten_thousand_rounds within 180,
    many_processes_count_in_one_range within 180,
    #[slow] readers_never_see_a_write_in_its_middle within 180,
    every_count_is_a_generation,
    #[slow] who_comes_next_is_told_of_every_write_before within 180,
];

const AT: usize = 8 * 1000;

/// Adds one as only an owner may: reads, lets others run into it if they can, writes.
fn add_one(handle: &Handle, mapping: &crate::sys::Region) {
    handle.begin(ACCESS_WRITE, AT as u64, 8, DEADLINE_NEVER).unwrap();
    let value = mapping.u64(AT).load(Ordering::Relaxed);
    for _ in 0..20 {
        std::hint::spin_loop();
    }
    mapping.u64(AT).store(value + 1, Ordering::Relaxed);
    handle.end(ACCESS_WRITE, AT as u64, 8).unwrap();
}

/// Lets processes count and returns what they have counted together.
fn count(processes: usize, rounds: u64) -> u64 {
    let mapping = Handle::rw().whole();
    mapping.u64(AT).store(0, Ordering::SeqCst);
    let go = Gate::new();
    let counters: Vec<_> = (0..processes)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::rw();
                let mapping = handle.whole();
                go.pass();
                (0..rounds).for_each(|_| add_one(&handle, &mapping));
            })
        })
        .collect();
    counters.iter().for_each(|_| go.open());
    counters.into_iter().for_each(Process::join);
    mapping.u64(AT).load(Ordering::SeqCst)
}

fn two_processes_count_ten_thousand_rounds() {
    assert_eq!(count(2, 5000), 10_000);
}

fn many_processes_count_in_one_range() {
    assert_eq!(count(12, 100), 1200);
}

fn readers_never_see_a_write_in_its_middle() {
    const WORDS: usize = 32;
    let mapping = Handle::rw().whole();
    (0..WORDS).for_each(|word| mapping.u64(8 * word).store(0, Ordering::SeqCst));
    let done = SIZE - 8;
    mapping.u64(done).store(0, Ordering::SeqCst);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::ro();
                let mapping = handle.mmap(SIZE, super::READ, super::SHARED, 0).unwrap();
                let mut last = 0;
                while mapping.u64(done).load(Ordering::SeqCst) == 0 {
                    handle
                        .begin(ACCESS_READ, 0, 8 * WORDS as u64, DEADLINE_NEVER)
                        .unwrap();
                    let first = mapping.u64(0).load(Ordering::Relaxed);
                    for word in 1..WORDS {
                        assert_eq!(
                            mapping.u64(8 * word).load(Ordering::Relaxed),
                            first,
                            "word {word}"
                        );
                    }
                    handle.end(ACCESS_READ, 0, 8 * WORDS as u64).unwrap();
                    assert!(first >= last, "time runs forward");
                    last = first;
                }
            })
        })
        .collect();
    let handle = Handle::rw();
    for value in 1..=1000 {
        handle
            .begin(ACCESS_WRITE, 0, 8 * WORDS as u64, DEADLINE_NEVER)
            .unwrap();
        (0..WORDS).for_each(|word| mapping.u64(8 * word).store(value, Ordering::Relaxed));
        handle.end(ACCESS_WRITE, 0, 8 * WORDS as u64).unwrap();
    }
    mapping.u64(done).store(1, Ordering::SeqCst);
    readers.into_iter().for_each(Process::join);
}

fn every_count_is_a_generation() {
    let handle = Handle::rw();
    let before = handle.generation();
    assert_eq!(count(3, 200), 600);
    assert_eq!(handle.generation(), before + 600);
}

fn who_comes_next_is_told_of_every_write_before() {
    // Nobody writes but within the range: who holds it knows how many writes there were.
    let take_turns = |access| {
        let handle = Handle::rw();
        for _ in 0..2000 {
            let begun = handle.begin(access, AT as u64, 8, DEADLINE_NEVER).unwrap();
            let ended = handle.end(access, AT as u64, 8).unwrap();
            let own = u64::from(access == ACCESS_WRITE);
            assert_eq!(ended.generation, begun.generation + own);
        }
    };
    let accesses = [ACCESS_WRITE, ACCESS_WRITE, ACCESS_READ];
    let actors = accesses.map(|access| Process::fork(|| take_turns(access)));
    actors.into_iter().for_each(Process::join);
}
