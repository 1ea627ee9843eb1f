// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mprotect`, `mremap`, `msync`, `munmap` of parts, and personalities: what can be done to a mapping later.

use super::{EXEC, PRIVATE, READ, SHARED, WRITE, agrees, faults, refused};
use crate::harness::tests;
use crate::sys::{Addr, Errno, Handle, PAGE, Process, Region, SIZE, mode, signal};

tests![
    mprotect_cannot_make_a_read_only_handles_mapping_writable,
    mprotect_makes_a_private_mapping_writable_where_it_can_be_a_copy,
    mprotect_cannot_make_anything_executable,
    mprotect_can_take_rights_away_and_give_them_back,
    mprotect_of_a_part_splits_and_counts,
    read_implies_exec_maps_without_exec,
    mremap_shrinks_in_place,
    mremap_moves_with_the_bytes,
    mremap_moves_a_part,
    mremap_moves_over_another_mapping,
    mremap_moves_one_area_at_a_time,
    mremap_cannot_grow,
    mremap_cannot_grow_over_the_end_of_the_segment,
    mremap_cannot_duplicate,
    mremap_cannot_keep_the_old_place,
    munmap_of_the_middle_counts_both_ends,
    #[slow]
    munmap_of_the_middle_again_and_again,
    munmap_page_by_page_ends_at_zero,
    munmap_without_room_for_another_area_changes_nothing,
    remap_file_pages_stays_inside_the_segment,
    msync_succeeds,
];

fn mprotect_cannot_make_a_read_only_handles_mapping_writable() {
    let mapping = Handle::ro().mmap(2 * PAGE, READ, SHARED, 0).unwrap();
    refused(mapping.protect(0, 2 * PAGE, READ | WRITE), Errno::EACCES);
    refused(mapping.protect(PAGE, PAGE, WRITE), Errno::EACCES);
    // Not by a detour over no rights at all either.
    mapping.protect(0, 2 * PAGE, libc::PROT_NONE).unwrap();
    refused(mapping.protect(0, 2 * PAGE, READ | WRITE), Errno::EACCES);
    mapping.protect(0, 2 * PAGE, READ).unwrap();
    mapping.get(PAGE);
}

fn mprotect_makes_a_private_mapping_writable_where_it_can_be_a_copy() {
    for handle in [Handle::ro(), Handle::rw()] {
        for prot in [READ, libc::PROT_NONE] {
            let mapping = handle.mmap(PAGE, prot, PRIVATE, 0).unwrap();
            agrees(mapping.protect(0, PAGE, READ | WRITE), mode().copies_later);
            agrees(mapping.protect(0, PAGE, WRITE), mode().copies_later);
        }
    }
}

fn mprotect_cannot_make_anything_executable() {
    let handle = Handle::rw();
    for flags in [SHARED, PRIVATE] {
        let mapping = handle.mmap(PAGE, READ, flags, 0).unwrap();
        refused(mapping.protect(0, PAGE, READ | EXEC), Errno::EACCES);
        refused(mapping.protect(0, PAGE, EXEC), Errno::EACCES);
    }
}

fn mprotect_can_take_rights_away_and_give_them_back() {
    let mapping = Handle::rw().window(0, PAGE);
    mapping.set(0, 7);
    mapping.protect(0, PAGE, READ).unwrap();
    faults(|| mapping.set(0, 8));
    mapping.protect(0, PAGE, libc::PROT_NONE).unwrap();
    faults(|| _ = mapping.get(0));
    mapping.protect(0, PAGE, READ | WRITE).unwrap();
    assert_eq!(mapping.get(0), 7);
    mapping.set(0, 9);
}

