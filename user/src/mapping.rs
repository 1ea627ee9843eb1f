// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window of a segment in this process's memory. It checks bounds, alignment and rights, and leaves the
//! bytes to `memory`.

use std::ops::{Bound, RangeBounds};
use std::sync::atomic::AtomicU8;
use std::{fmt, io};

use memmap2::{MmapOptions, MmapRaw};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::AccessError;
use crate::memory::{self, Atomic};

/// How many bytes are looked at or moved at a time.
const CHUNK: usize = 4096;

/// A window of a segment, mapped into this process.
///
/// Other processes, and the kernel, read and write the same bytes at any time. So there is no `&[u8]` of
/// them: bytes are copied in and out, and integers are used in place through [atomics](Self::atomic).
/// Copies use atomic accesses with relaxed ordering, so they are sound whatever others do, but a copy of
/// many bytes may show some from before another's write and some from after it. Hold a
/// [range](crate::Segment::begin_write) where that matters. A value of 2, 4 or 8 bytes (8: on 64-bit
/// machines) at an offset that is a multiple of its size is copied whole.
///
/// All offsets are in bytes from the start of the window. The memory stays mapped until the `Mapping` is
/// dropped, also when the [`Segment`](crate::Segment) it was made from has gone before. It keeps the handle
/// alive: the ranges that the handle holds are dropped by the kernel with the last of its descriptors and
/// mappings.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use shmdev::Mapping;
///
/// // Private memory, for tests; `Segment::map` gives one that is shared.
/// let mapping = Mapping::anonymous(4096)?;
/// mapping.write_at(b"hello", 100)?;
/// let mut copy = [0; 5];
/// mapping.read_at(&mut copy, 100)?;
/// assert_eq!(&copy, b"hello");
///
/// mapping.atomic::<AtomicU32>(0)?.fetch_add(1, Ordering::Relaxed);
/// assert_eq!(mapping.get::<u32>(0)?, 1);
/// assert_eq!(mapping.find(b"lo", ..), Some(103));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Mapping {
    raw: MmapRaw,
    offset: u64,
    writable: bool,
}

impl Mapping {
    /// # Invariant of the caller
    ///
    /// `raw` is mapped for writing if `writable` says so.
    pub(crate) fn new(raw: MmapRaw, offset: u64, writable: bool) -> Self {
        Self {
            raw,
            offset,
            writable,
        }
    }

