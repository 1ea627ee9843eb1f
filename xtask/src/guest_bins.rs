// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of ours that run in the guest, built with the host's cargo and linked statically, so that they run on
//! any root whatever its libc.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{ctx::Ctx, error::Failure, run};

/// glibc's own static archive comes with the C compiler's headers; no other target has to be installed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const INIT: &str = "shmdev-init";

/// What a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The demo.
    Demo,
    /// Somebody uses it.
    Use,
    /// It runs the tests.
    Tests,
    /// It runs the benchmarks.
    Bench,
}

impl Purpose {
    /// What it takes beside PID 1, and no more, for each is compiled: packages, and programs of theirs.
    fn takes(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Purpose::Demo => (&["shmdev-demo"], &["shmdev-demo"]),
            Purpose::Use => (&["shmdev"], &["shmdev"]),
            Purpose::Tests => (
                &["shmdev", "shmdev-tests"],
                &["shmdev", "shmdev-tests", "shmdev-select"],
            ),
            Purpose::Bench => (&["shmdev-bench"], &["shmdev-bench"]),
        }
    }
}

/// Programs for the guest.
#[derive(Debug, Clone)]
pub struct GuestBins {
    /// PID 1.
    pub init: PathBuf,
    /// What goes into `/usr/local/bin`: name and file.
    pub programs: Vec<(&'static str, PathBuf)>,
}

impl GuestBins {
    /// The program of that name.
    pub fn program(&self, name: &str) -> Option<&Path> {
        let found = self.programs.iter().find(|(own, _)| *own == name);
        found.map(|(_, path)| path.as_path())
    }
}

/// Builds what that takes.
pub fn build(ctx: &Ctx, purpose: Purpose) -> Result<GuestBins> {
    let target = ctx.workspace.join("target/guest");
    let (packages, programs) = purpose.takes();
    let task = ctx.ui.task("programs for the guest", 0);
    let mut said = Vec::new();
    let made = run::judged(
        ctx,
        &mut cargo(&ctx.workspace, &target, packages),
        "guest-programs",
        |line| {
            task.message(line.unwrap_or_default());
            said.extend(line.map(str::to_owned));
        },
    );
    task.finish();
    if !matches!(made, Ok(true)) {
        said.iter().for_each(|line| ctx.ui.line(line));
    }
    if !made? {
        return Err(Failure::tests(explain(&said)));
    }
    let built = target.join(TARGET).join("guest");
    Ok(GuestBins {
        init: built.join(INIT),
        programs: programs.iter().map(|&name| (name, built.join(name))).collect(),
    })
}

fn cargo(workspace: &Path, target: &Path, packages: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace)
        .args(["build", "--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(target);
    cargo.args(["--package", INIT, "--bins"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        rustflags(workspace, env::var_os("CARGO_HOME").map(PathBuf::from)),
    );
    // What `cargo xtask` itself was started with is not meant for the guest's programs.
    for inherited in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
        cargo.env_remove(inherited);
    }
    cargo
}

/// Static, and the same wherever the workspace and cargo's home are.
fn rustflags(workspace: &Path, cargo_home: Option<PathBuf>) -> String {
    let home = cargo_home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!("--remap-path-prefix={}=shmdev", workspace.display()));
    flags.extend(home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    flags.join("\u{1f}")
}

fn explain(said: &[String]) -> String {
    let static_libc_missing = said
        .iter()
        .any(|line| line.contains("cannot find -lc") || line.contains("libc.a"));
    if static_libc_missing {
        "the guest's programs cannot be linked statically: install the C library's static archive (Debian: libc6-dev, \
         Fedora: glibc-static)"
            .to_owned()
    } else {
        "the guest's programs do not build; what cargo said is above".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_static_and_do_not_tell_where_they_were_built() {
        let flags = rustflags(Path::new("/w"), Some("/c".into()));
        let expected = "-Ctarget-feature=+crt-static\u{1f}--remap-path-prefix=/w=shmdev\u{1f}--remap-path-prefix=/c=cargo";
        assert_eq!(flags, expected);
    }

    #[test]
    fn a_missing_static_libc_is_named() {
        assert!(explain(&["ld: cannot find -lc: No such file".into()]).contains("glibc-static"));
        assert!(!explain(&["error[E0308]".into()]).contains("glibc-static"));
    }
}
