// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of large entries that are unmapped, protected, moved and copied: what is left keeps its bytes, and nothing
//! reaches past it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::hostile::stays_where_it_is;
use super::map_huge::{LARGE, frames, has_stamps, is_stamped, stamp};
use super::{EndOf, READ, WRITE, faults};
use crate::harness::tests;
use crate::sys::{Addr, Errno, Gate, Handle, PAGE, Process, Region, hostile};

tests![
    #[slow] half_of_an_entry_can_be_unmapped,
    an_entry_does_not_reach_past_what_was_unmapped,
    a_page_in_the_middle_can_be_unmapped,
    an_entry_can_be_unmapped_page_by_page,
    a_part_can_be_protected_and_opened_again,
    all_of_it_can_be_protected_and_opened_again,
    a_part_can_be_made_inaccessible,
    what_moves_keeps_its_bytes,
    #[slow] a_part_that_moves_keeps_its_bytes,
    what_shrinks_ends_there,
    it_cannot_grow_or_be_duplicated,
    a_child_shares_its_parents_entries,
    a_child_unmaps_halves_for_itself,
    touching_races_with_cutting within 120,
    touching_races_with_forking within 120,
    counts_are_exact_after_all_that,
    no_advice_changes_bytes,
];

const PAGES: usize = LARGE / PAGE;
const FIXED: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;

/// Two large entries' worth, each page of which says which it is; touched, or only by another mapping.
fn stamped(touched: bool) -> (Handle, Region) {
    let (handle, mapping) = frames(2 * LARGE);
    if touched {
        stamp(&mapping, 0);
    } else {
        stamp(&handle.window(0, 2 * LARGE), 0);
    }
    (handle, mapping)
}

fn half_of_an_entry_can_be_unmapped() {
    for touched in [true, false] {
        for (gone, left) in [
            (0, PAGES / 2..2 * PAGES),
            (3 * PAGES / 2, 0..3 * PAGES / 2),
            (PAGES, 0..PAGES),
        ] {
            let (handle, mapping) = stamped(touched);
            mapping.unmap(gone * PAGE, LARGE / 2).unwrap();
            let left = left.filter(|page| !(gone..gone + PAGES / 2).contains(page));
            has_stamps(&mapping, 0, left.clone());
            faults(|| _ = mapping.get(gone * PAGE));
            faults(|| mapping.set(gone * PAGE + LARGE / 2 - 1, 1));
            left.for_each(|page| mapping.set((page + 1) * PAGE - 1, 1));
            is_stamped(&handle.window(0, 2 * LARGE), 0);
        }
    }
}

/// What was not touched yet is mapped anew when it is, and not by an entry for what has gone.
fn an_entry_does_not_reach_past_what_was_unmapped() {
    let (handle, mapping) = stamped(false);
    mapping.unmap(LARGE * 3 / 2, LARGE / 2).unwrap();
    mapping.unmap(0, LARGE / 2).unwrap();
    assert_eq!(handle.nattch(), 1);
    has_stamps(&mapping, 0, PAGES / 2..PAGES * 3 / 2);
    for place in [0, LARGE / 2 - 1, LARGE * 3 / 2, 2 * LARGE - 1] {
        faults(|| _ = mapping.get(place));
    }
    // What comes there afterwards has its own bytes.
    let other = Handle::creating("", LARGE as u64);
    other
        .mmap_at(&mapping, LARGE * 3 / 2, LARGE / 2, READ | WRITE, 0)
        .unwrap();
    assert!(
        mapping
            .read(LARGE * 3 / 2, LARGE / 2)
            .iter()
            .all(|&byte| byte == 0)
    );
}

fn a_page_in_the_middle_can_be_unmapped() {
    for touched in [true, false] {
        let (handle, mapping) = stamped(touched);
        for page in [7, 255, PAGES + 300] {
            mapping.unmap(page * PAGE, PAGE).unwrap();
            faults(|| _ = mapping.get(page * PAGE));
        }
        assert_eq!(handle.nattch(), 4);
        let left = (0..2 * PAGES).filter(|page| ![7, 255, PAGES + 300].contains(page));
        has_stamps(&mapping, 0, left);
    }
}

fn an_entry_can_be_unmapped_page_by_page() {
    let (handle, mapping) = stamped(true);
    for page in 0..PAGES {
        mapping.unmap(page * PAGE, PAGE).unwrap();
        has_stamps(&mapping, 0, (page + 1..PAGES).step_by(37));
    }
    assert_eq!(handle.nattch(), 1);
    has_stamps(&mapping, 0, PAGES..2 * PAGES);
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}

fn a_part_can_be_protected_and_opened_again() {
    for touched in [true, false] {
        let (handle, mapping) = stamped(touched);
        for (page, count) in [(3, 1), (0, PAGES / 2), (PAGES - 1, 2), (PAGES + 1, PAGES - 1)] {
            let (place, len) = (page * PAGE, count * PAGE);
            mapping.protect(place, len, READ).unwrap();
            has_stamps(&mapping, 0, 0..2 * PAGES);
            faults(|| mapping.set(place, 1));
            faults(|| mapping.set(place + len - 1, 1));
            mapping.protect(place, len, READ | WRITE).unwrap();
            stamp(&mapping, 0);
        }
        is_stamped(&handle.window(0, 2 * LARGE), 0);
    }
}

