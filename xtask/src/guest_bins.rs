// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of ours that run in the guest, linked statically.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::ctx::Ctx;

/// Programs for the guest.
#[derive(Debug, Clone)]
pub struct GuestBins {
    /// PID 1.
    pub init: PathBuf,
    /// The `shmdev` command.
    pub shmdev: PathBuf,
    /// The demo.
    pub demo: PathBuf,
    /// The guest's tests.
    pub tests: PathBuf,
}

/// Builds them all.
pub fn build(_ctx: &Ctx) -> Result<GuestBins> {
    bail!("not written yet")
}
