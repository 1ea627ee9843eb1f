// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels that somebody else built: the experimenter's own tree, and the running kernel. Nothing in them is changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result};

use super::{Kernel, Toolchain, archive, config, stock};
use crate::{cache::Key, ctx::Ctx, error::Failure, root::Root, run};

/// What a module is built against, and what makes it.
const PARTS: [(&str, &str); 4] = [
    (
        ".config",
        "it is not configured: run `make defconfig rust.config` or the like in it",
    ),
    (
        "include/config/kernel.release",
        "it is not built: run `make` in it",
    ),
    (
        "rust/libkernel.rmeta",
        "it has no Rust metadata: switch CONFIG_RUST on and run `make` in it",
    ),
    ("Module.symvers", "it is not built as a whole: run `make` in it"),
];

/// What a guest is made of beside a module's kernel: options that distributions have, and a `defconfig` not all.
const GUEST: [&str; 9] = [
    "9P_FS",
    "BLK_DEV_INITRD",
    "DEVTMPFS",
    "NET_9P_VIRTIO",
    "OVERLAY_FS",
    "SERIAL_8250_CONSOLE",
    "TMPFS",
    "VIRTIO_CONSOLE",
    "VIRTIO_PCI",
];

/// A directory of the experimenter's, seen to be a built tree before any work begins.
pub fn checked(dir: &Path) -> Result<PathBuf> {
    let dir = fs::canonicalize(dir).map_err(|error| {
        Failure::usage(format!(
            "--kernel-dir {} cannot be used: {error}; name a built kernel tree",
            dir.display()
        ))
    })?;
    require_parts(&dir)?;
    source(&dir)?;
    Ok(dir)
}

/// The experimenter's own tree, [`checked`].
pub fn ensure(ctx: &Ctx, root: &Root, dir: &Path) -> Result<Kernel> {
    inspect(ctx, root, "dir", dir)
}

/// Stops if a kernel of the experimenter's cannot run a guest for want of options.
pub fn require_guest(kernel: &Kernel) -> Result<()> {
    let options = super::read(&kernel.build.join(".config"))?;
    let lacking = lacking(&options, kernel.modules.is_some());
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Failure::machinery(format!(
        "{} cannot be started as a guest, for it was built without {}: switch that on with `scripts/config -e {}` and `make \
         olddefconfig`, and build it again. (What is a module, =m, is found after `make modules_install \
         INSTALL_MOD_PATH={}` only)",
        kernel.build.display(),
        lacking.join(", "),
        lacking.join(" -e "),
        kernel.build.display()
    )))
}

/// Options that a guest needs and does not find.
fn lacking(options: &str, modules: bool) -> Vec<&'static str> {
    let found = |option: &&str| match config::value(options, option) {
        Some("y") => true,
        Some("m") => modules,
        _ => false,
    };
    GUEST.into_iter().filter(|option| !found(option)).collect()
}

/// The running kernel: its build directory if that has Rust metadata; Debian's, made again; to build for only.
pub fn host(ctx: &Ctx, root: &Root) -> Result<Kernel> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let build = PathBuf::from(format!("/lib/modules/{release}/build"));
    if build.join("rust/libkernel.rmeta").exists() {
        return inspect(ctx, root, "host", &fs::canonicalize(build)?);
    }
    if archive::parse_release(&release).is_some() {
        return Ok(Kernel {
            name: "host".to_owned(),
            ..stock::ensure_release(ctx, root, &release)?
        });
    }
    Err(Failure::machinery(format!(
        "no module can be built for the running kernel {release}: {} has no Rust metadata (rust/libkernel.rmeta). Install \
         your distribution's kernel headers if its kernel has CONFIG_RUST=y, boot one that has (Debian 13 with \
         backports, recent Ubuntu, Fedora, Arch), or point --kernel-dir at a kernel tree that you built",
        build.display()
    )))
}

fn require_parts(dir: &Path) -> Result<()> {
    let missing = PARTS.iter().find(|(part, _)| !dir.join(part).exists());
    if let Some((part, why)) = missing {
        let message = format!(
            "no module can be built for {}: {part} is missing, {why}",
            dir.display()
        );
        return Err(Failure::machinery(message));
    }
    Ok(())
}

/// Where the source of a build directory is: there, unless it was made by `make O=…`, which leaves a Makefile that
/// includes the source's and a link.
fn source(dir: &Path) -> Result<PathBuf> {
    let makefile = fs::read_to_string(dir.join("Makefile")).unwrap_or_default();
    let included = makefile
        .lines()
        .take(10)
        .find_map(|line| line.strip_prefix("include ")?.trim().strip_suffix("/Makefile"));
    let link = dir.join("source");
    let source = match included {
        // Not made canonical: make will look under this very name.
        Some(source) if !source.contains('$') => dir.join(source),
        _ if link.is_symlink() => fs::read_link(&link).map(|target| dir.join(target))?,
        _ => return Ok(dir.to_owned()),
    };
    if source.join("Makefile").exists() {
        return Ok(source);
    }
    Err(Failure::machinery(format!(
        "no module can be built for {}: its source {} is gone; configure it again, in the source's directory, with `make \
         O={} olddefconfig`, and build it",
        dir.display(),
        source.display(),
        dir.display()
    )))
}

