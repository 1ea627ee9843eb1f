// SPDX-License-Identifier: GPL-2.0

//! Whole zeroed pages in physically contiguous pieces.

use super::{
    ffi,
    gfp::GFP_MAY_FAIL,
    process::current_is_being_killed, //
};
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::Atomic, //
};

/// How pages come into page tables, which says how they must be had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapMode {
    /// All at once, by number: nobody else has a hold on them.
    Pfn,
    /// When they are touched, each with a reference of its own, so that they can be copied on write
    /// and pinned.
    Fault,
    /// By number, large ones when they are touched.
    Huge,
}

/// The order of what one entry of a PMD maps: as many pages as a page has entries of 8 bytes.
pub(super) const LARGE_ORDER: u32 = PAGE_SHIFT as u32 - 3;

/// As many pages.
pub(super) const LARGE_PAGES: usize = 1 << LARGE_ORDER;

/// Pages that follow one another in physical memory.
///
/// # Invariants
///
/// `page` is the first of `end - first` pages, which have kernel addresses. If `split` is true,
/// this value owns a reference to each of them; else they are an allocation of order `order`, which
/// belongs to this value.
struct Piece {
    /// Index, among all pages of the [`Pages`], of this piece's first.
    first: usize,
    /// Index of the first page after it.
    end: usize,
    page: NonNull<bindings::page>,
    order: u32,
    /// Changed by `shmdev_split_pages` alone, and looked at by `drop`.
    split: UnsafeCell<bool>,
}

impl Piece {
    /// Allocates a piece; `None` when there is none of that order to be had, which for a large
    /// order is soon said.
    fn allocate(first: usize, order: u32, mode: MapMode) -> Option<Self> {
        let end = first.checked_add(1_usize.checked_shl(order)?)?;
        // SAFETY: The flags are valid for any order, and the function may sleep, as we may.
        let page = unsafe { ffi::shmdev_alloc_pages(ffi::shmdev_gfp_segment(order > 0), order) };
        // INVARIANT: The pages were just allocated, without __GFP_HIGHMEM, so they have an address.
        let piece = Self {
            first,
            end,
            page: NonNull::new(page)?,
            order,
            split: UnsafeCell::new(false),
        };
        if mode == MapMode::Fault {
            piece.split();
        }
        Some(piece)
    }

    /// Gives each page a reference of its own.
    fn split(&self) {
        // SAFETY: By the type invariants the pages are an allocation of that order, or were, in
        // which case nothing happens. The flag is valid; others who look at it do so in this
        // function, which locks, or when they own the piece alone.
        unsafe { ffi::shmdev_split_pages(self.page.as_ptr(), self.order, self.split.get()) };
    }

    /// The same pages once more, as far as their index is below `limit`; at least one is.
    fn share(&self, limit: usize) -> Self {
        let end = self.end.min(limit);
        self.split();
        // SAFETY: This value owns a reference to each of these pages.
        unsafe { ffi::shmdev_get_pages(self.page.as_ptr(), end.saturating_sub(self.first)) };
        // INVARIANT: The references were just taken.
        Self {
            first: self.first,
            end,
            page: self.page,
            order: self.order,
            split: UnsafeCell::new(true),
        }
    }

    fn address(&self) -> *mut u8 {
        // SAFETY: The page is valid by the type invariants.
        unsafe { ffi::shmdev_page_address(self.page.as_ptr()).cast() }
    }

    fn frame(&self) -> usize {
        // SAFETY: The page is valid by the type invariants.
        unsafe { ffi::shmdev_page_to_pfn(self.page.as_ptr()) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if *self.split.get_mut() {
            let count = self.end.saturating_sub(self.first);
            // SAFETY: By the type invariants a reference to each page is ours to give back.
            unsafe { ffi::shmdev_put_pages(self.page.as_ptr(), count) }
        } else {
            // SAFETY: By the type invariants the pages are ours, and of that order.
            unsafe { bindings::__free_pages(self.page.as_ptr(), self.order) }
        }
    }
}

/// A number of whole pages, zeroed when allocated, charged to the memory cgroup of the allocating
/// task.
///
/// Their contents may change at any time by the hands of user space, so nobody is ever given a
/// reference to them.
///
/// # Invariants
///
/// The pieces, the first and the others, are sorted by `first` and follow one another without a gap:
/// the pages of all of them are `0..count`. With [`MapMode::Fault`] they are split.
pub(crate) struct Pages {
    mode: MapMode,
    /// Kept apart from the others: most often there are none.
    first: Option<Piece>,
    others: KVVec<Piece>,
    count: usize,
}

// SAFETY: Pages may be freed by any task.
unsafe impl Send for Pages {}
// SAFETY: A shared reference gives no access that other threads would have to be kept from: `split`
// of a piece is changed under the lock of `shmdev_split_pages`, and else looked at by `drop` alone.
unsafe impl Sync for Pages {}

impl Pages {
    fn none(mode: MapMode) -> Self {
        // INVARIANT: No pieces are no pages.
        Self {
            mode,
            first: None,
            others: KVVec::new(),
            count: 0,
        }
    }

