// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ways into the mapping that the kernel offers for ordinary memory and that this memory must refuse or ignore,
//! never with a warning: the runner looks at the kernel log after each test.

use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::process::park;
use crate::sys::{ACCESS_WRITE, Errno, Handle, PAGE, Process, Region, SIZE, file, hostile, signal};

tests![
    a_shared_futex_is_efault,
    a_private_futex_finds_its_word,
    proc_mem_does_not_write_through_a_read_only_mapping,
    proc_mem_of_another_process_does_not_reach_the_mapping,
    process_vm_readv_is_efault,
    ptrace_does_not_read_the_mapping,
    vmsplice_cannot_pin_the_mapping,
    io_uring_cannot_pin_the_mapping,
    userfaultfd_is_refused,
    every_madvise_leaves_the_bytes_alone,
    mlock_leaves_counts_and_bytes_alone,
    mincore_is_answered_or_refused,
    memory_policy_does_not_move_the_pages,
    direct_io_does_no_harm,
    an_ordinary_write_from_the_mapping_works,
    a_locked_future_maps_as_usual,
    a_dump_of_core_leaves_the_mapping_out,
    closing_in_one_thread_while_another_uses_it_is_safe,
    mapping_and_unmapping_race_with_the_end_of_the_handle,
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

fn proc_mem_does_not_write_through_a_read_only_mapping() {
    let known = Known::new();
    let memory = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    let view = Handle::ro().mmap(4 * PAGE, READ, SHARED, 0).unwrap();
    let private = Handle::ro().mmap(4 * PAGE, READ, libc::MAP_PRIVATE, 0).unwrap();
    for mapping in [&view, &private, &known.mapping] {
        let outcome = memory.write_at(&[0xee; 16], mapping.at(PAGE).get() as u64);
        assert!(outcome.is_err(), "{outcome:?}");
        let outcome = memory.read_at(&mut [0; 16], mapping.at(PAGE).get() as u64);
        assert!(outcome.is_err(), "reading: {outcome:?}");
    }
    known.is_unchanged();
}

fn proc_mem_of_another_process_does_not_reach_the_mapping() {
    let known = Known::new();
    let child = Process::fork(|| park());
    let memory = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{}/mem", child.pid()));
    let memory = memory.unwrap();
    let start = known.mapping.at(0).get() as u64;
    let error = memory.read_at(&mut [0; 64], start).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    memory.write_at(&[1; 64], start).unwrap_err();
    memory
        .read_at(&mut [0; 64], start + 4 * PAGE as u64 - 8)
        .unwrap_err();
    child.kill();
    known.is_unchanged();
}

fn process_vm_readv_is_efault() {
    let known = Known::new();
    let child = Process::fork(|| park());
    refused(
        hostile::process_vm_read(child.pid(), known.mapping.at(0), 64),
        Errno::EFAULT,
    );
    refused(
        hostile::process_vm_write(child.pid(), known.mapping.at(0), 0xee),
        Errno::EFAULT,
    );
    // The same calls do reach ordinary memory, so it is the mapping that refuses.
    let ordinary = Region::anonymous(PAGE);
    ordinary.fill(9);
    let me = i32::try_from(std::process::id()).unwrap();
    assert_eq!(hostile::process_vm_read(me, ordinary.at(0), 4), Ok(vec![9; 4]));
    child.kill();
    known.is_unchanged();
}

fn ptrace_does_not_read_the_mapping() {
    let known = Known::new();
    let ordinary = Region::anonymous(PAGE);
    ordinary.fill(9);
    let child = Process::fork(|| park());
    hostile::ptrace_peek(child.pid(), ordinary.at(0)).expect("ordinary memory");
    refused(hostile::ptrace_peek(child.pid(), known.mapping.at(0)), Errno::EIO);
    child.kill();
}

fn vmsplice_cannot_pin_the_mapping() {
    let known = Known::new();
    let (_reader, writer) = file::pipe();
    refused(file::vmsplice(&writer, known.mapping.at(0), PAGE), Errno::EFAULT);
    let ordinary = Region::anonymous(PAGE);
    ordinary.fill(1);
    assert_eq!(file::vmsplice(&writer, ordinary.at(0), PAGE), Ok(PAGE));
}

fn io_uring_cannot_pin_the_mapping() {
    let known = Known::new();
    match hostile::io_uring_buffer(&Region::anonymous(PAGE)) {
        // A kernel without io_uring has nothing to refuse.
        Err(Errno::ENOSYS | Errno::EPERM) => return,
        outcome => outcome.expect("a buffer of ordinary memory"),
    }
    refused(hostile::io_uring_buffer(&known.mapping), Errno::EFAULT);
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

fn mincore_is_answered_or_refused() {
    let known = Known::new();
    if let Ok(pages) = known.mapping.residency() {
        assert_eq!(pages.len(), 4);
    }
    known.is_unchanged();
}

fn memory_policy_does_not_move_the_pages() {
    let known = Known::new();
    let _ = hostile::bind_to_node(&known.mapping);
    known.is_unchanged();
    known.handle.pwrite(&[1], 0).unwrap();
    assert_eq!(
        known.mapping.get(0),
        1,
        "the mapping shows the segment's pages still"
    );
}

fn direct_io_does_no_harm() {
    let known = Known::new();
    let path = format!("/tmp/shmdev-direct-{}", std::process::id());
    let target = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path);
    // A file system without O_DIRECT cannot try to pin anything.
    if let Ok(target) = target {
        let outcome = file::write_pages(&target, known.mapping.at(0), 4 * PAGE);
        assert!(
            matches!(outcome, Ok(_) | Err(Errno::EFAULT | Errno::EIO | Errno::EINVAL)),
            "{outcome:?}"
        );
        let _ = file::read_pages(&target, known.mapping.at(0), PAGE);
    }
    std::fs::remove_file(path).unwrap();
    known.is_unchanged();
}

fn an_ordinary_write_from_the_mapping_works() {
    let known = Known::new();
    let (mut reader, writer) = file::pipe();
    assert_eq!(file::write_pages(&writer, known.mapping.at(100), 64), Ok(64));
    drop(writer);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
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
