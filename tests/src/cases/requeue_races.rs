// SPDX-License-Identifier: MIT OR Apache-2.0

//! REQUEUE while others wake, and while those who are moved give up.

use std::sync::atomic::Ordering;

use super::model::Random;
use super::waiters::{nobody_sleeps, waiter, zeroed};
use super::{debugfs, refused};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{DEADLINE_NEVER, Errno, Handle, PAGE, Process, Region, Result, now_ns};

tests![
    #[slow] nobody_is_lost_while_others_move_and_wake_them needs [Debugfs] within 120,
    #[slow] who_is_being_moved_is_found_at_the_one_word_or_the_other within 120,
    #[slow] who_gives_up_while_being_moved_leaves_no_place needs [Debugfs] within 120,
];

fn wait_somehow(handle: &Handle, random: &mut Random, offset: u64, deadline: u64) -> Result<()> {
    match random.below(3) {
        0 => handle.wait_on_any(&[(offset, 0), (8192, 0)], deadline).map(drop),
        _ => handle.wait_on(offset, 0, deadline),
    }
}

/// With one who waits, for else the places are not shown.
#[track_caller]
fn no_place_is_left() {
    let one = waiter(512);
    let text = debugfs::text("words");
    assert_eq!(text.lines().count(), 2, "{text}");
    one.kill();
}

/// Waiters that give up soon and come again; two that move them to and fro; and one that wakes at the one word and
/// then at the other. In the end, all are woken by that alone.
fn nobody_is_lost_while_others_move_and_wake_them() {
    const WORDS: [u64; 2] = [0, 4096];
    let handle = zeroed();
    let shared = Region::shared(PAGE);
    let (rounds, end) = (shared.u32(0), shared.u32(4));
    let mut waiters: Vec<_> = (0..8_u64)
        .map(|seed| {
            Process::fork(|| {
                let handle = Handle::rw();
                let mut random = Random(seed * 77 + 1);
                while end.load(Ordering::SeqCst) == 0 {
                    let offset = WORDS[random.below(2)];
                    let deadline = match random.below(3) {
                        0 => DEADLINE_NEVER,
                        _ => now_ns() + random.below(200_000) as u64,
                    };
                    match wait_somehow(&handle, &mut random, offset, deadline) {
                        Ok(()) | Err(Errno::ETIMEDOUT) => _ = rounds.fetch_add(1, Ordering::SeqCst),
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let movers = [(0, 1), (1, 0)].map(|(from, to)| {
        Process::fork(|| {
            let handle = Handle::rw();
            while end.load(Ordering::SeqCst) == 0 {
                handle.requeue(WORDS[from], 0, 0, WORDS[to], 100).unwrap();
            }
        })
    });
    // Nobody sets the words, so a waiter that was missed would sleep on.
    while rounds.load(Ordering::SeqCst) < 3000 {
        WORDS
            .iter()
            .for_each(|&offset| _ = handle.wake(offset, 1).unwrap());
    }
    end.store(1, Ordering::SeqCst);
    // One may have looked for the end before, and wait only now.
    until("all have come to an end", || {
        WORDS
            .iter()
            .for_each(|&offset| _ = handle.wake(offset, 100).unwrap());
        waiters.retain_mut(Process::goes_on);
        waiters.is_empty()
    });
    movers.into_iter().for_each(Process::join);
    nobody_sleeps(&handle);
    no_place_is_left();
}

/// One moves all from the first word to the second while another wakes all at the first, and then at the second.
fn who_is_being_moved_is_found_at_the_one_word_or_the_other() {
    const WAITERS: u32 = 4;
    const ROUNDS: u32 = 500;
    const ALL: u32 = i32::MAX as u32;
    let (first, second, aside) = (0, 4096, 8192);
    let handle = zeroed();
    let shared = Region::shared(PAGE);
    let [round, go, moved, done] = [0, 4, 8, 12].map(|at| shared.u32(at));
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::rw();
                for turn in 1..=ROUNDS {
                    while round.load(Ordering::SeqCst) < turn {
                        std::thread::yield_now();
                    }
                    handle.wait_on(first, 0, DEADLINE_NEVER).unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mover = Process::fork(|| {
        let handle = Handle::rw();
        for turn in 1..=ROUNDS {
            while go.load(Ordering::SeqCst) < turn {
                std::hint::spin_loop();
            }
            handle.requeue(first, 0, 0, second, ALL).unwrap();
            moved.store(turn, Ordering::SeqCst);
        }
    });
    let mut random = Random(7);
    for turn in 1..=ROUNDS {
        round.store(turn, Ordering::SeqCst);
        let mut waiting = 0;
        until("all wait", || {
            waiting += handle.requeue(first, 0, 0, aside, ALL).unwrap();
            waiting == WAITERS
        });
        assert_eq!(handle.requeue(aside, 0, 0, first, ALL), Ok(WAITERS));
        go.store(turn, Ordering::SeqCst);
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
        let woken = [first, second].map(|offset| handle.wake(offset, ALL).unwrap());
        assert_eq!(woken.iter().sum::<u32>(), WAITERS, "{woken:?} in round {turn}");
        until("the other has done what it does", || {
            moved.load(Ordering::SeqCst) == turn
        });
        until("all are awake", || done.load(Ordering::SeqCst) == turn * WAITERS);
    }
    waiters.into_iter().for_each(Process::join);
    mover.join();
}

/// Nobody wakes at the word that they are moved to, so what is left there stays.
fn who_gives_up_while_being_moved_leaves_no_place() {
    const ROUNDS: u32 = 6000;
    let handle = zeroed();
    let shared = Region::shared(PAGE);
    let done = shared.u32(0);
    let waiter = Process::fork(|| {
        let handle = Handle::rw();
        let mut random = Random(5);
        for _ in 0..ROUNDS {
            let deadline = now_ns() + random.below(30_000) as u64;
            refused(handle.wait_on(0, 0, deadline), Errno::ETIMEDOUT);
        }
        done.store(1, Ordering::SeqCst);
    });
    while done.load(Ordering::SeqCst) == 0 {
        handle.requeue(0, 0, 0, 4096, 100).unwrap();
    }
    waiter.join();
    no_place_is_left();
}
