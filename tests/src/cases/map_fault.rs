// SPDX-License-Identifier: MIT OR Apache-2.0

//! Segments with `MAP_FAULT`: which entries a touch makes, that they can go and come back, and that all ways to the
//! bytes stay one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::hostile::stays_where_it_is;
use super::map_modes::touch;
use super::{EndOf, READ, SHARED, WRITE, agrees, faults};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::tracing::page_faults;
use crate::sys::{
    DEADLINE_NEVER, Errno, Gate, Handle, MAP_FAULT, PAGE, Process, Region, THIS, hostile, mode, usage,
};

tests![
    #[slow] a_touch_makes_entries_for_its_neighbours needs [Tracepoints],
    a_touch_stays_inside_the_mapping,
    touching_backwards_takes_no_more_faults needs [Tracepoints],
    what_is_mapped_counts_for_the_resident_size,
    entries_go_and_come_back,
    #[slow] populating_makes_all_entries needs [Tracepoints],
    locking_does_no_harm,
    no_advice_changes_bytes,
    pages_stay_on_their_node needs [Nodes],
    calls_and_mappings_see_the_same_bytes,
    words_are_the_same_for_the_kernel_and_the_mapping,
    a_segment_grows_under_its_mappings,
    a_read_only_mapping_stays_so,
    protection_comes_and_goes,
    #[slow] what_was_is_never_seen_again within 120,
    touching_races_with_forgetting_and_protecting within 120,
    #[slow] whole_page_tables_go_while_they_are_touched within 120,
    #[slow] one_page_is_touched_by_all_at_once,
    a_mapping_that_is_cut_up_keeps_its_bytes,
    the_runs_own_default_copies_as_documented,
];

/// What one touch maps.
const AROUND: usize = 16 * PAGE;
const LEN: usize = 64 * PAGE;

fn frames(len: usize) -> (Handle, Region) {
    let handle = Handle::mapped_as(MAP_FAULT, "", len);
    let mapping = handle.window(0, len);
    (handle, mapping)
}

/// The mapping's place begins at a multiple of what one touch maps.
fn aligned(handle: &Handle, len: usize) -> (Region, usize) {
    let room = Region::anonymous(len + AROUND);
    let offset = room.at(0).get().next_multiple_of(AROUND) - room.at(0).get();
    handle.mmap_at(&room, offset, len, READ | WRITE, 0).unwrap();
    (room, offset)
}

fn a_touch_makes_entries_for_its_neighbours() {
    let (handle, _) = frames(LEN);
    let (room, start) = aligned(&handle, LEN);
    for (index, page) in [(0, 0), (1, 31), (2, 40)] {
        let one = || room.set(start + page * PAGE, 1);
        assert_eq!(page_faults(&room, one), 1);
        let around = start + index * AROUND;
        let all = || {
            (0..AROUND)
                .step_by(PAGE)
                .for_each(|page| room.set(around + page, 1));
        };
        assert_eq!(page_faults(&room, all), 0);
    }
}

fn a_touch_stays_inside_the_mapping() {
    let (handle, whole) = frames(LEN);
    whole.fill(7);
    // Three pages of the segment amid others, none of which may change hands.
    let room = Region::anonymous(LEN);
    room.fill(9);
    handle.mmap_over(&room, 5 * PAGE, 3 * PAGE, READ | WRITE).unwrap();
    room.set(6 * PAGE, 1);
    room.unmap(5 * PAGE, PAGE).unwrap();
    room.advise_part(6 * PAGE, 2 * PAGE, libc::MADV_DONTNEED).unwrap();
    assert_eq!((room.get(6 * PAGE), room.get(7 * PAGE)), (1, 7));
    for page in (0..LEN / PAGE).filter(|page| !(5..8).contains(page)) {
        assert_eq!(room.get(page * PAGE), 9, "page {page}");
    }
    faults(|| _ = room.get(5 * PAGE));
    // At the end of the segment, and of a window.
    let last = handle.window(LEN - PAGE, PAGE);
    assert_eq!((last.get(0), last.smaps("Rss")), (7, PAGE));
}

