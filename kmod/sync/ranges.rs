// SPDX-License-Identifier: GPL-2.0

//! Range locks: who holds which bytes, who waits for which, in what order.
//!
//! All requests of a segment are kept in one table, in order of arrival, whether they are granted
//! or wait. A request conflicts with another one of a different owner if they share a byte and one
//! of them is for writing. It is granted when nothing that came before it conflicts with it. So
//! requests that conflict are served first come, first served, and none starves. Each request
//! counts its blockers, the earlier requests that conflict with it; when one goes, the counts of
//! later ones are corrected, and whoever has none left is woken.
//!
//! Pure: no locks, no sleeping. It is also compiled and model-checked on the host.

use super::marks::Marks;
use crate::missing::gfp::GFP_MAY_FAIL;
use kernel::prelude::*;

/// Bytes `start..end`, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Range {
    /// `len` bytes from `offset` on. Fails with `EINVAL` if there is none, or one too many.
    pub(crate) fn new(offset: u64, len: u64) -> Result<Self> {
        let end = offset.checked_add(len).filter(|_| len > 0).ok_or(EINVAL)?;
        Ok(Self { start: offset, end })
    }

    /// Whether they share a byte.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The smallest range that holds both.
    pub(crate) fn cover(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// For what a range is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
}

/// A request to hold a range.
#[derive(Clone, Copy)]
pub(crate) struct Request<P> {
    /// Who owns the range: a handle's token.
    pub(crate) owner: u32,
    /// Which process asks.
    pub(crate) process: P,
    pub(crate) range: Range,
    pub(crate) access: Access,
}

impl<P> Request<P> {
    fn conflicts(&self, other: &Self) -> bool {
        self.owner != other.owner
            && (self.access == Access::Write || other.access == Access::Write)
            && self.range.overlaps(other.range)
    }
}

/// Wakes whoever waits for a request.
pub(crate) trait Waker {
    fn wake(&self);
}

struct Entry<P, W> {
    id: u64,
    request: Request<P>,
    /// How many entries before this one conflict with it; granted when there are none.
    blockers: usize,
    /// There if it had to wait, until that is settled.
    waker: Option<W>,
    /// Since when it waits, or is held.
    since: u64,
}

impl<P, W: Waker> Entry<P, W> {
    /// Whether it is held, and its owner knows.
    fn is_settled(&self) -> bool {
        self.waker.is_none()
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

/// Names a request in its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestId(u64);

/// A request was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Granted {
    pub(crate) id: RequestId,
    /// Somebody died writing bytes of the range, and no write of them was completed since.
    pub(crate) owner_died: bool,
    /// Not at once.
    pub(crate) waited: bool,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Granted(Granted),
    /// It waits, and its waker will be woken.
    Waits(RequestId),
    /// It would have to wait, but has no waker. Nothing was changed.
    WouldWait,
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// Its owner holds, or waits for, a byte of the range already.
    OwnRange,
    /// Its owner, or the table, has as many requests as it may.
    TooMany,
    /// No memory.
    NoMemory,
}

/// How many requests there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) held: u32,
    pub(crate) waiting: u32,
}

/// How many requests a table may have: the work on it, which is done under a lock, grows with them.
pub(crate) const TABLE_MAX: u32 = 16384;

/// The requests of one segment, and the marks that dead writers left.
pub(crate) struct RangeTable<P, W> {
    /// In order of arrival.
    entries: KVVec<Entry<P, W>>,
    marks: Marks,
    next_id: u64,
}

