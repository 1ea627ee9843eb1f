// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs: each process has files of its own, and the newest are kept.

use std::{
    cmp::Reverse,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;

use super::lock::{Hold, Lock};

/// As many are kept.
const KEPT: usize = 100;

/// A file for a log. As long as this lives, the file is kept, however many are newer.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    _lock: Lock,
}

impl Log {
    /// The log `path`; the oldest of those beside it that nobody needs are removed.
    pub fn create(path: PathBuf) -> Result<Self> {
        let _lock = Lock::take(&path, Hold::Shared)?;
        path.parent().into_iter().for_each(remove_old);
        Ok(Log { path, _lock })
    }
}

impl Deref for Log {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Removes all but the newest files, and those that are being written or read.
fn remove_old(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let changed = |path: &PathBuf| path.metadata().and_then(|data| data.modified());
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    logs.sort_by_cached_key(|path| Reverse(changed(path).unwrap_or(SystemTime::UNIX_EPOCH)));
    for log in logs.iter().skip(KEPT) {
        if let Ok(Some(_lock)) = Lock::try_take(log, Hold::Alone) {
            // Another xtask may have been faster.
            let _ = fs::remove_file(log);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_logs_are_kept_and_those_that_are_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |number: usize| dir.path().join(format!("{number}.log"));
        let needed = Log::create(path(0)).unwrap();
        for number in 0..KEPT + 5 {
            let file = fs::File::options().create(true).append(true).open(path(number));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
            file.unwrap().set_modified(time).unwrap();
        }
        let there = || {
            (0..KEPT + 5)
                .filter(|&number| path(number).exists())
                .collect::<Vec<_>>()
        };
        let newest = Log::create(dir.path().join("newest.log")).unwrap();
        let kept = || 6..KEPT + 5;
        assert_eq!(there(), [0].into_iter().chain(kept()).collect::<Vec<_>>());
        drop(needed);
        crate::cache::soon(|| {
            remove_old(dir.path());
            (there() == kept().collect::<Vec<_>>()).then_some(())
        });
        assert!(newest.exists());
    }
}
