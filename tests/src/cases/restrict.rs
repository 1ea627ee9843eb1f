// SPDX-License-Identifier: MIT OR Apache-2.0

//! RESTRICT to kinds of access: what was given up is gone for good, for all who share the handle.

use std::os::fd::AsFd;

use super::mmap::cannot_map;
use super::{PRIVATE, READ, SHARED, WRITE, agrees, refused};
use crate::harness::tests;
use crate::sys::poll::{Epoll, LONG_MS, is_readable};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_EXCLUSIVE, Create, Errno, Handle, PAGE, Process, Restrict, SIZE, THIS,
    by_id, by_name, creation, file, mode,
};

tests![
    reading_alone_is_left,
    writing_alone_is_left,
    mprotect_cannot_make_it_writable_again,
    ranges_of_what_was_given_up_are_eacces,
    a_range_that_is_held_can_be_ended,
    mappings_that_were_made_before_stay,
    duplicates_children_and_receivers_are_restricted_too,
    a_child_that_restricts_restricts_its_parent,
    it_can_be_narrowed_again_and_never_widened,
    more_than_the_handle_is_open_for_is_eacces,
    no_access_and_unknown_access_are_einval,
    flags_that_are_not_zero_are_einval,
    a_refused_restriction_changes_nothing,
    other_handles_are_not_restricted,
    one_that_is_not_attached_gets_the_default_segment,
    management_calls_are_eacces,
    attaching_again_is_ebusy,
    info_stat_and_fdinfo_still_tell,
    a_restricted_handle_polls_on,
    reopening_gives_a_fresh_handle_and_needs_the_node,
];

/// As a length: to the end, wherever that will be.
pub(super) const ALL: u64 = u64::MAX;
pub(super) const BOTH: u32 = ACCESS_READ | ACCESS_WRITE;

/// A new segment with some bytes in it, and a handle of it that is restricted to this access.
fn restricted(access: u32) -> Handle {
    let handle = Handle::creating("frames", 2 * PAGE as u64);
    handle.pwrite(b"bytes", 0).unwrap();
    handle.restrict(0, ALL, access).unwrap();
    handle
}

fn reading_alone_is_left() {
    let handle = restricted(ACCESS_READ);
    let mut bytes = [0; 5];
    assert_eq!(handle.pread(&mut bytes, 0), Ok(5));
    assert_eq!(&bytes, b"bytes");
    assert_eq!(handle.read(&mut bytes), Ok(5));
    refused(handle.pwrite(b"x", 0), Errno::EACCES);
    refused(handle.write(b"x"), Errno::EACCES);
    refused(handle.writev(&[b"x", b"y"], Some(0)), Errno::EACCES);
    let (reader, writer) = file::pipe();
    std::io::Write::write_all(&mut &writer, b"x").unwrap();
    refused(file::splice(&reader, None, &handle, Some(0), 1), Errno::EACCES);
    assert_eq!(file::sendfile(&writer, &handle, Some(0), 5), Ok(5));
    for (prot, flags, errno) in [
        (WRITE, SHARED, Errno::EACCES),
        (READ | WRITE, SHARED, Errno::EACCES),
        (READ | super::EXEC, SHARED, Errno::EPERM),
    ] {
        refused(handle.mmap(PAGE, prot, flags, 0), errno);
    }
    agrees(handle.mmap(PAGE, READ | WRITE, PRIVATE, 0), mode().copies);
    for flags in [SHARED, PRIVATE] {
        let mapping = handle.mmap(PAGE, READ, flags, 0).unwrap();
        assert_eq!(mapping.read(0, 5), b"bytes");
        super::faults(|| mapping.set(0, 1));
    }
    remove("frames");
}

fn writing_alone_is_left() {
    let handle = restricted(ACCESS_WRITE);
    assert_eq!(handle.pwrite(b"other", 0), Ok(5));
    refused(handle.pread(&mut [0], 0), Errno::EACCES);
    refused(handle.read(&mut [0]), Errno::EACCES);
    refused(handle.readv(&mut [&mut [0]], Some(0)), Errno::EACCES);
    let (_reader, writer) = file::pipe();
    refused(file::sendfile(&writer, &handle, Some(0), 5), Errno::EACCES);
    cannot_map(&handle);
    let mut bytes = [0; 5];
    Handle::of("frames").pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"other");
    remove("frames");
}