impl<P: Copy, W: Waker> RangeTable<P, W> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVVec::new(),
            marks: Marks::new(),
            next_id: 0,
        }
    }

    /// Asks for a range, at the time `now`, on behalf of an owner that may have `limit` requests.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        request: Request<P>,
        waker: Option<W>,
        limit: u32,
        now: u64,
    ) -> Outcome {
        let mut own = 0_u32;
        let mut blockers = 0_usize;
        for entry in self.entries.iter() {
            if entry.request.owner == request.owner {
                if entry.request.range.overlaps(request.range) {
                    return Outcome::Refused(Refusal::OwnRange);
                }
                own = own.saturating_add(1);
            } else if entry.request.conflicts(&request) {
                blockers = blockers.saturating_add(1);
            }
        }
        if own >= limit || self.entries.len() >= TABLE_MAX as usize {
            return Outcome::Refused(Refusal::TooMany);
        }
        if blockers > 0 && waker.is_none() {
            return Outcome::WouldWait;
        }
        if request.access == Access::Write && self.marks.reserve().is_err() {
            return Outcome::Refused(Refusal::NoMemory);
        }
        let id = self.next_id;
        let entry = Entry {
            id,
            request,
            blockers,
            waker: waker.filter(|_| blockers > 0),
            since: now,
        };
        if self.reserve_entry().is_err() || self.entries.push_within_capacity(entry).is_err() {
            return Outcome::Refused(Refusal::NoMemory);
        }
        self.next_id = self.next_id.wrapping_add(1);
        if blockers == 0 {
            Outcome::Granted(self.granted(id, request.range, false))
        } else {
            Outcome::Waits(RequestId(id))
        }
    }

    #[inline]
    fn reserve_entry(&mut self) -> Result {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve(1, GFP_MAY_FAIL)?;
        }
        Ok(())
    }

    fn granted(&self, id: u64, range: Range, waited: bool) -> Granted {
        Granted {
            id: RequestId(id),
            owner_died: self.marks.any(range),
            waited,
        }
    }

    /// Ends the wait for a request, at the time `now`: either it was granted, whatever ended the
    /// wait, or it is withdrawn.
    pub(crate) fn settle(&mut self, id: RequestId, now: u64) -> Option<Granted> {
        let index = self.position(id)?;
        let entry = self.entries.get_mut(index)?;
        if entry.blockers == 0 {
            entry.waker = None;
            entry.since = now;
            let range = entry.request.range;
            return Some(self.granted(id.0, range, true));
        }
        self.remove(index);
        None
    }

    /// Takes a request back as if it had never been made: no write was completed, and none was
    /// broken off. Returns whether it was there still.
    pub(crate) fn withdraw(&mut self, id: RequestId) -> bool {
        let index = self.position(id);
        if let Some(index) = index {
            self.remove(index);
        }
        index.is_some()
    }

    /// Gives back the very range that `owner` holds for that access. Returns whether it held it, and
    /// knew.
    pub(crate) fn end(&mut self, owner: u32, range: Range, access: Access) -> bool {
        let held = |entry: &Entry<P, W>| {
            let request = &entry.request;
            entry.is_settled()
                && request.owner == owner
                && request.range == range
                && request.access == access
        };
        let Some(index) = self.index(held) else {
            return false;
        };
        if access == Access::Write {
            self.marks.remove(range);
        }
        self.remove(index);
        true
    }

    /// Drops all requests for which `gone` is true; what was being written is marked.
    pub(crate) fn drop_requests(&mut self, gone: impl Fn(&Request<P>) -> bool) {
        let before = self.entries.len();
        let marks = &mut self.marks;
        self.entries.retain(|entry| {
            let gone = gone(&entry.request);
            if gone && entry.blockers > 0 {
                entry.wake();
            } else if gone && entry.request.access == Access::Write {
                marks.add(entry.request.range);
            }
            !gone
        });
        if self.entries.len() < before {
            self.recount();
            self.forget_spare_memory();
        }
    }

    /// Counts the blockers of all who wait anew, and wakes those who have none left.
    fn recount(&mut self) {
        for index in 0..self.entries.len() {
            let waits = |entry: &&Entry<P, W>| entry.blockers > 0;
            let Some(request) = self
                .entries
                .get(index)
                .filter(waits)
                .map(|entry| entry.request)
            else {
                continue;
            };
            let earlier = self.entries.iter().take(index);
            let blockers = earlier.filter(|entry| entry.request.conflicts(&request));
            let blockers = blockers.fold(0_usize, |count, _| count.saturating_add(1));
            if let Some(entry) = self.entries.get_mut(index) {
                entry.blockers = blockers;
                if blockers == 0 {
                    entry.wake();
                }
            }
        }
    }

    /// How many requests there are of those for which `which` is true.
    pub(crate) fn counts(&self, which: impl Fn(&Request<P>) -> bool) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.iter().filter(|entry| which(&entry.request)) {
            if entry.blockers == 0 {
                counts.held = counts.held.saturating_add(1);
            } else {
                counts.waiting = counts.waiting.saturating_add(1);
            }
        }
        counts
    }

    /// All requests in order of arrival: each, whether it is held, and since when it is or waits.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&Request<P>, bool, u64)> {
        self.entries
            .iter()
            .map(|entry| (&entry.request, entry.blockers == 0, entry.since))
    }

    fn position(&self, id: RequestId) -> Option<usize> {
        self.index(|entry| entry.id == id.0)
    }

    fn index(&self, which: impl Fn(&Entry<P, W>) -> bool) -> Option<usize> {
        (0..self.entries.len()).find(|&index| self.entries.get(index).is_some_and(&which))
    }

    /// Removes an entry, grants what nothing else blocks, and wakes whoever waits for that.
    #[inline(always)]
    fn remove(&mut self, index: usize) {
        // Mostly it is the last, which blocks nothing.
        if index.checked_add(1) == Some(self.entries.len()) {
            self.entries.truncate(index);
            self.forget_spare_memory();
        } else {
            self.remove_earlier(index);
        }
    }

    #[inline(never)]
    fn remove_earlier(&mut self, index: usize) {
        let Ok(gone) = self.entries.remove(index) else {
            return;
        };
        for entry in self.entries.iter_mut().skip(index) {
            if entry.blockers > 0 && entry.request.conflicts(&gone.request) {
                entry.blockers = entry.blockers.saturating_sub(1);
                if entry.blockers == 0 {
                    entry.wake();
                }
            }
        }
        self.forget_spare_memory();
    }

    /// Gives memory back after a crowd has gone.
    fn forget_spare_memory(&mut self) {
        const FEW: usize = 64;
        if self.entries.is_empty() && self.entries.capacity() > FEW {
            self.entries = KVVec::new();
        }
    }
}
