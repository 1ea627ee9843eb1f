// SPDX-License-Identifier: MIT OR Apache-2.0

//! IPC namespaces: what one has, another cannot see, and each has a default segment.

use super::{READ, SHARED, command, refused};
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::limits::Limits;
use crate::sys::namespace::in_ipc_namespace;
use crate::sys::poll::{self, Epoll, LONG_MS};
use crate::sys::process::{unshare, until};
use crate::sys::segments::{name, remove};
use crate::sys::{
    CREATE_EXCLUSIVE, Create, Errno, Gate, Handle, PAGE, Process, SIZE, STATUS_CREATED, by_id, by_name,
    creation, usage,
};

tests![
    segments_of_another_namespace_cannot_be_seen needs [IpcNamespace],
    the_same_name_is_another_segment_in_each needs [IpcNamespace],
    each_has_a_default_segment_of_its_own needs [IpcNamespace],
    a_handle_belongs_where_it_was_opened needs [IpcNamespace],
    a_default_segment_over_the_limit_is_enospc needs [IpcNamespace],
    #[slow] first_users_at_the_limit_share_one_default_segment needs [IpcNamespace],
    the_default_segment_of_a_namespace_counts needs [IpcNamespace],
    the_command_shows_it_where_nobody_has_needed_it_yet needs [IpcNamespace, ShmdevCommand],
    it_counts_for_who_opened_the_handle_that_needs_it needs [IpcNamespace],
    ids_are_used_once_whatever_the_namespace needs [IpcNamespace],
    a_handle_that_cannot_be_attached_polls_as_an_error needs [IpcNamespace],
];

/// Waits until everything of other namespaces has gone.
pub(super) fn all_gone() {
    until("the namespaces are gone", || usage() == (0, 0));
}

fn segments_of_another_namespace_cannot_be_seen() {
    let id = Handle::creating("outside", 100).id();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        let handle = Handle::rw();
        refused(handle.attach(by_name("outside")), Errno::ENOENT);
        let by_its_id = [
            handle.attach(by_id(id)).map(drop),
            handle.stat_of(by_id(id)).map(drop),
            handle.set_mode(by_id(id), 0o666),
            handle.resize(by_id(id), 200),
            handle.remove(by_id(id)),
        ];
        assert_eq!(by_its_id, [Err(Errno::ENOENT); 5]);
        Handle::creating("inside", 100);
        let stats = handle.list().unwrap();
        assert!(stats.iter().any(|stat| stat.target.name == name("inside")));
        assert!(stats.iter().all(|stat| stat.target.name != name("outside")));
        ready.open();
        go.pass();
    });
    ready.pass();
    let look = Handle::rw();
    refused(look.attach(by_name("inside")), Errno::ENOENT);
    for other in id + 1..id + 10 {
        let outcome = look.stat_of(by_id(other));
        assert!(matches!(outcome, Err(Errno::ENOENT)), "{outcome:?}");
    }
    let ids: Vec<_> = look.list().unwrap().iter().map(|stat| stat.target.id).collect();
    assert_eq!(ids, [0, id]);
    go.open();
    child.join();
    remove("outside");
    all_gone();
}

fn the_same_name_is_another_segment_in_each() {
    let exclusive = Create {
        flags: CREATE_EXCLUSIVE,
        ..creation("frames", 100)
    };
    let outside = Handle::creating("frames", 100);
    outside.pwrite(b"outside", 0).unwrap();
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        assert_eq!(handle.create(exclusive).unwrap().status, STATUS_CREATED);
        assert!(handle.window(0, PAGE).is_all(0));
        handle.pwrite(b"inside!", 0).unwrap();
        refused(Handle::rw().create(exclusive), Errno::EEXIST);
        remove("frames");
        refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    })
    .join();
    let mut bytes = [0; 7];
    Handle::of("frames").pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"outside");
    remove("frames");
    drop(outside);
    all_gone();
}

fn each_has_a_default_segment_of_its_own() {
    let outside = Handle::rw();
    outside.pwrite(&[7; 64], 0).unwrap();
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        let mapping = handle.whole();
        assert!(mapping.is_all(0), "a new one");
        mapping.write(0, &[8; 64]);
        let stat = handle.stat().unwrap();
        assert_eq!((stat.target.id, stat.size as usize, stat.mode), (0, SIZE, 0o666));
        assert_eq!((stat.handles, stat.nattch), (1, 1));
        assert_eq!(Handle::rw().attach(by_id(0)).unwrap().target.id, 0);
    })
    .join();
    assert_eq!(outside.window(0, PAGE).read(0, 64), [7; 64]);
    all_gone();
}

fn a_handle_belongs_where_it_was_opened() {
    Handle::creating("outside", 100);
    let (before, attached) = (Handle::rw(), Handle::of("outside"));
    Process::fork(|| {
        unshare(libc::CLONE_NEWIPC).unwrap();
        before.attach(by_name("outside")).expect("it was opened outside");
        attached.pwrite(b"x", 0).unwrap();
        refused(Handle::rw().attach(by_name("outside")), Errno::ENOENT);
        // A handle of outside creates outside.
        let third = Handle::rw();
        third.create(creation("inside", 100)).unwrap();
        refused(before.stat_of(by_name("inside")), Errno::ENOENT);
    })
    .join();
    remove("outside");
    drop((before, attached));
    all_gone();
}

