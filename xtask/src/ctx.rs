// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every subcommand gets: where the project and the cache are, and how to talk to the person.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{cache::Cache, ui::Ui};

/// The surroundings of a subcommand.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The workspace's root directory.
    pub workspace: PathBuf,
    /// The user's cache.
    pub cache: Cache,
    /// How to talk to the person.
    pub ui: Ui,
}

impl Ctx {
    /// Finds the surroundings.
    pub fn new(verbose: bool, quiet: bool) -> Result<Self> {
        // Set by `cargo run`, and then right even if the tree was moved after this program was built.
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let workspace = Path::new(&manifest)
            .parent()
            .context("xtask has no parent directory")?
            .to_owned();
        Ok(Ctx {
            workspace,
            cache: Cache::locate()?,
            ui: Ui::new(verbose, quiet),
        })
    }
}