fn mprotect_cannot_make_it_writable_again() {
    let handle = restricted(ACCESS_READ);
    let mapping = handle.mmap(2 * PAGE, READ, SHARED, 0).unwrap();
    refused(mapping.protect(0, PAGE, READ | WRITE), Errno::EACCES);
    refused(mapping.protect(0, 2 * PAGE, WRITE), Errno::EACCES);
    mapping.protect(0, PAGE, libc::PROT_NONE).unwrap();
    mapping.protect(0, PAGE, READ).unwrap();
    Process::fork(|| refused(mapping.protect(0, PAGE, READ | WRITE), Errno::EACCES)).join();
    // Not after it moved, either; it is two areas by now.
    let place = crate::sys::Region::anonymous(PAGE);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let moved = mapping.remap(0, PAGE, PAGE, flags, place.at(0)).unwrap();
    refused(moved.protect(0, PAGE, READ | WRITE), Errno::EACCES);
    assert_eq!(moved.read(0, 5), b"bytes");
    place.leak();
    mapping.leak();
    remove("frames");
}

fn ranges_of_what_was_given_up_are_eacces() {
    let handle = restricted(ACCESS_READ);
    refused(handle.begin(ACCESS_WRITE, 0, 1, 0), Errno::EACCES);
    handle.begin(ACCESS_READ, 0, 2 * PAGE as u64, 0).unwrap();
    handle.end(ACCESS_READ, 0, 2 * PAGE as u64).unwrap();
    remove("frames");
    let handle = restricted(ACCESS_WRITE);
    refused(handle.begin(ACCESS_READ, 0, 1, 0), Errno::EACCES);
    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    handle.end(ACCESS_WRITE, 0, 1).unwrap();
    remove("frames");
}

fn a_range_that_is_held_can_be_ended() {
    let handle = Handle::creating("frames", 2 * PAGE as u64);
    handle.begin(ACCESS_WRITE, 0, PAGE as u64, 0).unwrap();
    handle.begin(ACCESS_READ, PAGE as u64, PAGE as u64, 0).unwrap();
    handle.restrict(0, 16, ACCESS_READ).unwrap();
    let generation = handle.generation();
    handle.end(ACCESS_WRITE, 0, PAGE as u64).unwrap();
    assert_eq!(handle.generation(), generation + 1);
    handle.end(ACCESS_READ, PAGE as u64, PAGE as u64).unwrap();
    refused(handle.begin(ACCESS_WRITE, 0, 1, 0), Errno::EACCES);
    assert_eq!(handle.stat().unwrap().holders, 0);
    remove("frames");
}

fn mappings_that_were_made_before_stay() {
    let handle = Handle::creating("frames", 2 * PAGE as u64);
    let mapping = handle.window(0, 2 * PAGE);
    handle.restrict(0, 16, ACCESS_READ).unwrap();
    mapping.fill(7);
    mapping.protect(0, PAGE, READ).unwrap();
    mapping
        .protect(0, PAGE, READ | WRITE)
        .expect("it was made writable");
    Process::fork(|| mapping.set(PAGE, 8)).join();
    let mut bytes = [0; 32];
    assert_eq!(handle.pread(&mut bytes, 0), Ok(16));
    assert_eq!((bytes[0], mapping.get(PAGE)), (7, 8));
    remove("frames");
}

fn duplicates_children_and_receivers_are_restricted_too() {
    let (here, there) = file::sockets();
    let handle = Handle::creating("frames", 100);
    let twin = handle.dup();
    file::send_fd(&here, handle.as_fd());
    handle.restrict(0, ALL, ACCESS_READ).unwrap();
    refused(twin.pwrite(b"x", 0), Errno::EACCES);
    Process::fork(|| {
        refused(handle.pwrite(b"x", 0), Errno::EACCES);
        let received = Handle::from(file::receive_fd(&there));
        refused(received.pwrite(b"x", 0), Errno::EACCES);
        refused(received.mmap(PAGE, WRITE, SHARED, 0), Errno::EACCES);
        received.pread(&mut [0], 0).unwrap();
    })
    .join();
    remove("frames");
}

