// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask rust-project`: writes `rust-project.json`, so that rust-analyzer understands `kmod/`: the kernel crate, its
//! generated bindings and the compiler that builds them, where they are on the host.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    ctx::Ctx,
    kernel::{Kernel, Spec},
    kmod,
    root::Root,
};

/// Writes the file and says how to use it.
pub fn run(ctx: &Ctx) -> Result<ExitCode> {
    let root = Root::ensure(ctx)?;
    let kernel = Kernel::ensure(ctx, &root, &Spec::from_options(ctx, None, None, false)?)?;
    let text = kmod::rust_project(ctx, &root, &kernel)?;
    let path = ctx.workspace.join("rust-project.json");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    ctx.ui.step("for an editor to take it beside the workspace: rust-analyzer.linkedProjects = [\"Cargo.toml\", \"rust-project.json\"]");
    Ok(ExitCode::SUCCESS)
}
