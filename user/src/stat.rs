// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of a segment, in Rust's types, and the iterator over all of them.

use std::iter::FusedIterator;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use crate::device::Device;
use crate::error::ListError;
use crate::map::Map;
use crate::name::Name;
use crate::sys;
use crate::uapi::{self, LIST_MAX, SEGMENT_AUTO_REMOVE, SEGMENT_REMOVED};

/// The state of a segment, at some moment.
///
/// The figures are read one after the other while others may change them. Ids of users and groups are as the
/// caller's user namespace sees them, 65534 for those that it does not know; process ids are as its pid
/// namespace does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// Its number; 0 is the default segment.
    pub id: u64,
    /// Its name; `None` for an anonymous segment and the default one.
    pub name: Option<Name>,
    /// Size in bytes, as it was asked for: the end for reads and writes.
    pub size: u64,
    /// Size in bytes, rounded up to whole pages: what can be mapped, and what counts against limits.
    pub mapped_size: u64,
    /// How many mappings there are, in all processes.
    pub nattch: u64,
    /// How many handles are attached.
    pub handles: u64,
    /// How many writes were completed.
    pub generation: u64,
    /// How many ranges are held.
    pub holders: u32,
    /// How many callers wait for a range.
    pub waiters: u32,
    /// How many callers wait on words.
    pub sleepers: u32,
    /// In how many physically contiguous pieces the memory lies.
    pub pieces: u32,
    /// Permission bits, 0 to 0o777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Who created it.
    pub creator_uid: u32,
    /// The group of who created it.
    pub creator_gid: u32,
    /// The process that created it; `None` if this pid namespace does not know it.
    pub creator_pid: Option<u32>,
    /// The process that last attached a handle or made a mapping.
    pub last_pid: Option<u32>,
    /// When it was created.
    pub created: SystemTime,
    /// When a handle was attached to it, or it was mapped, last; `None` for never.
    pub attached: Option<SystemTime>,
    /// When its owner, group, mode or size was changed last; until then, when it was created.
    pub changed: SystemTime,
    /// How it is mapped.
    pub map: Map,
    /// It goes with the last handle attached to it.
    pub auto_remove: bool,
    /// It was removed, and lives only until the last handle goes.
    pub removed: bool,
}

impl From<&uapi::Stat> for Stat {
    fn from(stat: &uapi::Stat) -> Self {
        let time = |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
        let some = |ns| (ns != 0).then(|| time(ns));
        let process = |pid| (pid != 0).then_some(pid);
        Self {
            id: stat.target.id,
            name: Name::from_abi(&stat.target.name),
            size: stat.size,
            mapped_size: stat.mapped_size,
            nattch: stat.nattch,
            handles: stat.handles,
            generation: stat.generation,
            holders: stat.holders,
            waiters: stat.waiters,
            sleepers: stat.sleepers,
            pieces: stat.pieces,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            creator_uid: stat.creator_uid,
            creator_gid: stat.creator_gid,
            creator_pid: process(stat.creator_pid),
            last_pid: process(stat.last_pid),
            created: time(stat.created_ns),
            attached: some(stat.attached_ns),
            changed: time(stat.changed_ns),
            map: Map::from_abi(stat.flags),
            auto_remove: stat.flags & SEGMENT_AUTO_REMOVE != 0,
            removed: stat.flags & SEGMENT_REMOVED != 0,
        }
    }
}

impl Stat {
    /// Whether it is the default segment, which is never removed or changed.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.id == 0
    }

    /// Whether anybody uses it: maps it or has a handle attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.nattch > 0 || self.handles > 0
    }
}

/// The segments of a device handle's IPC namespace, in the order of their ids: see [`Device::list`] and
/// [`Segment::list`](crate::Segment::list).
///
/// It asks the kernel for some at a time, as they are then: segments that exist from the first
/// [`next`](Iterator::next) to the last are seen exactly once. After an error it ends.
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct List<'device> {
    device: Through<'device>,
    batch: Box<uapi::List>,
    /// Which of the batch is next.
    next: usize,
    ended: bool,
}

/// The handle that it asks through.
#[derive(Debug)]
enum Through<'device> {
    Borrowed(&'device Device),
    Owned(Device),
}

impl AsFd for Through<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(device) => device.as_fd(),
            Self::Owned(device) => device.as_fd(),
        }
    }
}

impl<'device> List<'device> {
    pub(crate) fn new(device: &'device Device) -> Self {
        Self::through(Through::Borrowed(device))
    }

    pub(crate) fn owning(device: Device) -> Self {
        Self::through(Through::Owned(device))
    }

    fn through(device: Through<'device>) -> Self {
        Self {
            device,
            batch: Box::new(uapi::List {
                cursor: 0,
                count: 0,
                flags: 0,
                segments: [uapi::Stat::default(); LIST_MAX],
            }),
            next: 0,
            ended: false,
        }
    }

    fn filled(&self) -> usize {
        LIST_MAX.min(self.batch.count as usize)
    }
}

impl Iterator for List<'_> {
    type Item = Result<Stat, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.filled() {
            if self.ended {
                return None;
            }
            self.next = 0;
            if let Err(error) = sys::list(self.device.as_fd(), &mut self.batch) {
                self.ended = true;
                self.batch.count = 0;
                return Some(Err(ListError::new("list segments", error)));
            }
            self.ended = self.batch.count == 0;
        }
        let stat = self.batch.segments[..self.filled()].get(self.next)?;
        self.next += 1;
        Some(Ok(Stat::from(stat)))
    }
}

impl FusedIterator for List<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_what_the_abi_says() {
        let mut raw = uapi::Stat {
            size: 4097,
            mapped_size: 8192,
            created_ns: 1_500_000_000,
            changed_ns: 2_500_000_000,
            creator_pid: 12,
            flags: SEGMENT_AUTO_REMOVE,
            mode: 0o640,
            ..uapi::Stat::default()
        };
        raw.target.id = 3;
        raw.target.name[..6].copy_from_slice(b"frames");
        let stat = Stat::from(&raw);
        assert_eq!((stat.id, stat.size, stat.mode), (3, 4097, 0o640));
        assert_eq!(stat.name, Some("frames".parse().unwrap()));
        assert_eq!((stat.creator_pid, stat.last_pid), (Some(12), None));
        assert_eq!(stat.created, SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(stat.changed, SystemTime::UNIX_EPOCH + Duration::from_millis(2500));
        assert_eq!(stat.attached, None);
        assert_eq!((stat.auto_remove, stat.removed), (true, false));
        assert!(!stat.is_default() && !stat.is_attached());
    }
}
