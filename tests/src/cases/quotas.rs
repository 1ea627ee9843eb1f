// SPDX-License-Identifier: MIT OR Apache-2.0

//! Limits of segments and bytes: what counts, who pays, and that nothing is ever over or lost.

use super::refused;
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::limits::Limits;
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::{
    CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, Create, Errno, Gate, Handle, Process, Result, THIS, by_name,
    creation, usage,
};

tests![
    one_segment_too_many_is_enospc,
    a_segment_that_is_too_large_is_enospc,
    bytes_in_all_that_are_too_many_are_enospc,
    bytes_of_a_user_that_are_too_many_are_enospc,
    whole_pages_count,
    a_limit_of_nothing_refuses_everything,
    a_limit_below_what_is_in_use_takes_nothing_away,
    no_limit_wraps,
    opening_what_exists_needs_no_room,
    a_removed_segment_counts_until_it_goes,
    the_creator_pays_whoever_owns_it,
    users_do_not_pay_for_one_another,
    the_effective_user_pays,
    changing_ones_ids_does_not_free_what_one_made,
    whoever_closes_last_the_creator_gets_it_back,
    a_killed_process_gives_its_room_back,
    a_refused_creation_costs_nothing,
    growing_is_limited_as_creating_is,
];

pub(super) const PAGE: u64 = crate::sys::PAGE as u64;
pub(super) const ONE: User = User::new(1000, 1000);
pub(super) const TWO: User = User::new(1001, 1001);

/// A handle with a new anonymous segment, or why there is none.
pub(super) fn anonymous(size: u64) -> Result<Handle> {
    let handle = Handle::rw();
    handle.create(creation("", size)).map(|_| handle)
}

pub(super) fn uid_bytes() -> u64 {
    Handle::rw().info().unwrap().uid_bytes
}

fn one_segment_too_many_is_enospc() {
    let _limits = Limits::with("max_segments", 3);
    let mut handles: Vec<_> = (0..2).map(|_| anonymous(1).unwrap()).collect();
    Handle::creating("frames", 1);
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    refused(Handle::rw().create(creation("other", 1)), Errno::ENOSPC);
    assert_eq!(usage().0, 3);
    remove("frames");
    handles.push(anonymous(1).unwrap());
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    handles.pop();
    Handle::creating("frames", 1);
    remove("frames");
}

fn a_segment_that_is_too_large_is_enospc() {
    let _limits = Limits::with("max_segment_bytes", 3 * PAGE);
    assert_eq!(Handle::rw().info().unwrap().max_segment_bytes, 3 * PAGE);
    for size in [1, 3 * PAGE - 1, 3 * PAGE] {
        anonymous(size).unwrap();
    }
    for size in [3 * PAGE + 1, 4 * PAGE, 1 << 30, u64::MAX] {
        refused(anonymous(size).map(drop), Errno::ENOSPC);
    }
}

fn bytes_in_all_that_are_too_many_are_enospc() {
    let _limits = Limits::with("max_total_bytes", 5 * PAGE);
    let two = anonymous(2 * PAGE).unwrap();
    let _three = anonymous(3 * PAGE).unwrap();
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    drop(two);
    refused(anonymous(2 * PAGE + 1).map(drop), Errno::ENOSPC);
    let _one = anonymous(PAGE).unwrap();
    let _other = anonymous(1).unwrap();
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    assert_eq!(usage(), (3, 5 * PAGE));
}

fn bytes_of_a_user_that_are_too_many_are_enospc() {
    let _limits = Limits::with("max_bytes_per_uid", 5 * PAGE);
    let two = anonymous(2 * PAGE).unwrap();
    let _three = anonymous(3 * PAGE).unwrap();
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    assert_eq!(uid_bytes(), 5 * PAGE);
    drop(two);
    let _one = anonymous(1).unwrap();
    assert_eq!(uid_bytes(), 4 * PAGE);
}

fn whole_pages_count() {
    let _limits = Limits::with("max_total_bytes", 2 * PAGE);
    refused(anonymous(2 * PAGE + 1).map(drop), Errno::ENOSPC);
    let _one = anonymous(1).unwrap();
    assert_eq!(usage(), (1, PAGE));
    refused(anonymous(PAGE + 1).map(drop), Errno::ENOSPC);
    let _two = anonymous(PAGE).unwrap();
    refused(anonymous(1).map(drop), Errno::ENOSPC);
}

fn a_limit_of_nothing_refuses_everything() {
    for name in crate::sys::limits::LIMITS {
        let _limits = Limits::with(name, 0);
        refused(anonymous(1).map(drop), Errno::ENOSPC);
        refused(Handle::rw().create(creation("frames", 1)), Errno::ENOSPC);
        Handle::rw()
            .pread(&mut [0], 0)
            .expect("the default segment is there");
    }
    assert_eq!(usage(), (0, 0));
}

