// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask rust-project`: writes `rust-project.json`, so that rust-analyzer understands `kmod/`: the kernel crate, its
//! generated bindings and the compiler that builds them, where they are on the host.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    ctx::Ctx,
    kernel::{self, Kernel, Spec},
    kmod,
};

/// Writes the file and says how to use it.
pub fn run(ctx: &Ctx) -> Result<ExitCode> {
    let spec = Spec::from_options(ctx, None, None, false)?;
    let root = kernel::root_for(ctx, [&spec])?;
    let kernel = Kernel::ensure(ctx, &root, &spec)?;
    let text = kmod::rust_project(ctx, &root, &kernel)?;
    let path = ctx.workspace.join("rust-project.json");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    ctx.ui.step("for an editor to take it beside the workspace: rust-analyzer.linkedProjects = [\"Cargo.toml\", \"rust-project.json\"]");
    Ok(ExitCode::SUCCESS)
}
