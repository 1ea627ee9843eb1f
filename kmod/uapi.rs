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
/// Ioctl number of [`IOC_WAIT`].
pub const WAIT_NR: u8 = 0x03;
/// Ioctl number of [`IOC_WAKE`].
pub const WAKE_NR: u8 = 0x04;
/// Ioctl number of [`IOC_WAITV`].
pub const WAITV_NR: u8 = 0x05;
/// Ioctl number of [`IOC_REQUEUE`].
pub const REQUEUE_NR: u8 = 0x06;
/// Ioctl number of [`IOC_WAKE_WAIT`].
pub const WAKE_WAIT_NR: u8 = 0x07;
/// Ioctl number of [`IOC_ROBUST_ADD`].
pub const ROBUST_ADD_NR: u8 = 0x08;
/// Ioctl number of [`IOC_ROBUST_DEL`].
pub const ROBUST_DEL_NR: u8 = 0x09;
/// Ioctl number of [`IOC_EVENTFD_ADD`].
pub const EVENTFD_ADD_NR: u8 = 0x0a;
/// Ioctl number of [`IOC_EVENTFD_DEL`].
pub const EVENTFD_DEL_NR: u8 = 0x0b;
/// Ioctl number of [`IOC_CREATE`].
pub const CREATE_NR: u8 = 0x10;
/// Ioctl number of [`IOC_OPEN`].
pub const OPEN_NR: u8 = 0x11;
/// Ioctl number of [`IOC_SET`].
pub const SET_NR: u8 = 0x12;
/// Ioctl number of [`IOC_RESIZE`].
pub const RESIZE_NR: u8 = 0x13;
/// Ioctl number of [`IOC_REMOVE`].
pub const REMOVE_NR: u8 = 0x14;
/// Ioctl number of [`IOC_LIST`].
pub const LIST_NR: u8 = 0x15;
/// Ioctl number of [`IOC_RESTRICT`].
pub const RESTRICT_NR: u8 = 0x16;

