// SPDX-License-Identifier: MIT OR Apache-2.0

//! Private mappings of a segment with `MAP_FAULT`: a page that is written to becomes the process's own, and the segment
//! keeps its bytes, whatever becomes of the copy.

use super::{PRIVATE, READ, SHARED, WRITE, faults, refused};
use crate::harness::tests;
use crate::sys::process::park;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, Addr, Errno, Gate, Handle, MAP_FAULT, PAGE, Process, Region, THIS, hostile, usage,
};

tests![
    what_is_written_is_seen_by_nobody_else,
    what_others_write_is_seen_until_the_own_write,
    a_first_access_that_writes_copies_too,
    a_copy_needs_no_right_to_write,
    a_private_read_only_mapping_can_be_raised,
    a_child_has_the_copy_as_it_was,
    a_child_copies_for_itself,
    parts_of_a_copy_can_be_unmapped_moved_and_protected,
    a_copy_cannot_grow_or_be_duplicated,
    what_is_forgotten_is_the_segments_again,
    a_copy_outlives_everything_else,
    a_debugger_writes_to_the_copy_alone,
    calls_write_to_the_copy_alone,
    each_page_of_a_large_copy_is_its_own,
    #[slow]
    copies_of_many_processes_are_apart,
];

const LEN: usize = 64 * PAGE;

/// A segment all of whose bytes are 1, its mapping, and a private one.
fn copied() -> (Handle, Region, Region) {
    let handle = Handle::mapped_as(MAP_FAULT, "frames", LEN);
    remove("frames");
    let shared = handle.window(0, LEN);
    shared.fill(1);
    let copy = private(&handle, READ | WRITE);
    (handle, shared, copy)
}

fn private(handle: &Handle, prot: i32) -> Region {
    handle.mmap(LEN, prot, PRIVATE, 0).expect("a private mapping")
}

/// The segment's bytes are 1 still, by every way to look at them.
#[track_caller]
fn is_unchanged(handle: &Handle, shared: &Region) {
    assert!(shared.is_all(1), "the mapping shows other bytes");
    assert!(handle.window(0, LEN).is_all(1), "a new mapping shows other bytes");
    let mut bytes = vec![0; LEN];
    assert_eq!(handle.pread(&mut bytes, 0), Ok(LEN));
    assert!(bytes.iter().all(|&byte| byte == 1), "the segment has other bytes");
}

fn what_is_written_is_seen_by_nobody_else() {
    let (handle, shared, copy) = copied();
    let other = private(&handle, READ | WRITE);
    for touched_before in [true, false] {
        let place = if touched_before { 0 } else { LEN / 2 };
        if touched_before {
            copy.get(place);
        }
        copy.write(place + 10, b"mine");
        assert_eq!(copy.read(place + 9, 6), b"\x01mine\x01");
        assert_eq!(other.read(place + 10, 4), [1; 4]);
        is_unchanged(&handle, &shared);
    }
    assert_eq!(handle.nattch(), 3);
}

fn what_others_write_is_seen_until_the_own_write() {
    let (handle, shared, copy) = copied();
    for value in [2, 3] {
        shared.set(5, value);
        assert_eq!(copy.get(5), value);
    }
    handle.pwrite(&[4], 5).unwrap();
    copy.set(6, 0xee);
    assert_eq!((copy.get(5), copy.get(6)), (4, 0xee));
    shared.set(5, 9);
    shared.set(PAGE, 9);
    // The page is the process's own; the next one is not.
    assert_eq!((copy.get(5), copy.get(PAGE)), (4, 9));
    assert_eq!(shared.get(6), 1);
}

fn a_first_access_that_writes_copies_too() {
    let (handle, shared, copy) = copied();
    for page in (0..LEN / PAGE).rev() {
        copy.set(page * PAGE, 0xee);
        assert_eq!((copy.get(page * PAGE), copy.get(page * PAGE + 1)), (0xee, 1));
        // At once, and without entries for neighbours that would be copied next.
        assert_eq!(copy.smaps("Rss"), LEN - page * PAGE);
    }
    is_unchanged(&handle, &shared);
    assert_eq!(copy.smaps("Anonymous"), LEN, "each page is a copy");
}

