// SPDX-License-Identifier: MIT OR Apache-2.0
//! `qemu/debian.toml`: which Debian release, packages and kernels. Reads and checks it, nothing else.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The file, parsed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The release's code name.
    pub release: String,
    /// Suites of the main archive.
    pub suites: Vec<String>,
    /// The suite of the security archive.
    pub security: String,
    /// Packages of the root.
    pub packages: Vec<String>,
    /// Stock kernels.
    pub kernels: Kernels,
    /// The debug kernel.
    pub debug: Debug,
}

/// Debian's own kernels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// Series that are known to work, the default first.
    pub series: Vec<String>,
    /// Debian's flavour: the last word of `uname -r`.
    pub flavour: String,
    /// The C compiler Debian builds them with.
    pub compiler: String,
}

/// The kernel that is built here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debug {
    /// The series whose source it is built from.
    pub series: String,
    /// kbuild's `LLVM=`.
    pub llvm: String,
}

impl Recipe {
    /// Reads the workspace's file.
    pub fn load(workspace: &Path) -> Result<Self> {
        let path = workspace.join("qemu/debian.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Recipe::parse(&text).with_context(|| format!("{} is not as it should be", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let recipe: Recipe = toml::from_str(text)?;
        ensure!(!recipe.kernels.series.is_empty(), "kernels.series is empty");
        ensure!(
            recipe.kernels.series.contains(&recipe.debug.series),
            "debug.series is not in kernels.series"
        );
        Ok(recipe)
    }

    /// The kernel that is meant when none is named.
    pub fn default_series(&self) -> &str {
        &self.kernels.series[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_file_is_well_formed() {
        let recipe = Recipe::parse(include_str!("../../qemu/debian.toml")).unwrap();
        assert_eq!(recipe.default_series(), "7.3");
        assert!(recipe.packages.iter().any(|package| package == "pahole"));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = include_str!("../../qemu/debian.toml").replace("flavour", "flavor");
        assert!(Recipe::parse(&text).is_err());
    }
}
