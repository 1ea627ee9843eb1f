// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Mutex` between processes, some of which die. How objects are found and made is in `placing`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{LockError, Mutex};

use super::areas::{area, cleared, told};
use super::model::Random;
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, PAGE, Process, Region};

tests![
    #[slow] a_million_increments_of_four_processes_are_exact within 240,
    threads_of_a_process_exclude_each_other,
    #[slow] a_thousand_owners_are_killed_and_each_death_is_told_of_once within 240,
    the_dead_leave_the_value_as_it_was,
    a_death_is_told_until_somebody_says_that_all_is_well,
    one_who_waits_is_told_of_a_death,
    #[slow] a_waiter_who_is_killed_leaves_nobody_asleep within 120,
    a_panic_leaves_the_value_as_it_was,
    a_guard_commits_and_rolls_back,
    a_forgotten_guard_is_the_processes_until_it_ends,
    deadlines_past_now_and_ahead,
    a_mutex_of_nothing_protects_other_bytes,
];

fn a_million_increments_of_four_processes_are_exact() {
    const PROCESSES: u64 = 4;
    const EACH: u64 = 250_000;
    let area_here = cleared();
    let start = Gate::new();
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Process::fork(|| {
                let count = Mutex::<u64>::at(&area(), 0).unwrap();
                start.pass();
                for _ in 0..EACH {
                    *count.lock().unwrap() += 1;
                }
            })
        })
        .collect();
    (0..PROCESSES).for_each(|_| start.open());
    processes.into_iter().for_each(Process::join);
    let count = Mutex::<u64>::at(&area_here, 0).unwrap();
    assert_eq!(*count.lock().unwrap(), PROCESSES * EACH);
    assert!(!count.is_locked());
}

fn threads_of_a_process_exclude_each_other() {
    let count = Mutex::<u64>::at(&cleared(), 0).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5000).for_each(|_| *count.lock().unwrap() += 1));
        }
    });
    assert_eq!(*count.lock().unwrap(), 20_000);
}