/// `_IOR(IOC_TYPE, INFO_NR, Info)`: facts about the device and this handle.
pub const IOC_INFO: u32 = opcode(IOC_READ, INFO_NR, size_of::<Info>());
/// `_IOWR(IOC_TYPE, STAT_NR, Stat)`: the state of a segment.
pub const IOC_STAT: u32 = opcode(IOC_READ | IOC_WRITE, STAT_NR, size_of::<Stat>());
/// `_IOWR(IOC_TYPE, SYNC_NR, SyncRange)`: begin or end an access to a byte range.
pub const IOC_SYNC: u32 = opcode(IOC_READ | IOC_WRITE, SYNC_NR, size_of::<SyncRange>());
/// `_IOW(IOC_TYPE, WAIT_NR, Wait)`: sleep until woken, if a word is what is expected.
pub const IOC_WAIT: u32 = opcode(IOC_WRITE, WAIT_NR, size_of::<Wait>());
/// `_IOW(IOC_TYPE, WAKE_NR, Wake)`: wake those who wait on a word. Returns how many.
pub const IOC_WAKE: u32 = opcode(IOC_WRITE, WAKE_NR, size_of::<Wake>());
/// `_IOW(IOC_TYPE, WAITV_NR, Waitv)`: as [`IOC_WAIT`], on several words. Returns the index of the one
/// that was woken. Only the first [`Waitv::count`] elements of [`Waitv::words`] are read.
pub const IOC_WAITV: u32 = opcode(IOC_WRITE, WAITV_NR, size_of::<Waitv>());
/// `_IOW(IOC_TYPE, REQUEUE_NR, Requeue)`: wake some of those who wait on a word, and let others wait
/// on another one. Returns how many both are.
pub const IOC_REQUEUE: u32 = opcode(IOC_WRITE, REQUEUE_NR, size_of::<Requeue>());
/// `_IOW(IOC_TYPE, WAKE_WAIT_NR, WakeWait)`: wake those who wait on a word, and wait on another one.
pub const IOC_WAKE_WAIT: u32 = opcode(IOC_WRITE, WAKE_WAIT_NR, size_of::<WakeWait>());
/// `_IOW(IOC_TYPE, ROBUST_ADD_NR, Robust)`: have the kernel tend a word when this process dies.
pub const IOC_ROBUST_ADD: u32 = opcode(IOC_WRITE, ROBUST_ADD_NR, size_of::<Robust>());
/// `_IOW(IOC_TYPE, ROBUST_DEL_NR, Robust)`: take that back.
pub const IOC_ROBUST_DEL: u32 = opcode(IOC_WRITE, ROBUST_DEL_NR, size_of::<Robust>());
/// `_IOW(IOC_TYPE, EVENTFD_ADD_NR, Eventfd)`: have an eventfd signalled.
pub const IOC_EVENTFD_ADD: u32 = opcode(IOC_WRITE, EVENTFD_ADD_NR, size_of::<Eventfd>());
/// `_IOW(IOC_TYPE, EVENTFD_DEL_NR, Eventfd)`: take that back.
pub const IOC_EVENTFD_DEL: u32 = opcode(IOC_WRITE, EVENTFD_DEL_NR, size_of::<Eventfd>());
/// `_IOWR(IOC_TYPE, CREATE_NR, Create)`: make a segment and attach this handle to it.
pub const IOC_CREATE: u32 = opcode(IOC_READ | IOC_WRITE, CREATE_NR, size_of::<Create>());
/// `_IOWR(IOC_TYPE, OPEN_NR, Open)`: attach this handle to a segment that exists.
pub const IOC_OPEN: u32 = opcode(IOC_READ | IOC_WRITE, OPEN_NR, size_of::<Open>());
/// `_IOW(IOC_TYPE, SET_NR, Set)`: change owner, group or mode of a segment.
pub const IOC_SET: u32 = opcode(IOC_WRITE, SET_NR, size_of::<Set>());
/// `_IOW(IOC_TYPE, RESIZE_NR, Resize)`: change the size of a segment.
pub const IOC_RESIZE: u32 = opcode(IOC_WRITE, RESIZE_NR, size_of::<Resize>());
/// `_IOW(IOC_TYPE, REMOVE_NR, Remove)`: take a segment's name away, and its memory when nobody uses
/// it any more.
pub const IOC_REMOVE: u32 = opcode(IOC_WRITE, REMOVE_NR, size_of::<Remove>());
/// `_IOWR(IOC_TYPE, LIST_NR, List)`: the segments, some at a time.
pub const IOC_LIST: u32 = opcode(IOC_READ | IOC_WRITE, LIST_NR, size_of::<List>());
/// `_IOW(IOC_TYPE, RESTRICT_NR, Restrict)`: give up, for good, a part of what this handle may do.
pub const IOC_RESTRICT: u32 = opcode(IOC_WRITE, RESTRICT_NR, size_of::<Restrict>());

/// [`Info::features`]: [`IOC_SYNC`] is there.
pub const FEATURE_SYNC: u64 = 1 << 0;
/// [`Info::features`]: `poll` reports new generations.
pub const FEATURE_POLL: u64 = 1 << 1;
/// [`Info::features`]: segments can be created, named, found and removed.
pub const FEATURE_SEGMENTS: u64 = 1 << 2;
/// [`Info::features`]: [`IOC_RESTRICT`] is there.
pub const FEATURE_RESTRICT: u64 = 1 << 3;
/// [`Info::features`]: [`IOC_WAIT`] and [`IOC_WAKE`] are there.
pub const FEATURE_WAIT: u64 = 1 << 4;
/// [`Info::features`]: [`IOC_WAITV`], [`IOC_REQUEUE`] and [`IOC_WAKE_WAIT`] are there.
pub const FEATURE_WAITV: u64 = 1 << 5;
/// [`Info::features`]: [`IOC_ROBUST_ADD`] and [`IOC_ROBUST_DEL`] are there.
pub const FEATURE_ROBUST: u64 = 1 << 6;
/// [`Info::features`]: [`IOC_EVENTFD_ADD`] and [`IOC_EVENTFD_DEL`] are there.
pub const FEATURE_EVENTFD: u64 = 1 << 7;
/// [`Info::features`]: how a segment is mapped can be chosen, see [`MAP_MASK`].
pub const FEATURE_MAP: u64 = 1 << 8;

/// Bytes of a name's field. A name is 1 to 63 bytes of `A-Z a-z 0-9 . _ -`, but neither `.` nor
/// `..`; the rest of the field is zero.
pub const NAME_SIZE: usize = 64;

