// SPDX-License-Identifier: MIT OR Apache-2.0

//! RESIZE while others read, write, map and lock: every byte that anybody sees was written there or is zero.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{EndOf, READ, SHARED, beside, refused};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, PAGE, Process, Region, THIS, by_name, usage,
};

tests![
    readers_and_writers_see_whole_pages within 120,
    mappings_and_shrinking_exclude_each_other within 120,
    processes_grow_and_shrink_one_segment within 120,
    #[slow] what_is_refused_to_be_mapped_is_no_mapping,
    ranges_are_taken_meanwhile,
    threads_resize_through_one_handle,
    what_is_being_read_or_written_does_not_shrink,
    the_second_of_two_at_once_is_ebusy within 120,
    one_that_is_killed_changes_nothing within 120,
];

const PAGES: u64 = 16;
const SMALL: u64 = PAGE as u64;

/// Calls `during` in some threads for as long as the size goes up and down.
fn while_resizing(rounds: u64, during: impl Fn(&Handle) + Sync) {
    Handle::creating("frames", PAGES * SMALL);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let handle = Handle::of("frames");
                while !done.load(Ordering::Relaxed) {
                    during(&handle);
                }
            });
        }
        let _end = EndOf(&done);
        let handle = Handle::of("frames");
        for round in 0..rounds {
            match handle.resize(THIS, 1 + round * 7919 % (PAGES * SMALL)) {
                Ok(()) | Err(Errno::EBUSY) => (),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.nattch, stat.handles, stat.holders), (0, 0, 0));
    assert_eq!(usage(), (1, stat.mapped_size));
    remove("frames");
}

fn readers_and_writers_see_whole_pages() {
    while_resizing(400, |handle| {
        let mut bytes = [0xff; 2 * PAGE];
        for place in 0..PAGES as i64 {
            // Every writer writes the number of the page.
            match handle.pwrite(&[place as u8 + 1; PAGE], place * PAGE as i64) {
                Ok(1..) | Err(Errno::ENOSPC) => (),
                other => panic!("{other:?}"),
            }
            let read = handle.pread(&mut bytes[..PAGE], place * PAGE as i64).unwrap();
            let whole = bytes[..read]
                .iter()
                .all(|&byte| byte == 0 || byte == place as u8 + 1);
            assert!(whole, "page {place} shows another one's bytes");
            handle.seek(0, libc::SEEK_END).unwrap();
        }
    });
}

fn mappings_and_shrinking_exclude_each_other() {
    while_resizing(400, |handle| {
        let pages = handle.stat().unwrap().mapped_size / SMALL;
        match handle.mmap(pages as usize * PAGE, READ, SHARED, 0) {
            Ok(mapping) => {
                // While it is mapped, no page of it goes.
                assert!(handle.stat().unwrap().mapped_size >= pages * SMALL);
                assert_eq!(mapping.get(mapping.len() - 1), 0);
            }
            Err(error) => assert_eq!(error, Errno::EINVAL, "it has shrunk before"),
        }
    });
}

fn what_is_refused_to_be_mapped_is_no_mapping() {
    let handle = Handle::creating("frames", 1);
    let map = || {
        let past_the_end = handle.mmap(PAGE, READ, SHARED, PAGES * SMALL);
        refused(past_the_end, Errno::EINVAL);
    };
    beside(map, || {
        for round in 0..10_000 {
            handle.resize(THIS, 1 + round % 2 * SMALL).unwrap();
            assert_eq!(handle.nattch(), 0);
        }
    });
    remove("frames");
}

fn processes_grow_and_shrink_one_segment() {
    Handle::creating("frames", 1);
    let workers: Vec<_> = (0..6_u64)
        .map(|worker| {
            Process::fork(move || {
                let handle = Handle::of("frames");
                for round in 0..80 {
                    let size = 1 + (worker * 31 + round * 17) % 40 * 1000;
                    match handle.resize(THIS, size) {
                        Ok(()) | Err(Errno::EBUSY) => (),
                        Err(error) => panic!("{error}"),
                    }
                    if round % 5 == worker % 5 {
                        let _mapping = handle.window(0, PAGE);
                        let size = handle.stat().unwrap().mapped_size;
                        // Unless another one was faster, and this is less than there is now.
                        let outcome = handle.resize(THIS, size + SMALL);
                        assert!(matches!(outcome, Ok(()) | Err(Errno::EBUSY)), "{outcome:?}");
                    }
                }
            })
        })
        .collect();
    workers.into_iter().for_each(Process::join);
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.nattch, usage()), (0, (1, stat.mapped_size)));
    remove("frames");
    assert_eq!(usage(), (0, 0));
}

