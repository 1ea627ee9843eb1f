// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processor's time-stamp counter.

use std::arch::asm;
use std::arch::x86_64::_rdtsc;

/// Reads it.
pub fn read() -> u64 {
    // SAFETY: Linux lets programs read it unless they asked for the contrary.
    unsafe { _rdtsc() }
}

/// What a loop of two instructions counts that goes round so many times.
pub fn loop_of_instructions(turns: u64) -> u64 {
    let start = read();
    // SAFETY: it counts a register down.
    unsafe {
        asm!("2:", "dec {0}", "jnz 2b", inout(reg) turns => _, options(nomem, nostack));
    }
    read() - start
}