    /// `len` zeroed bytes of private memory that no device is needed for: to test code that takes a mapping.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and an error of the kind [`InvalidInput`](io::ErrorKind::InvalidInput) when `len` is 0.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a mapping has at least one byte",
            ));
        }
        Ok(Self::new(MmapOptions::new().len(len).map_anon()?.into(), 0, true))
    }

    /// Length in bytes, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Where the window begins in the segment, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether it can be written through.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Address of the first byte, for calls that take one. Others write what it points to.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.raw.as_ptr()
    }

    /// As [`as_ptr`](Self::as_ptr), for calls that write.
    ///
    /// # Errors
    ///
    /// [`AccessError::ReadOnly`].
    pub fn as_mut_ptr(&self) -> Result<*mut u8, AccessError> {
        self.check_writable()?;
        Ok(self.raw.as_mut_ptr())
    }

    /// Copies the bytes at `offset` to `buf`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], and `buf` is as it was.
    pub fn read_at(&self, buf: &mut [u8], offset: usize) -> Result<(), AccessError> {
        memory::copy_out(self.cells(offset, buf.len())?, buf);
        Ok(())
    }

    /// Copies `buf` to the bytes at `offset`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] or [`AccessError::ReadOnly`], and the memory is as it was.
    pub fn write_at(&self, buf: &[u8], offset: usize) -> Result<(), AccessError> {
        memory::copy_in(buf, self.cells_mut(offset, buf.len())?);
        Ok(())
    }

    /// Copies `len` bytes at `offset` to a new vector.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn to_vec(&self, offset: usize, len: usize) -> Result<Vec<u8>, AccessError> {
        let cells = self.cells(offset, len)?;
        let mut bytes = vec![0; len];
        memory::copy_out(cells, &mut bytes);
        Ok(bytes)
    }

    /// Sets `len` bytes at `offset` to `byte`.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    pub fn fill(&self, byte: u8, offset: usize, len: usize) -> Result<(), AccessError> {
        memory::fill(self.cells_mut(offset, len)?, byte);
        Ok(())
    }

    /// Copies `len` bytes at `from` to `to`; they may overlap (as `memmove`).
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    pub fn copy_within(&self, from: usize, to: usize, len: usize) -> Result<(), AccessError> {
        let source = self.cells(from, len)?;
        let target = self.cells_mut(to, len)?;
        let mut buf = [0; CHUNK];
        let mut copy = |start: usize, end: usize| {
            let buf = &mut buf[..end - start];
            memory::copy_out(&source[start..end], buf);
            memory::copy_in(buf, &target[start..end]);
        };
        // From the side on which nothing is overwritten before it is copied.
        if to <= from {
            for start in (0..len).step_by(CHUNK) {
                copy(start, len.min(start + CHUNK));
            }
        } else {
            for end in (1..=len).rev().step_by(CHUNK) {
                copy(end.saturating_sub(CHUNK), end);
            }
        }
        Ok(())
    }

    /// The value at `offset`, whatever its alignment.
    ///
    /// Any type will do that is made of its bytes alone: integers, arrays, and structures that derive
    /// [`zerocopy`](crate::zerocopy)'s `FromBytes` and `IntoBytes`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn get<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, AccessError> {
        let cells = self.cells(offset, size_of::<T>())?;
        let mut value = T::new_zeroed();
        memory::copy_out(cells, value.as_mut_bytes());
        Ok(value)
    }

    /// Puts `value` at `offset`, whatever its alignment.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    pub fn set<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<(), AccessError> {
        self.write_at(value.as_bytes(), offset)
    }

    /// The atomic integer at `offset`.
    ///
    /// Relaxed orderings order nothing else; use acquire and release to publish other bytes with it.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], [`AccessError::Unaligned`], and [`AccessError::ReadOnly`] also for an
    /// atomic that would only be loaded: use [`get`](Self::get), which is an atomic load with relaxed
    /// ordering of an aligned integer.
    pub fn atomic<T: Atomic>(&self, offset: usize) -> Result<&T, AccessError> {
        self.atomics(offset, 1).map(|atomics| &atomics[0])
    }

    /// `count` atomic integers, one after the other, from `offset` on.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # let mapping = shmdev::Mapping::anonymous(8 << 20)?;
    /// let counters = mapping.atomics::<AtomicU64>(0, 1_000_000)?;
    /// counters[999_999].store(1, Ordering::Relaxed);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`atomic`](Self::atomic).
    pub fn atomics<T: Atomic>(&self, offset: usize, count: usize) -> Result<&[T], AccessError> {
        // A length that does not fit is out of bounds as well.
        let cells = self.cells_mut(offset, count.saturating_mul(size_of::<T>()))?;
        memory::cast(cells).ok_or(AccessError::Unaligned {
            offset,
            align: align_of::<T>(),
        })
    }

    /// Offset of the first occurrence of `needle` that lies within `range`.
    ///
    /// An empty needle is found where the range starts. A range that ends past the mapping ends with it.
    /// While others write, bytes that were never there together may be found together: hold a range where
    /// that matters.
    #[must_use]
    pub fn find(&self, needle: &[u8], range: impl RangeBounds<usize>) -> Option<usize> {
        let (start, end) = self.clamp(range)?;
        let finder = memchr::memmem::Finder::new(needle);
        let mut buf = vec![0; search_window(needle).min(end - start)];
        let mut at = start;
        loop {
            let bytes = self.peek(at, end, &mut buf);
            if let Some(found) = finder.find(bytes) {
                return Some(at + found);
            }
            if at + bytes.len() >= end {
                return None;
            }
            // What may be the start of an occurrence is looked at again.
            at += bytes.len() - (needle.len() - 1);
        }
    }

    /// Offset of the last occurrence of `needle` that lies within `range`; an empty needle is found where
    /// the range ends. Else as [`find`](Self::find).
    #[must_use]
    pub fn rfind(&self, needle: &[u8], range: impl RangeBounds<usize>) -> Option<usize> {
        let (start, end) = self.clamp(range)?;
        let finder = memchr::memmem::FinderRev::new(needle);
        let mut buf = vec![0; search_window(needle).min(end - start)];
        let mut to = end;
        loop {
            let from = start.max(to.saturating_sub(buf.len()));
            let bytes = self.peek(from, to, &mut buf);
            if let Some(found) = finder.rfind(bytes) {
                return Some(from + found);
            }
            if from == start {
                return None;
            }
            to = from + (needle.len() - 1);
        }
    }

    /// The bytes of the window as a slice.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody writes any of these bytes: no other thread, no other process, and not
    /// the kernel. A range held with [`begin_read`](crate::Segment::begin_read) is that promise only if
    /// everybody who writes holds ranges too; the kernel does not enforce it.
    #[expect(unsafe_code, reason = "the caller promises what cannot be checked")]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the caller promises what `as_slice` asks for.
        unsafe { memory::as_slice(memory::cells(&self.raw)) }
    }

    /// The bytes of the window as a slice that can be written.
    ///
    /// # Errors
    ///
    /// [`AccessError::ReadOnly`].
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else reads or writes any of these bytes: not through this mapping, nor
    /// another one in this process, in no other process, and not the kernel. See
    /// [`as_slice`](Self::as_slice).
    #[expect(unsafe_code, reason = "the caller promises what cannot be checked")]
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller promises that the slice is the only way to the bytes"
    )]
    pub unsafe fn as_mut_slice(&self) -> Result<&mut [u8], AccessError> {
        self.check_writable()?;
        // SAFETY: it is writable, and the caller promises the rest of what `as_mut_slice` asks for.
        Ok(unsafe { memory::as_mut_slice(memory::cells(&self.raw)) })
    }

    fn check_writable(&self) -> Result<(), AccessError> {
        if self.writable {
            Ok(())
        } else {
            Err(AccessError::ReadOnly)
        }
    }

    fn cells(&self, offset: usize, len: usize) -> Result<&[AtomicU8], AccessError> {
        memory::part(memory::cells(&self.raw), offset, len)
    }

    fn cells_mut(&self, offset: usize, len: usize) -> Result<&[AtomicU8], AccessError> {
        self.check_writable()?;
        self.cells(offset, len)
    }

    /// Start and end of `range` within the mapping; `None` when it ends before it starts or starts past the
    /// end.
    fn clamp(&self, range: impl RangeBounds<usize>) -> Option<(usize, usize)> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        let end = end.min(self.len());
        (start <= end).then_some((start, end))
    }

    /// As much of `from..to` as `buf` takes.
    fn peek<'buf>(&self, from: usize, to: usize, buf: &'buf mut [u8]) -> &'buf [u8] {
        let len = buf.len().min(to - from);
        let buf = &mut buf[..len];
        memory::copy_out(&memory::cells(&self.raw)[from..from + len], buf);
        buf
    }
}

/// How much to look at at a time, so that the overlap of two windows is small beside them.
fn search_window(needle: &[u8]) -> usize {
    CHUNK.max(needle.len().saturating_mul(2))
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("ptr", &self.as_ptr())
            .field("len", &self.len())
            .field("offset", &self.offset)
            .field("writable", &self.writable)
            .finish()
    }
}
