// SPDX-License-Identifier: GPL-2.0

//! What of a segment a handle can reach, which can be narrowed and never widened.
//!
//! There is no lock: each number only ever narrows, so whoever looks while another narrows sees
//! something between what was and what will be.

use crate::uapi;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

const READ: u32 = uapi::ACCESS_READ;
const WRITE: u32 = uapi::ACCESS_WRITE;
/// The handle was restricted, if only to what it could do anyway.
const RESTRICTED: u32 = 1 << 31;

/// Bytes, and what may be done with them.
pub(crate) struct Reach {
    start: Atomic<u64>,
    /// `u64::MAX` is the segment's end, wherever that is.
    end: Atomic<u64>,
    access: Atomic<u32>,
}

impl Reach {
    /// Everything that a handle can do that was opened for that.
    pub(crate) fn new(read: bool, write: bool) -> Self {
        let bit = |given: bool, bit: u32| if given { bit } else { 0 };
        Self {
            start: Atomic::new(0),
            end: Atomic::new(u64::MAX),
            access: Atomic::new(bit(read, READ) | bit(write, WRITE)),
        }
    }

    /// What may be done: `uapi::ACCESS_READ`, `uapi::ACCESS_WRITE` or both.
    pub(crate) fn access(&self) -> u32 {
        self.access.load(Relaxed) & (READ | WRITE)
    }

    pub(crate) fn reads(&self) -> bool {
        self.access() & READ != 0
    }

    pub(crate) fn writes(&self) -> bool {
        self.access() & WRITE != 0
    }

    /// Fails with `EACCES` unless the bytes `start..end` are within, and those accesses, of
    /// `uapi::ACCESS_*`, are allowed.
    #[inline]
    pub(crate) fn check(&self, access: u32, start: u64, end: u64) -> Result {
        let now = self.access.load(Acquire);
        if now & access == access && (now & RESTRICTED == 0 || self.covers(start, end)) {
            Ok(())
        } else {
            Err(EACCES)
        }
    }

    /// Whether [`Reach::narrow`] was ever called with success.
    pub(crate) fn is_restricted(&self) -> bool {
        self.access.load(Relaxed) & RESTRICTED != 0
    }

    /// First byte.
    pub(crate) fn start(&self) -> u64 {
        self.start.load(Relaxed)
    }

    /// The end of a segment of that size, as seen from here.
    pub(crate) fn end_within(&self, size: u64) -> u64 {
        self.end.load(Relaxed).min(size)
    }

    /// The end, if it is not the segment's.
    pub(crate) fn end(&self) -> Option<u64> {
        Some(self.end.load(Relaxed)).filter(|&end| end != u64::MAX)
    }

    /// Whether the bytes `start..end` are within.
    pub(crate) fn covers(&self, start: u64, end: u64) -> bool {
        self.start() <= start && end <= self.end.load(Relaxed)
    }

    /// Whether these pages are.
    pub(crate) fn covers_pages(&self, first: usize, count: usize) -> bool {
        let byte = |page: usize| (page as u64).checked_mul(PAGE_SIZE as u64);
        match (byte(first), first.checked_add(count).and_then(byte)) {
            (Some(start), Some(end)) => self.covers(start, end),
            // Past the end of any segment, which is another error.
            _ => true,
        }
    }

    /// The bytes from `offset` on, `len` of them or all for `u64::MAX`, as start and end. Fails
    /// with `EINVAL` if there is none, or one too many, and if `access` is no set of accesses.
    pub(crate) fn parse(offset: u64, len: u64, access: u32) -> Result<(u64, u64)> {
        let end = if len == u64::MAX {
            Some(len)
        } else {
            offset.checked_add(len)
        };
        let end = end.filter(|&end| offset < end).ok_or(EINVAL)?;
        if access == 0 || access & !(READ | WRITE) != 0 {
            return Err(EINVAL);
        }
        Ok((offset, end))
    }

    /// Narrows it to the bytes `start..end`, of which there is one, and to the kinds of access in
    /// `access`. The caller sees to it that nobody else does at the same time.
    ///
    /// Fails with `EACCES` if that is more than there is.
    pub(crate) fn narrow(&self, start: u64, end: u64, access: u32) -> Result {
        if !self.covers(start, end) || access & !self.access() != 0 {
            return Err(EACCES);
        }
        self.start.store(start, Relaxed);
        self.end.store(end, Relaxed);
        // Who sees this sees the others, too.
        self.access.store(access | RESTRICTED, Release);
        Ok(())
    }
}
