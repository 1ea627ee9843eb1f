// SPDX-License-Identifier: MIT OR Apache-2.0

//! Everybody's wait ends once the flag is set, and what was done before is seen.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, Process, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::flag::{is_set, reset, set, wait};
use crate::sync::seam::Word;
use crate::word::Death;

const FLAG: usize = 0;
const GOODS: usize = 1;
const ROBUST: [(usize, Death); 1] = [(FLAG, Death::WakeOnly)];

fn wait_and_see(process: &Process) {
    wait(&process.word(FLAG), Deadline::Never).unwrap();
    assert_eq!(process.word(GOODS).load(Relaxed), 7);
}

fn make_and_set(process: &Process) {
    process.word(GOODS).store(7, Relaxed);
    set(&process.word(FLAG)).unwrap();
}

#[test]
fn two_waits_end() {
    check("flag, 2 waiters", Some(2), || {
        let kernel = Kernel::new(&[0, 0]);
        let waiters = [2, 3].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || wait_and_see(&process))
        });
        make_and_set(&Process::new(&kernel, 1));
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_wait_ends_that_was_reset_and_set_again() {
    check("flag, set, reset, set", Some(2), || {
        let kernel = Kernel::new(&[0, 7]);
        let waiter = Process::new(&kernel, 2);
        let waiter = spawn(move || wait_and_see(&waiter));
        let own = Process::new(&kernel, 1);
        make_and_set(&own);
        reset(&own.word(FLAG));
        make_and_set(&own);
        waiter.join().unwrap();
    });
}

#[test]
fn two_setters_leave_nobody_asleep() {
    check("flag, 2 setters", Some(2), || {
        let kernel = Kernel::new(&[0, 7]);
        let waiter = Process::new(&kernel, 2);
        let waiter = spawn(move || wait_and_see(&waiter));
        let other = Process::new(&kernel, 3);
        let other = spawn(move || {
            reset(&other.word(FLAG));
            make_and_set(&other);
        });
        make_and_set(&Process::new(&kernel, 1));
        waiter.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_setter_who_dies_before_he_has_woken_all_leaves_nobody_asleep() {
    check_deaths("flag, the setter dies", Some(2), |at| {
        let kernel = Kernel::new(&[0, 0]);
        let waiters = [2, 3].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || wait_and_see(&process))
        });
        let setter = Process::mortal(&kernel, 4, Some(at));
        setter.live(&ROBUST, || make_and_set(&setter));
        if setter.exchanges.get() == 0 {
            make_and_set(&Process::new(&kernel, 1));
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_waiter_who_dies_leaves_nobody_asleep() {
    check_deaths("flag, a waiter dies", Some(1), |at| {
        let kernel = Kernel::new(&[0, 0]);
        let victim = Process::mortal(&kernel, 4, Some(at));
        let victim = spawn(move || victim.live(&ROBUST, || wait_and_see(&victim)));
        let waiter = Process::new(&kernel, 2);
        let waiter = spawn(move || wait_and_see(&waiter));
        make_and_set(&Process::new(&kernel, 1));
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn what_was_done_before_a_set_that_is_reset_is_seen_by_who_resets() {
    check("flag, reset after set", None, || {
        let kernel = Kernel::new(&[0, 0]);
        set(&Process::new(&kernel, 3).word(FLAG)).unwrap();
        let setter = Process::new(&kernel, 2);
        let setter = spawn(move || make_and_set(&setter));
        let own = Process::new(&kernel, 1);
        reset(&own.word(FLAG));
        let seen = own.word(GOODS).load(Relaxed);
        setter.join().unwrap();
        let still = is_set(own.word(FLAG).fetch_add(0, Relaxed));
        assert!(still || seen == 7, "it is neither set nor seen");
    });
}
