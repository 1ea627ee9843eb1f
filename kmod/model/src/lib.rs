// SPDX-License-Identifier: GPL-2.0

//! The module's range locks, compiled for the host from the very files that the kernel gets, and compared with
//! models that are too simple to be wrong. Only tests live here.

#![cfg(test)]
#![allow(missing_docs, unreachable_pub)]

// The files under test say `use kernel::prelude::*`: here that is the stand-in below.
extern crate self as kernel;

pub mod prelude;

#[path = "../../sync"]
#[allow(dead_code)]
mod sync {
    pub(crate) mod marks;
    pub(crate) mod ranges;
}

mod missing {
    pub(crate) mod gfp {
        pub(crate) const GFP_MAY_FAIL: crate::prelude::Flags = crate::prelude::Flags;
    }
}

mod marks_model;
mod ranges_model;
