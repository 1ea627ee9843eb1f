// SPDX-License-Identifier: MIT OR Apache-2.0
//! x
pub(crate) const TESTS: &[crate::harness::Test] = &[];
