// SPDX-License-Identifier: MIT OR Apache-2.0

//! RESIZE: what grows is zero and shared, what is mapped stays, and nothing shrinks under a mapping.

use std::sync::atomic::Ordering;

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Errno, Handle, PAGE, Process, Resize, THIS, by_id, by_name, poll, usage,
};

tests![
    a_segment_grows_while_others_map_it,
    what_it_grows_by_is_zero_and_shared,
    the_end_of_reads_and_writes_follows,
    windows_of_mappings_follow,
    any_size_follows_any_size,
    it_shrinks_by_whole_pages_only_while_nothing_maps_it,
    it_shrinks_within_its_last_page_while_it_is_mapped,
    what_was_cut_off_comes_back_as_zeros,
    what_a_mapping_left_past_the_end_comes_back_as_zeros,
    a_refused_resize_changes_nothing,
    a_size_of_zero_is_einval,
    a_reserved_field_that_is_not_zero_is_einval,
    the_default_segment_is_einval,
    a_size_beyond_every_limit_is_enospc,
    it_works_by_handle_by_id_and_by_name,
    it_needs_no_open_for_writing,
    the_same_size_again_is_no_change,
    ranges_beyond_the_new_end_stay_until_they_are_ended,
    it_is_no_write_and_wakes_no_poller,
    a_large_segment_grows_and_shrinks_in_pieces,
];

const SMALL: u64 = PAGE as u64;

fn a_segment_grows_while_others_map_it() {
    let handle = Handle::creating("frames", SMALL);
    let mapping = handle.window(0, PAGE);
    mapping.fill(0x5a);
    Process::fork(|| {
        let other = Handle::of("frames");
        let theirs = other.window(0, PAGE);
        Handle::rw().resize(by_name("frames"), 9 * SMALL).unwrap();
        assert!(theirs.is_all(0x5a), "a mapping that was there before stays");
        theirs.set(0, 1);
        let all = other.window(0, 9 * PAGE);
        assert_eq!((all.get(0), all.get(1), all.get(PAGE)), (1, 0x5a, 0));
        all.set(8 * PAGE, 2);
        // This process was born with a mapping, too.
        assert_eq!(other.stat().unwrap().nattch, 4);
    })
    .join();
    assert_eq!((mapping.get(0), mapping.get(1)), (1, 0x5a));
    assert_eq!(handle.window(8 * PAGE, PAGE).get(0), 2);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mapped_size), (9 * SMALL, 9 * SMALL));
    assert_eq!(usage(), (1, 9 * SMALL));
    remove("frames");
}

fn what_it_grows_by_is_zero_and_shared() {
    let (one, other) = (Handle::creating("frames", 100), Handle::of("frames"));
    one.pwrite(&[9; 100], 0).unwrap();
    let mut size = 100;
    for growth in [1, SMALL, 5 * SMALL + 7, 100 * SMALL] {
        let old = size;
        size += growth;
        one.resize(THIS, size).unwrap();
        let mut bytes = vec![1; growth as usize];
        assert_eq!(other.pread(&mut bytes, old as i64), Ok(growth as usize));
        assert!(bytes.iter().all(|&byte| byte == 0), "{growth} bytes at {old}");
        one.pwrite(&vec![9; growth as usize], old as i64).unwrap();
        other.pread(&mut bytes, old as i64).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 9), "{growth} bytes at {old}");
    }
    remove("frames");
}

fn the_end_of_reads_and_writes_follows() {
    let (one, other) = (Handle::creating("frames", 4097), Handle::of("frames"));
    other.seek(4097, libc::SEEK_SET).unwrap();
    assert_eq!(other.read(&mut [0; 8]), Ok(0));
    one.resize(THIS, 4100).unwrap();
    assert_eq!(other.read(&mut [0; 8]), Ok(3));
    refused(other.write(b"x"), Errno::ENOSPC);
    one.resize(THIS, 8193).unwrap();
    assert_eq!(other.write(&[1; 8192]), Ok(8193 - 4100));
    assert_eq!(other.seek(0, libc::SEEK_END), Ok(8193));
    assert_eq!(other.seek(0, libc::SEEK_HOLE), Ok(8193));
    one.resize(THIS, 10).unwrap();
    assert_eq!(other.seek(0, libc::SEEK_END), Ok(10));
    assert_eq!(other.pread(&mut [0; 8], 10), Ok(0));
    refused(other.pwrite(b"x", 10), Errno::ENOSPC);
    assert_eq!(other.pwrite(&[2; 64], 5), Ok(5));
    refused(other.seek(11, libc::SEEK_SET), Errno::EINVAL);
    assert_eq!(other.stat().unwrap().size, 10);
    assert_eq!(other.fdinfo()["size"], "10");
    remove("frames");
}

