// SPDX-License-Identifier: MIT OR Apache-2.0

//! CREATE: what a new segment is, what becomes of one that exists, and what is refused.

use super::{SHARED, refused};
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::segments::{name, remove};
use crate::sys::{
    CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, Create, Errno, Handle, PAGE, STATUS_CREATED, THIS, by_name,
    creation, mode, usage,
};

tests![
    a_new_segment_is_zeroed_and_attached,
    any_size_is_kept_and_rounded_up_to_pages,
    a_size_of_zero_is_einval,
    a_size_beyond_every_limit_is_enospc,
    every_mode_is_kept,
    a_mode_above_0777_is_einval,
    an_unknown_flag_is_einval,
    a_reserved_field_that_is_not_zero_is_einval,
    what_is_not_taken_is_ignored,
    a_handle_that_is_attached_is_ebusy,
    a_refused_creation_leaves_the_handle_free,
    an_existing_name_is_opened,
    an_existing_name_keeps_its_mode_and_flags,
    an_existing_name_that_is_smaller_is_einval,
    an_existing_name_with_exclusive_is_eexist,
    an_existing_name_without_the_right_is_eacces,
    exclusive_says_eexist_even_without_the_right,
    the_mode_does_not_limit_who_creates,
    a_handle_of_every_access_mode_may_create,
    anonymous_segments_do_not_meet,
    the_default_segment_is_another_one,
];

/// An ordinary user.
const USER: User = User::new(1000, 1000);

fn a_new_segment_is_zeroed_and_attached() {
    let handle = Handle::rw();
    let made = handle.create(creation("frames", 3 * PAGE as u64)).unwrap();
    assert_eq!((made.status, made.size), (STATUS_CREATED, 3 * PAGE as u64));
    assert_eq!((made.name, made.mode, made.flags), (name("frames"), 0o600, 0));
    assert_ne!(made.id, 0, "0 is the default segment");
    let stat = handle.stat().unwrap();
    assert_eq!((stat.target.name, stat.target.id), (name("frames"), made.id));
    assert_eq!((stat.handles, stat.nattch, stat.generation), (1, 0, 0));
    assert_eq!(usage(), (1, 3 * PAGE as u64));
    let mapping = handle.window(0, 3 * PAGE);
    assert!(mapping.is_all(0));
    mapping.write(PAGE, b"by a mapping");
    let mut bytes = [0; 12];
    assert_eq!(Handle::of("frames").pread(&mut bytes, PAGE as i64), Ok(12));
    assert_eq!(&bytes, b"by a mapping");
    remove("frames");
}

fn any_size_is_kept_and_rounded_up_to_pages() {
    const PAGES: u64 = PAGE as u64;
    for size in [
        1,
        2,
        PAGES - 1,
        PAGES,
        PAGES + 1,
        2 * PAGES,
        16 * PAGES - 1,
        (1 << 20) + 1,
        (4 << 20) + 5,
    ] {
        let handle = Handle::creating("", size);
        let stat = handle.stat().unwrap();
        let rounded = size.next_multiple_of(PAGES);
        assert_eq!((stat.size, stat.mapped_size), (size, rounded));
        assert!((1..=rounded / PAGES).contains(&stat.pieces.into()), "{stat:?}");
        assert_eq!(usage(), (1, rounded));
        assert_eq!(handle.seek(0, libc::SEEK_END), Ok(size));
        assert_eq!(handle.pwrite(b"ab", size as i64 - 1), Ok(1));
        refused(handle.pwrite(b"b", size as i64), Errno::ENOSPC);
        let mapping = handle.window(0, rounded as usize);
        assert_eq!(mapping.get(size as usize - 1), b'a');
        let past = handle.mmap(PAGE, super::READ, SHARED, rounded);
        refused(past, Errno::EINVAL);
    }
    assert_eq!(usage(), (0, 0));
}

fn a_size_of_zero_is_einval() {
    for text in ["frames", ""] {
        refused(Handle::rw().create(creation(text, 0)), Errno::EINVAL);
    }
    Handle::creating("frames", 100);
    refused(Handle::rw().create(creation("frames", 0)), Errno::EINVAL);
    remove("frames");
}

fn a_size_beyond_every_limit_is_enospc() {
    let handle = Handle::rw();
    for size in [
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - PAGE as u64,
        u64::MAX - PAGE as u64 + 2,
        1 << 63,
        (1 << 63) - 1,
        (1 << 63) + 1,
        1 << 62,
        1 << 52,
        (1 << 40) + 1,
        1 << 40,
    ] {
        for text in ["frames", ""] {
            refused(handle.create(creation(text, size)), Errno::ENOSPC);
        }
    }
    assert_eq!(usage(), (0, 0));
}