fn a_limit_below_what_is_in_use_takes_nothing_away() {
    let handles: Vec<_> = (0..4).map(|_| anonymous(2 * PAGE).unwrap()).collect();
    for (name, value) in [
        ("max_segments", 2),
        ("max_segment_bytes", PAGE),
        ("max_total_bytes", 3 * PAGE),
        ("max_bytes_per_uid", 3 * PAGE),
    ] {
        let limits = Limits::with(name, value);
        for handle in &handles {
            handle.pwrite(b"x", 2 * PAGE as i64 - 2).unwrap();
            handle.resize(THIS, 2 * PAGE - 1).expect("no more than it has");
        }
        refused(anonymous(2 * PAGE).map(drop), Errno::ENOSPC);
        handles[0].resize(THIS, PAGE).expect("less is always allowed");
        match name {
            "max_segments" => handles[0].resize(THIS, 2 * PAGE).expect("it is no segment more"),
            _ => refused(handles[0].resize(THIS, 2 * PAGE), Errno::ENOSPC),
        }
        drop(limits);
        handles[0].resize(THIS, 2 * PAGE).unwrap();
    }
    assert_eq!(usage(), (4, 8 * PAGE));
}

fn no_limit_wraps() {
    let limits = Limits::with("max_segments", u64::from(u32::MAX));
    for name in ["max_segment_bytes", "max_total_bytes", "max_bytes_per_uid"] {
        limits.set(name, u64::MAX);
    }
    let held = anonymous(PAGE).unwrap();
    for size in [
        u64::MAX,
        u64::MAX - PAGE + 1,
        u64::MAX - PAGE,
        u64::MAX - 2 * PAGE,
        1 << 63,
        (1 << 63) - PAGE,
        (1 << 40) + 1,
    ] {
        refused(anonymous(size).map(drop), Errno::ENOSPC);
        refused(held.resize(THIS, size), Errno::ENOSPC);
    }
    assert_eq!(usage(), (1, PAGE));
}

fn opening_what_exists_needs_no_room() {
    Handle::creating("frames", 5000);
    let _limits = Limits::with("max_segments", 0);
    _limits.set("max_total_bytes", 0);
    _limits.set("max_segment_bytes", 0);
    _limits.set("max_bytes_per_uid", 0);
    drop(Handle::of("frames"));
    assert_eq!(Handle::rw().create(creation("frames", 5000)).unwrap().status, 0);
    remove("frames");
}

fn a_removed_segment_counts_until_it_goes() {
    let _limits = Limits::with("max_total_bytes", 2 * PAGE);
    let handle = Handle::creating("frames", 2 * PAGE);
    remove("frames");
    refused(anonymous(1).map(drop), Errno::ENOSPC);
    assert_eq!((usage().1, uid_bytes()), (2 * PAGE, 2 * PAGE));
    drop(handle);
    anonymous(2 * PAGE).unwrap();
}

fn the_creator_pays_whoever_owns_it() {
    let _node = OpenNode::new();
    let handle = ONE.act(|| Handle::creating("frames", 3 * PAGE));
    Handle::rw()
        .set_owner(by_name("frames"), TWO.uid, TWO.gid)
        .unwrap();
    assert_eq!(ONE.act(uid_bytes), 3 * PAGE);
    assert_eq!(TWO.act(uid_bytes), 0);
    // The new owner lets it grow; the creator pays.
    TWO.act(|| Handle::rw().resize(by_name("frames"), 5 * PAGE).unwrap());
    assert_eq!((ONE.act(uid_bytes), TWO.act(uid_bytes)), (5 * PAGE, 0));
    let _limits = Limits::with("max_bytes_per_uid", 5 * PAGE);
    TWO.act(|| refused(Handle::rw().resize(by_name("frames"), 6 * PAGE), Errno::ENOSPC));
    TWO.act(|| drop(anonymous(5 * PAGE).unwrap()));
    ONE.act(|| refused(anonymous(1).map(drop), Errno::ENOSPC));
    drop(handle);
    remove("frames");
    assert_eq!(ONE.act(uid_bytes), 0);
}

fn users_do_not_pay_for_one_another() {
    let _node = OpenNode::new();
    let _limits = Limits::with("max_bytes_per_uid", 2 * PAGE);
    let users: Vec<_> = (1000..1010).map(|uid| User::new(uid, 1000)).collect();
    let handles: Vec<_> = users
        .iter()
        .map(|user| {
            user.act(|| {
                let handle = anonymous(2 * PAGE).unwrap();
                refused(anonymous(1).map(drop), Errno::ENOSPC);
                handle
            })
        })
        .collect();
    refused(anonymous(2 * PAGE + 1).map(drop), Errno::ENOSPC);
    anonymous(2 * PAGE).expect("root has made nothing yet");
    assert_eq!(usage(), (10, 20 * PAGE));
    drop(handles);
    assert!(users.iter().all(|user| user.act(uid_bytes) == 0));
}

fn the_effective_user_pays() {
    let _node = OpenNode::new();
    let _limits = Limits::with("max_bytes_per_uid", 2 * PAGE);
    // A handle opened by one user; another one creates with it.
    let handle = TWO.act(Handle::rw);
    ONE.act(|| {
        handle.create(creation("", 2 * PAGE)).unwrap();
        assert_eq!(uid_bytes(), 2 * PAGE);
        refused(anonymous(1).map(drop), Errno::ENOSPC);
    });
    assert_eq!((TWO.act(uid_bytes), uid_bytes()), (0, 0));
}

