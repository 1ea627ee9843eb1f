// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of things in the cache: the one list of what in it is ours. Pure.

use std::fmt;

/// What there is in the cache: a directory for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The build root.
    Root,
    /// Downloaded packages.
    Debs,
    /// Kernels.
    Kernel,
    /// Kernels that are being compiled.
    Building,
    /// Modules of kernels, unpacked for the guest.
    GuestModules,
    /// Whether KVM works.
    Accel,
    /// The module's objects.
    Kmod,
    /// The module's objects for clippy.
    KmodClippy,
    /// The module's objects for rust-analyzer.
    KmodAnalyzer,
    /// Logs of commands and guests. They have no keys.
    Logs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 10] = [
        Kind::Root,
        Kind::Debs,
        Kind::Kernel,
        Kind::Building,
        Kind::GuestModules,
        Kind::Accel,
        Kind::Kmod,
        Kind::KmodClippy,
        Kind::KmodAnalyzer,
        Kind::Logs,
    ];

    /// The directory's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Root => "root",
            Kind::Debs => "debs",
            Kind::Kernel => "kernel",
            Kind::Building => "building",
            Kind::GuestModules => "guest-modules",
            Kind::Accel => "accel",
            Kind::Kmod => "kmod",
            Kind::KmodClippy => "kmod-clippy",
            Kind::KmodAnalyzer => "kmod-analyzer",
            Kind::Logs => "logs",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
