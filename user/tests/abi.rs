// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ABI against known numbers: what `cc` says of the same structures and of the kernel's own `_IOR` and
//! `_IOWR`. A test that fails here means that programs built before would misbehave.

use std::mem::{align_of, offset_of, size_of};

use shmdev::uapi::*;

/// Each structure's size, then each field's offset, in the order of the structure.
macro_rules! layout {
    ($type:ident, $size:literal: $($field:ident $offset:literal)+) => {
        assert_eq!((size_of::<$type>(), align_of::<$type>()), ($size, align_of::<u64>()));
        let offsets = [$((stringify!($field), offset_of!($type, $field))),+];
        assert_eq!(offsets, [$((stringify!($field), $offset)),+]);
        // Nothing is left out, and nothing is padding.
        let $type { $($field),+ } = $type::default();
        assert_eq!([$(size_of_val(&$field)),+].iter().sum::<usize>(), $size);
    };
}

#[test]
fn info_has_the_layout_of_the_abi() {
    layout!(Info, 128:
        abi_version 0 page_size 4 features 8 default_size 16 token 24 max_ranges 28 max_segments 32
        max_segment_bytes 40 max_total_bytes 48 max_bytes_per_uid 56 segments 64 total_bytes 72 uid_bytes 80
        window_start 88 window_end 96 access 104 restricted 108 max_robust 112
        default_map 116 reserved 120);
}

#[test]
fn target_has_the_layout_of_the_abi() {
    layout!(Target, 80: name 0 id 64 by 72 reserved 76);
}

#[test]
fn stat_has_the_layout_of_the_abi() {
    layout!(Stat, 240:
        target 0 size 80 mapped_size 88 nattch 96 handles 104 generation 112 created_ns 120 attached_ns 128
        changed_ns 136 holders 144 waiters 148 pieces 152 flags 156 uid 160 gid 164 creator_uid 168
        creator_gid 172 creator_pid 176 last_pid 180 mode 184 sleepers 188
        reserved 192);
}

#[test]
fn create_and_open_have_the_layout_of_the_abi() {
    layout!(Create, 96: name 0 size 64 id 72 mode 80 flags 84 status 88 reserved 92);
    layout!(Open, 96: target 0 size 80 reserved 88);
}

#[test]
fn set_resize_and_remove_have_the_layout_of_the_abi() {
    layout!(Set, 96: target 0 fields 80 uid 84 gid 88 mode 92);
    layout!(Resize, 96: target 0 size 80 reserved 88);
    layout!(Remove, 80: target 0);
}

#[test]
fn list_has_the_layout_of_the_abi() {
    assert_eq!((size_of::<List>(), align_of::<List>()), (3856, align_of::<u64>()));
    assert_eq!(
        [
            offset_of!(List, cursor),
            offset_of!(List, count),
            offset_of!(List, flags),
            offset_of!(List, segments)
        ],
        [0, 8, 12, 16]
    );
    assert_eq!(16 + LIST_MAX * size_of::<Stat>(), 3856);
}

#[test]
fn restrict_has_the_layout_of_the_abi() {
    layout!(Restrict, 24: offset 0 len 8 access 16 flags 20);
}

#[test]
fn sync_range_has_the_layout_of_the_abi() {
    layout!(SyncRange, 48: offset 0 len 8 deadline_ns 16 generation 24 op 32 access 36 flags 40 status 44);
}

#[test]
fn wait_and_wake_have_the_layout_of_the_abi() {
    layout!(Wait, 24: offset 0 deadline_ns 8 expected 16 flags 20);
    layout!(Wake, 16: offset 0 count 8 flags 12);
    layout!(WaitWord, 16: offset 0 expected 8 flags 12);
    layout!(Requeue, 32: from 0 to 8 expected 16 wake 20 requeue 24 flags 28);
    layout!(WakeWait, 40: wake 0 wait 16);
    // Not `Waitv`, which has no order, but its first fields are all that is read at a fixed place.
    assert_eq!(size_of::<Waitv>(), 16 + WAITV_MAX * 16);
    assert_eq!(
        [
            offset_of!(Waitv, deadline_ns),
            offset_of!(Waitv, count),
            offset_of!(Waitv, flags),
            offset_of!(Waitv, words)
        ],
        [0, 8, 12, 16]
    );
}

#[test]
fn robust_and_eventfd_have_the_layout_of_the_abi() {
    layout!(Robust, 16: offset 0 flags 8 reserved 12);
    layout!(Eventfd, 16: offset 0 fd 8 flags 12);
}

#[test]
fn opcodes_are_the_known_numbers() {
    assert_eq!(IOC_INFO, 0x8080_bb00);
    assert_eq!(IOC_STAT, 0xc0f0_bb01);
    assert_eq!(IOC_SYNC, 0xc030_bb02);
    assert_eq!(IOC_WAIT, 0x4018_bb03);
    assert_eq!(IOC_WAKE, 0x4010_bb04);
    assert_eq!(IOC_WAITV, 0x4810_bb05);
    assert_eq!(IOC_REQUEUE, 0x4020_bb06);
    assert_eq!(IOC_WAKE_WAIT, 0x4028_bb07);
    assert_eq!(IOC_ROBUST_ADD, 0x4010_bb08);
    assert_eq!(IOC_ROBUST_DEL, 0x4010_bb09);
    assert_eq!(IOC_EVENTFD_ADD, 0x4010_bb0a);
    assert_eq!(IOC_EVENTFD_DEL, 0x4010_bb0b);
    assert_eq!(IOC_CREATE, 0xc060_bb10);
    assert_eq!(IOC_OPEN, 0xc060_bb11);
    assert_eq!(IOC_SET, 0x4060_bb12);
    assert_eq!(IOC_RESIZE, 0x4060_bb13);
    assert_eq!(IOC_REMOVE, 0x4050_bb14);
    assert_eq!(IOC_LIST, 0xcf10_bb15);
    assert_eq!(IOC_RESTRICT, 0x4018_bb16);
}

