// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting in SYNC: deadlines, wake-ups and signals.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::refused;
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, Process, Region, in_ms, now_ns, signal,
};

tests![
    a_waiter_gets_the_range_when_it_is_given_back,
    a_waiter_with_a_far_deadline_gets_the_range,
    no_deadline_does_not_wait,
    a_deadline_ends_the_wait_and_not_before,
    a_past_deadline_times_out_at_once,
    #[slow]
    several_deadlines_end_each_wait_in_its_time,
    a_signal_is_eintr,
    a_signal_with_restart_is_not_seen,
    #[slow]
    a_restarted_wait_keeps_its_deadline,
    an_ignored_signal_does_not_interrupt,
    a_killed_waiter_leaves_the_queue,
    a_stopped_waiter_waits_on,
    a_stopped_holder_holds_on,
    a_waiter_of_another_thread_is_interrupted_alone,
    a_waiting_range_is_edeadlk_for_its_handle,
    #[slow]
    a_hundred_waiters_get_their_turn,
    #[slow]
    signals_and_grants_race_without_loss,
    #[slow]
    deadlines_and_grants_race_without_loss,
];

/// Starts a process that waits for a WRITE of byte 0 with a handle of its own, and waits until it waits.
fn waiter(observer: &Handle, deadline_ns: u64, then: impl FnOnce(Handle, crate::sys::Result<()>)) -> Process {
    let before = observer.stat().unwrap().waiters;
    let process = Process::fork(|| {
        let handle = Handle::rw();
        let outcome = handle.begin(ACCESS_WRITE, 0, 1, deadline_ns).map(drop);
        then(handle, outcome);
    });
    until("the process waits", || {
        observer.stat().unwrap().waiters == before + 1
    });
    process
}

/// A handle that holds a WRITE of byte 0.
fn holder() -> Handle {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    handle
}

fn a_waiter_gets_the_range_when_it_is_given_back() {
    let holder = holder();
    let process = waiter(&holder, DEADLINE_NEVER, |handle, outcome| {
        outcome.unwrap();
        assert_eq!(handle.stat().unwrap().holders, 1);
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    let stat = holder.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (1, 1));
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    process.join();
    let stat = holder.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (0, 0));
}

fn a_waiter_with_a_far_deadline_gets_the_range() {
    for deadline_ns in [in_ms(3_600_000), (1 << 63) - 1, (1 << 62) + 12345] {
        let holder = holder();
        let process = waiter(&holder, deadline_ns, |_, outcome| outcome.unwrap());
        holder.end(ACCESS_WRITE, 0, 1).unwrap();
        process.join();
        // The waiter ended while it held a WRITE range; a completed write clears what that left.
        holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        holder.end(ACCESS_WRITE, 0, 1).unwrap();
    }
}

fn no_deadline_does_not_wait() {
    let holder = holder();
    for access in [ACCESS_READ, ACCESS_WRITE] {
        refused(Handle::rw().begin(access, 0, 1, 0), Errno::EAGAIN);
    }
    assert_eq!(holder.stat().unwrap().waiters, 0);
}

fn a_deadline_ends_the_wait_and_not_before() {
    let holder = holder();
    let handle = Handle::rw();
    for ms in [1, 5, 30] {
        let deadline = in_ms(ms);
        refused(handle.begin(ACCESS_WRITE, 0, 1, deadline), Errno::ETIMEDOUT);
        assert!(now_ns() >= deadline, "woken before the deadline");
        assert_eq!(holder.stat().unwrap().waiters, 0);
    }
}

fn a_past_deadline_times_out_at_once() {
    let holder = holder();
    for deadline_ns in [1, now_ns() - 1_000_000_000, now_ns()] {
        refused(
            Handle::rw().begin(ACCESS_WRITE, 0, 1, deadline_ns),
            Errno::ETIMEDOUT,
        );
    }
    assert_eq!(holder.stat().unwrap().waiters, 0);
}

fn several_deadlines_end_each_wait_in_its_time() {
    let holder = holder();
    let start = now_ns();
    let ends = Region::shared(4096);
    let deadlines = [300, 100, 200].map(|ms| start + ms * 1_000_000);
    let processes: Vec<_> = deadlines
        .iter()
        .enumerate()
        .map(|(index, &deadline)| {
            let ends = &ends;
            Process::fork(move || {
                refused(Handle::rw().begin(ACCESS_WRITE, 0, 1, deadline), Errno::ETIMEDOUT);
                ends.u64(8 * index).store(now_ns(), Ordering::SeqCst);
            })
        })
        .collect();
    processes.into_iter().for_each(Process::join);
    for (index, deadline) in deadlines.iter().enumerate() {
        assert!(
            ends.u64(8 * index).load(Ordering::SeqCst) >= *deadline,
            "waiter {index} ended early"
        );
    }
    assert_eq!(
        holder.stat().unwrap().waiters,
        0,
        "the holder still holds, and nobody waits"
    );
}