/// [`Target::by`]: the segment that this handle is attached to.
pub const BY_HANDLE: u32 = 0;
/// [`Target::by`]: the segment whose number is [`Target::id`].
pub const BY_ID: u32 = 1;
/// [`Target::by`]: the segment whose name is [`Target::name`].
pub const BY_NAME: u32 = 2;
/// [`Target::by`], for [`IOC_OPEN`] alone: the segment that another handle is attached to, of which
/// [`Target::id`] is a descriptor.
pub const BY_DESCRIPTOR: u32 = 3;

/// [`Create::flags`]: fail with `EEXIST` if there is a segment of that name already.
pub const CREATE_EXCLUSIVE: u32 = 1 << 0;
/// [`Create::flags`]: remove the segment when the last handle attached to it goes.
pub const CREATE_AUTO_REMOVE: u32 = 1 << 1;

/// [`Create::flags`] and [`Stat::flags`]: the bits that say how the segment is mapped. In
/// [`Create::flags`], none of them is [`Info::default_map`].
pub const MAP_MASK: u32 = 3 << 2;
/// [`MAP_MASK`]: all page table entries are made by `mmap`. Pages cannot be pinned or copied on write.
pub const MAP_PFN: u32 = 1 << 2;
/// [`MAP_MASK`]: entries are made when pages are touched, some at a time. Pages can be pinned (`O_DIRECT`,
/// fixed buffers of io_uring) and copied on write (`MAP_PRIVATE`).
pub const MAP_FAULT: u32 = 2 << 2;
/// [`MAP_MASK`]: entries of 2 MiB are made when they are touched, the others by `mmap`. Else as
/// [`MAP_PFN`].
pub const MAP_HUGE: u32 = 3 << 2;

/// [`Create::status`]: the segment was made by this call; else it existed.
pub const STATUS_CREATED: u32 = 1 << 0;

/// [`Set::fields`]: change the owner to [`Set::uid`].
pub const SET_UID: u32 = 1 << 0;
/// [`Set::fields`]: change the group to [`Set::gid`].
pub const SET_GID: u32 = 1 << 1;
/// [`Set::fields`]: change the permission bits to [`Set::mode`].
pub const SET_MODE: u32 = 1 << 2;

/// [`Stat::flags`]: the segment goes with the last handle attached to it.
pub const SEGMENT_AUTO_REMOVE: u32 = 1 << 0;
/// [`Stat::flags`]: the segment was removed, and lives only until the last handle goes.
pub const SEGMENT_REMOVED: u32 = 1 << 1;

/// How many segments one [`IOC_LIST`] returns at most.
pub const LIST_MAX: usize = 16;

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

/// Bytes of a word that can be waited on; its offset is a multiple of that.
pub const WORD_SIZE: u64 = 4;

/// How many words one [`IOC_WAITV`] can wait on.
pub const WAITV_MAX: usize = 128;

/// Bits of a lock word: the token of its owner's handle, 0 if it is free.
pub const WORD_TOKEN: u32 = TOKEN_MAX;
/// Bit of a lock word: an owner died, and what the lock protects may be half changed. Set by the
/// kernel, cleared by whoever has put that right.
pub const WORD_OWNER_DIED: u32 = 0x4000_0000;
/// Bit of a lock word: somebody may wait on it, so whoever unlocks must wake.
pub const WORD_WAITERS: u32 = 0x8000_0000;

/// [`Robust::flags`]: only wake one who waits on the word, and leave the word alone.
pub const ROBUST_WAKE_ONLY: u32 = 1 << 0;

/// [`Eventfd::flags`]: signal each new generation, not what is woken on a word.
pub const EVENTFD_GENERATION: u32 = 1 << 0;

/// How many eventfds a handle can have attached.
pub const EVENTFDS_MAX: usize = 64;

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
    /// How many segments there may be.
    pub max_segments: u64,
    /// How many bytes a segment may have, whole pages.
    pub max_segment_bytes: u64,
    /// How many bytes all segments together may have, whole pages.
    pub max_total_bytes: u64,
    /// How many bytes the segments that a user created may have together, whole pages.
    pub max_bytes_per_uid: u64,
    /// How many segments there are that count against `max_segments`.
    pub segments: u64,
    /// How many bytes they have, whole pages.
    pub total_bytes: u64,
    /// How many bytes those have that the calling user created, whole pages.
    pub uid_bytes: u64,
    /// First byte that this handle can reach.
    pub window_start: u64,
    /// The end of what it can reach; 2^64 - 1 is the segment's end, wherever that is.
    pub window_end: u64,
    /// What it can do: [`ACCESS_READ`], [`ACCESS_WRITE`] or both.
    pub access: u32,
    /// 1 if it was restricted by [`IOC_RESTRICT`], else 0.
    pub restricted: u32,
    /// How many robust words a handle may have at a time; one more fails with `ENOSPC`.
    pub max_robust: u32,
    /// How a segment is mapped that is created without saying: one of the `MAP_*`.
    pub default_map: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// Names a segment, in calls that can be about another one than this handle's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The segment's name, for [`BY_NAME`]; else zero.
    pub name: [u8; NAME_SIZE],
    /// The segment's number, for [`BY_ID`]; a descriptor, for [`BY_DESCRIPTOR`]; else zero.
    pub id: u64,
    /// [`BY_HANDLE`], [`BY_ID`], [`BY_NAME`] or [`BY_DESCRIPTOR`].
    pub by: u32,
    /// Must be zero.
    pub reserved: u32,
}

