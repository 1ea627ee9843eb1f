// SPDX-License-Identifier: GPL-2.0

//! Declarations of what the C files define, and of the module's own `struct module`.

// Without lockdep, kernel structures hold an empty one: C allows it, and only pointers to them are
// passed.
#![allow(improper_ctypes)]

use kernel::{
    bindings,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    }, //
};

unsafe extern "C" {
    // helpers.c
    pub(super) fn shmdev_alloc_pages(gfp: bindings::gfp_t, order: c_uint) -> *mut bindings::page;
    pub(super) fn shmdev_gfp_segment(large: bool) -> bindings::gfp_t;
    pub(super) fn shmdev_totalram_pages() -> c_ulong;
    pub(super) fn shmdev_split_pages(page: *mut bindings::page, order: c_uint, split: *mut bool);
    pub(super) fn shmdev_get_pages(page: *mut bindings::page, count: c_ulong);
    pub(super) fn shmdev_put_pages(page: *mut bindings::page, count: c_ulong);
    pub(super) fn shmdev_page_to_pfn(page: *const bindings::page) -> c_ulong;
    pub(super) fn shmdev_page_address(page: *const bindings::page) -> *mut c_void;
    pub(super) fn shmdev_zero(address: *mut c_void, len: c_ulong);
    pub(super) fn shmdev_copy(to: *mut c_void, from: *const c_void, len: c_ulong);
    pub(super) fn shmdev_vma_is_shared(vma: *const bindings::vm_area_struct) -> bool;
    pub(super) fn shmdev_vma_is_cow(vma: *const bindings::vm_area_struct) -> bool;
    pub(super) fn shmdev_vma_clear_exec(vma: *mut bindings::vm_area_struct);
    pub(super) fn shmdev_vma_set_mixedmap(vma: *mut bindings::vm_area_struct);
    pub(super) fn shmdev_vma_set_pfnmap(vma: *mut bindings::vm_area_struct);
    pub(super) fn shmdev_insert_pfn_pmd(
        vmf: *mut bindings::vm_fault,
        frame: c_ulong,
        write: bool,
    ) -> bindings::vm_fault_t;
    pub(super) fn shmdev_get_unmapped_area(
        file: *mut bindings::file,
        address: c_ulong,
        len: c_ulong,
        page_offset: c_ulong,
        flags: c_ulong,
    ) -> c_ulong;
    pub(super) fn shmdev_read_implies_exec() -> bool;
    pub(super) fn shmdev_iocb_append(iocb: *const bindings::kiocb) -> bool;
    pub(super) fn shmdev_get_2_words(to: *mut u64, from: usize) -> bool;
    pub(super) fn shmdev_get_3_words(to: *mut u64, from: usize) -> bool;
    pub(super) fn shmdev_get_5_words(to: *mut u64, from: usize) -> bool;
    pub(super) fn shmdev_get_6_words(to: *mut u64, from: usize) -> bool;
    pub(super) fn shmdev_put_word(to: usize, word: u64) -> bool;
    pub(super) fn shmdev_smp_mb();
    pub(super) fn shmdev_has_sleeper(queue: *mut bindings::wait_queue_head) -> bool;
    pub(super) fn shmdev_random() -> u64;
    pub(super) fn shmdev_current_priority() -> u32;
    pub(super) fn shmdev_set_current_state(state: c_uint);
    pub(super) fn shmdev_schedule_until(expires: *mut bindings::ktime_t) -> c_int;
    pub(super) fn shmdev_monotonic_to_host(time: bindings::ktime_t) -> bindings::ktime_t;
    pub(super) fn shmdev_current_process_exiting() -> bool;
    pub(super) fn shmdev_fatal_signal_pending() -> bool;
    pub(super) fn shmdev_current_process() -> *mut bindings::pid;
    pub(super) fn shmdev_get_pid(pid: *mut bindings::pid) -> *mut bindings::pid;
    pub(super) fn shmdev_process_exited(pid: *mut bindings::pid) -> bool;
    pub(super) fn shmdev_pid_number(pid: *mut bindings::pid) -> c_int;
    pub(super) fn shmdev_seq_is_full(lines: *const bindings::seq_file) -> bool;
    pub(super) fn shmdev_debugfs_file(
        name: *const c_char,
        directory: *mut bindings::dentry,
        text: *const c_void,
    );
    pub(super) fn shmdev_alloc_workqueue() -> *mut bindings::workqueue_struct;
    pub(super) fn shmdev_token_alloc(token: *mut u32, max: u32) -> c_int;
    pub(super) fn shmdev_token_free(token: u32);

    // namespaces.c
    pub(super) fn shmdev_make_kuid(ns: *const bindings::user_namespace, uid: u32) -> u32;
    pub(super) fn shmdev_make_kgid(ns: *const bindings::user_namespace, gid: u32) -> u32;
    pub(super) fn shmdev_from_kuid(kuid: u32) -> u32;
    pub(super) fn shmdev_from_kgid(kgid: u32) -> u32;
    pub(super) fn shmdev_current_euid() -> u32;
    pub(super) fn shmdev_current_egid() -> u32;
    pub(super) fn shmdev_in_group(kgid: u32) -> bool;
    pub(super) fn shmdev_put_user_ns(ns: *mut bindings::user_namespace);
    pub(super) fn shmdev_initial_ipc_id() -> u64;
    pub(super) fn shmdev_current_ipc_id() -> u64;
    pub(super) fn shmdev_initial_ipc_inode() -> u32;
    pub(super) fn shmdev_current_ipc_inode() -> u32;
    pub(super) fn shmdev_initial_ipc_owner() -> *mut bindings::user_namespace;
    pub(super) fn shmdev_current_ipc_owner() -> *mut bindings::user_namespace;
    pub(super) fn shmdev_ipc_group_new() -> *mut c_void;
    pub(super) fn shmdev_ipc_flush();
    pub(super) fn shmdev_ipc_group_put(group: *mut c_void);
    pub(super) fn shmdev_ipc_watch_current(
        group: *mut c_void,
        target: *mut c_void,
        gone: unsafe extern "C" fn(*mut c_void),
        forget: unsafe extern "C" fn(*mut c_void),
    ) -> *mut c_void;
    pub(super) fn shmdev_ipc_watch_drop(watch: *mut c_void);

    // parameters.c
    pub(super) fn shmdev_default_map() -> c_int;
    pub(super) fn shmdev_limits_settle();
    pub(super) fn shmdev_max_segments() -> u64;
    pub(super) fn shmdev_max_segment_bytes() -> u64;
    pub(super) fn shmdev_max_total_bytes() -> u64;
    pub(super) fn shmdev_max_bytes_per_uid() -> u64;

    // trace.c
    pub(super) fn shmdev_trace_create(id: u64, name: *const c_char, size: u64, mode: u32, uid: u32);
    pub(super) fn shmdev_trace_remove(id: u64, name: *const c_char);
    pub(super) fn shmdev_trace_open(id: u64, token: u32);
    pub(super) fn shmdev_trace_attach(id: u64, nattch: u64);
    pub(super) fn shmdev_trace_detach(id: u64, nattch: u64);
    pub(super) fn shmdev_trace_lock(
        id: u64,
        token: u32,
        start: u64,
        end: u64,
        write: bool,
        ret: c_int,
    );
    pub(super) fn shmdev_trace_unlock(id: u64, token: u32, start: u64, end: u64, write: bool);
    pub(super) fn shmdev_trace_wait(id: u64, token: u32, offset: u64, ret: c_int);
    pub(super) fn shmdev_trace_wake(id: u64, offset: u64, woken: u32, moved: u32);
    pub(super) fn shmdev_trace_owner_died(id: u64, token: u32, offset: u64);

    /// `*THIS_MODULE`; the loader fills it in. Only its address is taken.
    pub(super) static mut __this_module: bindings::module;
}
