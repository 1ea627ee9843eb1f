// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Barrier` between processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{Barrier, BlockedError};

use super::areas::{area, cleared};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{PAGE, Process, Region};

tests![
    #[slow] four_processes_pass_together_again_and_again within 120,
    who_gives_up_has_not_come,
    one_who_died_while_he_waited_had_come,
    alone_nobody_waits,
];

fn four_processes_pass_together_again_and_again() {
    const ROUNDS: u32 = 500;
    let _area = cleared();
    let region = Region::shared(PAGE);
    let processes = [0, 1, 2, 3].map(|index| {
        let region = &region;
        Process::fork(move || {
            let barrier = Barrier::at(&area(), 0, 4).unwrap();
            for round in 1..=ROUNDS {
                region.u32(4 * index).store(round, Ordering::Relaxed);
                if barrier.wait().unwrap() {
                    region.u32(16).fetch_add(1, Ordering::Relaxed);
                }
                for other in 0..4 {
                    assert!(region.u32(4 * other).load(Ordering::Relaxed) >= round);
                }
            }
        })
    });
    processes.into_iter().for_each(Process::join);
    assert_eq!(
        region.u32(16).load(Ordering::SeqCst),
        ROUNDS,
        "one comes last in each round"
    );
}

/// A process that waits for another one.
fn one_of_two() -> Process {
    let process = Process::fork(|| {
        Barrier::at(&area(), 0, 2).unwrap().wait().unwrap();
    });
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

fn who_gives_up_has_not_come() {
    let barrier = Barrier::at(&cleared(), 0, 2).unwrap();
    assert!(matches!(
        barrier.wait_until(Deadline::Now),
        Err(BlockedError::Busy)
    ));
    for deadline in [
        Deadline::At(Duration::ZERO),
        Deadline::after(Duration::from_millis(3)),
    ] {
        assert!(matches!(
            barrier.wait_until(deadline),
            Err(BlockedError::TimedOut)
        ));
    }
    let other = one_of_two();
    assert!(barrier.wait_until(Deadline::Now).unwrap());
    other.join();
}

fn one_who_died_while_he_waited_had_come() {
    let barrier = Barrier::at(&cleared(), 0, 2).unwrap();
    let other = one_of_two();
    other.kill();
    assert!(barrier.wait_until(Deadline::Now).unwrap());
}

fn alone_nobody_waits() {
    let barrier = Barrier::at(&cleared(), 0, 1).unwrap();
    assert!((0..3).all(|_| barrier.wait().unwrap()));
}
