// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shared memory of the peers: mappings of descriptors, and SysV segments.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU32};

use anyhow::{Context, Result};
use nix::errno::Errno;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Memory that is mapped for reading and writing.
#[derive(Debug)]
pub struct Region {
    start: *mut u8,
    len: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Mapped,
    Attached,
}

// SAFETY: it is memory that atomics alone are made of, and any thread can unmap it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// `mmap` of a file's first bytes, shared; `flags` such as `MAP_POPULATE` come on top.
    pub fn shared(file: impl AsFd, len: usize, flags: i32) -> Result<Self> {
        Self::map(len, libc::MAP_SHARED | flags, file.as_fd().as_raw_fd())
    }

    /// Zeroed memory that is shared with children.
    pub fn inherited(len: usize) -> Result<Self> {
        Self::map(len, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// Zeroed memory of this process.
    pub fn private(len: usize) -> Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn map(len: usize, flags: i32, fd: i32) -> Result<Self> {
        // SAFETY: it maps where nothing is.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, READ_WRITE, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last()).with_context(|| format!("mmap of {len} bytes"));
        }
        Ok(Self {
            start: start.cast(),
            len,
            kind: Kind::Mapped,
        })
    }

    /// `shmat` of a segment of SysV.
    pub fn attached(segment: &SysvSegment) -> Result<Self> {
        // SAFETY: it maps where nothing is.
        let start = unsafe { libc::shmat(segment.id, ptr::null(), 0) };
        if start.addr() == usize::MAX {
            return Err(Errno::last()).context("shmat");
        }
        Ok(Self {
            start: start.cast(),
            len: segment.len,
            kind: Kind::Attached,
        })
    }

    /// All bytes.
    pub fn cells(&self) -> &[AtomicU8] {
        // SAFETY: they are mapped for as long as `self` is there, and others that write them write atomics.
        unsafe { slice::from_raw_parts(self.start.cast(), self.len) }
    }

    /// The word at `index`, counted in words.
    pub fn word(&self, index: usize) -> &AtomicU32 {
        assert!(
            index < self.len / size_of::<AtomicU32>(),
            "the word is past the end"
        );
        // SAFETY: it lies in the mapping, whose start is aligned to a page.
        let word = unsafe { self.start.cast::<AtomicU32>().add(index) };
        // SAFETY: as for `cells`.
        unsafe { &*word }
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        self.start
    }

    /// `memcpy` of the first bytes to `to`.
    pub fn copy_to(&self, to: &Region, len: usize) {
        assert!(len <= self.len.min(to.len), "both have as many bytes");
        // SAFETY: both have so many bytes, and two mappings do not overlap.
        unsafe { ptr::copy_nonoverlapping(self.start, to.start, len) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Neither fails for what was mapped and attached above.
        match self.kind {
            // SAFETY: nobody has a reference to it any more.
            Kind::Mapped => _ = unsafe { libc::munmap(self.start.cast(), self.len) },
            // SAFETY: as above.
            Kind::Attached => _ = unsafe { libc::shmdt(self.start.cast()) },
        }
    }
}

/// A segment of SysV shared memory; removed when dropped.
#[derive(Debug)]
pub struct SysvSegment {
    id: i32,
    len: usize,
}

impl SysvSegment {
    /// `shmget`; a key of 0 is `IPC_PRIVATE`.
    pub fn create(key: i32, len: usize) -> Result<Self> {
        let id = shmget(key, len, libc::IPC_CREAT | libc::IPC_EXCL | 0o600)?;
        Ok(Self { id, len })
    }
}

impl Drop for SysvSegment {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no argument.
        let _ = unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
    }
}

/// `shmget` of a segment that is there: its number.
pub fn sysv_find(key: i32) -> Result<i32> {
    shmget(key, 0, 0)
}

fn shmget(key: i32, len: usize, flags: i32) -> Result<i32> {
    // SAFETY: it takes numbers.
    let id = unsafe { libc::shmget(key, len, flags) };
    Errno::result(id).context("shmget")
}

/// `SHM_INFO` and `SHM_STAT` of all segments, as `ipcs` does it: how many there are.
pub fn sysv_list() -> Result<usize> {
    const SHM_STAT: i32 = 13;
    const SHM_INFO: i32 = 14;
    // `struct shm_info`: six longs and padding, less than a `shmid_ds`.
    let mut entry = std::mem::MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: there is room for what the call writes.
    let last = unsafe { libc::shmctl(0, SHM_INFO, entry.as_mut_ptr()) };
    let last = Errno::result(last).context("SHM_INFO")?;
    let mut found = 0;
    for index in 0..=last {
        // SAFETY: as above. Entries between the segments are refused.
        let id = unsafe { libc::shmctl(index, SHM_STAT, entry.as_mut_ptr()) };
        found += usize::from(id >= 0);
    }
    Ok(found)
}
