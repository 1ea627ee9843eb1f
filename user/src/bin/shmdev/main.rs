// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `shmdev` command.

fn main() {}
