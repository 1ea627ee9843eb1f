// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads: a range is the handle's and goes with the process that began it, not with a thread of it, whatever
//! descriptor table the thread has.

use std::sync::mpsc;
use std::thread::Scope;

use super::death::{DIED, holding, status};
use super::owner::executing;
use super::refused;
use crate::harness::tests;
use crate::sys::process::{End, exit_now, exit_thread, park, unshare, until};
use crate::sys::{ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, Process, signal};

tests![
    threads_are_one_owner,
    a_thread_that_ends_keeps_its_ranges,
    a_thread_with_descriptors_of_its_own_ends_and_ranges_stay,
    what_was_begun_by_a_descriptor_of_its_own_stays,
    the_first_thread_ends_and_ranges_stay,
    a_wait_goes_on_when_another_thread_ends,
    a_process_with_several_tables_gives_everything_back,
    exec_with_other_tables_around_keeps_ranges,
    exec_by_a_thread_with_its_own_table_keeps_ranges,
    exec_ends_the_waits_of_other_threads,
];

fn threads_are_one_owner() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            refused(handle.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER), Errno::EDEADLK);
            handle.end(ACCESS_WRITE, 0, 8).unwrap();
        });
    });
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

fn a_thread_that_ends_keeps_its_ranges() {
    let handle = Handle::rw();
    std::thread::scope(|scope| {
        scope.spawn(|| _ = handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap());
    });
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status, 0);
}

/// Runs a thread that has a descriptor table of its own, with a copy of every descriptor in it, and waits until the
/// kernel has cleared the thread away: its table has been closed then.
fn apart(body: impl FnOnce() + Send) {
    let number = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(libc::CLONE_FILES).expect("a table of its own");
            body();
            signal::thread_id()
        });
        thread.join().unwrap()
    });
    let task = format!("/proc/self/task/{number}");
    until("the thread is gone", || !std::path::Path::new(&task).exists());
}

/// Starts three threads that stay, each with a descriptor table of its own; returns when all have theirs.
fn start_tables<'scope>(scope: &'scope Scope<'scope, '_>) {
    let (ready, tables) = mpsc::channel();
    for _ in 0..3 {
        let ready = ready.clone();
        scope.spawn(move || {
            unshare(libc::CLONE_FILES).expect("a table of its own");
            ready.send(()).unwrap();
            park();
        });
    }
    drop(ready);
    assert_eq!(tables.iter().take(3).count(), 3);
}

/// What the handle holds and waits for.
fn counts(handle: &Handle) -> (String, String) {
    let fdinfo = handle.fdinfo();
    (fdinfo["held"].clone(), fdinfo["waiting"].clone())
}

fn a_thread_with_descriptors_of_its_own_ends_and_ranges_stay() {
    let (handle, other) = (Handle::rw(), Handle::rw());
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    handle.begin(ACCESS_READ, 100, 8, 0).unwrap();
    for _ in 0..3 {
        apart(|| ());
        assert_eq!(counts(&handle), ("2".into(), "0".into()));
        refused(other.begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
        refused(other.begin(ACCESS_WRITE, 100, 8, 0), Errno::EAGAIN);
    }
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    handle.end(ACCESS_READ, 100, 8).unwrap();
    assert_eq!(status(&other, 0, 200), 0, "nobody died");
}

fn what_was_begun_by_a_descriptor_of_its_own_stays() {
    let (handle, other) = (Handle::rw(), Handle::rw());
    apart(|| {
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        assert_eq!(counts(&handle), ("1".into(), "0".into()));
    });
    assert_eq!(counts(&handle), ("1".into(), "0".into()));
    refused(other.begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(status(&other, 0, 8), 0, "nobody died");
}

fn the_first_thread_ends_and_ranges_stay() {
    let observer = Handle::rw();
    let apart = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let outcome = std::panic::catch_unwind(|| {
                    unshare(libc::CLONE_FILES).expect("a table of its own");
                    apart.open();
                    let first = format!("/proc/self/task/{}/stat", std::process::id());
                    until("the first thread has ended", || {
                        std::fs::read_to_string(&first).is_ok_and(|line| line.contains(") Z "))
                    });
                    assert_eq!(counts(&handle), ("1".into(), "0".into()));
                    refused(observer.begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
                    handle.end(ACCESS_WRITE, 0, 8).unwrap();
                });
                exit_now(if outcome.is_ok() { 0 } else { 101 });
            });
            apart.pass();
            exit_thread();
        });
    });
    process.join();
    assert_eq!(status(&observer, 0, 8), 0, "nobody died");
}

fn a_wait_goes_on_when_another_thread_ends() {
    let holder = holding(&[(ACCESS_WRITE, 100, 8)]);
    let (shared, observer) = (Handle::rw(), Handle::rw());
    shared.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| shared.begin(ACCESS_WRITE, 100, 8, DEADLINE_NEVER));
        until("the thread waits", || observer.stat().unwrap().waiters == 1);
        for _ in 0..3 {
            apart(|| ());
            assert_eq!(counts(&shared), ("1".into(), "1".into()));
        }
        holder.kill();
        assert_eq!(waiting.join().unwrap().unwrap().status, DIED);
    });
    shared.end(ACCESS_WRITE, 0, 8).unwrap();
    shared.end(ACCESS_WRITE, 100, 8).unwrap();
}

fn a_process_with_several_tables_gives_everything_back() {
    for killed in [true, false] {
        let observer = Handle::rw();
        let (ready, go) = (Gate::new(), Gate::new());
        let process = Process::fork(|| {
            let handle = Handle::rw();
            handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
            std::thread::scope(|scope| {
                start_tables(scope);
                ready.open();
                go.pass();
                exit_now(3);
            });
        });
        ready.pass();
        assert_eq!(observer.stat().unwrap().holders, 1);
        if killed {
            process.kill();
        } else {
            go.open();
            assert_eq!(process.wait(), End::Exit(3));
        }
        let stat = observer.stat().unwrap();
        assert_eq!((stat.holders, stat.handles), (0, 1));
        assert_eq!(status(&observer, 0, 8), DIED);
        super::death::complete(&observer, 0, 8);
    }
}

/// The program that a process runs now holds what the process held, and dies with it.
fn holds_until_it_dies(process: Process) {
    let observer = Handle::rw();
    assert_eq!(observer.stat().unwrap().holders, 1);
    refused(observer.begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    process.kill();
    assert_eq!(status(&observer, 0, 8), DIED);
}

fn exec_with_other_tables_around_keeps_ranges() {
    holds_until_it_dies(executing(true, |_, exec| {
        std::thread::scope(|scope| {
            start_tables(scope);
            exec();
        });
    }));
}

/// The first thread dies for it, and the process goes on.
fn exec_by_a_thread_with_its_own_table_keeps_ranges() {
    holds_until_it_dies(executing(true, |_, exec| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                unshare(libc::CLONE_FILES).expect("a table of its own");
                exec();
            });
        });
    }));
}

fn exec_ends_the_waits_of_other_threads() {
    let blocker = Handle::rw();
    blocker.begin(ACCESS_WRITE, 100, 8, 0).unwrap();
    let process = executing(true, |handle, exec| {
        std::thread::scope(|scope| {
            scope.spawn(|| handle.begin(ACCESS_WRITE, 100, 8, DEADLINE_NEVER));
            until("the thread waits", || blocker.stat().unwrap().waiters == 1);
            exec();
        });
    });
    let stat = blocker.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (2, 0));
    blocker.end(ACCESS_WRITE, 100, 8).unwrap();
    assert_eq!(status(&blocker, 100, 8), 0, "it held nothing of that");
    holds_until_it_dies(process);
}
