// SPDX-License-Identifier: MIT OR Apache-2.0

//! RESTRICT while other calls on the handle are under way.

use super::restrict::{ALL, BOTH};
use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, PAGE, Process, SYNC_BEGIN, SyncRange,
};

tests![
    who_waits_while_the_handle_is_narrowed_gets_nothing,
    #[slow]
    restricting_races_with_mapping,
];

fn who_waits_while_the_handle_is_narrowed_gets_nothing() {
    let holder = Handle::creating("frames", PAGE as u64);
    for (offset, access) in [(0, ACCESS_READ), (100, BOTH)] {
        holder.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
        let handle = Handle::of("frames");
        let waiter = Process::fork(|| {
            let mut range = SyncRange {
                len: 10,
                deadline_ns: DEADLINE_NEVER,
                op: SYNC_BEGIN,
                access: ACCESS_WRITE,
                generation: u64::MAX,
                ..SyncRange::default()
            };
            refused(handle.call(&mut range), Errno::EACCES);
            assert_eq!(range.generation, u64::MAX, "nothing is written");
        });
        until("it waits", || holder.stat().unwrap().waiters == 1);
        handle.restrict(offset, ALL, access).unwrap();
        holder.end(ACCESS_WRITE, 0, 10).unwrap();
        waiter.join();
        let stat = holder.stat().unwrap();
        assert_eq!((stat.holders, stat.waiters), (0, 0));
        let taken = holder.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
        assert_eq!(taken.status, 0, "it left no mark");
        holder.end(ACCESS_WRITE, 0, 10).unwrap();
    }
    remove("frames");
}

/// A call that races with RESTRICT comes before or after it. What is mapped after it stays read-only, and no later call
/// is let through.
fn restricting_races_with_mapping() {
    Handle::creating("frames", PAGE as u64);
    for round in 0..100 {
        let handle = Handle::of("frames");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        match handle.mmap(PAGE, READ | WRITE, SHARED, 0) {
                            Ok(mapping) => mapping.set(0, 1),
                            Err(error) => {
                                assert_eq!(error, Errno::EACCES);
                                let view = handle.mmap(PAGE, READ, SHARED, 0).unwrap();
                                refused(view.protect(0, PAGE, READ | WRITE), Errno::EACCES);
                                return;
                            }
                        }
                    }
                });
            }
            for _ in 0..round * 10 {
                std::hint::spin_loop();
            }
            handle.restrict(0, ALL, ACCESS_READ).unwrap();
            refused(handle.mmap(PAGE, READ | WRITE, SHARED, 0), Errno::EACCES);
        });
        assert_eq!(handle.stat().unwrap().nattch, 0);
    }
    remove("frames");
}
