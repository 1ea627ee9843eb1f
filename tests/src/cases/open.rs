// SPDX-License-Identifier: MIT OR Apache-2.0

//! The node, opening it, and how long a handle lives.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::refused;
use crate::harness::tests;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Errno, Handle, PAGE, Process, TOKEN_MAX, signal};

tests![
    node_is_a_character_device_for_root_alone,
    all_three_access_modes_open,
    another_user_gets_eacces,
    a_handle_passed_to_a_lesser_user_keeps_its_rights,
    reopening_through_proc_checks_the_rights_again,
    access_mode_3_gives_neither_reading_nor_writing,
    open_takes_no_notice_of_truncation,
    direct_io_is_einval,
    tokens_of_open_handles_differ,
    a_token_is_not_given_out_again_soon,
    duplicated_descriptors_are_one_handle,
    reopening_through_proc_is_another_handle,
    a_handle_counts_once_it_is_attached,
    a_mapping_keeps_its_handle_alive,
    a_thousand_handles_come_and_go,
];

fn node_is_a_character_device_for_root_alone() {
    let node = std::fs::metadata("/dev/shmdev").unwrap();
    assert!(node.file_type().is_char_device());
    assert_eq!((node.mode() & 0o7777, node.uid(), node.gid()), (0o600, 0, 0));
    assert_eq!(
        node.size(),
        0,
        "fstat of a device says 0: always give a length to mmap"
    );
}

fn all_three_access_modes_open() {
    for flags in [
        libc::O_RDONLY,
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_RDWR | libc::O_NONBLOCK,
    ] {
        let handle = Handle::open(flags).unwrap_or_else(|error| panic!("open {flags:#x}: {error}"));
        handle.info().unwrap();
    }
}

fn another_user_gets_eacces() {
    Process::fork(|| {
        signal::become_nobody();
        for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
            refused(Handle::open(flags), Errno::EACCES);
        }
    })
    .join();
}

fn a_handle_passed_to_a_lesser_user_keeps_its_rights() {
    let handle = Handle::ro();
    Process::fork(|| {
        signal::become_nobody();
        handle.pread(&mut [0; 8], 0).unwrap();
        refused(handle.pwrite(&[1], 0), Errno::EBADF);
        refused(handle.begin(ACCESS_WRITE, 0, 1, 0), Errno::EACCES);
        handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
        handle.end(ACCESS_READ, 0, 1).unwrap();
    })
    .join();
}

fn reopening_through_proc_checks_the_rights_again() {
    let handle = Handle::ro();
    let path = format!("/proc/self/fd/{}", handle.fd());
    Process::fork(|| {
        signal::become_nobody();
        let error = std::fs::OpenOptions::new().write(true).open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    })
    .join();
}

fn access_mode_3_gives_neither_reading_nor_writing() {
    let handle = Handle::open(3).unwrap();
    handle.info().unwrap();
    refused(handle.pread(&mut [0], 0), Errno::EBADF);
    refused(handle.pwrite(&[0], 0), Errno::EBADF);
    refused(
        handle.mmap(PAGE, libc::PROT_READ, libc::MAP_SHARED, 0),
        Errno::EACCES,
    );
    refused(handle.begin(ACCESS_READ, 0, 1, 0), Errno::EACCES);
    refused(handle.begin(ACCESS_WRITE, 0, 1, 0), Errno::EACCES);
}

fn open_takes_no_notice_of_truncation() {
    let handle = Handle::rw();
    handle.pwrite(b"kept", 100).unwrap();
    let again = Handle::open(libc::O_RDWR | libc::O_TRUNC | libc::O_CREAT).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(again.pread(&mut bytes, 100), Ok(4));
    assert_eq!(&bytes, b"kept");
    assert_eq!(again.stat().unwrap().size, crate::sys::SIZE as u64);
}

fn direct_io_is_einval() {
    refused(Handle::open(libc::O_RDWR | libc::O_DIRECT), Errno::EINVAL);
}

fn tokens_of_open_handles_differ() {
    let handles: Vec<_> = (0..100).map(|_| Handle::ro()).collect();
    let tokens: BTreeSet<_> = handles
        .iter()
        .map(|handle| handle.info().unwrap().token)
        .collect();
    assert_eq!(tokens.len(), handles.len());
    assert!(
        tokens.iter().all(|token| (1..=TOKEN_MAX).contains(token)),
        "{tokens:?}"
    );
}

fn a_token_is_not_given_out_again_soon() {
    let tokens: BTreeSet<_> = (0..200).map(|_| Handle::ro().info().unwrap().token).collect();
    assert_eq!(tokens.len(), 200);
}

fn duplicated_descriptors_are_one_handle() {
    let handle = Handle::rw();
    let twin = handle.dup();
    assert_eq!(handle.info().unwrap().token, twin.info().unwrap().token);
    handle.seek(100, libc::SEEK_SET).unwrap();
    assert_eq!(twin.seek(0, libc::SEEK_CUR), Ok(100));
    assert_eq!(handle.stat().unwrap().handles, 1);
    drop(handle);
    assert_eq!(twin.stat().unwrap().handles, 1);
}

fn reopening_through_proc_is_another_handle() {
    let handle = Handle::rw();
    let path = format!("/proc/self/fd/{}", handle.fd());
    let other = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let other = Handle::from(std::os::fd::OwnedFd::from(other));
    assert_ne!(handle.info().unwrap().token, other.info().unwrap().token);
    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    refused(other.begin(ACCESS_WRITE, 0, 1, 0), Errno::EAGAIN);
}

fn a_handle_counts_once_it_is_attached() {
    let observer = Handle::rw();
    assert_eq!(observer.stat().unwrap().handles, 1);
    let other = Handle::ro();
    other.info().unwrap();
    assert_eq!(observer.stat().unwrap().handles, 1, "INFO does not attach");
    other.pread(&mut [0], 0).unwrap();
    assert_eq!(observer.stat().unwrap().handles, 2, "reading attaches");
    other.pread(&mut [0], 0).unwrap();
    assert_eq!(observer.stat().unwrap().handles, 2, "once");
    drop(other);
    assert_eq!(observer.stat().unwrap().handles, 1);
}

fn a_mapping_keeps_its_handle_alive() {
    let observer = Handle::rw();
    let other = Handle::rw();
    let mapping = other.window(0, PAGE);
    drop(other);
    let stat = observer.stat().unwrap();
    assert_eq!((stat.handles, stat.nattch), (2, 1));
    drop(mapping);
    let stat = observer.stat().unwrap();
    assert_eq!((stat.handles, stat.nattch), (1, 0));
}

fn a_thousand_handles_come_and_go() {
    signal::limit(libc::RLIMIT_NOFILE, 4096);
    let observer = Handle::rw();
    for _ in 0..3 {
        let handles: Vec<_> = (0..900).map(|_| Handle::rw()).collect();
        handles.iter().for_each(|handle| _ = handle.stat().unwrap());
        assert_eq!(observer.stat().unwrap().handles, 901);
        drop(handles);
        assert_eq!(observer.stat().unwrap().handles, 1);
    }
}
