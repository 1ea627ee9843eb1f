// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ABI against known numbers: what `cc` says of the same structures and of the kernel's own `_IOR` and
//! `_IOWR`. A test that fails here means that programs built before would misbehave.

use std::mem::{align_of, offset_of, size_of};

use shmdev::uapi::{
    ABI_VERSION, ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, DEADLINE_NOW, FEATURE_POLL, FEATURE_SYNC,
    IOC_INFO, IOC_STAT, IOC_SYNC, IOC_TYPE, Info, STATUS_OWNER_DIED, SYNC_BEGIN, SYNC_END, Stat, SyncRange,
    TOKEN_MAX,
};

/// Each field's offset, in the order of the structure.
macro_rules! offsets {
    ($type:ty: $($field:ident)+) => { [$((stringify!($field), offset_of!($type, $field))),+] };
}

#[test]
fn info_has_the_layout_of_the_abi() {
    assert_eq!((size_of::<Info>(), align_of::<Info>()), (64, align_of::<u64>()));
    let expected = [
        ("abi_version", 0),
        ("page_size", 4),
        ("features", 8),
        ("default_size", 16),
        ("token", 24),
        ("max_ranges", 28),
        ("reserved", 32),
    ];
    assert_eq!(
        offsets!(Info: abi_version page_size features default_size token max_ranges reserved),
        expected
    );
}

#[test]
fn stat_has_the_layout_of_the_abi() {
    assert_eq!((size_of::<Stat>(), align_of::<Stat>()), (128, align_of::<u64>()));
    let expected = [
        ("id", 0),
        ("size", 8),
        ("mapped_size", 16),
        ("nattch", 24),
        ("handles", 32),
        ("generation", 40),
        ("holders", 48),
        ("waiters", 52),
        ("pieces", 56),
        ("flags", 60),
        ("reserved", 64),
    ];
    let offsets = offsets!(
        Stat: id size mapped_size nattch handles generation holders waiters pieces flags reserved
    );
    assert_eq!(offsets, expected);
}

#[test]
fn sync_range_has_the_layout_of_the_abi() {
    assert_eq!(
        (size_of::<SyncRange>(), align_of::<SyncRange>()),
        (48, align_of::<u64>())
    );
    let expected = [
        ("offset", 0),
        ("len", 8),
        ("deadline_ns", 16),
        ("generation", 24),
        ("op", 32),
        ("access", 36),
        ("flags", 40),
        ("status", 44),
    ];
    assert_eq!(
        offsets!(SyncRange: offset len deadline_ns generation op access flags status),
        expected
    );
}

#[test]
fn opcodes_are_the_known_numbers() {
    assert_eq!(IOC_INFO, 0x8040_bb00);
    assert_eq!(IOC_STAT, 0x8080_bb01);
    assert_eq!(IOC_SYNC, 0xc030_bb02);
}

#[test]
fn opcodes_are_what_ioctl_sys_computes() {
    assert_eq!(IOC_INFO, ioctl_sys::ior!(IOC_TYPE, 0, size_of::<Info>()));
    assert_eq!(IOC_STAT, ioctl_sys::ior!(IOC_TYPE, 1, size_of::<Stat>()));
    assert_eq!(IOC_SYNC, ioctl_sys::iorw!(IOC_TYPE, 2, size_of::<SyncRange>()));
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
    assert_eq!(parts(IOC_INFO), (READ, 64, 0xbb, 0));
    assert_eq!(parts(IOC_STAT), (READ, 128, 0xbb, 1));
    assert_eq!(parts(IOC_SYNC), (READ | WRITE, 48, 0xbb, 2));
}

#[test]
fn constants_are_the_known_numbers() {
    assert_eq!(ABI_VERSION, 1);
    assert_eq!((FEATURE_SYNC, FEATURE_POLL), (1, 2));
    assert_eq!((SYNC_BEGIN, SYNC_END), (1, 2));
    assert_eq!((ACCESS_READ, ACCESS_WRITE), (1, 2));
    assert_eq!((DEADLINE_NOW, DEADLINE_NEVER), (0, 0xffff_ffff_ffff_ffff));
    assert_eq!(STATUS_OWNER_DIED, 1);
    assert_eq!(TOKEN_MAX, 1_073_741_823);
}
