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

/// Asserts that a structure has no padding, and says that its bytes may be copied: out of the
/// kernel, and into it.
macro_rules! plain {
    ($($type:ident: $($field:ident)+;)*) => {
        $(
            no_padding!(uapi::$type, $($field)+);
            // SAFETY: `repr(C)`, integers and arrays and structures of them alone, and no padding,
            // as asserted above: no byte is uninitialised.
            unsafe impl AsBytes for uapi::$type {}
            // SAFETY: Of integers alone every bit pattern is a value.
            unsafe impl FromBytes for uapi::$type {}
        )*
    };
}

plain! {
    Info: abi_version page_size features default_size token max_ranges max_segments
        max_segment_bytes max_total_bytes max_bytes_per_uid segments total_bytes uid_bytes
        window_start window_end access restricted max_robust default_map reserved;
    Target: name id by reserved;
    Stat: target size mapped_size nattch handles generation created_ns attached_ns changed_ns
        holders waiters pieces flags uid gid creator_uid creator_gid creator_pid last_pid mode
        sleepers reserved;
    SyncRange: offset len deadline_ns generation op access flags status;
    Create: name size id mode flags status reserved;
    Open: target size reserved;
    Set: target fields uid gid mode;
    Resize: target size reserved;
    Remove: target;
    List: cursor count flags segments;
    Restrict: offset len access flags;
    Wait: offset deadline_ns expected flags;
    Wake: offset count flags;
    WaitWord: offset expected flags;
    Requeue: from to expected wake requeue flags;
    WakeWait: wake wait;
    Robust: offset flags reserved;
    Eventfd: offset fd flags;
}