fn a_copy_needs_no_right_to_write() {
    let handle = Handle::mapped_as(MAP_FAULT, "frames", LEN);
    let shared = handle.window(0, LEN);
    shared.fill(1);
    let reader = Handle::ro();
    reader.attach(crate::sys::by_name("frames")).unwrap();
    let restricted = Handle::of("frames");
    restricted.restrict(0, u64::MAX, ACCESS_READ).unwrap();
    for narrow in [&reader, &restricted] {
        let copy = private(narrow, READ | WRITE);
        copy.fill(0xee);
        let raised = private(narrow, READ);
        raised.protect(0, LEN, READ | WRITE).unwrap();
        raised.fill(0xee);
        is_unchanged(&handle, &shared);
        // What is shared is not a copy.
        refused(narrow.mmap(LEN, READ | WRITE, SHARED, 0), Errno::EACCES);
        let view = narrow.mmap(LEN, READ, SHARED, 0).unwrap();
        view.get(0);
        refused(view.protect(0, LEN, READ | WRITE), Errno::EACCES);
        faults(|| view.set(0, 0xee));
    }
    // Who may not read may not copy either, nor past the window.
    let writer = Handle::of("frames");
    writer.restrict(0, u64::MAX, crate::sys::ACCESS_WRITE).unwrap();
    refused(writer.mmap(PAGE, READ | WRITE, PRIVATE, 0), Errno::EACCES);
    restricted.restrict(0, PAGE as u64, ACCESS_READ).unwrap();
    refused(restricted.mmap(2 * PAGE, READ | WRITE, PRIVATE, 0), Errno::EACCES);
    refused(reader.mmap(LEN + 1, READ | WRITE, PRIVATE, 0), Errno::EINVAL);
    is_unchanged(&handle, &shared);
    remove("frames");
}

fn a_private_read_only_mapping_can_be_raised() {
    let (handle, shared, _) = copied();
    for first in [READ, libc::PROT_NONE] {
        let view = private(&handle, first);
        if first == READ {
            view.get(0);
            faults(|| view.set(0, 2));
        }
        view.protect(0, PAGE, READ | WRITE).unwrap();
        view.set(0, 0xee);
        view.protect(0, PAGE, READ).unwrap();
        assert_eq!((view.get(0), view.get(1)), (0xee, 1));
        faults(|| view.set(0, 2));
        is_unchanged(&handle, &shared);
        refused(view.protect(0, PAGE, READ | super::EXEC), Errno::EACCES);
    }
}

fn a_child_has_the_copy_as_it_was() {
    let (handle, shared, copy) = copied();
    copy.set(0, 2);
    let (seen, written) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        assert_eq!((copy.get(0), copy.get(1)), (2, 1));
        seen.open();
        written.pass();
        assert_eq!(copy.get(0), 2, "the parent wrote to its own");
        copy.set(0, 4);
        // What neither has copied is shared with everybody.
        assert_eq!(copy.get(3 * PAGE), 9);
    });
    seen.pass();
    copy.set(0, 3);
    shared.set(3 * PAGE, 9);
    written.open();
    child.join();
    assert_eq!((copy.get(0), copy.get(3 * PAGE)), (3, 9));
    shared.set(3 * PAGE, 1);
    is_unchanged(&handle, &shared);
}

fn a_child_copies_for_itself() {
    let (handle, shared, copy) = copied();
    copy.get(0);
    Process::fork(|| {
        copy.set(0, 2);
        copy.set(PAGE, 2);
        Process::fork(|| {
            copy.set(0, 3);
            assert_eq!(copy.get(PAGE), 2);
        })
        .join();
        assert_eq!((copy.get(0), copy.get(PAGE)), (2, 2));
    })
    .join();
    assert!(copy.is_all(1));
    is_unchanged(&handle, &shared);
}

fn parts_of_a_copy_can_be_unmapped_moved_and_protected() {
    let (handle, shared, copy) = copied();
    (0..LEN / PAGE).for_each(|page| copy.set(page * PAGE, 100 + page as u8));
    copy.unmap(2 * PAGE, PAGE).unwrap();
    copy.protect(4 * PAGE, PAGE, READ).unwrap();
    let room = Region::anonymous(2 * PAGE);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let moved = copy
        .remap(8 * PAGE, 2 * PAGE, 2 * PAGE, flags, room.at(0))
        .unwrap();
    assert_eq!((moved.get(0), moved.get(PAGE)), (108, 109));
    moved.set(PAGE + 1, 0xee);
    faults(|| copy.set(4 * PAGE, 1));
    for page in (0..LEN / PAGE).filter(|page| ![2, 8, 9].contains(page)) {
        assert_eq!(copy.get(page * PAGE), 100 + page as u8, "page {page}");
    }
    is_unchanged(&handle, &shared);
    room.leak();
    drop((moved, copy));
    assert_eq!(handle.nattch(), 1);
}

fn a_copy_cannot_grow_or_be_duplicated() {
    let (handle, shared, copy) = copied();
    copy.unmap(PAGE, LEN - PAGE).unwrap();
    for copied_yet in [false, true] {
        for flags in [0, libc::MREMAP_MAYMOVE] {
            refused(copy.remap(0, PAGE, 2 * PAGE, flags, Addr::NULL), Errno::EFAULT);
            refused(shared.remap(0, LEN, LEN + PAGE, flags, Addr::NULL), Errno::EFAULT);
        }
        for mapping in [&copy, &shared] {
            let doubled = mapping.remap(0, 0, PAGE, libc::MREMAP_MAYMOVE, Addr::NULL);
            assert!(
                matches!(doubled, Err(Errno::EFAULT | Errno::EINVAL)),
                "{doubled:?}"
            );
        }
        if !copied_yet {
            copy.set(0, 2);
        }
    }
    assert_eq!((handle.nattch(), copy.get(0)), (2, 2));
}

