// SPDX-License-Identifier: GPL-2.0

//! Names of segments.

use crate::{
    missing::errno::ENAMETOOLONG,
    uapi::NAME_SIZE, //
};
use kernel::prelude::*;

/// A valid name: 1 to 63 bytes of `A-Z a-z 0-9 . _ -`, but neither `.` nor `..`, so that it can be
/// the name of a file, a word of a shell and a field of a table.
///
/// # Invariants
///
/// The name is followed by zeros, one at least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name([u8; NAME_SIZE]);

impl Name {
    /// The name in a field of the ABI; `None` if that is all zero.
    ///
    /// Fails with `ENAMETOOLONG` if no zero ends it, and with `EINVAL` if it is no name.
    pub(crate) fn parse(field: &[u8; NAME_SIZE]) -> Result<Option<Self>> {
        if *field == [0; NAME_SIZE] {
            return Ok(None);
        }
        let len = field
            .iter()
            .position(|&byte| byte == 0)
            .ok_or_else(ENAMETOOLONG)?;
        let (name, rest) = field.split_at_checked(len).ok_or(EINVAL)?;
        let allowed = |&byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !rest.iter().all(|&byte| byte == 0)
            || !name.iter().all(allowed)
            || name == b"."
            || name == b".."
        {
            return Err(EINVAL);
        }
        // INVARIANT: `rest` is zeros, one at least.
        Ok(Some(Self(*field)))
    }

    /// As a field of the ABI.
    pub(crate) fn field(&self) -> [u8; NAME_SIZE] {
        self.0
    }

    /// As a C string.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    /// As a string.
    pub(crate) fn as_str(&self) -> &str {
        self.as_c_str().to_str().unwrap_or("")
    }
}
