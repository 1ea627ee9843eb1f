// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{ctx::Ctx, kernel::Kernel, root::Root};

/// Builds the module for `kernel`; the path of `shmdev.ko`.
pub fn build(_ctx: &Ctx, _root: &Root, _kernel: &Kernel) -> Result<PathBuf> {
    bail!("not written yet")
}
