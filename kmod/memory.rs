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
        gfp::GFP_MAY_FAIL,
        pages::{
            MapMode,
            Pages, //
        },
        parameters::Limits, //
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
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    }, //
};

/// The largest size that may be asked for: 1 TiB.
pub(crate) const SIZE_MAX: u64 = 1 << 40;

/// Memory that can be mapped and resized.
#[pin_data]
pub(crate) struct Memory {
    /// As [`Memory::mapped_size`] says; changed with the pages.
    mapped_size: Atomic<u64>,
    #[pin]
    state: SpinLock<State>,
}

struct State {
    /// In bytes, as it was asked for. At most [`SIZE_MAX`], and the pages hold it.
    size: u64,
    /// Replaced as a whole.
    pages: Arc<Pages>,
    /// For the bytes of `pages`, if they count.
    charge: Option<Charge>,
    /// How many there are; those that are being made count.
    mappings: u64,
    /// How many [`InUse`] there are.
    users: u64,
    /// Somebody is about to replace `pages`.
    resizing: bool,
}

impl State {
    /// Fails with `EBUSY` if somebody uses pages that are to go.
    fn check_shrink(&self, bytes: u64) -> Result {
        if bytes < bytes_of(&self.pages) && (self.mappings > 0 || self.users > 0) {
            return Err(EBUSY);
        }
        Ok(())
    }
}

fn bytes_of(pages: &Pages) -> u64 {
    (pages.count() as u64) << PAGE_SHIFT
}

/// Keeps the memory from shrinking while its bytes are copied. The pages are those of the moment
/// when that began.
pub(crate) struct InUse<'a> {
    memory: &'a Memory,
    pages: Arc<Pages>,
    /// In bytes.
    pub(crate) size: u64,
}

impl Deref for InUse<'_> {
    type Target = Pages;

    fn deref(&self) -> &Pages {
        &self.pages
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut state = self.memory.state.lock();
        state.users = state.users.saturating_sub(1);
    }
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

/// In pages.
fn count(bytes: u64) -> Result<usize> {
    Ok(usize::try_from(bytes >> PAGE_SHIFT)?)
}

impl Memory {
    /// Allocates zeroed memory, which counts for `payer` if there is one; without, no limit holds
    /// but [`SIZE_MAX`].
    ///
    /// Fails with `EINVAL` if the size is 0, with `ENOSPC` over a limit, and as
    /// [`Pages::allocate`] does.
    pub(crate) fn allocate(
        size: u64,
        mode: MapMode,
        payer: Option<Account>,
    ) -> Result<impl PinInit<Self>> {
        let bytes = possible_bytes(size)?;
        let charge = payer.map(|payer| {
            check_limit(bytes)?;
            payer.charge(1, bytes)
        });
        let charge = charge.transpose()?;
        let pages = Pages::allocate(count(bytes)?, mode)?;
        let state = State {
            size,
            pages: Arc::new(pages, GFP_MAY_FAIL)?,
            charge,
            mappings: 0,
            users: 0,
            resizing: false,
        };
        Ok(pin_init!(Self {
            mapped_size: Atomic::new(bytes),
            state <- new_spinlock!(state, "shmdev::Memory::state"),
        }))
    }

    /// In bytes, as it was asked for.
    pub(crate) fn size(&self) -> u64 {
        self.state.lock().size
    }

    /// In bytes, whole pages.
    pub(crate) fn mapped_size(&self) -> u64 {
        self.mapped_size.load(Relaxed)
    }

    /// For copying from or to it.
    pub(crate) fn in_use(&self) -> InUse<'_> {
        let mut state = self.state.lock();
        state.users = state.users.saturating_add(1);
        InUse {
            memory: self,
            pages: state.pages.clone(),
            size: state.size,
        }
    }

    pub(crate) fn extent(&self) -> Extent {
        let state = self.state.lock();
        Extent {
            size: state.size,
            mapped_size: bytes_of(&state.pages),
            mappings: state.mappings,
            pieces: state.pages.pieces(),
        }
    }

    /// Counts a mapping of pages before `end`. Returns all pages.
    ///
    /// Fails with `EINVAL` if there are not so many.
    pub(crate) fn add_mapping(&self, end: usize) -> Result<Arc<Pages>> {
        let mut state = self.state.lock();
        if end > state.pages.count() {
            return Err(EINVAL);
        }
        state.mappings = state.mappings.saturating_add(1);
        Ok(state.pages.clone())
    }

    /// Counts another mapping of what one shows. Returns how many there are now.
    pub(crate) fn copy_mapping(&self) -> u64 {
        let mut state = self.state.lock();
        state.mappings = state.mappings.saturating_add(1);
        state.mappings
    }

    /// Counts a mapping off. Returns how many there are now.
    pub(crate) fn remove_mapping(&self) -> u64 {
        let mut state = self.state.lock();
        state.mappings = state.mappings.saturating_sub(1);
        state.mappings
    }

    /// Changes the size, in bytes: grows by zeroed pages, or shrinks.
    ///
    /// Fails with `EINVAL` if it is 0; with `EBUSY` if pages are to go that somebody uses, or
    /// somebody else is at it; with `ENOSPC` over a limit; and as [`Pages::resized`] does.
    pub(crate) fn resize(&self, size: u64) -> Result {
        let bytes = possible_bytes(size)?;
        let resizing = Resizing::claim(self)?;
        let state = self.state.lock();
        state.check_shrink(bytes)?;
        let old = state.pages.clone();
        let payer = state.charge.as_ref().map(|charge| charge.account().clone());
        drop(state);
        let old_bytes = bytes_of(&old);
        // Had before it is needed; given back if it is not.
        let mut more = None;
        if bytes > old_bytes {
            check_limit(bytes)?;
            more = payer
                .map(|payer| payer.charge(0, bytes.saturating_sub(old_bytes)))
                .transpose()?;
        }
        let pages = if bytes == old_bytes {
            old.clone()
        } else {
            Arc::new(old.resized(count(bytes)?)?, GFP_MAY_FAIL)?
        };
        // This, and `old`, go without the lock.
        let less = self.replace(size, pages, more)?;
        drop((less, resizing));
        Ok(())
    }

    /// Puts other pages in the place of those that are there. Returns what they count less.
    fn replace(
        &self,
        size: u64,
        pages: Arc<Pages>,
        more: Option<Charge>,
    ) -> Result<Option<Charge>> {
        let mut state = self.state.lock();
        let bytes = bytes_of(&pages);
        state.check_shrink(bytes)?;
        let shrinks_by = bytes_of(&state.pages).saturating_sub(bytes);
        if size != state.size {
            // What comes to lie past the end, or lay there and does not any more: at most a page,
            // and under the lock, so that nobody has seen the new size and written there.
            let end = size.min(state.size);
            let rest = whole_pages(end).map_or(0, |whole| whole.saturating_sub(end));
            pages.zero(end as usize, rest as usize);
        }
        state.size = size;
        // The caller has a reference to the old ones.
        state.pages = pages;
        self.mapped_size.store(bytes, Relaxed);
        Ok(state.charge.as_mut().map(|charge| {
            if let Some(more) = more {
                charge.absorb(more);
            }
            charge.split_off(shrinks_by)
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
