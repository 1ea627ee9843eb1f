// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::RwLock` between processes, some of which die.

use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{LockError, RwLock};

use super::areas::{area, cleared, told};
use super::model::Random;
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, Process};

tests![
    readers_share_and_a_writer_is_alone,
    readers_and_writers_of_four_processes_exclude_each_other within 120,
    a_dead_reader_keeps_no_writer,
    a_dead_writer_keeps_nobody_and_is_told_of,
    #[slow] readers_and_writers_are_killed_and_nobody_is_stuck within 240,
    a_writer_who_waits_keeps_new_readers_out,
    #[slow] a_writer_who_gives_up_lets_readers_in,
    one_reader_too_many_waits_for_any_to_leave,
    one_reader_too_many_waits_for_any_to_die,
    a_forgotten_reader_is_one_until_the_process_ends,
];

type Pair = RwLock<[u64; 2]>;

fn lock() -> Pair {
    Pair::at(&area(), 0).unwrap()
}

/// A process that does this and then waits to be killed.
fn parked(then: impl FnOnce(&Gate)) -> Process {
    let ready = Gate::new();
    let process = Process::fork(|| {
        then(&ready);
        park();
    });
    ready.pass();
    process
}

fn reader() -> Process {
    parked(|ready| {
        let lock = lock();
        let _guard = lock.read().unwrap();
        ready.open();
        park();
    })
}

fn writer() -> Process {
    parked(|ready| {
        let lock = lock();
        let mut guard = lock.write().unwrap();
        *guard = [9, 9];
        ready.open();
        park();
    })
}

fn readers_share_and_a_writer_is_alone() {
    let _area = cleared();
    let lock = lock();
    let (one, other) = (lock.read().unwrap(), lock.try_read().unwrap());
    assert!(matches!(lock.try_write(), Err(LockError::Busy)));
    let soon = Deadline::after(Duration::from_millis(3));
    assert!(matches!(lock.write_until(soon), Err(LockError::TimedOut)));
    drop((one, other));
    let mut guard = lock.write().unwrap();
    *guard = [1, 2];
    assert!(matches!(lock.try_read(), Err(LockError::Busy)));
    assert!(matches!(
        lock.read_until(Deadline::At(Duration::ZERO)),
        Err(LockError::TimedOut)
    ));
    assert!(matches!(lock.try_write(), Err(LockError::Busy)));
    drop(guard);
    assert_eq!(*lock.try_read().unwrap(), [1, 2]);
}

fn readers_and_writers_of_four_processes_exclude_each_other() {
    let _area = cleared();
    let start = Gate::new();
    let processes: Vec<_> = (0..4)
        .map(|index| {
            let start = &start;
            Process::fork(move || {
                let lock = lock();
                start.pass();
                for step in 0..5000 {
                    if (step + index) % 4 == 0 {
                        let mut guard = lock.write().unwrap();
                        guard[0] += 1;
                        guard[1] += 1;
                    } else {
                        let guard = lock.read().unwrap();
                        assert_eq!(guard[0], guard[1]);
                    }
                }
            })
        })
        .collect();
    (0..4).for_each(|_| start.open());
    processes.into_iter().for_each(Process::join);
    assert_eq!(*lock().try_write().unwrap(), [5000; 2]);
}

fn a_dead_reader_keeps_no_writer() {
    let _area = cleared();
    let lock = lock();
    let reader = reader();
    assert!(matches!(lock.try_write(), Err(LockError::Busy)));
    let waiter = Process::fork(|| drop(self::lock().write().expect("nobody that matters died")));
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    reader.kill();
    waiter.join();
    drop(lock.try_write().unwrap());
}

fn a_dead_writer_keeps_nobody_and_is_told_of() {
    let _area = cleared();
    let lock = lock();
    let writer = writer();
    let waiters =
        [(), ()].map(|()| Process::fork(|| assert!(told(self::lock().read()).1, "a reader is told")));
    until("they wait", || {
        waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl))
    });
    writer.kill();
    waiters.into_iter().for_each(Process::join);
    let (mut guard, died) = told(lock.try_write());
    assert!(died && guard.owner_died());
    assert_eq!(*guard, [0, 0], "what it had changed is not there");
    guard.make_consistent();
    drop(guard);
    assert!(!told(lock.read()).1);
    assert!(!told(lock.write()).1);
}

