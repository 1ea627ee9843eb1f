// SPDX-License-Identifier: GPL-2.0

//! Allocation flags that the `kernel` crate has no name for.

use core::mem::transmute;
use kernel::{
    alloc::Flags,
    bindings, //
};

/// As `GFP_KERNEL_ACCOUNT`, but fails, without a warning, where that would have the OOM killer
/// called: for what an unprivileged caller asks for, and can do without.
pub(crate) const GFP_MAY_FAIL: Flags = {
    let flags = bindings::GFP_KERNEL_ACCOUNT
        | bindings::__GFP_NOWARN
        | 1 << bindings::___GFP_RETRY_MAYFAIL_BIT;
    // SAFETY: All that a `Flags` has is a number of this type, as large as itself, and which flags
    // go together is for the C side to say.
    unsafe { transmute::<bindings::gfp_t, Flags>(flags) }
};
