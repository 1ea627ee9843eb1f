// SPDX-License-Identifier: GPL-2.0

//! Declarations of `helpers.c` and of the module's own `struct module`.

// Without lockdep, kernel structures hold an empty one: C allows it, and only pointers to them are
// passed.
#![allow(improper_ctypes)]

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    }, //
};

unsafe extern "C" {
    pub(super) fn shmdev_alloc_pages(gfp: bindings::gfp_t, order: c_uint) -> *mut bindings::page;
    pub(super) fn shmdev_gfp_segment(large: bool) -> bindings::gfp_t;
    pub(super) fn shmdev_kvrealloc(old: *const c_void, size: usize) -> *mut c_void;
    pub(super) fn shmdev_totalram_pages() -> c_ulong;
    pub(super) fn shmdev_page_to_pfn(page: *const bindings::page) -> c_ulong;
    pub(super) fn shmdev_page_address(page: *const bindings::page) -> *mut c_void;
    pub(super) fn shmdev_vma_is_shared(vma: *const bindings::vm_area_struct) -> bool;
    pub(super) fn shmdev_vma_is_cow(vma: *const bindings::vm_area_struct) -> bool;
    pub(super) fn shmdev_vma_clear_exec(vma: *mut bindings::vm_area_struct);
    pub(super) fn shmdev_read_implies_exec() -> bool;
    pub(super) fn shmdev_iocb_append(iocb: *const bindings::kiocb) -> bool;
    pub(super) fn shmdev_set_current_state(state: c_uint);
    pub(super) fn shmdev_schedule_until(expires: *mut bindings::ktime_t) -> c_int;
    pub(super) fn shmdev_monotonic_to_host(time: bindings::ktime_t) -> bindings::ktime_t;
    pub(super) fn shmdev_current_process_exiting() -> bool;
    pub(super) fn shmdev_fatal_signal_pending() -> bool;
    pub(super) fn shmdev_current_process() -> *mut bindings::pid;
    pub(super) fn shmdev_get_pid(pid: *mut bindings::pid) -> *mut bindings::pid;
    pub(super) fn shmdev_process_exited(pid: *mut bindings::pid) -> bool;
    pub(super) fn shmdev_alloc_workqueue() -> *mut bindings::workqueue_struct;
    pub(super) fn shmdev_token_alloc(token: *mut u32, max: u32) -> c_int;
    pub(super) fn shmdev_token_free(token: u32);

    /// `*THIS_MODULE`; the loader fills it in. Only its address is taken.
    pub(super) static mut __this_module: bindings::module;
}
