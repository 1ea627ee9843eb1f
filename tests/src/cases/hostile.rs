// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ways into the mapping that the kernel offers for ordinary memory and that this memory must serve as documented, refuse or
//! ignore, never with a warning: the runner looks at the kernel log after each test.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::{READ, SHARED, WRITE, agrees, refused};
use crate::harness::tests;
use crate::sys::process::park;
use crate::sys::{
    ACCESS_WRITE, Errno, Handle, PAGE, Process, Region, Result, SIZE, file, hostile, mode, signal,
};

tests![
    a_shared_futex_is_efault,
    a_private_futex_finds_its_word,
    proc_mem_does_not_write_through_a_read_only_mapping,
    proc_mem_of_another_process_reads_and_writes_the_mapping,
    proc_mem_ends_where_the_mapping_does,
    process_vm_reads_and_writes_where_pages_can_be_pinned,
    ptrace_reads_and_writes_as_the_mapping_allows,
    vmsplice_takes_pages_that_can_be_pinned,
    io_uring_takes_pages_that_can_be_pinned,
    userfaultfd_is_refused,
    every_madvise_leaves_the_bytes_alone,
    mlock_leaves_counts_and_bytes_alone,
    mincore_says_of_all_pages_the_same,
    pages_stay_on_their_node needs [Nodes],
    direct_io_does_no_harm needs [RamDisk],
    an_ordinary_write_from_the_mapping_works,
    a_locked_future_maps_as_usual,
    a_dump_of_core_leaves_the_mapping_out,
    closing_in_one_thread_while_another_uses_it_is_safe,
    #[slow] mapping_and_unmapping_race_with_the_end_of_the_handle,
];

/// A mapping with known bytes, and a way to see that they have not changed.
struct Known {
    handle: Handle,
    mapping: Region,
}

impl Known {
    fn new() -> Known {
        let handle = Handle::rw();
        let mapping = handle.window(0, 4 * PAGE);
        mapping.fill(0x5a);
        Known { handle, mapping }
    }

    #[track_caller]
    fn is_unchanged(&self) {
        assert!(self.mapping.is_all(0x5a), "the mapping shows other bytes");
        let mut bytes = vec![0; 4 * PAGE];
        self.handle.pread(&mut bytes, 0).unwrap();
        assert!(
            bytes.iter().all(|&byte| byte == 0x5a),
            "the segment has other bytes"
        );
    }
}

fn a_shared_futex_is_efault() {
    let known = Known::new();
    refused(hostile::futex_wait(known.mapping.at(0), 1, false), Errno::EFAULT);
    refused(hostile::futex_wake(known.mapping.at(0), false), Errno::EFAULT);
    known.is_unchanged();
}

fn a_private_futex_finds_its_word() {
    let known = Known::new();
    refused(hostile::futex_wait(known.mapping.at(0), 1, true), Errno::EAGAIN);
    assert_eq!(hostile::futex_wake(known.mapping.at(0), true), Ok(0));
}

