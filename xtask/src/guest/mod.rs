// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest: its image, the machine that runs it, and the commands that use it.
//!
//! From the bottom: `cpio` and `modules` make what `image` puts together; `qemu` says what QEMU's arguments are, `accel`
//! whether KVM works; `session` runs a guest by the `clock` and speaks `protocol` with its PID 1; `outcome` judges what
//! happened, and `abreast` runs several at once, whose words `held` keeps until it is their turn to be heard. `vm`, `test` (with
//! `host_tests`) and `demo` are the subcommands; `program` runs one of our programs for those elsewhere, such as `bench`.

mod abreast;
pub mod accel;
mod clock;
#[cfg(test)]
#[path = "../../../qemu/init/src/cmdline.rs"]
mod cmdline;
mod cpio;
pub mod demo;
#[cfg(test)]
mod fake;
mod held;
mod host_tests;
pub mod image;
pub mod machine;
mod machinery;
mod modules;
mod outcome;
pub mod program;
#[path = "../../../qemu/init/src/protocol.rs"]
#[allow(dead_code, reason = "each side uses its half")]
mod protocol;
pub mod qemu;
mod report;
pub mod session;
mod summary;
mod terminal;
pub mod test;
#[path = "../../../tests/src/trouble.rs"]
#[allow(dead_code, reason = "each side uses what it needs")]
mod trouble;
pub mod vm;

use anyhow::Result;

use crate::{ctx::Ctx, guest_bins::Purpose, kernel::Spec};

/// Whether KVM can run a guest with the default kernel: found out with one, whatever was found before, and remembered.
pub fn kvm_works(ctx: &Ctx) -> Result<bool> {
    let parts = image::prepare(ctx, &Spec::from_options(ctx, None, None, false)?, Purpose::Use)?;
    Ok(accel::try_anew(ctx, &parts)? == qemu::Engine::Kvm)
}
