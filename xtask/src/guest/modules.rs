// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of a kernel's modules the guest needs, and in which order they load.
//!
//! Dependencies are read from the modules themselves (`depends=` in their `.modinfo`), for a package's modules come
//! without `modules.dep`. A module that is not there is taken to be built in; if it is not, PID 1 finds out and says so.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::root::Root;

/// What the control port needs. (`virtio_pci` is first: a port is on a bus.)
pub const CONSOLE: &[&str] = &["virtio_pci", "virtio_console"];

/// What mounting needs, and a disk in memory, which takes direct I/O.
pub const OTHERS: &[&str] = &["9p", "9pnet_virtio", "overlay", "brd"];

/// A module, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// The bytes of its `.ko` file.
    pub bytes: Vec<u8>,
}

/// The modules `wanted` and those that they depend on, each after what it depends on. Those in `already` are left out.
pub fn collect(root: &Root, dir: &Path, wanted: &[&str], already: &[Module]) -> Result<Vec<Module>> {
    let index = index(&dir.join("kernel"))?;
    let mut load = |name: &str| match index.get(name) {
        None => Ok(None),
        Some(path) => read(root, path).map(Some),
    };
    let mut order: Vec<Module> = already.to_vec();
    for name in wanted {
        visit(&normal(name), &mut load, &mut order, 0)?;
    }
    Ok(order.split_off(already.len()))
}

/// Depth first: dependencies, then the module.
fn visit(
    name: &str,
    load: &mut impl FnMut(&str) -> Result<Option<Vec<u8>>>,
    order: &mut Vec<Module>,
    depth: usize,
) -> Result<()> {
    if depth > 32 {
        bail!("the kernel's module {name} depends on itself");
    }
    if order.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let Some(bytes) = load(name)? else {
        return Ok(());
    };
    for dependency in dependencies(&bytes) {
        visit(&dependency, load, order, depth + 1)?;
    }
    order.push(Module {
        name: name.to_owned(),
        bytes,
    });
    Ok(())
}

/// The `depends=` entry of a module's `.modinfo`: strings that each end in a NUL.
fn dependencies(module: &[u8]) -> Vec<String> {
    let Some(list) = module
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
    else {
        return Vec::new();
    };
    let list = String::from_utf8_lossy(list);
    list.split(',')
        .filter(|name| !name.is_empty())
        .map(normal)
        .collect()
}

/// Files have hyphens where the kernel has underscores.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Every module file below `dir`, by the module's name.
fn index(dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                dirs.push(path);
            } else if let Some((name, "ko" | "ko.xz" | "ko.gz" | "ko.zst")) = file_name.split_once('.') {
                found.insert(normal(name), path);
            }
        }
    }
    Ok(found)
}

/// A module's bytes, unpacked by the root's tools if it is compressed.
fn read(root: &Root, path: &Path) -> Result<Vec<u8>> {
    let tool = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("gz") => "gzip",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut command = root.command(tool).arg("-dc").command();
    let output = command.stdin(file).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("cannot run {tool} in the build root"))?;
    if !output.status.success() {
        bail!(
            "{tool} cannot unpack {}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Result<Vec<String>> {
        let mut load = |name: &str| {
            Ok(match name {
                "9p" => Some(b"\x7fELF\0depends=9pnet,netfs\0name=9p\0".to_vec()),
                "9pnet_virtio" => Some(b"depends=9pnet\0".to_vec()),
                "9pnet" | "netfs" => Some(b"license=GPL\0depends=\0".to_vec()),
                "loop_a" => Some(b"depends=loop_b\0".to_vec()),
                "loop_b" => Some(b"depends=loop-a\0".to_vec()),
                _ => None,
            })
        };
        let mut order = Vec::new();
        for name in wanted {
            visit(name, &mut load, &mut order, 0)?;
        }
        Ok(order.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn a_module_comes_once_and_after_what_it_depends_on() {
        assert_eq!(
            names(&["9p", "9pnet_virtio", "9p"]).unwrap(),
            ["9pnet", "netfs", "9p", "9pnet_virtio"]
        );
    }

    #[test]
    fn what_is_built_in_is_passed_over() {
        assert!(names(&["virtio_pci"]).unwrap().is_empty());
    }

    #[test]
    fn a_circle_is_an_error() {
        assert!(names(&["loop_a"]).is_err());
    }
}