/// A process's memory, as a debugger opens it.
fn memory_of(process: impl std::fmt::Display) -> File {
    let path = format!("/proc/{process}/mem");
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The errno of what a file refused.
fn errno<T>(outcome: std::io::Result<T>) -> Result<T> {
    outcome.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn proc_mem_does_not_write_through_a_read_only_mapping() {
    let known = Known::new();
    let memory = memory_of("self");
    let view = Handle::ro().mmap(4 * PAGE, READ, SHARED, 0).unwrap();
    let private = Handle::ro().mmap(4 * PAGE, READ, libc::MAP_PRIVATE, 0).unwrap();
    let now_read_only = Handle::rw().window(0, 4 * PAGE);
    now_read_only.protect(0, 4 * PAGE, READ).unwrap();
    let (dark, mut bytes) = (Handle::rw().window(0, PAGE), [0; 16]);
    dark.protect(0, PAGE, libc::PROT_NONE).unwrap();
    let write = |mapping: &Region| errno(memory.write_at(&[0xee; 16], mapping.at(0).get() as u64));
    for mapping in [&view, &private, &now_read_only] {
        assert_eq!(
            memory.read_at(&mut bytes, mapping.at(PAGE).get() as u64).unwrap(),
            16
        );
        assert_eq!(bytes, [0x5a; 16]);
    }
    for mapping in [&view, &now_read_only, &dark] {
        refused(write(mapping), Errno::EIO);
    }
    // At most a copy is written to, if the kernel lets this process override its own protection.
    let _ = write(&private);
    known.is_unchanged();
}

fn proc_mem_of_another_process_reads_and_writes_the_mapping() {
    let known = Known::new();
    let child = Process::fork(|| park());
    let memory = memory_of(child.pid());
    let (mut bytes, across) = ([0; 64], known.mapping.at(2 * PAGE - 32).get() as u64);
    assert_eq!(memory.read_at(&mut bytes, across).unwrap(), 64);
    assert_eq!(bytes, [0x5a; 64]);
    assert_eq!(memory.write_at(&[7; 64], across).unwrap(), 64);
    assert_eq!(known.mapping.read(2 * PAGE - 32, 64), [7; 64]);
    assert_eq!(memory.write_at(&[0x5a; 64], across).unwrap(), 64);
    child.kill();
    known.is_unchanged();
}

fn proc_mem_ends_where_the_mapping_does() {
    let known = Known::new();
    let (memory, mut bytes) = (memory_of("self"), [0; 64]);
    let room = Region::anonymous(4 * PAGE);
    room.fill(3);
    known.handle.mmap_over(&room, PAGE, PAGE, READ | WRITE).unwrap();
    // On both sides something else goes on.
    for edge in [PAGE, 2 * PAGE] {
        let start = room.at(edge - 8).get() as u64;
        assert_eq!(memory.read_at(&mut bytes, start).unwrap(), 64);
        let (before, after) = if edge == PAGE { (3, 0x5a) } else { (0x5a, 3) };
        assert_eq!((&bytes[..8], &bytes[8..]), (&[before; 8][..], &[after; 56][..]));
        assert_eq!(memory.write_at(&bytes, start).unwrap(), 64);
    }
    // And then nothing.
    room.unmap(2 * PAGE, 2 * PAGE).unwrap();
    assert_eq!(
        memory
            .read_at(&mut bytes, room.at(2 * PAGE - 8).get() as u64)
            .unwrap(),
        8
    );
    assert_eq!(
        memory
            .write_at(&bytes, room.at(2 * PAGE - 8).get() as u64)
            .unwrap(),
        8
    );
    known.is_unchanged();
}

fn process_vm_reads_and_writes_where_pages_can_be_pinned() {
    let known = Known::new();
    let child = Process::fork(|| park());
    let pid = child.pid();
    let read = hostile::process_vm_read(pid, known.mapping.at(0), 64);
    if let Some(bytes) = agrees(read, mode().pins) {
        assert_eq!(bytes, [0x5a; 64]);
    }
    agrees(
        hostile::process_vm_write(pid, known.mapping.at(9), 0x5a),
        mode().pins,
    );
    // The same calls do reach ordinary memory, so it is the mapping that refuses.
    let ordinary = Region::anonymous(PAGE);
    ordinary.fill(9);
    let me = i32::try_from(std::process::id()).unwrap();
    assert_eq!(hostile::process_vm_read(me, ordinary.at(0), 4), Ok(vec![9; 4]));
    // No way overrides what the mapping allows.
    let view = Handle::ro().mmap(PAGE, READ, SHARED, 0).unwrap();
    refused(hostile::process_vm_write(me, view.at(0), 0xee), Errno::EFAULT);
    child.kill();
    known.is_unchanged();
}

fn ptrace_reads_and_writes_as_the_mapping_allows() {
    const SAME: i64 = 0x5a5a_5a5a_5a5a_5a5a;
    let known = Known::new();
    let view = Handle::ro().mmap(4 * PAGE, READ, SHARED, 0).unwrap();
    let private = Handle::ro().mmap(4 * PAGE, READ, libc::MAP_PRIVATE, 0).unwrap();
    let child = Process::fork(|| park());
    let pid = child.pid();
    for mapping in [&known.mapping, &view] {
        assert_eq!(hostile::ptrace_peek(pid, mapping.at(PAGE)), Ok(SAME));
    }
    hostile::ptrace_poke(pid, known.mapping.at(PAGE), -2).unwrap();
    assert_eq!(hostile::ptrace_peek(pid, view.at(PAGE)), Ok(-2));
    hostile::ptrace_poke(pid, known.mapping.at(PAGE), SAME).unwrap();
    refused(hostile::ptrace_poke(pid, view.at(PAGE), -2), Errno::EIO);
    agrees(
        hostile::ptrace_poke(pid, private.at(PAGE), -2),
        mode().copies_for_debuggers,
    );
    child.kill();
    known.is_unchanged();
}

fn vmsplice_takes_pages_that_can_be_pinned() {
    let known = Known::new();
    let (mut reader, writer) = file::pipe();
    let given = file::vmsplice(&writer, known.mapping.at(0), PAGE);
    if agrees(given, mode().pins).is_some() {
        let mut bytes = vec![0; PAGE];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0x5a));
    }
    let ordinary = Region::anonymous(PAGE);
    ordinary.fill(1);
    assert_eq!(file::vmsplice(&writer, ordinary.at(0), PAGE), Ok(PAGE));
}

