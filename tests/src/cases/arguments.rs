// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every ioctl does with commands and pointers that it cannot use, and with structures that others write.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{EndOf, READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::argument::COMMANDS;
use crate::sys::segments::{name, remove};
use crate::sys::{
    ABI_VERSION, ACCESS_READ, ACCESS_WRITE, Addr, Create, Errno, Handle, IOC_CREATE, IOC_INFO, IOC_LIST,
    IOC_OPEN, IOC_REMOVE, IOC_RESIZE, IOC_RESTRICT, IOC_SET, IOC_STAT, IOC_SYNC, IOC_WAITV, Info, List, Open,
    PAGE, Region, Remove, Resize, Restrict, SET_MODE, SIZE, STATUS_CREATED, SYNC_BEGIN, SYNC_END, Set, Stat,
    SyncRange, THIS, by_id, by_name, creation, usage,
};

tests![
    unknown_commands_are_enotty,
    a_pointer_that_cannot_be_used_is_efault,
    a_pointer_that_straddles_a_hole_is_efault,
    a_structure_may_end_where_the_page_ends,
    what_only_takes_needs_no_writable_structure,
    sync_gives_the_range_back_when_it_cannot_return,
    sync_end_that_cannot_return_has_ended_the_range,
    create_that_cannot_return_leaves_nothing_behind,
    open_that_cannot_return_leaves_the_handle_unattached,
    structures_may_lie_in_their_own_segment,
    management_calls_may_lie_in_their_own_segment,
    a_structure_may_change_during_the_call,
];

fn unknown_commands_are_enotty() {
    let handle = Handle::rw();
    let buffer = Region::anonymous(2 * PAGE);
    let known: Vec<u32> = COMMANDS.iter().map(|(command, _)| *command).collect();
    for &(command, size) in COMMANDS {
        let with_size = |size: usize| command & !(0x3fff << 16) | (size as u32) << 16;
        // Other size, direction, type.
        let others = (0..4)
            .map(|direction| command & !(3 << 30) | direction << 30)
            .chain([
                with_size(size + 8),
                with_size(size - 8),
                with_size(0),
                command ^ 0x100,
            ]);
        for other in others.filter(|other| *other != command) {
            refused(handle.ioctl(other, buffer.at(0)), Errno::ENOTTY);
        }
        // Other numbers of the same size.
        for number in 0..=255 {
            let other = command & !0xff | number;
            if !known.contains(&other) {
                refused(handle.ioctl(other, buffer.at(0)), Errno::ENOTTY);
            }
        }
    }
    for command in [0, u32::MAX] {
        refused(handle.ioctl(command, buffer.at(0)), Errno::ENOTTY);
    }
    for command in [libc::TCGETS, libc::FIONREAD, libc::TIOCGWINSZ] {
        refused(handle.ioctl(command as u32, buffer.at(0)), Errno::ENOTTY);
    }
    assert!(buffer.is_all(0), "an unknown command wrote something");
}

fn a_pointer_that_cannot_be_used_is_efault() {
    let handle = Handle::rw();
    let nothing = Region::anonymous(PAGE);
    nothing.protect(0, PAGE, libc::PROT_NONE).unwrap();
    for &(command, _) in COMMANDS {
        for address in [Addr::NULL, Addr::KERNEL, Addr::LAST, nothing.at(0)] {
            refused(handle.ioctl(command, address), Errno::EFAULT);
        }
    }
    // What returns something, with a structure that is right and cannot be written.
    Handle::creating("frames", 100);
    let read_only = Region::anonymous(2 * PAGE);
    read_only.place(0, &creation("other", 100));
    let open = Open {
        target: by_name("frames"),
        ..Open::default()
    };
    read_only.place(256, &open);
    read_only.protect(0, 2 * PAGE, READ).unwrap();
    for (command, offset) in [
        (IOC_INFO, 512),
        (IOC_STAT, 512),
        (IOC_LIST, PAGE),
        (IOC_CREATE, 0),
        (IOC_OPEN, 256),
    ] {
        refused(Handle::rw().ioctl(command, read_only.at(offset)), Errno::EFAULT);
    }
    remove("frames");
}

fn a_pointer_that_straddles_a_hole_is_efault() {
    let handle = Handle::rw();
    let pages = Region::with_hole(PAGE);
    for &(command, size) in COMMANDS {
        let touched = match command {
            // Only what is there to tell: now, one segment.
            IOC_LIST => 16 + size_of::<Stat>(),
            // Only as many words as it says.
            IOC_WAITV => 16,
            _ => size,
        };
        for inside in [1, 8, touched / 2, touched - 8, touched - 1] {
            // LIST leaves a cursor there.
            pages.write(0, &[0; PAGE]);
            refused(handle.ioctl(command, pages.at(PAGE - inside)), Errno::EFAULT);
        }
    }
    assert_eq!(handle.stat().unwrap().holders, 0);
    assert_eq!(usage(), (0, 0));
}