fn touching_backwards_takes_no_more_faults() {
    let (handle, _) = frames(LEN);
    let (room, start) = aligned(&handle, LEN);
    let backwards = || {
        (0..LEN / PAGE)
            .rev()
            .for_each(|page| room.set(start + page * PAGE, 1));
    };
    assert_eq!(page_faults(&room, backwards), LEN / AROUND);
}

fn what_is_mapped_counts_for_the_resident_size() {
    let (handle, _) = frames(LEN);
    let mapping = handle.window(16 * PAGE, 32 * PAGE);
    assert_eq!(mapping.smaps("Rss"), 0, "nothing is mapped by mmap");
    touch(&mapping);
    assert_eq!(mapping.smaps("Rss"), 32 * PAGE);
    assert_eq!(mapping.smaps("Anonymous"), 0);
    mapping.advise_part(0, 8 * PAGE, libc::MADV_DONTNEED).unwrap();
    assert_eq!(mapping.smaps("Rss"), 24 * PAGE);
}

fn entries_go_and_come_back() {
    let (handle, mapping) = frames(LEN);
    mapping.fill(5);
    for _ in 0..10 {
        mapping.advise(libc::MADV_DONTNEED).unwrap();
        assert_eq!(mapping.smaps("Rss"), 0);
        handle.pwrite(&[6], 100).unwrap();
        assert_eq!((mapping.get(99), mapping.get(100)), (5, 6));
        mapping.set(100, 5);
        assert!(mapping.is_all(5));
    }
    assert_eq!(handle.nattch(), 1);
}

fn populating_makes_all_entries() {
    let (handle, mapping) = frames(LEN);
    for advice in [libc::MADV_POPULATE_READ, libc::MADV_POPULATE_WRITE] {
        mapping.advise(libc::MADV_DONTNEED).unwrap();
        mapping.advise(advice).unwrap();
        assert_eq!(mapping.smaps("Rss"), LEN);
        assert_eq!(page_faults(&mapping, || touch(&mapping)), 0);
    }
    let flags = SHARED | libc::MAP_POPULATE;
    let populated = handle.mmap(LEN, READ | WRITE, flags, 0).unwrap();
    assert_eq!(page_faults(&populated, || touch(&populated)), 0);
    // One for reading is not written to by whoever populates it.
    let view = handle.mmap(LEN, READ, SHARED, 0).unwrap();
    view.advise(libc::MADV_POPULATE_READ).unwrap();
    assert!(view.advise(libc::MADV_POPULATE_WRITE).is_err());
}

fn locking_does_no_harm() {
    let (handle, mapping) = frames(LEN);
    mapping.fill(3);
    for _ in 0..3 {
        let _ = mapping.lock();
        assert!(mapping.is_all(3));
        let _ = mapping.advise(libc::MADV_DONTNEED);
        let _ = mapping.unlock();
    }
    let _ = mapping.lock();
    assert!(mapping.is_all(3));
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn no_advice_changes_bytes() {
    let (handle, mapping) = frames(LEN);
    let copy = handle.mmap(LEN, READ | WRITE, super::PRIVATE, 0).unwrap();
    mapping.fill(5);
    // All there are but those that take memory for broken.
    for advice in (0..28).chain(102..104) {
        copy.set(0, 6);
        for region in [&mapping, &copy] {
            // Whether it is refused is the kernel's business.
            let _ = region.advise(advice);
            let _ = region.advise_part(3 * PAGE, 2 * PAGE, advice);
        }
        assert!(mapping.is_all(5), "advice {advice}");
        let mut bytes = vec![0; LEN];
        handle.pread(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 5), "advice {advice}");
        assert!((5..=6).contains(&copy.get(0)) && copy.get(3 * PAGE) == 5);
    }
    assert!(hostile::userfault(&mapping).is_err());
    drop((mapping, copy));
    assert_eq!(handle.nattch(), 0);
}

