// SPDX-License-Identifier: MIT OR Apache-2.0

//! 32-bit callers of the calls about segments: the same structures, the same results, the same errnos.

use super::refused;
use crate::harness::tests;
use crate::sys::argument::{Argument, COMMANDS};
use crate::sys::segments::name;
use crate::sys::{
    ACCESS_READ, Addr, CREATE_EXCLUSIVE, Create, Errno, Handle, LIST_MAX, List, Open, PAGE, Region, Remove,
    Resize, Restrict, Result, SET_GID, SET_MODE, SET_UID, STATUS_CREATED, Set, Stat, THIS, by_id, by_name,
    compat, creation, usage,
};

tests![
    a_segment_lives_its_life_in_32_bits needs [Compat],
    every_answer_is_the_same needs [Compat],
    refusals_are_the_same needs [Compat],
    large_numbers_are_not_cut_off needs [Compat],
    bad_pointers_and_unknown_commands_are_the_same needs [Compat],
];

/// Pages below 4 GiB, and calls with a structure in them.
struct Caller(Region);

impl Caller {
    fn new() -> Caller {
        Caller(Region::low(2 * PAGE))
    }

    /// The command of this structure; what came back.
    fn call<T: Argument>(&self, handle: &Handle, argument: T) -> Result<T> {
        self.0.place(0, &argument);
        assert_eq!(compat::ioctl(handle, T::COMMAND, self.0.at(0))?, 0);
        Ok(self.0.fetch(0))
    }
}

fn list_from(cursor: u64) -> List {
    List {
        cursor,
        count: 0,
        flags: 0,
        segments: [Stat::default(); LIST_MAX],
    }
}

fn a_segment_lives_its_life_in_32_bits() {
    let (caller, handle) = (Caller::new(), Handle::rw());
    let made = caller.call(&handle, creation("frames", 5000)).unwrap();
    assert_eq!((made.status, made.size), (STATUS_CREATED, 5000));
    let opened = caller
        .call(
            &Handle::rw(),
            Open {
                target: by_id(made.id),
                ..Open::default()
            },
        )
        .unwrap();
    assert_eq!((opened.target.name, opened.size), (name("frames"), 5000));
    let set = Set {
        target: by_name("frames"),
        fields: SET_UID | SET_GID | SET_MODE,
        uid: 1000,
        gid: 2000,
        mode: 0o640,
    };
    caller.call(&handle, set).unwrap();
    let resize = Resize {
        target: THIS,
        size: 9000,
        reserved: 0,
    };
    caller.call(&handle, resize).unwrap();
    let stat = caller.call(&handle, Stat::default()).unwrap();
    assert_eq!((stat.size, stat.mapped_size), (9000, 12288));
    assert_eq!((stat.uid, stat.gid, stat.mode), (1000, 2000, 0o640));
    let list = caller.call(&handle, list_from(0)).unwrap();
    assert_eq!((list.count, list.segments[1].target.id), (2, made.id));
    assert_eq!(list.segments[1].size, 9000);
    let restrict = Restrict {
        offset: 100,
        len: 50,
        access: ACCESS_READ,
        flags: 0,
    };
    caller.call(&handle, restrict).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(150));
    let remove = Remove {
        target: by_name("frames"),
    };
    caller.call(&Handle::rw(), remove).unwrap();
    refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    drop(handle);
    assert_eq!(usage(), (0, 0));
}

/// Byte by byte what a 64-bit process gets.
fn every_answer_is_the_same() {
    fn same<T: Argument + std::fmt::Debug + PartialEq>(handle: &Handle, argument: T) {
        let by_32_bits = Caller::new().call(handle, argument).unwrap();
        let mut by_64_bits = argument;
        handle.call(&mut by_64_bits).unwrap();
        assert_eq!(by_32_bits, by_64_bits);
    }
    let handle = Handle::creating("frames", 5000);
    let stat_of = |target| Stat {
        target,
        ..Stat::default()
    };
    for target in [THIS, by_id(0), by_id(handle.id()), by_name("frames")] {
        same(&handle, stat_of(target));
    }
    same(&handle, list_from(0));
    same(&handle, list_from(1));
    same(&handle, list_from(u64::MAX));
    crate::sys::segments::remove("frames");
}