fn inspect(ctx: &Ctx, root: &Root, name: &str, dir: &Path) -> Result<Kernel> {
    require_parts(dir)?;
    let source = source(dir)?;
    let options = super::read(&dir.join(".config"))?;
    let toolchain = toolchain(ctx, root, dir, &options)?;
    let release = super::read(&dir.join("include/config/kernel.release"))?
        .trim()
        .to_owned();
    let modules = dir.join("lib/modules").join(&release);
    Ok(Kernel {
        name: name.to_owned(),
        version: release.clone(),
        image: dir.join("arch/x86/boot/bzImage"),
        unpacked: None,
        modules: modules.exists().then_some(modules),
        build: dir.to_owned(),
        source,
        toolchain,
        make: compiler(&options, toolchain),
        key: key(dir, &options, &release)?,
        release,
    })
}

/// Whose rustc built it: only the very same can build modules for it.
fn toolchain(ctx: &Ctx, root: &Root, dir: &Path, options: &str) -> Result<Toolchain> {
    let built_by = config::value(options, "RUSTC_VERSION_TEXT").unwrap_or("no rustc");
    let ask =
        |command: &mut std::process::Command| run::output(ctx, command).unwrap_or_default().trim().to_owned();
    let ours = ask(&mut root.command("rustc").arg("--version").command());
    if built_by == ours {
        return Ok(Toolchain::RootInPlace);
    }
    let theirs = ask(std::process::Command::new("rustc").arg("--version"));
    if built_by == theirs {
        return Ok(Toolchain::Host);
    }
    Err(Failure::machinery(format!(
        "{} was built by `{built_by}`; the build root has `{ours}`, this machine `{theirs}`: a module needs the very same \
         compiler. Install it here, or build the tree with one of the two",
        dir.display()
    )))
}

/// What make is told of the compiler, from what the configuration says of it.
fn compiler(options: &str, toolchain: Toolchain) -> Vec<String> {
    let text = config::value(options, "CC_VERSION_TEXT").unwrap_or_default();
    if config::value(options, "CC_IS_CLANG").is_some() {
        let suffix = if toolchain == Toolchain::Host { "1" } else { "-19" };
        return vec![format!("LLVM={suffix}")];
    }
    match text.split_whitespace().next() {
        Some(gcc) if gcc.contains("gcc") => {
            vec![format!("CC={}", gcc.trim_start_matches("x86_64-linux-gnu-"))]
        }
        _ => Vec::new(),
    }
}

/// Another build of the same tree is another kernel.
fn key(dir: &Path, options: &str, release: &str) -> Result<String> {
    let built = fs::metadata(dir.join("rust/libkernel.rmeta"))?.modified()?;
    let built = built
        .duration_since(UNIX_EPOCH)
        .context("a file from before 1970")?
        .as_nanos();
    let place = dir.as_os_str().as_encoded_bytes();
    Ok(format!(
        "dir-{}",
        Key::new()
            .with(place)
            .with(options)
            .with(release)
            .with(built.to_le_bytes())
            .hex()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_build_directory_is_found_or_missed() {
        let place = tempfile::tempdir().unwrap();
        let (tree, objects) = (place.path().join("linux"), place.path().join("build"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&objects).unwrap();
        fs::write(
            tree.join("Makefile"),
            "include $(srctree)/scripts/Kbuild.include\n",
        )
        .unwrap();
        assert_eq!(source(&tree).unwrap(), tree);

        std::os::unix::fs::symlink("../linux", objects.join("source")).unwrap();
        assert!(source(&objects).unwrap().join("Makefile").exists());

        let generated = format!(
            "# Automatically generated by {0}/Makefile: don't edit\nexport KBUILD_OUTPUT = x\ninclude {0}/Makefile\n",
            tree.display()
        );
        fs::write(objects.join("Makefile"), generated).unwrap();
        assert_eq!(source(&objects).unwrap(), tree);

        fs::remove_dir_all(&tree).unwrap();
        let error = source(&objects).unwrap_err().to_string();
        assert!(error.contains("is gone") && error.contains("make O="), "{error}");
    }

    #[test]
    fn a_directory_that_is_no_built_tree_is_refused_at_once() {
        let empty = tempfile::tempdir().unwrap();
        assert!(
            checked(empty.path())
                .unwrap_err()
                .to_string()
                .contains(".config is missing")
        );
        let error = checked(&empty.path().join("none")).unwrap_err();
        assert_eq!(crate::error::kind(&error), crate::error::Kind::Usage);
    }

    #[test]
    fn what_a_guest_lacks_is_named() {
        let all = GUEST.map(|option| format!("CONFIG_{option}=y\n")).concat();
        assert_eq!(lacking(&all, false), [""; 0]);
        let off = all.replace("CONFIG_TMPFS=y", "# CONFIG_TMPFS is not set");
        assert_eq!(lacking(&off, true), ["TMPFS"]);
        let module = all.replace("OVERLAY_FS=y", "OVERLAY_FS=m");
        assert_eq!(lacking(&module, true), [""; 0]);
        assert_eq!(lacking(&module, false), ["OVERLAY_FS"]);
    }

    #[test]
    fn the_compiler_is_the_configurations() {
        let gcc = "CONFIG_CC_VERSION_TEXT=\"x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0\"\nCONFIG_CC_IS_GCC=y\n";
        assert_eq!(compiler(gcc, Toolchain::RootInPlace), ["CC=gcc-14"]);
        let clang = "CONFIG_CC_VERSION_TEXT=\"Debian clang version 19.1.7\"\nCONFIG_CC_IS_CLANG=y\n";
        assert_eq!(compiler(clang, Toolchain::RootInPlace), ["LLVM=-19"]);
        assert_eq!(compiler(clang, Toolchain::Host), ["LLVM=1"]);
        assert_eq!(compiler("", Toolchain::Host), Vec::<String>::new());
    }
}
