// SPDX-License-Identifier: GPL-2.0

//! What time it is, as numbers to keep and to show.

use kernel::bindings;

/// How often the kernel's timer has ticked: a time that costs nothing to learn, for what is shown in
/// milliseconds.
pub(crate) fn ticks() -> u64 {
    // SAFETY: A number that is there, and changes at any time.
    unsafe { (&raw const bindings::jiffies).read_volatile() as u64 }
}

/// How many milliseconds go by until it has ticked so often.
pub(crate) fn ms_between(before: u64, now: u64) -> u64 {
    // SAFETY: Calculates with numbers alone.
    unsafe { bindings::jiffies64_to_msecs(now.saturating_sub(before)) }
}

/// Nanoseconds of CLOCK_REALTIME.
pub(crate) fn real_ns() -> u64 {
    // SAFETY: May be called anywhere but in an NMI.
    let now = unsafe { bindings::ktime_get_real() };
    u64::try_from(now).unwrap_or(0)
}
