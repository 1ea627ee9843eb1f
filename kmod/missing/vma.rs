// SPDX-License-Identifier: GPL-2.0

//! Mapping pages into a process, by `remap_pfn_range` or so that it is done when they are touched,
//! and being told when mappings come and go.

use super::{
    ffi,
    mapping,
    miscdev::Operations,
    pages::{
        MapMode,
        Pages,
        LARGE_PAGES, //
    },
    process::current_is_being_killed, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    mm::virt::VmaNew,
    page::PAGE_SHIFT,
    prelude::*,
    sync::Arc, //
};

/// What is mapped: told of each mapping that comes into being and that goes.
///
/// All functions are called with the `mmap_lock` of some process held; they must not sleep for
/// long, or take a lock under which user memory is accessed. Those that tell of copies and of ends
/// must not look at `current`, which may be another process.
pub(crate) trait Mapped: Send + Sync + 'static {
    /// A mapping of pages before `end` is about to come into being by `mmap`. Returns all pages, which
    /// the mapping keeps.
    ///
    /// Fails with `EINVAL` if there are not so many; then it is not.
    fn mapping_begins(&self, end: usize) -> Result<Arc<Pages>>;

    /// It did not.
    fn mapping_failed(&self);

    /// It did.
    fn mapping_made(&self);

    /// A mapping came into being by `fork`, `mremap`, or because one was cut in two.
    fn mapping_copied(&self);

    /// A mapping went.
    fn mapping_removed(&self);
}

/// The pages, within the whole, that a mapping shows.
pub(crate) struct Window {
    /// Index of the first page.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

/// A mapping that `mmap` is setting up.
///
/// # Invariants
///
/// It is of an open file of `T`.
pub(crate) struct NewMapping<'a, T>(&'a VmaNew, PhantomData<T>);

impl<'a, T: Operations> NewMapping<'a, T> {
    /// Wraps what the `mmap` operation is given.
    ///
    /// # Safety
    ///
    /// It must be of an open file of `T`.
    pub(super) unsafe fn new(vma: &'a VmaNew) -> Self {
        // INVARIANT: By the caller's promise.
        Self(vma, PhantomData)
    }

    /// What part of the file it is to show.
    pub(crate) fn window(&self) -> Window {
        // SAFETY: The vma is valid, and nobody else writes to one that is being set up.
        let first = unsafe { (*self.0.as_ptr()).vm_pgoff };
        Window {
            first,
            count: self.0.end().saturating_sub(self.0.start()) >> PAGE_SHIFT,
        }
    }

    /// Whether it was asked for with `MAP_SHARED`.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: The vma is valid.
        unsafe { ffi::shmdev_vma_is_shared(self.0.as_ptr()) }
    }

    /// Whether it is writable now.
    pub(crate) fn is_writable(&self) -> bool {
        self.0.writable()
    }

    /// Sees to it that the mapping is not, and cannot be made, executable.
    ///
    /// Fails with `EPERM` if executing was asked for in so many words, and not by
    /// `READ_IMPLIES_EXEC`.
    pub(crate) fn forbid_exec(&self) -> Result {
        // SAFETY: Reads the current task's personality.
        if self.0.executable() && !unsafe { ffi::shmdev_read_implies_exec() } {
            return Err(EPERM);
        }
        // SAFETY: The vma is being set up, so it is ours to change.
        unsafe { ffi::shmdev_vma_clear_exec(self.0.as_ptr()) };
        Ok(())
    }

    /// Sees to it that a mapping that is not writable cannot be made so.
    ///
    /// Fails with `EINVAL` if it is writable.
    pub(crate) fn forbid_write(&self) -> Result {
        self.0.try_clear_maywrite()
    }

    /// Maps the window of the pages of `object`, and has that told of the mapping from now on. It must
    /// be what [`Operations::mapped`] returns. What of the window is mapped at once is all for
    /// [`MapMode::Pfn`], nothing for [`MapMode::Fault`], and for [`MapMode::Huge`] what a large entry
    /// does not fit.
    ///
    /// Fails with `EINVAL` if the window does not lie within the pages, or the mapping could copy on
    /// write and they cannot be; and as `remap_pfn_range` does. Then nothing is mapped.
    pub(crate) fn map(self, object: &T::Mapped) -> Result {
        let window = self.window();
        let end = window.first.checked_add(window.count).ok_or(EINVAL)?;
        let pages = object.mapping_begins(end)?;
        if let Err(error) = self.map_pages(&pages, window) {
            object.mapping_failed();
            return Err(error);
        }
        object.mapping_made();
        // SAFETY: The vma is being set up, by the type invariant for a file of `T`, and ready as
        // `map_pages` succeeded. From here on nothing fails, so `close` will be called once for it,
        // and for each copy of which `open` is told.
        unsafe { mapping::install::<T>(pages, self.0.as_ptr()) };
        Ok(())
    }

    /// Maps what of the window is mapped at once, or nothing.
    fn map_pages(&self, pages: &Pages, window: Window) -> Result {
        let vma = self.0.as_ptr();
        if pages.mode() == MapMode::Fault {
            // SAFETY: The vma is being set up, so it is ours to change.
            unsafe { ffi::shmdev_vma_set_mixedmap(vma) };
            return Ok(());
        }
        // Frames cannot be copied on write.
        // SAFETY: The vma is valid.
        if unsafe { ffi::shmdev_vma_is_cow(vma) } {
            return Err(EINVAL);
        }
        // SAFETY: The vma is being set up, so it is ours to change.
        unsafe { ffi::shmdev_vma_set_pfnmap(vma) };
        let mut address = self.0.start();
        let mapped = self.map_small(pages, window, &mut address);
        let done = address.wrapping_sub(self.0.start());
        if mapped.is_err() && done > 0 {
            // SAFETY: That part of the vma was mapped.
            unsafe { bindings::zap_special_vma_range(vma, self.0.start(), done) };
        }
        mapped
    }

    /// Maps the pages of a window that lies within them from `address` on, which moves along, but for
    /// those that large entries can map.
    fn map_small(&self, pages: &Pages, mut window: Window, address: &mut usize) -> Result {
        while window.count > 0 {
            // Up to where the next entry of a PMD begins, for these may differ from one to the other.
            let page = *address >> PAGE_SHIFT;
            let count = match pages.mode() {
                MapMode::Huge => window.count.min(LARGE_PAGES - page % LARGE_PAGES),
                _ => window.count,
            };
            if count < LARGE_PAGES || pages.large_frame(window.first).is_none() {
                self.map_runs(pages, window.first, count, address)?;
            } else {
                *address = address.wrapping_add(count << PAGE_SHIFT);
            }
            window.first = window.first.saturating_add(count);
            window.count = window.count.saturating_sub(count);
        }
        Ok(())
    }

    /// Maps `count` pages that there are from `address` on, which moves along.
    fn map_runs(&self, pages: &Pages, first: usize, count: usize, address: &mut usize) -> Result {
        let vma = self.0.as_ptr();
        for (frame, count) in pages.runs(first, count) {
            let len = count << PAGE_SHIFT;
            // SAFETY: The vma is being set up, and nothing is mapped yet from `address` on. The
            // runs are not empty and together as long as the vma at most. The frames are those of
            // pages that the vma keeps, by `mapping::install`, until it is gone; or that are
            // unmapped again if this fails.
            to_result(unsafe {
                bindings::remap_pfn_range(vma, *address, frame, len, (*vma).vm_page_prot)
            })?;
            *address = address.wrapping_add(len);
            if current_is_being_killed() {
                return Err(EINTR);
            }
        }
        Ok(())
    }
}
