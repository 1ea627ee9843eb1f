// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mmap`: windows, what is refused, `nattch`, and that mappings and descriptors outlive one another.

use super::{EXEC, PRIVATE, READ, SHARED, WRITE, agrees, refused};
use crate::harness::tests;
use crate::sys::module::Reloaded;
use crate::sys::{Errno, Handle, PAGE, Process, Region, SIZE, mode, signal};

tests![
    the_whole_segment_can_be_mapped,
    every_page_can_be_mapped_by_itself,
    two_mappings_show_the_same_bytes,
    two_processes_share_bytes,
    a_length_of_one_byte_maps_a_page,
    zero_length_is_einval,
    an_unaligned_offset_is_einval,
    a_window_past_the_end_is_einval,
    a_window_across_the_end_is_einval,
    an_offset_that_does_not_fit_is_eoverflow,
    a_refused_mmap_changes_no_count,
    #[slow] an_unaligned_size_is_mapped_in_whole_pages needs [ModuleFile],
    #[slow] a_segment_of_one_byte_is_one_page needs [ModuleFile],
    prot_none_maps_and_faults,
    a_write_only_handle_cannot_map,
    a_read_only_handle_maps_for_reading_only,
    exec_is_eperm,
    private_and_writable_is_a_copy_or_eopnotsupp,
    private_and_read_only_sees_what_others_write,
    a_fixed_mapping_over_another_keeps_the_count,
    flags_of_all_kinds_map,
    maps_shows_a_shared_file_mapping_without_exec,
    a_mapping_outlives_its_descriptor,
    a_limit_on_the_address_space_is_enomem,
    nattch_follows_a_thousand_mappings,
];

fn the_whole_segment_can_be_mapped() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    assert_eq!(handle.nattch(), 1);
    mapping.fill(0x5a);
    assert!(mapping.is_all(0x5a));
    let mut bytes = vec![0; SIZE];
    assert_eq!(handle.pread(&mut bytes, 0), Ok(SIZE));
    assert!(bytes.iter().all(|&byte| byte == 0x5a));
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

fn every_page_can_be_mapped_by_itself() {
    let handle = Handle::rw();
    let whole = handle.whole();
    for page in 0..SIZE / PAGE {
        whole
            .u64(page * PAGE)
            .store(page as u64 ^ 0xabcd, std::sync::atomic::Ordering::SeqCst);
    }
    for page in 0..SIZE / PAGE {
        let window = handle.window(page * PAGE, PAGE);
        assert_eq!(
            window.read(0, 8),
            (page as u64 ^ 0xabcd).to_ne_bytes(),
            "page {page}"
        );
        window.set(PAGE - 1, page as u8);
    }
    for page in 0..SIZE / PAGE {
        assert_eq!(whole.get((page + 1) * PAGE - 1), page as u8, "page {page}");
    }
}

fn two_mappings_show_the_same_bytes() {
    let (one, other) = (Handle::rw(), Handle::rw());
    let (first, second) = (one.whole(), other.window(SIZE / 2, SIZE / 2));
    first.write(SIZE / 2 + 5, b"hello");
    assert_eq!(second.read(5, 5), b"hello");
    second.write(SIZE / 2 - 3, b"end");
    assert_eq!(first.read(SIZE - 3, 3), b"end");
}

fn two_processes_share_bytes() {
    let mapping = Handle::rw().whole();
    mapping.fill(0);
    Process::fork(|| {
        // A handle and a mapping of its own: nothing inherited is used.
        let window = Handle::rw().window(4 * PAGE, PAGE);
        window.write(10, b"from another process");
    })
    .join();
    assert_eq!(mapping.read(4 * PAGE + 10, 20), b"from another process");
}

fn a_length_of_one_byte_maps_a_page() {
    let handle = Handle::rw();
    let mapping = handle
        .mmap(1, READ | WRITE, SHARED, (SIZE - PAGE) as u64)
        .unwrap();
    mapping.set(PAGE - 1, 9);
    let mut byte = [0];
    handle.pread(&mut byte, SIZE as i64 - 1).unwrap();
    assert_eq!(byte, [9]);
}

fn zero_length_is_einval() {
    refused(Handle::rw().mmap(0, READ, SHARED, 0), Errno::EINVAL);
}

fn an_unaligned_offset_is_einval() {
    for offset in [1, PAGE as u64 - 1, PAGE as u64 + 8] {
        refused(Handle::rw().mmap(PAGE, READ, SHARED, offset), Errno::EINVAL);
    }
}

fn a_window_past_the_end_is_einval() {
    let handle = Handle::rw();
    let far = [
        SIZE as u64,
        (SIZE + PAGE) as u64,
        1 << 40,
        1 << 62,
        1 << 63,
        0_u64.wrapping_sub(2 * PAGE as u64),
    ];
    for offset in far {
        refused(handle.mmap(PAGE, READ, SHARED, offset), Errno::EINVAL);
    }
}