fn a_child_that_restricts_restricts_its_parent() {
    let handle = Handle::creating("frames", 100);
    handle.pwrite(b"x", 0).unwrap();
    Process::fork(|| handle.restrict(0, ALL, ACCESS_READ).unwrap()).join();
    refused(handle.pwrite(b"x", 0), Errno::EACCES);
    remove("frames");
}

fn it_can_be_narrowed_again_and_never_widened() {
    let handle = Handle::creating("frames", 100);
    handle.restrict(0, ALL, BOTH).expect("nothing is given up");
    handle.pwrite(b"x", 0).unwrap();
    handle.restrict(0, ALL, ACCESS_READ).unwrap();
    handle.restrict(0, ALL, ACCESS_READ).expect("the same again");
    for access in [ACCESS_WRITE, BOTH] {
        refused(handle.restrict(0, ALL, access), Errno::EACCES);
    }
    handle.pread(&mut [0], 0).unwrap();
    refused(handle.pwrite(b"x", 0), Errno::EACCES);
    remove("frames");
}

fn more_than_the_handle_is_open_for_is_eacces() {
    for (flags, good, bad) in [
        (libc::O_RDONLY, ACCESS_READ, [ACCESS_WRITE, BOTH]),
        (libc::O_WRONLY, ACCESS_WRITE, [ACCESS_READ, BOTH]),
    ] {
        let handle = Handle::open(flags).unwrap();
        handle.create(creation("", 100)).unwrap();
        for access in bad {
            refused(handle.restrict(0, ALL, access), Errno::EACCES);
        }
        handle.restrict(0, ALL, good).unwrap();
    }
    let neither = Handle::open(3).unwrap();
    for access in [ACCESS_READ, ACCESS_WRITE, BOTH] {
        refused(neither.restrict(0, ALL, access), Errno::EACCES);
    }
}

fn no_access_and_unknown_access_are_einval() {
    let handle = Handle::creating("", 100);
    let unknown = (2..32).flat_map(|bit| [1 << bit, 1 << bit | ACCESS_READ]);
    for access in unknown.chain([0, u32::MAX]) {
        refused(handle.restrict(0, ALL, access), Errno::EINVAL);
    }
    handle.pwrite(b"x", 0).unwrap();
}

fn flags_that_are_not_zero_are_einval() {
    let handle = Handle::creating("", 100);
    for flags in (0..32).map(|bit| 1 << bit).chain([u32::MAX]) {
        let mut restrict = Restrict {
            offset: 0,
            len: ALL,
            access: ACCESS_READ,
            flags,
        };
        refused(handle.call(&mut restrict), Errno::EINVAL);
    }
    handle.pwrite(b"x", 0).unwrap();
}

fn a_refused_restriction_changes_nothing() {
    let handle = Handle::creating("frames", 5000);
    refused(handle.restrict(0, 0, ACCESS_READ), Errno::EINVAL);
    refused(handle.restrict(1, ALL - 1, 4), Errno::EINVAL);
    assert_eq!(handle.pwrite(&[1; 5000], 0), Ok(5000));
    handle.set_mode(THIS, 0o640).expect("it is not restricted at all");
    assert!(!handle.fdinfo().contains_key("access"));
    handle.restrict(10, 100, ACCESS_READ).unwrap();
    refused(handle.restrict(9, 10, ACCESS_READ), Errno::EACCES);
    refused(handle.restrict(20, 20, BOTH), Errno::EACCES);
    assert_eq!(handle.pread(&mut [0; 200], 10), Ok(100));
    remove("frames");
}

