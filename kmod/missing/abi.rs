// SPDX-License-Identifier: GPL-2.0

//! Permission to copy the ABI's structures between kernel and user memory as bytes.

use crate::uapi;
use kernel::transmute::{
    AsBytes,
    FromBytes, //
};

/// Asserts at compile time that a structure of integers has no padding: its size is the sum of its
/// fields'.
macro_rules! no_padding {
    ($type:ty, $($field:ident)+) => {
        const _: () = {
            const fn size_of_field<T>(_: fn(&$type) -> &T) -> usize {
                size_of::<T>()
            }
            assert!(size_of::<$type>() == 0 $(+ size_of_field(|s| &s.$field))+);
        };
    };
}

no_padding!(uapi::Info, abi_version page_size features default_size token max_ranges reserved);
no_padding!(uapi::Stat, id size mapped_size nattch handles generation holders waiters pieces flags reserved);
no_padding!(uapi::SyncRange, offset len deadline_ns generation op access flags status);

// SAFETY: `repr(C)`, integers alone, and no padding, as asserted above: no byte is uninitialised.
unsafe impl AsBytes for uapi::Info {}
// SAFETY: As above.
unsafe impl AsBytes for uapi::Stat {}
// SAFETY: As above.
unsafe impl AsBytes for uapi::SyncRange {}
// SAFETY: `repr(C)` and integers alone: every bit pattern is a value.
unsafe impl FromBytes for uapi::SyncRange {}
