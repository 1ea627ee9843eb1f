// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who may attach: owner, creator, group, others, and whom a capability lets through.

use std::os::fd::OwnedFd;

use super::{READ, SHARED, refused};
use crate::harness::tests;
use crate::sys::identity::{CAP_IPC_OWNER, CAP_SYS_ADMIN, OpenNode, User};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_WRITE, Create, Errno, Handle, PAGE, Process, Result, STATUS_CREATED, THIS, by_id, by_name,
    creation, file,
};

tests![
    the_mode_decides_for_owner_group_and_others within 120,
    the_creator_has_the_owners_rights_after_it_was_given_away,
    the_creators_group_has_the_groups_rights_after_it_was_given_away,
    supplementary_groups_count,
    effective_ids_count_and_real_ones_do_not,
    an_owner_with_fewer_rights_than_others_has_fewer,
    root_without_capabilities_is_a_user_like_others,
    cap_ipc_owner_passes,
    cap_sys_admin_does_not_attach,
    a_handle_keeps_what_it_could_do_when_it_attached,
    a_handle_passed_to_a_lesser_user_keeps_its_rights,
    reopening_through_proc_gains_nothing,
    stat_and_list_need_no_right,
    a_new_segment_belongs_to_the_effective_ids,
    a_process_that_changed_its_ids_for_good_is_the_new_one,
];

const OWNER: User = User::new(1000, 2000);
const MEMBER: User = User::new(1001, 2000);
const OTHER: User = User::new(1002, 2002);

/// Opens the device with these flags and attaches to the segment.
fn attach(text: &str, flags: i32) -> Result<Handle> {
    let handle = Handle::open(flags).expect("opening the node");
    handle.attach(by_name(text)).map(|_| handle)
}

/// Which of reading, writing, both and neither (opened with access mode 3) are allowed.
fn allowed(text: &str) -> [bool; 4] {
    [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_ACCMODE].map(|flags| match attach(text, flags) {
        Ok(_) => true,
        Err(Errno::EACCES) => false,
        Err(error) => panic!("{error}"),
    })
}

/// What three permission bits allow of that. Who wants neither must have the right to both.
fn bits(bits: u32) -> [bool; 4] {
    [bits & 4 != 0, bits & 2 != 0, bits & 6 == 6, bits & 6 == 6]
}

/// A segment that belongs to `OWNER`, its creator.
fn owned(text: &str, mode: u32) {
    OWNER.act(|| {
        let create = Create {
            mode,
            ..creation(text, 100)
        };
        assert_eq!(Handle::rw().create(create).unwrap().status, STATUS_CREATED);
    });
}

fn the_mode_decides_for_owner_group_and_others() {
    let _node = OpenNode::new();
    owned("frames", 0);
    for (user, shift) in [(OWNER, 6), (MEMBER, 3), (OTHER, 0)] {
        // Every combination of the user's own bits, with none and with all of those of others.
        for own in 0..8 {
            for others in [0, 0o777] {
                let mode = others & !(7 << shift) | own << shift;
                Handle::rw().set_mode(by_name("frames"), mode).unwrap();
                let seen = user.act(|| allowed("frames"));
                assert_eq!(seen, bits(own), "{mode:o}, {user:?}");
            }
        }
    }
    remove("frames");
}

fn the_creator_has_the_owners_rights_after_it_was_given_away() {
    let _node = OpenNode::new();
    owned("frames", 0o640);
    Handle::rw().set_owner(by_name("frames"), 1005, 2005).unwrap();
    let new_owner = User::new(1005, 1);
    assert_eq!(new_owner.act(|| allowed("frames")), [true; 4]);
    assert_eq!(OWNER.act(|| allowed("frames")), [true; 4], "the creator");
    assert_eq!(OTHER.act(|| allowed("frames")), [false; 4]);
    remove("frames");
}

fn the_creators_group_has_the_groups_rights_after_it_was_given_away() {
    let _node = OpenNode::new();
    owned("frames", 0o640);
    Handle::rw().set_owner(by_name("frames"), 1005, 2005).unwrap();
    let new_member = User::new(1006, 2005);
    assert_eq!(new_member.act(|| allowed("frames")), [true, false, false, false]);
    assert_eq!(MEMBER.act(|| allowed("frames")), [true, false, false, false]);
    assert_eq!(OTHER.act(|| allowed("frames")), [false; 4]);
    remove("frames");
}