fn other_handles_are_not_restricted() {
    let handle = restricted(ACCESS_READ);
    let other = Handle::of("frames");
    other.pwrite(b"x", PAGE as i64).unwrap();
    drop(other.window(0, 2 * PAGE));
    other.set_mode(THIS, 0o640).unwrap();
    drop(handle);
    drop(Handle::of("frames").window(0, 2 * PAGE));
    remove("frames");
}

fn one_that_is_not_attached_gets_the_default_segment() {
    let handle = Handle::rw();
    handle.restrict(16, 100, ACCESS_READ).unwrap();
    assert_eq!(handle.stat().unwrap().target.id, 0);
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(116));
    refused(handle.pwrite(b"x", 16), Errno::EACCES);
    assert_eq!(Handle::rw().seek(0, libc::SEEK_END), Ok(SIZE as u64));
    // Also when all of it is kept: it is a choice of a segment.
    let handle = Handle::rw();
    handle.restrict(0, ALL, BOTH).unwrap();
    refused(handle.create(creation("frames", 100)), Errno::EBUSY);
}

fn management_calls_are_eacces() {
    let handle = restricted(BOTH);
    let id = handle.id();
    Handle::creating("other", 100);
    for target in [THIS, by_id(id), by_name("frames"), by_name("other"), by_id(0)] {
        refused(handle.set_mode(target, 0o666), Errno::EACCES);
        refused(handle.set_owner(target, 0, 0), Errno::EACCES);
        refused(handle.resize(target, 1), Errno::EACCES);
        refused(handle.remove(target), Errno::EACCES);
    }
    for target in [by_name("other"), by_id(0), by_name("nobody"), by_id(id + 100)] {
        refused(handle.stat_of(target), Errno::EACCES);
    }
    refused(handle.list_from(0), Errno::EACCES);
    let stat = Handle::of("frames").stat().unwrap();
    assert_eq!((stat.mode, stat.size), (0o600, 2 * PAGE as u64));
    remove("frames");
    remove("other");
}

fn attaching_again_is_ebusy() {
    let handle = restricted(ACCESS_READ);
    for target in [by_name("frames"), by_id(0)] {
        refused(handle.attach(target), Errno::EBUSY);
    }
    for flags in [0, CREATE_EXCLUSIVE] {
        let create = Create {
            flags,
            ..creation("other", 100)
        };
        refused(handle.create(create), Errno::EBUSY);
    }
    remove("frames");
}

fn info_stat_and_fdinfo_still_tell() {
    let handle = restricted(ACCESS_READ);
    assert_ne!(handle.info().unwrap().token, 0);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.handles), (2 * PAGE as u64, 1));
    let lines = handle.fdinfo();
    assert_eq!(
        (lines["access"].as_str(), lines["name"].as_str()),
        ("r", "frames")
    );
    remove("frames");
}

fn a_restricted_handle_polls_on() {
    let handle = restricted(ACCESS_READ);
    let writer = Handle::of("frames");
    handle.stat().unwrap();
    assert!(!is_readable(&handle));
    let epoll = Epoll::watching(&handle, libc::EPOLLIN);
    let sleeper = Process::fork(|| assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN));
    writer.pwrite(b"x", 0).unwrap();
    sleeper.join();
    assert!(is_readable(&handle));
    handle.pread(&mut [0], 0).unwrap();
    assert!(!is_readable(&handle));
    // Restricted while an epoll watches it already.
    let epoll = Epoll::watching(&writer, libc::EPOLLIN);
    writer.restrict(0, 1, ACCESS_READ).unwrap();
    Handle::of("frames").pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
    remove("frames");
}

fn reopening_gives_a_fresh_handle_and_needs_the_node() {
    let handle = restricted(ACCESS_READ);
    let path = format!("/proc/self/fd/{}", handle.fd());
    Process::fork(|| {
        crate::sys::identity::User::new(1000, 1000).become_for_good();
        let error = std::fs::OpenOptions::new().write(true).open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES), "the node is root's");
    })
    .join();
    let again = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let again = Handle::from(std::os::fd::OwnedFd::from(again));
    assert_eq!(again.fdinfo().len(), 1, "attached to nothing");
    remove("frames");
}