fn a_structure_may_end_where_the_page_ends() {
    let handle = Handle::rw();
    let pages = Region::with_hole(PAGE);
    for (command, size) in [
        (IOC_INFO, size_of::<Info>()),
        (IOC_STAT, size_of::<Stat>()),
        (IOC_LIST, size_of::<List>()),
        (IOC_LIST, 16 + size_of::<Stat>()),
    ] {
        pages.write(0, &[0; PAGE]);
        handle.ioctl(command, pages.at(PAGE - size)).unwrap();
    }
    let place = PAGE - size_of::<Create>();
    pages.place(place, &creation("frames", 100));
    Handle::rw().ioctl(IOC_CREATE, pages.at(place)).unwrap();
    let remove = Remove {
        target: by_name("frames"),
    };
    let place = PAGE - size_of::<Remove>();
    pages.place(place, &remove);
    handle.ioctl(IOC_REMOVE, pages.at(place)).unwrap();
}

fn what_only_takes_needs_no_writable_structure() {
    let handle = Handle::creating("frames", 100);
    let pages = Region::anonymous(PAGE);
    let set = Set {
        fields: SET_MODE,
        mode: 0o640,
        ..Set::default()
    };
    let resize = Resize {
        size: 5000,
        ..Resize::default()
    };
    let restrict = Restrict {
        len: u64::MAX,
        access: ACCESS_READ,
        ..Restrict::default()
    };
    pages.place(0, &set);
    pages.place(256, &resize);
    pages.place(512, &Remove::default());
    pages.place(768, &restrict);
    pages.protect(0, PAGE, READ).unwrap();
    for (command, offset) in [
        (IOC_SET, 0),
        (IOC_RESIZE, 256),
        (IOC_REMOVE, 512),
        (IOC_RESTRICT, 768),
    ] {
        handle.ioctl(command, pages.at(offset)).unwrap();
    }
    let stat = handle.stat().unwrap();
    assert_eq!((stat.mode, stat.size), (0o640, 5000));
}

fn sync_gives_the_range_back_when_it_cannot_return() {
    let handle = Handle::rw();
    let generation = handle.generation();
    let pages = Region::anonymous(PAGE);
    let range = SyncRange {
        len: 8,
        op: SYNC_BEGIN,
        access: ACCESS_WRITE,
        ..SyncRange::default()
    };
    pages.place(0, &range);
    pages.protect(0, PAGE, READ).unwrap();
    refused(handle.ioctl(IOC_SYNC, pages.at(0)), Errno::EFAULT);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (0, 0), "the range is still held");
    assert_eq!(stat.generation, generation, "nothing was written");
    let begun = Handle::rw()
        .begin(ACCESS_WRITE, 0, 8, 0)
        .expect("the range is free");
    assert_eq!(begun.status, 0, "nobody died");
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
}

fn sync_end_that_cannot_return_has_ended_the_range() {
    let handle = Handle::rw();
    let generation = handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap().generation;
    let pages = Region::anonymous(PAGE);
    let range = SyncRange {
        len: 8,
        op: SYNC_END,
        access: ACCESS_WRITE,
        ..SyncRange::default()
    };
    pages.place(0, &range);
    pages.protect(0, PAGE, READ).unwrap();
    refused(handle.ioctl(IOC_SYNC, pages.at(0)), Errno::EFAULT);
    refused(handle.end(ACCESS_WRITE, 0, 8), Errno::ENOENT);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (0, 0));
    assert_eq!(stat.generation, generation + 1, "it was a completed write");
    let begun = Handle::rw()
        .begin(ACCESS_WRITE, 0, 8, 0)
        .expect("the range is free");
    assert_eq!(begun.status, 0, "nobody died");
}

fn create_that_cannot_return_leaves_nothing_behind() {
    let pages = Region::anonymous(PAGE);
    for text in ["frames", ""] {
        pages.protect(0, PAGE, READ | WRITE).unwrap();
        pages.place(0, &creation(text, 5 * PAGE as u64));
        pages.protect(0, PAGE, READ).unwrap();
        let handle = Handle::rw();
        refused(handle.ioctl(IOC_CREATE, pages.at(0)), Errno::EFAULT);
        assert_eq!(usage(), (0, 0), "with the name {text:?}");
        let made = handle
            .create(creation("frames", 100))
            .expect("the handle is not attached, the name is free");
        assert_eq!(made.status, STATUS_CREATED);
        remove("frames");
    }
}

fn open_that_cannot_return_leaves_the_handle_unattached() {
    let other = Handle::creating("frames", 100);
    let pages = Region::anonymous(PAGE);
    let open = Open {
        target: by_name("frames"),
        ..Open::default()
    };
    pages.place(0, &open);
    pages.place(256, &creation("frames", 100));
    pages.protect(0, PAGE, READ).unwrap();
    for (command, offset) in [(IOC_OPEN, 0), (IOC_CREATE, 256)] {
        let handle = Handle::rw();
        refused(handle.ioctl(command, pages.at(offset)), Errno::EFAULT);
        assert_eq!(other.stat().unwrap().handles, 1);
        handle.attach(by_name("frames")).expect("it is not attached");
        assert_eq!(other.stat().unwrap().handles, 2);
    }
    remove("frames");
}

