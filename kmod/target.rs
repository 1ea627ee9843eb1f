// SPDX-License-Identifier: GPL-2.0

//! Which segment a call is about.

use crate::{
    name::Name,
    uapi, //
};
use kernel::prelude::*;

/// Which segment a call is about.
pub(crate) enum Selector {
    /// That of the handle.
    Handle,
    Id(u64),
    Name(Name),
    /// That of the handle of this descriptor.
    Descriptor(u32),
}

impl Selector {
    /// What a [`uapi::Target`] selects. Fails with `EINVAL` and `ENAMETOOLONG`.
    pub(crate) fn parse(target: &uapi::Target) -> Result<Self> {
        if target.reserved != 0 {
            return Err(EINVAL);
        }
        match (target.by, Name::parse(&target.name)?, target.id) {
            (uapi::BY_HANDLE, None, 0) => Ok(Self::Handle),
            (uapi::BY_ID, None, id) => Ok(Self::Id(id)),
            (uapi::BY_NAME, Some(name), 0) => Ok(Self::Name(name)),
            _ => Err(EINVAL),
        }
    }

    /// So, too, but it may also be a descriptor.
    pub(crate) fn parse_to_open(target: &uapi::Target) -> Result<Self> {
        if target.by != uapi::BY_DESCRIPTOR {
            return Self::parse(target);
        }
        if target.reserved != 0 || Name::parse(&target.name)?.is_some() {
            return Err(EINVAL);
        }
        // What is too large for a descriptor is none.
        Ok(Self::Descriptor(
            u32::try_from(target.id).unwrap_or(u32::MAX),
        ))
    }
}