fn all_of_it_can_be_protected_and_opened_again() {
    let (handle, mapping) = stamped(true);
    for round in 0..3 {
        mapping.protect(0, LARGE, READ).unwrap();
        mapping.protect(LARGE, LARGE, READ).unwrap();
        is_stamped(&mapping, 0);
        faults(|| mapping.set(round, 1));
        faults(|| mapping.set(LARGE + round, 1));
        mapping.protect(0, 2 * LARGE, READ | WRITE).unwrap();
        stamp(&mapping, 0);
    }
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}

fn a_part_can_be_made_inaccessible() {
    for (place, len) in [(0, 2 * LARGE), (LARGE, LARGE), (5 * PAGE, PAGE)] {
        for touched in [true, false] {
            let (_handle, mapping) = stamped(touched);
            mapping.protect(place, len, libc::PROT_NONE).unwrap();
            faults(|| _ = mapping.get(place));
            faults(|| mapping.set(place + len - 1, 1));
            mapping.protect(place, len, READ).unwrap();
            is_stamped(&mapping, 0);
            faults(|| mapping.set(place, 1));
            mapping.protect(place, len, READ | WRITE).unwrap();
            stamp(&mapping, 0);
        }
    }
}

/// A place in a region, so many pages after one where a large entry could begin.
fn place_in(room: &Region, pages: usize) -> usize {
    room.at(0).get().next_multiple_of(LARGE) - room.at(0).get() + pages * PAGE
}

fn what_moves_keeps_its_bytes() {
    for touched in [true, false] {
        for shift in [0, 1, 300] {
            let (handle, mapping) = stamped(touched);
            let room = Region::anonymous(4 * LARGE);
            let place = room.at(place_in(&room, shift));
            let moved = mapping.remap(0, 2 * LARGE, 2 * LARGE, FIXED, place).unwrap();
            is_stamped(&moved, 0);
            faults(|| _ = mapping.get(0));
            stamp(&moved, 0);
            assert_eq!(handle.nattch(), 1);
            // And back.
            let back = moved
                .remap(0, 2 * LARGE, 2 * LARGE, FIXED, mapping.at(0))
                .unwrap();
            is_stamped(&back, 0);
            moved.leak();
            mapping.leak();
        }
    }
}

fn a_part_that_moves_keeps_its_bytes() {
    for touched in [true, false] {
        for (first, count) in [(0, PAGES), (5, 1), (PAGES / 2, PAGES), (PAGES, PAGES / 2)] {
            for shift in [0, 9] {
                let (_handle, mapping) = stamped(touched);
                let room = Region::anonymous(3 * LARGE);
                let (place, len) = (room.at(place_in(&room, shift)), count * PAGE);
                let moved = mapping.remap(first * PAGE, len, len, FIXED, place).unwrap();
                is_stamped(&moved, first);
                let left = (0..2 * PAGES).filter(|page| !(first..first + count).contains(page));
                has_stamps(&mapping, 0, left);
                faults(|| _ = mapping.get(first * PAGE));
                moved.leak();
            }
        }
    }
}

fn what_shrinks_ends_there() {
    for pages in [1, PAGES - 1, PAGES, PAGES + 1] {
        let (handle, mapping) = stamped(true);
        let shrunk = mapping.remap(0, 2 * LARGE, pages * PAGE, 0, Addr::NULL).unwrap();
        assert_eq!(shrunk.at(0), mapping.at(0));
        is_stamped(&shrunk, 0);
        faults(|| _ = mapping.get(pages * PAGE));
        mapping.leak();
        drop(shrunk);
        assert_eq!(handle.nattch(), 0);
    }
}

fn it_cannot_grow_or_be_duplicated() {
    let (handle, mapping) = stamped(true);
    mapping.unmap(LARGE, LARGE).unwrap();
    for flags in [0, libc::MREMAP_MAYMOVE] {
        let grown = mapping.remap(0, LARGE, 2 * LARGE, flags, Addr::NULL);
        super::refused(grown, Errno::EFAULT);
    }
    let doubled = mapping.remap(0, 0, LARGE, libc::MREMAP_MAYMOVE, Addr::NULL);
    assert!(
        matches!(doubled, Err(Errno::EFAULT | Errno::EINVAL)),
        "{doubled:?}"
    );
    assert_eq!(handle.nattch(), 1);
}

fn a_child_shares_its_parents_entries() {
    for touched in [true, false] {
        let (handle, mapping) = stamped(touched);
        let (written, seen) = (Gate::new(), Gate::new());
        let child = Process::fork(|| {
            is_stamped(&mapping, 0);
            mapping.write(LARGE - 2, b"over");
            written.open();
            seen.pass();
            assert_eq!(mapping.read(100, 4), b"back");
        });
        written.pass();
        assert_eq!(mapping.read(LARGE - 2, 4), b"over");
        mapping.write(100, b"back");
        seen.open();
        child.join();
        assert_eq!(handle.nattch(), 1);
    }
}

