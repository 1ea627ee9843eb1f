// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disk space: asked for before work that would otherwise fail half-way, and shown by `doctor`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{ctx::Ctx, error::Failure, userns};

/// Bytes that the user can still write where `path`, or the nearest parent that exists, is.
pub fn free(path: &Path) -> Result<u64> {
    let there = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there).with_context(|| format!("cannot look at {}", there.display()))?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Stops when the cache's disk has less than `megabytes` left.
pub fn require(ctx: &Ctx, what: &str, megabytes: u64) -> Result<()> {
    let free = free(ctx.cache.dir())? >> 20;
    if free >= megabytes {
        return Ok(());
    }
    Err(Failure::machinery(format!(
        "{what} needs {megabytes} MB, and {} has {free} MB left: free some (`cargo xtask clean --cache` empties the \
         cache), or set SHMDEV_CACHE to a directory on a larger disk",
        ctx.cache.dir().display()
    )))
}

/// Bytes that a tree takes.
pub fn usage(path: &Path) -> Option<u64> {
    let output = userns::command("du")
        .args(["-s", "-B1", "--"])
        .arg(path)
        .output()
        .ok()?;
    String::from_utf8(output.stdout)
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Bytes, for a person.
pub fn human(bytes: u64) -> String {
    match bytes >> 20 {
        megabytes if megabytes >= 10 << 10 => format!("{} GB", megabytes >> 10),
        megabytes => format!("{megabytes} MB"),
    }
}
