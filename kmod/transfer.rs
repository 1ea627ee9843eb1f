// SPDX-License-Identifier: GPL-2.0

//! Copying bytes of a segment to and from user memory, as `read` and `write` do.

use crate::{
    reach::Reach,
    segment::Segment,
    sync::generation::Seen, //
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*, //
};

impl Segment {
    /// Copies from byte `position` on, as far as segment and `reach` go. Fails with `EACCES` before
    /// the reach, and with `EFAULT` if nothing can be copied.
    pub(crate) fn read(
        &self,
        position: u64,
        reach: &Reach,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        let pages = self.in_use();
        let len = len_from(position, reach, pages.size, to.len())?;
        let copied = pages.copy_to_iter(position as usize, len, to);
        if copied == 0 && len > 0 {
            return Err(EFAULT);
        }
        Ok(copied)
    }

    /// Copies to byte `position`, or to the end if that is `None`, as far as segment and `reach`
    /// go, for a handle of which `by` is what it has seen. Returns how many bytes. Fails with `EACCES`
    /// before the reach, with `ENOSPC` at the end, and with `EFAULT` if nothing can be copied.
    pub(crate) fn write(
        &self,
        position: Option<u64>,
        reach: &Reach,
        by: &Seen,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let pages = self.in_use();
        let position = position.unwrap_or_else(|| reach.end_within(pages.size));
        let len = len_from(position, reach, pages.size, from.len())?;
        if len == 0 {
            return Err(ENOSPC);
        }
        let copied = pages.copy_from_iter(position as usize, len, from);
        if copied == 0 {
            return Err(EFAULT);
        }
        self.complete_write(by);
        Ok(copied)
    }
}

/// How many of `len` bytes from `position` on lie within a segment of that size and within reach.
/// Fails with `EACCES` before the reach.
fn len_from(position: u64, reach: &Reach, size: u64, len: usize) -> Result<usize> {
    if position < reach.start() {
        return Err(EACCES);
    }
    // CAST: At most `len`.
    Ok(reach
        .end_within(size)
        .saturating_sub(position)
        .min(len as u64) as usize)
}
