// SPDX-License-Identifier: MIT OR Apache-2.0

//! What some tests need of the guest, and how to tell whether it is there. A test whose need is not met is reported
//! as ignored, with the reason; it is never skipped in silence.

use std::path::Path;

use crate::sys::{cgroup, compat, module};

/// Something that not every guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Python 3 in the root file system.
    Python,
    /// The module's file, to load it again with other parameters.
    ModuleFile,
    /// A kernel that finds leaks of its own memory.
    Kmemleak,
    /// A kernel that makes calls fail on demand, for one task.
    FaultInjection,
    /// A disk in memory.
    RamDisk,
    /// The memory controller of cgroup v2.
    MemoryCgroup,
    /// The pids controller of cgroup v2.
    PidsCgroup,
    /// System calls of 32-bit processes.
    Compat,
    /// Memory on two nodes.
    Nodes,
    /// The `rmmod` command.
    Rmmod,
    /// Time namespaces, in which processes see another CLOCK_MONOTONIC.
    TimeNamespace,
    /// User namespaces, in which processes have other ids.
    UserNamespace,
    /// IPC namespaces, which have segments of their own.
    IpcNamespace,
    /// Namespaces of process numbers.
    PidNamespace,
    /// debugfs, and the device's folder there.
    Debugfs,
    /// Tracepoints, the device's and the kernel's.
    Tracepoints,
    /// A C compiler and make in the root file system.
    CCompiler,
    /// The command `shmdev`.
    ShmdevCommand,
    /// The crate's example `select`.
    SelectExample,
}

impl Need {
    /// Nothing when the need is met, else what is missing.
    pub(crate) fn missing(self) -> Option<String> {
        let (met, reason) = match self {
            Need::Python => (
                Path::new("/usr/bin/python3").exists(),
                "there is no /usr/bin/python3",
            ),
            Need::ModuleFile => (
                module::path().exists(),
                "the module's file is not in the guest ($SHMDEV_KO)",
            ),
            Need::Kmemleak => (
                Path::new("/sys/kernel/debug/kmemleak").exists(),
                "the kernel has no kmemleak (a debug kernel has)",
            ),
            Need::FaultInjection => (
                Path::new("/proc/self/fail-nth").exists() && Path::new("/sys/kernel/debug/failslab").exists(),
                "the kernel has no fault injection (a debug kernel has)",
            ),
            Need::RamDisk => (Path::new("/dev/ram0").exists(), "there is no /dev/ram0"),
            Need::MemoryCgroup => (
                cgroup::offers("memory"),
                "the kernel has no memory controller of cgroup v2",
            ),
            Need::PidsCgroup => (
                cgroup::offers("pids"),
                "the kernel has no pids controller of cgroup v2",
            ),
            Need::Compat => (compat::works(), "the kernel takes no 32-bit system calls"),
            Need::Nodes => (
                Path::new("/sys/devices/system/node/node1").exists(),
                "the kernel has one node of memory (numa=fake=2 makes two)",
            ),
            Need::TimeNamespace => (
                Path::new("/proc/self/ns/time").exists(),
                "the kernel has no time namespaces",
            ),
            Need::UserNamespace => (
                Path::new("/proc/self/ns/user").exists(),
                "the kernel has no user namespaces",
            ),
            Need::IpcNamespace => (
                Path::new("/proc/self/ns/ipc").exists(),
                "the kernel has no IPC namespaces",
            ),
            Need::PidNamespace => (
                Path::new("/proc/self/ns/pid").exists(),
                "the kernel has no pid namespaces",
            ),
            Need::Debugfs => (
                std::fs::read_dir("/sys/kernel/debug").is_ok_and(|mut entries| entries.next().is_some()),
                "debugfs is not mounted on /sys/kernel/debug",
            ),
            Need::Tracepoints => (
                Path::new("/sys/kernel/tracing/events").exists(),
                "the kernel has no tracefs on /sys/kernel/tracing, or no events",
            ),
            Need::CCompiler => (
                ["/usr/bin/gcc", "/usr/bin/make"]
                    .iter()
                    .all(|tool| Path::new(tool).exists()),
                "there is no /usr/bin/gcc, or no /usr/bin/make",
            ),
            Need::ShmdevCommand => (
                Path::new("/usr/local/bin/shmdev").exists(),
                "there is no /usr/local/bin/shmdev",
            ),
            Need::SelectExample => (
                Path::new("/usr/local/bin/shmdev-select").exists(),
                "there is no /usr/local/bin/shmdev-select",
            ),
            Need::Rmmod => (rmmod_path().is_some(), "there is no rmmod command"),
        };
        (!met).then(|| reason.to_owned())
    }

    /// Whether this guest may do without: one that the tools make of a kernel of their own has all that the kernel can,
    /// unless it is an image that runs alone, without a root file system but itself.
    pub(crate) fn may_be_missing(self) -> bool {
        let is_stock = kernel().starts_with(|first: char| first.is_ascii_digit());
        match self {
            _ if std::env::var_os("SHMDEV_STANDALONE").is_some() => true,
            Need::Kmemleak | Need::FaultInjection => !on_debug_kernel(),
            // The debug kernel knows of one.
            Need::Nodes => !is_stock,
            _ => !on_debug_kernel() && !is_stock,
        }
    }
}

/// What the tools call this kernel: a series such as `7.3`, `debug`, or another word for somebody's own.
fn kernel() -> String {
    std::env::var("SHMDEV_KERNEL").unwrap_or_default()
}

/// Whether this is the kernel that looks for errors of its own, and is slow.
pub(crate) fn on_debug_kernel() -> bool {
    kernel() == "debug"
}

/// Where `rmmod` is.
pub(crate) fn rmmod_path() -> Option<&'static Path> {
    ["/usr/sbin/rmmod", "/sbin/rmmod", "/usr/bin/rmmod"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
}
