// SPDX-License-Identifier: MIT OR Apache-2.0

//! User namespaces: ids are those that the caller knows, and capabilities count where they belong.

use super::refused;
use crate::harness::tests;
use crate::sys::identity::{CAP_IPC_OWNER, CAP_SYS_ADMIN, OpenNode, User, set_effective_capabilities};
use crate::sys::limits::Limits;
use crate::sys::namespace::{become_inside, in_user_namespace};
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{
    Errno, Gate, Handle, PAGE, Process, SET_GID, SET_UID, Set, THIS, by_id, by_name, creation, usage,
};

tests![
    ids_are_told_as_the_namespace_knows_them needs [UserNamespace],
    what_is_created_inside_belongs_to_the_ids_outside needs [UserNamespace],
    set_takes_the_ids_of_the_namespace needs [UserNamespace],
    an_id_that_the_namespace_does_not_know_is_einval needs [UserNamespace],
    capabilities_of_a_namespace_do_not_reach_outside needs [UserNamespace],
    a_handle_passed_inside_stays_under_the_rules_outside needs [UserNamespace],
    capabilities_count_in_the_ipc_namespaces_own_user_namespace needs [UserNamespace, IpcNamespace],
    the_default_segment_belongs_to_the_namespaces_root needs [UserNamespace, IpcNamespace],
    the_default_segment_of_a_namespace_without_root_is_nobodys needs [UserNamespace, IpcNamespace],
    limits_follow_the_user_through_namespaces needs [UserNamespace],
    who_has_no_id_inside_is_who_it_was_outside needs [UserNamespace],
];

/// Ten ids from 0 on, elsewhere outside.
const UIDS: &str = "0 100000 10";
const GIDS: &str = "0 200000 10";
/// Whom a namespace shows in place of those it does not know.
const NOBODY: u32 = 65534;

/// A process in a namespace with these maps, as an ordinary user there.
fn inside(uid: u32, gid: u32, body: impl FnOnce()) -> Process {
    in_user_namespace(0, UIDS, GIDS, || {
        become_inside(uid, gid);
        set_effective_capabilities(&[]).unwrap();
        body();
    })
}

fn ids_are_told_as_the_namespace_knows_them() {
    let _node = OpenNode::new();
    let handle = Handle::creating("frames", 100);
    handle.set_owner(THIS, 100_003, 200_004).unwrap();
    Handle::creating("roots", 100);
    let other = Handle::creating("others", 100);
    other.set_owner(THIS, 100_010, 200_000).unwrap();
    inside(5, 5, || {
        let look = Handle::ro();
        for stat in [look.stat_of(by_name("frames")).unwrap(), look.list().unwrap()[1]] {
            assert_eq!((stat.uid, stat.gid), (3, 4));
            assert_eq!((stat.creator_uid, stat.creator_gid), (NOBODY, NOBODY));
        }
        let stat = look.stat_of(by_name("roots")).unwrap();
        assert_eq!((stat.uid, stat.gid), (NOBODY, NOBODY));
        let stat = look.stat_of(by_name("others")).unwrap();
        assert_eq!((stat.uid, stat.gid), (NOBODY, 0));
    })
    .join();
    let stat = handle.stat().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.creator_uid), (100_003, 200_004, 0));
    ["frames", "roots", "others"].into_iter().for_each(remove);
}

fn what_is_created_inside_belongs_to_the_ids_outside() {
    let _node = OpenNode::new();
    inside(3, 4, || {
        let handle = Handle::creating("frames", 100);
        let stat = handle.stat().unwrap();
        assert_eq!((stat.uid, stat.gid), (3, 4));
        assert_eq!((stat.creator_uid, stat.creator_gid), (3, 4));
    })
    .join();
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.uid, stat.gid), (100_003, 200_004));
    assert_eq!((stat.creator_uid, stat.creator_gid), (100_003, 200_004));
    // A user outside with the same id is the same user.
    User::new(100_003, 1).act(|| drop(Handle::of("frames")));
    User::new(3, 4).act(|| refused(Handle::rw().attach(by_name("frames")), Errno::EACCES));
    remove("frames");
}