fn io_uring_takes_pages_that_can_be_pinned() {
    let known = Known::new();
    hostile::io_uring_buffer(&Region::anonymous(PAGE)).expect("a buffer of ordinary memory");
    agrees(hostile::io_uring_buffer(&known.mapping), mode().pins);
    known.is_unchanged();
}

fn userfaultfd_is_refused() {
    let known = Known::new();
    let outcome = hostile::userfault(&known.mapping);
    assert!(
        matches!(outcome, Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM)),
        "{outcome:?}"
    );
    known.is_unchanged();
}

fn every_madvise_leaves_the_bytes_alone() {
    let known = Known::new();
    for advice in (0..26).chain(100..104) {
        // DONTFORK and DOFORK have a test of their own; whether the others are refused is the kernel's business.
        let _ = known.mapping.advise(advice);
        known.is_unchanged();
        assert_eq!(known.handle.nattch(), 1, "advice {advice}");
    }
    known.mapping.set(0, 0x5a);
}

fn mlock_leaves_counts_and_bytes_alone() {
    let known = Known::new();
    for _ in 0..10 {
        let _ = known.mapping.lock();
        let _ = known.mapping.unlock();
    }
    let _ = known.mapping.lock();
    known.is_unchanged();
    let Known { handle, mapping } = known;
    drop(mapping);
    assert_eq!(handle.nattch(), 0);
}

/// Some kernels look at the entries of `pfn` and `huge`, others in the page cache, where none of them is.
fn mincore_says_of_all_pages_the_same() {
    let known = Known::new();
    let pages = known.mapping.residency().unwrap();
    let is_in_memory = |page: &u8| page & 1 == 1;
    assert!(
        pages.iter().all(is_in_memory) || !mode().is_resident && !pages.iter().any(is_in_memory),
        "{pages:?}"
    );
    known.is_unchanged();
}

fn pages_stay_on_their_node() {
    let ordinary = Region::anonymous(4 * PAGE);
    ordinary.fill(1);
    for node in [0, 1] {
        hostile::move_pages(&ordinary, Some(node)).unwrap();
        assert_eq!(hostile::move_pages(&ordinary, None), Ok(vec![node as i32; 4]));
    }
    let known = Known::new();
    for node in [0, 1] {
        stays_where_it_is(&known.mapping, node);
        known.is_unchanged();
    }
    known.handle.pwrite(&[1], 0).unwrap();
    assert_eq!(
        known.mapping.get(0),
        1,
        "the mapping shows the segment's pages still"
    );
}

