// SPDX-License-Identifier: GPL-2.0

//! What a mapping keeps, and the operations that the kernel calls on it.

use super::{
    fault::Fault,
    miscdev::{
        operations_of,
        Operations, //
    },
    pages::{
        MapMode,
        Pages, //
    },
    vma::Mapped, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    mm::virt::{
        flags,
        VmaRef, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// Gives a mapping of an open file the pages that it keeps, and the operations that go with them.
///
/// # Safety
///
/// `vma` must be one of a file of `T` that is being set up and is not going to fail, lie within the
/// pages, and have `VM_MIXEDMAP` for [`MapMode::Fault`], `VM_PFNMAP` and no copy-on-write for the
/// others.
pub(super) unsafe fn install<T: Operations>(pages: Arc<Pages>, vma: *mut bindings::vm_area_struct) {
    let operations = match pages.mode() {
        MapMode::Pfn => &const { Vtable::<T>::PFN },
        MapMode::Fault => &const { Vtable::<T>::FAULT },
        MapMode::Huge => &const { Vtable::<T>::HUGE },
    };
    // SAFETY: The vma is being set up, so both fields are ours to set.
    unsafe {
        (*vma).vm_private_data = pages.into_foreign();
        (*vma).vm_ops = operations;
    }
}

/// The operations of mappings of a file of `T`: `vm_private_data` is a foreign `Arc<Pages>` that
/// belongs to the vma, which is as [`install`] demands.
struct Vtable<T>(PhantomData<T>);

impl<T: Operations> Vtable<T> {
    const PFN: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        access: Some(Self::access),
        ..pin_init::zeroed()
    };

    const FAULT: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        fault: Some(Self::fault),
        ..pin_init::zeroed()
    };

    const HUGE: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        access: Some(Self::access),
        fault: Some(Self::fault),
        huge_fault: Some(Self::huge_fault),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `vma` must have these operations, and not be on its way to be freed for `'a`.
    unsafe fn pages<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, Pages> {
        // SAFETY: `install` set the private data, and the reference is the vma's.
        unsafe { Arc::borrow((*vma).vm_private_data) }
    }

    /// Tells of what becomes of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must have these operations.
    unsafe fn tell(vma: *mut bindings::vm_area_struct, what: impl FnOnce(&T::Mapped)) {
        // SAFETY: As `install` demands. The vma keeps the file open; or, if it is a copy that is being
        // made, the original does.
        let operations = unsafe { operations_of::<T>((*vma).vm_file) };
        // There is something, or there would be no mapping of it.
        let _ = operations.mapped().map(what);
    }

    /// # Safety
    ///
    /// `vma` must be a new copy of one with these operations.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The copy has the private data of the original, whose reference keeps it alive
        // here.
        let pages = unsafe { Self::pages(vma) };
        // The copy now has a reference of its own, which is the same pointer.
        let _ = Arc::from(pages).into_foreign();
        // SAFETY: The copy has these operations.
        unsafe { Self::tell(vma, Mapped::mapping_copied) };
    }

    /// # Safety
    ///
    /// `vma` must have these operations, and be going away.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: The reference belongs to this vma, which does not use it again.
        let pages: Arc<Pages> = unsafe { Arc::from_foreign((*vma).vm_private_data) };
        drop(pages);
        // SAFETY: The vma has these operations.
        unsafe { Self::tell(vma, Mapped::mapping_removed) };
    }

    /// Reads or writes on behalf of a debugger, which cannot reach pages that are mapped by number.
    /// Returns how many bytes, as far as the vma goes, or a negative errno.
    ///
    /// # Safety
    ///
    /// `vma` must have these operations and be locked, `address` lie within it, and `buffer` be valid
    /// for `len` bytes.
    unsafe extern "C" fn access(
        vma: *mut bindings::vm_area_struct,
        address: c_ulong,
        buffer: *mut c_void,
        len: c_int,
        write: c_int,
    ) -> c_int {
        // SAFETY: By the caller's promise.
        let (pages, area) = unsafe { (Self::pages(vma), VmaRef::from_raw(vma)) };
        let needed = if write != 0 {
            flags::WRITE
        } else {
            flags::READ
        };
        let inside = address.checked_sub(area.start());
        let (Some(inside), true) = (inside, area.flags() & needed != 0) else {
            return EFAULT.to_errno();
        };
        // SAFETY: The vma is valid, and does not change while it is locked.
        let offset = unsafe { (*vma).vm_pgoff } << PAGE_SHIFT;
        let offset = offset.saturating_add(inside);
        let len = usize::try_from(len).unwrap_or(0);
        let len = len.min(area.end().saturating_sub(address));
        // SAFETY: By the caller's promise, for `len` is not larger than it was.
        let copied = unsafe {
            if write != 0 {
                pages.copy_from(offset, len, buffer.cast())
            } else {
                pages.copy_to(offset, len, buffer.cast())
            }
        };
        // CAST: At most what a `c_int` said.
        copied as c_int
    }

    /// # Safety
    ///
    /// `vmf` must be that of a fault in a vma with these operations.
    unsafe fn touched<'a>(vmf: *mut bindings::vm_fault) -> Fault<'a> {
        // SAFETY: By the caller's promise; the vma of a fault is locked.
        let pages = unsafe { Self::pages((*vmf).__bindgen_anon_1.vma) };
        // SAFETY: By the caller's promise, and what `install` demanded. The vma keeps the pages.
        unsafe { Fault::new(vmf, pages) }
    }

    /// # Safety
    ///
    /// As [`Self::touched`].
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the caller's promise.
        unsafe { Self::touched(vmf) }.insert()
    }

    /// # Safety
    ///
    /// As [`Self::touched`].
    unsafe extern "C" fn huge_fault(
        vmf: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        // SAFETY: By the caller's promise.
        unsafe { Self::touched(vmf) }.insert_large(order)
    }
}
