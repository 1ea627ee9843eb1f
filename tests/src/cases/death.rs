// SPDX-License-Identifier: MIT OR Apache-2.0

//! Holders that die: their ranges go, and whoever takes bytes they were writing is told.

use super::refused;
use crate::harness::tests;
use crate::sys::process::{End, exit_now, park, until};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, Process, Region, SIZE, STATUS_OWNER_DIED,
    file, signal,
};

tests![
    a_killed_holder_gives_its_range_back,
    a_killed_reader_leaves_no_mark,
    a_killed_writer_leaves_a_mark,
    a_writer_that_exits_leaves_a_mark,
    closing_the_handle_in_the_middle_of_a_write_leaves_a_mark,
    a_writer_that_crashes_leaves_a_mark,
    a_waiter_is_told_when_the_holder_is_killed,
    a_waiter_killed_as_it_gets_the_range_leaves_no_mark,
    what_a_waiter_was_not_told_of_is_not_ended_by_another,
    the_handle_lives_on_in_a_child_and_the_range_does_not,
    the_handle_lives_on_by_a_passed_descriptor_and_the_range_does_not,
    one_that_closed_its_descriptor_before_dying_still_counts,
    a_waiter_is_told_when_one_dies_that_closed_its_descriptor,
    one_whose_descriptor_is_in_an_unread_queue_counts,
    a_mapping_that_lives_on_does_not_hold_ranges,
    the_ranges_of_a_living_sharer_stay,
    #[slow]
    sixty_deaths_leave_nothing_held,
];

pub(super) const DIED: u32 = STATUS_OWNER_DIED;

/// A process that holds these ranges by a handle of its own, and parks.
pub(super) fn holding(ranges: &[(u32, u64, u64)]) -> Process {
    let held = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::rw();
        for &(access, offset, len) in ranges {
            handle.begin(access, offset, len, 0).unwrap();
        }
        held.open();
        park();
    });
    held.pass();
    process
}

/// Kills a process in the middle of a write of this range.
pub(super) fn die_writing(offset: u64, len: u64) {
    holding(&[(ACCESS_WRITE, offset, len)]).kill();
}

/// The status that a reader of the range is told.
#[track_caller]
pub(super) fn status(handle: &Handle, offset: u64, len: u64) -> u32 {
    let status = handle
        .begin(ACCESS_READ, offset, len, 0)
        .expect("the range is free")
        .status;
    handle.end(ACCESS_READ, offset, len).unwrap();
    status
}

/// Writes the range properly; the status at its beginning.
#[track_caller]
pub(super) fn complete(handle: &Handle, offset: u64, len: u64) -> u32 {
    let status = handle
        .begin(ACCESS_WRITE, offset, len, 0)
        .expect("the range is free")
        .status;
    handle.end(ACCESS_WRITE, offset, len).unwrap();
    status
}

fn a_killed_holder_gives_its_range_back() {
    let observer = Handle::rw();
    let process = holding(&[(ACCESS_WRITE, 0, 8), (ACCESS_READ, 100, 8)]);
    assert_eq!(observer.stat().unwrap().holders, 2);
    refused(observer.begin(ACCESS_WRITE, 0, 8, 0), Errno::EAGAIN);
    process.kill();
    let stat = observer.stat().unwrap();
    assert_eq!((stat.holders, stat.handles), (0, 1));
    observer.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    observer.begin(ACCESS_WRITE, 100, 8, 0).unwrap();
}

fn a_killed_reader_leaves_no_mark() {
    holding(&[(ACCESS_READ, 0, SIZE as u64)]).kill();
    assert_eq!(status(&Handle::rw(), 0, SIZE as u64), 0);
}

fn a_killed_writer_leaves_a_mark() {
    die_writing(10, 10);
    assert_eq!(status(&Handle::rw(), 10, 10), DIED);
}

fn a_writer_that_exits_leaves_a_mark() {
    Process::fork(|| _ = Handle::rw().begin(ACCESS_WRITE, 10, 10, 0).unwrap()).join();
    assert_eq!(
        status(&Handle::rw(), 10, 10),
        DIED,
        "closed by the end of the process's function"
    );
    let handle = Handle::rw();
    complete(&handle, 10, 10);
    let process = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 10, 10, 0).unwrap();
        exit_now(3);
    });
    assert_eq!(process.wait(), End::Exit(3));
    assert_eq!(status(&handle, 10, 10), DIED);
}

