// SPDX-License-Identifier: GPL-2.0

//! Memory barriers.
//!
//! `kernel::sync::barrier` has them, but Linux 7.2 and later versions call them differently.

use super::ffi;

/// What comes before is seen by all before what comes after: `smp_mb()`.
pub(crate) fn full_barrier() {
    // SAFETY: May be called anywhere.
    unsafe { ffi::shmdev_smp_mb() }
}
