// SPDX-License-Identifier: MIT OR Apache-2.0

//! REMOVE: the name goes at once, the memory with the last handle, and whoever is attached goes on.

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::poll::{Epoll, LONG_MS, is_readable, poll};
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, PAGE, Process, SEGMENT_REMOVED, STATUS_CREATED,
    THIS, by_id, by_name, creation, mode, usage,
};

tests![
    the_name_goes_at_once_and_the_memory_with_the_last_handle,
    it_can_be_removed_by_handle_by_id_and_by_name,
    nobody_else_can_attach_any_more,
    a_handle_that_is_attached_goes_on_as_before,
    a_removed_segment_can_be_resized_and_changed_by_its_handle,
    one_that_was_removed_already_is_eidrm,
    the_default_segment_is_einval,
    an_anonymous_segment_is_removed_by_its_handle,
    the_same_name_again_is_another_segment,
    old_handles_never_see_the_new_one,
    ids_grow_and_are_never_used_again,
    waiters_go_on_waiting,
    pollers_go_on_polling,
    removal_races_with_opening,
    #[slow]
    filling_and_removing_over_and_over_leaves_nothing,
];

fn the_name_goes_at_once_and_the_memory_with_the_last_handle() {
    let handles = [Handle::creating("frames", 3 * PAGE as u64), Handle::of("frames")];
    let mapping = handles[1].window(0, PAGE);
    remove("frames");
    refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    assert_eq!(usage().1, 3 * PAGE as u64, "it is there for its handles");
    drop(handles);
    assert_eq!(usage().1, 3 * PAGE as u64, "a mapping alone keeps it");
    mapping.set(0, 7);
    drop(mapping);
    assert_eq!(usage(), (0, 0));
}

fn it_can_be_removed_by_handle_by_id_and_by_name() {
    for way in 0..3 {
        let handle = Handle::creating("frames", 100);
        let (remover, target) = match way {
            0 => (handle.dup(), THIS),
            1 => (Handle::ro(), by_id(handle.id())),
            _ => (Handle::wo(), by_name("frames")),
        };
        remover.remove(target).unwrap();
        assert_eq!(handle.stat().unwrap().flags, mode().flag | SEGMENT_REMOVED);
        refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    }
    assert_eq!(usage(), (0, 0));
}

fn nobody_else_can_attach_any_more() {
    let handle = Handle::creating("frames", 100);
    let id = handle.id();
    let late = Handle::rw();
    remove("frames");
    refused(late.attach(by_name("frames")), Errno::ENOENT);
    refused(late.attach(by_id(id)), Errno::EIDRM);
    let made = late.create(creation("frames", 100)).unwrap();
    assert_eq!(made.status, STATUS_CREATED, "CREATE does not find it either");
    remove("frames");
}

fn a_handle_that_is_attached_goes_on_as_before() {
    let (one, other) = (Handle::creating("frames", 5000), Handle::of("frames"));
    one.pwrite(b"before", 0).unwrap();
    remove("frames");
    one.pwrite(b"after", 100).unwrap();
    let mut bytes = [0; 6];
    other.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"before");
    let mapping = other.mmap(2 * PAGE, READ | WRITE, SHARED, 0).unwrap();
    assert_eq!(mapping.read(100, 5), b"after");
    one.begin(ACCESS_WRITE, 0, 5000, 0).unwrap();
    refused(other.begin(ACCESS_READ, 0, 1, 0), Errno::EAGAIN);
    one.end(ACCESS_WRITE, 0, 5000).unwrap();
    assert_eq!(one.seek(0, libc::SEEK_END), Ok(5000));
    let stat = other.stat().unwrap();
    assert_eq!((stat.handles, stat.nattch, stat.generation), (2, 1, 3));
    assert_eq!((stat.size, stat.flags), (5000, mode().flag | SEGMENT_REMOVED));
    // A child, and a descriptor made later, are the same handle.
    Process::fork(|| assert_eq!(one.dup().pwrite(b"child", 0), Ok(5))).join();
    assert_eq!(mapping.read(0, 5), b"child");
}

fn a_removed_segment_can_be_resized_and_changed_by_its_handle() {
    let handle = Handle::creating("frames", 100);
    remove("frames");
    handle.resize(THIS, 5000).unwrap();
    handle.set_mode(THIS, 0o640).unwrap();
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mode), (5000, 0o640));
    assert_eq!(usage().1, 2 * PAGE as u64);
}

fn one_that_was_removed_already_is_eidrm() {
    let handle = Handle::creating("frames", 100);
    let id = handle.id();
    handle.remove(THIS).unwrap();
    for _ in 0..2 {
        refused(handle.remove(THIS), Errno::EIDRM);
        refused(Handle::rw().remove(by_id(id)), Errno::EIDRM);
        refused(Handle::rw().remove(by_name("frames")), Errno::ENOENT);
    }
}