/// One process lives on and one after the other is killed, all of them locking and unlocking.
fn a_thousand_owners_are_killed_and_each_death_is_told_of_once() {
    const ROUNDS: u32 = 1000;
    let area_here = cleared();
    let mutex = Mutex::<[u32; 2]>::at(&area_here, 0).unwrap();
    // In which round a victim is inside; how many deaths the survivor was told of; how often he had the lock; whether to
    // stop.
    let region = Region::shared(PAGE);
    let [inside, by_survivor, turns, stop] = [0, 4, 8, 12].map(|offset| region.u32(offset));
    let survivor = Process::fork(|| {
        let mutex = Mutex::<[u32; 2]>::at(&area(), 0).unwrap();
        while stop.load(Ordering::SeqCst) == 0 {
            let (mut guard, died) = told(mutex.lock());
            if died {
                guard.make_consistent();
                by_survivor.fetch_add(1, Ordering::SeqCst);
            }
            turns.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut random = Random(0xdead);
    let (mut deaths_inside, mut told_of) = (0, 0);
    for round in 1..=ROUNDS {
        let ready = Gate::new();
        let victim = Process::fork(|| {
            let mutex = Mutex::<[u32; 2]>::at(&area(), 0).unwrap();
            ready.open();
            loop {
                let (mut guard, died) = told(mutex.lock());
                assert!(!died, "the last victim is told of before the next one begins");
                inside.store(round, Ordering::SeqCst);
                *guard = [round; 2];
                (0..500).for_each(|_| std::hint::spin_loop());
                inside.store(0, Ordering::SeqCst);
                drop(guard);
            }
        });
        ready.pass();
        for _ in 0..random.below(3000) {
            std::hint::spin_loop();
        }
        victim.kill();
        let (mut guard, died) = told(mutex.lock_until(Deadline::after(Duration::from_secs(30))));
        if died {
            guard.make_consistent();
            told_of += 1;
        }
        drop(guard);
        let was_inside = inside.swap(0, Ordering::SeqCst) == round;
        deaths_inside += u32::from(was_inside);
        let all_told = told_of + by_survivor.load(Ordering::SeqCst);
        assert!(
            all_told >= deaths_inside,
            "round {round}: a death that nobody was told of"
        );
        assert!(all_told <= round, "round {round}: a death that two were told of");
    }
    stop.store(1, Ordering::SeqCst);
    survivor.join();
    assert!(turns.load(Ordering::SeqCst) > 0);
    let all_told = told_of + by_survivor.load(Ordering::SeqCst);
    println!("{all_told} of {ROUNDS} held the lock, {deaths_inside} of them for sure");
    assert!(deaths_inside > 0, "some were killed inside");
}

/// A process that holds the mutex, whose guard it has changed.
fn holder() -> Process {
    let held = Gate::new();
    let process = Process::fork(|| {
        let mutex = Mutex::<u64>::at(&area(), 0).unwrap();
        let mut guard = mutex.lock().unwrap();
        *guard = 99;
        held.open();
        park();
    });
    held.pass();
    process
}

fn the_dead_leave_the_value_as_it_was() {
    let area_here = cleared();
    let mutex = Mutex::at_with(&area_here, 0, || 5_u64).unwrap();
    let holder = holder();
    assert!(matches!(mutex.try_lock(), Err(LockError::Busy)));
    holder.kill();
    let (guard, died) = told(mutex.try_lock());
    assert!(died && guard.owner_died());
    assert_eq!(*guard, 5);
}

fn a_death_is_told_until_somebody_says_that_all_is_well() {
    let mutex = Mutex::<u64>::at(&cleared(), 0).unwrap();
    holder().kill();
    for _ in 0..3 {
        assert!(told(mutex.lock()).1);
    }
    let (mut guard, _) = told(mutex.lock());
    *guard = 7;
    guard.make_consistent();
    assert!(!guard.owner_died());
    drop(guard);
    let (guard, died) = told(mutex.lock());
    assert_eq!((*guard, died), (7, false));
}

fn one_who_waits_is_told_of_a_death() {
    let area_here = cleared();
    let holder = holder();
    let waiter = Process::fork(|| {
        let mutex = Mutex::<u64>::at(&area(), 0).unwrap();
        assert!(told(mutex.lock()).1);
    });
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    holder.kill();
    waiter.join();
    assert!(!Mutex::<u64>::at(&area_here, 0).unwrap().is_locked());
}

/// Those who wait are killed while the lock goes from hand to hand; whoever is left gets it.
fn a_waiter_who_is_killed_leaves_nobody_asleep() {
    let mutex = Mutex::<u64>::at(&cleared(), 0).unwrap();
    let mut random = Random(7);
    for _ in 0..100 {
        let guard = mutex.lock().unwrap();
        let [victim, other] = [(), ()].map(|()| {
            Process::fork(|| {
                let mutex = Mutex::<u64>::at(&area(), 0).unwrap();
                let (mut guard, _) = told(mutex.lock());
                guard.make_consistent();
            })
        });
        until("both wait", || {
            victim.sleeps_in(libc::SYS_ioctl) && other.sleeps_in(libc::SYS_ioctl)
        });
        drop(guard);
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
        victim.signal(libc::SIGKILL);
        victim.wait();
        other.join();
        let (mut guard, _) = told(mutex.try_lock());
        guard.make_consistent();
    }
}

fn a_panic_leaves_the_value_as_it_was() {
    let mutex = Mutex::at_with(&cleared(), 0, || 5_u64).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = mutex.lock().unwrap();
        *guard = 6;
        panic!("in the middle of it, on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.try_lock().expect("it was let go, and nobody died"), 5);
}

fn a_guard_commits_and_rolls_back() {
    let mutex = Mutex::<u64>::at(&cleared(), 0).unwrap();
    let mut guard = mutex.lock().unwrap();
    *guard = 1;
    guard.commit();
    *guard = 2;
    guard.roll_back();
    assert_eq!(*guard, 1);
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), 1);
}

fn a_forgotten_guard_is_the_processes_until_it_ends() {
    let mutex = Mutex::<u64>::at(&cleared(), 0).unwrap();
    let (forgot, end) = (Gate::new(), Gate::new());
    let process = Process::fork(|| {
        let mutex = Mutex::<u64>::at(&area(), 0).unwrap();
        std::mem::forget(mutex.lock().unwrap());
        drop(mutex);
        forgot.open();
        end.pass();
    });
    forgot.pass();
    assert!(matches!(mutex.try_lock(), Err(LockError::Busy)));
    end.open();
    process.join();
    assert!(told(mutex.try_lock()).1);
}

fn deadlines_past_now_and_ahead() {
    let mutex = Mutex::<u64>::at(&cleared(), 0).unwrap();
    let holder = holder();
    assert!(matches!(mutex.lock_until(Deadline::Now), Err(LockError::Busy)));
    for deadline in [
        Deadline::At(Duration::ZERO),
        Deadline::after(Duration::from_millis(3)),
    ] {
        assert!(matches!(mutex.lock_until(deadline), Err(LockError::TimedOut)));
    }
    holder.kill();
    // What is free is had however late it is.
    assert!(told(mutex.lock_until(Deadline::At(Duration::ZERO))).1);
    for far in [Duration::from_secs(1 << 30), Duration::MAX] {
        assert!(told(mutex.lock_until(Deadline::after(far))).1);
    }
}

fn a_mutex_of_nothing_protects_other_bytes() {
    let area_here = cleared();
    let processes = [(), ()].map(|()| {
        Process::fork(|| {
            let area = area();
            let mutex = Mutex::<()>::at(&area, 0).unwrap();
            for _ in 0..2000 {
                let _guard = mutex.lock().unwrap();
                let count: u64 = area.mapping().get(PAGE).unwrap();
                area.mapping().set(PAGE, &(count + 1)).unwrap();
            }
        })
    });
    processes.into_iter().for_each(Process::join);
    assert_eq!(area_here.mapping().get::<u64>(PAGE).unwrap(), 4000);
}