fn a_window_across_the_end_is_einval() {
    let handle = Handle::rw();
    for (len, offset) in [
        (SIZE + 1, 0),
        (SIZE + PAGE, 0),
        (SIZE, PAGE),
        (2 * PAGE, SIZE - PAGE),
        (1 << 40, 0),
    ] {
        refused(handle.mmap(len, READ, SHARED, offset as u64), Errno::EINVAL);
    }
}

fn an_offset_that_does_not_fit_is_eoverflow() {
    let handle = Handle::rw();
    let last_page = 0_u64.wrapping_sub(PAGE as u64);
    refused(handle.mmap(PAGE, READ, SHARED, last_page), Errno::EOVERFLOW);
    refused(handle.mmap(2 * PAGE, READ, SHARED, last_page), Errno::EOVERFLOW);
}

fn a_refused_mmap_changes_no_count() {
    let handle = Handle::rw();
    let before = handle.stat().unwrap();
    for _ in 0..50 {
        refused(handle.mmap(PAGE, READ, SHARED, SIZE as u64), Errno::EINVAL);
        refused(handle.mmap(PAGE, READ | EXEC, SHARED, 0), Errno::EPERM);
    }
    assert_eq!(handle.stat().unwrap(), before);
}

fn an_unaligned_size_is_mapped_in_whole_pages() {
    let _module = Reloaded::with("default_size=4097");
    let handle = Handle::rw();
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mapped_size), (4097, 8192));
    let mapping = handle.window(0, 2 * PAGE);
    mapping.set(2 * PAGE - 1, 1);
    drop(handle.window(PAGE, PAGE));
    refused(handle.mmap(2 * PAGE + 1, READ, SHARED, 0), Errno::EINVAL);
    refused(handle.mmap(PAGE, READ, SHARED, 2 * PAGE as u64), Errno::EINVAL);
}

fn a_segment_of_one_byte_is_one_page() {
    let _module = Reloaded::with("default_size=1");
    let handle = Handle::rw();
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mapped_size, stat.pieces), (1, 4096, 1));
    assert!(handle.window(0, PAGE).is_all(0));
    refused(handle.mmap(2 * PAGE, READ, SHARED, 0), Errno::EINVAL);
    assert_eq!(handle.pwrite(b"ab", 0), Ok(1), "the write is short at byte 1");
}

fn prot_none_maps_and_faults() {
    let handle = Handle::rw();
    let mapping = handle.mmap(PAGE, libc::PROT_NONE, SHARED, 0).unwrap();
    assert_eq!(handle.nattch(), 1);
    super::faults(|| _ = mapping.get(0));
    mapping
        .protect(0, PAGE, READ | WRITE)
        .expect("the handle allows it");
    mapping.set(0, 1);
    assert_eq!(mapping.get(0), 1);
}

/// Whoever may not read may not map in any way.
#[track_caller]
pub(super) fn cannot_map(handle: &Handle) {
    for (prot, flags) in [
        (READ, SHARED),
        (WRITE, SHARED),
        (READ | WRITE, SHARED),
        (READ, PRIVATE),
    ] {
        refused(handle.mmap(PAGE, prot, flags, 0), Errno::EACCES);
    }
}

fn a_write_only_handle_cannot_map() {
    cannot_map(&Handle::wo());
}

fn a_read_only_handle_maps_for_reading_only() {
    let handle = Handle::ro();
    refused(handle.mmap(PAGE, READ | WRITE, SHARED, 0), Errno::EACCES);
    refused(handle.mmap(PAGE, WRITE, SHARED, 0), Errno::EACCES);
    let mapping = handle.mmap(PAGE, READ, SHARED, 0).unwrap();
    Handle::rw().pwrite(b"seen", 0).unwrap();
    assert_eq!(mapping.read(0, 4), b"seen");
    super::faults(|| mapping.set(0, 1));
    assert_eq!(mapping.read(0, 4), b"seen");
}

fn exec_is_eperm() {
    for handle in [Handle::ro(), Handle::rw()] {
        refused(handle.mmap(PAGE, READ | EXEC, SHARED, 0), Errno::EPERM);
        refused(handle.mmap(PAGE, EXEC, SHARED, 0), Errno::EPERM);
        refused(handle.mmap(PAGE, READ | EXEC, PRIVATE, 0), Errno::EPERM);
    }
}

