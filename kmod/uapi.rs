// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The ABI of `/dev/shmdev`: the one definition, used by the kernel module and by the userspace
//! crate.
//!
//! It uses `core` alone. Every structure is `repr(C)` with a layout that is the same for 32-bit and
//! 64-bit callers: fixed-width integers at their natural alignment, no pointers, no implicit
//! padding. What each call does, and every errno it can return, is written in `docs/abi.md`.

/// Name of the device node under `/dev`.
pub const DEVICE_NAME: &str = "shmdev";

/// Version of the ABI. It changes when a program built against an older version could misbehave.
pub const ABI_VERSION: u32 = 1;

/// Type byte of every ioctl; free in the kernel's `ioctl-number.rst`.
pub const IOC_TYPE: u8 = 0xbb;
/// Ioctl number of [`IOC_INFO`].
pub const INFO_NR: u8 = 0x00;
/// Ioctl number of [`IOC_STAT`].
pub const STAT_NR: u8 = 0x01;
/// Ioctl number of [`IOC_SYNC`].
pub const SYNC_NR: u8 = 0x02;

/// `_IOR(IOC_TYPE, INFO_NR, Info)`: facts about the device and this handle.
pub const IOC_INFO: u32 = opcode(IOC_READ, INFO_NR, size_of::<Info>());
/// `_IOR(IOC_TYPE, STAT_NR, Stat)`: the state of this handle's segment.
pub const IOC_STAT: u32 = opcode(IOC_READ, STAT_NR, size_of::<Stat>());
/// `_IOWR(IOC_TYPE, SYNC_NR, SyncRange)`: begin or end an access to a byte range.
pub const IOC_SYNC: u32 = opcode(IOC_READ | IOC_WRITE, SYNC_NR, size_of::<SyncRange>());

/// [`Info::features`]: [`IOC_SYNC`] is there.
pub const FEATURE_SYNC: u64 = 1 << 0;
/// [`Info::features`]: `poll` reports new generations.
pub const FEATURE_POLL: u64 = 1 << 1;

/// Largest token, see [`Info::token`]: tokens have 30 bits.
pub const TOKEN_MAX: u32 = (1 << 30) - 1;

/// [`SyncRange::op`]: wait until the range is free for the access asked for, then hold it.
pub const SYNC_BEGIN: u32 = 1;
/// [`SyncRange::op`]: give back a range that this handle holds.
pub const SYNC_END: u32 = 2;

/// [`SyncRange::access`]: shared with other readers.
pub const ACCESS_READ: u32 = 1;
/// [`SyncRange::access`]: exclusive.
pub const ACCESS_WRITE: u32 = 2;

/// [`SyncRange::deadline_ns`]: do not wait, fail with `EAGAIN`.
pub const DEADLINE_NOW: u64 = 0;
/// [`SyncRange::deadline_ns`]: wait for as long as it takes.
pub const DEADLINE_NEVER: u64 = u64::MAX;

/// [`SyncRange::status`]: somebody died while writing bytes of this range, and no write of them was
/// completed since.
pub const STATUS_OWNER_DIED: u32 = 1 << 0;

/// What [`IOC_INFO`] returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// [`ABI_VERSION`] of the module.
    pub abi_version: u32,
    /// Page size in bytes: mappings and offsets of mappings are multiples of it.
    pub page_size: u32,
    /// What the module can do: a set of `FEATURE_*` bits.
    pub features: u64,
    /// Size of the default segment in bytes.
    pub default_size: u64,
    /// This handle's identity: 1 to [`TOKEN_MAX`], different from that of every other open handle.
    pub token: u32,
    /// How many ranges a handle may hold or wait for at a time; one more fails with `ENOLCK`.
    pub max_ranges: u32,
    /// Zero.
    pub reserved: [u64; 4],
}

/// What [`IOC_STAT`] returns. The figures are read one after the other while others may change
/// them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Number of the segment; the default segment is 0.
    pub id: u64,
    /// Size in bytes, as it was asked for: the end for `read`, `write` and `lseek`.
    pub size: u64,
    /// Size in bytes rounded up to whole pages: what can be mapped.
    pub mapped_size: u64,
    /// How many mappings there are now, in all processes.
    pub nattch: u64,
    /// How many handles are attached now.
    pub handles: u64,
    /// How many writes were completed: ends of WRITE ranges and calls of `write` that stored
    /// something.
    pub generation: u64,
    /// How many ranges are held now.
    pub holders: u32,
    /// How many callers wait for a range now.
    pub waiters: u32,
    /// In how many physically contiguous pieces the memory lies.
    pub pieces: u32,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u64; 8],
}

/// What [`IOC_SYNC`] takes and returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncRange {
    /// First byte of the range.
    pub offset: u64,
    /// Length of the range in bytes, at least 1.
    pub len: u64,
    /// Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, [`DEADLINE_NOW`] or
    /// [`DEADLINE_NEVER`]. Zero for
    /// [`SYNC_END`].
    pub deadline_ns: u64,
    /// Returned: the segment's generation, for an end of a WRITE range the one that it made.
    pub generation: u64,
    /// [`SYNC_BEGIN`] or [`SYNC_END`].
    pub op: u32,
    /// [`ACCESS_READ`] or [`ACCESS_WRITE`].
    pub access: u32,
    /// Must be zero.
    pub flags: u32,
    /// Returned: a set of `STATUS_*` bits.
    pub status: u32,
}

const IOC_WRITE: u32 = 1;
const IOC_READ: u32 = 2;

/// `_IOC()` of `include/uapi/asm-generic/ioctl.h`, for the architectures that use that file
/// unchanged.
const fn opcode(direction: u32, nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "the size field of an ioctl has 14 bits");
    direction << 30 | (size as u32) << 16 | (IOC_TYPE as u32) << 8 | nr as u32
}
