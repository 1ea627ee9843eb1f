// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls about more than one word: WAITV, REQUEUE and WAKE_WAIT.

use std::sync::atomic::Ordering;

use super::model::Random;
use super::{debugfs, refused};
use crate::harness::tests;
use crate::sys::process::{End, until};
use crate::sys::segments::remove;
use crate::sys::words::{wait, wake};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, IOC_REQUEUE, IOC_WAITV, PAGE, Process, Region,
    Requeue, Result, SIZE, THIS, WAITV_MAX, WaitWord, Waitv, WakeWait, in_ms, now_ns, signal,
};

tests![
    which_of_many_words_was_woken_is_told,
    a_word_among_many_that_is_not_as_expected_is_eagain,
    no_words_and_too_many_are_einval,
    only_as_many_words_are_read_as_there_are,
    who_waits_on_many_words_is_woken_and_counted_once,
    a_word_may_be_waited_on_twice,
    who_waits_on_many_words_has_a_place_in_each_queue,
    a_wait_on_many_words_ends_by_deadline_and_signal,
    a_killed_waiter_on_many_words_is_gone,
    who_is_killed_once_woken_on_one_of_many_passes_it_on,
    some_are_woken_and_others_moved,
    a_word_that_is_not_as_expected_moves_nobody,
    who_is_moved_comes_after_those_who_wait_there,
    who_was_moved_can_be_moved_on_and_back,
    a_wait_that_was_moved_ends_by_deadline_signal_and_death,
    who_waits_on_many_words_can_be_moved_on_one,
    real_time_tasks_are_moved_to_the_front,
    requeue_refuses_what_it_cannot_do,
    nobody_is_lost_while_others_move_and_wake_them needs [Debugfs] within 120,
    who_is_being_moved_is_found_at_the_one_word_or_the_other within 120,
    who_gives_up_while_being_moved_leaves_no_place needs [Debugfs] within 120,
    a_request_and_its_answer_are_two_calls,
    who_is_to_be_woken_is_woken_although_the_word_has_changed,
    a_signal_ends_a_wait_after_waking_and_wakes_nobody_twice,
    a_wait_that_is_refused_wakes_nobody,
    all_of_these_want_their_rights,
];

