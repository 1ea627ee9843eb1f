// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels to build for and to boot.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{ctx::Ctx, root::Root};

/// Which kernel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Debian's stock kernel of a series, such as `7.3`.
    Series(String),
    /// The debug kernel.
    Debug,
    /// The experimenter's own built tree.
    Dir(PathBuf),
    /// The running kernel; to build for only.
    Host,
}

/// A kernel, ready to be built for and booted.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// `7.3`, `7.2`, `debug`, `dir` or `host`.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// The bzImage.
    pub image: PathBuf,
    /// `…/lib/modules/RELEASE`, if it has modules.
    pub modules: Option<PathBuf>,
    /// The build directory: `KDIR` for out-of-tree modules.
    pub build: PathBuf,
}

impl Kernel {
    /// The kernel, fetched and built if it is not there yet.
    pub fn ensure(_ctx: &Ctx, _root: &Root, _spec: &Spec) -> Result<Self> {
        bail!("not written yet")
    }
}
