// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of the device before and after a test: made as tests may assume it, and compared afterwards.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::sys::{ACCESS_WRITE, Handle, SIZE, by_id, identity, limits, module};

/// What must be the same after a test. Only this process has the device open while it is read.
#[derive(Debug, PartialEq, Eq)]
struct State {
    nattch: u64,
    handles: u64,
    holders: u32,
    waiters: u32,
    /// Segments that count, in all IPC namespaces, and their bytes.
    segments: u64,
    total_bytes: u64,
    size: u64,
    max_ranges: u32,
    limits: [u64; 4],
}

/// How long references may take that the kernel drops by itself, such as descriptors in the queue of a dead socket.
const PATIENCE: Duration = Duration::from_secs(10);

impl State {
    /// What every test finds. Two limits depend on the machine's memory: they are what they were at first.
    fn clean() -> State {
        static LIMITS: OnceLock<[u64; 4]> = OnceLock::new();
        State {
            nattch: 0,
            handles: 1,
            holders: 0,
            waiters: 0,
            segments: 0,
            total_bytes: 0,
            size: SIZE as u64,
            max_ranges: 1024,
            limits: *LIMITS.get_or_init(limits::all),
        }
    }

    fn read() -> nix::Result<State> {
        let handle = Handle::open(libc::O_RDWR)?;
        let (info, stat) = (handle.info()?, handle.stat()?);
        Ok(State {
            nattch: stat.nattch,
            handles: stat.handles,
            holders: stat.holders,
            waiters: stat.waiters,
            segments: info.segments,
            total_bytes: info.total_bytes,
            size: stat.size,
            max_ranges: info.max_ranges,
            limits: limits::all(),
        })
    }

    /// Whether only loading the module again can make it clean.
    fn stays(&self) -> bool {
        let clean = State::clean();
        (self.size, self.max_ranges, self.limits) != (clean.size, clean.max_ranges, clean.limits)
    }
}

/// Makes the device as a test may assume it.
pub(super) fn prepare() -> Result<(), String> {
    if !module::is_loaded() {
        module::load("").map_err(|error| format!("cannot load {}: {error}", module::path().display()))?;
    }
    if !module::is_as_chosen() {
        module::reload("").map_err(|error| format!("cannot load the module as this run has it: {error}"))?;
    }
    identity::close_node().map_err(|error| format!("cannot change the node's mode: {error}"))?;
    let _ = State::clean();
    let handle = Handle::open(libc::O_RDWR).map_err(|error| format!("cannot open /dev/shmdev: {error}"))?;
    let all = handle
        .stat()
        .map_err(|error| format!("STAT: {error}"))?
        .mapped_size;
    // A completed write over everything takes the marks away that killed writers left.
    handle
        .begin(ACCESS_WRITE, 0, all, 0)
        .and_then(|_| handle.end(ACCESS_WRITE, 0, all))
        .map_err(|error| format!("cannot take the whole segment: {error}"))?;
    // Whatever somebody made before the first test.
    for stat in handle.list().map_err(|error| format!("LIST: {error}"))? {
        let _ = handle.remove(by_id(stat.target.id));
    }
    Ok(())
}

/// Compares with what a test finds; says what is different. Loads the module again if the test left it otherwise.
pub(super) fn check() -> Result<(), String> {
    let (clean, give_up) = (State::clean(), Instant::now() + PATIENCE);
    let left = loop {
        match State::read() {
            Ok(state) if state == clean => return Ok(()),
            state if Instant::now() > give_up => break state,
            Ok(state) if state.stays() => break Ok(state),
            Err(error) => break Err(error),
            Ok(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let complaint = match left {
        Ok(state) => format!("the test left something behind:\n    now    {state:?}\n    before {clean:?}"),
        Err(error) => format!("the test left a device that does not work: {error}"),
    };
    match module::reload("") {
        Ok(()) => Err(complaint),
        Err(error) => Err(format!(
            "{complaint}\nand the module could not be loaded again: {error}"
        )),
    }
}
