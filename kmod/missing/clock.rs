// SPDX-License-Identifier: GPL-2.0

//! What time it is, as numbers to keep and to show.

use kernel::bindings;

/// Nanoseconds of the kernel's CLOCK_MONOTONIC.
pub(crate) fn monotonic_ns() -> i64 {
    // SAFETY: May be called anywhere but in an NMI.
    unsafe { bindings::ktime_get() }
}

/// Nanoseconds of CLOCK_REALTIME.
pub(crate) fn real_ns() -> u64 {
    // SAFETY: May be called anywhere but in an NMI.
    let now = unsafe { bindings::ktime_get_real() };
    u64::try_from(now).unwrap_or(0)
}
