// SPDX-License-Identifier: MIT OR Apache-2.0

//! The system's calls for which no library has safe functions. Safe to call, whatever the arguments.

pub mod counter;
pub mod glibc;
pub mod ipc;
pub mod memory;
pub mod mutex;
pub mod process;