/// Two at a time read and write on and on, and are killed one after the other, at any moment.
fn readers_and_writers_are_killed_and_nobody_is_stuck() {
    let _area = cleared();
    let lock_here = lock();
    let mut random = Random(99);
    for round in 0..300 {
        let ready = Gate::new();
        let [victim, other] = [(), ()].map(|()| {
            Process::fork(|| {
                let lock = lock();
                ready.open();
                for step in 0_u64.. {
                    if step % 3 == 0 {
                        let (mut guard, died) = told(lock.write());
                        if died {
                            guard.make_consistent();
                        }
                    } else {
                        drop(told(lock.read()));
                    }
                }
            })
        });
        ready.pass();
        ready.pass();
        for _ in 0..random.below(3000) {
            std::hint::spin_loop();
        }
        victim.kill();
        let long = || Deadline::after(Duration::from_secs(30));
        drop(told(lock_here.read_until(long())));
        let (mut guard, _) = told(lock_here.write_until(long()));
        guard.make_consistent();
        drop(guard);
        other.kill();
        let (mut guard, _) = told(lock_here.try_write());
        guard.make_consistent();
        drop(guard);
        drop(
            lock_here
                .try_read()
                .unwrap_or_else(|error| panic!("round {round}: {error}")),
        );
    }
}

fn a_writer_who_waits_keeps_new_readers_out() {
    let _area = cleared();
    let lock = lock();
    let guard = lock.read().unwrap();
    let writer = Process::fork(|| *self::lock().write().unwrap() = [3, 3]);
    until("it waits", || writer.sleeps_in(libc::SYS_ioctl));
    assert!(matches!(lock.try_read(), Err(LockError::Busy)));
    let reader = Process::fork(|| assert_eq!(*self::lock().read().unwrap(), [3, 3]));
    until("it waits, too", || reader.sleeps_in(libc::SYS_ioctl));
    drop(guard);
    writer.join();
    reader.join();
}

fn a_writer_who_gives_up_lets_readers_in() {
    let _area = cleared();
    let lock = lock();
    let guard = lock.read().unwrap();
    let writer = Process::fork(|| {
        let soon = Deadline::after(Duration::from_millis(300));
        assert!(matches!(self::lock().write_until(soon), Err(LockError::TimedOut)));
    });
    until("it waits", || writer.sleeps_in(libc::SYS_ioctl));
    drop(lock.read().expect("once the writer has given up"));
    writer.join();
    drop(guard);
    drop(lock.try_write().unwrap());
}

/// As many guards as there can be but one, and a process that has the last.
fn crowded(lock: &Pair) -> (Vec<impl Sized + '_>, Process) {
    let guards: Vec<_> = (1..Pair::MAX_READERS).map(|_| lock.try_read().unwrap()).collect();
    let last = reader();
    assert!(matches!(lock.try_read(), Err(LockError::Busy)));
    (guards, last)
}

fn one_reader_too_many_waits_for_any_to_leave() {
    let _area = cleared();
    let lock = lock();
    let (mut guards, last) = crowded(&lock);
    let waiter = Process::fork(|| drop(self::lock().read().unwrap()));
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    guards.swap_remove(17);
    waiter.join();
    last.kill();
}

fn one_reader_too_many_waits_for_any_to_die() {
    let _area = cleared();
    let lock = lock();
    let (_guards, last) = crowded(&lock);
    let soon = Deadline::after(Duration::from_millis(3));
    assert!(matches!(lock.read_until(soon), Err(LockError::TimedOut)));
    let waiter = Process::fork(|| drop(self::lock().read().unwrap()));
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    last.kill();
    waiter.join();
}

fn a_forgotten_reader_is_one_until_the_process_ends() {
    let _area = cleared();
    let lock = lock();
    let (forgot, end) = (Gate::new(), Gate::new());
    let process = Process::fork(|| {
        let lock = self::lock();
        std::mem::forget(lock.read().unwrap());
        drop(lock);
        forgot.open();
        end.pass();
    });
    forgot.pass();
    assert!(matches!(lock.try_write(), Err(LockError::Busy)));
    end.open();
    process.join();
    drop(lock.try_write().unwrap());
}
