// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection into the calls about segments: each allocation and each copy fails once. Nothing counts afterwards
//! that is not there, and what is there works.

use super::injection::{allowed, every, sweep_after};
use super::{READ, SHARED, WRITE};
use crate::harness::tests;
use crate::sys::process::{unshare, until};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_AUTO_REMOVE, Create, Errno, Handle, PAGE, Process, Result, THIS,
    Target, by_id, by_name, creation, poll, usage,
};

tests![
    creating_survives_failures needs [FaultInjection] within 120,
    creating_what_exists_survives_failures needs [FaultInjection] within 120,
    opening_survives_failures needs [FaultInjection] within 120,
    looking_survives_failures needs [FaultInjection] within 120,
    changing_and_removing_survive_failures needs [FaultInjection] within 120,
    growing_and_shrinking_survive_failures needs [FaultInjection] within 120,
    listing_survives_failures needs [FaultInjection] within 120,
    restricting_survives_failures needs [FaultInjection] within 120,
    mapping_and_forking_survive_failures needs [FaultInjection] within 120,
    the_first_poll_of_a_namespace_survives_failures needs [FaultInjection, IpcNamespace] within 240,
    a_new_namespace_survives_failures needs [FaultInjection, IpcNamespace] within 240,
    debugfs_survives_failures needs [FaultInjection, Debugfs] within 120,
];

/// What any call may say that has no memory, or whose structure is not there.
const FAILED: &[Errno] = &[Errno::ENOMEM, Errno::EFAULT];
const SMALL: u64 = PAGE as u64;

