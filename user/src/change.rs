// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be changed of a segment, and of a handle. Pure.

use crate::error::SetErrorKind;
use crate::uapi::{ACCESS_READ, ACCESS_WRITE, SET_GID, SET_MODE, SET_UID, Set};

/// What to change of a segment: what is not named stays.
///
/// ```
/// use shmdev::Change;
///
/// let change = Change::new().gid(100).mode(0o660);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it does nothing unless passed to `set`"]
pub struct Change {
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<u32>,
}

impl Change {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The owner, as the caller's user namespace sees it. The creator stays the creator.
    pub fn uid(self, uid: u32) -> Self {
        Self {
            uid: Some(uid),
            ..self
        }
    }

    /// The group, as the caller's user namespace sees it.
    pub fn gid(self, gid: u32) -> Self {
        Self {
            gid: Some(gid),
            ..self
        }
    }

    /// The permission bits, 0 to 0o777.
    pub fn mode(self, mode: u32) -> Self {
        Self {
            mode: Some(mode),
            ..self
        }
    }

    /// As the ABI writes it, for its own segment.
    pub(crate) fn to_abi(self) -> Result<Set, SetErrorKind> {
        if self == Self::default() {
            return Err(SetErrorKind::Empty);
        }
        if self.mode.is_some_and(|mode| mode > 0o777) {
            return Err(SetErrorKind::InvalidMode);
        }
        let field = |value: Option<u32>, bit| value.map_or(0, |_| bit);
        Ok(Set {
            fields: field(self.uid, SET_UID) | field(self.gid, SET_GID) | field(self.mode, SET_MODE),
            uid: self.uid.unwrap_or_default(),
            gid: self.gid.unwrap_or_default(),
            mode: self.mode.unwrap_or_default(),
            ..Set::default()
        })
    }
}

/// What a handle may do with the bytes of its segment; see [`Segment::restrict`](crate::Segment::restrict).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rights {
    /// Read them, map them read-only, hold READ ranges.
    Read,
    /// Write them with `write`, hold WRITE ranges. Every mapping needs the right to read.
    Write,
    /// All of it.
    ReadWrite,
}

impl Rights {
    pub(crate) fn to_abi(self) -> u32 {
        match self {
            Self::Read => ACCESS_READ,
            Self::Write => ACCESS_WRITE,
            Self::ReadWrite => ACCESS_READ | ACCESS_WRITE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_what_the_abi_says() {
        let set = Change::new().gid(100).mode(0o660).to_abi().unwrap();
        assert_eq!((set.fields, set.uid, set.gid, set.mode), (6, 0, 100, 0o660));
        let set = Change::new().uid(0).to_abi().unwrap();
        assert_eq!((set.fields, set.uid), (1, 0));
        assert_eq!(Change::new().to_abi(), Err(SetErrorKind::Empty));
        assert_eq!(
            Change::new().mode(0o1000).to_abi(),
            Err(SetErrorKind::InvalidMode)
        );
    }
}
