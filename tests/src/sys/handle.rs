// SPDX-License-Identifier: MIT OR Apache-2.0

//! A handle of the device, and every call that the contract describes for it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Addr, Errno, Info, Region, Result, SYNC_BEGIN, SYNC_END, Stat, SyncRange, count};

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// A descriptor of `/dev/shmdev`.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

impl Handle {
    pub(crate) fn open(flags: i32) -> Result<Handle> {
        // SAFETY: the path is a C string.
        let fd = Errno::result(unsafe { libc::open(c"/dev/shmdev".as_ptr(), flags | libc::O_CLOEXEC) })?;
        Ok(Handle(owned(fd)))
    }

    /// Open for reading and writing.
    pub(crate) fn rw() -> Handle {
        Handle::open(libc::O_RDWR).expect("open O_RDWR")
    }

    /// Open for reading.
    pub(crate) fn ro() -> Handle {
        Handle::open(libc::O_RDONLY).expect("open O_RDONLY")
    }

    /// Open for writing.
    pub(crate) fn wo() -> Handle {
        Handle::open(libc::O_WRONLY).expect("open O_WRONLY")
    }

    /// Another descriptor of the same handle.
    pub(crate) fn dup(&self) -> Handle {
        Handle(self.0.try_clone().expect("dup"))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Keeps the descriptor open over `execve`.
    pub(crate) fn keep_over_exec(&self) {
        // SAFETY: the descriptor is open.
        let result = unsafe { libc::fcntl(self.fd(), libc::F_SETFD, 0) };
        assert_eq!(result, 0, "F_SETFD");
    }

    // ---- ioctls ----

    /// Any ioctl with any argument.
    pub(crate) fn ioctl(&self, command: u32, argument: Addr) -> Result<()> {
        self.ioctl_number(command, argument).map(drop)
    }

    /// Any ioctl with any argument; the number that it returned.
    pub(super) fn ioctl_number(&self, command: u32, argument: Addr) -> Result<u32> {
        // SAFETY: the kernel checks the address; it belongs to a region of raw pages or to nothing.
        outcome(unsafe { libc::ioctl(self.fd(), command.into(), argument.get()) })
    }

    pub(crate) fn info(&self) -> Result<Info> {
        let mut info = Info {
            reserved: Info::default().reserved.map(|_| u32::MAX),
            ..Info::default()
        };
        self.call(&mut info).map(|()| info)
    }

    /// STAT of the segment that the handle is attached to.
    pub(crate) fn stat(&self) -> Result<Stat> {
        let mut stat = Stat::default();
        self.call(&mut stat).map(|()| stat)
    }

    pub(crate) fn nattch(&self) -> u64 {
        self.stat().expect("STAT").nattch
    }

    pub(crate) fn generation(&self) -> u64 {
        self.stat().expect("STAT").generation
    }

    /// SYNC with a whole structure, which is returned as the kernel left it.
    pub(crate) fn sync(&self, mut range: SyncRange) -> Result<SyncRange> {
        self.call(&mut range).map(|()| range)
    }

    pub(crate) fn begin(&self, access: u32, offset: u64, len: u64, deadline_ns: u64) -> Result<SyncRange> {
        self.sync(SyncRange {
            offset,
            len,
            deadline_ns,
            op: SYNC_BEGIN,
            access,
            ..SyncRange::default()
        })
    }

    pub(crate) fn end(&self, access: u32, offset: u64, len: u64) -> Result<SyncRange> {
        self.sync(SyncRange {
            offset,
            len,
            op: SYNC_END,
            access,
            ..SyncRange::default()
        })
    }

    // ---- mmap ----

    /// `mmap` with everything given.
    pub(crate) fn mmap(&self, len: usize, prot: i32, flags: i32, offset: u64) -> Result<Region> {
        Region::map(0, len, prot, flags, self.fd(), offset as i64)
    }

    /// `mmap` over pages of a region of one's own, which must not be used afterwards except to unmap it.
    pub(crate) fn mmap_over(&self, at: &Region, offset: usize, len: usize, prot: i32) -> Result<()> {
        self.mmap_at(at, offset, len, prot, offset)
    }

    /// As [`Handle::mmap_over`], of the segment's pages from another offset on.
    pub(crate) fn mmap_at(
        &self,
        at: &Region,
        place: usize,
        len: usize,
        prot: i32,
        offset: usize,
    ) -> Result<()> {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let place = at.at(place).get();
        Region::map(place, len, prot, flags, self.fd(), offset as i64).map(Region::leak)
    }

    /// A shared, writable window.
    pub(crate) fn window(&self, offset: usize, len: usize) -> Region {
        self.mmap(len, READ_WRITE, libc::MAP_SHARED, offset as u64)
            .expect("mmap of a window")
    }

    /// A shared, writable mapping of the whole default segment.
    pub(crate) fn whole(&self) -> Region {
        self.window(0, super::SIZE)
    }

    // ---- read, write and their kin ----

    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        // SAFETY: the buffer is writable for its length.
        count(unsafe { libc::read(self.fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize> {
        // SAFETY: the buffer is readable for its length.
        count(unsafe { libc::write(self.fd(), bytes.as_ptr().cast(), bytes.len()) })
    }

    pub(crate) fn pread(&self, buffer: &mut [u8], offset: i64) -> Result<usize> {
        // SAFETY: the buffer is writable for its length.
        count(unsafe { libc::pread(self.fd(), buffer.as_mut_ptr().cast(), buffer.len(), offset) })
    }

    pub(crate) fn pwrite(&self, bytes: &[u8], offset: i64) -> Result<usize> {
        // SAFETY: the buffer is readable for its length.
        count(unsafe { libc::pwrite(self.fd(), bytes.as_ptr().cast(), bytes.len(), offset) })
    }

    /// `pread` into pages that may not be there.
    pub(crate) fn pread_at(&self, buffer: Addr, len: usize, offset: i64) -> Result<usize> {
        // SAFETY: the kernel checks the address; it belongs to a region of raw pages or to nothing.
        count(unsafe { libc::pread(self.fd(), buffer.ptr(), len, offset) })
    }

    /// `pwrite` from pages that may not be there.
    pub(crate) fn pwrite_at(&self, buffer: Addr, len: usize, offset: i64) -> Result<usize> {
        // SAFETY: as for `pread_at`.
        count(unsafe { libc::pwrite(self.fd(), buffer.ptr(), len, offset) })
    }

    /// `preadv` (`readv` at the file's position without an offset).
    pub(crate) fn readv(&self, buffers: &mut [&mut [u8]], offset: Option<i64>) -> Result<usize> {
        let vectors: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let number = i32::try_from(vectors.len()).expect("few buffers");
        match offset {
            // SAFETY: each vector describes a writable buffer that outlives the call.
            Some(offset) => count(unsafe { libc::preadv(self.fd(), vectors.as_ptr(), number, offset) }),
            // SAFETY: as above.
            None => count(unsafe { libc::readv(self.fd(), vectors.as_ptr(), number) }),
        }
    }

    /// `pwritev` (`writev` at the file's position without an offset).
    pub(crate) fn writev(&self, buffers: &[&[u8]], offset: Option<i64>) -> Result<usize> {
        let vectors: Vec<libc::iovec> = buffers
            .iter()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_ptr().cast_mut().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let number = i32::try_from(vectors.len()).expect("few buffers");
        match offset {
            // SAFETY: each vector describes a readable buffer that outlives the call.
            Some(offset) => count(unsafe { libc::pwritev(self.fd(), vectors.as_ptr(), number, offset) }),
            // SAFETY: as above.
            None => count(unsafe { libc::writev(self.fd(), vectors.as_ptr(), number) }),
        }
    }

    pub(crate) fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        // SAFETY: lseek touches no memory.
        Errno::result(unsafe { libc::lseek(self.fd(), offset, whence) }).map(i64::unsigned_abs)
    }

    pub(crate) fn fsync(&self) -> Result<()> {
        // SAFETY: fsync touches no memory.
        Errno::result(unsafe { libc::fsync(self.fd()) }).map(drop)
    }

    // ---- /proc ----

    /// The `shmdev-` lines of this descriptor's fdinfo, without the prefix. The thread's own: it may have a table of
    /// its own.
    pub(crate) fn fdinfo(&self) -> BTreeMap<String, String> {
        let text =
            std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", self.fd())).expect("fdinfo");
        text.lines()
            .filter_map(|line| line.strip_prefix("shmdev-")?.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Handle {
    fn from(fd: OwnedFd) -> Handle {
        Handle(fd)
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> OwnedFd {
        handle.0
    }
}

/// What an ioctl returned. The numbers by which the kernel tells itself to call again must never come out: programs
/// do not know them.
#[track_caller]
fn outcome(result: i32) -> Result<u32> {
    let outcome = Errno::result(result).map(i32::unsigned_abs);
    let errno = Errno::last_raw();
    assert!(
        outcome.is_ok() || !(512..=530).contains(&errno),
        "errno {errno}, which is the kernel's own"
    );
    outcome
}

/// Takes a descriptor that a call has just returned.
pub(super) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made the descriptor for this process, nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
