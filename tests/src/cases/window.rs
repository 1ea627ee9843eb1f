// SPDX-License-Identifier: MIT OR Apache-2.0

//! RESTRICT to a window of bytes: what `mmap`, `read`, `write`, `lseek` and SYNC make of it.

use super::restrict::{ALL, BOTH};
use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::segments::remove;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Errno, Handle, PAGE, THIS, by_name, file};

tests![
    reads_and_writes_end_where_the_window_ends,
    before_the_window_is_eacces,
    the_end_to_seek_to_is_the_windows,
    vectors_and_splices_stay_inside,
    mmap_takes_whole_pages_of_the_window,
    the_rest_of_the_last_page_belongs_to_an_open_end,
    ranges_outside_are_eacces,
    an_open_end_follows_the_segment,
    a_fixed_end_stays_where_it_is,
    a_window_past_the_end_is_reached_by_growth,
    a_length_of_zero_and_one_that_wraps_are_einval,
    a_window_that_is_not_within_the_present_one_is_eacces,
    windows_narrow_step_by_step,
    fdinfo_shows_window_and_access,
    every_byte_around_a_window,
];

const SMALL: u64 = PAGE as u64;

/// A handle of a new segment of four pages, restricted to a window, and one that is not.
fn pair(offset: u64, len: u64) -> (Handle, Handle) {
    let free = Handle::creating("frames", 4 * SMALL);
    let bytes: Vec<u8> = (0..4 * PAGE).map(|index| (index % 251) as u8).collect();
    free.pwrite(&bytes, 0).unwrap();
    let handle = Handle::of("frames");
    handle.restrict(offset, len, BOTH).unwrap();
    (handle, free)
}

fn reads_and_writes_end_where_the_window_ends() {
    let (handle, free) = pair(100, 50);
    let mut bytes = [0; 100];
    assert_eq!(handle.pread(&mut bytes, 100), Ok(50));
    assert_eq!((bytes[0], bytes[49], bytes[50]), (100, 149, 0));
    assert_eq!(handle.pread(&mut bytes, 149), Ok(1));
    for offset in [150, 151, 5000, 1 << 40] {
        assert_eq!(handle.pread(&mut bytes, offset), Ok(0), "at {offset}");
        refused(handle.pwrite(b"x", offset), Errno::ENOSPC);
    }
    let generation = free.generation();
    assert_eq!(handle.pwrite(&[1; 100], 120), Ok(30));
    assert_eq!(free.generation(), generation + 1, "a short write is a write");
    let mut around = [0; 52];
    free.pread(&mut around, 119).unwrap();
    assert_eq!((around[0], &around[1..31], around[31]), (119, &[1; 30][..], 150));
    remove("frames");
}

fn before_the_window_is_eacces() {
    let (handle, free) = pair(100, 50);
    for offset in [0, 50, 99] {
        refused(handle.pread(&mut [0], offset), Errno::EACCES);
        refused(handle.pread(&mut [0; 200], offset), Errno::EACCES);
        refused(handle.pwrite(b"x", offset), Errno::EACCES);
        refused(handle.pwrite(&[0; 200], offset), Errno::EACCES);
    }
    // A new handle's position is 0.
    refused(handle.read(&mut [0; 200]), Errno::EACCES);
    refused(handle.write(b"x"), Errno::EACCES);
    assert_eq!(free.generation(), 1, "nothing was stored");
    remove("frames");
}

fn the_end_to_seek_to_is_the_windows() {
    let (handle, _free) = pair(100, 50);
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(150));
    assert_eq!(handle.seek(-50, libc::SEEK_END), Ok(100));
    let mut bytes = [0; 64];
    assert_eq!(handle.read(&mut bytes), Ok(50));
    assert_eq!(handle.read(&mut bytes), Ok(0));
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(150));
    refused(handle.seek(1, libc::SEEK_END), Errno::EINVAL);
    refused(handle.seek(151, libc::SEEK_SET), Errno::EINVAL);
    assert_eq!(handle.seek(120, libc::SEEK_HOLE), Ok(150));
    assert_eq!(handle.seek(120, libc::SEEK_DATA), Ok(120));
    refused(handle.seek(150, libc::SEEK_DATA), Errno::ENXIO);
    refused(handle.seek(150, libc::SEEK_HOLE), Errno::ENXIO);
    remove("frames");
}

