// SPDX-License-Identifier: MIT OR Apache-2.0

//! Primitives that lie in a segment and survive the death of any process that uses them.

pub(crate) mod header;
mod once_word;
pub(crate) mod seam;

pub use seam::CallError;
