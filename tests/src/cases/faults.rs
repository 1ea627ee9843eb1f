// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection: each allocation and each copy that a call makes fails once, one after the other, until the call
//! makes it through. Each failure must be an errno of the contract, and change nothing.
//!
//! A number in `/proc/thread-self/fail-nth` counts down with each call that can be made to fail; the one that takes
//! it to zero fails. A number that is not used up says that the sweep is through.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::module::{self, Reloaded};
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Errno, Handle, PAGE, Process, Result, SIZE, Stat, in_ms, poll};

tests![
    open_and_attach_survive_failures needs [FaultInjection] within 120,
    mmap_survives_failures needs [FaultInjection] within 120,
    munmap_and_mprotect_of_parts_survive_failures needs [FaultInjection] within 120,
    fork_survives_failures needs [FaultInjection] within 240,
    sync_survives_failures needs [FaultInjection] within 120,
    a_sync_that_waits_survives_failures needs [FaultInjection] within 120,
    read_and_write_survive_failures needs [FaultInjection] within 120,
    poll_and_fdinfo_survive_failures needs [FaultInjection] within 120,
    loading_survives_failures needs [FaultInjection, ModuleFile] within 400,
];

/// Makes the allocations that matter eligible (by default, those that may sleep are not), without a word in the log.
fn arm() -> File {
    for (kind, knobs) in [
        ("failslab", &["ignore-gfp-wait"][..]),
        ("fail_page_alloc", &["ignore-gfp-wait", "ignore-gfp-highmem"][..]),
        ("fail_usercopy", &[][..]),
    ] {
        let folder = Path::new("/sys/kernel/debug").join(kind);
        if !folder.exists() {
            continue;
        }
        std::fs::write(folder.join("verbose"), "0").unwrap();
        for knob in knobs {
            std::fs::write(folder.join(knob), "N").unwrap();
        }
        if kind == "fail_page_alloc" {
            std::fs::write(folder.join("min-order"), "0").unwrap();
        }
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/thread-self/fail-nth")
        .unwrap()
}

/// Where nothing is injected, until this is dropped: in what a function of the kernel's calls.
struct Spared;

impl Spared {
    fn below(function: &str) -> Spared {
        let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
        let mut addresses = Vec::new();
        let mut start = None;
        for line in symbols.lines() {
            let mut words = line.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            if words.nth(1) == Some(function) {
                start = address;
            }
            addresses.extend(address);
        }
        // A kernel without the function makes nothing there.
        if let Some(start) = start {
            let end = addresses.into_iter().filter(|&address| address > start).min();
            Spared::set(start, end.expect("a function is not the last symbol"));
        }
        Spared
    }

    fn set(start: u64, end: u64) {
        for kind in ["failslab", "fail_page_alloc", "fail_usercopy"] {
            let folder = Path::new("/sys/kernel/debug").join(kind);
            for (knob, value) in [("reject-start", start), ("reject-end", end)] {
                if folder.join(knob).exists() {
                    std::fs::write(folder.join(knob), format!("{value:#x}")).unwrap();
                }
            }
        }
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        Spared::set(0, 0);
    }
}

/// Calls `body` with its first, second, ... failure injected. `check` looks at each outcome.
fn sweep<T>(step: impl Fn(u32) -> u32, mut body: impl FnMut() -> T, check: impl FnMut(T)) {
    sweep_after(step, || (), |()| body(), check);
}

/// As [`sweep`], with what `prepare` makes each time before: nothing is injected there.
pub(super) fn sweep_after<P, T>(
    step: impl Fn(u32) -> u32,
    mut prepare: impl FnMut() -> P,
    mut body: impl FnMut(P) -> T,
    mut check: impl FnMut(T),
) {
    let knob = arm();
    let mut nth = 1;
    loop {
        let prepared = prepare();
        knob.write_all_at(nth.to_string().as_bytes(), 0).unwrap();
        let outcome = body(prepared);
        let mut text = [0; 16];
        // Reading may itself be what fails: then the number was not used up before.
        let left = knob
            .read_at(&mut text, 0)
            .map(|_| text[0] != b'0')
            .unwrap_or(true);
        while knob.write_all_at(b"0", 0).is_err() {}
        check(outcome);
        if left {
            assert!(nth > 1, "nothing was made to fail");
            return;
        }
        nth = step(nth);
        assert!(nth < 100_000, "the sweep does not end");
    }
}

/// Each in turn.
pub(super) fn every(nth: u32) -> u32 {
    nth + 1
}

/// Whether an outcome is a success or one of these errnos.
#[track_caller]
pub(super) fn allowed<T>(outcome: Result<T>, errnos: &[Errno]) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if errnos.contains(&error) => None,
        Err(error) => panic!("{error:?} is not among {errnos:?}"),
    }
}

/// What must not have changed after a failure.
fn counts(stat: Stat) -> (u64, u64, u32, u32) {
    (stat.nattch, stat.handles, stat.holders, stat.waiters)
}

fn open_and_attach_survive_failures() {
    let observer = Handle::rw();
    sweep(
        every,
        || {
            let handle = Handle::open(libc::O_RDWR)?;
            handle.stat().map(drop)
        },
        |outcome| {
            // ENFILE is what the kernel says when it has no memory for a file.
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
            assert_eq!(counts(observer.stat().unwrap()), (0, 1, 0, 0));
        },
    );
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

fn poll_and_fdinfo_survive_failures() {
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
