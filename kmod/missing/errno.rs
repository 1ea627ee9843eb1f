// SPDX-License-Identifier: GPL-2.0

//! Error codes that the `kernel` crate of older kernels does not name.

use kernel::{
    bindings,
    error::Error, //
};

macro_rules! errno {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("The error `", stringify!($name), "`.")]
            #[allow(non_snake_case)]
            pub(crate) fn $name() -> Error {
                // CAST: Every errno is less than 4096.
                Error::from_errno(-(bindings::$name as kernel::ffi::c_int))
            }
        )*
    };
}

errno!(EDEADLK EIDRM ENAMETOOLONG ENOLCK EOPNOTSUPP ETIMEDOUT);
