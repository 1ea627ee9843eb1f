// SPDX-License-Identifier: MIT OR Apache-2.0

//! The state of the device before and after a test: made as tests may assume it, and compared afterwards.

use std::time::{Duration, Instant};

use crate::sys::{ACCESS_WRITE, Handle, module};

/// What must be the same after a test. Only this process has the device open while it is read.
#[derive(Debug, PartialEq, Eq)]
struct State {
    nattch: u64,
    handles: u64,
    holders: u32,
    waiters: u32,
    size: u64,
    max_ranges: u32,
}

/// What every test finds.
const CLEAN: State = State {
    nattch: 0,
    handles: 1,
    holders: 0,
    waiters: 0,
    size: 1 << 20,
    max_ranges: 1024,
};

/// How long references may take that the kernel drops by itself, such as descriptors in the queue of a dead socket.
const PATIENCE: Duration = Duration::from_secs(10);

impl State {
    fn read() -> nix::Result<State> {
        let handle = Handle::open(libc::O_RDWR)?;
        let (info, stat) = (handle.info()?, handle.stat()?);
        Ok(State {
            nattch: stat.nattch,
            handles: stat.handles,
            holders: stat.holders,
            waiters: stat.waiters,
            size: stat.size,
            max_ranges: info.max_ranges,
        })
    }
}

/// Makes the device as a test may assume it.
pub(super) fn prepare() -> Result<(), String> {
    if !module::is_loaded() {
        module::load("").map_err(|error| format!("cannot load {}: {error}", module::path().display()))?;
    }
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
    Ok(())
}

/// Compares with what a test finds; says what is different. Loads the module again if the test left it otherwise.
pub(super) fn check() -> Result<(), String> {
    let give_up = Instant::now() + PATIENCE;
    let left = loop {
        match State::read() {
            Ok(state) if state == CLEAN => return Ok(()),
            state if Instant::now() > give_up => break state,
            // An unloaded module or other parameters do not go away by waiting.
            Ok(state) if (state.size, state.max_ranges) != (CLEAN.size, CLEAN.max_ranges) => break Ok(state),
            Err(error) => break Err(error),
            Ok(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let complaint = match left {
        Ok(state) => format!("the test left something behind:\n    now    {state:?}\n    before {CLEAN:?}"),
        Err(error) => format!("the test left a device that does not work: {error}"),
    };
    match module::reload("") {
        Ok(()) => Err(complaint),
        Err(error) => Err(format!(
            "{complaint}\nand the module could not be loaded again: {error}"
        )),
    }
}
