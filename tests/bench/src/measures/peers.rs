// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shared memory that is not the device's: files in memory, and huge pages for them.

use std::fs;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// `memfd_create` and `ftruncate`.
pub fn memfd(len: usize) -> Result<OwnedFd> {
    made(len, MFdFlags::MFD_CLOEXEC)
}

/// The same, of pages of 2 MiB.
pub fn memfd_hugetlb(len: usize) -> Result<OwnedFd> {
    made(
        len,
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
    )
}

fn made(len: usize, flags: MFdFlags) -> Result<OwnedFd> {
    let file = memfd_create("bench", flags).context("memfd_create")?;
    ftruncate(&file, len as i64).context("ftruncate")?;
    Ok(file)
}

/// A file of POSIX shared memory that has a name; unlinked when dropped, unless it is kept.
#[derive(Debug)]
pub struct PosixShm {
    name: String,
    /// The file.
    pub file: OwnedFd,
}

impl PosixShm {
    /// `shm_open` and `ftruncate`.
    pub fn create(name: String, len: usize) -> Result<Self> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = shm_open(name.as_str(), flags, mode).context("shm_open")?;
        ftruncate(&file, len as i64).context("ftruncate")?;
        Ok(Self { name, file })
    }

    /// Closes it and leaves it where it is.
    pub fn keep(mut self) {
        self.name.clear();
    }

    /// Where the file lies.
    pub fn path(&self) -> String {
        format!("/dev/shm/{}", self.name)
    }
}

impl Drop for PosixShm {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = shm_unlink(self.name.as_str());
        }
    }
}

/// A setting of the kernel that is changed for a while.
#[derive(Debug)]
pub struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    /// Changes it to `value`, and back when this is dropped.
    pub fn change(path: &'static str, value: u64) -> Result<Self> {
        let before = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        let setting = Self { path, before };
        fs::write(path, value.to_string()).with_context(|| format!("writing {value} to {path}"))?;
        Ok(setting)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(self.path, self.before.trim());
    }
}

/// Pages of 2 MiB that the kernel keeps for files of such.
#[derive(Debug)]
pub struct HugePages(u64);

impl HugePages {
    const COUNT: &str = "/proc/sys/vm/nr_hugepages";

    fn count() -> Result<u64> {
        let text = fs::read_to_string(Self::COUNT).with_context(|| format!("reading {}", Self::COUNT))?;
        text.trim()
            .parse()
            .with_context(|| format!("{} has no number", Self::COUNT))
    }

    fn set(count: u64) -> Result<()> {
        fs::write(Self::COUNT, count.to_string())
            .with_context(|| format!("writing {count} to {}", Self::COUNT))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = Self::count().and_then(|count| Self::set(count.saturating_sub(self.0)));
    }
}

/// So many bytes of them more, until they are dropped: others may have some as well.
pub fn huge_pages(bytes: usize) -> Result<HugePages> {
    let before = HugePages::count()?;
    let pages = HugePages(bytes.div_ceil(HUGE_PAGE) as u64);
    HugePages::set(before + pages.0)?;
    let got = HugePages::count()?.saturating_sub(before);
    ensure!(
        got >= pages.0,
        "the guest has {got} of {} pages of 2 MiB to spare",
        pages.0
    );
    Ok(pages)
}

/// Two connected stream sockets.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let (family, kind, flags) = (AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC);
    Ok(socketpair(family, kind, None, flags)?)
}
