// SPDX-License-Identifier: MIT OR Apache-2.0

//! Positions: how many units of a ring were ever written or read, modulo 2^31. Arithmetic only.
//!
//! A position shares its word with one bit that says that somebody waits for it to change. So to publish a new
//! position and to learn whether somebody must be woken is one atomic step, and no wake-up can fall between two.

/// Bit of a position's word: somebody waits for it to change.
pub(super) const WAITS: u32 = 1 << 31;

/// The position in a word that anybody may have written.
#[inline]
pub(super) fn position(word: u32) -> u32 {
    word & !WAITS
}

/// `units` after `position`.
#[inline]
pub(super) fn add(position: u32, units: u32) -> u32 {
    position.wrapping_add(units) & !WAITS
}

/// How many units `to` is after `from`.
#[inline]
pub(super) fn distance(from: u32, to: u32) -> u32 {
    to.wrapping_sub(from) & !WAITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_run_freely() {
        let last = WAITS - 1;
        assert_eq!(add(last, 1), 0);
        assert_eq!(distance(last, 0), 1);
        assert_eq!(distance(0, last), last);
        assert_eq!(distance(add(last, 5), add(last, 5)), 0);
        assert_eq!(position(WAITS | 7), 7);
    }
}