/// `_IOC` of `asm-generic/ioctl.h`, taken apart: `dir << 30 | size << 16 | type << 8 | nr`, where user
/// space writes with 1 and reads with 2.
#[test]
fn opcodes_are_what_the_kernels_macros_compute() {
    const WRITE: u32 = 1;
    const READ: u32 = 2;
    let parts = |opcode: u32| {
        (
            opcode >> 30,
            opcode >> 16 & 0x3fff,
            opcode >> 8 & 0xff,
            opcode & 0xff,
        )
    };
    assert_eq!(parts(IOC_INFO), (READ, 128, 0xbb, 0));
    assert_eq!(parts(IOC_STAT), (READ | WRITE, 240, 0xbb, 1));
    assert_eq!(parts(IOC_SYNC), (READ | WRITE, 48, 0xbb, 2));
    assert_eq!(parts(IOC_WAIT), (WRITE, 24, 0xbb, 3));
    assert_eq!(parts(IOC_WAKE), (WRITE, 16, 0xbb, 4));
    assert_eq!(parts(IOC_WAITV), (WRITE, 2064, 0xbb, 5));
    assert_eq!(parts(IOC_REQUEUE), (WRITE, 32, 0xbb, 6));
    assert_eq!(parts(IOC_WAKE_WAIT), (WRITE, 40, 0xbb, 7));
    assert_eq!(parts(IOC_ROBUST_ADD), (WRITE, 16, 0xbb, 8));
    assert_eq!(parts(IOC_ROBUST_DEL), (WRITE, 16, 0xbb, 9));
    assert_eq!(parts(IOC_EVENTFD_ADD), (WRITE, 16, 0xbb, 10));
    assert_eq!(parts(IOC_EVENTFD_DEL), (WRITE, 16, 0xbb, 11));
    assert_eq!(parts(IOC_CREATE), (READ | WRITE, 96, 0xbb, 16));
    assert_eq!(parts(IOC_OPEN), (READ | WRITE, 96, 0xbb, 17));
    assert_eq!(parts(IOC_SET), (WRITE, 96, 0xbb, 18));
    assert_eq!(parts(IOC_RESIZE), (WRITE, 96, 0xbb, 19));
    assert_eq!(parts(IOC_REMOVE), (WRITE, 80, 0xbb, 20));
    assert_eq!(parts(IOC_LIST), (READ | WRITE, 3856, 0xbb, 21));
    assert_eq!(parts(IOC_RESTRICT), (WRITE, 24, 0xbb, 22));
}

#[test]
fn constants_are_the_known_numbers() {
    assert_eq!(ABI_VERSION, 1);
    assert_eq!(
        (
            FEATURE_SYNC,
            FEATURE_POLL,
            FEATURE_SEGMENTS,
            FEATURE_RESTRICT,
            FEATURE_WAIT,
            FEATURE_WAITV,
            FEATURE_ROBUST,
            FEATURE_EVENTFD,
            FEATURE_MAP
        ),
        (1, 2, 4, 8, 16, 32, 64, 128, 256)
    );
    assert_eq!((WAITV_MAX, EVENTFDS_MAX), (128, 64));
    assert_eq!(
        (WORD_TOKEN, WORD_OWNER_DIED, WORD_WAITERS),
        (0x3fff_ffff, 0x4000_0000, 0x8000_0000)
    );
    assert_eq!((ROBUST_WAKE_ONLY, EVENTFD_GENERATION), (1, 1));
    assert_eq!(WORD_SIZE, 4);
    assert_eq!((NAME_SIZE, LIST_MAX), (64, 16));
    assert_eq!((BY_HANDLE, BY_ID, BY_NAME, BY_DESCRIPTOR), (0, 1, 2, 3));
    assert_eq!((CREATE_EXCLUSIVE, CREATE_AUTO_REMOVE), (1, 2));
    assert_eq!((MAP_MASK, MAP_PFN, MAP_FAULT, MAP_HUGE), (12, 4, 8, 12));
    assert_eq!(STATUS_CREATED, 1);
    assert_eq!((SET_UID, SET_GID, SET_MODE), (1, 2, 4));
    assert_eq!((SEGMENT_AUTO_REMOVE, SEGMENT_REMOVED), (1, 2));
    assert_eq!((SYNC_BEGIN, SYNC_END), (1, 2));
    assert_eq!((ACCESS_READ, ACCESS_WRITE), (1, 2));
    assert_eq!((DEADLINE_NOW, DEADLINE_NEVER), (0, 0xffff_ffff_ffff_ffff));
    assert_eq!(STATUS_OWNER_DIED, 1);
    assert_eq!(TOKEN_MAX, 1_073_741_823);
}
