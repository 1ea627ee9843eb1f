// SPDX-License-Identifier: GPL-2.0

//! Small numbers that are unique among those in use.

use super::ffi;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A number from 1 to the limit given when it was allocated, that no other live `Token` has.
///
/// # Invariants
///
/// The number was returned by `shmdev_token_alloc` and has not been freed.
pub(crate) struct Token(u32);

impl Token {
    /// Allocates a number from 1 to `max`; the one freed last comes last.
    ///
    /// Fails with `EBUSY` when all are in use and with `ENOMEM`.
    pub(crate) fn allocate(max: u32) -> Result<Self> {
        let mut token = 0;
        // SAFETY: The pointer is valid for writing a `u32`.
        to_result(unsafe { ffi::shmdev_token_alloc(&raw mut token, max) })?;
        // INVARIANT: It was just allocated.
        Ok(Self(token))
    }

    /// The number.
    pub(crate) fn get(&self) -> u32 {
        self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the token is allocated, and nobody uses it after this.
        unsafe { ffi::shmdev_token_free(self.0) }
    }
}
