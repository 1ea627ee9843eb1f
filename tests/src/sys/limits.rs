// SPDX-License-Identifier: MIT OR Apache-2.0

//! The module's limits, as files that root may write at run time.

use std::path::Path;

use super::{Errno, Result};

/// The parameters that can be changed while the module is loaded.
pub(crate) const LIMITS: [&str; 4] = [
    "max_segments",
    "max_segment_bytes",
    "max_total_bytes",
    "max_bytes_per_uid",
];

const FOLDER: &str = "/sys/module/shmdev/parameters";

/// What the parameter's file says.
pub(crate) fn get(name: &str) -> u64 {
    let path = Path::new(FOLDER).join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim()
        .parse()
        .unwrap_or_else(|error| panic!("{name} is {text:?}: {error}"))
}

/// Writes to the parameter's file.
pub(crate) fn put(name: &str, value: &str) -> Result<()> {
    std::fs::write(Path::new(FOLDER).join(name), value)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// All limits as they are.
pub(crate) fn all() -> [u64; 4] {
    LIMITS.map(get)
}

/// Limits that are put back as they were when this is dropped.
pub(crate) struct Limits([u64; 4]);

impl Limits {
    /// Changes one of them.
    pub(crate) fn with(name: &str, value: u64) -> Limits {
        let limits = Limits(all());
        limits.set(name, value);
        limits
    }

    /// Changes another one, or the same again.
    pub(crate) fn set(&self, name: &str, value: u64) {
        put(name, &value.to_string()).unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for (name, value) in LIMITS.iter().zip(self.0) {
            if let Err(error) = put(name, &value.to_string()) {
                eprintln!("{name} cannot be put back to {value}: {error}");
            }
        }
    }
}
