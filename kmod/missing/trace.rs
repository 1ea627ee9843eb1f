// SPDX-License-Identifier: GPL-2.0

//! The module's tracepoints, which only C can define: see `trace.h`.

use super::ffi;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// A segment was created.
pub(crate) fn create(id: u64, name: &CStr, size: u64, mode: u16, uid: u32) {
    // SAFETY: The name is a string that lives for the call; so below.
    unsafe { ffi::shmdev_trace_create(id, name.as_char_ptr(), size, mode.into(), uid) }
}

/// A segment was removed.
pub(crate) fn remove(id: u64, name: &CStr) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_remove(id, name.as_char_ptr()) }
}

/// A handle was attached to a segment.
pub(crate) fn open(id: u64, token: u32) {
    // SAFETY: Takes numbers alone; so below.
    unsafe { ffi::shmdev_trace_open(id, token) }
}

/// A mapping of a segment came into being; there are now `nattch`.
pub(crate) fn attach(id: u64, nattch: u64) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_attach(id, nattch) }
}

/// A mapping of a segment went; there are now `nattch`.
pub(crate) fn detach(id: u64, nattch: u64) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_detach(id, nattch) }
}

/// A range was granted, or not, for that error.
pub(crate) fn lock(id: u64, token: u32, start: u64, end: u64, write: bool, result: Result) {
    let ret: c_int = result.err().map_or(0, |error| error.to_errno());
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_lock(id, token, start, end, write, ret) }
}

/// A range was given back.
pub(crate) fn unlock(id: u64, token: u32, start: u64, end: u64, write: bool) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_unlock(id, token, start, end, write) }
}

/// A wait on a word ended, for that error if there is one.
pub(crate) fn wait(id: u64, token: u32, offset: u64, result: Result) {
    let ret: c_int = result.err().map_or(0, |error| error.to_errno());
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_wait(id, token, offset, ret) }
}

/// So many were woken who waited on a word, and so many moved to another one.
pub(crate) fn wake(id: u64, offset: u64, woken: u32, moved: u32) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_wake(id, offset, woken, moved) }
}

/// The death of the handle with that token was said in a lock word.
pub(crate) fn owner_died(id: u64, token: u32, offset: u64) {
    // SAFETY: As above.
    unsafe { ffi::shmdev_trace_owner_died(id, token, offset) }
}
