// SPDX-License-Identifier: GPL-2.0

//! Module parameters that `module!` cannot have: words, and numbers that can be changed while the
//! module is loaded.

use super::{
    ffi,
    pages::MapMode, //
};

/// How segments are mapped that are created without saying.
pub(crate) fn default_map() -> MapMode {
    // SAFETY: Reads a number, which is not changed after the module was loaded.
    match unsafe { ffi::shmdev_default_map() } {
        1 => MapMode::Fault,
        2 => MapMode::Huge,
        _ => MapMode::Pfn,
    }
}

/// What may be had. The values are those of this moment.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Segments in all.
    pub(crate) segments: u64,
    /// Bytes of one segment.
    pub(crate) segment_bytes: u64,
    /// Bytes of all segments together.
    pub(crate) total_bytes: u64,
    /// Bytes of the segments that one user created.
    pub(crate) user_bytes: u64,
}

impl Limits {
    /// Gives those that were left open when the module was loaded their value: to be called once,
    /// before anything else.
    pub(crate) fn settle() {
        // SAFETY: Nobody else changes them yet, but through files that change one number.
        unsafe { ffi::shmdev_limits_settle() }
    }

    /// What they are now.
    pub(crate) fn now() -> Self {
        // SAFETY: Each reads one number.
        unsafe {
            Self {
                segments: ffi::shmdev_max_segments(),
                segment_bytes: ffi::shmdev_max_segment_bytes(),
                total_bytes: ffi::shmdev_max_total_bytes(),
                user_bytes: ffi::shmdev_max_bytes_per_uid(),
            }
        }
    }
}