fn a_signal_is_eintr() {
    let holder = holder();
    for deadline in [DEADLINE_NEVER, in_ms(3_600_000)] {
        signal::catch(libc::SIGUSR1, 0);
        let process = waiter(&holder, deadline, |handle, outcome| {
            refused(outcome, Errno::EINTR);
            assert_eq!(signal::caught(), 1);
            refused(handle.end(ACCESS_WRITE, 0, 1), Errno::ENOENT);
        });
        process.signal(libc::SIGUSR1);
        process.join();
        assert_eq!(holder.stat().unwrap().waiters, 0);
    }
}

fn a_signal_with_restart_is_not_seen() {
    let holder = holder();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let noticed = Region::shared(4096);
    let process = waiter(&holder, DEADLINE_NEVER, |handle, outcome| {
        outcome.unwrap();
        noticed.u32(0).store(signal::caught(), Ordering::SeqCst);
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    for _ in 0..5 {
        process.signal(libc::SIGUSR1);
        until("it waits again", || holder.stat().unwrap().waiters == 1);
    }
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    process.join();
    assert!(
        noticed.u32(0).load(Ordering::SeqCst) >= 1,
        "the handler ran, the call went on"
    );
}

fn a_restarted_wait_keeps_its_deadline() {
    let holder = holder();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let deadline = in_ms(400);
    let process = waiter(&holder, deadline, move |_, outcome| {
        refused(outcome, Errno::ETIMEDOUT);
        assert!(now_ns() >= deadline);
    });
    // Signalled until the deadline is past: a wait that began its time anew each time would not end.
    while now_ns() < deadline {
        process.signal(libc::SIGUSR1);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    process.join();
}

fn an_ignored_signal_does_not_interrupt() {
    let holder = holder();
    let process = waiter(&holder, DEADLINE_NEVER, |_, outcome| outcome.unwrap());
    for _ in 0..10 {
        process.signal(libc::SIGCHLD);
        process.signal(libc::SIGWINCH);
    }
    assert_eq!(holder.stat().unwrap().waiters, 1);
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    process.join();
}

fn a_killed_waiter_leaves_the_queue() {
    let holder = holder();
    for _ in 0..20 {
        waiter(&holder, DEADLINE_NEVER, |_, _| panic!("the wait ended")).kill();
        let stat = holder.stat().unwrap();
        assert_eq!((stat.waiters, stat.holders, stat.handles), (0, 1, 1));
    }
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    assert_eq!(
        holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap().status,
        0,
        "a waiter held nothing, so nothing is marked"
    );
}

fn a_stopped_waiter_waits_on() {
    let holder = holder();
    let process = waiter(&holder, DEADLINE_NEVER, |handle, outcome| {
        outcome.unwrap();
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    process.stop();
    process.signal(libc::SIGCONT);
    until("it waits again", || holder.stat().unwrap().waiters == 1);
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    process.join();
}

fn a_stopped_holder_holds_on() {
    let observer = Handle::rw();
    let (held, go) = (Gate::new(), Gate::new());
    let process = Process::fork(|| {
        let handle = holder();
        held.open();
        go.pass();
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    held.pass();
    process.stop();
    refused(observer.begin(ACCESS_WRITE, 0, 1, in_ms(5)), Errno::ETIMEDOUT);
    process.signal(libc::SIGCONT);
    go.open();
    observer.begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER).unwrap();
    process.join();
}

fn a_waiter_of_another_thread_is_interrupted_alone() {
    let holder = holder();
    signal::catch(libc::SIGUSR1, 0);
    let threads = [AtomicI32::new(0), AtomicI32::new(0)];
    std::thread::scope(|scope| {
        let [interrupted, granted] = [0, 1].map(|index| {
            let thread = &threads[index];
            scope.spawn(move || {
                let handle = Handle::rw();
                thread.store(signal::thread_id(), Ordering::SeqCst);
                let outcome = handle.begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER).map(drop);
                _ = handle.end(ACCESS_WRITE, 0, 1);
                outcome
            })
        });
        until("both wait", || holder.stat().unwrap().waiters == 2);
        signal::signal_thread(threads[0].load(Ordering::SeqCst), libc::SIGUSR1);
        refused(interrupted.join().unwrap(), Errno::EINTR);
        assert_eq!(holder.stat().unwrap().waiters, 1);
        holder.end(ACCESS_WRITE, 0, 1).unwrap();
        granted.join().unwrap().unwrap();
    });
}

fn a_waiting_range_is_edeadlk_for_its_handle() {
    let holder = holder();
    let shared = Handle::rw();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| shared.begin(ACCESS_WRITE, 0, 100, DEADLINE_NEVER).map(drop));
        until("the thread waits", || holder.stat().unwrap().waiters == 1);
        refused(shared.begin(ACCESS_READ, 99, 10, DEADLINE_NEVER), Errno::EDEADLK);
        refused(shared.begin(ACCESS_WRITE, 0, 1, 0), Errno::EDEADLK);
        shared
            .begin(ACCESS_WRITE, 100, 10, 0)
            .expect("that is another range");
        refused(shared.end(ACCESS_WRITE, 0, 100), Errno::ENOENT);
        holder.end(ACCESS_WRITE, 0, 1).unwrap();
        waiting.join().unwrap().unwrap();
    });
    shared.end(ACCESS_WRITE, 0, 100).unwrap();
    shared.end(ACCESS_WRITE, 100, 10).unwrap();
}

fn a_hundred_waiters_get_their_turn() {
    let holder = holder();
    let counter = Region::shared(4096);
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::rw();
                handle.begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER).unwrap();
                let seen = counter.u32(0).load(Ordering::Relaxed);
                std::thread::yield_now();
                counter.u32(0).store(seen + 1, Ordering::Relaxed);
                handle.end(ACCESS_WRITE, 0, 1).unwrap();
            })
        })
        .collect();
    until("all wait", || holder.stat().unwrap().waiters == 100);
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    waiters.into_iter().for_each(Process::join);
    assert_eq!(counter.u32(0).load(Ordering::SeqCst), 100);
}

