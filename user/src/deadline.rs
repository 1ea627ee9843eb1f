// SPDX-License-Identifier: MIT OR Apache-2.0

//! Until when to wait. Pure arithmetic but for one look at the clock.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::uapi::{DEADLINE_NEVER, DEADLINE_NOW};

/// Until when a call may wait.
///
/// Deadlines are absolute, so a wait that a signal interrupted goes on to the same moment. They are counted
/// on `CLOCK_MONOTONIC`, which stands still while the machine sleeps and never jumps.
///
/// ```
/// use std::time::Duration;
/// use shmdev::Deadline;
///
/// let soon = Deadline::after(Duration::from_millis(250));
/// assert!(matches!(soon, Deadline::At(_)));
/// // What lies more than 292 years ahead never comes.
/// assert_eq!(Deadline::after(Duration::MAX), Deadline::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Do not wait: what cannot be had at once fails with `EAGAIN`.
    Now,
    /// Wait for as long as it takes.
    Never,
    /// Wait until `CLOCK_MONOTONIC` shows this time, then fail with `ETIMEDOUT`. A time in the past does
    /// not wait.
    At(Duration),
}

/// Largest deadline that the kernel takes for a time: it counts in signed 64-bit nanoseconds.
const MAX_NS: u64 = i64::MAX as u64;

impl Deadline {
    /// The time that is `timeout` from now; [`Never`](Self::Never) if the kernel could not count that far.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self::after_from(monotonic_now(), timeout)
    }

    fn after_from(now: Duration, timeout: Duration) -> Self {
        match now.checked_add(timeout) {
            Some(at) if at.as_nanos() <= u128::from(MAX_NS) => Self::At(at),
            _ => Self::Never,
        }
    }

    /// As the ABI writes it.
    ///
    /// `At` never becomes `DEADLINE_NOW`, whatever the time: it fails with `ETIMEDOUT`, not `EAGAIN`.
    #[inline]
    pub(crate) fn to_ns(self) -> u64 {
        match self {
            Self::Now => DEADLINE_NOW,
            Self::Never => DEADLINE_NEVER,
            Self::At(at) => match u64::try_from(at.as_nanos()) {
                Ok(ns) if ns <= MAX_NS => ns.max(DEADLINE_NOW + 1),
                _ => DEADLINE_NEVER,
            },
        }
    }

    /// Whether it is over.
    pub(crate) fn has_come(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// How long from now; `None` for ever.
    pub(crate) fn remaining(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::Never => None,
            // Through `to_ns`, so that every call agrees on which times never come.
            Self::At(_) => match self.to_ns() {
                DEADLINE_NEVER => None,
                ns => Some(Duration::from_nanos(ns).saturating_sub(monotonic_now())),
            },
        }
    }
}

impl From<Instant> for Deadline {
    /// The same moment: on Linux an [`Instant`] is a reading of `CLOCK_MONOTONIC`.
    fn from(instant: Instant) -> Self {
        // The clock first and the difference after it: what passes between the two makes the deadline
        // early, not late.
        let now = monotonic_now();
        let from_now = Instant::now();
        match instant.checked_duration_since(from_now) {
            Some(ahead) => Self::after_from(now, ahead),
            None => Self::At(now.saturating_sub(from_now.duration_since(instant))),
        }
    }
}

fn monotonic_now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("Linux always has CLOCK_MONOTONIC")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_special_deadlines_are_the_abis() {
        assert_eq!(Deadline::Now.to_ns(), 0);
        assert_eq!(Deadline::Never.to_ns(), u64::MAX);
    }

    #[test]
    fn a_time_is_never_taken_for_a_special_deadline_or_a_refused_one() {
        assert_eq!(Deadline::At(Duration::ZERO).to_ns(), 1);
        assert_eq!(Deadline::At(Duration::from_nanos(1)).to_ns(), 1);
        assert_eq!(Deadline::At(Duration::new(3, 7)).to_ns(), 3_000_000_007);
        assert_eq!(Deadline::At(Duration::from_nanos(MAX_NS)).to_ns(), MAX_NS);
        assert_eq!(
            Deadline::At(Duration::from_nanos(MAX_NS + 1)).to_ns(),
            DEADLINE_NEVER
        );
        assert_eq!(
            Deadline::At(Duration::from_nanos(u64::MAX)).to_ns(),
            DEADLINE_NEVER
        );
        assert_eq!(Deadline::At(Duration::MAX).to_ns(), DEADLINE_NEVER);
    }

    #[test]
    fn a_timeout_that_overflows_never_comes() {
        let now = Duration::from_secs(100);
        assert_eq!(Deadline::after_from(now, Duration::ZERO), Deadline::At(now));
        assert_eq!(
            Deadline::after_from(now, Duration::from_secs(1)),
            Deadline::At(Duration::from_secs(101))
        );
        assert_eq!(
            Deadline::after_from(now, Duration::from_nanos(MAX_NS) - now).to_ns(),
            MAX_NS
        );
        assert_eq!(
            Deadline::after_from(now, Duration::from_nanos(MAX_NS)),
            Deadline::Never
        );
        assert_eq!(Deadline::after_from(now, Duration::MAX), Deadline::Never);
        assert_eq!(
            Deadline::after_from(Duration::MAX, Duration::MAX),
            Deadline::Never
        );
    }

    #[test]
    fn what_remains_is_bounded_by_the_timeout_and_ends_at_zero() {
        assert_eq!(Deadline::Now.remaining(), Some(Duration::ZERO));
        assert_eq!(Deadline::Never.remaining(), None);
        assert_eq!(Deadline::At(Duration::MAX).remaining(), None);
        assert_eq!(Deadline::At(Duration::ZERO).remaining(), Some(Duration::ZERO));
        let hour = Duration::from_secs(3600);
        let left = Deadline::after(hour).remaining().unwrap();
        assert!(left <= hour && left > hour / 2, "{left:?}");
    }

    #[test]
    fn an_instant_becomes_the_same_moment() {
        let hour = Duration::from_secs(3600);
        let left = Deadline::from(Instant::now() + hour).remaining().unwrap();
        assert!(left <= hour && left > hour / 2, "{left:?}");
        assert_eq!(Deadline::from(Instant::now()).remaining(), Some(Duration::ZERO));
    }
}