fn windows_of_mappings_follow() {
    let handle = Handle::creating("frames", 4097);
    drop(handle.window(0, 2 * PAGE));
    refused(handle.mmap(3 * PAGE, READ, SHARED, 0), Errno::EINVAL);
    handle.resize(THIS, 8193).unwrap();
    drop(handle.window(0, 3 * PAGE));
    drop(handle.window(2 * PAGE, PAGE));
    handle.resize(THIS, 8192).unwrap();
    refused(handle.mmap(PAGE, READ, SHARED, 8192), Errno::EINVAL);
    handle.resize(THIS, 1).unwrap();
    refused(handle.mmap(2 * PAGE, READ, SHARED, 0), Errno::EINVAL);
    drop(handle.window(0, PAGE));
    remove("frames");
}

fn any_size_follows_any_size() {
    const SIZES: [u64; 7] = [1, 4095, 4096, 4097, 3 * SMALL, 17 * SMALL + 1, 64 * SMALL];
    let handle = Handle::creating("frames", 1);
    for from in SIZES {
        for to in SIZES {
            handle.resize(THIS, from).unwrap();
            handle.pwrite(&vec![3; from as usize], 0).unwrap();
            handle.resize(THIS, to).unwrap();
            let stat = handle.stat().unwrap();
            assert_eq!((stat.size, stat.mapped_size), (to, to.next_multiple_of(SMALL)));
            assert_eq!(usage().1, to.next_multiple_of(SMALL));
            let mapping = handle.window(0, stat.mapped_size as usize);
            let kept = from.min(to) as usize;
            let bytes = mapping.read(0, mapping.len());
            assert!(bytes[..kept].iter().all(|&byte| byte == 3), "{from} to {to}");
            assert!(bytes[kept..].iter().all(|&byte| byte == 0), "{from} to {to}");
        }
    }
    remove("frames");
}

fn it_shrinks_by_whole_pages_only_while_nothing_maps_it() {
    let handle = Handle::creating("frames", 4 * SMALL);
    // Whatever part is mapped, by whomever, in whatever way.
    for (offset, len, prot) in [(0, 1, READ), (3, 1, READ | WRITE), (0, 4, READ)] {
        let mapping = handle
            .mmap(len * PAGE, prot, SHARED, (offset * PAGE) as u64)
            .unwrap();
        for size in [3 * SMALL, SMALL, 1] {
            refused(handle.resize(THIS, size), Errno::EBUSY);
            refused(Handle::rw().resize(by_name("frames"), size), Errno::EBUSY);
        }
        handle.resize(THIS, 6 * SMALL).expect("growing is another thing");
        drop(mapping);
        handle.resize(THIS, 4 * SMALL).unwrap();
    }
    let (ready, go) = (crate::sys::Gate::new(), crate::sys::Gate::new());
    let child = Process::fork(|| {
        let _mapping = Handle::of("frames").window(0, PAGE);
        ready.open();
        go.pass();
    });
    ready.pass();
    refused(handle.resize(THIS, SMALL), Errno::EBUSY);
    assert_eq!(handle.stat().unwrap().size, 4 * SMALL);
    go.open();
    child.join();
    handle.resize(THIS, SMALL).unwrap();
    assert_eq!(usage(), (1, SMALL));
    remove("frames");
}

