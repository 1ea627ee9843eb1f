// SPDX-License-Identifier: MIT OR Apache-2.0

//! Raw pages of this process: mappings of the device, and anonymous ones to be used as buffers.
//!
//! Memory is read and written by volatile accesses of bytes or by atomics, never through references to plain data:
//! other processes write it.

use std::sync::atomic::{AtomicU32, AtomicU64};

use super::{Errno, PAGE, Result};

/// An address for the kernel to use. It is never used as a pointer by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addr(pub(super) usize);

impl Addr {
    /// The null pointer.
    pub(crate) const NULL: Addr = Addr(0);
    /// An address in the kernel's half.
    pub(crate) const KERNEL: Addr = Addr(0xffff_8000_0000_0000);
    /// The last address there is: everything that begins there wraps.
    pub(crate) const LAST: Addr = Addr(usize::MAX);

    pub(crate) fn get(self) -> usize {
        self.0
    }

    pub(super) fn ptr<T>(self) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.0)
    }
}

/// Whole pages at an address of this process, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: usize,
    len: usize,
}

impl Region {
    /// `mmap` with everything given; `len` may be anything.
    pub(super) fn map(at: usize, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> Result<Region> {
        // SAFETY: without MAP_FIXED no memory of this process changes; with it, callers give an address that lies in
        // a region of their own.
        let start = unsafe { libc::mmap(Addr(at).ptr(), len, prot, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Region {
            start: start.expose_provenance(),
            len: len.next_multiple_of(PAGE),
        })
    }

    /// Zeroed pages of this process alone.
    pub(crate) fn anonymous(len: usize) -> Region {
        Region::anonymous_with(len, 0)
    }

    /// Zeroed pages below 4 GiB, for 32-bit system calls.
    pub(crate) fn low(len: usize) -> Region {
        Region::anonymous_with(len, libc::MAP_32BIT)
    }

    /// Zeroed pages that a forked child shares.
    pub(crate) fn shared(len: usize) -> Region {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        Region::map(0, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0).expect("anonymous memory")
    }

    fn anonymous_with(len: usize, flags: i32) -> Region {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        Region::map(0, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0).expect("anonymous memory")
    }

    /// Pages whose second half is inaccessible: what straddles the middle is accessible in part. The place is taken, so
    /// that no later mapping fills the hole.
    pub(crate) fn with_hole(len: usize) -> Region {
        let region = Region::anonymous(2 * len);
        region.protect(len, len, libc::PROT_NONE).expect("a hole");
        region
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address `offset` bytes in.
    pub(crate) fn at(&self, offset: usize) -> Addr {
        Addr(self.start + offset)
    }

    fn pointer(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset + len <= self.len,
            "{offset} + {len} leaves the region of {} bytes",
            self.len
        );
        self.at(offset).ptr()
    }

    pub(crate) fn get(&self, offset: usize) -> u8 {
        // SAFETY: the byte lies in the region, and every bit pattern is a byte. An inaccessible page ends the test.
        unsafe { self.pointer(offset, 1).read_volatile() }
    }

    pub(crate) fn set(&self, offset: usize, value: u8) {
        // SAFETY: as for `get`; no reference to this memory exists.
        unsafe { self.pointer(offset, 1).write_volatile(value) }
    }

    pub(crate) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        // SAFETY: the source lies in the region, the target is a vector of its own of the same length.
        unsafe {
            self.pointer(offset, len)
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), len);
        };
        std::hint::black_box(bytes)
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let target = self.pointer(offset, bytes.len());
        // SAFETY: the target lies in the region, which no Rust object lies in.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        std::hint::black_box(target);
    }

    pub(crate) fn fill(&self, value: u8) {
        // SAFETY: the whole region is raw memory of this process.
        unsafe { self.pointer(0, self.len).write_bytes(value, self.len) };
        std::hint::black_box(self.start);
    }

    /// Whether every byte has this value.
    pub(crate) fn is_all(&self, value: u8) -> bool {
        self.read(0, self.len).iter().all(|&byte| byte == value)
    }

    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        assert_eq!(offset % 4, 0);
        // SAFETY: aligned, inside the region, accessed by atomics only, and borrowed from the region.
        unsafe { AtomicU32::from_ptr(self.pointer(offset, 4).cast()) }
    }

    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        assert_eq!(offset % 8, 0);
        // SAFETY: as for `u32`.
        unsafe { AtomicU64::from_ptr(self.pointer(offset, 8).cast()) }
    }

    pub(crate) fn protect(&self, offset: usize, len: usize, prot: i32) -> Result<()> {
        // SAFETY: the pages belong to this region or to nobody; accesses after that fault, which ends the test.
        Errno::result(unsafe { libc::mprotect(self.at(offset).ptr(), len, prot) }).map(drop)
    }

    pub(crate) fn unmap(&self, offset: usize, len: usize) -> Result<()> {
        // SAFETY: as for `protect`.
        Errno::result(unsafe { libc::munmap(self.at(offset).ptr(), len) }).map(drop)
    }

    /// `mremap` of a part; the region of the result's size where it lies now.
    pub(crate) fn remap(
        &self,
        offset: usize,
        old_len: usize,
        new_len: usize,
        flags: i32,
        to: Addr,
    ) -> Result<Region> {
        let old = self.at(offset).ptr();
        // SAFETY: the pages belong to this region; with MREMAP_FIXED, `to` lies in a region of the caller's.
        let start = unsafe { libc::mremap(old, old_len, new_len, flags, to.ptr::<libc::c_void>()) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Region {
            start: start.expose_provenance(),
            len: new_len,
        })
    }

    pub(crate) fn advise(&self, advice: i32) -> Result<()> {
        // SAFETY: no advice makes memory of others change; contents of this region may be lost.
        Errno::result(unsafe { libc::madvise(self.at(0).ptr(), self.len, advice) }).map(drop)
    }

    /// `madvise` of a part.
    pub(crate) fn advise_part(&self, offset: usize, len: usize, advice: i32) -> Result<()> {
        // SAFETY: as for `advise`.
        Errno::result(unsafe { libc::madvise(self.at(offset).ptr(), len, advice) }).map(drop)
    }

    /// A field of /proc/self/smaps of the one area that begins where this does, in bytes.
    pub(crate) fn smaps(&self, field: &str) -> usize {
        let text = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let start = format!("{:x}-", self.start);
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&start));
        let value = lines
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("no {field} for {start}"));
        let kib = value.trim().strip_suffix(" kB").expect("a number of kB");
        kib.parse::<usize>().expect("a number of kB") * 1024
    }

    pub(crate) fn lock(&self) -> Result<()> {
        // SAFETY: locking does not change memory.
        Errno::result(unsafe { libc::mlock(self.at(0).ptr(), self.len) }).map(drop)
    }

    pub(crate) fn unlock(&self) -> Result<()> {
        // SAFETY: as for `lock`.
        Errno::result(unsafe { libc::munlock(self.at(0).ptr(), self.len) }).map(drop)
    }

    pub(crate) fn flush(&self, flags: i32) -> Result<()> {
        // SAFETY: msync does not change memory.
        Errno::result(unsafe { libc::msync(self.at(0).ptr(), self.len, flags) }).map(drop)
    }

    /// Which pages are in memory.
    pub(crate) fn residency(&self) -> Result<Vec<u8>> {
        let mut pages = vec![0; self.len / PAGE];
        // SAFETY: the vector has a byte for each page of the region.
        Errno::result(unsafe { libc::mincore(self.at(0).ptr(), self.len, pages.as_mut_ptr()) })?;
        Ok(pages)
    }

    /// `remap_file_pages` of the first `len` bytes onto another page of the same file.
    pub(crate) fn remap_pages(&self, len: usize, page: usize) -> Result<()> {
        // SAFETY: the pages belong to this region.
        Errno::result(unsafe { libc::remap_file_pages(self.at(0).ptr(), len, 0, page, 0) }).map(drop)
    }

    /// Leaves the pages mapped until the process ends.
    pub(crate) fn leak(self) {
        std::mem::forget(self);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Holes are no error, and there is nobody to tell of others.
        let _ = self.unmap(0, self.len);
    }
}
