// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls as a 32-bit process makes them: through `int 0x80`, with 32-bit registers and the 32-bit table.

use std::arch::asm;

use super::process::{End, Process};
use super::{Addr, Errno, Handle, Result};

const GETPID: u32 = 20;
const IOCTL: u32 = 54;
const PREAD64: u32 = 180;

/// Makes a system call of the 32-bit table.
///
/// # Safety
///
/// The call must do no harm to memory of this process that Rust knows of.
unsafe fn call(number: u32, arguments: [u32; 5]) -> Result<u32> {
    let [first, second, third, fourth, fifth] = arguments;
    let result: i64;
    // SAFETY: the registers that the kernel changes are declared; rbx, which the compiler keeps for itself, is put
    // back. The caller answers for what the call does.
    unsafe {
        asm!(
            "xchg {first:r}, rbx",
            "int 0x80",
            "xchg {first:r}, rbx",
            first = inout(reg) u64::from(first) => _,
            inlateout("rax") i64::from(number) => result,
            in("ecx") second,
            in("edx") third,
            in("esi") fourth,
            in("edi") fifth,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // The upper half of rax means nothing to a 32-bit caller.
    let value = result as i32;
    if (-4095..0).contains(&value) {
        Err(Errno::from_raw(-value))
    } else {
        Ok(value as u32)
    }
}

/// Whether the kernel takes such calls: without, the instruction is a fault, which a child finds out.
pub(crate) fn works() -> bool {
    let child = Process::fork(|| {
        // SAFETY: getpid touches no memory.
        let pid = unsafe { call(GETPID, [0; 5]) };
        assert_eq!(pid, Ok(std::process::id()));
    });
    child.wait() == End::Exit(0)
}

/// An ioctl as a 32-bit process makes it; the address must lie below 4 GiB.
pub(crate) fn ioctl(handle: &Handle, command: u32, argument: Addr) -> Result<u32> {
    let argument = u32::try_from(argument.get()).expect("an address below 4 GiB");
    // SAFETY: the kernel checks the address; it belongs to a region of raw pages or to nothing.
    unsafe { call(IOCTL, [handle.fd() as u32, command, argument, 0, 0]) }
}

/// `pread` as a 32-bit process makes it: the offset in two halves.
pub(crate) fn pread(handle: &Handle, buffer: Addr, len: u32, offset: u64) -> Result<u32> {
    let buffer = u32::try_from(buffer.get()).expect("an address below 4 GiB");
    let (low, high) = (offset as u32, (offset >> 32) as u32);
    // SAFETY: as for `ioctl`.
    unsafe { call(PREAD64, [handle.fd() as u32, buffer, len, low, high]) }
}