fn supplementary_groups_count() {
    let _node = OpenNode::new();
    owned("frames", 0o060);
    let with = |groups| User { groups, ..OTHER };
    assert_eq!(with(&[5, 2000, 7]).act(|| allowed("frames")), [true; 4]);
    assert_eq!(with(&[5, 2001, 7]).act(|| allowed("frames")), [false; 4]);
    // A member that the group's bits refuse is not let in by those of others.
    Handle::rw().set_mode(by_name("frames"), 0o006).unwrap();
    assert_eq!(with(&[5, 2000, 7]).act(|| allowed("frames")), [false; 4]);
    assert_eq!(OTHER.act(|| allowed("frames")), [true; 4]);
    remove("frames");
}

fn effective_ids_count_and_real_ones_do_not() {
    let _node = OpenNode::new();
    // Root is this process's real id all along, and the user's when root owns the segment.
    Handle::creating("frames", 100);
    assert_eq!(OTHER.act(|| allowed("frames")), [false; 4]);
    remove("frames");
    owned("frames", 0o600);
    assert_eq!(OWNER.act(|| allowed("frames")), [true; 4]);
    remove("frames");
}

fn an_owner_with_fewer_rights_than_others_has_fewer() {
    let _node = OpenNode::new();
    owned("frames", 0o077);
    assert_eq!(OWNER.act(|| allowed("frames")), [false; 4]);
    assert_eq!(MEMBER.act(|| allowed("frames")), [true; 4]);
    assert_eq!(OTHER.act(|| allowed("frames")), [true; 4]);
    // The owner may still give them to itself.
    OWNER.act(|| Handle::rw().set_mode(by_name("frames"), 0o600).unwrap());
    assert_eq!(OWNER.act(|| allowed("frames")), [true; 4]);
    remove("frames");
}

fn root_without_capabilities_is_a_user_like_others() {
    let _node = OpenNode::new();
    owned("frames", 0o604);
    assert_eq!(
        User::new(0, 0).act(|| allowed("frames")),
        [true, false, false, false]
    );
    assert_eq!(allowed("frames"), [true; 4], "root as it is");
    remove("frames");
}

fn cap_ipc_owner_passes() {
    let _node = OpenNode::new();
    owned("frames", 0);
    assert_eq!(OTHER.act(|| allowed("frames")), [false; 4]);
    assert_eq!(OTHER.with(&[CAP_IPC_OWNER]).act(|| allowed("frames")), [true; 4]);
    // By CREATE, too.
    OTHER.with(&[CAP_IPC_OWNER]).act(|| {
        assert_eq!(Handle::rw().create(creation("frames", 100)).unwrap().status, 0);
    });
    remove("frames");
}

fn cap_sys_admin_does_not_attach() {
    let _node = OpenNode::new();
    owned("frames", 0);
    assert_eq!(OTHER.with(&[CAP_SYS_ADMIN]).act(|| allowed("frames")), [false; 4]);
    remove("frames");
}

fn a_handle_keeps_what_it_could_do_when_it_attached() {
    let _node = OpenNode::new();
    owned("frames", 0o606);
    let handle = OTHER.act(|| attach("frames", libc::O_RDWR)).unwrap();
    Handle::rw().set_mode(by_name("frames"), 0).unwrap();
    Handle::rw().set_owner(by_name("frames"), 0, 0).unwrap();
    OTHER.act(|| {
        refused(attach("frames", libc::O_RDONLY).map(drop), Errno::EACCES);
        handle.pwrite(b"still", 0).unwrap();
        handle.window(0, PAGE).write(0, b"mine");
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        handle.end(ACCESS_WRITE, 0, 8).unwrap();
    });
    // Less access is not more, either: what was attached for reading stays so.
    let reader = Handle::ro();
    reader.attach(by_name("frames")).unwrap();
    Handle::rw().set_mode(by_name("frames"), 0o777).unwrap();
    refused(reader.pwrite(b"x", 0), Errno::EBADF);
    remove("frames");
}