/// A process that does this, and waits until it sleeps.
fn asleep(body: impl FnOnce()) -> Process {
    let process = Process::fork(body);
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

/// A process that waits on the word while it is 0.
fn waiter(offset: u64) -> Process {
    asleep(|| Handle::rw().wait_on(offset, 0, DEADLINE_NEVER).unwrap())
}

/// A process that waits on these words while they are 0, until it is woken on the one of this index.
fn waiter_on(offsets: &[u64], woken: u32) -> Process {
    let words: Vec<_> = offsets.iter().map(|&offset| (offset, 0)).collect();
    asleep(|| assert_eq!(Handle::rw().wait_on_any(&words, DEADLINE_NEVER), Ok(woken)))
}

/// A handle of the default segment, which is zero.
fn zeroed() -> Handle {
    let handle = Handle::rw();
    handle.pwrite(&vec![0; SIZE], 0).unwrap();
    handle
}

#[track_caller]
fn nobody_sleeps(handle: &Handle) {
    assert_eq!(handle.stat().unwrap().sleepers, 0);
}

fn which_of_many_words_was_woken_is_told() {
    let handle = zeroed();
    let offsets: Vec<u64> = (0..WAITV_MAX as u64).map(|index| index * 4096).collect();
    for woken in [0, 1, 64, 127] {
        let process = waiter_on(&offsets, woken);
        assert_eq!(handle.stat().unwrap().sleepers, 1);
        assert_eq!(
            handle.wake(offsets[woken as usize] + 4, 1),
            Ok(0),
            "the word beside it"
        );
        assert_eq!(handle.wake(offsets[woken as usize], 1), Ok(1));
        process.join();
        for &offset in &offsets {
            assert_eq!(handle.wake(offset, 1), Ok(0), "nobody is left at {offset}");
        }
    }
    nobody_sleeps(&handle);
}

fn a_word_among_many_that_is_not_as_expected_is_eagain() {
    let handle = zeroed();
    let mapping = handle.whole();
    for changed in [0_u64, 1, 2] {
        mapping.u32(changed as usize * 8).store(1, Ordering::SeqCst);
        refused(
            handle.wait_on_any(&[(0, 0), (8, 0), (16, 0)], DEADLINE_NEVER),
            Errno::EAGAIN,
        );
        for offset in [0, 8, 16] {
            assert_eq!(handle.wake(offset, 1), Ok(0));
        }
        let expected = |index: u64| (index * 8, u32::from(index == changed));
        let words = [0, 1, 2].map(expected);
        refused(handle.wait_on_any(&words, 0), Errno::ETIMEDOUT);
        mapping.u32(changed as usize * 8).store(0, Ordering::SeqCst);
    }
    nobody_sleeps(&handle);
}

fn no_words_and_too_many_are_einval() {
    let handle = zeroed();
    let waitv = |count, flags, deadline_ns| {
        let mut waitv = Waitv {
            deadline_ns,
            count,
            flags,
            ..Waitv::default()
        };
        handle.count(IOC_WAITV, &mut waitv)
    };
    for count in [0, WAITV_MAX as u32 + 1, 1 << 31, u32::MAX] {
        refused(waitv(count, 0, 0), Errno::EINVAL);
    }
    for flags in [1, 1 << 31] {
        refused(waitv(1, flags, 0), Errno::EINVAL);
    }
    for deadline in [1 << 63, u64::MAX - 1] {
        refused(waitv(1, 0, deadline), Errno::EINVAL);
    }
    refused(waitv(WAITV_MAX as u32, 0, 0), Errno::ETIMEDOUT);
    for bad in [1, 2, SIZE as u64, u64::MAX - 3] {
        for index in 0..3 {
            let mut words = [(0, 0), (4, 0), (8, 0)];
            words[index].0 = bad;
            refused(handle.wait_on_any(&words, 0), Errno::EINVAL);
        }
    }
    let mut waitv = Waitv {
        count: 2,
        ..Waitv::default()
    };
    waitv.words[1].flags = 1;
    refused(handle.count(IOC_WAITV, &mut waitv), Errno::EINVAL);
}

fn only_as_many_words_are_read_as_there_are() {
    let handle = zeroed();
    let pages = Region::with_hole(PAGE);
    let mut waitv = Waitv {
        count: 3,
        ..Waitv::default()
    };
    waitv.words[2] = WaitWord {
        offset: 8,
        expected: 1,
        flags: 0,
    };
    let place = |words: usize| {
        let at = PAGE - 16 - words * size_of::<WaitWord>();
        // SAFETY: a structure of integers without padding.
        let bytes: [u8; size_of::<Waitv>()] = unsafe { std::mem::transmute(waitv) };
        pages.write(at, &bytes[..PAGE - at]);
        handle.ioctl(IOC_WAITV, pages.at(at))
    };
    refused(place(3), Errno::EAGAIN);
    refused(place(2), Errno::EFAULT);
    refused(place(0), Errno::EFAULT);
}

fn who_waits_on_many_words_is_woken_and_counted_once() {
    let handle = zeroed();
    for _ in 0..100 {
        let process = asleep(|| {
            let index = Handle::rw()
                .wait_on_any(&[(0, 0), (64, 0)], DEADLINE_NEVER)
                .unwrap();
            assert!(index < 2);
        });
        let woken = handle.wake(64, 1).unwrap() + handle.wake(0, 1).unwrap();
        assert_eq!(woken, 1);
        process.join();
    }
    nobody_sleeps(&handle);
}

fn a_word_may_be_waited_on_twice() {
    let handle = zeroed();
    let process = waiter_on(&[8, 8, 8], 0);
    assert_eq!(handle.wake(8, i32::MAX as u32), Ok(1));
    process.join();
    assert_eq!(handle.wake(8, 1), Ok(0));
}

fn who_waits_on_many_words_has_a_place_in_each_queue() {
    let handle = zeroed();
    let first = waiter(0);
    let many = waiter_on(&[64, 0], 1);
    let last = waiter(0);
    for process in [first, many, last] {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
    assert_eq!(handle.wake(64, 1), Ok(0));
}

fn a_wait_on_many_words_ends_by_deadline_and_signal() {
    let handle = zeroed();
    let words = [(0, 0), (64, 0), (128, 0)];
    let nobody = || {
        assert!(words.iter().all(|&(offset, _)| handle.wake(offset, 1) == Ok(0)));
        nobody_sleeps(&handle);
    };
    for deadline in [0, now_ns(), in_ms(5)] {
        refused(handle.wait_on_any(&words, deadline), Errno::ETIMEDOUT);
        assert!(now_ns() >= deadline);
        nobody();
    }
    signal::catch(libc::SIGUSR1, 0);
    let process = asleep(|| refused(Handle::rw().wait_on_any(&words, DEADLINE_NEVER), Errno::EINTR));
    process.signal(libc::SIGUSR1);
    process.join();
    nobody();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter_on(&[0, 64, 128], 2);
    process.signal(libc::SIGUSR1);
    until("it waits again and is woken", || handle.wake(128, 1) == Ok(1));
    process.join();
}

fn a_killed_waiter_on_many_words_is_gone() {
    let handle = zeroed();
    for _ in 0..20 {
        asleep(|| {
            let _ = Handle::rw().wait_on_any(&[(0, 0), (64, 0)], DEADLINE_NEVER);
            panic!("the wait ended");
        })
        .kill();
        assert_eq!((handle.wake(0, 1), handle.wake(64, 1)), (Ok(0), Ok(0)));
    }
    nobody_sleeps(&handle);
}

fn who_is_killed_once_woken_on_one_of_many_passes_it_on() {
    let handle = zeroed();
    signal::run_on_the_first_processor();
    for _ in 0..20 {
        let first = waiter_on(&[0, 64], 1);
        let second = waiter(64);
        signal::keep_the_processor(|| {
            assert_eq!(handle.wake(64, 1), Ok(1));
            first.signal(libc::SIGKILL);
        });
        assert_eq!(first.wait(), End::Signal(libc::SIGKILL));
        second.join();
    }
}

fn some_are_woken_and_others_moved() {
    let handle = zeroed();
    let mut waiters: Vec<_> = (0..6).map(|_| waiter(0)).collect();
    assert_eq!(handle.requeue(0, 0, 0, 64, 0), Ok(0));
    assert_eq!(handle.requeue(0, 0, 1, 64, 3), Ok(4));
    waiters.remove(0).join();
    // The first ones were moved, and wait there in their order.
    for _ in 0..3 {
        assert_eq!(handle.wake(64, 1), Ok(1));
        waiters.remove(0).join();
    }
    assert_eq!(handle.wake(64, 1), Ok(0));
    assert_eq!(handle.wake(0, i32::MAX as u32), Ok(2));
    waiters.into_iter().for_each(Process::join);
    nobody_sleeps(&handle);
}

fn a_word_that_is_not_as_expected_moves_nobody() {
    let handle = zeroed();
    let process = waiter(0);
    refused(handle.requeue(0, 1, 1, 64, 1), Errno::EAGAIN);
    assert_eq!(handle.wake(64, 1), Ok(0));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

fn who_is_moved_comes_after_those_who_wait_there() {
    let handle = zeroed();
    let [moved, there] = [0, 64].map(waiter);
    assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    let last = waiter(64);
    for process in [there, moved, last] {
        assert_eq!(handle.wake(64, 1), Ok(1));
        process.join();
    }
}

fn who_was_moved_can_be_moved_on_and_back() {
    let handle = zeroed();
    let waiters: Vec<_> = (0..3).map(|_| waiter(0)).collect();
    // Some of so many words share a bucket.
    let mut at = 0;
    for to in (4..SIZE as u64).step_by(4096).chain([0]) {
        assert_eq!(handle.requeue(at, 0, 0, to, i32::MAX as u32), Ok(3));
        assert_eq!(handle.wake(at, 1), Ok(0));
        at = to;
    }
    for process in waiters {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
}

fn a_wait_that_was_moved_ends_by_deadline_signal_and_death() {
    let handle = zeroed();
    let move_one = || assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    let gone = || assert_eq!((handle.wake(0, 1), handle.wake(64, 1)), (Ok(0), Ok(0)));
    let deadline = in_ms(300);
    let process = asleep(|| refused(Handle::rw().wait_on(0, 0, deadline), Errno::ETIMEDOUT));
    move_one();
    process.join();
    gone();
    signal::catch(libc::SIGUSR1, 0);
    let process = asleep(|| refused(Handle::rw().wait_on(0, 0, DEADLINE_NEVER), Errno::EINTR));
    move_one();
    process.signal(libc::SIGUSR1);
    process.join();
    gone();
    let process = waiter(0);
    move_one();
    process.kill();
    gone();
    // A call that is restarted waits on the word that it named.
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter(0);
    move_one();
    process.signal(libc::SIGUSR1);
    until("it waits on its own word again", || handle.wake(0, 1) == Ok(1));
    process.join();
    nobody_sleeps(&handle);
}

fn who_waits_on_many_words_can_be_moved_on_one() {
    let handle = zeroed();
    for woken_by in [128, 64] {
        let process = waiter_on(&[0, 64], u32::from(woken_by == 64));
        assert_eq!(handle.requeue(0, 0, 0, 128, 1), Ok(1));
        assert_eq!(handle.wake(0, 1), Ok(0));
        assert_eq!(handle.wake(woken_by, 1), Ok(1));
        process.join();
        assert!([0, 64, 128].iter().all(|&offset| handle.wake(offset, 1) == Ok(0)));
    }
}

fn real_time_tasks_are_moved_to_the_front() {
    let handle = zeroed();
    let ordinary = waiter(64);
    let urgent = asleep(|| {
        signal::become_real_time(10);
        Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap();
    });
    assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    for process in [urgent, ordinary] {
        assert_eq!(handle.wake(64, 1), Ok(1));
        process.join();
    }
}

fn requeue_refuses_what_it_cannot_do() {
    let handle = zeroed();
    let process = waiter(0);
    for (from, to) in [
        (0, 0),
        (0, 2),
        (2, 0),
        (0, SIZE as u64),
        (SIZE as u64, 0),
        (0, u64::MAX - 3),
    ] {
        refused(handle.requeue(from, 0, 1, to, 1), Errno::EINVAL);
    }
    for (wake, most) in [(1 << 31, 0), (0, 1 << 31), (u32::MAX, u32::MAX)] {
        refused(handle.requeue(0, 0, wake, 64, most), Errno::EINVAL);
    }
    let mut flagged = Requeue {
        to: 64,
        wake: 1,
        flags: 1,
        ..Requeue::default()
    };
    refused(handle.count(IOC_REQUEUE, &mut flagged), Errno::EINVAL);
    assert!(process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

/// Waiters that give up soon and come again; two that move them to and fro; and one that wakes at the one word and
/// then at the other. In the end, all are woken by that alone.
fn nobody_is_lost_while_others_move_and_wake_them() {
    const WORDS: [u64; 2] = [0, 4096];
    let handle = zeroed();
    let shared = Region::shared(PAGE);
    let (rounds, end) = (shared.u32(0), shared.u32(4));
    let waiters: Vec<_> = (0..8_u64)
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
    until("all have come to an end", || {
        WORDS
            .iter()
            .for_each(|&offset| _ = handle.wake(offset, 100).unwrap());
        handle.stat().unwrap().sleepers == 0
    });
    waiters.into_iter().chain(movers).for_each(Process::join);
    nobody_sleeps(&handle);
    assert_eq!(
        debugfs::text("words").lines().count(),
        1,
        "a place is left in a queue"
    );
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
    assert_eq!(
        debugfs::text("words").lines().count(),
        1,
        "a place is left in a queue"
    );
}

fn wait_somehow(handle: &Handle, random: &mut Random, offset: u64, deadline: u64) -> Result<()> {
    match random.below(3) {
        0 => handle.wait_on_any(&[(offset, 0), (8192, 0)], deadline).map(drop),
        _ => handle.wait_on(offset, 0, deadline),
    }
}

fn a_request_and_its_answer_are_two_calls() {
    const ROUNDS: u32 = 3000;
    let handle = zeroed();
    let mapping = handle.window(0, PAGE);
    let words = [mapping.u32(0), mapping.u32(64)];
    // Each waits on a word of its own, for the number of the next round.
    let play = |own: usize| {
        let handle = Handle::rw();
        for round in 1..=ROUNDS {
            if own == 0 {
                words[1].store(round, Ordering::SeqCst);
            }
            let answered = |handle: &Handle| {
                let wake = wake(if own == 0 { 64 } else { 0 }, 1);
                match handle.wake_wait(wake, wait(own as u64 * 64, round - 1, DEADLINE_NEVER)) {
                    Ok(()) | Err(Errno::EAGAIN) => (),
                    Err(error) => panic!("{error}"),
                }
            };
            while words[own].load(Ordering::SeqCst) < round {
                answered(&handle);
            }
            if own == 1 {
                words[0].store(round, Ordering::SeqCst);
            }
        }
        handle.wake(if own == 0 { 64 } else { 0 }, 1).unwrap();
    };
    let players = [0, 1].map(|own| Process::fork(|| play(own)));
    players.into_iter().for_each(Process::join);
    assert_eq!(words.map(|word| word.load(Ordering::SeqCst)), [ROUNDS; 2]);
}

fn who_is_to_be_woken_is_woken_although_the_word_has_changed() {
    let handle = zeroed();
    let process = waiter(0);
    refused(
        handle.wake_wait(wake(0, 1), wait(64, 1, DEADLINE_NEVER)),
        Errno::EAGAIN,
    );
    process.join();
    let process = waiter(0);
    refused(handle.wake_wait(wake(0, 1), wait(64, 0, 0)), Errno::ETIMEDOUT);
    process.join();
    // Several, or nobody.
    let two = [waiter(0), waiter(0)];
    refused(handle.wake_wait(wake(0, 0), wait(64, 0, 0)), Errno::ETIMEDOUT);
    assert!(two.iter().all(|process| process.sleeps_in(libc::SYS_ioctl)));
    refused(handle.wake_wait(wake(0, 2), wait(64, 0, 0)), Errno::ETIMEDOUT);
    two.into_iter().for_each(Process::join);
    assert_eq!(handle.wake(64, 1), Ok(0));
}

fn a_signal_ends_a_wait_after_waking_and_wakes_nobody_twice() {
    let handle = zeroed();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let waiters = [waiter(0), waiter(0)];
    let process = asleep(|| {
        refused(
            Handle::rw().wake_wait(wake(0, 1), wait(64, 0, DEADLINE_NEVER)),
            Errno::EINTR,
        );
    });
    let [first, second] = waiters;
    first.join();
    process.signal(libc::SIGUSR1);
    process.join();
    assert!(second.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 2), Ok(1));
    second.join();
}

fn a_wait_that_is_refused_wakes_nobody() {
    let handle = zeroed();
    let process = waiter(0);
    let end = SIZE as u64;
    for (at, waits) in [
        (0, wait(0, 0, 0)),
        (0, wait(66, 0, 0)),
        (0, wait(end, 0, 0)),
        (0, wait(64, 0, 1 << 63)),
        (2, wait(64, 0, 0)),
        (end, wait(64, 0, 0)),
    ] {
        refused(handle.wake_wait(wake(at, 1), waits), Errno::EINVAL);
    }
    refused(handle.wake_wait(wake(0, 1 << 31), wait(64, 0, 0)), Errno::EINVAL);
    for (wake_flags, wait_flags) in [(1, 0), (0, 1)] {
        let mut flagged = WakeWait {
            wake: wake(0, 1),
            wait: wait(64, 0, 0),
        };
        (flagged.wake.flags, flagged.wait.flags) = (wake_flags, wait_flags);
        refused(handle.call(&mut flagged), Errno::EINVAL);
    }
    assert!(process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

fn all_of_these_want_their_rights() {
    let (reader, writer, both) = (Handle::ro(), Handle::wo(), zeroed());
    refused(reader.wait_on_any(&[(0, 0)], 0), Errno::ETIMEDOUT);
    refused(writer.wait_on_any(&[(0, 0)], 0), Errno::EACCES);
    for lesser in [&reader, &writer] {
        refused(lesser.requeue(0, 0, 1, 64, 1), Errno::EACCES);
        refused(lesser.wake_wait(wake(0, 1), wait(64, 0, 0)), Errno::EACCES);
    }
    assert_eq!(both.requeue(0, 0, 1, 64, 1), Ok(0));
    both.restrict(64, 64, ACCESS_READ | ACCESS_WRITE).unwrap();
    for (inside, outside) in [(64, 60), (124, 128)] {
        refused(both.wait_on_any(&[(inside, 0), (outside, 0)], 0), Errno::EACCES);
        refused(both.requeue(inside, 0, 1, outside, 1), Errno::EACCES);
        refused(both.requeue(outside, 0, 1, inside, 1), Errno::EACCES);
        refused(
            both.wake_wait(wake(inside, 1), wait(outside, 0, 0)),
            Errno::EACCES,
        );
        refused(
            both.wake_wait(wake(outside, 1), wait(inside, 0, 0)),
            Errno::EACCES,
        );
    }
    refused(both.wait_on_any(&[(64, 0), (124, 0)], 0), Errno::ETIMEDOUT);
    // And a word that was taken away.
    let owner = Handle::creating("frames", 2 * PAGE as u64);
    owner.resize(THIS, PAGE as u64).unwrap();
    let far = PAGE as u64;
    refused(owner.wait_on_any(&[(0, 0), (far, 0)], 0), Errno::EINVAL);
    refused(owner.requeue(0, 0, 1, far, 1), Errno::EINVAL);
    refused(owner.wake_wait(wake(0, 1), wait(far, 0, 0)), Errno::EINVAL);
    remove("frames");
}
