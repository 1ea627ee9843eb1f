// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest: its image, the machine that runs it, and the commands that use it.

pub mod demo;
pub mod image;
pub mod test;
pub mod vm;
