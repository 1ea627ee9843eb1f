// SPDX-License-Identifier: GPL-2.0

//! What the `kernel` crate lacks, written as it would write it.
//!
//! This is the only place of the module with `unsafe` in it: code outside builds on the safe
//! interfaces of these files. Nothing here knows what shmdev is for, but for `abi`, which says that
//! its structures may be copied as bytes.

#![allow(unsafe_code)]

pub(crate) mod abi;
pub(crate) mod barrier;
pub(crate) mod clock;
pub(crate) mod creds;
pub(crate) mod debugfs;
pub(crate) mod errno;
pub(crate) mod eventfd;
mod fault;
mod ffi;
pub(crate) mod gfp;
pub(crate) mod ipc_ns;
mod mapping;
pub(crate) mod miscdev;
pub(crate) mod pages;
pub(crate) mod parameters;
pub(crate) mod park;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod random;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod user;
pub(crate) mod vma;
