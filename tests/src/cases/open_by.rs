// SPDX-License-Identifier: MIT OR Apache-2.0

//! OPEN, and how every call says which segment it is about: by handle, by number, by name.

use super::{READ, SHARED, refused};
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::segments::{name, remove};
use crate::sys::{
    BY_HANDLE, BY_ID, Errno, Handle, Open, PAGE, Resize, Result, SEGMENT_REMOVED, SIZE, THIS, Target, by_id,
    by_name, creation, mode, poll,
};

tests![
    a_segment_is_opened_by_name_and_by_id,
    id_zero_is_the_default_segment,
    open_sees_the_generation,
    open_by_handle_is_einval,
    a_reserved_field_that_is_not_zero_is_einval,
    an_unknown_way_to_name_a_segment_is_einval,
    a_field_that_is_not_used_and_not_zero_is_einval,
    a_name_that_nobody_has_is_enoent,
    an_id_that_nobody_has_is_enoent,
    an_anonymous_segment_is_enoent_by_its_id_except_for_stat,
    a_removed_segment_is_eidrm_by_its_id_except_for_stat,
    a_handle_that_is_attached_is_ebusy,
    the_mode_against_the_handle_is_eacces,
    a_refused_open_leaves_the_handle_free,
    by_handle_attaches_to_the_default_segment_for_stat_alone,
];

/// What every call that takes a target says of it. REMOVE comes last, for where it succeeds.
pub(super) fn everywhere(target: Target) -> [(&'static str, Result<()>); 5] {
    let handle = Handle::rw();
    [
        ("OPEN", Handle::rw().attach(target).map(drop)),
        ("STAT", handle.stat_of(target).map(drop)),
        ("SET", handle.set_mode(target, 0o666)),
        ("RESIZE", handle.resize(target, 200)),
        ("REMOVE", handle.remove(target)),
    ]
}

#[track_caller]
fn refused_everywhere(target: Target, errno: Errno) {
    for (call, outcome) in everywhere(target) {
        assert_eq!(outcome, Err(errno), "{call} of {target:?}");
    }
}

fn a_segment_is_opened_by_name_and_by_id() {
    let made = Handle::rw().create(creation("frames", 5000)).unwrap();
    for target in [by_name("frames"), by_id(made.id)] {
        for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
            let handle = Handle::open(flags).unwrap();
            let opened = handle.attach(target).unwrap();
            assert_eq!((opened.target.name, opened.target.id), (name("frames"), made.id));
            assert_eq!((opened.size, opened.reserved), (5000, 0));
            let stat = handle.stat().unwrap();
            assert_eq!((stat.target.id, stat.handles), (made.id, 1));
        }
    }
    remove("frames");
}

fn id_zero_is_the_default_segment() {
    let handle = Handle::rw();
    let opened = handle.attach(by_id(0)).unwrap();
    assert_eq!((opened.target.name, opened.target.id), (THIS.name, 0));
    assert_eq!(opened.size as usize, SIZE);
    handle.pwrite(b"the same", 100).unwrap();
    let mut bytes = [0; 8];
    Handle::ro().pread(&mut bytes, 100).unwrap();
    assert_eq!(&bytes, b"the same");
    assert_eq!(Handle::rw().stat_of(by_id(0)).unwrap().handles, 1);
}

fn open_sees_the_generation() {
    let writer = Handle::creating("frames", 100);
    writer.pwrite(b"x", 0).unwrap();
    let reader = Handle::of("frames");
    assert!(!poll::is_readable(&reader), "what was written before is no news");
    writer.pwrite(b"x", 0).unwrap();
    assert!(poll::is_readable(&reader));
    remove("frames");
}

fn open_by_handle_is_einval() {
    let handle = Handle::rw();
    refused(handle.attach(THIS), Errno::EINVAL);
    let attached = Handle::creating("", 100);
    let outcome = attached.attach(THIS);
    assert!(
        matches!(outcome, Err(Errno::EINVAL | Errno::EBUSY)),
        "{outcome:?}"
    );
}

fn a_reserved_field_that_is_not_zero_is_einval() {
    Handle::creating("frames", 100);
    for reserved in [1, 1 << 32, u64::MAX] {
        let mut open = Open {
            target: by_name("frames"),
            size: 0,
            reserved,
        };
        refused(Handle::rw().call(&mut open), Errno::EINVAL);
        let mut resize = Resize {
            target: by_name("frames"),
            size: 100,
            reserved,
        };
        refused(Handle::rw().call(&mut resize), Errno::EINVAL);
    }
    for reserved in [1, u32::MAX] {
        for target in [by_name("frames"), by_id(0), THIS] {
            refused_everywhere(Target { reserved, ..target }, Errno::EINVAL);
        }
    }
    remove("frames");
}

fn an_unknown_way_to_name_a_segment_is_einval() {
    Handle::creating("frames", 100);
    for by in [4, 5, 0x100, 1 << 31, u32::MAX] {
        for target in [by_name("frames"), by_id(0), THIS] {
            refused_everywhere(Target { by, ..target }, Errno::EINVAL);
        }
    }
    remove("frames");
}