/// Lets a waiter's wait be ended by something else just when the range is given back. Either outcome is right; what
/// is wrong is a range that is held by nobody who knows, or that nobody gets.
fn race(rounds: u32, deadline: impl Fn() -> u64 + Sync, disturb: impl Fn(i32), expected: Errno) {
    let holder = Handle::rw();
    let waiter = Handle::rw();
    let (granted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let (thread, turn) = (AtomicI32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            thread.store(signal::thread_id(), Ordering::SeqCst);
            for round in 1..=rounds {
                until("the next round", || turn.load(Ordering::SeqCst) == 2 * round - 1);
                match waiter.begin(ACCESS_WRITE, 0, 8, deadline()) {
                    Ok(_) => {
                        granted.fetch_add(1, Ordering::SeqCst);
                        waiter.end(ACCESS_WRITE, 0, 8).expect("what was granted is held");
                    }
                    Err(error) => {
                        assert_eq!(error, expected);
                        refused.fetch_add(1, Ordering::SeqCst);
                        super::refused(waiter.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
                    }
                }
                turn.store(2 * round, Ordering::SeqCst);
            }
        });
        for round in 1..=rounds {
            holder
                .begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER)
                .expect("nobody holds it between the rounds");
            turn.store(2 * round - 1, Ordering::SeqCst);
            until("it waits, or is through", || {
                holder.stat().unwrap().waiters == 1 || turn.load(Ordering::SeqCst) == 2 * round
            });
            for _ in 0..round % 16 * 20 {
                std::hint::spin_loop();
            }
            disturb(thread.load(Ordering::SeqCst));
            holder.end(ACCESS_WRITE, 0, 8).unwrap();
            until("the round's end", || turn.load(Ordering::SeqCst) == 2 * round);
        }
    });
    assert_eq!(granted.into_inner() + refused.into_inner(), rounds);
    let stat = holder.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (0, 0));
}

fn signals_and_grants_race_without_loss() {
    signal::catch(libc::SIGUSR1, 0);
    race(
        150,
        || DEADLINE_NEVER,
        |thread| signal::signal_thread(thread, libc::SIGUSR1),
        Errno::EINTR,
    );
}

fn deadlines_and_grants_race_without_loss() {
    race(150, || now_ns() + 300_000, |_| (), Errno::ETIMEDOUT);
}
