// SPDX-License-Identifier: MIT OR Apache-2.0

//! Segments with `MAP_HUGE`: where their mappings lie, which entries a touch makes, and that sizes, windows and places
//! that no large entry fits show the right bytes all the same.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::map_modes::touch;
use super::{EndOf, PRIVATE, READ, SHARED, WRITE, faults};
use crate::harness::tests;
use crate::sys::mode::modes;
use crate::sys::segments::remove;
use crate::sys::tracing::page_faults;
use crate::sys::{Gate, Handle, MAP_HUGE, MAP_PFN, PAGE, Process, Region, THIS, signal};

tests![
    a_large_mapping_begins_where_its_offset_does,
    a_small_mapping_lies_anywhere,
    #[slow] a_touch_maps_two_mebibytes needs [Tracepoints],
    #[slow] what_no_large_entry_fits_is_there_after_mmap needs [Tracepoints],
    #[slow] every_size_shows_its_bytes,
    every_window_shows_its_bytes,
    an_unaligned_address_shows_the_right_bytes,
    a_mapping_may_be_placed_over_half_of_another,
    two_processes_share_bytes,
    a_read_only_handle_cannot_write,
    what_was_read_first_can_be_written,
    a_private_view_sees_what_others_write,
    a_segment_grows_under_its_mappings,
    #[slow] a_segment_that_grew_is_mapped_by_what_fits needs [Tracepoints],
    #[slow] what_is_wanted_of_transparent_large_pages_changes_nothing needs [Tracepoints],
    #[slow] large_pages_go_and_come_back_while_they_are_touched within 120,
    #[slow] what_was_is_never_seen_again within 120,
    a_debugger_sees_what_was_not_touched needs [Tracepoints],
    many_small_segments_take_no_more_than_their_pages,
];

/// What a large entry maps.
pub(super) const LARGE: usize = 2 << 20;

/// A segment whose memory is there in large pieces, and its mapping.
pub(super) fn frames(len: usize) -> (Handle, Region) {
    // Where memory is in pieces by now; not each kernel can do something about it.
    let _ = std::fs::write("/proc/sys/vm/compact_memory", "1");
    let handle = Handle::mapped_as(MAP_HUGE, "", len);
    let pieces = handle.stat().expect("STAT").pieces as usize;
    assert!(pieces <= len / LARGE + 20, "{len} bytes are in {pieces} pieces");
    let mapping = handle.window(0, len);
    (handle, mapping)
}

/// What the page of this number has.
fn word_of(page: usize) -> u64 {
    0xfeed_0000_0000_0000 | page as u64
}

/// Writes to each page which it is, if the mapping's first is this one.
pub(super) fn stamp(mapping: &Region, first: usize) {
    for page in 0..mapping.len() / PAGE {
        let place = page * PAGE + (first + page) % 500 * 8;
        mapping.u64(place).store(word_of(first + page), Ordering::Relaxed);
    }
}

/// Fails unless these pages of the mapping, whose first is that one of the segment, are as they were stamped.
#[track_caller]
pub(super) fn has_stamps(mapping: &Region, first: usize, pages: impl IntoIterator<Item = usize>) {
    for page in pages {
        let place = page * PAGE + (first + page) % 500 * 8;
        let word = mapping.u64(place).load(Ordering::Relaxed);
        assert_eq!(word, word_of(first + page), "page {page} of the mapping");
    }
}

/// The same for all of them.
#[track_caller]
pub(super) fn is_stamped(mapping: &Region, first: usize) {
    has_stamps(mapping, first, 0..mapping.len() / PAGE);
}

/// The first place in a region where a large entry could begin.
fn first_place(room: &Region) -> usize {
    room.at(0).get().next_multiple_of(LARGE) - room.at(0).get()
}

fn a_large_mapping_begins_where_its_offset_does() {
    // However it is mapped: a large entry fits it, or it takes no more page tables than it needs.
    for mode in modes() {
        let handle = Handle::mapped_as(mode.flag, "", 4 * LARGE);
        for offset in [
            0,
            PAGE,
            3 * PAGE,
            LARGE - PAGE,
            LARGE,
            LARGE + 5 * PAGE,
            2 * LARGE,
        ] {
            // So that it holds all that one entry maps.
            for len in [2 * LARGE, 2 * LARGE - PAGE] {
                if (offset + len) / LARGE > offset.div_ceil(LARGE) {
                    let window = handle.window(offset, len);
                    let name = mode.name;
                    assert_eq!(
                        window.at(0).get() % LARGE,
                        offset % LARGE,
                        "{name} {offset} {len}"
                    );
                }
            }
        }
    }
    // One for which no handle is attached yet is the default segment's.
    assert_eq!(Handle::rw().whole().at(0).get() % LARGE, 0);
}