fn changing_ones_ids_does_not_free_what_one_made() {
    let _node = OpenNode::new();
    let _limits = Limits::with("max_bytes_per_uid", 2 * PAGE);
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        let _one = ONE.act(|| anonymous(2 * PAGE).unwrap());
        TWO.become_for_good();
        let _two = anonymous(2 * PAGE).expect("another user");
        refused(anonymous(1).map(drop), Errno::ENOSPC);
        ready.open();
        go.pass();
    });
    ready.pass();
    for user in [ONE, TWO] {
        user.act(|| {
            assert_eq!(uid_bytes(), 2 * PAGE);
            refused(anonymous(1).map(drop), Errno::ENOSPC);
        });
    }
    assert_eq!(usage(), (2, 4 * PAGE));
    go.open();
    child.join();
    assert_eq!((ONE.act(uid_bytes), TWO.act(uid_bytes)), (0, 0));
}

fn whoever_closes_last_the_creator_gets_it_back() {
    let _node = OpenNode::new();
    let handle = ONE.act(|| anonymous(3 * PAGE).unwrap());
    let twin = handle.dup();
    ONE.act(|| drop(handle));
    assert_eq!(ONE.act(uid_bytes), 3 * PAGE);
    Process::fork(|| {
        let mapping = twin.window(0, 4096);
        TWO.become_for_good();
        drop(mapping);
    })
    .join();
    TWO.act(|| drop(twin));
    assert_eq!((ONE.act(uid_bytes), TWO.act(uid_bytes), uid_bytes()), (0, 0, 0));
    // By name: made by one, removed by root.
    ONE.act(|| drop(Handle::creating("frames", PAGE)));
    remove("frames");
    assert_eq!((ONE.act(uid_bytes), usage()), (0, (0, 0)));
}

fn a_killed_process_gives_its_room_back() {
    for _ in 0..5 {
        let ready = Gate::new();
        let process = Process::fork(|| {
            let _anonymous: Vec<_> = (0..5).map(|_| anonymous(PAGE).unwrap().window(0, 4096)).collect();
            let handle = Handle::rw();
            let create = Create {
                flags: CREATE_AUTO_REMOVE,
                ..creation("frames", 5000)
            };
            handle.create(create).unwrap();
            handle.begin(crate::sys::ACCESS_WRITE, 0, 1, 0).unwrap();
            ready.open();
            park();
        });
        ready.pass();
        assert_eq!((usage(), uid_bytes()), ((6, 7 * PAGE), 7 * PAGE));
        process.kill();
        until("all is given back", || usage() == (0, 0) && uid_bytes() == 0);
    }
}

fn a_refused_creation_costs_nothing() {
    Handle::creating("frames", 100);
    let exclusive = Create {
        flags: CREATE_EXCLUSIVE,
        ..creation("frames", 1 << 20)
    };
    let limits = Limits::with("max_segments", 50);
    for _ in 0..200 {
        refused(Handle::rw().create(exclusive), Errno::EEXIST);
        refused(Handle::rw().create(creation("frames", 1 << 20)), Errno::EINVAL);
        refused(anonymous(1 << 50).map(drop), Errno::ENOSPC);
    }
    assert_eq!((usage(), uid_bytes()), ((1, PAGE), PAGE));
    // Each limit refuses without leaving its mark on the others.
    for name in [
        "max_segments",
        "max_total_bytes",
        "max_bytes_per_uid",
        "max_segment_bytes",
    ] {
        let before = crate::sys::limits::get(name);
        limits.set(name, 0);
        for _ in 0..20 {
            refused(anonymous(PAGE).map(drop), Errno::ENOSPC);
        }
        limits.set(name, before);
        assert_eq!((usage(), uid_bytes()), ((1, PAGE), PAGE), "{name}");
    }
    remove("frames");
}

fn growing_is_limited_as_creating_is() {
    let (one, other) = (anonymous(2 * PAGE).unwrap(), anonymous(PAGE).unwrap());
    for (name, value) in [
        ("max_segment_bytes", 3 * PAGE),
        ("max_total_bytes", 4 * PAGE),
        ("max_bytes_per_uid", 4 * PAGE),
    ] {
        let limits = Limits::with(name, value);
        refused(one.resize(THIS, 3 * PAGE + 1), Errno::ENOSPC);
        refused(one.resize(THIS, u64::MAX), Errno::ENOSPC);
        assert_eq!((usage(), uid_bytes()), ((2, 3 * PAGE), 3 * PAGE));
        assert_eq!(one.stat().unwrap().size, 2 * PAGE, "a refusal changes nothing");
        one.resize(THIS, 3 * PAGE).unwrap();
        assert_eq!((usage(), uid_bytes()), ((2, 4 * PAGE), 4 * PAGE));
        one.resize(THIS, 2 * PAGE).unwrap();
        drop(limits);
    }
    drop(other);
    assert_eq!((usage(), uid_bytes()), ((1, 2 * PAGE), 2 * PAGE));
}
