// SPDX-License-Identifier: MIT OR Apache-2.0

//! SET: what it changes, who may, and what is refused; and who may call RESIZE and REMOVE, for that is the same.

use super::refused;
use crate::harness::tests;
use crate::sys::identity::{CAP_IPC_OWNER, CAP_SYS_ADMIN, OpenNode, User};
use crate::sys::segments::remove;
use crate::sys::{
    Create, Errno, Handle, SET_GID, SET_MODE, SET_UID, STATUS_CREATED, Set, THIS, by_id, by_name, creation,
};

tests![
    owner_group_and_mode_are_changed_one_by_one_and_together,
    fields_that_are_not_changed_are_ignored,
    it_changes_everything_or_nothing,
    no_fields_and_unknown_fields_are_einval,
    a_mode_above_0777_is_einval,
    an_id_that_is_none_is_einval,
    the_default_segment_is_einval,
    it_works_by_handle_by_id_and_by_name,
    it_needs_no_right_to_the_bytes,
    somebody_else_is_eperm,
    owner_and_creator_may,
    cap_sys_admin_may_and_cap_ipc_owner_may_not,
    an_owner_may_give_it_away_and_a_creator_take_it_back,
    races_of_owners_end_as_one_of_them_said,
];

const OWNER: User = User::new(1000, 2000);
const MEMBER: User = User::new(1001, 2000);
const OTHER: User = User::new(1002, 2002);

fn set(fields: u32, uid: u32, gid: u32, mode: u32) -> Set {
    Set {
        target: by_name("frames"),
        fields,
        uid,
        gid,
        mode,
    }
}

/// Owner, group and mode as they are.
fn state() -> (u32, u32, u32) {
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    (stat.uid, stat.gid, stat.mode)
}

/// A segment that belongs to `OWNER`, its creator.
fn owned() {
    OWNER.act(|| {
        let handle = Handle::rw();
        assert_eq!(
            handle.create(creation("frames", 100)).unwrap().status,
            STATUS_CREATED
        );
    });
}

fn owner_group_and_mode_are_changed_one_by_one_and_together() {
    let handle = Handle::creating("frames", 100);
    handle.set(set(SET_UID, 1000, 0, 0)).unwrap();
    assert_eq!(state(), (1000, 0, 0o600));
    handle.set(set(SET_GID, 0, 2000, 0)).unwrap();
    assert_eq!(state(), (1000, 2000, 0o600));
    handle.set(set(SET_MODE, 0, 0, 0o123)).unwrap();
    assert_eq!(state(), (1000, 2000, 0o123));
    handle.set(set(SET_UID | SET_GID | SET_MODE, 1, 2, 0)).unwrap();
    assert_eq!(state(), (1, 2, 0));
    handle
        .set(set(
            SET_UID | SET_GID | SET_MODE,
            u32::MAX - 1,
            u32::MAX - 1,
            0o777,
        ))
        .unwrap();
    assert_eq!(state(), (u32::MAX - 1, u32::MAX - 1, 0o777));
    let stat = handle.stat().unwrap();
    assert_eq!((stat.creator_uid, stat.creator_gid), (0, 0), "the creator stays");
    remove("frames");
}

fn fields_that_are_not_changed_are_ignored() {
    let handle = Handle::creating("frames", 100);
    handle.set(set(SET_MODE, u32::MAX, u32::MAX, 0o640)).unwrap();
    handle.set(set(SET_UID, 5, u32::MAX, u32::MAX)).unwrap();
    handle.set(set(SET_GID, u32::MAX, 6, 0o1000)).unwrap();
    assert_eq!(state(), (5, 6, 0o640));
    remove("frames");
}

fn it_changes_everything_or_nothing() {
    let handle = Handle::creating("frames", 100);
    let before = handle.stat().unwrap();
    for bad in [
        set(SET_UID | SET_MODE, 7, 0, 0o1000),
        set(SET_UID | SET_GID, 7, u32::MAX, 0),
        set(SET_UID | SET_GID | SET_MODE, u32::MAX, 7, 0o777),
        set(SET_MODE | 8, 0, 0, 0o777),
    ] {
        refused(handle.set(bad), Errno::EINVAL);
        assert_eq!(state(), (0, 0, 0o600));
    }
    assert_eq!(handle.stat().unwrap().changed_ns, before.changed_ns);
    remove("frames");
}

fn no_fields_and_unknown_fields_are_einval() {
    let handle = Handle::creating("frames", 100);
    let unknown = (3..32).flat_map(|bit| [1 << bit, 1 << bit | SET_MODE]);
    for fields in unknown.chain([0, u32::MAX]) {
        refused(handle.set(set(fields, 0, 0, 0o600)), Errno::EINVAL);
    }
    remove("frames");
}

fn a_mode_above_0777_is_einval() {
    let handle = Handle::creating("frames", 100);
    for mode in [0o1000, 0o4755, 0o100644, u32::MAX] {
        refused(handle.set(set(SET_MODE, 0, 0, mode)), Errno::EINVAL);
    }
    remove("frames");
}

fn an_id_that_is_none_is_einval() {
    let handle = Handle::creating("frames", 100);
    refused(handle.set(set(SET_UID, u32::MAX, 0, 0)), Errno::EINVAL);
    refused(handle.set(set(SET_GID, 0, u32::MAX, 0)), Errno::EINVAL);
    remove("frames");
}

