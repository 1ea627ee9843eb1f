// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Semaphore` between processes, some of which die.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{BlockedError, ReleaseError, Semaphore};

use super::areas::{area, cleared};
use crate::harness::tests;
use crate::sys::process::{End, until};
use crate::sys::{PAGE, Process, Region};

tests![
    as_many_are_in_as_there_are_permits within 120,
    what_is_released_is_acquired within 120,
    who_waits_is_woken_by_as_many_as_are_released,
    #[slow] a_permit_for_one_who_is_killed_goes_to_the_next within 120,
    deadlines_past_now_and_ahead,
    there_are_never_too_many,
];

fn semaphore() -> Semaphore {
    Semaphore::at(&area(), 64, 2).unwrap()
}

fn as_many_are_in_as_there_are_permits() {
    let _area = cleared();
    let region = Region::shared(PAGE);
    let inside = region.u32(0);
    let processes = [(); 4].map(|()| {
        Process::fork(|| {
            let semaphore = semaphore();
            for _ in 0..2000 {
                semaphore.acquire().unwrap();
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                inside.fetch_sub(1, Ordering::SeqCst);
                semaphore.release(1).unwrap();
            }
        })
    });
    processes.into_iter().for_each(Process::join);
    assert_eq!(semaphore().available(), 2);
}

fn what_is_released_is_acquired() {
    let _area = cleared();
    let takers = [(); 3].map(|()| {
        Process::fork(|| {
            let semaphore = semaphore();
            (0..1000).for_each(|_| semaphore.acquire().unwrap());
        })
    });
    let semaphore = semaphore();
    let mut given = 2;
    while given < 3000 {
        let permits = 1 + given % 4;
        let permits = permits.min(3000 - given);
        semaphore.release(permits).unwrap();
        given += permits;
    }
    takers.into_iter().for_each(Process::join);
    assert_eq!(semaphore.available(), 0);
}

/// Processes that wait for a permit; there is none.
fn takers(count: usize) -> Vec<Process> {
    let takers: Vec<_> = (0..count)
        .map(|_| Process::fork(|| semaphore().acquire().unwrap()))
        .collect();
    until("they wait", || {
        takers.iter().all(|taker| taker.sleeps_in(libc::SYS_ioctl))
    });
    takers
}

fn who_waits_is_woken_by_as_many_as_are_released() {
    let _area = cleared();
    let semaphore = semaphore();
    (0..2).for_each(|_| semaphore.acquire().unwrap());
    for pieces in [&[5][..], &[1, 1, 1, 1, 1], &[2, 3], &[7]] {
        let takers = takers(5);
        pieces.iter().for_each(|&piece| semaphore.release(piece).unwrap());
        takers.into_iter().for_each(Process::join);
    }
    assert_eq!(semaphore.available(), 2);
}

fn a_permit_for_one_who_is_killed_goes_to_the_next() {
    let _area = cleared();
    let semaphore = semaphore();
    (0..2).for_each(|_| semaphore.acquire().unwrap());
    for _ in 0..50 {
        let mut takers = takers(2);
        let (mut other, victim) = (takers.pop().unwrap(), takers.pop().unwrap());
        semaphore.release(1).unwrap();
        victim.signal(libc::SIGKILL);
        victim.wait();
        until("the other has one", || {
            // If the victim took it before he died it is gone: permits are nobody's.
            if semaphore.available() == 0 && other.sleeps_in(libc::SYS_ioctl) {
                semaphore.release(1).unwrap();
            }
            other.ended().is_some_and(|end| end == End::Exit(0))
        });
        while semaphore.try_acquire().is_ok() {}
    }
}

fn deadlines_past_now_and_ahead() {
    let _area = cleared();
    let semaphore = semaphore();
    (0..2).for_each(|_| semaphore.try_acquire().unwrap());
    assert!(matches!(semaphore.try_acquire(), Err(BlockedError::Busy)));
    for deadline in [
        Deadline::At(Duration::ZERO),
        Deadline::after(Duration::from_millis(3)),
    ] {
        assert!(matches!(
            semaphore.acquire_until(deadline),
            Err(BlockedError::TimedOut)
        ));
    }
    semaphore.release(1).unwrap();
    semaphore
        .acquire_until(Deadline::At(Duration::ZERO))
        .expect("what is there is had");
}

fn there_are_never_too_many() {
    let semaphore = Semaphore::at(&cleared(), 0, Semaphore::MAX - 1).unwrap();
    assert!(matches!(semaphore.release(2), Err(ReleaseError::TooMany)));
    semaphore.release(1).unwrap();
    assert!(matches!(semaphore.release(u32::MAX), Err(ReleaseError::TooMany)));
    assert_eq!(semaphore.available(), Semaphore::MAX);
}
