// SPDX-License-Identifier: MIT OR Apache-2.0

//! `read` and `write`, and their vectored and positioned forms.

use super::{READ, refused};
use crate::harness::tests;
use crate::sys::module::Reloaded;
use crate::sys::{Addr, Errno, Handle, PAGE, Region, SIZE};

tests![
    reads_and_writes_see_what_mappings_see,
    the_whole_segment_can_be_written_and_read_at_once,
    writes_across_every_page_boundary_arrive,
    the_position_moves_with_reads_and_writes,
    positioned_calls_leave_the_position_alone,
    vectors_are_read_and_written_in_order,
    a_read_is_short_at_the_end_and_then_empty,
    a_write_across_the_end_is_short,
    a_write_at_or_past_the_end_is_enospc,
    a_vector_across_the_end_is_short,
    a_write_of_nothing_is_nothing_anywhere,
    append_is_enospc,
    #[slow] the_unaligned_end_is_the_end needs [ModuleFile],
    a_handle_that_is_not_open_for_it_is_ebadf,
    a_buffer_that_is_not_there_is_efault,
    a_buffer_that_ends_early_is_short,
    a_negative_offset_is_einval,
    huge_offsets_are_past_the_end,
    huge_lengths_are_cut_off_at_the_end,
    every_write_that_stored_something_is_a_generation,
    fsync_succeeds,
    the_buffer_may_be_the_segment_itself,
    two_writers_at_places_of_their_own_both_arrive,
];

const END: i64 = SIZE as i64;

fn reads_and_writes_see_what_mappings_see() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    assert_eq!(handle.pwrite(b"by a write", 12345), Ok(10));
    assert_eq!(mapping.read(12345, 10), b"by a write");
    mapping.write(54321, b"by a mapping");
    let mut bytes = [0; 12];
    assert_eq!(handle.pread(&mut bytes, 54321), Ok(12));
    assert_eq!(&bytes, b"by a mapping");
}

fn the_whole_segment_can_be_written_and_read_at_once() {
    let handle = Handle::rw();
    let written: Vec<u8> = (0..SIZE).map(|index| (index * 7 + index / PAGE) as u8).collect();
    assert_eq!(handle.write(&written), Ok(SIZE));
    assert_eq!(handle.whole().read(0, SIZE), written);
    let mut read = vec![0; SIZE];
    assert_eq!(handle.pread(&mut read, 0), Ok(SIZE));
    assert!(read == written);
}

fn writes_across_every_page_boundary_arrive() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.fill(0);
    for page in 1..SIZE / PAGE {
        let place = page * PAGE - 3;
        assert_eq!(handle.pwrite(&[page as u8; 6], place as i64), Ok(6));
        assert_eq!(
            mapping.read(place - 1, 8),
            [
                0, page as u8, page as u8, page as u8, page as u8, page as u8, page as u8, 0
            ]
        );
        let mut bytes = [0; 6];
        assert_eq!(handle.pread(&mut bytes, place as i64), Ok(6));
        assert_eq!(bytes, [page as u8; 6]);
    }
}

fn the_position_moves_with_reads_and_writes() {
    let handle = Handle::rw();
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(0));
    assert_eq!(handle.write(b"abcdef"), Ok(6));
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(6));
    handle.seek(2, libc::SEEK_SET).unwrap();
    let mut bytes = [0; 3];
    assert_eq!(handle.read(&mut bytes), Ok(3));
    assert_eq!(&bytes, b"cde");
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(5));
    let other = Handle::ro();
    assert_eq!(
        other.seek(0, libc::SEEK_CUR),
        Ok(0),
        "each handle has a position of its own"
    );
}

fn positioned_calls_leave_the_position_alone() {
    let handle = Handle::rw();
    handle.seek(10, libc::SEEK_SET).unwrap();
    handle.pwrite(b"xyz", 100).unwrap();
    handle.pread(&mut [0; 3], 100).unwrap();
    handle.readv(&mut [&mut [0; 3]], Some(100)).unwrap();
    handle.writev(&[b"abc"], Some(100)).unwrap();
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(10));
}