/// Nothing is left of a creation that may or may not have come to its end.
fn clear_away() {
    match Handle::rw().remove(by_name("frames")) {
        Ok(()) | Err(Errno::ENOENT) => (),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(usage(), (0, 0));
}

fn creating_survives_failures() {
    for (text, flags, pages) in [
        ("frames", 0, 3),
        ("", 0, 3),
        ("frames", CREATE_AUTO_REMOVE, 1),
        ("frames", 0, 700),
    ] {
        let create = Create {
            flags,
            ..creation(text, pages * SMALL)
        };
        sweep_after(
            every,
            Handle::rw,
            |handle| (handle.create(create), handle),
            |(outcome, handle)| {
                match allowed(outcome, FAILED) {
                    Some(_) => assert_eq!(usage(), (1, pages * SMALL)),
                    // Unless it failed when all was done but the telling, there is nothing.
                    None if handle.fdinfo().len() == 1 => assert_eq!(usage(), (0, 0)),
                    None => handle.pwrite(b"usable", 0).map(drop).unwrap(),
                }
                drop(handle);
                clear_away();
            },
        );
    }
}

fn creating_what_exists_survives_failures() {
    let observer = Handle::creating("frames", 5000);
    sweep_after(
        every,
        Handle::rw,
        |handle| (handle.create(creation("frames", 100)), handle),
        |(outcome, handle)| {
            allowed(outcome, FAILED);
            drop(handle);
            assert_eq!((usage(), observer.stat().unwrap().handles), ((1, 2 * SMALL), 1));
        },
    );
    remove("frames");
}

fn opening_survives_failures() {
    let observer = Handle::creating("frames", 5000);
    for target in [by_name("frames"), by_id(observer.id()), by_id(0)] {
        sweep_after(
            every,
            Handle::rw,
            |handle| (handle.attach(target), handle),
            |(outcome, handle)| {
                if allowed(outcome, FAILED).is_none() && handle.fdinfo().len() == 1 {
                    handle.attach(target).expect("it is not attached");
                }
                drop(handle);
                assert_eq!(observer.stat().unwrap().handles, 1);
            },
        );
    }
    drop(observer);
    remove("frames");
    // And a handle opened under failures, with all that a first use needs.
    sweep_after(
        every,
        || (),
        |()| -> Result<()> {
            let handle = Handle::open(libc::O_RDWR)?;
            handle.create(creation("frames", 100))?;
            handle.remove(THIS)
        },
        |outcome| {
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
            clear_away();
        },
    );
}

fn looking_survives_failures() {
    let handle = Handle::creating("frames", 5000);
    for target in [THIS, by_name("frames"), by_id(0)] {
        sweep_after(
            every,
            || (),
            |()| handle.stat_of(target),
            |outcome| _ = allowed(outcome, FAILED),
        );
    }
    sweep_after(
        every,
        || (),
        |()| handle.info(),
        |outcome| _ = allowed(outcome, FAILED),
    );
    remove("frames");
}

fn changing_and_removing_survive_failures() {
    let handle = Handle::creating("frames", 5000);
    sweep_after(
        every,
        || handle.set_mode(THIS, 0o600).unwrap(),
        |()| handle.set_mode(by_name("frames"), 0o640),
        |outcome| {
            let mode = if allowed(outcome, FAILED).is_some() {
                0o640
            } else {
                0o600
            };
            assert_eq!(handle.stat().unwrap().mode, mode);
        },
    );
    remove("frames");
    drop(handle);
    for target in [THIS, by_name("frames")] {
        sweep_after(
            every,
            || Handle::creating("frames", 100),
            |handle| (handle.remove(target), handle),
            |(outcome, handle)| {
                if allowed(outcome, FAILED).is_none() {
                    Handle::rw().attach(by_name("frames")).expect("it is not removed");
                    handle.remove(target).unwrap();
                }
                drop(handle);
                assert_eq!(usage(), (0, 0));
            },
        );
    }
}

fn growing_and_shrinking_survive_failures() {
    for (from, to) in [
        (5000, 40 * SMALL),
        (5000, 700 * SMALL),
        (40 * SMALL, 5000),
        (5000, 5001),
    ] {
        let handle = Handle::creating("frames", from);
        sweep_after(
            every,
            || {
                handle.resize(THIS, from).unwrap();
                handle.pwrite(&[7; 4096], 0).unwrap();
            },
            |()| handle.resize(by_name("frames"), to),
            |outcome| {
                let size = if allowed(outcome, FAILED).is_some() {
                    to
                } else {
                    from
                };
                let stat = handle.stat().unwrap();
                assert_eq!(
                    (stat.size, stat.mapped_size),
                    (size, size.next_multiple_of(SMALL))
                );
                assert_eq!(usage(), (1, stat.mapped_size));
                let mapping = handle.window(0, stat.mapped_size as usize);
                assert_eq!((mapping.get(0), mapping.get(4095), mapping.get(4096)), (7, 7, 0));
            },
        );
        drop(handle);
        clear_away();
    }
}

fn listing_survives_failures() {
    let handles: Vec<_> = (0..20).map(|_| Handle::creating("", 100)).collect();
    let mut failed = false;
    sweep_after(
        every,
        || (),
        |()| handles[0].list_from(0),
        |outcome| {
            failed |= outcome == Err(Errno::ENOMEM);
            if let Some((_, stats)) = allowed(outcome, FAILED) {
                assert_eq!(stats.len(), 16);
            }
        },
    );
    assert!(failed, "an answer needs memory");
    assert_eq!(usage(), (20, 20 * SMALL));
}

fn restricting_survives_failures() {
    sweep_after(
        every,
        Handle::rw,
        |handle| (handle.restrict(0, 100, ACCESS_READ), handle),
        |(outcome, handle)| {
            if allowed(outcome, FAILED).is_none() {
                handle
                    .restrict(0, 100, ACCESS_READ | ACCESS_WRITE)
                    .expect("it is not restricted");
            }
        },
    );
}

fn mapping_and_forking_survive_failures() {
    let handle = Handle::creating("frames", 5 * SMALL);
    sweep_after(
        every,
        || (),
        |()| handle.mmap(5 * PAGE, READ | WRITE, SHARED, 0),
        |outcome| {
            let mapped = allowed(outcome, &[Errno::ENOMEM]);
            assert_eq!(handle.nattch(), u64::from(mapped.is_some()));
            drop(mapped);
            handle.resize(THIS, SMALL).expect("nothing maps it");
            handle.resize(THIS, 5 * SMALL).unwrap();
        },
    );
    let _mapping = handle.window(0, 5 * PAGE);
    sweep_after(
        |nth| nth + 1 + nth / 8,
        || (),
        |()| Process::try_fork(|| ()),
        |outcome| {
            if let Some(child) = allowed(outcome, &[Errno::ENOMEM, Errno::EAGAIN]) {
                child.wait();
            }
            assert_eq!(handle.nattch(), 1);
        },
    );
    remove("frames");
}

/// It makes the default segment, and `poll` has no errno to say that it cannot.
fn the_first_poll_of_a_namespace_survives_failures() {
    Process::fork(|| {
        let mut failed = false;
        sweep_after(
            every,
            || {
                unshare(libc::CLONE_NEWIPC).unwrap();
                Handle::rw()
            },
            |handle| (poll::try_poll(&handle, libc::POLLIN | libc::POLLOUT, 0), handle),
            |(outcome, handle)| {
                match allowed(outcome, FAILED) {
                    Some(libc::POLLERR) => {
                        failed = true;
                        assert_eq!(handle.fdinfo().len(), 1, "attached to nothing");
                    }
                    events => assert!(matches!(events, None | Some(libc::POLLOUT)), "{events:?}"),
                }
                assert_eq!(poll::poll(&handle, 0), libc::POLLOUT, "now that nothing fails");
                assert_eq!(handle.stat().unwrap().handles, 1);
            },
        );
        assert!(failed, "the default segment needs memory");
    })
    .join();
    until("the namespaces are gone", || usage() == (0, 0));
}

/// The first use of a namespace needs more than any other: it is noted, and watched for its end.
fn a_new_namespace_survives_failures() {
    let uses: [fn(&Handle) -> Result<()>; 5] = [
        |handle| handle.pread(&mut [0], 0).map(drop),
        |handle| handle.create(creation("frames", 100)).map(drop),
        |handle| handle.attach(by_id(0)).map(drop),
        |handle| handle.stat().map(drop),
        |handle| handle.begin(ACCESS_READ, 0, 1, 0).map(drop),
    ];
    Process::fork(|| {
        for use_it in uses {
            let mut failed = false;
            sweep_after(
                every,
                || unshare(libc::CLONE_NEWIPC).unwrap(),
                |()| -> Result<()> { use_it(&Handle::open(libc::O_RDWR)?) },
                |outcome| {
                    failed |= outcome == Err(Errno::ENOMEM);
                    allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
                    // It works all the same, now that nothing fails.
                    let handle = Handle::rw();
                    handle.pwrite(b"x", 0).unwrap();
                    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
                    handle.end(ACCESS_WRITE, 0, 1).unwrap();
                },
            );
            assert!(failed, "a namespace needs memory");
        }
    })
    .join();
    until("the namespaces are gone", || usage() == (0, 0));
}

fn debugfs_survives_failures() {
    let handle = Handle::creating("frames", 5000);
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    let more: Vec<_> = (0..60).map(|_| Handle::creating("", 100)).collect();
    for file in ["segments", "ranges", "usage"] {
        let path = format!("/sys/kernel/debug/shmdev/{file}");
        let whole = std::fs::read(&path).unwrap();
        sweep_after(
            every,
            || (),
            |()| std::fs::read(&path),
            |outcome| match outcome {
                // Ages grow. What is not all says so.
                Ok(bytes) => assert!(
                    file == "ranges" || bytes == whole || bytes.ends_with(b"(no memory for the rest)\n"),
                    "{}",
                    String::from_utf8_lossy(&bytes)
                ),
                Err(error) => {
                    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                    let _: Option<Target> =
                        allowed(Err(errno), &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
                }
            },
        );
    }
    drop(more);
    remove("frames");
}