fn every_mode_is_kept() {
    for mode in 0..=0o777 {
        let handle = Handle::rw();
        handle
            .create(Create {
                mode,
                ..creation("", 1)
            })
            .unwrap();
        assert_eq!(handle.stat().unwrap().mode, mode);
    }
}

fn a_mode_above_0777_is_einval() {
    let handle = Handle::rw();
    let beyond = (9..32).flat_map(|bit| [1 << bit, 1 << bit | 0o644]);
    for mode in beyond.chain([u32::MAX]) {
        let create = Create {
            mode,
            ..creation("frames", 1)
        };
        refused(handle.create(create), Errno::EINVAL);
    }
}

fn an_unknown_flag_is_einval() {
    let handle = Handle::rw();
    let unknown = (4..32).flat_map(|bit| [1 << bit, 1 << bit | CREATE_EXCLUSIVE]);
    for flags in unknown.chain([u32::MAX]) {
        let create = Create {
            flags,
            ..creation("frames", 1)
        };
        refused(handle.create(create), Errno::EINVAL);
    }
}

fn a_reserved_field_that_is_not_zero_is_einval() {
    let handle = Handle::rw();
    for reserved in [1, 1 << 31, u32::MAX] {
        let create = Create {
            reserved,
            ..creation("frames", 1)
        };
        refused(handle.create(create), Errno::EINVAL);
    }
}

fn what_is_not_taken_is_ignored() {
    // `create` gives `id` and `status` all their bits.
    let made = Handle::rw().create(creation("frames", 1)).unwrap();
    assert_eq!(made.status, STATUS_CREATED);
    let again = Handle::rw().create(creation("frames", 1)).unwrap();
    assert_eq!((again.status, again.id), (0, made.id));
    remove("frames");
}

fn a_handle_that_is_attached_is_ebusy() {
    let created = Handle::creating("frames", 100);
    let opened = Handle::of("frames");
    let anonymous = Handle::creating("", 100);
    let default = Handle::rw();
    default.pread(&mut [0], 0).unwrap();
    for handle in [created, opened, anonymous, default] {
        for text in ["frames", "other", ""] {
            refused(handle.create(creation(text, 100)), Errno::EBUSY);
        }
        let twin = handle.dup();
        refused(twin.create(creation("other", 100)), Errno::EBUSY);
    }
    remove("frames");
    assert_eq!(usage(), (0, 0));
}

fn a_refused_creation_leaves_the_handle_free() {
    let handle = Handle::rw();
    let observer = Handle::creating("frames", 100);
    refused(handle.create(creation("frames", 101)), Errno::EINVAL);
    refused(handle.create(creation("other", u64::MAX)), Errno::ENOSPC);
    refused(
        handle.create(Create {
            flags: CREATE_EXCLUSIVE,
            ..creation("frames", 100)
        }),
        Errno::EEXIST,
    );
    assert_eq!(observer.stat().unwrap().handles, 1);
    assert_eq!(handle.fdinfo().len(), 1, "it has its token and nothing else");
    handle.create(creation("frames", 100)).unwrap();
    assert_eq!(observer.stat().unwrap().handles, 2);
    remove("frames");
}

fn an_existing_name_is_opened() {
    let first = Handle::rw();
    let made = first.create(creation("frames", 5000)).unwrap();
    first.pwrite(b"found", 0).unwrap();
    for size in [1, 4999, 5000] {
        let second = Handle::rw();
        let found = second.create(creation("frames", size)).unwrap();
        assert_eq!((found.status, found.size, found.id), (0, 5000, made.id));
        let mut bytes = [0; 5];
        second.pread(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"found");
    }
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    remove("frames");
}

fn an_existing_name_keeps_its_mode_and_flags() {
    let first = Handle::creating("frames", 5000);
    let second = Handle::rw();
    let asked = Create {
        mode: 0o777,
        flags: CREATE_AUTO_REMOVE,
        ..creation("frames", 100)
    };
    assert_eq!(second.create(asked).unwrap().status, 0);
    let stat = first.stat().unwrap();
    assert_eq!((stat.mode, stat.flags, stat.size), (0o600, mode().flag, 5000));
    drop((first, second));
    remove("frames");
}

