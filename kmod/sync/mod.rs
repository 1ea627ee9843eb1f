// SPDX-License-Identifier: GPL-2.0

//! Synchronisation between processes that share a segment.

pub(crate) mod generation;
pub(crate) mod marks;
pub(crate) mod ranges;
pub(crate) mod robust;