fn the_default_segment_is_einval() {
    let handle = Handle::rw();
    handle.pread(&mut [0], 0).unwrap();
    refused(handle.remove(THIS), Errno::EINVAL);
    refused(handle.remove(by_id(0)), Errno::EINVAL);
    refused(Handle::rw().remove(by_id(0)), Errno::EINVAL);
}

fn an_anonymous_segment_is_removed_by_its_handle() {
    let handle = Handle::creating("", 100);
    handle.remove(THIS).unwrap();
    refused(handle.remove(THIS), Errno::EIDRM);
    handle.pwrite(b"x", 0).unwrap();
    drop(handle);
    assert_eq!(usage(), (0, 0));
}

fn the_same_name_again_is_another_segment() {
    let old = Handle::creating("frames", 5000);
    old.pwrite(b"old", 0).unwrap();
    remove("frames");
    let new = Handle::creating("frames", 100);
    assert!(new.id() > old.id());
    assert_eq!(new.generation(), 0);
    assert!(new.window(0, PAGE).is_all(0));
    assert_eq!(new.stat().unwrap().size, 100);
    assert_eq!(Handle::of("frames").id(), new.id());
    remove("frames");
}

fn old_handles_never_see_the_new_one() {
    let old = Handle::creating("frames", PAGE as u64);
    let mapping = old.window(0, PAGE);
    mapping.fill(1);
    for round in 2..30 {
        remove("frames");
        let new = Handle::creating("frames", PAGE as u64);
        new.window(0, PAGE).fill(round);
        let generation = old.generation();
        new.pwrite(b"news", 0).unwrap();
        new.begin(ACCESS_WRITE, 0, 100, 0).unwrap();
        assert!(!is_readable(&old));
        assert!(mapping.is_all(1));
        let stat = old.stat().unwrap();
        assert_eq!((stat.generation, stat.holders, stat.handles), (generation, 0, 1));
    }
    remove("frames");
}

fn ids_grow_and_are_never_used_again() {
    let mut last = 0;
    for round in 0..200 {
        let handle = Handle::creating(["frames", ""][round % 2], 1);
        let id = handle.id();
        assert!(id > last, "{id} after {last}");
        last = id;
        if round % 2 == 0 {
            remove("frames");
        }
    }
}

fn waiters_go_on_waiting() {
    let holder = Handle::creating("frames", 100);
    holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    let handle = Handle::of("frames");
    let waiter = Process::fork(|| {
        handle.begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER).unwrap();
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    until("it waits", || holder.stat().unwrap().waiters == 1);
    remove("frames");
    let stat = holder.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (1, 1));
    holder.end(ACCESS_WRITE, 0, 1).unwrap();
    waiter.join();
}

fn pollers_go_on_polling() {
    let (reader, writer) = (Handle::creating("frames", 100), Handle::of("frames"));
    let epoll = Epoll::watching(&reader, libc::EPOLLIN);
    let sleeper = Process::fork(|| assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN));
    remove("frames");
    assert_eq!(poll(&reader, 0), libc::POLLOUT, "it is no news, and no hang-up");
    assert_eq!(poll(&writer, 0), libc::POLLOUT);
    writer.pwrite(b"x", 0).unwrap();
    sleeper.join();
    assert_eq!(poll(&reader, 0), libc::POLLIN | libc::POLLOUT);
    reader.begin(ACCESS_READ, 0, 1, 0).unwrap();
    reader.end(ACCESS_READ, 0, 1).unwrap();
    assert_eq!(poll(&reader, 0), libc::POLLOUT);
}

/// Whoever opens it gets all of it or none.
fn removal_races_with_opening() {
    const ROUNDS: u32 = 150;
    let stop = crate::sys::Region::shared(PAGE);
    let openers: Vec<_> = (0..2)
        .map(|_| {
            Process::fork(|| {
                while stop.u32(0).load(std::sync::atomic::Ordering::Relaxed) == 0 {
                    let handle = Handle::rw();
                    match handle.attach(by_name("frames")) {
                        Ok(opened) => {
                            assert_eq!(opened.size, 5000);
                            let mapping = handle.window(0, 2 * PAGE);
                            assert!(mapping.get(0) <= 1);
                            assert_eq!(handle.id(), opened.target.id);
                        }
                        Err(error) => assert_eq!(error, Errno::ENOENT),
                    }
                }
            })
        })
        .collect();
    for _ in 0..ROUNDS {
        let handle = Handle::creating("frames", 5000);
        handle.pwrite(&[1], 0).unwrap();
        remove("frames");
    }
    stop.u32(0).store(1, std::sync::atomic::Ordering::Relaxed);
    openers.into_iter().for_each(Process::join);
    assert_eq!(usage(), (0, 0));
}

fn filling_and_removing_over_and_over_leaves_nothing() {
    for round in 0..400_u64 {
        let pages = 1 + round * 7 % 16;
        let handle = Handle::creating("frames", pages * PAGE as u64);
        let mapping = handle.window(0, pages as usize * PAGE);
        assert!(mapping.is_all(0), "round {round}");
        mapping.fill(0xa5);
        remove("frames");
    }
    assert_eq!(usage(), (0, 0));
}
