// SPDX-License-Identifier: GPL-2.0

//! Mapping pages into a process by `remap_pfn_range`, and being told when mappings come and go.

use super::{
    ffi,
    gfp::GFP_MAY_FAIL,
    pages::Pages,
    process::current_is_being_killed, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    mm::virt::VmaNew,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        UniqueArc, //
    },
    types::ForeignOwnable, //
};

/// What is mapped: told of each mapping that comes into being and that goes.
///
/// All functions are called with the `mmap_lock` of some process held; they must not sleep for
/// long, or take a lock under which user memory is accessed. Those that tell of copies and of ends
/// must not look at `current`, which may be another process.
pub(crate) trait Mapped: Send + Sync + 'static {
    /// A mapping is about to come into being by `mmap`. Returns the pages that it may show, which
    /// the mapping keeps.
    fn mapping_begins(&self) -> Arc<Pages>;

    /// It did not.
    fn mapping_failed(&self);

    /// It did.
    fn mapping_made(&self);

    /// A mapping came into being by `fork`, `mremap`, or because one was cut in two.
    fn mapping_copied(&self);

    /// A mapping went.
    fn mapping_removed(&self);
}

/// What a mapping keeps.
struct Shown<T: Mapped> {
    object: Arc<T>,
    _pages: Arc<Pages>,
}

/// The pages, within the whole, that a mapping shows.
pub(crate) struct Window {
    /// Index of the first page.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

/// A mapping that `mmap` is setting up.
pub(crate) struct NewMapping<'a>(&'a VmaNew);

impl<'a> NewMapping<'a> {
    /// Wraps what the `mmap` operation is given.
    pub(super) fn new(vma: &'a VmaNew) -> Self {
        Self(vma)
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

    /// Maps the window of `object`'s pages, all of it at once, and has `object` told of the mapping
    /// from now on.
    ///
    /// Fails with `EINVAL` if the window does not lie within the pages or the mapping could copy on
    /// write, and as `remap_pfn_range` does. Then nothing is mapped.
    pub(crate) fn map<T: Mapped>(self, object: Arc<T>) -> Result {
        let window = self.window();
        let end = window.first.checked_add(window.count).ok_or(EINVAL)?;
        // Several calls of `remap_pfn_range` for one mapping are legal only without copy-on-write.
        // SAFETY: The vma is valid.
        let copy_on_write = unsafe { ffi::shmdev_vma_is_cow(self.0.as_ptr()) };
        if window.count == 0 || copy_on_write {
            return Err(EINVAL);
        }
        let shown = UniqueArc::new_uninit(GFP_MAY_FAIL)?;
        let pages = object.mapping_begins();
        let mapped = if end > pages.count() {
            Err(EINVAL)
        } else {
            self.map_pages(&pages, &window)
        };
        if let Err(error) = mapped {
            object.mapping_failed();
            return Err(error);
        }
        object.mapping_made();
        let shown: Arc<Shown<T>> = shown
            .write(Shown {
                object,
                _pages: pages,
            })
            .into();
        let vma = self.0.as_ptr();
        // SAFETY: The vma is being set up, so both fields are ours to set. From here on nothing
        // fails, so `close` will be called once for it, and for each copy of which `open` is told.
        unsafe {
            (*vma).vm_private_data = shown.into_foreign();
            (*vma).vm_ops = Vtable::<T>::build();
        }
        Ok(())
    }

    /// Maps the pages of a window that lies within them, or nothing.
    fn map_pages(&self, pages: &Pages, window: &Window) -> Result {
        let mut address = self.0.start();
        let mapped = self.map_runs(pages, window, &mut address);
        let done = address.wrapping_sub(self.0.start());
        if mapped.is_err() && done > 0 {
            // SAFETY: That part of the vma was mapped.
            unsafe { bindings::zap_special_vma_range(self.0.as_ptr(), self.0.start(), done) };
        }
        mapped
    }

    /// Maps the pages of a window that lies within them from `address` on, which moves along.
    fn map_runs(&self, pages: &Pages, window: &Window, address: &mut usize) -> Result {
        let vma = self.0.as_ptr();
        for (frame, count) in pages.runs(window.first, window.count) {
            let len = count << PAGE_SHIFT;
            // SAFETY: The vma is being set up, and nothing is mapped yet from `address` on. The
            // runs are not empty and together as long as the vma. The frames are those of pages
            // that the vma keeps, by `Shown`, until it is gone; or that are unmapped again if this
            // fails.
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

/// The operations of mappings of a `T`: `vm_private_data` is a foreign `Arc<Shown<T>>` that belongs
/// to the vma.
struct Vtable<T>(PhantomData<T>);

impl<T: Mapped> Vtable<T> {
    const OPERATIONS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        ..pin_init::zeroed()
    };

    const fn build() -> &'static bindings::vm_operations_struct {
        &Self::OPERATIONS
    }

    /// # Safety
    ///
    /// `vma` must be a new copy of one that [`NewMapping::map`] set up.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The copy has the private data of the original, whose reference keeps it alive
        // here.
        let shown: ArcBorrow<'_, Shown<T>> = unsafe { Arc::borrow((*vma).vm_private_data) };
        shown.object.mapping_copied();
        // The copy now has a reference of its own, which is the same pointer.
        let _ = Arc::from(shown).into_foreign();
    }

    /// # Safety
    ///
    /// `vma` must be one that [`NewMapping::map`] set up, or a copy that `open` was told of, and
    /// must be going away.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The reference belongs to this vma, which does not use it again.
        let shown: Arc<Shown<T>> = unsafe { Arc::from_foreign((*vma).vm_private_data) };
        shown.object.mapping_removed();
    }
}