fn pages_stay_on_their_node() {
    let (handle, mapping) = frames(LEN);
    mapping.fill(5);
    for node in [0, 1] {
        stays_where_it_is(&mapping, node);
    }
    handle.pwrite(&[1], 0).unwrap();
    assert_eq!((mapping.get(0), mapping.get(1)), (1, 5), "they are the segment's");
}

fn calls_and_mappings_see_the_same_bytes() {
    let (handle, mapping) = frames(LEN);
    let other = handle.window(PAGE, PAGE);
    for round in 0..64_u8 {
        let place = PAGE + usize::from(round) * 60;
        match round % 3 {
            0 => mapping.write(place, &[round; 4]),
            1 => _ = handle.pwrite(&[round; 4], place as i64).unwrap(),
            _ => other.write(place - PAGE, &[round; 4]),
        }
        let mut bytes = [0; 4];
        handle.pread(&mut bytes, place as i64).unwrap();
        let expected = [round; 4];
        assert_eq!((mapping.read(place, 4), bytes), (expected.to_vec(), expected));
        assert_eq!(other.read(place - PAGE, 4), expected);
        mapping.advise(libc::MADV_DONTNEED).unwrap();
    }
}

fn words_are_the_same_for_the_kernel_and_the_mapping() {
    let (handle, mapping) = frames(LEN);
    let offset = LEN - 4;
    mapping.u32(offset).store(1, Ordering::SeqCst);
    let wait = |expected| handle.wait_on(offset as u64, expected, DEADLINE_NEVER);
    super::refused(wait(2), Errno::EAGAIN);
    let child = Process::fork(|| wait(1).unwrap());
    until("the child waits", || handle.stat().unwrap().sleepers == 1);
    mapping.advise(libc::MADV_DONTNEED).unwrap();
    mapping.u32(offset).store(2, Ordering::SeqCst);
    assert_eq!(handle.wake(offset as u64, 1), Ok(1));
    child.join();
}

fn a_segment_grows_under_its_mappings() {
    let (handle, old) = frames(10 * PAGE);
    touch(&old);
    handle.resize(THIS, LEN as u64).unwrap();
    let new = handle.window(0, LEN);
    assert!(new.read(10 * PAGE, LEN - 10 * PAGE).iter().all(|&byte| byte == 0));
    for page in 0..10 {
        old.set(page * PAGE + 1, 50 + page as u8);
        assert_eq!(new.get(page * PAGE + 1), 50 + page as u8);
        old.advise(libc::MADV_DONTNEED).unwrap();
        new.set(page * PAGE + 2, page as u8);
        assert_eq!(old.get(page * PAGE + 2), page as u8);
    }
    // The old one ends where it ended.
    assert_eq!(old.smaps("Size"), 10 * PAGE);
    drop((old, new));
    handle.resize(THIS, PAGE as u64).unwrap();
    handle.resize(THIS, LEN as u64).unwrap();
    let again = handle.window(0, LEN);
    assert_eq!((again.get(1), again.get(PAGE + 1)), (50, 0));
}

fn a_read_only_mapping_stays_so() {
    let (handle, mapping) = frames(LEN);
    let view = handle.mmap(LEN, READ, SHARED, 0).unwrap();
    view.get(0);
    faults(|| view.set(0, 1));
    faults(|| view.set(AROUND, 1));
    assert!(mapping.is_all(0));
}

fn protection_comes_and_goes() {
    let (handle, mapping) = frames(LEN);
    mapping.fill(1);
    for _ in 0..3 {
        mapping.protect(PAGE, 3 * PAGE, READ).unwrap();
        faults(|| mapping.set(PAGE, 2));
        mapping.protect(PAGE, 2 * PAGE, libc::PROT_NONE).unwrap();
        faults(|| _ = mapping.get(PAGE));
        mapping.protect(0, LEN, READ | WRITE).unwrap();
        mapping.fill(1);
    }
    let mut bytes = vec![0; LEN];
    handle.pread(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 1));
}

