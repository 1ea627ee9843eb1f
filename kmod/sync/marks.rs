// SPDX-License-Identifier: GPL-2.0

//! Which bytes of a segment somebody died writing.
//!
//! Pure: no locks, no sleeping. It is also compiled and model-checked on the host.

use super::ranges::Range;
use crate::missing::gfp::GFP_MAY_FAIL;
use kernel::prelude::*;

/// How many separate marks there can be; past that, the two nearest become one.
pub(crate) const MARKS_MAX: usize = 64;

/// A set of bytes, as disjoint ranges that do not touch one another either, in order.
pub(crate) struct Marks(KVec<Range>);

impl Marks {
    /// No byte is marked, nothing is allocated.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Allocates what [`Marks::add`] and [`Marks::remove`] will need, once and for all. Fails with
    /// `ENOMEM`.
    pub(crate) fn reserve(&mut self) -> Result {
        if self.0.capacity() == 0 {
            // One more than is ever kept: there is one too many until two were joined.
            self.0.reserve(MARKS_MAX + 1, GFP_MAY_FAIL)?;
        }
        Ok(())
    }

    /// Whether a byte of the range is marked.
    pub(crate) fn any(&self, range: Range) -> bool {
        self.0.iter().any(|mark| mark.overlaps(range))
    }

    /// Marks the bytes of a range. [`Marks::reserve`] must have succeeded before.
    pub(crate) fn add(&mut self, range: Range) {
        let mut joined = range;
        while let Some(mark) =
            self.take(|mark| mark.start <= joined.end && joined.start <= mark.end)
        {
            joined = joined.cover(mark);
        }
        self.insert(joined);
    }

    /// Unmarks the bytes of a range.
    #[inline]
    pub(crate) fn remove(&mut self, range: Range) {
        // Mostly nobody died.
        if !self.0.is_empty() {
            self.cut(range);
        }
    }

    #[inline(never)]
    fn cut(&mut self, range: Range) {
        let mut tail = None;
        for mark in self.0.as_mut_slice() {
            if mark.start < range.start && range.end < mark.end {
                // The range lies inside this mark, so it overlaps no other one.
                tail = Some(Range {
                    start: range.end,
                    end: mark.end,
                });
                mark.end = range.start;
            } else if mark.overlaps(range) {
                // A mark that is covered whole becomes empty.
                if range.start <= mark.start {
                    mark.start = range.end.min(mark.end);
                } else {
                    mark.end = range.start;
                }
            }
        }
        while self.take(|mark| mark.start == mark.end).is_some() {}
        if let Some(tail) = tail {
            self.insert(tail);
        }
    }

    /// Removes the first mark for which `which` is true.
    fn take(&mut self, which: impl Fn(&Range) -> bool) -> Option<Range> {
        let index = self.index(which)?;
        self.0.remove(index).ok()
    }

    fn index(&self, which: impl Fn(&Range) -> bool) -> Option<usize> {
        (0..self.0.len()).find(|&index| self.0.get(index).is_some_and(&which))
    }

    /// Inserts a range that touches no mark.
    fn insert(&mut self, range: Range) {
        let index = self
            .index(|mark| mark.start > range.start)
            .unwrap_or(self.0.len());
        if self.0.insert_within_capacity(index, range).is_err() {
            // Nothing was reserved, against the rule: not to lose the mark matters more than what
            // else it covers.
            if let Some(mark) = self.0.as_mut_slice().last_mut() {
                *mark = mark.cover(range);
            }
        }
        if self.0.len() > MARKS_MAX {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let gap = |pair: &[Range]| match pair {
            [left, right] => right.start.saturating_sub(left.end),
            _ => u64::MAX,
        };
        let nearest = self
            .0
            .windows(2)
            .zip(1_usize..)
            .min_by_key(|(pair, _)| gap(pair));
        if let Some((_, right)) = nearest {
            let gone = self.0.remove(right).ok();
            let left = self.0.get_mut(right.wrapping_sub(1));
            if let (Some(gone), Some(left)) = (gone, left) {
                *left = left.cover(gone);
            }
        }
    }
}
