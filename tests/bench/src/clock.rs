// SPDX-License-Identifier: MIT OR Apache-2.0

//! What figures count: instructions, or nanoseconds.
//!
//! Under QEMU's `-icount shift=0` the time-stamp counter is the number of instructions that the one processor has
//! executed, whoever's they were, and `rdtsc` reads it exactly, also in the middle of a translated block. Seen with
//! QEMU 10.0 and Linux 7.3: a loop that executes 20,000 instructions counts those and a few around it, and getppid 334, an
//! ioctl of /dev/null that ends in ENOTTY 635, each the same in every batch and boot. Time during which the processor idles
//! counts on as well, as nanoseconds: what is measured here may not idle. [`choose`] tries the loop, so that no other counter
//! is taken for instructions.

use std::sync::OnceLock;

use anyhow::{Result, bail};
use nix::time::{ClockId, clock_gettime};
use shmdev_bench_model::Unit;

use crate::sys::counter;

static UNIT: OnceLock<Unit> = OnceLock::new();

/// Says what is counted, before anything is.
pub fn choose(wall: bool) -> Result<()> {
    if !wall {
        // The least of several, as an interrupt may come in between.
        let counted = (0..8)
            .map(|_| counter::loop_of_instructions(10_000))
            .fold(u64::MAX, u64::min);
        if !(20_000..20_100).contains(&counted) {
            bail!(
                "20,000 instructions count {counted}: start the guest with `-icount shift=0,sleep=off` (`cargo xtask vm \
                 --icount`), or measure time with --wall"
            );
        }
    }
    UNIT.get_or_init(|| match wall {
        true => Unit::Nanoseconds,
        false => Unit::Instructions,
    });
    Ok(())
}

/// What [`now`] counts.
pub fn unit() -> Unit {
    UNIT.get().copied().unwrap_or(Unit::Nanoseconds)
}

/// The count so far.
pub fn now() -> u64 {
    match unit() {
        Unit::Instructions => counter::read(),
        _ => {
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC_RAW).expect("the system has this clock");
            now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs()
        }
    }
}
