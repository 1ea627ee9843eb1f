// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection: each allocation and each copy that a call makes fails once, one after the other, until the call
//! makes it through. Each failure must be an errno of the contract, and change nothing.

use super::injection::{Spared, allowed, every, sweep, sweep_after};
use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::module::{self, Reloaded};
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Errno, Handle, PAGE, Process, SIZE, Stat, in_ms, poll};

tests![
    open_and_attach_survive_failures needs [FaultInjection] within 120,
    mmap_survives_failures needs [FaultInjection] within 120,
    munmap_and_mprotect_of_parts_survive_failures needs [FaultInjection] within 120,
    fork_survives_failures needs [FaultInjection] within 240,
    sync_survives_failures needs [FaultInjection] within 120,
    a_sync_that_waits_survives_failures needs [FaultInjection] within 120,
    read_and_write_survive_failures needs [FaultInjection] within 120,
    fdinfo_survives_failures needs [FaultInjection] within 120,
    loading_survives_failures needs [FaultInjection, ModuleFile] within 400,
];

/// What must not have changed after a failure.
fn counts(stat: Stat) -> (u64, u64, u32, u32) {
    (stat.nattch, stat.handles, stat.holders, stat.waiters)
}

fn open_and_attach_survive_failures() {
    let observer = Handle::rw();
    let mut failed = false;
    sweep(
        every,
        || {
            let handle = Handle::open(libc::O_RDWR)?;
            handle.stat().map(drop)
        },
        |outcome| {
            failed |= outcome == Err(Errno::ENOMEM);
            // ENFILE is what the kernel says when it has no memory for a file.
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
            assert_eq!(counts(observer.stat().unwrap()), (0, 1, 0, 0));
        },
    );
    assert!(failed, "a handle needs memory");
}

fn mmap_survives_failures() {
    let handle = Handle::rw();
    handle.stat().unwrap();
    sweep(
        every,
        || handle.mmap(SIZE, READ | WRITE, SHARED, 0),
        |outcome| {
            let mapped = allowed(outcome, &[Errno::ENOMEM]);
            assert_eq!(handle.nattch(), u64::from(mapped.is_some()));
            drop(mapped);
            assert_eq!(handle.nattch(), 0);
        },
    );
}

fn munmap_and_mprotect_of_parts_survive_failures() {
    let handle = Handle::rw();
    for protect in [false, true] {
        let mut mapping = handle.window(0, 4 * PAGE);
        sweep(
            every,
            || {
                if protect {
                    mapping.protect(PAGE, PAGE, READ)
                } else {
                    mapping.unmap(PAGE, PAGE)
                }
            },
            |outcome| {
                let lines = if allowed(outcome, &[Errno::ENOMEM]).is_none() {
                    1
                } else {
                    2 + u64::from(protect)
                };
                let attached = handle.nattch();
                // A failure may come after the split: then the parts are there, each counted.
                assert!(
                    attached == lines || attached <= 3 && lines == 1,
                    "{attached} for {lines}"
                );
                mapping.get(0);
            },
        );
        mapping = handle.window(0, PAGE);
        drop(mapping);
    }
}

fn fork_survives_failures() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 4 * PAGE);
    mapping.unmap(PAGE, PAGE).unwrap();
    assert_eq!(handle.nattch(), 2);
    sweep(
        // A fork makes hundreds of allocations; the first ones and then every few will do.
        |nth| nth + 1 + nth / 24,
        || Process::try_fork(|| ()),
        |outcome| {
            if let Some(child) = allowed(outcome, &[Errno::ENOMEM, Errno::EAGAIN]) {
                child.wait();
            }
            assert_eq!(handle.nattch(), 2);
        },
    );
    mapping.set(0, 1);
}

