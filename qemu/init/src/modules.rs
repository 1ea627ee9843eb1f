// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loads the kernel's modules that the guest needs, and ours.
//!
//! The image's builder has sorted them: `/lib/modules/console` lists what the control port needs, `/lib/modules/rest` the
//! others, a path on each line, in an order in which they can be loaded. What is built into the kernel is not listed.

use std::{
    ffi::CString,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{io::Errno, system::finit_module};

/// Where the image keeps our module.
pub const OURS: &str = "/lib/shmdev";

/// Loads what the control port needs.
pub fn load_console() -> Result<()> {
    load_list("/lib/modules/console")
}

/// Loads the others.
pub fn load_rest() -> Result<()> {
    load_list("/lib/modules/rest")
}

/// Loads our module, with its parameters. An image without one is fine: it is an image for another purpose.
pub fn load_ours(parameters: &str) -> Result<()> {
    let Ok(entries) = fs::read_dir(OURS) else {
        return Ok(());
    };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "ko"))
    {
        load(path, parameters).with_context(|| {
            format!("the kernel refuses the module with parameters {parameters:?}; its log says why")
        })?;
    }
    Ok(())
}

fn load_list(list: &str) -> Result<()> {
    let list = fs::read_to_string(list).with_context(|| format!("the image lacks {list}"))?;
    list.lines().try_for_each(|path| load(Path::new(path), ""))
}

fn load(path: &Path, parameters: &str) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    match finit_module(&file, &CString::new(parameters)?, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot load {}", path.display())),
    }
}