fn it_shrinks_within_its_last_page_while_it_is_mapped() {
    let handle = Handle::creating("frames", 2 * SMALL);
    let mapping = handle.window(0, 2 * PAGE);
    mapping.fill(7);
    handle.resize(THIS, 5000).expect("it loses no page");
    assert!(mapping.read(0, 5000).iter().all(|&byte| byte == 7));
    assert!(mapping.read(5000, 8192 - 5000).iter().all(|&byte| byte == 0));
    handle.resize(THIS, 4097).expect("nor now");
    assert_eq!((mapping.get(4096), mapping.get(4097)), (7, 0));
    refused(handle.resize(THIS, 4096), Errno::EBUSY);
    assert_eq!(handle.stat().unwrap().size, 4097);
    remove("frames");
}

fn what_was_cut_off_comes_back_as_zeros() {
    let handle = Handle::creating("frames", 8 * SMALL);
    for size in [5000, 4096, 1, 3 * SMALL + 1] {
        handle.pwrite(&[6; 8 * PAGE], 0).unwrap();
        handle.resize(THIS, size).unwrap();
        handle.resize(THIS, 8 * SMALL).unwrap();
        let bytes = handle.window(0, 8 * PAGE).read(0, 8 * PAGE);
        let (kept, cut) = bytes.split_at(size as usize);
        assert!(kept.iter().all(|&byte| byte == 6), "{size}");
        assert!(cut.iter().all(|&byte| byte == 0), "{size}");
    }
    remove("frames");
}

fn what_a_mapping_left_past_the_end_comes_back_as_zeros() {
    let handle = Handle::creating("frames", 4097);
    handle.window(0, 2 * PAGE).fill(8);
    handle.resize(THIS, 3 * SMALL).unwrap();
    let bytes = handle.window(0, 3 * PAGE).read(0, 3 * PAGE);
    assert!(bytes[..4097].iter().all(|&byte| byte == 8));
    assert!(
        bytes[4097..].iter().all(|&byte| byte == 0),
        "it grew by other than zeros"
    );
    remove("frames");
}

fn a_refused_resize_changes_nothing() {
    let handle = Handle::creating("frames", 5000);
    handle.pwrite(&[4; 5000], 0).unwrap();
    let mapping = handle.window(0, 2 * PAGE);
    let before = handle.stat().unwrap();
    refused(handle.resize(THIS, 0), Errno::EINVAL);
    refused(handle.resize(THIS, u64::MAX), Errno::ENOSPC);
    refused(handle.resize(THIS, 100), Errno::EBUSY);
    assert_eq!(handle.stat().unwrap(), before);
    assert!(mapping.read(0, 5000).iter().all(|&byte| byte == 4));
    assert_eq!(usage(), (1, 2 * SMALL));
    remove("frames");
}

fn a_size_of_zero_is_einval() {
    let handle = Handle::creating("frames", 100);
    for target in [THIS, by_name("frames"), by_id(handle.id())] {
        refused(handle.resize(target, 0), Errno::EINVAL);
    }
    remove("frames");
}

fn a_reserved_field_that_is_not_zero_is_einval() {
    let handle = Handle::creating("frames", 100);
    for reserved in [1, 1 << 63, u64::MAX] {
        let mut resize = Resize {
            target: THIS,
            size: 200,
            reserved,
        };
        refused(handle.call(&mut resize), Errno::EINVAL);
    }
    assert_eq!(handle.stat().unwrap().size, 100);
    remove("frames");
}

fn the_default_segment_is_einval() {
    let handle = Handle::rw();
    handle.pread(&mut [0], 0).unwrap();
    for size in [1, 1 << 20, 2 << 20] {
        refused(handle.resize(THIS, size), Errno::EINVAL);
        refused(Handle::rw().resize(by_id(0), size), Errno::EINVAL);
    }
}

fn a_size_beyond_every_limit_is_enospc() {
    let handle = Handle::creating("frames", 100);
    for size in [
        u64::MAX,
        u64::MAX - 4094,
        1 << 63,
        (1 << 63) + 1,
        1 << 41,
        (1 << 40) + 1,
    ] {
        refused(handle.resize(THIS, size), Errno::ENOSPC);
    }
    assert_eq!((handle.stat().unwrap().size, usage()), (100, (1, SMALL)));
    remove("frames");
}