fn closing_the_handle_in_the_middle_of_a_write_leaves_a_mark() {
    let writer = Handle::rw();
    writer.begin(ACCESS_WRITE, 10, 10, 0).unwrap();
    drop(writer);
    let handle = Handle::rw();
    assert_eq!(handle.stat().unwrap().holders, 0);
    assert_eq!(status(&handle, 10, 10), DIED);
}

fn a_writer_that_crashes_leaves_a_mark() {
    let process = Process::fork(|| {
        let handle = Handle::rw();
        let mapping = handle.window(0, 4096);
        handle.begin(ACCESS_WRITE, 10, 10, 0).unwrap();
        mapping.unmap(0, 4096).unwrap();
        mapping.set(10, 1);
    });
    assert_eq!(process.wait(), End::Signal(libc::SIGSEGV));
    assert_eq!(status(&Handle::rw(), 10, 10), DIED);
}

fn a_waiter_is_told_when_the_holder_is_killed() {
    let observer = Handle::rw();
    for access in [ACCESS_READ, ACCESS_WRITE] {
        let holder = holding(&[(ACCESS_WRITE, 0, 8)]);
        let waiter = Process::fork(|| {
            let handle = Handle::rw();
            assert_eq!(handle.begin(access, 0, 8, DEADLINE_NEVER).unwrap().status, DIED);
            handle.end(access, 0, 8).unwrap();
        });
        until("it waits", || observer.stat().unwrap().waiters == 1);
        holder.kill();
        waiter.join();
        complete(&observer, 0, 8);
    }
}

/// It never learnt that the range was its own, so it was not writing.
fn a_waiter_killed_as_it_gets_the_range_leaves_no_mark() {
    signal::run_on_the_first_processor();
    for round in 0..20 {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        let waiter = Process::fork(|| _ = Handle::rw().begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER));
        until("it waits", || handle.stat().unwrap().waiters == 1);
        // Both of these come before it runs again.
        signal::keep_the_processor(|| {
            waiter.signal(libc::SIGKILL);
            handle.end(ACCESS_WRITE, 0, 8).unwrap();
            assert_eq!(handle.stat().unwrap().holders, 1, "it was granted the range");
        });
        assert_eq!(waiter.wait(), End::Signal(libc::SIGKILL));
        assert_eq!(status(&handle, 0, 8), 0, "round {round}");
    }
}

fn what_a_waiter_was_not_told_of_is_not_ended_by_another() {
    signal::run_on_the_first_processor();
    let (holder, shared) = (Handle::rw(), Handle::rw());
    holder.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let waiter = Process::fork(|| {
        shared.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap();
        shared.end(ACCESS_WRITE, 0, 8).unwrap();
    });
    until("it waits", || holder.stat().unwrap().waiters == 1);
    // All this comes before it runs again.
    signal::keep_the_processor(|| {
        holder.end(ACCESS_WRITE, 0, 8).unwrap();
        assert_eq!(holder.stat().unwrap().holders, 1, "it was granted the range");
        refused(shared.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
    });
    waiter.join();
}

fn the_handle_lives_on_in_a_child_and_the_range_does_not() {
    let observer = Handle::rw();
    crate::sys::process::become_subreaper().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let parent = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        let child = Process::fork(|| {
            ready.open();
            go.pass();
            // The handle is as good as new: it holds nothing, and can.
            refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
            handle.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap();
            handle.end(ACCESS_WRITE, 0, 8).unwrap();
            ready.open();
        });
        std::mem::forget(child);
        park();
    });
    ready.pass();
    assert_eq!(observer.stat().unwrap().holders, 1);
    parent.kill();
    let stat = observer.stat().unwrap();
    assert_eq!(
        (stat.holders, stat.handles),
        (0, 2),
        "the child has the handle still"
    );
    assert_eq!(status(&observer, 0, 8), DIED);
    go.open();
    ready.pass();
    assert_eq!(status(&observer, 0, 8), 0, "the child completed a write");
    crate::sys::process::kill_descendants();
}

fn the_handle_lives_on_by_a_passed_descriptor_and_the_range_does_not() {
    let observer = Handle::rw();
    let (here, there) = file::sockets();
    let holder = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        file::send_fd(&there, &handle);
        park();
    });
    let passed = Handle::from(file::receive_fd(&here));
    assert_eq!(passed.stat().unwrap().holders, 1);
    holder.kill();
    assert_eq!(observer.stat().unwrap().holders, 0);
    assert_eq!(status(&passed, 0, 8), DIED);
    refused(passed.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

/// A holder that has given its descriptor away and closed its own, and the new owner of the handle. Closing runs the
/// same path as exiting; what counts is who began the range, not who closes last.
fn closed_before_dying() -> (Process, Handle) {
    let (here, there) = file::sockets();
    let closed = Gate::new();
    let holder = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        file::send_fd(&there, &handle);
        drop(handle);
        closed.open();
        park();
    });
    closed.pass();
    (holder, Handle::from(file::receive_fd(&here)))
}