fn vectors_are_read_and_written_in_order() {
    let handle = Handle::rw();
    assert_eq!(handle.writev(&[b"one", b"", b"two", b"three"], None), Ok(11));
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(11));
    let (mut first, mut second) = ([0; 4], [0; 7]);
    assert_eq!(handle.readv(&mut [&mut first, &mut second], Some(0)), Ok(11));
    assert_eq!((&first, &second), (b"onet", b"wothree"));
    assert_eq!(handle.writev(&[b"ab", b"cd"], Some(PAGE as i64 - 1)), Ok(4));
    handle.seek(PAGE as i64 - 1, libc::SEEK_SET).unwrap();
    assert_eq!(handle.readv(&mut [&mut first], None), Ok(4));
    assert_eq!(&first, b"abcd");
}

fn a_read_is_short_at_the_end_and_then_empty() {
    let handle = Handle::rw();
    handle.pwrite(b"tail", END - 4).unwrap();
    let mut bytes = [0; 10];
    assert_eq!(handle.pread(&mut bytes, END - 4), Ok(4));
    assert_eq!(
        &bytes, b"tail\0\0\0\0\0\0",
        "the rest of the buffer is not touched"
    );
    for offset in [END, END + 1, END + PAGE as i64, 1 << 62] {
        assert_eq!(handle.pread(&mut bytes, offset), Ok(0), "at {offset}");
    }
    handle.seek(0, libc::SEEK_END).unwrap();
    assert_eq!(handle.read(&mut bytes), Ok(0));
}

fn a_write_across_the_end_is_short() {
    let handle = Handle::rw();
    assert_eq!(handle.pwrite(b"123456", END - 4), Ok(4));
    let mut bytes = [0; 4];
    handle.pread(&mut bytes, END - 4).unwrap();
    assert_eq!(&bytes, b"1234");
    handle.seek(-2, libc::SEEK_END).unwrap();
    assert_eq!(handle.write(b"abc"), Ok(2));
    assert_eq!(handle.seek(0, libc::SEEK_CUR), Ok(SIZE as u64));
    refused(handle.write(b"c"), Errno::ENOSPC);
}

fn a_write_at_or_past_the_end_is_enospc() {
    let handle = Handle::rw();
    for offset in [END, END + 1, END + PAGE as i64, 1 << 40] {
        refused(handle.pwrite(b"x", offset), Errno::ENOSPC);
        refused(handle.writev(&[b"x", b"y"], Some(offset)), Errno::ENOSPC);
    }
    assert_eq!(handle.stat().unwrap().size, SIZE as u64, "it has not grown");
}

fn a_vector_across_the_end_is_short() {
    let handle = Handle::rw();
    assert_eq!(handle.writev(&[b"ab", b"cd", b"ef"], Some(END - 3)), Ok(3));
    let (mut first, mut second) = ([0; 2], [0; 2]);
    assert_eq!(handle.readv(&mut [&mut first, &mut second], Some(END - 3)), Ok(3));
    assert_eq!((&first, &second), (b"ab", b"c\0"));
}

fn a_write_of_nothing_is_nothing_anywhere() {
    let handle = Handle::rw();
    let generation = handle.generation();
    for offset in [0, END - 1, END, END + 100] {
        assert_eq!(handle.pwrite(b"", offset), Ok(0), "at {offset}");
        assert_eq!(handle.pread(&mut [], offset), Ok(0), "at {offset}");
    }
    assert_eq!(handle.generation(), generation);
}

fn append_is_enospc() {
    let handle = Handle::open(libc::O_RDWR | libc::O_APPEND).unwrap();
    let generation = handle.generation();
    refused(handle.write(b"x"), Errno::ENOSPC);
    refused(handle.pwrite(b"x", 0), Errno::ENOSPC);
    refused(handle.writev(&[b"x"], None), Errno::ENOSPC);
    handle.read(&mut [0; 4]).unwrap();
    assert_eq!(handle.generation(), generation);
}