fn vectors_and_splices_stay_inside() {
    let (handle, free) = pair(100, 50);
    let (mut first, mut second) = ([0; 30], [0; 30]);
    assert_eq!(handle.readv(&mut [&mut first, &mut second], Some(100)), Ok(50));
    assert_eq!((second[19], second[20]), (149, 0));
    assert_eq!(handle.writev(&[&[1; 30], &[2; 30]], Some(110)), Ok(40));
    refused(handle.readv(&mut [&mut first], Some(99)), Errno::EACCES);
    refused(handle.writev(&[b"x"], Some(99)), Errno::EACCES);
    let (reader, writer) = file::pipe();
    assert_eq!(file::sendfile(&writer, &handle, Some(140), 100), Ok(10));
    refused(file::sendfile(&writer, &handle, Some(0), 100), Errno::EACCES);
    assert_eq!(file::splice(&handle, Some(148), &writer, None, 100), Ok(2));
    refused(file::splice(&handle, Some(10), &writer, None, 100), Errno::EACCES);
    assert_eq!(file::splice(&reader, None, &handle, Some(145), 12), Ok(5));
    refused(file::splice(&reader, None, &handle, Some(0), 5), Errno::EACCES);
    let mut bytes = [0; 2];
    free.pread(&mut bytes, 149).unwrap();
    assert_eq!(bytes[1], 150, "the byte after the window");
    remove("frames");
}

fn mmap_takes_whole_pages_of_the_window() {
    // From the middle of page 0 to the middle of page 3: pages 1 and 2 are whole.
    let (handle, _free) = pair(10, 3 * SMALL + 10);
    for first in 0..4 {
        for pages in 1..=4 - first {
            let whole = first >= 1 && first + pages <= 3;
            for prot in [READ, READ | WRITE] {
                let outcome = handle.mmap(pages * PAGE, prot, SHARED, (first * PAGE) as u64);
                match outcome {
                    Ok(mapping) if whole => assert_eq!(mapping.get(0), (first * PAGE % 251) as u8),
                    Err(Errno::EACCES) if !whole => (),
                    other => panic!("pages {first} to {}: {other:?}", first + pages),
                }
            }
        }
    }
    // What does not lie within the segment either is refused as ever, by one or the other.
    let outcome = handle.mmap(PAGE, READ, SHARED, 4 * SMALL);
    assert!(
        matches!(outcome, Err(Errno::EINVAL | Errno::EACCES)),
        "{outcome:?}"
    );
    let view = handle.mmap(PAGE, READ, SHARED, SMALL).unwrap();
    view.protect(0, PAGE, READ | WRITE)
        .expect("writing was not given up");
    remove("frames");
}

/// A window of a fixed length must not come to hold more than that by the segment's growth: so it holds whole pages.
fn the_rest_of_the_last_page_belongs_to_an_open_end() {
    let free = Handle::creating("frames", SMALL + 100);
    for (len, reaches) in [
        (ALL, true),
        (2 * SMALL, true),
        (SMALL + 100, false),
        (SMALL + 99, false),
        (SMALL, false),
    ] {
        let handle = Handle::of("frames");
        handle.restrict(0, len, BOTH).unwrap();
        let outcome = handle.mmap(PAGE, READ | WRITE, SHARED, SMALL);
        if reaches {
            outcome.unwrap();
            drop(handle.window(0, 2 * PAGE));
        } else {
            refused(outcome, Errno::EACCES);
            drop(handle.window(0, PAGE));
        }
    }
    drop(free);
    remove("frames");
}

fn ranges_outside_are_eacces() {
    let (handle, free) = pair(100, 50);
    for (offset, len) in [
        (99, 1),
        (99, 2),
        (0, 150),
        (100, 51),
        (149, 2),
        (150, 1),
        (0, 4 * SMALL),
    ] {
        for access in [ACCESS_READ, ACCESS_WRITE] {
            refused(handle.begin(access, offset, len, 0), Errno::EACCES);
        }
    }
    for (offset, len) in [(100, 50), (100, 1), (149, 1), (120, 10)] {
        for access in [ACCESS_READ, ACCESS_WRITE] {
            handle.begin(access, offset, len, 0).unwrap();
            handle.end(access, offset, len).unwrap();
        }
    }
    refused(handle.end(ACCESS_READ, 0, 1), Errno::ENOENT);
    free.begin(ACCESS_WRITE, 0, 4 * SMALL, 0).unwrap();
    refused(handle.begin(ACCESS_READ, 100, 1, 0), Errno::EAGAIN);
    free.end(ACCESS_WRITE, 0, 4 * SMALL).unwrap();
    remove("frames");
}

fn an_open_end_follows_the_segment() {
    let (handle, free) = pair(SMALL, ALL);
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(4 * SMALL));
    free.resize(THIS, 6 * SMALL).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(6 * SMALL));
    assert_eq!(handle.pwrite(b"ab", 6 * PAGE as i64 - 1), Ok(1));
    drop(handle.window(PAGE, 5 * PAGE));
    refused(handle.mmap(PAGE, READ, SHARED, 0), Errno::EACCES);
    free.resize(THIS, 2 * SMALL).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(2 * SMALL));
    remove("frames");
}

