// SPDX-License-Identifier: GPL-2.0

//! Random numbers.

use super::ffi;

/// One that nobody can guess.
pub(crate) fn random() -> u64 {
    // SAFETY: May be called anywhere.
    unsafe { ffi::shmdev_random() }
}