/// What [`IOC_STAT`] takes and returns. The figures are read one after the other while others may
/// change them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Taken: which segment. Returned: its name, all zero if it has none, and its number; the
    /// default segment's is 0.
    pub target: Target,
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
    /// When it was created: nanoseconds of `CLOCK_REALTIME`.
    pub created_ns: u64,
    /// When it was mapped last, or a handle attached to it, 0 for never; so, too.
    pub attached_ns: u64,
    /// When its owner, group, mode or size was changed last, until then `created_ns`; so, too.
    pub changed_ns: u64,
    /// How many ranges are held now.
    pub holders: u32,
    /// How many callers wait for a range now.
    pub waiters: u32,
    /// In how many physically contiguous pieces the memory lies.
    pub pieces: u32,
    /// A set of `SEGMENT_*` bits, and one of the `MAP_*`.
    pub flags: u32,
    /// Owner, as seen from the caller's user namespace.
    pub uid: u32,
    /// Group; so, too.
    pub gid: u32,
    /// Who created it; so, too.
    pub creator_uid: u32,
    /// The group of who created it; so, too.
    pub creator_gid: u32,
    /// Which process created it, as seen from the caller's pid namespace; 0 if it is not there.
    pub creator_pid: u32,
    /// Which process last attached a handle or made a mapping; so, too.
    pub last_pid: u32,
    /// Permission bits, 0 to 0777.
    pub mode: u32,
    /// How many callers wait on words now.
    pub sleepers: u32,
    /// Zero.
    pub reserved: [u32; 12],
}

/// What [`IOC_CREATE`] takes and returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Create {
    /// The segment's name, or all zero for none.
    pub name: [u8; NAME_SIZE],
    /// Size in bytes. Returned: the segment's, which may be larger if it existed.
    pub size: u64,
    /// Returned: the segment's number.
    pub id: u64,
    /// Permission bits, 0 to 0777.
    pub mode: u32,
    /// A set of `CREATE_*` bits, and one of the `MAP_*` or none.
    pub flags: u32,
    /// Returned: a set of `STATUS_*` bits.
    pub status: u32,
    /// Must be zero.
    pub reserved: u32,
}

/// What [`IOC_OPEN`] takes and returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Which segment: [`BY_ID`], [`BY_NAME`] or [`BY_DESCRIPTOR`]. Returned: its name and number.
    pub target: Target,
    /// Returned: its size in bytes.
    pub size: u64,
    /// Must be zero.
    pub reserved: u64,
}

/// What [`IOC_SET`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Which segment.
    pub target: Target,
    /// What to change: a set of `SET_*` bits, at least one. The fields of the others are ignored.
    pub fields: u32,
    /// The new owner, as seen from the caller's user namespace.
    pub uid: u32,
    /// The new group; so, too.
    pub gid: u32,
    /// The new permission bits, 0 to 0777.
    pub mode: u32,
}

/// What [`IOC_RESIZE`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resize {
    /// Which segment.
    pub target: Target,
    /// The new size in bytes.
    pub size: u64,
    /// Must be zero.
    pub reserved: u64,
}

/// What [`IOC_REMOVE`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remove {
    /// Which segment.
    pub target: Target,
}

/// What [`IOC_LIST`] takes and returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// List segments whose number is at least this: 0 to begin with. Returned: where to go on.
    pub cursor: u64,
    /// Returned: how many of `segments` are filled in; 0 after the last one.
    pub count: u32,
    /// Must be zero.
    pub flags: u32,
    /// Returned: the segments, in the order of their numbers.
    pub segments: [Stat; LIST_MAX],
}