fn set_takes_the_ids_of_the_namespace() {
    let _node = OpenNode::new();
    inside(3, 4, || {
        let handle = Handle::creating("frames", 100);
        handle.set_owner(THIS, 9, 8).unwrap();
        let stat = handle.stat().unwrap();
        assert_eq!((stat.uid, stat.gid), (9, 8));
    })
    .join();
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.uid, stat.gid), (100_009, 200_008));
    remove("frames");
}

fn an_id_that_the_namespace_does_not_know_is_einval() {
    let _node = OpenNode::new();
    inside(3, 4, || {
        let handle = Handle::creating("frames", 100);
        for id in [10, 1000, NOBODY, 100_003, 200_004, u32::MAX] {
            for fields in [SET_UID, SET_GID, SET_UID | SET_GID] {
                let set = Set {
                    target: THIS,
                    fields,
                    uid: id,
                    gid: id,
                    mode: 0,
                };
                refused(handle.set(set), Errno::EINVAL);
            }
        }
        let stat = handle.stat().unwrap();
        assert_eq!((stat.uid, stat.gid), (3, 4));
    })
    .join();
    remove("frames");
}

fn capabilities_of_a_namespace_do_not_reach_outside() {
    let _node = OpenNode::new();
    Handle::creating("frames", 100);
    for uid in [0, 5] {
        in_user_namespace(0, UIDS, GIDS, || {
            become_inside(uid, 0);
            set_effective_capabilities(&[CAP_IPC_OWNER, CAP_SYS_ADMIN]).expect("all of them are there");
            let handle = Handle::rw();
            refused(handle.attach(by_name("frames")), Errno::EACCES);
            refused(handle.create(creation("frames", 100)), Errno::EACCES);
            for target in [
                by_name("frames"),
                by_id(handle.stat_of(by_name("frames")).unwrap().target.id),
            ] {
                refused(handle.set_mode(target, 0o666), Errno::EPERM);
                refused(handle.set_owner(target, 0, 0), Errno::EPERM);
                refused(handle.resize(target, 1), Errno::EPERM);
                refused(handle.remove(target), Errno::EPERM);
            }
        })
        .join();
    }
    remove("frames");
}

fn a_handle_passed_inside_stays_under_the_rules_outside() {
    Handle::creating("frames", 100);
    let handles = [Handle::rw(), Handle::of("frames")];
    in_user_namespace(0, UIDS, GIDS, || {
        become_inside(0, 0);
        refused(handles[0].attach(by_name("frames")), Errno::EACCES);
        refused(handles[1].set_mode(THIS, 0o666), Errno::EPERM);
        refused(handles[1].remove(THIS), Errno::EPERM);
        handles[1].pwrite(b"attached before", 0).unwrap();
        handles[0].create(creation("mine", 100)).unwrap();
    })
    .join();
    let stat = Handle::rw().stat_of(by_name("mine")).unwrap();
    assert_eq!((stat.uid, stat.gid), (100_000, 200_000));
    remove("frames");
    remove("mine");
}

fn capabilities_count_in_the_ipc_namespaces_own_user_namespace() {
    let _node = OpenNode::new();
    in_user_namespace(libc::CLONE_NEWIPC, UIDS, GIDS, || {
        become_inside(0, 0);
        User::new(3, 4).act(|| {
            let handle = Handle::creating("frames", 100);
            handle.set_mode(THIS, 0).unwrap();
        });
        let other = User::new(5, 5);
        other.act(|| {
            refused(Handle::rw().attach(by_name("frames")), Errno::EACCES);
            refused(Handle::rw().set_mode(by_name("frames"), 1), Errno::EPERM);
        });
        other.with(&[CAP_IPC_OWNER]).act(|| {
            drop(Handle::of("frames"));
            refused(Handle::rw().set_mode(by_name("frames"), 1), Errno::EPERM);
        });
        other.with(&[CAP_SYS_ADMIN]).act(|| {
            refused(Handle::rw().attach(by_name("frames")), Errno::EACCES);
            Handle::rw().set_mode(by_name("frames"), 1).unwrap();
            remove("frames");
        });
    })
    .join();
    until("the namespace is gone", || usage() == (0, 0));
}

