// SPDX-License-Identifier: MIT OR Apache-2.0

//! What /proc says of processes: what they are called, and which handles they have. A process may go at any moment:
//! what it had is then left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::waiters::Handles;

/// Where processes are found.
pub(super) struct Processes {
    proc: PathBuf,
}

impl Processes {
    pub(super) fn new() -> Self {
        Self { proc: "/proc".into() }
    }

    /// What a process or thread is called; `None` for one that has gone.
    pub(super) fn command(&self, pid: u32) -> Option<String> {
        let text = fs::read(self.proc.join(pid.to_string()).join("comm")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // Anybody may call himself anything.
        let shown = |c: char| if c.is_control() { '?' } else { c };
        Some(text.trim_end_matches('\n').chars().map(shown).collect())
    }

    /// All handles that have a descriptor which may be looked at. Those that only a mapping or a message keeps are
    /// not found.
    pub(super) fn handles(&self) -> Handles {
        let mut handles = Handles::new();
        for (pid, process) in numbered(&self.proc) {
            for (number, file) in numbered(&process.join("fd")) {
                // Sockets, pipes and their like have a name that is no path.
                if !fs::read_link(file).is_ok_and(|path| path.is_absolute()) {
                    continue;
                }
                let text = fs::read_to_string(process.join("fdinfo").join(number.to_string()));
                if let Some((token, segment)) = text.ok().and_then(|text| handle(&text)) {
                    let (_, pids) = handles.entry(token).or_insert_with(|| (segment, Vec::new()));
                    pids.push(pid);
                    pids.dedup();
                }
            }
        }
        handles
    }
}

/// What a directory has under numbers, in their order.
fn numbered(directory: &Path) -> BTreeMap<u32, PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect()
}

/// Token and segment of a handle that is attached, as its fdinfo tells them.
fn handle(fdinfo: &str) -> Option<(u32, u64)> {
    let field = |name: &str| {
        let mut lines = fdinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(key, value)| (key == name).then(|| value.trim()))
    };
    Some((
        field("shmdev-token")?.parse().ok()?,
        field("shmdev-segment")?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const FDINFO: &str =
        "pos:\t0\nflags:\t02000002\nshmdev-token:\t77\nshmdev-segment:\t3\nshmdev-name:\tframes\n";

    #[test]
    fn a_handle_has_a_token_and_a_segment() {
        assert_eq!(handle(FDINFO), Some((77, 3)));
        assert_eq!(handle("shmdev-token:\t77\n"), None, "it is attached to nothing");
        assert_eq!(handle("pos:\t0\n"), None);
        for cut in 0..FDINFO.len() {
            let _ = handle(&FDINFO[..cut]);
        }
    }

    /// A /proc of our own.
    fn proc(name: &str, descriptors: &[(u32, u32, &str, Option<&str>)]) -> Processes {
        let proc = std::env::temp_dir().join(format!("shmdev-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&proc);
        for (pid, fd, link, fdinfo) in descriptors {
            let process = proc.join(pid.to_string());
            for directory in ["fd", "fdinfo"] {
                fs::create_dir_all(process.join(directory)).unwrap();
            }
            fs::write(process.join("comm"), format!("p{pid}\n")).unwrap();
            symlink(link, process.join("fd").join(fd.to_string())).unwrap();
            if let Some(text) = fdinfo {
                fs::write(process.join("fdinfo").join(fd.to_string()), text).unwrap();
            }
        }
        Processes { proc }
    }

    #[test]
    fn those_that_share_a_handle_are_found_and_those_that_go_are_left_out() {
        let processes = proc(
            "handles",
            &[
                (12, 3, "/dev/shmdev", Some(FDINFO)),
                (12, 4, "/dev/shmdev", Some(FDINFO)),
                (9, 3, "/dev/shmdev", Some(FDINFO)),
                (10, 3, "socket:[5]", Some(FDINFO)),
                (11, 3, "/dev/null", Some("pos:\t0\n")),
                // It closed it, or went, between two looks.
                (13, 3, "/dev/shmdev", None),
            ],
        );
        fs::create_dir_all(processes.proc.join("14")).unwrap();
        fs::write(processes.proc.join("self"), "").unwrap();
        assert_eq!(processes.handles(), Handles::from([(77, (3, vec![9, 12]))]));
        assert_eq!(processes.command(12).as_deref(), Some("p12"));
        assert_eq!(processes.command(14), None);
        fs::write(processes.proc.join("12/comm"), "\x1b[2J ok\n").unwrap();
        assert_eq!(processes.command(12).as_deref(), Some("?[2J ok"));
        fs::remove_dir_all(&processes.proc).unwrap();
    }
}
