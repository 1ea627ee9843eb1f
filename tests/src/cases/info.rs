// SPDX-License-Identifier: MIT OR Apache-2.0

//! INFO, STAT, and what every ioctl does with commands and pointers that it cannot use.

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::{
    ABI_VERSION, ACCESS_READ, ACCESS_WRITE, Addr, Errno, FEATURE_POLL, FEATURE_SYNC, Handle, IOC_INFO,
    IOC_STAT, IOC_SYNC, PAGE, Region, SIZE, SYNC_BEGIN, SYNC_END, SyncRange,
};

tests![
    info_tells_version_limits_and_token,
    info_and_stat_write_their_whole_structures,
    every_access_mode_may_ask,
    stat_of_the_untouched_segment,
    stat_counts_mappings_ranges_and_writes,
    unknown_commands_are_enotty,
    a_pointer_that_cannot_be_written_is_efault,
    a_pointer_that_straddles_a_hole_is_efault,
    sync_gives_the_range_back_when_it_cannot_return,
    sync_end_that_cannot_return_has_ended_the_range,
    structures_may_lie_in_their_own_segment,
];

fn info_tells_version_limits_and_token() {
    let info = Handle::rw().info().unwrap();
    assert_eq!(info.abi_version, ABI_VERSION);
    assert_eq!(info.page_size as usize, PAGE);
    assert_eq!(info.features, FEATURE_SYNC | FEATURE_POLL);
    assert_eq!(info.default_size as usize, SIZE);
    assert_eq!(info.max_ranges, 1024);
    assert_ne!(info.token, 0);
    assert_eq!(info.reserved, [0; 4]);
}

fn info_and_stat_write_their_whole_structures() {
    let handle = Handle::rw();
    for (command, size) in [(IOC_INFO, 64), (IOC_STAT, 128)] {
        let buffer = Region::anonymous(PAGE);
        let read = |fill| {
            buffer.fill(fill);
            handle.ioctl(command, buffer.at(0)).unwrap();
            assert!(
                buffer.read(size, PAGE - size).iter().all(|&byte| byte == fill),
                "wrote past its structure"
            );
            buffer.read(0, size)
        };
        assert_eq!(read(0), read(0xff), "some bytes of the structure are not written");
    }
}

fn every_access_mode_may_ask() {
    for handle in [Handle::ro(), Handle::wo(), Handle::rw()] {
        handle.info().unwrap();
        assert_eq!(handle.stat().unwrap().size as usize, SIZE);
    }
}

fn stat_of_the_untouched_segment() {
    let stat = Handle::rw().stat().unwrap();
    assert_eq!(stat.id, 0);
    assert_eq!(stat.size as usize, SIZE);
    assert_eq!(stat.mapped_size as usize, SIZE);
    assert_eq!(
        (stat.nattch, stat.handles, stat.holders, stat.waiters),
        (0, 1, 0, 0)
    );
    assert!(
        (1..=(SIZE / PAGE) as u32).contains(&stat.pieces),
        "{} pieces",
        stat.pieces
    );
    assert_eq!((stat.flags, stat.reserved), (0, [0; 8]));
}

fn stat_counts_mappings_ranges_and_writes() {
    let handle = Handle::rw();
    let before = handle.stat().unwrap();
    let mappings = [handle.window(0, PAGE), handle.window(PAGE, PAGE), handle.whole()];
    handle.begin(ACCESS_READ, 0, 8, 0).unwrap();
    handle.begin(ACCESS_WRITE, 8, 8, 0).unwrap();
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.nattch, stat.holders, stat.generation),
        (3, 2, before.generation)
    );
    handle.end(ACCESS_READ, 0, 8).unwrap();
    handle.end(ACCESS_WRITE, 8, 8).unwrap();
    handle.pwrite(b"x", 0).unwrap();
    drop(mappings);
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.nattch, stat.holders, stat.generation),
        (0, 0, before.generation + 2)
    );
}

