// SPDX-License-Identifier: MIT OR Apache-2.0

//! Control groups of version 2, mounted on the side when the guest has not mounted them.

use std::fs;
use std::path::{Path, PathBuf};

use super::Errno;

const MOUNTED: &str = "/sys/fs/cgroup";
const ASIDE: &str = "/run/shmdev-cgroup2";

/// Where cgroup2 is mounted; mounts it if need be.
fn hierarchy() -> Option<PathBuf> {
    if let Some(place) = [MOUNTED, ASIDE]
        .iter()
        .find(|place| Path::new(place).join("cgroup.controllers").exists())
    {
        return Some(place.into());
    }
    fs::create_dir_all(ASIDE).ok()?;
    let place = std::ffi::CString::new(ASIDE).ok()?;
    let (kind, nothing) = (c"cgroup2".as_ptr(), std::ptr::null());
    // SAFETY: C strings, and no data.
    let result = unsafe { libc::mount(kind, place.as_ptr(), kind, 0, nothing) };
    Errno::result(result).ok().map(|_| ASIDE.into())
}

/// Whether groups can have this controller.
pub(crate) fn offers(controller: &str) -> bool {
    hierarchy()
        .and_then(|place| fs::read_to_string(place.join("cgroup.controllers")).ok())
        .is_some_and(|text| text.split_whitespace().any(|name| name == controller))
}

/// A group of its own, removed when dropped.
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes a group with this controller.
    pub(crate) fn new(name: &str, controller: &str) -> Group {
        let place = hierarchy().expect("cgroup2");
        fs::write(place.join("cgroup.subtree_control"), format!("+{controller}"))
            .expect("enabling the controller");
        let path = place.join(name);
        fs::create_dir(&path).expect("making a cgroup");
        Group { path }
    }

    pub(crate) fn set(&self, file: &str, value: &str) {
        fs::write(self.path.join(file), value).unwrap_or_else(|error| panic!("{file} = {value}: {error}"));
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub(crate) fn number(&self, file: &str) -> u64 {
        self.text(file)
            .trim()
            .parse()
            .unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// A line `name value` of a file.
    pub(crate) fn field(&self, file: &str, name: &str) -> u64 {
        let text = self.text(file);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{name} in {file}"))
    }

    /// Moves this process into the group.
    pub(crate) fn enter(&self) {
        self.set("cgroup.procs", "0");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}