/// Whether moving them, or a policy that has them elsewhere, is refused is the kernel's business.
#[track_caller]
pub(super) fn stays_where_it_is(mapping: &Region, node: u32) {
    let before = hostile::move_pages(mapping, None);
    let _ = hostile::bind_to_node(mapping, node);
    let _ = hostile::move_pages(mapping, Some(node));
    assert_eq!(hostile::move_pages(mapping, None), before);
}

fn direct_io_does_no_harm() {
    let known = Known::new();
    let disk = file::ram_disk();
    let written = file::write_pages(&disk, known.mapping.at(0), 4 * PAGE);
    if let Some(count) = agrees(written, mode().pins) {
        assert_eq!(count, 4 * PAGE);
    }
    std::io::Seek::rewind(&mut &disk).unwrap();
    // What was written, or nothing.
    agrees(
        file::read_pages(&disk, known.mapping.at(0), 4 * PAGE),
        mode().pins,
    );
    known.is_unchanged();
}

fn an_ordinary_write_from_the_mapping_works() {
    let known = Known::new();
    let (mut reader, writer) = file::pipe();
    assert_eq!(file::write_pages(&writer, known.mapping.at(100), 64), Ok(64));
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [0x5a; 64]);
}

fn a_locked_future_maps_as_usual() {
    Process::fork(|| {
        signal::lock_future();
        let known = Known::new();
        known.is_unchanged();
        assert_eq!(known.handle.nattch(), 1);
        Process::fork(|| known.is_unchanged()).join();
    })
    .join();
}

fn a_dump_of_core_leaves_the_mapping_out() {
    const PATTERN: &str = "/proc/sys/kernel/core_pattern";
    let known = Known::new();
    let before = std::fs::read_to_string(PATTERN).unwrap();
    let path = format!("/tmp/shmdev-core-{}", std::process::id());
    std::fs::write(PATTERN, &path).unwrap();
    let child = Process::fork(|| {
        signal::limit(libc::RLIMIT_CORE, u64::MAX);
        std::process::abort();
    });
    child.wait();
    std::fs::write(PATTERN, before).unwrap();
    // A kernel that dumps no core at all leaves the mapping out too.
    if let Ok(core) = std::fs::read(&path) {
        std::fs::remove_file(&path).unwrap();
        assert!(
            !core
                .windows(PAGE)
                .any(|page| page.iter().all(|&byte| byte == 0x5a)),
            "the bytes are in the core"
        );
    }
    known.is_unchanged();
}

fn closing_in_one_thread_while_another_uses_it_is_safe() {
    for round in 0..50 {
        let handle = Handle::rw();
        let (fd, twin) = (handle.fd(), handle.dup());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..round {
                    std::hint::spin_loop();
                }
                drop(handle);
            });
            scope.spawn(move || {
                // By number, as a program would that has lost track: EBADF once it is closed.
                while signal::pread_by_number(fd).is_ok() {}
            });
            scope.spawn(move || {
                twin.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
                drop(twin);
            });
        });
    }
    let stat = Handle::rw().stat().unwrap();
    assert_eq!((stat.handles, stat.holders), (1, 0));
}

fn mapping_and_unmapping_race_with_the_end_of_the_handle() {
    for _ in 0..50 {
        let handle = Handle::rw();
        let twin = handle.dup();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(handle.mmap(SIZE, READ | WRITE, SHARED, 0).unwrap()));
            scope.spawn(move || {
                let mapping = twin.window(0, PAGE);
                drop(twin);
                drop(mapping);
            });
        });
    }
    let stat = Handle::rw().stat().unwrap();
    assert_eq!((stat.handles, stat.nattch), (1, 0));
}