fn structures_may_lie_in_their_own_segment() {
    let handle = Handle::rw();
    let mapping = handle.mmap(PAGE, READ | WRITE, SHARED, 0).unwrap();
    mapping.fill(0);
    handle.ioctl(IOC_INFO, mapping.at(0)).unwrap();
    assert_eq!(mapping.read(0, 4), ABI_VERSION.to_ne_bytes());
    handle.ioctl(IOC_STAT, mapping.at(256)).unwrap();
    assert_eq!(mapping.fetch::<Stat>(256).size, SIZE as u64);
    // The range covers the very structure that asks for it.
    let range = SyncRange {
        len: PAGE as u64,
        op: SYNC_BEGIN,
        access: ACCESS_WRITE,
        ..SyncRange::default()
    };
    mapping.place(512, &range);
    handle.ioctl(IOC_SYNC, mapping.at(512)).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 1);
    mapping.place(
        512,
        &SyncRange {
            op: SYNC_END,
            ..range
        },
    );
    handle.ioctl(IOC_SYNC, mapping.at(512)).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 0);
}

fn management_calls_may_lie_in_their_own_segment() {
    let handle = Handle::creating("frames", 2 * PAGE as u64);
    let mapping = handle.window(0, 2 * PAGE);
    let id = handle.id();
    let open = Open {
        target: by_id(id),
        ..Open::default()
    };
    mapping.place(0, &open);
    Handle::rw().ioctl(IOC_OPEN, mapping.at(0)).unwrap();
    assert_eq!(mapping.fetch::<Open>(0).target.name, name("frames"));
    mapping.place(0, &creation("frames", 100));
    Handle::rw().ioctl(IOC_CREATE, mapping.at(0)).unwrap();
    assert_eq!(mapping.fetch::<Create>(0).id, id);
    mapping.place(0, &creation("other", 100));
    Handle::rw().ioctl(IOC_CREATE, mapping.at(0)).unwrap();
    remove("other");
    mapping.fill(0);
    handle.ioctl(IOC_LIST, mapping.at(0)).unwrap();
    let list: List = mapping.fetch(0);
    assert_eq!((list.count, list.segments[1].target.id), (2, id));
    let set = Set {
        fields: SET_MODE,
        mode: 0o700,
        ..Set::default()
    };
    mapping.place(0, &set);
    handle.ioctl(IOC_SET, mapping.at(0)).unwrap();
    let resize = Resize {
        size: 9 * PAGE as u64,
        ..Resize::default()
    };
    mapping.place(0, &resize);
    handle.ioctl(IOC_RESIZE, mapping.at(0)).unwrap();
    mapping.place(0, &Remove::default());
    handle.ioctl(IOC_REMOVE, mapping.at(0)).unwrap();
    let restrict = Restrict {
        len: 1,
        access: ACCESS_READ,
        ..Restrict::default()
    };
    mapping.place(0, &restrict);
    handle.ioctl(IOC_RESTRICT, mapping.at(0)).unwrap();
    let stat = handle.stat().unwrap();
    assert_eq!((stat.mode, stat.size), (0o700, 9 * PAGE as u64));
}

/// Another thread rewrites the structure between good and bad. Whatever the call saw, it saw one of them.
fn a_structure_may_change_during_the_call() {
    let pages = Region::anonymous(PAGE);
    let done = AtomicBool::new(false);
    let size_at = std::mem::offset_of!(Create, size);
    pages.place(0, &creation("frames", PAGE as u64));
    std::thread::scope(|scope| {
        let _end = EndOf(&done);
        scope.spawn(|| {
            for round in 0_u64.. {
                // A name that is none and one that has no end; sizes from nothing to everything.
                pages.set(6, [0, b'/', b'x'][round as usize % 3]);
                pages.set(63, [0, b'x'][round as usize % 2]);
                let size = [1, 0, u64::MAX, 4097, 1 << 63][round as usize % 5];
                pages.u64(size_at).store(size, Ordering::Relaxed);
                pages.u32(256 + 72).store(round as u32 % 4, Ordering::Relaxed);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..300 {
            let handle = Handle::rw();
            match handle.ioctl(IOC_CREATE, pages.at(0)) {
                Ok(()) => {
                    // Whatever mixture of sizes it read, that is the one that was checked, made and counted.
                    let stat = handle.stat().unwrap();
                    assert_eq!(stat.mapped_size, stat.size.next_multiple_of(PAGE as u64));
                    assert_eq!(usage(), (1, stat.mapped_size));
                    handle.remove(THIS).unwrap();
                }
                Err(Errno::EINVAL | Errno::ENAMETOOLONG | Errno::ENOSPC) => (),
                Err(error) => panic!("{error}"),
            }
            pages.place(256, &Stat::default());
            match handle.ioctl(IOC_STAT, pages.at(256)) {
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => (),
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(usage(), (0, 0));
}