fn sync_survives_failures() {
    let handle = Handle::rw();
    let observer = Handle::rw();
    // The first one of a handle needs memory for sure: the process is watched from then on.
    let mut failed = false;
    sweep_after(
        every,
        || {
            let fresh = Handle::rw();
            fresh.stat().unwrap();
            fresh
        },
        |fresh| (fresh.begin(ACCESS_READ, 0, 8, 0), fresh),
        |(outcome, fresh)| {
            failed |= outcome == Err(Errno::ENOMEM);
            let begun = allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT]).is_some();
            assert_eq!(observer.stat().unwrap().holders, u32::from(begun));
            drop(fresh);
            assert_eq!(counts(observer.stat().unwrap()), (0, 1, 0, 0));
        },
    );
    assert!(failed, "nothing was refused");
    for access in [ACCESS_READ, ACCESS_WRITE] {
        sweep(
            every,
            || handle.begin(access, 0, 8, 0),
            |outcome| {
                let begun = allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT]).is_some();
                assert_eq!(observer.stat().unwrap().holders, u32::from(begun));
                if begun {
                    handle.end(access, 0, 8).unwrap();
                } else {
                    let free = observer.begin(ACCESS_WRITE, 0, 8, 0).expect("it was given back");
                    assert_eq!(free.status, 0);
                    observer.end(ACCESS_WRITE, 0, 8).unwrap();
                }
            },
        );
    }
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    sweep(
        every,
        || handle.end(ACCESS_WRITE, 0, 8),
        |outcome| {
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT]);
            _ = handle.end(ACCESS_WRITE, 0, 8);
            assert_eq!(observer.stat().unwrap().holders, 0);
            handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        },
    );
}

fn a_sync_that_waits_survives_failures() {
    let (holder, handle) = (Handle::rw(), Handle::rw());
    holder.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    sweep(
        every,
        || handle.begin(ACCESS_WRITE, 0, 8, in_ms(2)),
        |outcome| {
            assert!(
                matches!(outcome, Err(Errno::ENOMEM | Errno::EFAULT | Errno::ETIMEDOUT)),
                "{outcome:?}"
            );
            let stat = holder.stat().unwrap();
            assert_eq!((stat.holders, stat.waiters), (1, 0));
        },
    );
}

fn read_and_write_survive_failures() {
    let handle = Handle::rw();
    let mut buffer = vec![7; 3 * PAGE];
    sweep(
        every,
        || handle.pread(&mut buffer, 100),
        |outcome| _ = allowed(outcome, &[Errno::EFAULT, Errno::ENOMEM]),
    );
    let bytes = vec![9; 3 * PAGE];
    let mut generation = handle.generation();
    sweep(
        every,
        || handle.pwrite(&bytes, 100),
        |outcome| {
            let stored = allowed(outcome, &[Errno::EFAULT, Errno::ENOMEM]).unwrap_or(0);
            let now = handle.generation();
            assert_eq!(now - generation, u64::from(stored > 0));
            generation = now;
        },
    );
}

fn fdinfo_survives_failures() {
    let handle = Handle::rw();
    let path = format!("/proc/self/fdinfo/{}", handle.fd());
    handle.stat().unwrap();
    sweep(every, || std::fs::read(&path), drop);
    assert_eq!(handle.fdinfo().len(), 7);
    assert_eq!(poll::poll(&handle, 0), libc::POLLOUT);
}

fn loading_survives_failures() {
    let _module = Reloaded::afterwards();
    // The kernel makes the files of a module's events, and warns of itself when it has no memory for them.
    let _spared = Spared::below("trace_module_notify");
    module::unload().unwrap();
    sweep(
        // Loading makes thousands of allocations, most of them the kernel's own.
        |nth| nth + 1 + nth / 16,
        || module::load("default_size=65536"),
        |outcome| match outcome {
            Ok(()) => {
                Handle::rw().window(0, PAGE).set(0, 1);
                module::unload().unwrap();
            }
            Err(_) => {
                assert!(!module::is_loaded());
                refused(Handle::open(libc::O_RDWR), Errno::ENOENT);
            }
        },
    );
}
