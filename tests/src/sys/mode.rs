// SPDX-License-Identifier: MIT OR Apache-2.0

//! How segments are mapped in this run, where a test does not say, and what each way refuses.

use std::ops::Range;
use std::sync::OnceLock;

use super::{Errno, MAP_FAULT, MAP_HUGE, MAP_PFN, PAGE, Result};

/// A way to map segments, and what can be done with memory that is mapped so.
#[derive(Debug)]
pub(crate) struct Mode {
    /// As the module's parameter `default_map` has it.
    pub(crate) name: &'static str,
    pub(crate) flag: u32,
    /// A mapping with `MAP_PRIVATE` and `PROT_WRITE`, which copies what is written to.
    pub(crate) copies: Result<()>,
    /// Whatever pins pages: `O_DIRECT`, fixed buffers of io_uring, `process_vm_readv`.
    pub(crate) pins: Result<()>,
    /// `madvise` that takes entries away, to come back when they are touched: `MADV_DONTNEED` and the like.
    pub(crate) forgets: Result<()>,
    /// `madvise` that has entries made: `MADV_POPULATE_WRITE`.
    pub(crate) populates: Result<()>,
    /// A private mapping that was made for reading, written to after `mprotect`.
    pub(crate) copies_later: Result<()>,
    /// The same, written to by a debugger, which overrides the protection of what is its own.
    pub(crate) copies_for_debuggers: Result<()>,
    /// Whether what is mapped counts for the resident size.
    pub(crate) is_resident: bool,
    /// Page faults that touching each page between two addresses takes, which are less than 2 MiB apart.
    pub(crate) faults: fn(Range<usize>) -> usize,
}

const PFN: Mode = Mode {
    name: "pfn",
    flag: MAP_PFN,
    copies: Err(Errno::EOPNOTSUPP),
    pins: Err(Errno::EFAULT),
    forgets: Err(Errno::EINVAL),
    populates: Err(Errno::EINVAL),
    copies_later: Err(Errno::EACCES),
    copies_for_debuggers: Err(Errno::EIO),
    is_resident: false,
    faults: |_| 0,
};

const FAULT: Mode = Mode {
    name: "fault",
    flag: MAP_FAULT,
    copies: Ok(()),
    pins: Ok(()),
    forgets: Ok(()),
    populates: Ok(()),
    copies_later: Ok(()),
    copies_for_debuggers: Ok(()),
    is_resident: true,
    faults: |place| place.end.div_ceil(16 * PAGE) - place.start / (16 * PAGE),
};

/// Of less than 2 MiB no entry is large.
const HUGE: Mode = Mode {
    name: "huge",
    flag: MAP_HUGE,
    ..PFN
};

const MODES: [Mode; 3] = [PFN, FAULT, HUGE];

static CHOSEN: OnceLock<&'static Mode> = OnceLock::new();

/// Chooses for the run; to be called before anything else, and once. Returns whether there is such a mode.
pub(crate) fn choose(name: &str) -> bool {
    let mode = MODES.iter().find(|mode| mode.name == name);
    mode.is_some_and(|mode| CHOSEN.set(mode).is_ok())
}

/// That of this run: `pfn` unless another was chosen.
pub(crate) fn mode() -> &'static Mode {
    CHOSEN.get().copied().unwrap_or(&MODES[0])
}

/// All there are.
pub(crate) fn modes() -> &'static [Mode] {
    &MODES
}