fn the_unaligned_end_is_the_end() {
    let _module = Reloaded::with("default_size=5000");
    let handle = Handle::rw();
    let mut bytes = [0xee; 8];
    assert_eq!(handle.pread(&mut bytes, 4996), Ok(4));
    assert_eq!(bytes, [0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]);
    assert_eq!(handle.pwrite(&[1; 8], 4996), Ok(4));
    refused(handle.pwrite(&[1], 5000), Errno::ENOSPC);
    assert_eq!(handle.seek(0, libc::SEEK_END), Ok(5000));
    refused(handle.seek(1, libc::SEEK_END), Errno::EINVAL);
    let mapping = handle.window(0, 2 * PAGE);
    assert_eq!(
        mapping.read(4996, 8),
        [1, 1, 1, 1, 0, 0, 0, 0],
        "a write does not reach the rest of the page"
    );
    mapping.set(5000, 9);
    assert_eq!(
        handle.pread(&mut bytes, 5000),
        Ok(0),
        "the rest of the page is for mappings alone"
    );
}

fn a_handle_that_is_not_open_for_it_is_ebadf() {
    let (reader, writer) = (Handle::ro(), Handle::wo());
    refused(reader.pwrite(b"x", 0), Errno::EBADF);
    refused(reader.write(b"x"), Errno::EBADF);
    refused(reader.writev(&[b"x"], None), Errno::EBADF);
    refused(writer.pread(&mut [0], 0), Errno::EBADF);
    refused(writer.read(&mut [0]), Errno::EBADF);
    refused(writer.readv(&mut [&mut [0]], None), Errno::EBADF);
    assert_eq!(writer.pwrite(b"x", 0), Ok(1));
    assert_eq!(reader.pread(&mut [0], 0), Ok(1));
}

fn a_buffer_that_is_not_there_is_efault() {
    let handle = Handle::rw();
    let generation = handle.generation();
    let locked = Region::anonymous(PAGE);
    locked.protect(0, PAGE, libc::PROT_NONE).unwrap();
    for address in [Addr::NULL, locked.at(0), locked.at(100)] {
        refused(handle.pread_at(address, 16, 0), Errno::EFAULT);
        refused(handle.pwrite_at(address, 16, 0), Errno::EFAULT);
    }
    refused(handle.pread_at(Addr::KERNEL, 16, 0), Errno::EFAULT);
    refused(handle.pwrite_at(Addr::KERNEL, 16, 0), Errno::EFAULT);
    locked.protect(0, PAGE, READ).unwrap();
    refused(handle.pread_at(locked.at(0), 16, 0), Errno::EFAULT);
    assert_eq!(handle.generation(), generation, "nothing was stored");
}

fn a_buffer_that_ends_early_is_short() {
    let handle = Handle::rw();
    let whole = handle.whole();
    whole.fill(0);
    let pages = Region::with_hole(PAGE);
    pages.write(PAGE - 16, &[0x44; 16]);
    let generation = handle.generation();
    // Well inside a page of the segment, and across two.
    for (index, offset) in [1000, PAGE as i64 - 8].into_iter().enumerate() {
        let stored = handle.pwrite_at(pages.at(PAGE - 16), 64, offset).unwrap();
        assert!((1..=16).contains(&stored), "stored {stored}");
        assert_eq!(whole.read(offset as usize, stored), vec![0x44; stored]);
        assert_eq!(whole.get(offset as usize + 16), 0);
        assert_eq!(
            handle.generation(),
            generation + 1 + index as u64,
            "a short write is a write"
        );
        let read = handle.pread_at(pages.at(PAGE - 8), 64, offset).unwrap();
        assert!((1..=8).contains(&read), "read {read}");
    }
}

fn a_negative_offset_is_einval() {
    let handle = Handle::rw();
    for offset in [-1, -4096, i64::MIN] {
        refused(handle.pread(&mut [0], offset), Errno::EINVAL);
        refused(handle.pwrite(b"x", offset), Errno::EINVAL);
        refused(handle.readv(&mut [&mut [0]], Some(offset)), Errno::EINVAL);
        refused(handle.writev(&[b"x"], Some(offset)), Errno::EINVAL);
    }
}

