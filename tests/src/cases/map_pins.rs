// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pages of segments with `MAP_FAULT` that others hold: direct I/O, fixed buffers, pipes, other processes. They hold
//! them for as long as they like, whatever becomes of the segment.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::memory::gives_back;
use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::process::park;
use crate::sys::uring::Uring;
use crate::sys::{
    Errno, Handle, MAP_FAULT, MAP_HUGE, MAP_PFN, PAGE, Process, Region, THIS, file, hostile, usage,
};

tests![
    direct_io_goes_from_and_into_the_pages needs [RamDisk],
    direct_io_of_pages_that_cannot_be_pinned_is_efault needs [RamDisk],
    direct_io_goes_into_the_copy_alone needs [RamDisk],
    a_fixed_buffer_is_the_segments_memory,
    a_fixed_buffer_outlives_the_segment,
    a_fixed_buffer_for_writing_needs_a_writable_mapping,
    what_is_pinned_is_nobody_elses,
    shrinking_and_growing_leave_what_is_pinned_alone,
    a_child_and_its_parent_share_what_is_pinned,
    #[slow] pinned_memory_is_given_back within 120,
    a_page_in_a_pipe_outlives_the_segment,
    another_process_reads_and_writes_the_pages,
];

const LEN: usize = 32 * PAGE;

fn frames() -> (Handle, Region) {
    let handle = Handle::mapped_as(MAP_FAULT, "", LEN);
    let mapping = handle.window(0, LEN);
    (handle, mapping)
}

fn direct_io_goes_from_and_into_the_pages() {
    let (handle, mapping) = frames();
    let disk = file::ram_disk();
    for page in 0..LEN / PAGE {
        mapping.set(page * PAGE, 1 + page as u8);
    }
    mapping.advise(libc::MADV_DONTNEED).unwrap();
    assert_eq!(file::write_pages(&disk, mapping.at(0), LEN), Ok(LEN));
    mapping.fill(0);
    // Back, and a page further.
    std::io::Seek::rewind(&mut &disk).unwrap();
    mapping.advise(libc::MADV_DONTNEED).unwrap();
    assert_eq!(
        file::read_pages(&disk, mapping.at(PAGE), LEN - PAGE),
        Ok(LEN - PAGE)
    );
    for page in 1..LEN / PAGE {
        assert_eq!(mapping.get(page * PAGE), page as u8);
        let mut byte = [0];
        handle.pread(&mut byte, (page * PAGE) as i64).unwrap();
        assert_eq!(byte, [page as u8], "the segment has it");
    }
}

fn direct_io_of_pages_that_cannot_be_pinned_is_efault() {
    let disk = file::ram_disk();
    for map in [MAP_PFN, MAP_HUGE] {
        let handle = Handle::mapped_as(map, "", 4 << 20);
        let mapping = handle.window(0, 4 << 20);
        mapping.fill(1);
        refused(file::write_pages(&disk, mapping.at(0), PAGE), Errno::EFAULT);
        refused(file::read_pages(&disk, mapping.at(0), PAGE), Errno::EFAULT);
        assert!(mapping.is_all(1));
    }
}

fn direct_io_goes_into_the_copy_alone() {
    let (handle, mapping) = frames();
    mapping.fill(1);
    let copy = handle.mmap(LEN, READ | WRITE, libc::MAP_PRIVATE, 0).unwrap();
    let disk = file::ram_disk();
    let ordinary = Region::anonymous(LEN);
    ordinary.fill(9);
    assert_eq!(file::write_pages(&disk, ordinary.at(0), LEN), Ok(LEN));
    std::io::Seek::rewind(&mut &disk).unwrap();
    assert_eq!(file::read_pages(&disk, copy.at(0), LEN), Ok(LEN));
    assert!(copy.is_all(9) && mapping.is_all(1));
    // Into what cannot be written to it does not go.
    let view = handle.mmap(LEN, READ, SHARED, 0).unwrap();
    refused(file::read_pages(&disk, view.at(0), PAGE), Errno::EFAULT);
    assert!(mapping.is_all(1));
}