fn ranges_are_taken_meanwhile() {
    while_resizing(200, |handle| {
        for (access, offset) in [(ACCESS_WRITE, 5 * SMALL), (ACCESS_READ, 0), (ACCESS_WRITE, 0)] {
            match handle.begin(access, offset, SMALL, DEADLINE_NEVER) {
                Ok(_) => drop(
                    handle
                        .end(access, offset, SMALL)
                        .expect("it is held, wherever the end is"),
                ),
                Err(error) => assert_eq!(error, Errno::EINVAL),
            }
        }
    });
}

fn threads_resize_through_one_handle() {
    let handle = Handle::creating("frames", 1);
    let seen = Region::shared(PAGE);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (handle, seen) = (&handle, &seen);
            scope.spawn(move || {
                for round in 0..100 {
                    // One of several at once goes, the others are told.
                    let outcome = handle.resize(THIS, 1 + (thread + round) % 5 * SMALL);
                    assert!(matches!(outcome, Ok(()) | Err(Errno::EBUSY)), "{outcome:?}");
                    seen.u32(0).fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(seen.u32(0).load(Ordering::Relaxed), 300);
    assert_eq!(usage(), (1, handle.stat().unwrap().mapped_size));
    remove("frames");
}

/// Else what the limits count would go, and the memory stay for as long as the copying takes: as long as anybody likes.
fn what_is_being_read_or_written_does_not_shrink() {
    const LARGE: u64 = 8 << 20;
    let handle = Handle::creating("frames", LARGE);
    for write in [false, true] {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (handle, mut bytes) = (Handle::of("frames"), vec![0; LARGE as usize]);
                while !done.load(Ordering::Relaxed) {
                    let _ = match write {
                        false => handle.pread(&mut bytes, 0),
                        true => handle.pwrite(&bytes, 0),
                    };
                }
            });
            let _end = EndOf(&done);
            until("it is in use", || match handle.resize(THIS, SMALL) {
                Ok(()) => {
                    handle.resize(THIS, LARGE).unwrap();
                    false
                }
                outcome => {
                    refused(outcome, Errno::EBUSY);
                    true
                }
            });
        });
        handle.resize(THIS, SMALL).expect("nobody uses it any more");
        handle.resize(THIS, LARGE).expect("nor hinders it to grow");
    }
    remove("frames");
}

/// So much that having it takes its time.
const LARGE: u64 = 64 << 20;

/// Lets a process make a segment large, and calls `meanwhile` until it was called while that was under way. What it
/// grows by counts before it is there.
fn while_one_grows<T>(meanwhile: impl Fn(&Handle, &Process) -> T) -> (T, Handle) {
    for _ in 0..100 {
        let handle = Handle::creating("", SMALL);
        let mut process = Process::fork(|| handle.resize(THIS, LARGE).unwrap());
        let mut end = None;
        until("it grows", || {
            end = process.ended();
            end.is_some() || usage().1 == LARGE
        });
        let outcome = meanwhile(&handle, &process);
        let in_time = handle.stat().unwrap().size == SMALL;
        if end.is_none() {
            process.wait();
        }
        if in_time {
            return (outcome, handle);
        }
    }
    panic!("it was never seen to grow still afterwards");
}

fn the_second_of_two_at_once_is_ebusy() {
    for size in [2 * SMALL, SMALL, 1] {
        let (outcome, handle) = while_one_grows(|handle, _| handle.resize(THIS, size));
        refused(outcome, Errno::EBUSY);
        assert_eq!((handle.stat().unwrap().size, usage()), (LARGE, (1, LARGE)));
        handle.resize(THIS, size).expect("nobody else is at it");
    }
}

/// Unless the signal comes at the very end.
fn one_that_is_killed_changes_nothing() {
    let sizes = (0..10).map(|_| {
        let ((), handle) = while_one_grows(|_, process| process.signal(libc::SIGKILL));
        let size = handle.stat().unwrap().size;
        assert_eq!(usage(), (1, size));
        handle.resize(THIS, 2 * SMALL).expect("nobody is at it any more");
        size
    });
    assert!(sizes.into_iter().any(|size| size == SMALL));
}