fn an_existing_name_that_is_smaller_is_einval() {
    Handle::creating("frames", 5000);
    for size in [5001, 8192, 8193, 1 << 20] {
        refused(Handle::rw().create(creation("frames", size)), Errno::EINVAL);
    }
    remove("frames");
}

fn an_existing_name_with_exclusive_is_eexist() {
    Handle::creating("frames", 5000);
    let exclusive = Create {
        flags: CREATE_EXCLUSIVE,
        ..creation("frames", 5000)
    };
    refused(Handle::rw().create(exclusive), Errno::EEXIST);
    remove("frames");
    let made = Handle::rw().create(exclusive).unwrap();
    assert_eq!(made.status, STATUS_CREATED);
    remove("frames");
    // Without a name there is nothing that could exist.
    for _ in 0..2 {
        let anonymous = Create {
            flags: CREATE_EXCLUSIVE,
            ..creation("", 100)
        };
        Handle::rw().create(anonymous).unwrap();
    }
}

fn an_existing_name_without_the_right_is_eacces() {
    let owner = Handle::creating("frames", 100);
    let _node = OpenNode::new();
    for (mode, flags, right) in [
        (0o644, libc::O_RDONLY, true),
        (0o644, libc::O_WRONLY, false),
        (0o644, libc::O_RDWR, false),
        (0o622, libc::O_RDONLY, false),
        (0o622, libc::O_WRONLY, true),
        (0o622, libc::O_RDWR, false),
        (0o666, libc::O_RDWR, true),
        (0o660, libc::O_RDONLY, false),
        (0o660, libc::O_WRONLY, false),
    ] {
        owner.set_mode(THIS, mode).unwrap();
        USER.act(|| {
            let handle = Handle::open(flags).unwrap();
            let outcome = handle.create(creation("frames", 100));
            if right {
                assert_eq!(outcome.unwrap().status, 0, "{mode:o}, {flags}");
            } else {
                refused(outcome, Errno::EACCES);
            }
        });
    }
    remove("frames");
}

fn exclusive_says_eexist_even_without_the_right() {
    Handle::creating("frames", 100);
    let _node = OpenNode::new();
    USER.act(|| {
        let exclusive = Create {
            flags: CREATE_EXCLUSIVE,
            ..creation("frames", 100)
        };
        refused(Handle::rw().create(exclusive), Errno::EEXIST);
    });
    remove("frames");
}

fn the_mode_does_not_limit_who_creates() {
    let _node = OpenNode::new();
    USER.act(|| {
        let handle = Handle::rw();
        let create = Create {
            mode: 0,
            ..creation("frames", 100)
        };
        handle.create(create).unwrap();
        handle.pwrite(b"mine", 0).unwrap();
        handle.window(0, PAGE).write(0, b"mine");
        for flags in [libc::O_RDONLY, libc::O_WRONLY] {
            let other = Handle::open(flags).unwrap();
            refused(other.attach(by_name("frames")), Errno::EACCES);
        }
        handle.remove(THIS).unwrap();
    });
}

fn a_handle_of_every_access_mode_may_create() {
    for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
        let handle = Handle::open(flags).unwrap();
        handle.create(creation("frames", 100)).unwrap();
        let reads = handle.pread(&mut [0], 0);
        let writes = handle.pwrite(b"x", 0);
        assert_eq!(
            (reads.is_ok(), writes.is_ok()),
            (flags != libc::O_WRONLY, flags != libc::O_RDONLY)
        );
        drop(handle);
        remove("frames");
    }
}

fn anonymous_segments_do_not_meet() {
    let handles: Vec<_> = (0..3).map(|_| Handle::creating("", 100)).collect();
    for (index, handle) in (1..).zip(&handles) {
        handle.pwrite(&[index], 0).unwrap();
    }
    for (index, handle) in (1..).zip(&handles) {
        let mut byte = [0];
        handle.pread(&mut byte, 0).unwrap();
        assert_eq!(byte, [index]);
    }
    let ids: std::collections::BTreeSet<_> = handles.iter().map(Handle::id).collect();
    assert_eq!(ids.len(), 3);
}

fn the_default_segment_is_another_one() {
    let default = Handle::rw();
    default.pwrite(&[1; 16], 0).unwrap();
    let generation = default.generation();
    let handle = Handle::creating("frames", 1 << 20);
    handle.pwrite(&[2; 16], 0).unwrap();
    let mut bytes = [0; 16];
    default.pread(&mut bytes, 0).unwrap();
    assert_eq!((bytes, default.generation()), ([1; 16], generation));
    remove("frames");
}
