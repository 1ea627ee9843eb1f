// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and unloading the module under test, with the system calls that `insmod` and `rmmod` use.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::{Errno, Handle, Result, SIZE, mode};

/// Where the module's file is.
pub(crate) fn path() -> PathBuf {
    std::env::var_os("SHMDEV_KO").map_or_else(|| "/lib/shmdev/shmdev.ko".into(), PathBuf::from)
}

pub(crate) fn is_loaded() -> bool {
    Path::new("/sys/module/shmdev/refcnt").exists()
}

/// Whether the module was loaded with what this run has for all.
pub(crate) fn is_as_chosen() -> bool {
    let info = Handle::open(libc::O_RDWR).and_then(|handle| handle.info());
    info.is_ok_and(|info| (info.default_map, info.default_size) == (mode().flag, SIZE as u64))
}

/// Loads the module with these parameters (`name=value`, separated by blanks), and with what this run has for all unless
/// they say otherwise. (A parameter that comes twice is refused.)
pub(crate) fn load(parameters: &str) -> Result<()> {
    let mut all = parameters.to_owned();
    for (name, value) in [("default_map", mode().name), ("default_size", &SIZE.to_string())] {
        if !parameters.contains(name) {
            all = format!("{all} {name}={value}");
        }
    }
    load_with_only(&all)
}

/// Loads the module with no other parameters than these.
pub(crate) fn load_with_only(parameters: &str) -> Result<()> {
    let file =
        File::open(path()).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let parameters = CString::new(parameters).expect("parameters without NUL");
    // SAFETY: an open file and a C string.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), 0) };
    Errno::result(result).map(drop)
}

/// Unloads the module.
pub(crate) fn unload() -> Result<()> {
    // SAFETY: a C string.
    let result = unsafe { libc::syscall(libc::SYS_delete_module, c"shmdev".as_ptr(), libc::O_NONBLOCK) };
    Errno::result(result).map(drop)
}

/// Unloads the module if it is loaded, and loads it with these parameters.
pub(crate) fn reload(parameters: &str) -> Result<()> {
    if is_loaded() {
        unload()?;
    }
    load(parameters)
}

/// As long as this lives, RCU's grace periods are expedited: loading and unloading wait for some, and do little else. What
/// they wait for stays the same.
struct Expedited {
    before: Option<String>,
}

impl Expedited {
    const KNOB: &str = "/sys/kernel/rcu_expedited";

    /// Does nothing where the kernel has no such knob.
    fn new() -> Expedited {
        let before = std::fs::read_to_string(Self::KNOB).ok();
        if before.is_some() {
            std::fs::write(Self::KNOB, "1").expect("expediting grace periods");
        }
        Expedited { before }
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A kernel that is slower than it need be is no reason to fail.
            let _ = std::fs::write(Self::KNOB, before);
        }
    }
}

/// The module with other parameters, until this is dropped.
pub(crate) struct Reloaded(#[expect(dead_code, reason = "its end counts")] Expedited);

impl Reloaded {
    pub(crate) fn with(parameters: &str) -> Reloaded {
        let module = Reloaded::afterwards();
        reload(parameters).unwrap_or_else(|error| panic!("loading the module with {parameters:?}: {error}"));
        module
    }

    /// Whatever state the test makes, the defaults come back.
    pub(crate) fn afterwards() -> Reloaded {
        Reloaded(Expedited::new())
    }
}

impl Drop for Reloaded {
    fn drop(&mut self) {
        // After a failed test a handle may still be open; the runner sees what is wrong then.
        if let Err(error) = reload("") {
            eprintln!("the module cannot be loaded again with its defaults: {error}");
        }
    }
}