fn it_works_by_handle_by_id_and_by_name() {
    let handle = Handle::creating("frames", 100);
    for (size, target) in (200..).zip([THIS, by_id(handle.id()), by_name("frames")]) {
        handle.resize(target, size).unwrap();
        assert_eq!(handle.stat().unwrap().size, size);
    }
    let anonymous = Handle::creating("", 100);
    anonymous.resize(THIS, 5000).unwrap();
    assert_eq!(anonymous.stat().unwrap().mapped_size, 2 * SMALL);
    remove("frames");
}

fn it_needs_no_open_for_writing() {
    Handle::creating("frames", 100);
    let reader = Handle::ro();
    reader.attach(by_name("frames")).unwrap();
    reader.resize(THIS, 200).unwrap();
    Handle::ro().resize(by_name("frames"), 300).unwrap();
    assert_eq!(reader.stat().unwrap().size, 300);
    remove("frames");
}

fn the_same_size_again_is_no_change() {
    let handle = Handle::creating("frames", 5000);
    let mapping = handle.window(0, 2 * PAGE);
    mapping.fill(3);
    for _ in 0..3 {
        handle.resize(THIS, 5000).unwrap();
    }
    assert_eq!(handle.stat().unwrap().size, 5000);
    assert!(mapping.read(0, 5000).iter().all(|&byte| byte == 3));
    remove("frames");
}

fn ranges_beyond_the_new_end_stay_until_they_are_ended() {
    let (handle, other) = (Handle::creating("frames", 4 * SMALL), Handle::of("frames"));
    handle.begin(ACCESS_WRITE, 3 * SMALL, SMALL, 0).unwrap();
    handle.begin(ACCESS_READ, 0, 4 * SMALL - SMALL, 0).unwrap();
    handle.resize(THIS, 100).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 2);
    refused(other.begin(ACCESS_READ, 3 * SMALL, 1, 0), Errno::EINVAL);
    refused(other.begin(ACCESS_READ, 0, SMALL + 1, 0), Errno::EINVAL);
    other
        .begin(ACCESS_READ, 0, SMALL, 0)
        .expect("the rest of the last page, too");
    other.end(ACCESS_READ, 0, SMALL).unwrap();
    handle.resize(THIS, 4 * SMALL).unwrap();
    refused(other.begin(ACCESS_READ, 3 * SMALL, 1, 0), Errno::EAGAIN);
    handle.resize(THIS, 100).unwrap();
    handle.end(ACCESS_WRITE, 3 * SMALL, SMALL).unwrap();
    handle.end(ACCESS_READ, 0, 3 * SMALL).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 0);
    remove("frames");
}

fn it_is_no_write_and_wakes_no_poller() {
    let (handle, reader) = (Handle::creating("frames", 5000), Handle::of("frames"));
    let generation = reader.generation();
    for size in [10_000, 100, 5000] {
        handle.resize(THIS, size).unwrap();
    }
    assert!(!poll::is_readable(&reader));
    assert_eq!(reader.generation(), generation);
    remove("frames");
}

fn a_large_segment_grows_and_shrinks_in_pieces() {
    const MIB: u64 = 1 << 20;
    let handle = Handle::creating("frames", 1);
    let mut word = [0; 8];
    for size in [3 * MIB, 9 * MIB + 1, 5 * MIB - 1, 12 * MIB, SMALL, 6 * MIB] {
        let old = handle.stat().unwrap().mapped_size;
        handle.resize(THIS, size).unwrap();
        let stat = handle.stat().unwrap();
        assert_eq!(usage(), (1, stat.mapped_size));
        assert!(
            (1..=stat.mapped_size / SMALL).contains(&stat.pieces.into()),
            "{stat:?}"
        );
        let mapping = handle.window(0, stat.mapped_size as usize);
        for page in (0..stat.mapped_size / SMALL).step_by(7) {
            let word = mapping.u64((page * SMALL) as usize);
            let seen = word.swap(page + 1, Ordering::Relaxed);
            let (kept, new) = (page * SMALL < old && seen == page + 1, seen == 0);
            assert!(kept || new, "page {page} of {size} bytes has {seen}");
        }
        // Reads see the pages in the order in which they are mapped.
        for page in (0..size / SMALL).step_by(49) {
            handle.pread(&mut word, (page * SMALL) as i64).unwrap();
            assert_eq!(u64::from_ne_bytes(word), page + 1);
        }
    }
    remove("frames");
}