fn huge_offsets_are_past_the_end() {
    let handle = Handle::rw();
    for offset in [i64::MAX, i64::MAX - 1, i64::MAX - 4096, 1 << 62] {
        // What ends beyond the largest offset there is, is no range at all.
        let (read, written) = match offset.checked_add(64) {
            Some(_) => (Ok(0), Err(Errno::ENOSPC)),
            None => (Err(Errno::EINVAL), Err(Errno::EINVAL)),
        };
        assert_eq!(handle.pread(&mut [0; 64], offset), read, "{offset}");
        assert_eq!(handle.pwrite(&[0; 64], offset), written, "{offset}");
    }
}

fn huge_lengths_are_cut_off_at_the_end() {
    let handle = Handle::rw();
    let buffer = Region::anonymous(2 * SIZE);
    buffer.fill(0xcc);
    assert_eq!(
        handle.pwrite_at(buffer.at(0), 2 * SIZE, PAGE as i64),
        Ok(SIZE - PAGE)
    );
    buffer.fill(0);
    assert_eq!(
        handle.pread_at(buffer.at(0), 2 * SIZE, PAGE as i64),
        Ok(SIZE - PAGE)
    );
    assert!(buffer.read(0, SIZE - PAGE).iter().all(|&byte| byte == 0xcc));
    assert_eq!(buffer.get(SIZE - PAGE), 0);
}

fn every_write_that_stored_something_is_a_generation() {
    let handle = Handle::rw();
    let start = handle.generation();
    handle.write(b"one").unwrap();
    assert_eq!(handle.generation(), start + 1);
    handle.pwrite(&vec![0; SIZE], 0).unwrap();
    assert_eq!(handle.generation(), start + 2, "one, however large");
    handle.writev(&[b"a", b"b", b"c"], None).unwrap();
    assert_eq!(handle.generation(), start + 3, "one for the whole vector");
    refused(handle.pwrite(b"x", END), Errno::ENOSPC);
    handle.pread(&mut [0; 100], 0).unwrap();
    handle.fsync().unwrap();
    let mapping = handle.whole();
    mapping.set(0, 1);
    assert_eq!(handle.generation(), start + 3, "nothing else is a write");
}

fn fsync_succeeds() {
    for handle in [Handle::rw(), Handle::ro()] {
        handle.fsync().unwrap();
    }
}

fn the_buffer_may_be_the_segment_itself() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.fill(0);
    mapping.write(0, b"copied by the device");
    assert_eq!(handle.pwrite_at(mapping.at(0), 20, 3 * PAGE as i64 - 10), Ok(20));
    assert_eq!(mapping.read(3 * PAGE - 10, 20), b"copied by the device");
    assert_eq!(handle.pread_at(mapping.at(5 * PAGE), 20, 0), Ok(20));
    assert_eq!(mapping.read(5 * PAGE, 20), b"copied by the device");
    assert_eq!(handle.pwrite_at(mapping.at(0), SIZE, 0), Ok(SIZE), "onto itself");
    assert_eq!(mapping.read(0, 20), b"copied by the device");
}

fn two_writers_at_places_of_their_own_both_arrive() {
    let handle = Handle::rw();
    let generation = handle.generation();
    std::thread::scope(|scope| {
        for value in [1_u8, 2] {
            let handle = &handle;
            scope.spawn(move || {
                for place in 0..500 {
                    assert_eq!(
                        handle.pwrite(&[value; 8], 16 * place + 8 * i64::from(value - 1)),
                        Ok(8)
                    );
                }
            });
        }
    });
    let mapping = handle.whole();
    for place in 0..500 {
        assert_eq!(mapping.read(16 * place, 16), [[1; 8], [2; 8]].concat());
    }
    assert_eq!(handle.generation(), generation + 1000);
}
