// SPDX-License-Identifier: MIT OR Apache-2.0

//! SYNC as one caller sees it: arguments, ranges, what is returned, and what a handle cannot ask of itself.

use super::refused;
use crate::harness::tests;
use crate::sys::module::Reloaded;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, DEADLINE_NOW, Errno, Handle, SIZE, SYNC_BEGIN, SYNC_END,
    SyncRange, in_ms, now_ns,
};

tests![
    a_range_is_begun_and_ended,
    begin_returns_everything_as_it_was_given,
    the_end_of_a_write_range_returns_the_generation_it_made,
    ranges_at_both_ends_and_the_whole_work,
    unaligned_ranges_work,
    zero_length_is_einval,
    a_range_past_the_end_is_einval,
    a_range_that_wraps_is_einval,
    #[slow] the_rest_of_the_last_page_can_be_locked needs [ModuleFile],
    unknown_operations_accesses_and_flags_are_einval,
    deadlines_between_are_einval,
    the_end_takes_no_deadline,
    past_and_far_deadlines_take_a_free_range,
    the_access_mode_of_the_handle_decides,
    the_end_must_name_the_very_range,
    ending_twice_is_enoent,
    ending_what_another_handle_holds_is_enoent,
    what_the_handle_holds_is_edeadlk,
    edeadlk_comes_before_waiting_for_others,
    neighbours_are_not_edeadlk,
    status_and_generation_given_are_not_believed,
    a_refused_begin_holds_nothing,
];

const END: u64 = SIZE as u64;
const MIDDLE: u64 = 1 << 63;

fn a_range_is_begun_and_ended() {
    let handle = Handle::rw();
    for access in [ACCESS_READ, ACCESS_WRITE] {
        handle.begin(access, 10, 20, DEADLINE_NOW).unwrap();
        assert_eq!(handle.stat().unwrap().holders, 1);
        handle.end(access, 10, 20).unwrap();
        assert_eq!(handle.stat().unwrap().holders, 0);
    }
}

fn begin_returns_everything_as_it_was_given() {
    let handle = Handle::rw();
    let generation = handle.generation();
    for (access, deadline_ns) in [
        (ACCESS_READ, 0),
        (ACCESS_WRITE, DEADLINE_NEVER),
        (ACCESS_READ, in_ms(60_000)),
    ] {
        let given = SyncRange {
            offset: 7,
            len: 9,
            deadline_ns,
            op: SYNC_BEGIN,
            access,
            ..SyncRange::default()
        };
        let returned = handle.sync(given).unwrap();
        assert_eq!(
            returned,
            SyncRange {
                generation: handle.generation(),
                ..given
            }
        );
        handle.end(access, 7, 9).unwrap();
    }
    assert_eq!(
        handle.generation(),
        generation + 1,
        "one of the three was a write"
    );
}

fn the_end_of_a_write_range_returns_the_generation_it_made() {
    let handle = Handle::rw();
    let start = handle.generation();
    for round in 1..=5 {
        let begun = handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        assert_eq!(begun.generation, start + round - 1);
        assert_eq!(handle.end(ACCESS_WRITE, 0, 1).unwrap().generation, start + round);
    }
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    assert_eq!(handle.end(ACCESS_READ, 0, 1).unwrap().generation, start + 5);
}

fn ranges_at_both_ends_and_the_whole_work() {
    let (one, other) = (Handle::rw(), Handle::rw());
    for (offset, len) in [(0, 1), (END - 1, 1), (0, END), (END / 2, END / 2)] {
        one.begin(ACCESS_WRITE, offset, len, 0).unwrap();
        refused(other.begin(ACCESS_READ, offset, 1, 0), Errno::EAGAIN);
        refused(other.begin(ACCESS_READ, offset + len - 1, 1, 0), Errno::EAGAIN);
        one.end(ACCESS_WRITE, offset, len).unwrap();
    }
}

fn unaligned_ranges_work() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 4093, 7, 0).unwrap();
    for byte in 4093..4100 {
        refused(other.begin(ACCESS_WRITE, byte, 1, 0), Errno::EAGAIN);
    }
    for byte in [4092, 4100] {
        other.begin(ACCESS_WRITE, byte, 1, 0).unwrap();
        other.end(ACCESS_WRITE, byte, 1).unwrap();
    }
}