fn a_small_mapping_lies_anywhere() {
    let (handle, _) = frames(LARGE);
    let windows: Vec<_> = (0..32)
        .map(|page| handle.window(page * 8 * PAGE, 8 * PAGE))
        .collect();
    windows.iter().for_each(touch);
    assert_eq!(handle.nattch(), 32);
    let is_aligned = |(index, window): (usize, &Region)| window.at(0).get() % LARGE == index * 8 * PAGE;
    assert!(!windows.iter().enumerate().all(is_aligned), "{windows:?}");
}

fn a_touch_maps_two_mebibytes() {
    for large in [1, 2, 16] {
        let (handle, mapping) = frames(large * LARGE);
        assert_eq!(page_faults(&mapping, || touch(&mapping)), large);
        // Reading maps as much, for writing too.
        let again = handle.window(0, large * LARGE);
        let reads = || {
            (0..again.len())
                .step_by(PAGE)
                .for_each(|place| _ = again.get(place));
        };
        assert_eq!(page_faults(&again, reads), large);
        assert_eq!(page_faults(&again, || touch(&again)), 0);
        // There is nothing to populate these with.
        let populated = handle.mmap(large * LARGE, READ | WRITE, SHARED | libc::MAP_POPULATE, 0);
        let populated = populated.unwrap();
        assert_eq!(page_faults(&populated, || touch(&populated)), large);
    }
}

fn what_no_large_entry_fits_is_there_after_mmap() {
    let (handle, mapping) = frames(2 * LARGE + 5 * PAGE);
    assert_eq!(page_faults(&mapping, || touch(&mapping)), 2);
    for (offset, len, expected) in [
        (PAGE, LARGE, 0),
        (PAGE, 2 * LARGE, 1),
        (LARGE, LARGE + 5 * PAGE, 1),
        (LARGE - PAGE, LARGE, 0),
        (0, LARGE - PAGE, 0),
    ] {
        let window = handle.window(offset, len);
        assert_eq!(page_faults(&window, || touch(&window)), expected);
    }
}

fn every_size_shows_its_bytes() {
    for size in [
        1,
        4097,
        LARGE - PAGE,
        LARGE,
        LARGE + 1,
        2 * LARGE - PAGE,
        5 * (1 << 20) + PAGE,
        8 << 20,
        (16 << 20) + 1,
    ] {
        let handle = Handle::mapped_as(MAP_HUGE, "", size);
        let len = size.next_multiple_of(PAGE);
        let mapping = handle.window(0, len);
        assert!(mapping.is_all(0), "{size}");
        stamp(&mapping, 0);
        is_stamped(&handle.window(0, len), 0);
        let mut bytes = vec![0; len];
        assert_eq!(handle.pread(&mut bytes, 0), Ok(size), "{size}");
        assert_eq!(bytes[..size], mapping.read(0, size), "{size}");
        super::refused(handle.mmap(len + 1, READ, SHARED, 0), crate::sys::Errno::EINVAL);
    }
}

fn every_window_shows_its_bytes() {
    const PAGES: usize = (8 << 20) / PAGE;
    let (handle, mapping) = frames(8 << 20);
    stamp(&mapping, 0);
    drop(mapping);
    for first in [
        0,
        1,
        100,
        511,
        512,
        513,
        700,
        1023,
        1024,
        PAGES - 513,
        PAGES - 512,
    ] {
        for count in [1, 511, 512, 513, 1023, 1024, 1025] {
            if first + count <= PAGES {
                let window = handle.window(first * PAGE, count * PAGE);
                is_stamped(&window, first);
                stamp(&window, first);
            }
        }
    }
    is_stamped(&handle.window(0, 8 << 20), 0);
}

fn an_unaligned_address_shows_the_right_bytes() {
    let (handle, mapping) = frames(3 * LARGE);
    stamp(&mapping, 0);
    for shift in [1, 7, 256, 511] {
        let room = Region::anonymous(6 * LARGE);
        let place = first_place(&room) + shift * PAGE;
        handle.mmap_at(&room, place, 3 * LARGE, READ | WRITE, 0).unwrap();
        for page in 0..3 * LARGE / PAGE {
            let word = room.u64(place + page * PAGE + page % 500 * 8);
            assert_eq!(word.load(Ordering::Relaxed), word_of(page), "{shift} {page}");
        }
    }
    assert_eq!(handle.nattch(), 1);
}