fn mprotect_of_a_part_splits_and_counts() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 3 * PAGE);
    mapping.protect(PAGE, PAGE, READ).unwrap();
    assert_eq!(handle.nattch(), 3, "three lines of /proc/self/maps");
    faults(|| mapping.set(PAGE, 1));
    mapping.set(0, 1);
    mapping.set(2 * PAGE, 1);
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn read_implies_exec_maps_without_exec() {
    const READ_IMPLIES_EXEC: i32 = 0x0040_0000;
    let handle = Handle::rw();
    handle.pwrite(&[0xc3], 0).unwrap();
    Process::fork(|| {
        signal::set_personality(READ_IMPLIES_EXEC);
        for flags in [SHARED, PRIVATE] {
            let mapping = handle
                .mmap(PAGE, READ, flags, 0)
                .expect("the mapping, without exec");
            let start = format!("{:x}-", mapping.at(0).get());
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let line = maps.lines().find(|line| line.starts_with(&start)).unwrap();
            let rights = line.split(' ').nth(1).unwrap();
            assert!(rights.starts_with("r--"), "{line}");
            assert_eq!(mapping.get(0), 0xc3);
            refused(mapping.protect(0, PAGE, READ | EXEC), Errno::EACCES);
        }
    })
    .join();
    assert_eq!(handle.nattch(), 0);
}

fn mremap_shrinks_in_place() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.fill(3);
    let smaller = mapping.remap(0, SIZE, PAGE, 0, Addr::NULL).unwrap();
    assert_eq!(smaller.at(0), mapping.at(0));
    assert_eq!(handle.nattch(), 1);
    assert!(smaller.is_all(3));
    faults(|| _ = mapping.get(PAGE));
    mapping.leak();
    drop(smaller);
    assert_eq!(handle.nattch(), 0);
}

fn mremap_moves_with_the_bytes() {
    let handle = Handle::rw();
    let room = Region::anonymous(SIZE);
    let mapping = handle.whole();
    for page in 0..SIZE / PAGE {
        mapping.set(page * PAGE + 1, page as u8);
    }
    let moved = mapping
        .remap(
            0,
            SIZE,
            SIZE,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            room.at(0),
        )
        .unwrap();
    assert_eq!(moved.at(0), room.at(0));
    assert_eq!(handle.nattch(), 1);
    for page in 0..SIZE / PAGE {
        assert_eq!(moved.get(page * PAGE + 1), page as u8, "page {page}");
    }
    moved.set(0, 0x77);
    let mut byte = [0];
    handle.pread(&mut byte, 0).unwrap();
    assert_eq!(byte, [0x77], "the moved mapping is the segment still");
    faults(|| _ = mapping.get(0));
    room.leak();
    mapping.leak();
    drop(moved);
    assert_eq!(handle.nattch(), 0);
}

fn mremap_moves_a_part() {
    let handle = Handle::rw();
    let room = Region::anonymous(PAGE);
    let mapping = handle.window(0, 3 * PAGE);
    (0..3).for_each(|page| mapping.set(page * PAGE, page as u8 + 1));
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let moved = mapping.remap(PAGE, PAGE, PAGE, flags, room.at(0)).unwrap();
    assert_eq!(handle.nattch(), 3, "left, right, and the moved middle");
    assert_eq!((mapping.get(0), moved.get(0), mapping.get(2 * PAGE)), (1, 2, 3));
    faults(|| _ = mapping.get(PAGE));
    room.leak();
    drop(moved);
    assert_eq!(handle.nattch(), 2);
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn mremap_moves_over_another_mapping() {
    let handle = Handle::rw();
    let (first, second) = (handle.window(0, PAGE), handle.window(PAGE, PAGE));
    first.set(0, 1);
    second.set(0, 2);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let moved = first.remap(0, PAGE, PAGE, flags, second.at(0)).unwrap();
    assert_eq!((moved.get(0), handle.nattch()), (1, 1));
    first.leak();
    second.leak();
    drop(moved);
    assert_eq!(handle.nattch(), 0);
}

/// The kernel moves several at once only where it places files as it likes.
fn mremap_moves_one_area_at_a_time() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 2 * PAGE);
    mapping.set(0, 1);
    mapping.protect(PAGE, PAGE, READ).unwrap();
    let room = Region::anonymous(2 * PAGE);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    refused(
        mapping.remap(0, 2 * PAGE, 2 * PAGE, flags, room.at(0)),
        Errno::EFAULT,
    );
    assert_eq!((handle.nattch(), mapping.get(0)), (2, 1));
}

fn mremap_cannot_grow() {
    let handle = Handle::rw();
    let mapping = handle.window(0, PAGE);
    for flags in [0, libc::MREMAP_MAYMOVE] {
        refused(mapping.remap(0, PAGE, 2 * PAGE, flags, Addr::NULL), Errno::EFAULT);
    }
    assert_eq!(handle.nattch(), 1);
    mapping.set(0, 1);
}