fn unknown_commands_are_enotty() {
    let handle = Handle::rw();
    let buffer = Region::anonymous(PAGE);
    let other_size = IOC_INFO + (8 << 16);
    let other_direction = IOC_STAT ^ (3 << 30);
    let other_type = IOC_INFO ^ 0x100;
    for command in [
        IOC_SYNC + 1,
        IOC_INFO + 0x80,
        other_size,
        other_direction,
        other_type,
        0,
        u32::MAX,
    ] {
        refused(handle.ioctl(command, buffer.at(0)), Errno::ENOTTY);
    }
    for command in [libc::TCGETS, libc::FIONREAD, libc::TIOCGWINSZ] {
        refused(handle.ioctl(command as u32, buffer.at(0)), Errno::ENOTTY);
    }
    assert!(buffer.is_all(0), "an unknown command wrote something");
}

fn a_pointer_that_cannot_be_written_is_efault() {
    let handle = Handle::rw();
    let read_only = Region::anonymous(PAGE);
    read_only.protect(0, PAGE, READ).unwrap();
    let nothing = Region::anonymous(PAGE);
    nothing.protect(0, PAGE, libc::PROT_NONE).unwrap();
    for command in [IOC_INFO, IOC_STAT, IOC_SYNC] {
        for address in [Addr::NULL, Addr::KERNEL, nothing.at(0)] {
            refused(handle.ioctl(command, address), Errno::EFAULT);
        }
    }
    refused(handle.ioctl(IOC_INFO, read_only.at(0)), Errno::EFAULT);
    refused(handle.ioctl(IOC_STAT, read_only.at(0)), Errno::EFAULT);
}

fn a_pointer_that_straddles_a_hole_is_efault() {
    let handle = Handle::rw();
    let pages = Region::with_hole(PAGE);
    for command in [IOC_INFO, IOC_STAT, IOC_SYNC] {
        refused(handle.ioctl(command, pages.at(PAGE - 8)), Errno::EFAULT);
    }
    handle
        .ioctl(IOC_INFO, pages.at(PAGE - 64))
        .expect("a structure that ends where the page ends");
    assert_eq!(handle.stat().unwrap().holders, 0);
}

/// A `SyncRange` in raw pages: byte range, deadline, generation, operation, access, flags, status.
pub(super) fn place(pages: &Region, at: usize, range: SyncRange) {
    for (index, word) in [range.offset, range.len, range.deadline_ns, range.generation]
        .iter()
        .enumerate()
    {
        pages.write(at + 8 * index, &word.to_ne_bytes());
    }
    for (index, word) in [range.op, range.access, range.flags, range.status]
        .iter()
        .enumerate()
    {
        pages.write(at + 32 + 4 * index, &word.to_ne_bytes());
    }
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
    place(&pages, 0, range);
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
    place(
        &pages,
        0,
        SyncRange {
            len: 8,
            op: SYNC_END,
            access: ACCESS_WRITE,
            ..SyncRange::default()
        },
    );
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

fn structures_may_lie_in_their_own_segment() {
    let handle = Handle::rw();
    let mapping = handle.mmap(PAGE, READ | WRITE, SHARED, 0).unwrap();
    handle.ioctl(IOC_INFO, mapping.at(0)).unwrap();
    assert_eq!(mapping.read(0, 4), ABI_VERSION.to_ne_bytes());
    handle.ioctl(IOC_STAT, mapping.at(256)).unwrap();
    assert_eq!(mapping.read(256 + 8, 8), (SIZE as u64).to_ne_bytes());
    // The range covers the very structure that asks for it.
    let range = SyncRange {
        len: PAGE as u64,
        op: SYNC_BEGIN,
        access: ACCESS_WRITE,
        ..SyncRange::default()
    };
    place(&mapping, 512, range);
    handle.ioctl(IOC_SYNC, mapping.at(512)).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 1);
    place(
        &mapping,
        512,
        SyncRange {
            op: SYNC_END,
            ..range
        },
    );
    handle.ioctl(IOC_SYNC, mapping.at(512)).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 0);
}