fn the_default_segment_belongs_to_the_namespaces_root() {
    let _node = OpenNode::new();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_user_namespace(libc::CLONE_NEWIPC, UIDS, GIDS, || {
        become_inside(3, 4);
        let handle = Handle::rw();
        handle.pwrite(b"x", 0).unwrap();
        let stat = handle.stat().unwrap();
        assert_eq!((stat.uid, stat.gid, stat.mode), (0, 0, 0o666));
        for target in [THIS, by_id(0)] {
            refused(handle.remove(target), Errno::EINVAL);
        }
        ready.open();
        go.pass();
    });
    ready.pass();
    let stat = Handle::rw().stat().unwrap();
    assert_eq!((stat.uid, stat.gid), (0, 0), "another one");
    go.open();
    child.join();
    until("the namespace is gone", || usage() == (0, 0));
}

fn the_default_segment_of_a_namespace_without_root_is_nobodys() {
    let _node = OpenNode::new();
    in_user_namespace(libc::CLONE_NEWIPC, "5 100000 1", "5 200000 1", || {
        become_inside(5, 5);
        let handle = Handle::rw();
        handle.window(0, PAGE).write(0, b"open to all");
        let stat = handle.stat().unwrap();
        assert_eq!((stat.uid, stat.gid, stat.mode), (NOBODY, NOBODY, 0o666));
    })
    .join();
    until("the namespace is gone", || usage() == (0, 0));
}

fn limits_follow_the_user_through_namespaces() {
    const PAGES: u64 = PAGE as u64;
    let _node = OpenNode::new();
    let _limits = Limits::with("max_bytes_per_uid", 4 * PAGES);
    inside(3, 4, || drop(Handle::creating("one", 3 * PAGES))).join();
    // The same user by another map, and without a namespace.
    in_user_namespace(0, "7 100003 1", "7 200000 1", || {
        become_inside(7, 7);
        let handle = Handle::rw();
        assert_eq!(handle.info().unwrap().uid_bytes, 3 * PAGES);
        refused(handle.create(creation("two", 2 * PAGES)), Errno::ENOSPC);
        handle.create(creation("two", PAGES)).unwrap();
    })
    .join();
    User::new(100_003, 1).act(|| {
        let handle = Handle::rw();
        assert_eq!(handle.info().unwrap().uid_bytes, 4 * PAGES);
        refused(handle.create(creation("three", 1)), Errno::ENOSPC);
    });
    inside(4, 4, || {
        let handle = Handle::rw();
        assert_eq!(handle.info().unwrap().uid_bytes, 0, "another user");
        handle.create(creation("three", 4 * PAGES)).unwrap();
    })
    .join();
    ["one", "two", "three"].into_iter().for_each(remove);
}

fn who_has_no_id_inside_is_who_it_was_outside() {
    Handle::creating("frames", 100);
    let handles = [Handle::rw(), Handle::rw()];
    in_user_namespace(0, UIDS, GIDS, || {
        // Still root's ids, which have no name here.
        handles[0].attach(by_name("frames")).expect("the owner");
        handles[0].set_mode(THIS, 0o640).expect("the owner");
        handles[1].create(creation("mine", 100)).unwrap();
        let stat = handles[1].stat().unwrap();
        assert_eq!((stat.uid, stat.gid), (NOBODY, NOBODY));
        assert_eq!((stat.creator_uid, stat.creator_gid), (NOBODY, NOBODY));
    })
    .join();
    let stat = Handle::rw().stat_of(by_name("mine")).unwrap();
    assert_eq!((stat.uid, stat.gid), (0, 0));
    remove("frames");
    remove("mine");
}
