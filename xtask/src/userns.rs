// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user namespace in which an ordinary user is root: uid 0 is the user, 1 and up are the user's subordinate ids
//! (`/etc/subuid`). The build root's files belong to those, so whatever makes, reads or removes it runs in here.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// Whether this process is root already and needs no namespace.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as root: as it is for root, in the user namespace for anybody else.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--map-auto", "--"])
        .arg(program);
    command
}

/// Removes a tree whose files belong to subordinate ids.
pub fn remove_tree(path: &Path) -> Result<()> {
    let status = command("rm")
        .args(["-rf", "--one-file-system", "--"])
        .arg(path)
        .status();
    let status = status.context("cannot run rm")?;
    ensure!(
        status.success(),
        "cannot remove {}: remove it as root",
        path.display()
    );
    Ok(())
}