fn mremap_cannot_grow_over_the_end_of_the_segment() {
    let mapping = Handle::rw().whole();
    refused(
        mapping.remap(0, SIZE, 2 * SIZE, libc::MREMAP_MAYMOVE, Addr::NULL),
        Errno::EFAULT,
    );
}

fn mremap_cannot_duplicate() {
    let handle = Handle::rw();
    let mapping = handle.window(0, PAGE);
    refused(
        mapping.remap(0, 0, PAGE, libc::MREMAP_MAYMOVE, Addr::NULL),
        Errno::EFAULT,
    );
    assert_eq!(handle.nattch(), 1);
}

fn mremap_cannot_keep_the_old_place() {
    let handle = Handle::rw();
    let mapping = handle.window(0, PAGE);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
    refused(mapping.remap(0, PAGE, PAGE, flags, Addr::NULL), Errno::EINVAL);
    assert_eq!(handle.nattch(), 1);
}

fn munmap_of_the_middle_counts_both_ends() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 3 * PAGE);
    mapping.unmap(PAGE, PAGE).unwrap();
    assert_eq!(handle.nattch(), 2);
    mapping.unmap(0, PAGE).unwrap();
    assert_eq!(handle.nattch(), 1);
    mapping.set(2 * PAGE, 1);
    mapping.unmap(0, 3 * PAGE).unwrap();
    assert_eq!(handle.nattch(), 0);
}

fn munmap_of_the_middle_again_and_again() {
    let handle = Handle::rw();
    for round in 0..10 {
        let mapping = handle.whole();
        // Every odd page goes, then every even one.
        for page in (1..SIZE / PAGE).step_by(2) {
            mapping.unmap(page * PAGE, PAGE).unwrap();
            let expected = page.div_ceil(2) + usize::from(page + 1 < SIZE / PAGE);
            assert_eq!(handle.nattch(), expected as u64, "round {round}, page {page}");
        }
        mapping.set((SIZE / PAGE - 2) * PAGE, 1);
        drop(mapping);
        assert_eq!(handle.nattch(), 0);
    }
}

fn munmap_page_by_page_ends_at_zero() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    for page in 0..SIZE / PAGE - 1 {
        mapping.unmap(page * PAGE, PAGE).unwrap();
        assert_eq!(handle.nattch(), 1);
    }
    mapping.unmap(SIZE - PAGE, PAGE).unwrap();
    assert_eq!(handle.nattch(), 0);
    mapping.leak();
}

/// A split that fails for want of room runs the area's open and close for nothing.
fn munmap_without_room_for_another_area_changes_nothing() {
    const LIMIT: &str = "/proc/sys/vm/max_map_count";
    let handle = Handle::rw();
    let mapping = handle.window(0, 16 * PAGE);
    let before = std::fs::read_to_string(LIMIT).unwrap();
    std::fs::write(LIMIT, "1").unwrap();
    let outcome = mapping.unmap(PAGE, PAGE);
    std::fs::write(LIMIT, before.trim()).unwrap();
    refused(outcome, Errno::ENOMEM);
    assert_eq!(handle.nattch(), 1);
    mapping.set(PAGE, 1);
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn remap_file_pages_stays_inside_the_segment() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 4 * PAGE);
    mapping.set(3 * PAGE, 0x33);
    // Either the kernel has the call and it maps what was asked for, or it does not.
    if mapping.remap_pages(PAGE, 3).is_ok() {
        assert_eq!(mapping.get(0), 0x33);
        assert_eq!(handle.nattch(), 2);
    }
    let outcome = mapping.remap_pages(PAGE, SIZE / PAGE);
    assert!(outcome.is_err(), "a window past the end by remap_file_pages");
    assert!(mapping.remap_pages(PAGE, usize::MAX >> 13).is_err());
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn msync_succeeds() {
    let mapping = Handle::rw().whole();
    mapping.set(0, 0x42);
    for flags in [libc::MS_SYNC, libc::MS_ASYNC, libc::MS_SYNC | libc::MS_INVALIDATE] {
        mapping
            .flush(flags)
            .unwrap_or_else(|error| panic!("msync {flags:#x}: {error}"));
    }
    assert_eq!(mapping.get(0), 0x42);
}