fn a_field_that_is_not_used_and_not_zero_is_einval() {
    let id = Handle::creating("frames", 100).id();
    let mut last = [0; 64];
    last[63] = 1;
    for target in [
        Target {
            id,
            ..by_name("frames")
        },
        Target {
            id: u64::MAX,
            ..by_name("frames")
        },
        Target {
            by: BY_ID,
            id,
            ..by_name("frames")
        },
        Target {
            name: last,
            ..by_id(id)
        },
        Target { id, ..THIS },
        Target {
            by: BY_HANDLE,
            ..by_name("frames")
        },
        Target { name: last, ..THIS },
    ] {
        refused_everywhere(target, Errno::EINVAL);
    }
    remove("frames");
}

fn a_name_that_nobody_has_is_enoent() {
    Handle::creating("frames", 100);
    for text in ["frame", "frames.", "Frames", "other", "0"] {
        refused_everywhere(by_name(text), Errno::ENOENT);
    }
    remove("frames");
    refused_everywhere(by_name("frames"), Errno::ENOENT);
}

fn an_id_that_nobody_has_is_enoent() {
    let id = Handle::creating("frames", 100).id();
    for unknown in [id + 1, id + 1000, 1 << 32, 1 << 63, u64::MAX] {
        refused_everywhere(by_id(unknown), Errno::ENOENT);
    }
    remove("frames");
}

fn an_anonymous_segment_is_enoent_by_its_id_except_for_stat() {
    let handle = Handle::creating("", 5000);
    let target = by_id(handle.id());
    for (call, outcome) in everywhere(target) {
        let expected = if call == "STAT" {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        };
        assert_eq!(outcome, expected, "{call}");
    }
    let stat = Handle::ro().stat_of(target).unwrap();
    assert_eq!((stat.target.name, stat.target.id), (THIS.name, target.id));
    assert_eq!((stat.size, stat.handles, stat.mode), (5000, 1, 0o600));
}

fn a_removed_segment_is_eidrm_by_its_id_except_for_stat() {
    let handle = Handle::creating("frames", 100);
    let target = by_id(handle.id());
    let check = || {
        for (call, outcome) in everywhere(target) {
            let expected = if call == "STAT" { Ok(()) } else { Err(Errno::EIDRM) };
            assert_eq!(outcome, expected, "{call}");
        }
    };
    remove("frames");
    check();
    assert_eq!(
        Handle::ro().stat_of(target).unwrap().flags,
        mode().flag | SEGMENT_REMOVED
    );
    handle.pwrite(b"x", 0).expect("it goes on as before");
    // Another one of the name has another number.
    Handle::creating("frames", 100);
    check();
    drop(handle);
    refused_everywhere(target, Errno::ENOENT);
    remove("frames");
}

fn a_handle_that_is_attached_is_ebusy() {
    let created = Handle::creating("frames", 100);
    let opened = Handle::of("frames");
    let default = Handle::rw();
    default.attach(by_id(0)).unwrap();
    let mapped = Handle::rw();
    drop(mapped.mmap(PAGE, READ, SHARED, 0).unwrap());
    for handle in [created, opened, default, mapped] {
        for target in [by_name("frames"), by_id(0)] {
            refused(handle.attach(target), Errno::EBUSY);
        }
    }
    remove("frames");
}

fn the_mode_against_the_handle_is_eacces() {
    let owner = Handle::creating("frames", 100);
    let target = by_id(owner.id());
    let _node = OpenNode::new();
    for (mode, flags, right) in [
        (0o604, libc::O_RDONLY, true),
        (0o604, libc::O_WRONLY, false),
        (0o604, libc::O_RDWR, false),
        (0o602, libc::O_RDONLY, false),
        (0o602, libc::O_WRONLY, true),
        (0o602, libc::O_RDWR, false),
        (0o606, libc::O_RDWR, true),
        (0o671, libc::O_RDONLY, false),
    ] {
        owner.set_mode(THIS, mode).unwrap();
        User::new(1000, 1000).act(|| {
            for target in [target, by_name("frames")] {
                let handle = Handle::open(flags).unwrap();
                if right {
                    handle.attach(target).unwrap();
                } else {
                    refused(handle.attach(target), Errno::EACCES);
                }
            }
        });
    }
    remove("frames");
}

fn a_refused_open_leaves_the_handle_free() {
    let owner = Handle::creating("frames", 100);
    let handle = Handle::rw();
    refused(handle.attach(by_name("other")), Errno::ENOENT);
    refused(handle.attach(by_name("")), Errno::EINVAL);
    User::new(1000, 1000).act(|| refused(handle.attach(by_name("frames")), Errno::EACCES));
    assert_eq!(owner.stat().unwrap().handles, 1);
    assert_eq!(handle.fdinfo().len(), 1);
    handle.attach(by_name("frames")).unwrap();
    remove("frames");
}

/// STAT by handle attaches, as reading does; the other calls find the default segment there, if anything, and refuse.
fn by_handle_attaches_to_the_default_segment_for_stat_alone() {
    let handle = Handle::rw();
    handle.stat_of(by_id(0)).unwrap();
    assert_eq!(handle.fdinfo().len(), 1, "by its number, nothing is attached");
    assert_eq!(handle.stat_of(THIS).unwrap().target.id, 0);
    assert!(handle.fdinfo().len() > 1);
    let fresh = Handle::rw();
    for handle in [&handle, &fresh] {
        refused(handle.set_mode(THIS, 0o600), Errno::EINVAL);
        refused(handle.resize(THIS, 1 << 20), Errno::EINVAL);
        refused(handle.remove(THIS), Errno::EINVAL);
    }
    assert_eq!(fresh.fdinfo().len(), 1, "they attach nothing");
}