fn what_is_forgotten_is_the_segments_again() {
    let (handle, shared, copy) = copied();
    copy.fill(2);
    copy.advise_part(0, PAGE, libc::MADV_DONTNEED).unwrap();
    assert_eq!((copy.get(0), copy.get(PAGE)), (1, 2));
    shared.set(0, 7);
    assert_eq!(copy.get(0), 7);
    shared.set(0, 1);
    is_unchanged(&handle, &shared);
}

fn a_copy_outlives_everything_else() {
    let (handle, shared, copy) = copied();
    copy.set(0, 2);
    handle.resize(THIS, 2 * LEN as u64).unwrap();
    handle.pwrite(&[5], LEN as i64 - 1).unwrap();
    drop((shared, handle));
    assert_eq!(usage(), (1, 2 * LEN as u64), "a private mapping keeps it, too");
    assert_eq!((copy.get(0), copy.get(1), copy.get(LEN - 1)), (2, 1, 5));
    copy.set(LEN - 1, 6);
    drop(copy);
    assert_eq!(usage(), (0, 0));
}

fn a_debugger_writes_to_the_copy_alone() {
    const OTHER: i64 = -2;
    let (handle, shared, copy) = copied();
    let (view, parent) = (private(&handle, READ), i32::try_from(std::process::id()).unwrap());
    // Read first, and not; the protection is overridden, for it is a copy.
    view.get(0);
    let child = Process::fork(|| park());
    let pid = child.pid();
    for (place, mapping) in [(0, &view), (LEN / 2, &view), (0, &copy), (LEN / 2, &copy)] {
        hostile::ptrace_poke(pid, mapping.at(place), OTHER).unwrap();
        assert_eq!(hostile::ptrace_peek(pid, mapping.at(place)), Ok(OTHER));
        assert_eq!(mapping.get(place), 1, "it is the child's own");
        is_unchanged(&handle, &shared);
    }
    child.kill();
    hostile::process_vm_write(parent, copy.at(PAGE), 0xee).unwrap();
    assert_eq!(copy.get(PAGE), 0xee);
    refused(
        hostile::process_vm_write(parent, view.at(PAGE), 0xee),
        Errno::EFAULT,
    );
    is_unchanged(&handle, &shared);
}

fn calls_write_to_the_copy_alone() {
    let (handle, shared, copy) = copied();
    let other = Handle::creating("", LEN as u64);
    other.pwrite(&[3; LEN], 0).unwrap();
    // The kernel itself touches what nobody has touched yet, here even from the same segment.
    assert_eq!(other.pread_at(copy.at(0), LEN / 2, 0), Ok(LEN / 2));
    assert_eq!(handle.pread_at(copy.at(LEN / 2), LEN / 2, 0), Ok(LEN / 2));
    assert_eq!((copy.get(0), copy.get(LEN / 2)), (3, 1));
    is_unchanged(&handle, &shared);
}

fn each_page_of_a_large_copy_is_its_own() {
    const LARGE: usize = 8 << 20;
    let handle = Handle::mapped_as(MAP_FAULT, "", LARGE);
    let shared = handle.window(0, LARGE);
    let stamp = |mapping: &Region, salt: u64| {
        for page in 0..LARGE / PAGE {
            let word = mapping.u64(page * PAGE + page % 500 * 8);
            word.store(page as u64 ^ salt, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let is_stamped = |mapping: &Region, salt: u64| {
        for page in 0..LARGE / PAGE {
            let word = mapping.u64(page * PAGE + page % 500 * 8);
            let value = word.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(value, page as u64 ^ salt, "page {page}");
        }
    };
    stamp(&shared, 0);
    let copy = handle.mmap(LARGE, READ | WRITE, PRIVATE, 0).unwrap();
    is_stamped(&copy, 0);
    stamp(&copy, 1 << 32);
    is_stamped(&shared, 0);
    is_stamped(&copy, 1 << 32);
}

fn copies_of_many_processes_are_apart() {
    let (handle, shared, copy) = copied();
    let go = Gate::new();
    let children: Vec<_> = (2..10)
        .map(|value| {
            let (go, copy) = (&go, &copy);
            Process::fork(move || {
                go.pass();
                for _ in 0..20 {
                    copy.fill(value);
                    assert!(copy.is_all(value));
                    copy.advise(libc::MADV_DONTNEED).unwrap();
                    assert!(copy.is_all(1));
                }
            })
        })
        .collect();
    children.iter().for_each(|_| go.open());
    children.into_iter().for_each(Process::join);
    is_unchanged(&handle, &shared);
}
