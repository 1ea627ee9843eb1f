// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file systems: those that PID 1 needs, and those that the job finds.

use std::{
    ffi::{CString, OsStr},
    fs::{self, DirBuilder},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount, mount_move};

use crate::protocol::{Job, ROOT_TAG};

/// Directories of the initramfs whose files are ours and appear in the job's root too.
const OUR_FILES: [&str; 2] = [crate::modules::OURS, "/usr/local/bin"];

/// The size of a 9p message: the largest that the virtio transport can carry.
const NINEP: &str = "trans=virtio,version=9p2000.L,msize=512000";

/// `/proc`, `/sys` and `/dev`.
pub fn early() -> Result<()> {
    attach("devtmpfs", "/dev", "mode=0755", MountFlags::NOSUID)?;
    attach(
        "proc",
        "/proc",
        "",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
    )?;
    attach(
        "sysfs",
        "/sys",
        "",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
    )
}

/// What the job asks for. Afterwards `/` is the job's root, for PID 1 too.
pub fn for_job(job: &Job) -> Result<()> {
    devices()?;
    if job.root {
        let files = read_our_files()?;
        overlay_root()?;
        write_our_files(&files)?;
    }
    fresh()?;
    for (tag, path) in &job.mounts {
        let path = Path::new(OsStr::from_bytes(path));
        make_dir(path, 0o755)?;
        // Without a cache: what changes on the host is seen at once.
        ninep(tag, path, MountFlags::NOSUID | MountFlags::NODEV, "cache=none")?;
    }
    Ok(())
}

/// What devtmpfs leaves to user space.
fn devices() -> Result<()> {
    attach(
        "devpts",
        "/dev/pts",
        "gid=5,mode=620,ptmxmode=666",
        MountFlags::NOSUID | MountFlags::NOEXEC,
    )?;
    attach(
        "tmpfs",
        "/dev/shm",
        "mode=1777",
        MountFlags::NOSUID | MountFlags::NODEV,
    )?;
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, link).with_context(|| format!("cannot make {link}"))?;
    }
    // What not every kernel has.
    for (kind, path) in [
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("bpf", "/sys/fs/bpf"),
        ("hugetlbfs", "/dev/hugepages"),
        ("mqueue", "/dev/mqueue"),
    ] {
        let _ = attach(kind, path, "", MountFlags::NOSUID | MountFlags::NODEV);
    }
    Ok(())
}

/// The host's export, read-only, below a tmpfs, becomes `/`, with `/proc`, `/sys` and `/dev` moved into it.
fn overlay_root() -> Result<()> {
    let (lower, space, root) = ("/lower", "/space", "/root");
    // The export does not change while the guest runs, so everything may be cached.
    make_dir(Path::new(lower), 0o755)?;
    ninep(ROOT_TAG, Path::new(lower), MountFlags::RDONLY, "cache=loose")?;
    attach("tmpfs", space, "mode=0755", MountFlags::empty())?;
    for dir in ["/space/upper", "/space/work"] {
        make_dir(Path::new(dir), 0o755)?;
    }
    attach(
        "overlay",
        root,
        "lowerdir=/lower,upperdir=/space/upper,workdir=/space/work",
        MountFlags::empty(),
    )?;
    for dir in ["proc", "sys", "dev"] {
        let to = Path::new(root).join(dir);
        make_dir(&to, 0o755)?;
        mount_move(Path::new("/").join(dir), &to).with_context(|| format!("cannot move /{dir}"))?;
    }
    rustix::process::chdir(root)?;
    mount_move(".", "/").context("cannot move the new root to /")?;
    rustix::process::chroot(".").context("cannot enter the new root")?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Directories that start out empty whatever the root has in them.
fn fresh() -> Result<()> {
    attach(
        "tmpfs",
        "/tmp",
        "mode=1777",
        MountFlags::NOSUID | MountFlags::NODEV,
    )?;
    attach(
        "tmpfs",
        "/run",
        "mode=0755",
        MountFlags::NOSUID | MountFlags::NODEV,
    )?;
    make_dir(Path::new("/run/lock"), 0o1777)
}

fn read_our_files() -> Result<Vec<(PathBuf, Vec<u8>, u32)>> {
    let mut files = Vec::new();
    for entry in OUR_FILES
        .into_iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
    {
        let path = entry?.path();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mode = fs::metadata(&path)?.permissions().mode();
        files.push((path, bytes, mode));
    }
    Ok(files)
}

fn write_our_files(files: &[(PathBuf, Vec<u8>, u32)]) -> Result<()> {
    for (path, bytes, mode) in files {
        let write = || {
            make_dir(path.parent().unwrap_or(Path::new("/")), 0o755)?;
            // What the root has under this name may be a link to somewhere else.
            let _ = fs::remove_file(path);
            fs::write(path, bytes)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
            Ok::<_, anyhow::Error>(())
        };
        write().with_context(|| format!("cannot copy {} into the root", path.display()))?;
    }
    Ok(())
}

fn ninep(tag: &str, path: &Path, flags: MountFlags, cache: &str) -> Result<()> {
    let options = CString::new(format!("{NINEP},{cache}"))?;
    mount(tag, path, "9p", flags, options.as_c_str()).with_context(|| {
        format!(
            "cannot mount the host's export {tag:?} on {} (9p)",
            path.display()
        )
    })
}

fn attach(kind: &str, path: &str, options: &str, flags: MountFlags) -> Result<()> {
    make_dir(Path::new(path), 0o755)?;
    let options = CString::new(options)?;
    mount(kind, path, kind, flags, options.as_c_str())
        .with_context(|| format!("cannot mount {kind} on {path}"))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot create the directory {}", path.display()))
}
