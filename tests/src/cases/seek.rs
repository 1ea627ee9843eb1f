// SPDX-License-Identifier: MIT OR Apache-2.0

//! `lseek`: the places of a file of fixed size, all of it data.

use super::refused;
use crate::harness::tests;
use crate::sys::{Errno, Handle, PAGE, SIZE};

tests![
    lseek_knows_all_its_places,
    lseek_outside_is_einval,
    data_is_everywhere_and_the_hole_at_the_end,
    a_hole_search_outside_is_enxio,
];

const END: i64 = SIZE as i64;

fn lseek_knows_all_its_places() {
    let handle = Handle::rw();
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(SIZE as u64));
    assert_eq!(handle.seek(-100, libc::SEEK_CUR), Ok(SIZE as u64 - 100));
    assert_eq!(handle.seek(100, libc::SEEK_CUR), Ok(SIZE as u64));
    assert_eq!(handle.seek(-END, libc::SEEK_END), Ok(0));
    assert_eq!(handle.seek(END, libc::SEEK_SET), Ok(SIZE as u64));
    assert_eq!(handle.seek(12345, libc::SEEK_SET), Ok(12345));
    for handle in [Handle::ro(), Handle::wo()] {
        assert_eq!(handle.seek(0, libc::SEEK_END), Ok(SIZE as u64));
    }
}

fn lseek_outside_is_einval() {
    let handle = Handle::rw();
    handle.seek(50, libc::SEEK_SET).unwrap();
    refused(handle.seek(-1, libc::SEEK_SET), Errno::EINVAL);
    refused(handle.seek(END + 1, libc::SEEK_SET), Errno::EINVAL);
    refused(handle.seek(i64::MAX, libc::SEEK_SET), Errno::EINVAL);
    refused(handle.seek(i64::MIN, libc::SEEK_SET), Errno::EINVAL);
    refused(handle.seek(-51, libc::SEEK_CUR), Errno::EINVAL);
    refused(handle.seek(END, libc::SEEK_CUR), Errno::EINVAL);
    refused(handle.seek(i64::MAX, libc::SEEK_CUR), Errno::EINVAL);
    refused(handle.seek(i64::MIN, libc::SEEK_CUR), Errno::EINVAL);
    refused(handle.seek(1, libc::SEEK_END), Errno::EINVAL);
    refused(handle.seek(-END - 1, libc::SEEK_END), Errno::EINVAL);
    refused(handle.seek(i64::MAX, libc::SEEK_END), Errno::EINVAL);
    refused(handle.seek(i64::MIN, libc::SEEK_END), Errno::EINVAL);
    for whence in [5, 6, 100, -1] {
        refused(handle.seek(0, whence), Errno::EINVAL);
    }
    assert_eq!(
        handle.seek(0, libc::SEEK_CUR),
        Ok(50),
        "a refused seek moves nothing"
    );
}

fn data_is_everywhere_and_the_hole_at_the_end() {
    let handle = Handle::rw();
    for offset in [0, 1, PAGE as i64, END - 1] {
        assert_eq!(handle.seek(offset, libc::SEEK_DATA), Ok(offset as u64));
        assert_eq!(handle.seek(offset, libc::SEEK_HOLE), Ok(SIZE as u64));
    }
}

fn a_hole_search_outside_is_enxio() {
    let handle = Handle::rw();
    for offset in [END, END + 1, i64::MAX] {
        refused(handle.seek(offset, libc::SEEK_DATA), Errno::ENXIO);
        refused(handle.seek(offset, libc::SEEK_HOLE), Errno::ENXIO);
    }
    for whence in [libc::SEEK_DATA, libc::SEEK_HOLE] {
        refused(handle.seek(-1, whence), Errno::ENXIO);
    }
}