fn private_and_writable_is_a_copy_or_eopnotsupp() {
    Handle::rw().whole().fill(1);
    for handle in [Handle::ro(), Handle::rw()] {
        for prot in [READ | WRITE, WRITE] {
            let before = handle.nattch();
            if let Some(copy) = agrees(handle.mmap(PAGE, prot, PRIVATE, 0), mode().copies) {
                copy.set(0, 2);
            }
            assert_eq!(handle.nattch(), before);
        }
    }
    assert!(Handle::rw().whole().is_all(1));
}

fn private_and_read_only_sees_what_others_write() {
    let writer = Handle::rw().whole();
    for handle in [Handle::ro(), Handle::rw()] {
        let view = handle.mmap(SIZE, READ, PRIVATE, 0).unwrap();
        for value in [1, 2, 3] {
            writer.set(SIZE - 1, value);
            assert_eq!(view.get(SIZE - 1), value);
        }
        super::faults(|| view.set(0, 1));
    }
}

fn a_fixed_mapping_over_another_keeps_the_count() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 4 * PAGE);
    for _ in 0..20 {
        handle.mmap_over(&mapping, 0, 4 * PAGE, READ | WRITE).unwrap();
        assert_eq!(handle.nattch(), 1);
    }
    handle.mmap_over(&mapping, PAGE, PAGE, READ).unwrap();
    assert_eq!(handle.nattch(), 3, "left, middle, right");
    mapping.unmap(0, 4 * PAGE).unwrap();
    assert_eq!(handle.nattch(), 0);
}

fn flags_of_all_kinds_map() {
    let handle = Handle::rw();
    let harmless = [
        libc::MAP_POPULATE,
        libc::MAP_LOCKED,
        libc::MAP_NORESERVE,
        libc::MAP_NONBLOCK,
        libc::MAP_32BIT,
    ];
    for flag in harmless {
        let mapping = handle.mmap(SIZE, READ | WRITE, SHARED | flag, 0).unwrap();
        mapping.set(SIZE - 1, 1);
        assert_eq!(handle.nattch(), 1, "flag {flag:#x}");
    }
    drop(
        handle
            .mmap(PAGE, READ | WRITE, libc::MAP_SHARED_VALIDATE, 0)
            .unwrap(),
    );
    refused(
        handle.mmap(PAGE, READ, libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC, 0),
        Errno::EOPNOTSUPP,
    );
    assert_eq!(handle.nattch(), 0);
}

fn maps_shows_a_shared_file_mapping_without_exec() {
    let mapping = Handle::rw().window(3 * PAGE, PAGE);
    let start = format!("{:x}-", mapping.at(0).get());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.starts_with(&start))
        .expect("a line of /proc/self/maps");
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        (fields[1], fields[2], fields[5]),
        ("rw-s", "00003000", "/dev/shmdev")
    );
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let flags = smaps
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .find(|line| line.starts_with("VmFlags:"));
    if let Some(flags) = flags {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        assert!(flags.contains(&"sh") && flags.contains(&"mw"), "{flags:?}");
        assert!(
            !flags.contains(&"me") && !flags.contains(&"ex"),
            "never executable: {flags:?}"
        );
    }
}

fn a_mapping_outlives_its_descriptor() {
    let handle = Handle::rw();
    let token = handle.info().unwrap().token;
    let mapping = handle.whole();
    drop(handle);
    mapping.write(100, b"still here");
    let other = Handle::rw();
    assert_ne!(
        other.info().unwrap().token,
        token,
        "the handle lives on in its mapping"
    );
    let mut bytes = [0; 10];
    other.pread(&mut bytes, 100).unwrap();
    assert_eq!(&bytes, b"still here");
    assert_eq!(other.nattch(), 1);
    drop(mapping);
    assert_eq!(other.nattch(), 0);
}

fn a_limit_on_the_address_space_is_enomem() {
    let handle = Handle::rw();
    handle.stat().unwrap();
    Process::fork(|| {
        // Less than is in use already: whatever is asked for is too much.
        signal::limit(libc::RLIMIT_AS, PAGE as u64);
        refused(handle.mmap(SIZE, READ, SHARED, 0), Errno::ENOMEM);
    })
    .join();
    assert_eq!(handle.nattch(), 0);
}

fn nattch_follows_a_thousand_mappings() {
    let handle = Handle::rw();
    let mut mappings: Vec<Region> = Vec::new();
    for count in 1..=1000 {
        // Every other page: neighbours that could be merged into one area must not be, or the counts would not show.
        mappings.push(handle.window(count % 128 * 2 * PAGE, PAGE));
        if count % 100 == 0 {
            assert_eq!(handle.nattch(), count as u64);
        }
    }
    while let Some(mapping) = mappings.pop() {
        drop(mapping);
        if mappings.len() % 100 == 0 {
            assert_eq!(handle.nattch(), mappings.len() as u64);
        }
    }
}
