// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C library.

use std::ffi::CStr;

/// Its version.
pub fn version() -> String {
    // SAFETY: it takes nothing.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: it is a string that is there for ever.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_string_lossy().into_owned()
}
