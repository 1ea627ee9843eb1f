// SPDX-License-Identifier: GPL-2.0

//! The memory of a segment: its size, its pages, what these count against the limits, and how many
//! mappings there are of them.
//!
//! # Locks
//!
//! `Memory::state` is a leaf, and may be taken under an `mmap_lock`. Under it nothing is allocated
//! and no last reference dropped.

use crate::{
    missing::{
        limits::Limits,
        pages::Pages, //
    },
    usage::{
        Account,
        Charge, //
    }, //
};
use core::ops::Deref;
use kernel::{
    new_spinlock,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        Arc,
        SetOnce,
        SpinLock,
        UniqueArc, //
    }, //
};

/// The largest size that may be asked for: 1 TiB.
pub(crate) const SIZE_MAX: u64 = 1 << 40;

/// The pages of a segment at some time. Whoever uses them keeps the list, which is replaced as a
/// whole when the segment is resized.
pub(crate) struct PageList {
    pages: Pages,
    /// What those of them counted that the next list has not: given back with this one.
    leaving: SetOnce<Charge>,
}

impl PageList {
    fn bytes(&self) -> u64 {
        (self.pages.count() as u64) << PAGE_SHIFT
    }
}

impl Deref for PageList {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

/// Memory that can be mapped and resized.
#[pin_data]
pub(crate) struct Memory {
    #[pin]
    state: SpinLock<State>,
}

struct State {
    /// In bytes, as it was asked for. At most [`SIZE_MAX`], and the pages hold it.
    size: u64,
    list: Arc<PageList>,
    /// For the bytes of `list`, if they count.
    charge: Option<Charge>,
    /// How many there are; those that are being made count.
    mappings: u64,
    /// Somebody is about to replace `list`.
    resizing: bool,
}

/// How much there is, and of what.
pub(crate) struct Extent {
    pub(crate) size: u64,
    pub(crate) mapped_size: u64,
    pub(crate) mappings: u64,
    pub(crate) pieces: usize,
}

/// A number of bytes in whole pages; `None` if there is no such number.
fn whole_pages(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(PAGE_SIZE as u64)
}

/// A size that was asked for, in whole pages. Fails with `EINVAL` if it is 0 and with `ENOSPC` if
/// it is above [`SIZE_MAX`].
fn possible_bytes(size: u64) -> Result<u64> {
    if size == 0 {
        return Err(EINVAL);
    }
    whole_pages(size)
        .filter(|&bytes| bytes <= SIZE_MAX)
        .ok_or(ENOSPC)
}

/// Fails with `ENOSPC` if no segment may have so many bytes.
fn check_limit(bytes: u64) -> Result {
    if bytes > Limits::now().segment_bytes {
        return Err(ENOSPC);
    }
    Ok(())
}

/// A list of `count` pages, of which the first are those of `old`. Fails as [`Pages::resized`]
/// does.
fn list_of(bytes: u64, old: Option<&Pages>) -> Result<Arc<PageList>> {
    let count = usize::try_from(bytes >> PAGE_SHIFT)?;
    // First: what is left to go wrong then is the pages, whose allocation calls no OOM killer.
    let room = UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT)?;
    let pages = old.map_or_else(|| Pages::allocate(count), |old| old.resized(count))?;
    let leaving = SetOnce::new();
    Ok(room.write(PageList { pages, leaving }).into())
}

impl Memory {
    /// Allocates zeroed memory, which counts for `payer` if there is one; without, no limit holds
    /// but [`SIZE_MAX`].
    ///
    /// Fails with `EINVAL` if the size is 0, with `ENOSPC` over a limit, and as
    /// [`Pages::allocate`] does.
    pub(crate) fn allocate(size: u64, payer: Option<Account>) -> Result<impl PinInit<Self>> {
        let bytes = possible_bytes(size)?;
        let charge = payer.map(|payer| {
            check_limit(bytes)?;
            payer.charge(1, bytes)
        });
        let charge = charge.transpose()?;
        let state = State {
            size,
            list: list_of(bytes, None)?,
            charge,
            mappings: 0,
            resizing: false,
        };
        Ok(pin_init!(Self {
            state <- new_spinlock!(state, "shmdev::Memory::state"),
        }))
    }

    /// In bytes, as it was asked for.
    pub(crate) fn size(&self) -> u64 {
        self.state.lock().size
    }