fn one_that_closed_its_descriptor_before_dying_still_counts() {
    let observer = Handle::rw();
    let (holder, passed) = closed_before_dying();
    holder.kill();
    until("the range of the dead is dropped", || {
        observer.stat().unwrap().holders == 0
    });
    assert_eq!(status(&observer, 0, 8), DIED);
    refused(passed.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

fn a_waiter_is_told_when_one_dies_that_closed_its_descriptor() {
    let observer = Handle::rw();
    let (holder, _passed) = closed_before_dying();
    let waiter = Process::fork(|| {
        let handle = Handle::rw();
        assert_eq!(
            handle.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap().status,
            DIED
        );
        handle.end(ACCESS_WRITE, 0, 8).unwrap();
    });
    // The range may have gone already when its owner closed the descriptor.
    until("it waits, or is through", || {
        let stat = observer.stat().unwrap();
        stat.waiters == 1 || stat.handles == 2
    });
    holder.kill();
    waiter.join();
}

fn one_whose_descriptor_is_in_an_unread_queue_counts() {
    let observer = Handle::rw();
    let (here, there) = file::sockets();
    let sent = Gate::new();
    let holder = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        file::send_fd(&there, &handle);
        sent.open();
        park();
    });
    sent.pass();
    holder.kill();
    let stat = observer.stat().unwrap();
    assert_eq!(
        (stat.holders, stat.handles),
        (0, 2),
        "the handle lives on in the queue, its range does not"
    );
    assert_eq!(status(&observer, 0, 8), DIED);
    drop((here, there));
    until("the handle in the queue is gone", || {
        observer.stat().unwrap().handles == 1
    });
}

fn a_mapping_that_lives_on_does_not_hold_ranges() {
    let observer = Handle::rw();
    crate::sys::process::become_subreaper().unwrap();
    let ready = Gate::new();
    let parent = Process::fork(|| {
        let handle = Handle::rw();
        let mapping = handle.whole();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        let child = Process::fork(|| {
            drop(handle);
            ready.open();
            mapping.get(0);
            park();
        });
        std::mem::forget(child);
        park();
    });
    ready.pass();
    parent.kill();
    // It had dropped its handle, too, so its range goes shortly after it.
    until("the range of the dead is dropped", || {
        observer.stat().unwrap().holders == 0
    });
    assert_eq!(observer.stat().unwrap().nattch, 1);
    assert_eq!(status(&observer, 0, 8), DIED);
    crate::sys::process::kill_descendants();
}

fn the_ranges_of_a_living_sharer_stay() {
    let observer = Handle::rw();
    let shared = Handle::rw();
    shared.begin(ACCESS_WRITE, 100, 8, 0).unwrap();
    let held = Gate::new();
    let child = Process::fork(|| {
        shared.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        held.open();
        park();
    });
    held.pass();
    assert_eq!(observer.stat().unwrap().holders, 2);
    child.kill();
    assert_eq!(observer.stat().unwrap().holders, 1, "the dead child's alone went");
    assert_eq!(status(&observer, 0, 8), DIED);
    refused(observer.begin(ACCESS_READ, 100, 8, 0), Errno::EAGAIN);
    shared.end(ACCESS_WRITE, 100, 8).unwrap();
    assert_eq!(status(&observer, 100, 8), 0);
}

fn sixty_deaths_leave_nothing_held() {
    let observer = Handle::rw();
    let counter = Region::shared(4096);
    for round in 0..60 {
        let ready = Gate::new();
        let process = Process::fork(|| {
            let handle = Handle::rw();
            let _mapping = handle.window(0, 4096);
            handle.begin(ACCESS_WRITE, round * 8, 8, 0).unwrap();
            counter.u32(0).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            ready.open();
            // Killed somewhere in here: holding, waiting, or between the two.
            loop {
                _ = handle.end(ACCESS_WRITE, round * 8, 8);
                _ = handle.begin(ACCESS_WRITE, round * 8, 8, DEADLINE_NEVER);
            }
        });
        ready.pass();
        process.kill();
        let stat = observer.stat().unwrap();
        assert_eq!(
            (stat.holders, stat.waiters, stat.nattch, stat.handles),
            (0, 0, 0, 1),
            "round {round}"
        );
    }
}