fn the_default_segment_is_einval() {
    let handle = Handle::rw();
    handle.pread(&mut [0], 0).unwrap();
    refused(handle.set_mode(THIS, 0o600), Errno::EINVAL);
    refused(handle.set_mode(by_id(0), 0o600), Errno::EINVAL);
    refused(Handle::rw().set_owner(by_id(0), 0, 0), Errno::EINVAL);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (0, 0, 0o666));
}

fn it_works_by_handle_by_id_and_by_name() {
    let handle = Handle::creating("frames", 100);
    handle.set_mode(THIS, 0o601).unwrap();
    assert_eq!(state().2, 0o601);
    Handle::ro().set_mode(by_id(handle.id()), 0o602).unwrap();
    assert_eq!(state().2, 0o602);
    Handle::wo().set_mode(by_name("frames"), 0o603).unwrap();
    assert_eq!(state().2, 0o603);
    let anonymous = Handle::creating("", 100);
    anonymous.set_mode(THIS, 0o604).unwrap();
    assert_eq!(anonymous.stat().unwrap().mode, 0o604);
    remove("frames");
}

fn it_needs_no_right_to_the_bytes() {
    let _node = OpenNode::new();
    owned();
    OWNER.act(|| {
        let handle = Handle::ro();
        handle.set_mode(by_name("frames"), 0).unwrap();
        refused(handle.attach(by_name("frames")), Errno::EACCES);
        handle.resize(by_name("frames"), 5000).unwrap();
        handle.remove(by_name("frames")).unwrap();
    });
}

fn somebody_else_is_eperm() {
    let _node = OpenNode::new();
    owned();
    Handle::rw().set_mode(by_name("frames"), 0o777).unwrap();
    for user in [MEMBER, OTHER, User::new(0, 0)] {
        user.act(|| {
            let handle = Handle::of("frames");
            for target in [THIS, by_name("frames"), by_id(handle.id())] {
                refused(handle.set_mode(target, 0o777), Errno::EPERM);
                refused(handle.set_owner(target, user.uid, user.gid), Errno::EPERM);
                refused(handle.resize(target, 5000), Errno::EPERM);
                refused(handle.remove(target), Errno::EPERM);
            }
        });
    }
    assert_eq!(state(), (1000, 2000, 0o777));
    remove("frames");
}

fn owner_and_creator_may() {
    let _node = OpenNode::new();
    owned();
    Handle::rw().set_owner(by_name("frames"), OTHER.uid, 5).unwrap();
    for (round, user) in (0..).zip([OWNER, OTHER]) {
        user.act(|| {
            let handle = Handle::rw();
            handle.set_mode(by_name("frames"), 0o640 + round).unwrap();
            handle.resize(by_name("frames"), 200 + u64::from(round)).unwrap();
        });
        assert_eq!(state().2, 0o640 + round);
    }
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!(stat.size, 201);
    OTHER.act(|| remove("frames"));
}

fn cap_sys_admin_may_and_cap_ipc_owner_may_not() {
    let _node = OpenNode::new();
    for admin in [true, false] {
        owned();
        let capabilities: &[u32] = if admin { &[CAP_SYS_ADMIN] } else { &[CAP_IPC_OWNER] };
        OTHER.with(capabilities).act(|| {
            let handle = Handle::rw();
            let outcomes = [
                handle.set_mode(by_name("frames"), 0o666),
                handle.set_owner(by_name("frames"), 5, 6),
                handle.resize(by_name("frames"), 200),
                handle.remove(by_name("frames")),
            ];
            let expected = if admin { Ok(()) } else { Err(Errno::EPERM) };
            assert_eq!(outcomes, [expected; 4]);
        });
        if !admin {
            remove("frames");
        }
    }
}

fn an_owner_may_give_it_away_and_a_creator_take_it_back() {
    let _node = OpenNode::new();
    owned();
    OWNER.act(|| Handle::rw().set_owner(by_name("frames"), 1002, 2002).unwrap());
    OTHER.act(|| {
        let handle = Handle::of("frames");
        handle.set_owner(THIS, 1003, 2003).unwrap();
        refused(handle.set_owner(THIS, 1002, 2002), Errno::EPERM);
    });
    OWNER.act(|| Handle::rw().set_owner(by_name("frames"), 1000, 2000).unwrap());
    assert_eq!(state(), (1000, 2000, 0o600));
    remove("frames");
}

/// Owner, group and mode of one call come together, whoever else sets them at the same time.
fn races_of_owners_end_as_one_of_them_said() {
    let create = Create {
        mode: 0o1,
        ..creation("frames", 100)
    };
    Handle::rw().create(create).unwrap();
    Handle::rw().set_owner(by_name("frames"), 1, 1).unwrap();
    std::thread::scope(|scope| {
        for value in [1, 2] {
            scope.spawn(move || {
                let handle = Handle::rw();
                for _ in 0..200 {
                    let all = SET_UID | SET_GID | SET_MODE;
                    handle.set(set(all, value, value, value)).unwrap();
                }
            });
        }
    });
    let seen = state();
    assert!(seen == (1, 1, 1) || seen == (2, 2, 2), "{seen:?}");
    remove("frames");
}