fn refusals_are_the_same() {
    let (caller, handle) = (Caller::new(), Handle::creating("frames", 5000));
    let other = Handle::rw();
    let by_32_bits = |create: Create| caller.call(&other, create).map(drop);
    refused(by_32_bits(creation("a/b", 100)), Errno::EINVAL);
    refused(by_32_bits(creation([b'n'; 64], 100)), Errno::ENAMETOOLONG);
    refused(by_32_bits(creation("frames", 5001)), Errno::EINVAL);
    refused(by_32_bits(creation("other", 0)), Errno::EINVAL);
    refused(by_32_bits(creation("other", 1 << 63)), Errno::ENOSPC);
    refused(
        by_32_bits(Create {
            flags: CREATE_EXCLUSIVE,
            ..creation("frames", 100)
        }),
        Errno::EEXIST,
    );
    refused(caller.call(&handle, creation("other", 100)), Errno::EBUSY);
    let open = |target| Open {
        target,
        ..Open::default()
    };
    refused(caller.call(&other, open(by_name("other"))), Errno::ENOENT);
    refused(caller.call(&other, open(THIS)), Errno::EINVAL);
    let anonymous = Handle::creating("", 100);
    refused(caller.call(&other, open(by_id(anonymous.id()))), Errno::ENOENT);
    crate::sys::segments::remove("frames");
    refused(caller.call(&other, open(by_id(handle.id()))), Errno::EIDRM);
    refused(caller.call(&handle, Remove { target: THIS }), Errno::EIDRM);
    refused(caller.call(&other, Remove { target: by_id(0) }), Errno::EINVAL);
    let resize = |size| Resize {
        target: THIS,
        size,
        reserved: 0,
    };
    refused(caller.call(&handle, resize(0)), Errno::EINVAL);
    let _mapping = handle.window(0, PAGE);
    refused(caller.call(&handle, resize(1)), Errno::EBUSY);
    let restrict = |len, access| Restrict {
        offset: 10,
        len,
        access,
        flags: 0,
    };
    refused(caller.call(&handle, restrict(0, ACCESS_READ)), Errno::EINVAL);
    refused(caller.call(&handle, restrict(10, 0)), Errno::EINVAL);
    caller.call(&handle, restrict(10, ACCESS_READ)).unwrap();
    refused(caller.call(&handle, restrict(11, ACCESS_READ)), Errno::EACCES);
    refused(caller.call(&handle, list_from(0)), Errno::EACCES);
}

fn large_numbers_are_not_cut_off() {
    let (caller, handle) = (Caller::new(), Handle::rw());
    // 2^32 more is another number, not the same one.
    refused(
        caller.call(&handle, creation("frames", (1 << 40) + 4096)),
        Errno::ENOSPC,
    );
    let made = caller.call(&handle, creation("frames", 100)).unwrap();
    let open = Open {
        target: by_id(made.id + (1 << 32)),
        ..Open::default()
    };
    refused(caller.call(&Handle::rw(), open), Errno::ENOENT);
    let resize = Resize {
        target: THIS,
        size: (1 << 40) + 4096,
        reserved: 0,
    };
    refused(caller.call(&handle, resize), Errno::ENOSPC);
    let list = caller.call(&handle, list_from((1 << 32) + made.id)).unwrap();
    assert_eq!(list.count, 0);
    let restrict = Restrict {
        offset: 1 << 32,
        len: u64::MAX,
        access: ACCESS_READ,
        flags: 0,
    };
    caller.call(&handle, restrict).unwrap();
    refused(handle.pread(&mut [0], 0), Errno::EACCES);
    crate::sys::segments::remove("frames");
}

fn bad_pointers_and_unknown_commands_are_the_same() {
    let handle = Handle::rw();
    let low = Region::low(2 * PAGE);
    low.unmap(PAGE, PAGE).unwrap();
    for &(command, size) in COMMANDS {
        for address in [Addr::NULL, low.at(PAGE), low.at(PAGE - 8)] {
            refused(compat::ioctl(&handle, command, address), Errno::EFAULT);
        }
        for other in [
            command ^ 0x100,
            command ^ (1 << 30),
            command + (8 << 16),
            command | 0x80,
        ] {
            refused(compat::ioctl(&handle, other, low.at(0)), Errno::ENOTTY);
        }
        assert!(size < PAGE);
    }
}