fn a_default_segment_over_the_limit_is_enospc() {
    let limits = Limits::with("max_segments", 0);
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        refused(handle.pread(&mut [0], 0), Errno::ENOSPC);
        refused(handle.mmap(PAGE, READ, SHARED, 0), Errno::ENOSPC);
        refused(handle.stat(), Errno::ENOSPC);
        refused(handle.attach(by_id(0)), Errno::ENOSPC);
        limits.set("max_segments", 1);
        limits.set("max_total_bytes", SIZE as u64 - 1);
        refused(handle.pread(&mut [0], 0), Errno::ENOSPC);
        limits.set("max_total_bytes", SIZE as u64);
        handle.pread(&mut [0], 0).expect("there is room for it");
    })
    .join();
    all_gone();
    limits.set("max_segments", 0);
    Handle::rw()
        .pread(&mut [0], 0)
        .expect("the one that was made at loading is there");
}

/// There is room for one segment, and one is what all who come at once need.
fn first_users_at_the_limit_share_one_default_segment() {
    let _limits = Limits::with("max_segments", 1);
    for _ in 0..10 {
        in_ipc_namespace(|| {
            let go = Gate::new();
            let users: Vec<_> = (0..8)
                .map(|_| {
                    Process::fork(|| {
                        let handle = Handle::rw();
                        go.pass();
                        handle
                            .pread(&mut [0], 0)
                            .expect("it is there, or there is room for it");
                    })
                })
                .collect();
            users.iter().for_each(|_| go.open());
            users.into_iter().for_each(Process::join);
        })
        .join();
        all_gone();
    }
}

fn the_default_segment_of_a_namespace_counts() {
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        assert_eq!(usage(), (0, 0), "nobody has needed it yet");
        let handle = Handle::rw();
        handle.info().unwrap();
        handle.list().unwrap();
        handle.pread(&mut [0], 0).unwrap();
        assert_eq!(usage(), (1, SIZE as u64));
        assert_eq!(Handle::rw().info().unwrap().uid_bytes, SIZE as u64);
        drop(handle);
        assert_eq!(usage(), (1, SIZE as u64), "it stays with the namespace");
        ready.open();
        go.pass();
    });
    ready.pass();
    assert_eq!(usage(), (1, SIZE as u64), "seen from outside, too");
    go.open();
    child.join();
    all_gone();
}

fn the_command_shows_it_where_nobody_has_needed_it_yet() {
    in_ipc_namespace(|| {
        let said = command::good("stat");
        assert!(said.contains("(default)"), "{said}");
    })
    .join();
    all_gone();
}

/// Not for whoever was passed it, and may know nothing of it.
fn it_counts_for_who_opened_the_handle_that_needs_it() {
    const OPENER: User = User::new(1000, 1000);
    let _node = OpenNode::new();
    in_ipc_namespace(|| {
        let handle = OPENER.act(Handle::rw);
        handle.pread(&mut [0], 0).unwrap();
        assert_eq!(handle.info().unwrap().uid_bytes, 0, "root's");
        let opener = OPENER.act(|| handle.info().unwrap().uid_bytes);
        assert_eq!(opener, SIZE as u64);
    })
    .join();
    all_gone();
}

fn ids_are_used_once_whatever_the_namespace() {
    let new_id = || Handle::creating("", 100).id();
    let before = new_id();
    in_ipc_namespace(|| assert!(new_id() > before)).join();
    assert!(new_id() >= before + 2);
}

/// And nobody sleeps on it: there is nothing that would wake them.
fn a_handle_that_cannot_be_attached_polls_as_an_error() {
    let limits = Limits::with("max_segments", 0);
    in_ipc_namespace(|| {
        for handle in [Handle::rw(), Handle::ro(), Handle::wo()] {
            for events in [libc::POLLIN, libc::POLLOUT, libc::POLLPRI, 0] {
                assert_eq!(poll::poll_for(&handle, events, LONG_MS), libc::POLLERR);
            }
            let epoll = Epoll::watching(&handle, libc::EPOLLIN);
            assert_eq!(epoll.wait(LONG_MS), libc::EPOLLERR);
            assert_eq!(poll::select(&handle, LONG_MS), (true, true));
            assert_eq!(handle.fdinfo().len(), 1, "attached to nothing");
        }
        let (early, handle, other) = (Handle::ro(), Handle::ro(), Handle::rw());
        let added_early = Epoll::watching(&early, libc::EPOLLIN);
        assert_eq!(added_early.wait(LONG_MS), libc::EPOLLERR);
        limits.set("max_segments", 1);
        assert_eq!(added_early.wait(0), 0, "it is no error any more");
        let added_again = Epoll::watching(&early, libc::EPOLLIN);
        assert_eq!(poll::poll(&handle, 0), 0, "there is room for it");
        other.pwrite(b"x", 0).unwrap();
        assert_eq!(poll::poll(&handle, LONG_MS), libc::POLLIN);
        assert_eq!(added_again.wait(LONG_MS), libc::EPOLLIN);
    })
    .join();
    all_gone();
}
