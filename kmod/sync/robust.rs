// SPDX-License-Identifier: GPL-2.0

//! What becomes of a lock word when its owner dies.

use crate::uapi;

/// What a lock word holds after the death of the handle with that token; `None` if that one does not
/// own it. Users may have written anything.
pub(crate) fn after_death(value: u32, token: u32) -> Option<u32> {
    (value & uapi::WORD_TOKEN == token)
        .then_some(value & uapi::WORD_WAITERS | uapi::WORD_OWNER_DIED)
}