/// What [`IOC_RESTRICT`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrict {
    /// First byte that the handle may still reach.
    pub offset: u64,
    /// How many bytes from there on; 2^64 - 1 for all of them, however large the segment becomes.
    pub len: u64,
    /// What it may still do: [`ACCESS_READ`], [`ACCESS_WRITE`] or both.
    pub access: u32,
    /// Must be zero.
    pub flags: u32,
}

// Names are longer than the arrays that have a default.
impl Default for Target {
    fn default() -> Self {
        Self {
            name: [0; NAME_SIZE],
            id: 0,
            by: BY_HANDLE,
            reserved: 0,
        }
    }
}

impl Default for Create {
    fn default() -> Self {
        Self {
            name: [0; NAME_SIZE],
            size: 0,
            id: 0,
            mode: 0,
            flags: 0,
            status: 0,
            reserved: 0,
        }
    }
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

/// What [`IOC_WAIT`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// First byte of the word, a multiple of 4.
    pub offset: u64,
    /// Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, or [`DEADLINE_NEVER`].
    pub deadline_ns: u64,
    /// Do not wait if the word is not this, in the byte order of the machine.
    pub expected: u32,
    /// Must be zero.
    pub flags: u32,
}

/// What [`IOC_WAKE`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// First byte of the word, a multiple of 4.
    pub offset: u64,
    /// How many to wake at most, 0 to 2^31 - 1.
    pub count: u32,
    /// Must be zero.
    pub flags: u32,
}

/// A word to wait on, of [`Waitv`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitWord {
    /// First byte of the word, a multiple of 4.
    pub offset: u64,
    /// Do not wait if the word is not this, in the byte order of the machine.
    pub expected: u32,
    /// Must be zero.
    pub flags: u32,
}

/// What [`IOC_WAITV`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waitv {
    /// Until when to wait: nanoseconds of `CLOCK_MONOTONIC`, or [`DEADLINE_NEVER`].
    pub deadline_ns: u64,
    /// How many of `words` there are, 1 to [`WAITV_MAX`].
    pub count: u32,
    /// Must be zero.
    pub flags: u32,
    /// What to wait on.
    pub words: [WaitWord; WAITV_MAX],
}

/// What [`IOC_REQUEUE`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requeue {
    /// First byte of the word that is waited on, a multiple of 4.
    pub from: u64,
    /// First byte of another word, a multiple of 4.
    pub to: u64,
    /// Do nothing if the word at `from` is not this.
    pub expected: u32,
    /// How many to wake at most, 0 to 2^31 - 1.
    pub wake: u32,
    /// How many of the others to let wait on the other word, 0 to 2^31 - 1.
    pub requeue: u32,
    /// Must be zero.
    pub flags: u32,
}

/// What [`IOC_WAKE_WAIT`] takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeWait {
    /// What to wake.
    pub wake: Wake,
    /// What to wait for.
    pub wait: Wait,
}

/// What [`IOC_ROBUST_ADD`] and [`IOC_ROBUST_DEL`] take.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Robust {
    /// First byte of the word, a multiple of 4.
    pub offset: u64,
    /// 0 or [`ROBUST_WAKE_ONLY`].
    pub flags: u32,
    /// Must be zero.
    pub reserved: u32,
}

/// What [`IOC_EVENTFD_ADD`] and [`IOC_EVENTFD_DEL`] take.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eventfd {
    /// First byte of the word whose wake-ups to signal, a multiple of 4; 0 with
    /// [`EVENTFD_GENERATION`].
    pub offset: u64,
    /// What to signal.
    pub fd: i32,
    /// 0 or [`EVENTFD_GENERATION`].
    pub flags: u32,
}

// More words than the arrays that have a default.
impl Default for Waitv {
    fn default() -> Self {
        Self {
            deadline_ns: 0,
            count: 0,
            flags: 0,
            words: [WaitWord {
                offset: 0,
                expected: 0,
                flags: 0,
            }; WAITV_MAX],
        }
    }
}

const IOC_WRITE: u32 = 1;
const IOC_READ: u32 = 2;

/// `_IOC()` of `include/uapi/asm-generic/ioctl.h`, for the architectures that use that file
/// unchanged.
const fn opcode(direction: u32, nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "the size field of an ioctl has 14 bits");
    direction << 30 | (size as u32) << 16 | (IOC_TYPE as u32) << 8 | nr as u32
}