fn zero_length_is_einval() {
    let handle = Handle::rw();
    for offset in [0, 1, END - 1, END, u64::MAX] {
        refused(handle.begin(ACCESS_READ, offset, 0, 0), Errno::EINVAL);
        refused(handle.end(ACCESS_READ, offset, 0), Errno::EINVAL);
    }
}

fn a_range_past_the_end_is_einval() {
    let handle = Handle::rw();
    for (offset, len) in [
        (0, END + 1),
        (END, 1),
        (END - 1, 2),
        (1, END),
        (END + 4096, 1),
        (1 << 40, 1 << 40),
    ] {
        refused(handle.begin(ACCESS_READ, offset, len, 0), Errno::EINVAL);
        refused(
            handle.begin(ACCESS_WRITE, offset, len, DEADLINE_NEVER),
            Errno::EINVAL,
        );
        refused(handle.end(ACCESS_WRITE, offset, len), Errno::EINVAL);
    }
}

fn a_range_that_wraps_is_einval() {
    let handle = Handle::rw();
    let wrapping = [
        (u64::MAX, 1),
        (u64::MAX, 2),
        (u64::MAX, u64::MAX),
        (1, u64::MAX),
        (MIDDLE, MIDDLE),
        (END - 1, u64::MAX),
    ];
    for (offset, len) in wrapping {
        refused(handle.begin(ACCESS_WRITE, offset, len, 0), Errno::EINVAL);
        refused(handle.end(ACCESS_WRITE, offset, len), Errno::EINVAL);
    }
}

fn the_rest_of_the_last_page_can_be_locked() {
    let _module = Reloaded::with("default_size=4097");
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 4097, 8192 - 4097, 0).unwrap();
    handle.end(ACCESS_WRITE, 4097, 8192 - 4097).unwrap();
    handle.begin(ACCESS_WRITE, 0, 8192, 0).unwrap();
    handle.end(ACCESS_WRITE, 0, 8192).unwrap();
    refused(handle.begin(ACCESS_WRITE, 0, 8193, 0), Errno::EINVAL);
    refused(handle.begin(ACCESS_WRITE, 8192, 1, 0), Errno::EINVAL);
}

fn unknown_operations_accesses_and_flags_are_einval() {
    let handle = Handle::rw();
    let good = SyncRange {
        len: 1,
        op: SYNC_BEGIN,
        access: ACCESS_READ,
        ..SyncRange::default()
    };
    for op in [0, 3, 4, u32::MAX] {
        refused(handle.sync(SyncRange { op, ..good }), Errno::EINVAL);
    }
    for op in [SYNC_BEGIN, SYNC_END] {
        for access in [0, 3, 4, u32::MAX] {
            refused(handle.sync(SyncRange { op, access, ..good }), Errno::EINVAL);
        }
        for bit in 0..32 {
            refused(
                handle.sync(SyncRange {
                    op,
                    flags: 1 << bit,
                    ..good
                }),
                Errno::EINVAL,
            );
        }
    }
    assert_eq!(handle.stat().unwrap().holders, 0);
}

fn deadlines_between_are_einval() {
    let handle = Handle::rw();
    for deadline_ns in [MIDDLE, MIDDLE + 1, u64::MAX - 1, u64::MAX / 4 * 3] {
        refused(handle.begin(ACCESS_READ, 0, 1, deadline_ns), Errno::EINVAL);
    }
}

fn the_end_takes_no_deadline() {
    let handle = Handle::rw();
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    let end = SyncRange {
        len: 1,
        op: SYNC_END,
        access: ACCESS_READ,
        ..SyncRange::default()
    };
    for deadline_ns in [1, now_ns(), MIDDLE, DEADLINE_NEVER] {
        refused(handle.sync(SyncRange { deadline_ns, ..end }), Errno::EINVAL);
    }
    assert_eq!(handle.stat().unwrap().holders, 1, "a refused END ends nothing");
    handle.sync(end).unwrap();
}

fn past_and_far_deadlines_take_a_free_range() {
    let handle = Handle::rw();
    for deadline_ns in [
        1,
        now_ns() - 1,
        now_ns(),
        MIDDLE - 1,
        DEADLINE_NEVER,
        DEADLINE_NOW,
    ] {
        handle
            .begin(ACCESS_WRITE, 0, 1, deadline_ns)
            .unwrap_or_else(|error| panic!("{deadline_ns}: {error}"));
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    }
}

