// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build root.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{ctx::Ctx, sandbox::Sandbox};

/// The build root: a Debian tree with the compilers, QEMU and what experimenters use.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The root, made if it is not there yet.
    pub fn ensure(_ctx: &Ctx) -> Result<Self> {
        bail!("not written yet")
    }

    /// Where the root's `/` is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A program of the root's, to be run inside it.
    pub fn command(&self, program: &str) -> Sandbox {
        Sandbox::new(&self.path, program)
    }
}