    /// In bytes, whole pages.
    pub(crate) fn mapped_size(&self) -> u64 {
        self.state.lock().list.bytes()
    }

    /// Size and pages.
    pub(crate) fn layout(&self) -> (u64, Arc<PageList>) {
        let state = self.state.lock();
        (state.size, state.list.clone())
    }

    pub(crate) fn extent(&self) -> Extent {
        let state = self.state.lock();
        Extent {
            size: state.size,
            mapped_size: state.list.bytes(),
            mappings: state.mappings,
            pieces: state.list.pieces(),
        }
    }

    /// Counts a mapping. Returns how many there are now, and their pages.
    pub(crate) fn add_mapping(&self) -> (u64, Arc<PageList>) {
        let mut state = self.state.lock();
        state.mappings = state.mappings.saturating_add(1);
        (state.mappings, state.list.clone())
    }

    /// Counts a mapping off. Returns how many there are now.
    pub(crate) fn remove_mapping(&self) -> u64 {
        let mut state = self.state.lock();
        state.mappings = state.mappings.saturating_sub(1);
        state.mappings
    }

    /// Changes the size, in bytes: grows by zeroed pages, or shrinks.
    ///
    /// Fails with `EINVAL` if it is 0; with `EBUSY` if pages are to go while there is a mapping, or
    /// somebody else is at it; with `ENOSPC` over a limit; and as [`Pages::resized`] does.
    pub(crate) fn resize(&self, size: u64) -> Result {
        let bytes = possible_bytes(size)?;
        let resizing = Resizing::claim(self)?;
        let (_, old) = self.layout();
        let old_bytes = old.bytes();
        self.check_shrink(bytes < old_bytes)?;
        // Had before it is needed; given back if it is not.
        let more = self.charge_growth(old_bytes, bytes)?;
        let list = if bytes == old_bytes {
            old.clone()
        } else {
            list_of(bytes, Some(&old))?
        };
        // Both of these, and `old`, go without the lock.
        let less = self.replace(size, list, more)?;
        if let Some(less) = less {
            old.leaving.populate(less);
        }
        drop(resizing);
        Ok(())
    }

    /// Fails with `EBUSY` if it is to shrink and cannot.
    fn check_shrink(&self, shrinks: bool) -> Result {
        if shrinks && self.state.lock().mappings > 0 {
            return Err(EBUSY);
        }
        Ok(())
    }

    fn charge_growth(&self, old: u64, new: u64) -> Result<Option<Charge>> {
        let growth = new.saturating_sub(old);
        if growth == 0 {
            return Ok(None);
        }
        check_limit(new)?;
        let state = self.state.lock();
        let payer = state.charge.as_ref().map(|charge| charge.account().clone());
        drop(state);
        payer.map(|payer| payer.charge(0, growth)).transpose()
    }

    /// Puts another list in the place of the one that is there. Returns what it counts less.
    fn replace(
        &self,
        size: u64,
        list: Arc<PageList>,
        more: Option<Charge>,
    ) -> Result<Option<Charge>> {
        let mut state = self.state.lock();
        let shrinks_by = state.list.bytes().saturating_sub(list.bytes());
        if shrinks_by > 0 && state.mappings > 0 {
            return Err(EBUSY);
        }
        if size != state.size {
            // What comes to lie past the end, or lay there and does not any more: at most a page,
            // and under the lock, so that nobody has seen the new size and written there.
            let end = size.min(state.size);
            let rest = whole_pages(end).map_or(0, |whole| whole.saturating_sub(end));
            list.zero(end as usize, rest as usize);
        }
        state.size = size;
        // The caller has a reference to the old one.
        state.list = list;
        Ok(state.charge.as_mut().and_then(|charge| {
            if let Some(more) = more {
                charge.absorb(more);
            }
            (shrinks_by > 0).then(|| charge.split_off(shrinks_by))
        }))
    }
}

/// The right to resize.
struct Resizing<'a>(&'a Memory);

impl<'a> Resizing<'a> {
    /// Fails with `EBUSY` if somebody else has it.
    fn claim(memory: &'a Memory) -> Result<Self> {
        let mut state = memory.state.lock();
        if core::mem::replace(&mut state.resizing, true) {
            return Err(EBUSY);
        }
        Ok(Self(memory))
    }
}

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        self.0.state.lock().resizing = false;
    }
}