fn a_mapping_may_be_placed_over_half_of_another() {
    let (handle, mapping) = frames(2 * LARGE);
    let other = Handle::mapped_as(MAP_PFN, "", 2 * LARGE);
    other.window(0, 2 * LARGE).fill(9);
    for touched in [true, false] {
        let mapping = if touched {
            stamp(&mapping, 0);
            &mapping
        } else {
            &handle.window(0, 2 * LARGE)
        };
        other.mmap_at(mapping, LARGE / 2, LARGE, READ | WRITE, 0).unwrap();
        let pages = 0..2 * LARGE / PAGE;
        let (hidden, seen): (Vec<_>, Vec<_>) =
            pages.partition(|page| (LARGE / 2..LARGE * 3 / 2).contains(&(page * PAGE)));
        has_stamps(mapping, 0, seen);
        assert!(hidden.into_iter().all(|page| mapping.get(page * PAGE) == 9));
    }
    assert_eq!((handle.nattch(), other.nattch()), (2, 1));
    is_stamped(&handle.window(0, 2 * LARGE), 0);
}

fn two_processes_share_bytes() {
    let handle = Handle::mapped_as(MAP_HUGE, "frames", 2 * LARGE);
    let mapping = handle.window(0, 2 * LARGE);
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        // A handle and a mapping of its own, at another place.
        let window = Handle::of("frames").window(LARGE + PAGE, LARGE - PAGE);
        window.write(10, b"theirs");
        ready.open();
        go.pass();
        assert_eq!(window.read(100, 4), b"ours");
    });
    ready.pass();
    assert_eq!(mapping.read(LARGE + PAGE + 10, 6), b"theirs");
    mapping.write(LARGE + PAGE + 100, b"ours");
    go.open();
    child.join();
    remove("frames");
}

fn a_read_only_handle_cannot_write() {
    let handle = Handle::mapped_as(MAP_HUGE, "frames", 2 * LARGE);
    let reader = Handle::ro();
    reader.attach(crate::sys::by_name("frames")).unwrap();
    remove("frames");
    for touched in [true, false] {
        let view = reader.mmap(2 * LARGE, READ, SHARED, 0).unwrap();
        if touched {
            assert_eq!((view.get(0), view.get(LARGE)), (0, 0));
        }
        for place in [0, LARGE - 1, LARGE] {
            faults(|| view.set(place, 1));
        }
        for (offset, len) in [(0, 2 * LARGE), (0, LARGE), (PAGE, PAGE)] {
            super::refused(view.protect(offset, len, READ | WRITE), crate::sys::Errno::EACCES);
        }
        assert!(view.is_all(0));
    }
    assert!(handle.window(0, 2 * LARGE).is_all(0));
}

fn what_was_read_first_can_be_written() {
    let (handle, mapping) = frames(LARGE);
    assert_eq!(mapping.get(0), 0);
    mapping.fill(3);
    assert!(handle.window(0, LARGE).is_all(3));
}

fn a_private_view_sees_what_others_write() {
    let (handle, mapping) = frames(2 * LARGE);
    let view = handle.mmap(2 * LARGE, READ, PRIVATE, 0).unwrap();
    for value in [1, 2, 3] {
        mapping.set(LARGE + 5, value);
        assert_eq!(view.get(LARGE + 5), value);
    }
    faults(|| view.set(0, 1));
    super::refused(view.protect(0, LARGE, READ | WRITE), crate::sys::Errno::EACCES);
}

fn a_segment_grows_under_its_mappings() {
    let (handle, old) = frames(LARGE);
    stamp(&old, 0);
    handle.resize(THIS, 3 * LARGE as u64).unwrap();
    let new = handle.window(0, 3 * LARGE);
    has_stamps(&new, 0, 0..LARGE / PAGE);
    assert!(new.read(LARGE, 2 * LARGE).iter().all(|&byte| byte == 0));
    stamp(&new, 0);
    new.set(9, 77);
    assert_eq!(old.get(9), 77);
    is_stamped(&handle.window(0, 3 * LARGE), 0);
}

