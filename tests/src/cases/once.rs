// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Once` between processes, some of which die.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{BlockedError, Once};

use super::areas::{area, cleared};
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, PAGE, Process, Region};

tests![
    #[slow]
    eight_do_it_once_and_all_see_it,
    one_who_dies_over_it_is_replaced_and_the_next_is_told,
    one_who_panics_over_it_is_replaced,
    deadlines_past_and_now,
];

fn once() -> Once {
    Once::at(&area(), 0).unwrap()
}

fn eight_do_it_once_and_all_see_it() {
    for _ in 0..20 {
        let _area = cleared();
        let (region, start) = (Region::shared(PAGE), Gate::new());
        let processes = [(); 8].map(|()| {
            Process::fork(|| {
                let once = once();
                start.pass();
                once.call_once(|state| {
                    assert!(!state.owner_died());
                    region.u32(0).fetch_add(1, Ordering::Relaxed);
                })
                .unwrap();
                assert_eq!(region.u32(0).load(Ordering::Relaxed), 1);
                assert!(once.is_completed());
            })
        });
        (0..8).for_each(|_| start.open());
        processes.into_iter().for_each(Process::join);
    }
}

/// A process that is at it, and is to be killed over it.
fn beginner() -> Process {
    let begun = Gate::new();
    let process = Process::fork(|| {
        let at_it = |_: &_| {
            begun.open();
            park()
        };
        once().call_once(at_it).unwrap();
    });
    begun.pass();
    process
}

fn one_who_dies_over_it_is_replaced_and_the_next_is_told() {
    let _area = cleared();
    let beginner = beginner();
    let told = Region::shared(PAGE);
    let waiters = [(); 3].map(|()| {
        Process::fork(|| {
            once()
                .call_once(|state| {
                    assert!(state.owner_died());
                    told.u32(0).fetch_add(1, Ordering::SeqCst);
                })
                .unwrap();
        })
    });
    until("they wait", || {
        waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl))
    });
    beginner.kill();
    waiters.into_iter().for_each(Process::join);
    assert_eq!(told.u32(0).load(Ordering::SeqCst), 1);
    assert!(once().is_completed());
}

fn one_who_panics_over_it_is_replaced() {
    let _area = cleared();
    let once = once();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        once.call_once(|_| panic!("over it, on purpose"))
    }));
    assert!(panicked.is_err() && !once.is_completed());
    assert!(once.try_call_once(|state| assert!(state.owner_died())).unwrap());
    assert!(!once.call_once(|_| panic!("it is done")).unwrap());
}

fn deadlines_past_and_now() {
    let _area = cleared();
    let beginner = beginner();
    let once = once();
    let never = |_: &_| panic!("somebody else is at it");
    assert!(matches!(once.try_call_once(never), Err(BlockedError::Busy)));
    for deadline in [
        Deadline::At(Duration::ZERO),
        Deadline::after(Duration::from_millis(3)),
    ] {
        assert!(matches!(
            once.call_once_until(deadline, never),
            Err(BlockedError::TimedOut)
        ));
    }
    beginner.kill();
    assert!(once.try_call_once(|_| ()).unwrap());
}