/// A file in memory, to move bytes to and from fixed buffers.
fn scratch() -> File {
    let path = format!("/tmp/shmdev-pins-{}", std::process::id());
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// What the fixed buffer that was at this address has.
fn contents(ring: &mut Uring, region: &Region) -> Vec<u8> {
    let file = scratch();
    let len = u32::try_from(region.len()).unwrap();
    assert_eq!(ring.write_fixed(&file, region.at(0), len), Ok(len));
    let mut bytes = vec![0; region.len()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn a_fixed_buffer_is_the_segments_memory() {
    let (handle, mapping) = frames();
    let mut ring = Uring::new();
    ring.pin(&mapping).unwrap();
    mapping.fill(3);
    assert_eq!(contents(&mut ring, &mapping), vec![3; LEN]);
    mapping.advise(libc::MADV_DONTNEED).unwrap();
    handle.pwrite(&[4; LEN], 0).unwrap();
    assert_eq!(contents(&mut ring, &mapping), vec![4; LEN]);
    let (file, len) = (scratch(), LEN as u32);
    file.write_all_at(&[5; LEN], 0).unwrap();
    assert_eq!(ring.read_fixed(&file, mapping.at(0), len), Ok(len));
    assert!(mapping.is_all(5));
}

fn a_fixed_buffer_outlives_the_segment() {
    let (handle, mapping) = frames();
    let mut ring = Uring::new();
    ring.pin(&mapping).unwrap();
    mapping.fill(3);
    let (file, place) = (scratch(), mapping.at(0));
    handle.remove(THIS).unwrap();
    drop(handle);
    mapping.unmap(0, LEN).unwrap();
    assert_eq!(usage(), (0, 0), "nothing of it counts any more");
    assert_eq!(contents(&mut ring, &mapping), vec![3; LEN]);
    file.write_all_at(&[7; LEN], 0).unwrap();
    assert_eq!(ring.read_fixed(&file, place, LEN as u32), Ok(LEN as u32));
    assert_eq!(contents(&mut ring, &mapping), vec![7; LEN]);
    mapping.leak();
}

fn a_fixed_buffer_for_writing_needs_a_writable_mapping() {
    let (handle, mapping) = frames();
    let view = handle.mmap(LEN, READ, SHARED, 0).unwrap();
    refused(Uring::new().pin(&view), Errno::EFAULT);
    assert!(mapping.is_all(0));
}

fn what_is_pinned_is_nobody_elses() {
    let (handle, mapping) = frames();
    let mut ring = Uring::new();
    ring.pin(&mapping).unwrap();
    mapping.fill(3);
    drop(handle);
    mapping.unmap(0, LEN).unwrap();
    for _ in 0..100 {
        let (_other, fresh) = frames();
        assert!(fresh.is_all(0));
        fresh.fill(0xff);
    }
    assert_eq!(contents(&mut ring, &mapping), vec![3; LEN]);
    mapping.leak();
}

fn shrinking_and_growing_leave_what_is_pinned_alone() {
    let (handle, mapping) = frames();
    let mut ring = Uring::new();
    ring.pin(&mapping).unwrap();
    mapping.fill(3);
    // More of it, while it is mapped and pinned: the pages stay the same.
    handle.resize(THIS, 2 * LEN as u64).unwrap();
    let large = handle.window(0, 2 * LEN);
    large.set(0, 4);
    assert_eq!(contents(&mut ring, &mapping)[0], 4);
    drop(large);
    mapping.unmap(0, LEN).unwrap();
    handle.resize(THIS, PAGE as u64).unwrap();
    handle.resize(THIS, LEN as u64).unwrap();
    let again = handle.window(0, LEN);
    assert_eq!((again.get(0), again.get(1)), (4, 3));
    let rest = again.read(PAGE, LEN - PAGE);
    assert!(
        rest.iter().all(|&byte| byte == 0),
        "what was given up is not back"
    );
    again.fill(9);
    let pinned = contents(&mut ring, &mapping);
    assert!(
        pinned[..PAGE].iter().all(|&byte| byte == 9),
        "still the segment's"
    );
    assert!(pinned[PAGE..].iter().all(|&byte| byte == 3), "not any more");
    mapping.leak();
}

fn a_child_and_its_parent_share_what_is_pinned() {
    let (_handle, mapping) = frames();
    let mut ring = Uring::new();
    ring.pin(&mapping).unwrap();
    mapping.fill(1);
    Process::fork(|| mapping.fill(2)).join();
    assert!(mapping.is_all(2));
    mapping.set(0, 3);
    let pinned = contents(&mut ring, &mapping);
    assert_eq!((pinned[0], pinned[1]), (3, 2));
}

fn pinned_memory_is_given_back() {
    const LARGE: usize = 4 << 20;
    let round = || {
        let handle = Handle::mapped_as(MAP_FAULT, "", LARGE);
        let mapping = handle.window(0, LARGE);
        mapping.fill(1);
        let ring = {
            let mut ring = Uring::new();
            ring.pin(&mapping).unwrap();
            ring
        };
        drop(handle);
        drop(mapping);
        drop(ring);
    };
    round();
    // One that were lost each time would be 160 MiB; the rest of the system moves by less.
    gives_back(|| (0..40).for_each(|_| round()), 32 << 20, 4 << 20);
    assert_eq!(usage(), (0, 0));
}

fn a_page_in_a_pipe_outlives_the_segment() {
    let (handle, mapping) = frames();
    mapping.fill(5);
    let (mut reader, writer) = file::pipe();
    assert_eq!(file::vmsplice(&writer, mapping.at(0), 2 * PAGE), Ok(2 * PAGE));
    // It is not a copy that is in the pipe.
    mapping.set(0, 6);
    drop((handle, mapping));
    assert_eq!(usage(), (0, 0));
    let (_other, fresh) = frames();
    fresh.fill(0xff);
    let mut bytes = vec![0; 2 * PAGE];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!((bytes[0], &bytes[1..]), (6, &[5; 2 * PAGE - 1][..]));
}

fn another_process_reads_and_writes_the_pages() {
    let (handle, mapping) = frames();
    // The child has touched nothing, and does not.
    let child = Process::fork(|| park());
    let pid = child.pid();
    handle.pwrite(b"theirs", 20).unwrap();
    let read = hostile::process_vm_read(pid, mapping.at(20), 6);
    assert_eq!(read, Ok(b"theirs".to_vec()));
    assert_eq!(hostile::process_vm_write(pid, mapping.at(9 * PAGE), 8), Ok(1));
    assert_eq!(mapping.get(9 * PAGE), 8);
    // Across the end of the mapping it is short.
    mapping.unmap(PAGE, PAGE).unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    let across = hostile::process_vm_read(me, mapping.at(PAGE - 8), 64);
    assert!(across.is_ok_and(|bytes| bytes.len() == 8));
    child.kill();
}