fn a_handle_passed_to_a_lesser_user_keeps_its_rights() {
    let (here, there) = file::sockets();
    let child = Process::fork(|| {
        OTHER.become_for_good();
        let handle = Handle::from(file::receive_fd(&there));
        let mapping = handle.mmap(PAGE, READ, SHARED, 0).unwrap();
        assert_eq!(mapping.read(0, 6), b"secret");
        refused(handle.pwrite(b"x", 0), Errno::EBADF);
        refused(handle.mmap(PAGE, super::WRITE, SHARED, 0), Errno::EACCES);
        refused(handle.remove(THIS), Errno::EPERM);
        refused(handle.resize(THIS, 5000), Errno::EPERM);
        refused(handle.set_mode(THIS, 0o666), Errno::EPERM);
    });
    Handle::creating("frames", 100).pwrite(b"secret", 0).unwrap();
    let handle = Handle::ro();
    handle.attach(by_name("frames")).unwrap();
    file::send_fd(&here, handle);
    child.join();
    remove("frames");
}

fn reopening_through_proc_gains_nothing() {
    let _node = OpenNode::new();
    Handle::creating("frames", 100).pwrite(b"secret", 0).unwrap();
    let reader = Handle::ro();
    reader.attach(by_name("frames")).unwrap();
    let path = format!("/proc/self/fd/{}", reader.fd());
    Process::fork(|| {
        OTHER.become_for_good();
        let again = std::fs::OpenOptions::new().read(true).write(true).open(&path);
        let again = Handle::from(OwnedFd::from(again.expect("the node is open to all")));
        assert_eq!(again.fdinfo().len(), 1, "attached to nothing");
        refused(again.attach(by_name("frames")), Errno::EACCES);
        refused(again.attach(by_id(reader.id())), Errno::EACCES);
        assert_eq!(again.stat().unwrap().target.id, 0, "that is the default segment");
    })
    .join();
    remove("frames");
}

fn stat_and_list_need_no_right() {
    let _node = OpenNode::new();
    owned("frames", 0);
    let id = OTHER.act(|| {
        let handle = Handle::ro();
        let stat = handle.stat_of(by_name("frames")).unwrap();
        assert_eq!((stat.uid, stat.gid, stat.mode, stat.size), (1000, 2000, 0, 100));
        assert_eq!(handle.stat_of(by_id(stat.target.id)).unwrap().uid, 1000);
        let listed: Vec<u64> = handle.list().unwrap().iter().map(|stat| stat.target.id).collect();
        assert_eq!(listed, [0, stat.target.id]);
        stat.target.id
    });
    assert_ne!(id, 0);
    remove("frames");
}

fn a_new_segment_belongs_to_the_effective_ids() {
    let _node = OpenNode::new();
    for user in [
        OWNER,
        OTHER,
        User::new(0, 7),
        User::new(65534, 65534),
        User::new(u32::MAX - 1, 5),
    ] {
        let stat = user.act(|| {
            let handle = Handle::rw();
            handle.create(creation("", 100)).unwrap();
            handle.stat().unwrap()
        });
        assert_eq!((stat.uid, stat.gid), (user.uid, user.gid));
        assert_eq!((stat.creator_uid, stat.creator_gid), (user.uid, user.gid));
    }
}

fn a_process_that_changed_its_ids_for_good_is_the_new_one() {
    Handle::creating("frames", 100);
    let handles = [Handle::ro(), Handle::rw(), Handle::rw()];
    let _node = OpenNode::new();
    Process::fork(|| {
        OTHER.become_for_good();
        // Opened by root; who attaches is somebody else.
        for handle in &handles[..2] {
            refused(handle.attach(by_name("frames")), Errno::EACCES);
        }
        handles[2].create(creation("mine", 100)).unwrap();
        let stat = handles[2].stat().unwrap();
        assert_eq!((stat.uid, stat.gid), (OTHER.uid, OTHER.gid));
    })
    .join();
    for handle in &handles[..2] {
        handle
            .attach(by_name("frames"))
            .expect("by root, the same handle does");
    }
    remove("frames");
    remove("mine");
}