fn a_fixed_end_stays_where_it_is() {
    let (handle, free) = pair(0, 4 * SMALL);
    free.resize(THIS, 6 * SMALL).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(4 * SMALL));
    refused(handle.pwrite(b"x", 4 * PAGE as i64), Errno::ENOSPC);
    refused(handle.mmap(5 * PAGE, READ, SHARED, 0), Errno::EACCES);
    drop(handle.window(0, 4 * PAGE));
    // Below it, the segment's end is the end.
    free.resize(THIS, 100).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(100));
    assert_eq!(handle.pread(&mut [0; 8], 100), Ok(0));
    remove("frames");
}

fn a_window_past_the_end_is_reached_by_growth() {
    let (handle, free) = pair(4 * SMALL, SMALL);
    assert_eq!(handle.pread(&mut [0], 4 * PAGE as i64), Ok(0));
    refused(handle.pwrite(b"x", 4 * PAGE as i64), Errno::ENOSPC);
    refused(handle.pread(&mut [0], 0), Errno::EACCES);
    let outcome = handle.mmap(PAGE, READ, SHARED, 4 * SMALL);
    assert!(
        matches!(outcome, Err(Errno::EINVAL | Errno::EACCES)),
        "{outcome:?}"
    );
    free.resize(THIS, 8 * SMALL).unwrap();
    assert_eq!(handle.pwrite(b"x", 4 * PAGE as i64), Ok(1));
    assert_eq!(handle.window(4 * PAGE, PAGE).get(0), b'x');
    refused(handle.mmap(PAGE, READ, SHARED, 5 * SMALL), Errno::EACCES);
    remove("frames");
}

fn a_length_of_zero_and_one_that_wraps_are_einval() {
    let handle = Handle::creating("", SMALL);
    for (offset, len) in [
        (0, 0),
        (100, 0),
        (u64::MAX, 0),
        (3, u64::MAX - 1),
        (u64::MAX, 2),
        ((1 << 63) + 1, 1 << 63),
        (u64::MAX - 5, 7),
    ] {
        refused(handle.restrict(offset, len, BOTH), Errno::EINVAL);
    }
    handle.pwrite(b"x", 0).unwrap();
}

fn a_window_that_is_not_within_the_present_one_is_eacces() {
    let (handle, _free) = pair(100, 50);
    for (offset, len) in [
        (99, 50),
        (100, 51),
        (0, 4096),
        (149, 2),
        (150, 1),
        (0, ALL),
        (100, ALL),
        (99, 1),
    ] {
        refused(handle.restrict(offset, len, BOTH), Errno::EACCES);
    }
    assert_eq!(handle.pread(&mut [0; 200], 100), Ok(50));
    remove("frames");
}

fn windows_narrow_step_by_step() {
    let (handle, _free) = pair(0, ALL);
    let steps = [
        (10, ALL),
        (20, ALL),
        (20, 8000),
        (30, 7000),
        (30, 7000),
        (4096, 100),
        (4195, 1),
    ];
    for (offset, len) in steps {
        handle.restrict(offset, len, BOTH).unwrap();
        if offset > 0 {
            refused(handle.pread(&mut [0], offset as i64 - 1), Errno::EACCES);
        }
        assert_eq!(handle.pread(&mut [0], offset as i64), Ok(1));
    }
    assert_eq!(handle.pread(&mut [0; 8], 4195), Ok(1));
    remove("frames");
}

fn fdinfo_shows_window_and_access() {
    let (handle, free) = pair(100, 50);
    assert!(!free.fdinfo().contains_key("window") && !free.fdinfo().contains_key("access"));
    let shown = || {
        let lines = handle.fdinfo();
        let window: Vec<_> = lines["window"].split_whitespace().map(str::to_owned).collect();
        (window.join(" "), lines["access"].clone())
    };
    assert_eq!(shown(), ("100 150".into(), "rw".into()));
    handle.restrict(110, 5, ACCESS_WRITE).unwrap();
    assert_eq!(shown(), ("110 115".into(), "w".into()));
    let other = Handle::rw();
    other.attach(by_name("frames")).unwrap();
    other.restrict(7, ALL, ACCESS_READ).unwrap();
    let lines = other.fdinfo();
    assert!(lines["window"].split_whitespace().eq(["7", "end"]), "{lines:?}");
    assert_eq!(lines["access"], "r");
    remove("frames");
}

/// Reads of every start and length around a window, against plain arithmetic.
fn every_byte_around_a_window() {
    const START: u64 = 8;
    const END: u64 = 20;
    let (handle, _free) = pair(START, END - START);
    for offset in 0..24 {
        for len in 1..24 {
            let mut bytes = vec![0xee; len as usize];
            let outcome = handle.pread(&mut bytes, offset as i64);
            if offset < START {
                refused(outcome, Errno::EACCES);
                continue;
            }
            let expected = (offset + len).min(END).saturating_sub(offset);
            assert_eq!(outcome, Ok(expected as usize), "[{offset}, +{len})");
            for (index, byte) in (0..).zip(&bytes) {
                let value = if index < expected {
                    (offset + index) as u8
                } else {
                    0xee
                };
                assert_eq!(*byte, value);
            }
        }
    }
    remove("frames");
}