fn a_child_unmaps_halves_for_itself() {
    let (handle, mapping) = stamped(true);
    let children: Vec<_> = [0, LARGE / 2, LARGE, LARGE * 3 / 2]
        .into_iter()
        .map(|place| {
            let mapping = &mapping;
            Process::fork(move || {
                mapping.unmap(place, LARGE / 2).unwrap();
                let gone = place / PAGE..place / PAGE + PAGES / 2;
                let left = (0..2 * PAGES).filter(|page| !gone.contains(page));
                has_stamps(mapping, 0, left);
            })
        })
        .collect();
    mapping.unmap(PAGE, PAGE).unwrap();
    children.into_iter().for_each(Process::join);
    has_stamps(&mapping, 0, 2..2 * PAGES);
    assert_eq!(handle.nattch(), 2);
}

/// Some pages are touched all the time, and their neighbours come and go.
fn touching_races_with_cutting() {
    const BLOCK: usize = 16;
    let (handle, mapping) = stamped(true);
    let over = AtomicBool::new(false);
    let goes_on = || !over.load(Ordering::SeqCst);
    // Blocks of pages by turns: one to be touched, one to be cut.
    let cut = |block: usize| (2 * block + 1) * BLOCK * PAGE;
    let blocks = 2 * PAGES / BLOCK / 2;
    std::thread::scope(|scope| {
        let _over = EndOf(&over);
        scope.spawn(|| {
            for block in (0..blocks).cycle().take_while(|_| goes_on()) {
                let (place, len) = (cut(block), BLOCK * PAGE);
                mapping.unmap(place, len).unwrap();
                handle.mmap_over(&mapping, place, len, READ | WRITE).unwrap();
            }
        });
        scope.spawn(|| {
            for block in (0..blocks).cycle().take_while(|_| goes_on()) {
                // It may have gone just now.
                let _ = mapping.protect(cut(block), PAGE, READ);
                let _ = mapping.protect(cut(block), PAGE, READ | WRITE);
            }
        });
        scope.spawn(|| {
            while goes_on() {
                let whole = handle.window(0, 2 * LARGE);
                whole.get(LARGE);
                whole.unmap(LARGE / 2, LARGE).unwrap();
            }
        });
        for round in 0..40 {
            for block in 0..blocks {
                let first = 2 * block * BLOCK;
                has_stamps(&mapping, 0, first..first + BLOCK);
                mapping.set((first + round % BLOCK + 1) * PAGE - 1, round as u8);
            }
        }
    });
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}

fn touching_races_with_forking() {
    let (handle, mapping) = stamped(true);
    for round in 0..40 {
        let child = Process::fork(|| {
            mapping.unmap(round * 5 * PAGE, PAGE).unwrap();
            has_stamps(&mapping, 0, (PAGES..2 * PAGES).step_by(3));
        });
        mapping.protect(0, PAGE, READ).unwrap();
        has_stamps(&mapping, 0, (0..2 * PAGES).step_by(7));
        mapping.protect(0, PAGE, READ | WRITE).unwrap();
        child.join();
    }
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}

fn counts_are_exact_after_all_that() {
    let (handle, mapping) = stamped(true);
    mapping.protect(PAGE, PAGE, READ).unwrap();
    assert_eq!(handle.nattch(), 3);
    mapping.unmap(LARGE - PAGE, 2 * PAGE).unwrap();
    assert_eq!(handle.nattch(), 4);
    let room = Region::anonymous(LARGE);
    let moved = mapping
        .remap(LARGE + PAGE, PAGE, PAGE, FIXED, room.at(0))
        .unwrap();
    assert_eq!(handle.nattch(), 5);
    Process::fork(|| assert_eq!(handle.nattch(), 10)).join();
    drop(mapping);
    assert_eq!(handle.nattch(), 1);
    drop(moved);
    assert_eq!(handle.nattch(), 0);
}

fn no_advice_changes_bytes() {
    let (handle, mapping) = stamped(true);
    // All there are but those that take memory for broken.
    for advice in (0..28).chain(102..104) {
        // Whether it is refused is the kernel's business.
        let _ = mapping.advise(advice);
        let _ = mapping.advise_part(LARGE / 2, LARGE, advice);
        is_stamped(&mapping, 0);
    }
    let _ = mapping.lock();
    let _ = mapping.unlock();
    for node in [0, 1] {
        stays_where_it_is(&mapping, node);
    }
    for place in [0, LARGE] {
        handle.pwrite(&[1], place as i64).unwrap();
        assert_eq!(mapping.get(place), 1, "it is the segment's");
    }
    let _ = mapping.residency();
    assert!(hostile::userfault(&mapping).is_err());
    stamp(&mapping, 0);
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}