fn what_was_is_never_seen_again() {
    for round in 0..1000_usize {
        let pages = [1, 3, 16, 40][round % 4];
        let (handle, mapping) = frames(pages * PAGE);
        assert!(mapping.is_all(0), "round {round}");
        mapping.fill(0xff);
        let copy = handle
            .mmap(pages * PAGE, READ | WRITE, super::PRIVATE, 0)
            .unwrap();
        copy.fill(0xee);
    }
    assert_eq!(usage(), (0, 0));
}

fn touching_races_with_forgetting_and_protecting() {
    let (handle, mapping) = frames(LEN);
    let over = AtomicBool::new(false);
    let goes_on = || !over.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        let _over = EndOf(&over);
        scope.spawn(|| {
            while goes_on() {
                mapping.advise(libc::MADV_DONTNEED).unwrap();
            }
        });
        scope.spawn(|| {
            while goes_on() {
                // The half that nobody writes to.
                mapping.protect(LEN / 2, PAGE, READ).unwrap();
                mapping.protect(LEN / 2, PAGE, READ | WRITE).unwrap();
            }
        });
        scope.spawn(|| {
            while goes_on() {
                drop(handle.window(0, LEN));
            }
        });
        for round in 0..2000_u32 {
            let word = mapping.u32((round as usize * 7 % 32) * PAGE);
            word.store(round, Ordering::SeqCst);
            assert_eq!(word.load(Ordering::SeqCst), round);
            assert_eq!(mapping.get(LEN / 2 + round as usize % PAGE), 0);
        }
    });
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

/// A page table that `madvise` empties is freed at once, also while somebody waits for its lock.
fn whole_page_tables_go_while_they_are_touched() {
    const LARGE: usize = 4 << 20;
    let (_handle, mapping) = frames(LARGE);
    let over = AtomicBool::new(false);
    let touch = |first: usize| {
        for round in 0..150_u32 {
            for page in (first..LARGE / PAGE).step_by(2) {
                let word = mapping.u32(page * PAGE);
                word.store(round, Ordering::SeqCst);
                assert_eq!(word.load(Ordering::SeqCst), round);
            }
        }
    };
    std::thread::scope(|scope| {
        let _over = EndOf(&over);
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                mapping.advise(libc::MADV_DONTNEED).unwrap();
            }
        });
        let other = scope.spawn(|| touch(1));
        touch(0);
        other.join().expect("the other one");
    });
}

fn one_page_is_touched_by_all_at_once() {
    let (_handle, mapping) = frames(LEN);
    for _ in 0..200 {
        mapping.u32(0).store(0, Ordering::SeqCst);
        mapping.advise(libc::MADV_DONTNEED).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| mapping.u32(0).fetch_add(1, Ordering::SeqCst));
            }
        });
        assert_eq!(mapping.u32(0).load(Ordering::SeqCst), 4);
    }
}

fn a_mapping_that_is_cut_up_keeps_its_bytes() {
    let (handle, mapping) = frames(LEN);
    for page in 0..LEN / PAGE {
        mapping.set(page * PAGE, page as u8);
    }
    let ready = Gate::new();
    for page in (0..LEN / PAGE).step_by(2) {
        mapping.unmap(page * PAGE, PAGE).unwrap();
    }
    assert_eq!(handle.nattch(), (LEN / PAGE / 2) as u64);
    let child = Process::fork(|| {
        ready.open();
        for page in (1..LEN / PAGE).step_by(2) {
            assert_eq!(mapping.get(page * PAGE), page as u8);
        }
    });
    ready.pass();
    child.join();
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn the_runs_own_default_copies_as_documented() {
    let handle = Handle::rw();
    let copy = handle.mmap(LEN, READ | WRITE, super::PRIVATE, 0);
    if let Some(copy) = agrees(copy, mode().copies) {
        handle.window(0, LEN).fill(1);
        copy.fill(2);
        assert!(handle.window(0, LEN).is_all(1));
    }
}