    /// Allocates `count` pages, in pieces as large as can be had.
    ///
    /// Fails with `ENOMEM`, at once when the machine has not so many pages, and with `EINTR` when
    /// the task is being killed.
    pub(crate) fn allocate(count: usize, mode: MapMode) -> Result<Self> {
        Self::check_possible(count)?;
        let mut pages = Self::none(mode);
        pages.extend(count)?;
        Ok(pages)
    }

    /// The first `count` of these pages; if there are fewer, all of them and newly allocated ones.
    /// Fails as [`Pages::allocate`] does.
    pub(crate) fn resized(&self, count: usize) -> Result<Self> {
        Self::check_possible(count)?;
        let mut pages = Self::none(self.mode);
        for piece in self.pieces_from(0).take_while(|piece| piece.first < count) {
            if current_is_being_killed() {
                return Err(EINTR);
            }
            pages.push(piece.share(count))?;
        }
        pages.extend(count)?;
        Ok(pages)
    }

    /// Fails with `ENOMEM` if the machine has not so many pages.
    fn check_possible(count: usize) -> Result {
        // SAFETY: Reads a counter.
        if count > unsafe { ffi::shmdev_totalram_pages() } {
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// Allocates pages until there are `count`.
    fn extend(&mut self, count: usize) -> Result {
        let mut largest = bindings::MAX_PAGE_ORDER;
        while let Some(missing) = count.checked_sub(self.count).filter(|&missing| missing > 0) {
            let mut order = largest.min(missing.ilog2());
            if self.mode == MapMode::Huge {
                // What begins at a multiple of its size, here as in memory, can be mapped as one.
                order = order.min(self.count.trailing_zeros());
            }
            if current_is_being_killed() {
                return Err(EINTR);
            }
            match Piece::allocate(self.count, order, self.mode) {
                Some(piece) => self.push(piece)?,
                None => largest = order.checked_sub(1).ok_or(ENOMEM)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, piece: Piece) -> Result {
        let end = piece.end;
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.others.push(piece, GFP_MAY_FAIL)?;
        }
        // INVARIANT: The new piece begins where the last one ended.
        self.count = end;
        Ok(())
    }

    /// How they are mapped.
    pub(crate) fn mode(&self) -> MapMode {
        self.mode
    }

    /// How many pages there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// In how many pieces.
    pub(crate) fn pieces(&self) -> usize {
        let first = usize::from(self.first.is_some());
        self.others.len().saturating_add(first)
    }

    /// Physically contiguous runs that together are the pages `first..first + count`, in order, as
    /// pairs of first page frame number and number of pages. Pages past the end are left out.
    pub(super) fn runs(
        &self,
        first: usize,
        count: usize,
    ) -> impl Iterator<Item = (usize, usize)> + '_ {
        let end = first.saturating_add(count).min(self.count);
        self.pieces_from(first).map_while(move |piece| {
            let from = first.max(piece.first);
            let count = end
                .min(piece.end)
                .checked_sub(from)
                .filter(|&count| count > 0)?;
            let frame = piece.frame().checked_add(from.checked_sub(piece.first)?)?;
            Some((frame, count))
        })
    }

    /// A page; `None` past the end. With [`MapMode::Fault`] it has references of its own.
    pub(super) fn page(&self, index: usize) -> Option<*mut bindings::page> {
        let piece = self.pieces_from(index).next()?;
        let inside = index.checked_sub(piece.first)?;
        // SAFETY: The piece holds the page of that index, and the `struct page`s of what was allocated
        // together follow one another.
        Some(unsafe { piece.page.as_ptr().add(inside) })
    }

    /// The number of the page `first`, if [`LARGE_PAGES`] pages from there on can be mapped by one
    /// entry.
    pub(super) fn large_frame(&self, first: usize) -> Option<usize> {
        let (frame, count) = self.runs(first, LARGE_PAGES).next()?;
        let fits = self.mode == MapMode::Huge && count == LARGE_PAGES && frame % LARGE_PAGES == 0;
        fits.then_some(frame)
    }

    /// Copies `len` bytes from `offset` on, as far as the pages go. Returns how many.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writing so many.
    pub(super) unsafe fn copy_to(&self, offset: usize, len: usize, to: *mut u8) -> usize {
        let mut done = 0_usize;
        self.copy(offset, len, |address, len| {
            // SAFETY: By the caller's promise, for `copy` hands out `len` bytes at most. The other
            // side is as in `copy_to_iter`.
            unsafe { ffi::shmdev_copy(to.add(done).cast(), address.cast(), len) };
            done = done.saturating_add(len);
            len
        })
    }

    /// Copies `len` bytes to `offset`, as far as the pages go. Returns how many.
    ///
    /// # Safety
    ///
    /// `from` must be valid for reading so many.
    pub(super) unsafe fn copy_from(&self, offset: usize, len: usize, from: *const u8) -> usize {
        let mut done = 0_usize;
        self.copy(offset, len, |address, len| {
            // SAFETY: As in `copy_to`.
            unsafe { ffi::shmdev_copy(address.cast(), from.add(done).cast(), len) };
            done = done.saturating_add(len);
            len
        })
    }

    /// Copies bytes from `offset` on to where the iterator points, until `len` bytes are copied,
    /// the pages end or user memory cannot be written. Returns how many.
    pub(crate) fn copy_to_iter(
        &self,
        offset: usize,
        len: usize,
        iter: &mut IovIterDest<'_>,
    ) -> usize {
        let iter = iter.as_raw();
        self.copy(offset, len, |address, len| {
            // SAFETY: `copy` gives addresses of pages that are ours. Others may write to them
            // meanwhile, which is a matter of what bytes are copied: no reference to them exists.
            // The iterator is valid by its type.
            unsafe { bindings::_copy_to_iter(address.cast(), len, iter) }
        })
    }

    /// Copies bytes from where the iterator points to `offset`, until `len` bytes are copied, the
    /// pages end or user memory cannot be read. Returns how many.
    pub(crate) fn copy_from_iter(
        &self,
        offset: usize,
        len: usize,
        iter: &mut IovIterSource<'_>,
    ) -> usize {
        let iter = iter.as_raw();
        self.copy(offset, len, |address, len| {
            // SAFETY: As in `copy_to_iter`.
            unsafe { bindings::_copy_from_iter(address.cast(), len, iter) }
        })
    }

    /// The four bytes from `offset` on, a multiple of four, which others may write at any time;
    /// `None` past the end.
    pub(crate) fn word(&self, offset: u64) -> Option<&Atomic<u32>> {
        let offset = usize::try_from(offset).ok()?;
        let piece = self.pieces_from(offset >> PAGE_SHIFT).next()?;
        let inside = offset.checked_sub(piece.first << PAGE_SHIFT)?;
        if offset & 3 != 0 {
            return None;
        }
        // SAFETY: The piece holds the page of `offset`, so this is within it.
        let word = unsafe { piece.address().add(inside) }.cast::<u32>();
        // SAFETY: With an aligned word's first byte the piece, which `self` keeps, holds all of it. No
        // reference to its bytes is made anywhere. Else it is written to by user space, by copying on
        // its behalf, and by `zero`: the kernel's memory model takes these for accesses to each byte.
        Some(unsafe { Atomic::from_ptr(word) })
    }

    /// Makes `len` bytes from `offset` on zero, as far as the pages go.
    pub(crate) fn zero(&self, offset: usize, len: usize) {
        self.copy(offset, len, |address, len| {
            // SAFETY: As in `copy_to_iter`.
            unsafe { ffi::shmdev_zero(address.cast(), len) };
            len
        });
    }

    /// Calls `copy_run` with address and length of each contiguous run of `len` bytes from `offset`
    /// on, until it copies less than it was asked to or the task is being killed. Returns the
    /// sum of what it copied.
    fn copy(
        &self,
        offset: usize,
        len: usize,
        mut copy_run: impl FnMut(*mut u8, usize) -> usize,
    ) -> usize {
        let mut position = offset;
        let mut left = len;
        for piece in self.pieces_from(offset >> PAGE_SHIFT) {
            // The piece holds the page of `offset`, or begins where the one before, which was
            // copied to its end, ended.
            let inside = position.saturating_sub(piece.first << PAGE_SHIFT);
            let run = (piece.end << PAGE_SHIFT).saturating_sub(position).min(left);
            // SAFETY: `inside` is less than the size of the piece.
            let copied = copy_run(unsafe { piece.address().add(inside) }, run);
            position = position.saturating_add(copied);
            left = left.saturating_sub(copied);
            if copied < run || left == 0 || current_is_being_killed() {
                break;
            }
        }
        len.saturating_sub(left)
    }

    /// The pieces from the one that holds page `index` on.
    fn pieces_from(&self, index: usize) -> impl Iterator<Item = &Piece> + '_ {
        let start = match &self.first {
            Some(first) if first.end <= index => self
                .others
                .partition_point(|piece| piece.end <= index)
                .saturating_add(1),
            _ => 0,
        };
        (start..).map_while(|number| match number.checked_sub(1) {
            None => self.first.as_ref(),
            Some(number) => self.others.get(number),
        })
    }
}