fn the_access_mode_of_the_handle_decides() {
    let (reader, writer) = (Handle::ro(), Handle::wo());
    refused(reader.begin(ACCESS_WRITE, 0, 1, 0), Errno::EACCES);
    refused(writer.begin(ACCESS_READ, 0, 1, 0), Errno::EACCES);
    reader.begin(ACCESS_READ, 0, 1, 0).unwrap();
    writer.begin(ACCESS_WRITE, 1, 1, 0).unwrap();
    reader.end(ACCESS_READ, 0, 1).unwrap();
    writer.end(ACCESS_WRITE, 1, 1).unwrap();
}

fn the_end_must_name_the_very_range() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 100, 50, 0).unwrap();
    for (access, offset, len) in [
        (ACCESS_READ, 100, 50),
        (ACCESS_WRITE, 100, 49),
        (ACCESS_WRITE, 100, 51),
        (ACCESS_WRITE, 99, 51),
        (ACCESS_WRITE, 101, 49),
        (ACCESS_WRITE, 0, END),
    ] {
        refused(handle.end(access, offset, len), Errno::ENOENT);
    }
    assert_eq!(handle.stat().unwrap().holders, 1);
    handle.end(ACCESS_WRITE, 100, 50).unwrap();
}

fn ending_twice_is_enoent() {
    let handle = Handle::rw();
    refused(handle.end(ACCESS_READ, 0, 1), Errno::ENOENT);
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    handle.end(ACCESS_READ, 0, 1).unwrap();
    refused(handle.end(ACCESS_READ, 0, 1), Errno::ENOENT);
}

fn ending_what_another_handle_holds_is_enoent() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    refused(other.end(ACCESS_WRITE, 0, 1), Errno::ENOENT);
    one.end(ACCESS_WRITE, 0, 1).unwrap();
}

fn what_the_handle_holds_is_edeadlk() {
    let handle = Handle::rw();
    for held in [ACCESS_READ, ACCESS_WRITE] {
        handle.begin(held, 100, 50, 0).unwrap();
        for asked in [ACCESS_READ, ACCESS_WRITE] {
            for deadline in [DEADLINE_NOW, in_ms(60_000), DEADLINE_NEVER] {
                for (offset, len) in [
                    (100, 50),
                    (100, 1),
                    (149, 1),
                    (90, 11),
                    (149, 100),
                    (0, END),
                    (120, 1),
                ] {
                    refused(handle.begin(asked, offset, len, deadline), Errno::EDEADLK);
                }
            }
        }
        assert_eq!(handle.stat().unwrap().holders, 1);
        handle.end(held, 100, 50).unwrap();
    }
}

fn edeadlk_comes_before_waiting_for_others() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
    other.begin(ACCESS_WRITE, 10, 10, 0).unwrap();
    refused(one.begin(ACCESS_WRITE, 0, 20, DEADLINE_NEVER), Errno::EDEADLK);
}

fn neighbours_are_not_edeadlk() {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 100, 50, 0).unwrap();
    handle.begin(ACCESS_WRITE, 150, 1, 0).unwrap();
    handle.begin(ACCESS_READ, 99, 1, 0).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 3);
}

fn status_and_generation_given_are_not_believed() {
    let handle = Handle::rw();
    let generation = handle.generation();
    let range = SyncRange {
        len: 1,
        op: SYNC_BEGIN,
        access: ACCESS_READ,
        status: u32::MAX,
        generation: u64::MAX,
        ..SyncRange::default()
    };
    let returned = handle.sync(range).unwrap();
    assert_eq!((returned.status, returned.generation), (0, generation));
    let returned = handle
        .sync(SyncRange {
            op: SYNC_END,
            ..range
        })
        .unwrap();
    assert_eq!((returned.status, returned.generation), (0, generation));
}

fn a_refused_begin_holds_nothing() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    refused(other.begin(ACCESS_READ, 4, 100, 0), Errno::EAGAIN);
    refused(other.begin(ACCESS_READ, 4, 100, in_ms(1)), Errno::ETIMEDOUT);
    refused(other.end(ACCESS_READ, 4, 100), Errno::ENOENT);
    let stat = one.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters), (1, 0));
    Handle::rw()
        .begin(ACCESS_WRITE, 8, 100, 0)
        .expect("nobody holds these");
}
