// SPDX-License-Identifier: MIT OR Apache-2.0

//! `sendfile` and `splice`: bytes that go between the device and files, pipes and sockets.

use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::refused;
use crate::harness::tests;
use crate::sys::{Errno, Handle, PAGE, SIZE, file};

tests![
    sendfile_out_of_the_device_into_a_file,
    sendfile_out_of_the_device_into_a_socket,
    sendfile_with_an_offset_leaves_the_position_alone,
    sendfile_stops_at_the_end,
    sendfile_into_the_device,
    splice_out_of_the_device_into_a_pipe,
    splice_from_a_pipe_into_the_device,
    splice_past_the_end_is_enospc,
    spliced_bytes_do_not_change_later,
    the_access_mode_holds_for_splice_too,
];

/// An empty file without a name.
fn scratch() -> std::fs::File {
    let path = format!("/tmp/shmdev-scratch-{}", std::process::id());
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Fills the segment with a pattern in which no two neighbouring pages are alike.
fn pattern(handle: &Handle) -> Vec<u8> {
    let bytes: Vec<u8> = (0..SIZE)
        .map(|index| (index ^ (index / PAGE * 3)) as u8)
        .collect();
    assert_eq!(handle.pwrite(&bytes, 0), Ok(SIZE));
    bytes
}

/// Calls until everything has moved: these calls may be short.
fn all(total: usize, mut step: impl FnMut(usize) -> usize) {
    let mut done = 0;
    while done < total {
        let moved = step(done);
        assert!(moved > 0, "stopped after {done} of {total} bytes");
        done += moved;
    }
    assert_eq!(done, total);
}

fn sendfile_out_of_the_device_into_a_file() {
    let handle = Handle::rw();
    let expected = pattern(&handle);
    let mut target = scratch();
    all(SIZE, |done| {
        file::sendfile(&target, &handle, None, SIZE - done).unwrap()
    });
    assert_eq!(
        handle.seek(0, libc::SEEK_CUR),
        Ok(SIZE as u64),
        "the position moves"
    );
    target.rewind().unwrap();
    let mut bytes = Vec::new();
    target.read_to_end(&mut bytes).unwrap();
    assert!(bytes == expected);
}

fn sendfile_out_of_the_device_into_a_socket() {
    let handle = Handle::rw();
    let expected = pattern(&handle);
    let (here, there) = file::sockets();
    let mut there = UnixStream::from(there);
    let mut bytes = vec![0; SIZE];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            all(SIZE, |done| {
                file::sendfile(&here, &handle, Some(done as i64), SIZE - done).unwrap()
            });
        });
        there.read_exact(&mut bytes).unwrap();
    });
    assert!(bytes == expected);
}

fn sendfile_with_an_offset_leaves_the_position_alone() {
    let handle = Handle::ro();
    pattern(&Handle::rw());
    handle.seek(77, libc::SEEK_SET).unwrap();
    let target = scratch();
    assert_eq!(file::sendfile(&target, &handle, Some(1000), 50), Ok(50));
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(77));
    assert_eq!(target.metadata().unwrap().len(), 50);
}

fn sendfile_stops_at_the_end() {
    let handle = Handle::rw();
    let expected = pattern(&handle);
    let mut target = scratch();
    assert_eq!(
        file::sendfile(&target, &handle, Some(SIZE as i64 - 10), 100),
        Ok(10)
    );
    assert_eq!(file::sendfile(&target, &handle, Some(SIZE as i64), 100), Ok(0));
    target.rewind().unwrap();
    let mut bytes = Vec::new();
    target.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, expected[SIZE - 10..]);
}

fn sendfile_into_the_device() {
    let handle = Handle::rw();
    let generation = handle.generation();
    let mut source = scratch();
    let bytes: Vec<u8> = (0..3 * PAGE).map(|index| (index * 13) as u8).collect();
    source.write_all(&bytes).unwrap();
    handle.seek(PAGE as i64 + 5, libc::SEEK_SET).unwrap();
    all(bytes.len(), |done| {
        file::sendfile(&handle, &source, Some(done as i64), bytes.len() - done).unwrap()
    });
    assert!(handle.whole().read(PAGE + 5, bytes.len()) == bytes);
    assert!(handle.generation() > generation, "that was a write");
}

fn splice_out_of_the_device_into_a_pipe() {
    let handle = Handle::rw();
    let expected = pattern(&handle);
    let (mut reader, writer) = file::pipe();
    let moved = file::splice(&handle, Some(PAGE as i64 - 7), &writer, None, 100).unwrap();
    assert!((1..=100).contains(&moved));
    let mut bytes = vec![0; moved];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected[PAGE - 7..PAGE - 7 + moved]);
    assert_eq!(
        file::splice(&handle, Some(SIZE as i64), &writer, None, 100),
        Ok(0),
        "the end"
    );
}

fn splice_from_a_pipe_into_the_device() {
    let handle = Handle::rw();
    let (reader, mut writer) = file::pipe();
    let bytes: Vec<u8> = (0..8000_usize).map(|index| (index * 31) as u8).collect();
    writer.write_all(&bytes).unwrap();
    all(bytes.len(), |done| {
        file::splice(
            &reader,
            None,
            &handle,
            Some((3 * PAGE + done) as i64),
            bytes.len() - done,
        )
        .unwrap()
    });
    assert!(handle.whole().read(3 * PAGE, bytes.len()) == bytes);
}

fn splice_past_the_end_is_enospc() {
    let handle = Handle::rw();
    let (reader, mut writer) = file::pipe();
    writer.write_all(&[1; 100]).unwrap();
    assert_eq!(
        file::splice(&reader, None, &handle, Some(SIZE as i64 - 10), 100),
        Ok(10)
    );
    refused(
        file::splice(&reader, None, &handle, Some(SIZE as i64), 90),
        Errno::ENOSPC,
    );
}

/// What is in a pipe is a copy: a write to the segment that comes later does not show in it.
fn spliced_bytes_do_not_change_later() {
    let handle = Handle::rw();
    handle.pwrite(&[1; PAGE], 0).unwrap();
    let (mut reader, writer) = file::pipe();
    let moved = file::splice(&handle, Some(0), &writer, None, PAGE).unwrap();
    handle.pwrite(&[2; PAGE], 0).unwrap();
    let mut bytes = vec![0; moved];
    reader.read_exact(&mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 1));
}

fn the_access_mode_holds_for_splice_too() {
    let (reader, mut writer) = file::pipe();
    writer.write_all(&[1; 10]).unwrap();
    refused(
        file::splice(&reader, None, Handle::ro(), Some(0), 10),
        Errno::EBADF,
    );
    refused(
        file::splice(Handle::wo(), Some(0), OwnedFd::from(writer), None, 10),
        Errno::EBADF,
    );
}
