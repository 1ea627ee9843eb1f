// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whose a range is: the handle's, whatever duplicates, children and programs use it.

use super::refused;
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Errno, Gate, Handle, Process, STATUS_OWNER_DIED, SyncRange, file, hostile,
    signal,
};

tests![
    a_duplicate_is_the_same_owner,
    closing_a_duplicate_keeps_the_ranges,
    a_child_is_the_same_owner,
    a_child_that_closes_its_copy_keeps_the_ranges,
    a_child_that_exits_keeps_its_parents_ranges,
    a_child_may_end_what_its_parent_began,
    a_receiver_of_the_descriptor_may_end_the_range,
    exec_keeps_ranges_when_the_descriptor_stays,
    exec_drops_ranges_when_the_descriptor_goes,
    a_process_that_shares_descriptors_is_the_same_owner,
    a_program_started_meanwhile_changes_nothing,
    the_structure_may_change_during_the_call,
];

fn a_duplicate_is_the_same_owner() {
    let handle = Handle::rw();
    let twin = handle.dup();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    refused(twin.begin(ACCESS_WRITE, 0, 8, 0), Errno::EDEADLK);
    twin.end(ACCESS_WRITE, 0, 8).unwrap();
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

fn closing_a_duplicate_keeps_the_ranges() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    for _ in 0..10 {
        drop(handle.dup());
    }
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    let twin = handle.dup();
    drop(handle);
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    twin.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status, 0);
}

fn a_child_is_the_same_owner() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    Process::fork(|| refused(handle.begin(ACCESS_READ, 0, 8, 0), Errno::EDEADLK)).join();
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
}

fn a_child_that_closes_its_copy_keeps_the_ranges() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let (closed, go) = (Gate::new(), Gate::new());
    let copy = handle.dup();
    let child = Process::fork(|| {
        drop(copy);
        closed.open();
        go.pass();
    });
    closed.pass();
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    go.open();
    child.join();
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
}

fn a_child_that_exits_keeps_its_parents_ranges() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    Process::fork(|| ()).join();
    Process::fork(|| park()).kill();
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status, 0);
}

fn a_child_may_end_what_its_parent_began() {
    let handle = Handle::rw();
    let generation = handle.generation();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    Process::fork(|| {
        assert_eq!(handle.end(ACCESS_WRITE, 0, 8).unwrap().generation, generation + 1);
    })
    .join();
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
    assert_eq!(
        Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status,
        0,
        "ended properly"
    );
}

fn a_receiver_of_the_descriptor_may_end_the_range() {
    let (here, there) = file::sockets();
    let child = Process::fork(|| {
        let handle = Handle::from(file::receive_fd(&there));
        handle.end(ACCESS_WRITE, 0, 8).unwrap();
    });
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    file::send_fd(&here, &handle);
    child.join();
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

/// A process that takes a WRITE range and then, when `run` says so, runs another program, which parks. It keeps the
/// handle, or not.
pub(super) fn executing(keep: bool, run: impl FnOnce(&Handle, &(dyn Fn() + Sync))) -> Process {
    let (held, go) = (Gate::new(), Gate::new());
    let process = Process::fork(|| {
        let handle = Handle::rw();
        if keep {
            handle.keep_over_exec();
        }
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        held.open();
        go.pass();
        run(&handle, &|| {
            signal::exec(c"/proc/self/exe", &[c"shmdev-tests", c"--park"]).unwrap();
        });
    });
    held.pass();
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    go.open();
    let command_line = format!("/proc/{}/cmdline", process.pid());
    until("the other program runs", || {
        std::fs::read(&command_line).is_ok_and(|line| line.ends_with(b"--park\0"))
    });
    process
}

fn exec_keeps_ranges_when_the_descriptor_stays() {
    let process = executing(true, |_, exec| exec());
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    process.kill();
    assert_eq!(
        Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status,
        STATUS_OWNER_DIED
    );
}

fn exec_drops_ranges_when_the_descriptor_goes() {
    let process = executing(false, |_, exec| exec());
    let observer = Handle::rw();
    until("exec has closed the handle", || {
        observer.stat().unwrap().handles == 1
    });
    assert_eq!(
        observer.begin(ACCESS_READ, 0, 8, 0).unwrap().status,
        STATUS_OWNER_DIED
    );
    process.kill();
}

fn a_process_that_shares_descriptors_is_the_same_owner() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let gate = Gate::new();
    let child = hostile::fork_sharing_files(|| {
        refused(handle.begin(ACCESS_READ, 0, 8, 0), Errno::EDEADLK);
        gate.open();
    });
    gate.pass();
    child.join();
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    handle
        .end(ACCESS_WRITE, 0, 8)
        .expect("the child's end closed nothing");
    // And what the sharer begins is the sharer's: it goes with it, though the descriptor table lives on.
    hostile::fork_sharing_files(|| _ = handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap()).join();
    let other = Handle::rw();
    until("the range of the process that has exited is dropped", || {
        other.stat().unwrap().holders == 0
    });
    assert_eq!(
        other.begin(ACCESS_READ, 0, 8, 0).unwrap().status,
        STATUS_OWNER_DIED
    );
}

fn a_program_started_meanwhile_changes_nothing() {
    let handle = Handle::rw();
    handle.keep_over_exec();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    // vfork and exec; the program inherits the descriptor and ends with it open.
    assert!(signal::spawn_self(&["--help"]).wait().unwrap().success());
    refused(Handle::rw().begin(ACCESS_READ, 0, 8, 0), Errno::EAGAIN);
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(Handle::rw().begin(ACCESS_READ, 0, 8, 0).unwrap().status, 0);
}

/// The structure is read once: whatever another thread writes into it meanwhile, bounds hold, and each success can
/// be ended by the owner's end.
fn the_structure_may_change_during_the_call() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let pages = crate::sys::Region::anonymous(4096);
    let stop = AtomicBool::new(false);
    let observer = Handle::rw();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 1_u64;
            while !stop.load(Ordering::Relaxed) {
                value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly good values, sometimes wild ones, in the offset, the length, the operation and the access.
                let wild = value >> 20 & 15 == 0;
                let (offset, len) = if wild {
                    (value, u64::MAX)
                } else {
                    (value >> 44, 1 + (value >> 54))
                };
                pages.u64(0).store(offset, Ordering::Relaxed);
                pages.u64(8).store(len, Ordering::Relaxed);
                pages
                    .u32(32)
                    .store(1 + (value >> 33) as u32 % 2, Ordering::Relaxed);
                pages
                    .u32(36)
                    .store(1 + (value >> 35) as u32 % 2, Ordering::Relaxed);
            }
        });
        let (mut calls, mut begun) = (0, 0);
        // Enough calls have met good values; or the other thread has not got to run for a very long time.
        while (calls < 4000 || begun < 50) && calls < 5_000_000 {
            let handle = Handle::rw();
            for _ in 0..200 {
                begun += u32::from(handle.ioctl(crate::sys::IOC_SYNC, pages.at(0)).is_ok());
            }
            calls += 200;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(begun >= 50, "{begun} of {calls} calls succeeded");
    });
    let stat = observer.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters, stat.handles), (0, 0, 1));
    let all = SyncRange {
        len: crate::sys::SIZE as u64,
        op: crate::sys::SYNC_BEGIN,
        access: ACCESS_WRITE,
        ..SyncRange::default()
    };
    observer.sync(all).expect("everything is free");
    observer.end(ACCESS_WRITE, 0, crate::sys::SIZE as u64).unwrap();
}
