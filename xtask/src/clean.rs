// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`: removes what was built from the workspace, and with `--cache` all that is kept in the cache.

use std::{fs, process::ExitCode};

use anyhow::Result;

use crate::{cache, ctx::Ctx, disk};

/// What is built from the workspace, by kind of cache entry.
const BUILT: [&str; 6] = [
    "kmod",
    "kmod-clippy",
    "kmod-analyzer",
    "image",
    "building",
    "logs",
];

/// Arguments of `cargo xtask clean`.
#[derive(clap::Args)]
pub struct Args {
    /// Also remove the build root, the kernels and the downloaded packages
    #[arg(long)]
    cache: bool,
}

/// Removes.
pub fn run(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    let before = disk::usage(ctx.cache.dir()).unwrap_or(0);
    cache::remove_tree(&ctx.workspace.join("target/guest"))?;
    for entry in fs::read_dir(ctx.cache.dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        // Locks stay: removing one that somebody holds would let a third in beside the holder.
        if name != "locks" && (args.cache || BUILT.iter().any(|kind| name == *kind)) {
            cache::remove_tree(&entry.path())?;
        }
    }
    let after = disk::usage(ctx.cache.dir()).unwrap_or(0);
    ctx.ui.step(&format!(
        "removed {} from {}",
        disk::human(before.saturating_sub(after)),
        ctx.cache.dir().display()
    ));
    Ok(ExitCode::SUCCESS)
}
