// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a program inside a root directory, with bubblewrap.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::userns;

/// A command to be run inside a root: the root read-only, `/proc`, `/dev`, `/tmp` and `/run` fresh, nothing else of
/// the host visible but what is bound.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    binds: Vec<Bind>,
    chdir: PathBuf,
    network: bool,
}

#[derive(Debug, Clone)]
struct Bind {
    how: &'static str,
    host: PathBuf,
    inside: PathBuf,
}

impl Sandbox {
    /// `program`, to be looked up in `root`.
    pub fn new(root: &Path, program: impl AsRef<OsStr>) -> Self {
        Sandbox {
            root: root.to_owned(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            binds: Vec::new(),
            chdir: PathBuf::from("/"),
            network: false,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable; nothing is inherited but `TERM`.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Shows a file or directory of the host's, writable.
    pub fn bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.with_bind("--bind", host.as_ref(), inside.as_ref())
    }

    /// Shows a file or directory of the host's, read-only.
    pub fn ro_bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.with_bind("--ro-bind", host.as_ref(), inside.as_ref())
    }

    /// Shows a device of the host's, such as `/dev/kvm`.
    pub fn dev_bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.with_bind("--dev-bind", host.as_ref(), inside.as_ref())
    }

    /// The directory to start in.
    pub fn chdir(mut self, dir: impl AsRef<Path>) -> Self {
        self.chdir = dir.as_ref().to_owned();
        self
    }

    /// Keeps the host's network, for those who are to connect to the program.
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    fn with_bind(mut self, how: &'static str, host: &Path, inside: &Path) -> Self {
        self.binds.push(Bind {
            how,
            host: host.to_owned(),
            inside: inside.to_owned(),
        });
        self
    }

    /// The command for the host: its standard streams are the program's.
    pub fn command(&self) -> Command {
        let mut command = userns::command("bwrap");
        command.args(self.bwrap_args());
        command
    }

    fn bwrap_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut put = |words: &[&OsStr]| args.extend(words.iter().map(|&word| word.to_owned()));
        for part in parts(&self.root) {
            match part {
                Part::Link { name, target } => put(&["--symlink".as_ref(), target.as_ref(), name.as_ref()]),
                Part::Dir { name, host } => put(&["--ro-bind".as_ref(), host.as_ref(), name.as_ref()]),
            }
        }
        for fixed in [
            ["--proc", "/proc"],
            ["--dev", "/dev"],
            ["--tmpfs", "/tmp"],
            ["--tmpfs", "/run"],
        ] {
            put(&fixed.map(OsStr::new));
        }
        for bind in &self.binds {
            put(&[bind.how.as_ref(), bind.host.as_ref(), bind.inside.as_ref()]);
        }
        put(&["--remount-ro", "/"].map(OsStr::new));
        // Of the caller's group, so that ^C reaches the program; gone with the caller, however that goes.
        put(&[
            "--die-with-parent",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
        ]
        .map(OsStr::new));
        if !self.network {
            put(&["--unshare-net".as_ref()]);
        }
        put(&["--clearenv".as_ref()]);
        for (name, value) in ENVIRONMENT {
            put(&["--setenv", name, value].map(OsStr::new));
        }
        if let Some(term) = std::env::var_os("TERM") {
            put(&["--setenv".as_ref(), "TERM".as_ref(), &term]);
        }
        for (name, value) in &self.env {
            put(&["--setenv".as_ref(), name, value]);
        }
        put(&[
            "--chdir".as_ref(),
            self.chdir.as_ref(),
            "--".as_ref(),
            &self.program,
        ]);
        args.extend(self.args.iter().cloned());
        args
    }
}

/// A program of the host's, which with all that it starts, and all that it mounts, is gone when the caller is, however
/// that goes.
pub fn isolated(program: &str) -> Command {
    let mut command = userns::command("bwrap");
    command.args([
        "--dev-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--unshare-pid",
        "--die-with-parent",
        "--",
        program,
    ]);
    command
}

/// A program of the root's, or of the host's where the root has not the right one. On the host there is nothing to
/// bind: paths must be those of the host then.
#[derive(Debug, Clone)]
pub enum Program {
    /// Inside the root.
    Sandbox(Sandbox),
    /// On the host: the program and its arguments.
    Host(Vec<OsString>),
}

impl Program {
    /// A program on the host.
    pub fn host(program: &str) -> Self {
        Program::Host(vec![program.into()])
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        match self {
            Program::Sandbox(sandbox) => Program::Sandbox(sandbox.args(args)),
            Program::Host(mut words) => {
                words.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
                Program::Host(words)
            }
        }
    }

    /// Shows a directory of the host's, writable, inside the root.
    pub fn bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.map(|sandbox| sandbox.bind(host, inside))
    }

    /// Shows a directory of the host's, read-only, inside the root.
    pub fn ro_bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.map(|sandbox| sandbox.ro_bind(host, inside))
    }

    /// The command for the host.
    pub fn command(&self) -> Command {
        match self {
            Program::Sandbox(sandbox) => sandbox.command(),
            Program::Host(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
        }
    }

    fn map(self, change: impl FnOnce(Sandbox) -> Sandbox) -> Self {
        match self {
            Program::Sandbox(sandbox) => Program::Sandbox(change(sandbox)),
            host => host,
        }
    }
}

/// What stands in the root's top directory and is shown as it is.
enum Part {
    Link { name: PathBuf, target: PathBuf },
    Dir { name: PathBuf, host: PathBuf },
}

/// The root's parts. They are shown one by one on a fresh `/`, in which anything can be mounted anywhere: a workspace in
/// `/home/somebody` has its own path inside, and the root needs no directory for it.
fn parts(root: &Path) -> Vec<Part> {
    let fresh = [
        "proc", "dev", "tmp", "run", "sys", "home", "root", "mnt", "media", "srv", "boot",
    ];
    let mut names: Vec<_> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.retain(|name| !fresh.iter().any(|fresh| name == fresh));
    names.sort();
    let part = |name: OsString| {
        let path = root.join(&name);
        match fs::read_link(&path) {
            Ok(target) => Some(Part::Link {
                name: Path::new("/").join(name),
                target,
            }),
            Err(_) if path.is_dir() => Some(Part::Dir {
                name: Path::new("/").join(name),
                host: path,
            }),
            Err(_) => None,
        }
    };
    names.into_iter().filter_map(part).collect()
}

/// The same for everybody: what is built must not depend on who builds it.
const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/tmp"),
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sandbox: &Sandbox) -> String {
        let words: Vec<_> = sandbox
            .bwrap_args()
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn the_root_is_read_only_and_binds_come_after_the_fresh_mounts() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["usr", "etc", "tmp"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
        let line = words(
            &Sandbox::new(root.path(), "make")
                .bind("/h", "/tmp/x")
                .arg("-j2")
                .chdir("/tmp/x"),
        );
        let shown = root.path().display();
        let start =
            format!("--symlink usr/bin /bin --ro-bind {shown}/etc /etc --ro-bind {shown}/usr /usr --proc");
        assert!(line.starts_with(&start), "{line}");
        assert!(
            line.find("--tmpfs /tmp") < line.find("--bind /h /tmp/x"),
            "{line}"
        );
        assert!(line.ends_with("--chdir /tmp/x -- make -j2"), "{line}");
    }

    #[test]
    fn the_network_is_there_only_when_asked_for() {
        let sandbox = Sandbox::new(Path::new("/r"), "true");
        assert!(words(&sandbox).contains("--unshare-net"));
        assert!(!words(&sandbox.network()).contains("--unshare-net"));
    }
}