fn a_segment_that_grew_is_mapped_by_what_fits() {
    // Ends in the middle of an entry, shrinks to another middle, grows over both.
    let (handle, mapping) = frames(2 * LARGE + 3 * PAGE);
    stamp(&mapping, 0);
    drop(mapping);
    handle.resize(THIS, (LARGE + 9 * PAGE) as u64).unwrap();
    handle.resize(THIS, 4 * LARGE as u64).unwrap();
    let mapping = handle.window(0, 4 * LARGE);
    has_stamps(&mapping, 0, 0..LARGE / PAGE + 9);
    let rest = mapping.read(LARGE + 9 * PAGE, 3 * LARGE - 9 * PAGE);
    assert!(rest.iter().all(|&byte| byte == 0), "what it grew by is zero");
    stamp(&mapping, 0);
    is_stamped(&handle.window(0, 4 * LARGE), 0);
    let again = handle.window(0, 4 * LARGE);
    // What lies in one piece at both ends; in the middle, too, if the pages that it got are those that it gave back.
    let count = page_faults(&again, || touch(&again));
    assert!((2..=3).contains(&count), "{count} page faults");
}

fn what_is_wanted_of_transparent_large_pages_changes_nothing() {
    let (handle, mapping) = frames(2 * LARGE);
    mapping.advise(libc::MADV_NOHUGEPAGE).unwrap();
    assert_eq!(page_faults(&mapping, || touch(&mapping)), 2);
    stamp(&mapping, 0);
    Process::fork(|| {
        signal::disable_large_pages(true);
        let window = handle.window(0, 2 * LARGE);
        assert_eq!(page_faults(&window, || is_stamped(&window, 0)), 2);
        // What no large entry fits has small ones.
        window.unmap(0, PAGE).unwrap();
        let all = || has_stamps(&window, 0, 1..2 * LARGE / PAGE);
        assert_eq!(page_faults(&window, all), LARGE / PAGE / 16);
    })
    .join();
}

/// Two faults at one place, of which the kernel asks one for a large entry and the other for a small one.
fn large_pages_go_and_come_back_while_they_are_touched() {
    const ROUNDS: usize = 40;
    const WINDOWS: usize = 50;
    Process::fork(|| {
        let handle = Handle::mapped_as(MAP_HUGE, "", LARGE);
        let (stop, arrived) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    signal::disable_large_pages(true);
                    signal::disable_large_pages(false);
                }
            });
            let _stop = EndOf(&stop);
            for round in 0..ROUNDS {
                let windows: Vec<_> = (0..WINDOWS).map(|_| handle.window(0, LARGE)).collect();
                let touch_all = || {
                    for (index, window) in windows.iter().enumerate() {
                        arrived.fetch_add(1, Ordering::SeqCst);
                        while arrived.load(Ordering::SeqCst) < 2 * (round * WINDOWS + index + 1) {
                            std::thread::yield_now();
                        }
                        window.u64(0).fetch_add(1, Ordering::Relaxed);
                    }
                };
                std::thread::scope(|both| {
                    both.spawn(touch_all);
                    touch_all();
                });
            }
        });
        let touches = handle.window(0, LARGE).u64(0).load(Ordering::Relaxed);
        assert_eq!(touches, (2 * ROUNDS * WINDOWS) as u64);
    })
    .join();
}

fn what_was_is_never_seen_again() {
    for round in 0..200_usize {
        let len = [LARGE, LARGE + PAGE, 2 * LARGE, PAGE][round % 4];
        let handle = Handle::mapped_as(MAP_HUGE, "", len);
        let mapping = handle.window(0, len);
        assert!(mapping.is_all(0), "round {round}");
        mapping.fill(0xff);
    }
}

fn a_debugger_sees_what_was_not_touched() {
    let (handle, mapping) = frames(2 * LARGE);
    handle.pwrite(&[7; 64], LARGE as i64 - 32).unwrap();
    let memory = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    let mut bytes = [0; 64];
    let place = mapping.at(LARGE - 32).get() as u64;
    assert_eq!(memory.read_at(&mut bytes, place).unwrap(), 64);
    assert_eq!(bytes, [7; 64]);
    assert_eq!(memory.write_at(&[8; 64], place).unwrap(), 64);
    assert_eq!(mapping.read(LARGE - 32, 64), [8; 64]);
    // It touched nothing on the process's behalf.
    let fresh = handle.window(0, LARGE);
    memory.read_at(&mut bytes, fresh.at(0).get() as u64).unwrap();
    assert_eq!(page_faults(&fresh, || touch(&fresh)), 1);
}

fn many_small_segments_take_no_more_than_their_pages() {
    let before = crate::sys::usage();
    let handles: Vec<_> = (0..100).map(|_| Handle::mapped_as(MAP_HUGE, "", PAGE)).collect();
    let now = crate::sys::usage();
    assert_eq!((now.0 - before.0, now.1 - before.1), (100, 100 * PAGE as u64));
    for handle in &handles {
        assert_eq!(handle.stat().unwrap().pieces, 1);
        handle.window(0, PAGE).fill(1);
    }
}
