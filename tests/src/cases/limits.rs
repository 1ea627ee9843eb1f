// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many ranges there may be: of a handle, and of the segment.

use super::refused;
use crate::harness::tests;
use crate::sys::module::Reloaded;
use crate::sys::process::until;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, DEADLINE_NOW, Errno, Handle, SIZE};

tests![
    one_range_too_many_is_enolck,
    #[slow] max_ranges_is_a_parameter needs [ModuleFile],
    waiting_ranges_count_for_enolck,
    many_ranges_end_in_any_order,
    #[slow] the_segment_has_a_limit_of_all_its_ranges within 120,
];

fn one_range_too_many_is_enolck() {
    let handle = Handle::rw();
    for index in 0..1024 {
        handle.begin(ACCESS_READ, index * 2, 1, 0).unwrap();
    }
    assert_eq!(handle.stat().unwrap().holders, 1024);
    for deadline in [DEADLINE_NOW, DEADLINE_NEVER] {
        refused(handle.begin(ACCESS_READ, 2048, 1, deadline), Errno::ENOLCK);
    }
    Handle::rw()
        .begin(ACCESS_READ, 2048, 1, 0)
        .expect("the limit is each handle's own");
    handle.end(ACCESS_READ, 500 * 2, 1).unwrap();
    handle.begin(ACCESS_READ, 2048, 1, 0).expect("one was given back");
    drop(handle);
    assert_eq!(Handle::rw().stat().unwrap().holders, 0);
}

fn max_ranges_is_a_parameter() {
    let _module = Reloaded::with("max_ranges=1");
    let handle = Handle::rw();
    assert_eq!(handle.info().unwrap().max_ranges, 1);
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    refused(handle.begin(ACCESS_READ, 1, 1, 0), Errno::ENOLCK);
    handle.end(ACCESS_READ, 0, 1).unwrap();
    handle.begin(ACCESS_READ, 1, 1, 0).unwrap();
}

fn waiting_ranges_count_for_enolck() {
    let holder = Handle::rw();
    holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    let shared = Handle::rw();
    for index in 1..1024 {
        shared.begin(ACCESS_READ, index * 2, 1, 0).unwrap();
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| shared.begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER).map(drop));
        until("the thread waits", || holder.stat().unwrap().waiters == 1);
        refused(shared.begin(ACCESS_READ, 4096, 1, 0), Errno::ENOLCK);
        holder.end(ACCESS_WRITE, 0, 1).unwrap();
        waiting.join().unwrap().unwrap();
    });
    shared.end(ACCESS_WRITE, 0, 1).unwrap();
}

fn many_ranges_end_in_any_order() {
    let handle = Handle::rw();
    let other = Handle::rw();
    const COUNT: u64 = 500;
    for index in 0..COUNT {
        handle.begin(ACCESS_WRITE, index * 8, 8, 0).unwrap();
    }
    // 271 and 500 have no common divisor: each once, in a scattered order.
    for step in 0..COUNT {
        let index = step * 271 % COUNT;
        refused(other.begin(ACCESS_WRITE, index * 8 + 7, 1, 0), Errno::EAGAIN);
        handle.end(ACCESS_WRITE, index * 8, 8).unwrap();
        other.begin(ACCESS_WRITE, index * 8, 8, 0).unwrap();
        other.end(ACCESS_WRITE, index * 8, 8).unwrap();
        assert_eq!(u64::from(handle.stat().unwrap().holders), COUNT - 1 - step);
    }
}

/// The table at its bound, and a writer that waits for every one of its ranges: granted with the last, not before.
fn the_segment_has_a_limit_of_all_its_ranges() {
    const EACH: u32 = 1024;
    let mut handles: Vec<_> = (0..16).map(|_| Handle::rw()).collect();
    for (index, handle) in (0..).zip(&handles) {
        for place in 0..u64::from(EACH) {
            let offset = (index * u64::from(EACH) + place) * 64;
            handle.begin(ACCESS_READ, offset, 1, 0).unwrap();
        }
    }
    let observer = Handle::rw();
    assert_eq!(observer.stat().unwrap().holders, 16 * EACH);
    for deadline in [DEADLINE_NOW, DEADLINE_NEVER] {
        refused(observer.begin(ACCESS_READ, 1, 1, deadline), Errno::ENOLCK);
    }
    handles[7]
        .end(ACCESS_READ, 7 * u64::from(EACH) * 64, 1)
        .expect("ending one");
    observer.begin(ACCESS_READ, 1, 1, 0).expect("one was given back");
    observer.end(ACCESS_READ, 1, 1).unwrap();

    let held = |handles: &[Handle]| 16 * EACH - 1 - (16 - handles.len() as u32) * EACH;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let writer = Handle::rw();
            let status = writer.begin(ACCESS_WRITE, 0, SIZE as u64, DEADLINE_NEVER)?.status;
            writer.end(ACCESS_WRITE, 0, SIZE as u64).map(|_| status)
        });
        until("the writer waits", || observer.stat().unwrap().waiters == 1);
        // The one that holds a range less than the others goes last.
        handles.swap(0, 7);
        while handles.len() > 1 {
            drop(handles.pop());
            let stat = observer.stat().unwrap();
            assert_eq!((stat.holders, stat.waiters), (held(&handles), 1));
        }
        assert_eq!(handles[0].fdinfo()["held"], (EACH - 1).to_string());
        drop(handles);
        assert_eq!(waiting.join().unwrap(), Ok(0), "readers leave no mark");
    });
    let stat = observer.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters, stat.handles), (0, 0, 1));
}
