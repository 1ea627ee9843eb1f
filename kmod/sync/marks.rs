// SPDX-License-Identifier: GPL-2.0

//! Which bytes of a segment somebody died writing.
//!
//! Pure: no locks, no sleeping. It is also compiled and model-checked on the host.

use super::ranges::Range;
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

    /// Allocates what [`Marks::add`] and [`Marks::remove`] will need, once and for all. Fails with `ENOMEM`.
    pub(crate) fn reserve(&mut self) -> Result {
        if self.0.capacity() == 0 {
            // One more than is ever kept: there is one too many until two were joined.
            self.0.reserve(MARKS_MAX + 1, GFP_KERNEL_ACCOUNT)?;
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
        self.0.retain(|mark| {
            let touches = mark.start <= joined.end && joined.start <= mark.end;
            if touches {
                joined = joined.cover(*mark);
            }
            !touches
        });
        self.insert(joined);
    }

    /// Unmarks the bytes of a range.
    pub(crate) fn remove(&mut self, range: Range) {
        let mut tail = None;
        for mark in self.0.as_mut_slice() {
            if mark.start < range.start && range.end < mark.end {
                // The range lies inside this mark, so it overlaps no other one.
                tail = Some(Range { start: range.end, end: mark.end });
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
        self.0.retain(|mark| mark.start < mark.end);
        if let Some(tail) = tail {
            self.insert(tail);
        }
    }

    /// Inserts a range that touches no mark.
    fn insert(&mut self, range: Range) {
        let index = self.0.iter().take_while(|mark| mark.start < range.start).count();
        if self.0.insert_within_capacity(index, range).is_err() {
            // Nothing was reserved, against the rule: not to lose the mark matters more than what else it covers.
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
        let nearest = self.0.as_slice().windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(index, _)| index);
        let Some(left) = nearest else { return };
        if let Ok(right) = self.0.remove(left + 1) {
            if let Some(mark) = self.0.as_mut_slice().get_mut(left) {
                *mark = mark.cover(right);
            }
        }
    }
}
