// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls that try to reach the mapping by ways that the device does not offer.

use std::os::fd::AsRawFd;

use super::handle::owned;
use super::{Addr, Errno, Process, Region, Result, count};

/// `FUTEX_WAIT` for a value that the word does not have: EAGAIN when the kernel can find the word.
pub(crate) fn futex_wait(word: Addr, value: u32, private: bool) -> Result<usize> {
    futex(word, libc::FUTEX_WAIT, value, private)
}

/// `FUTEX_WAKE` of one waiter.
pub(crate) fn futex_wake(word: Addr, private: bool) -> Result<usize> {
    futex(word, libc::FUTEX_WAKE, 1, private)
}

fn futex(word: Addr, operation: i32, value: u32, private: bool) -> Result<usize> {
    let operation = if private {
        operation | libc::FUTEX_PRIVATE_FLAG
    } else {
        operation
    };
    let timeout = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1,
    };
    // SAFETY: the kernel checks the word's address; the time outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.get(),
            operation,
            value,
            &raw const timeout,
            0,
            0,
        )
    };
    count(result as isize)
}

/// `process_vm_readv` of a process's memory (this one's own for instance).
pub(crate) fn process_vm_read(pid: i32, from: Addr, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: from.ptr(),
        iov_len: len,
    };
    // SAFETY: the local vector is writable for its length; the kernel checks the remote address.
    let read = count(unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) })?;
    bytes.truncate(read);
    Ok(bytes)
}

/// `process_vm_writev` of a byte into a process's memory.
pub(crate) fn process_vm_write(pid: i32, to: Addr, byte: u8) -> Result<usize> {
    let mut byte = byte;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: to.ptr(),
        iov_len: 1,
    };
    // SAFETY: the local vector is readable; the address belongs to a region of raw pages.
    count(unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) })
}

/// `PTRACE_PEEKDATA` in a child that is attached to for the purpose.
pub(crate) fn ptrace_peek(pid: i32, from: Addr) -> Result<i64> {
    traced(pid, libc::PTRACE_PEEKDATA, from, 0)
}

/// `PTRACE_POKEDATA` in a child that is attached to for the purpose.
pub(crate) fn ptrace_poke(pid: i32, to: Addr, word: i64) -> Result<()> {
    traced(pid, libc::PTRACE_POKEDATA, to, word).map(drop)
}

fn traced(pid: i32, request: libc::c_uint, address: Addr, word: i64) -> Result<i64> {
    // SAFETY: the requests of this function take integers, and the address is the tracee's.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) })?;
    // SAFETY: the status is not asked for.
    Errno::result(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) })?;
    Errno::clear();
    // SAFETY: as above.
    let result = unsafe { libc::ptrace(request, pid, address.get(), word) };
    let outcome = if result == -1 && Errno::last_raw() != 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    };
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
    outcome
}

/// Asks for userfaults on a region: for missing pages, and for write protection that the kernel itself resolves, which
/// it takes more kinds of memory for. Fails as the first, unless the second is granted.
pub(crate) fn userfault(region: &Region) -> Result<()> {
    const MISSING: u64 = 1;
    const WRITE_PROTECT: u64 = 2;
    const WRITE_PROTECT_ASYNC: u64 = 1 << 15;
    let missing = register_userfault(region, 0, MISSING);
    register_userfault(region, WRITE_PROTECT_ASYNC, WRITE_PROTECT).or(missing)
}

fn register_userfault(region: &Region, features: u64, mode: u64) -> Result<()> {
    /// `struct uffdio_api` and, by its first three words, `struct uffdio_register`.
    #[repr(C)]
    struct Words([u64; 4]);
    const UFFDIO_API: libc::Ioctl = 0xc018_aa3f;
    const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00;
    // SAFETY: the call takes an integer.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })?;
    let fd = owned(i32::try_from(fd).expect("a descriptor"));
    let mut api = Words([0xaa, features, 0, 0]);
    // SAFETY: the structure is at least as large as the command's.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API, &raw mut api) })?;
    let mut register = Words([region.at(0).get() as u64, region.len() as u64, mode, 0]);
    // SAFETY: as above.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_REGISTER, &raw mut register) }).map(drop)
}

/// Registers a region as a fixed buffer of an io_uring, which pins it.
pub(crate) fn io_uring_buffer(region: &Region) -> Result<()> {
    const IORING_REGISTER_BUFFERS: u32 = 0;
    let mut parameters = [0_u8; 120];
    // SAFETY: the parameters have the size of `struct io_uring_params`.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })?;
    let fd = owned(i32::try_from(fd).expect("a descriptor"));
    let vector = libc::iovec {
        iov_base: region.at(0).ptr(),
        iov_len: region.len(),
    };
    let ring = fd.as_raw_fd();
    // SAFETY: one vector, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            IORING_REGISTER_BUFFERS,
            &raw const vector,
            1,
        )
    };
    Errno::result(result).map(drop)
}

/// Binds a region's memory to a node (`mbind`), moving what is elsewhere.
pub(crate) fn bind_to_node(region: &Region, node: u32) -> Result<()> {
    const MPOL_BIND: i32 = 2;
    const MPOL_MF_MOVE: u32 = 2;
    let nodes = 1_u64 << node;
    let (start, len) = (region.at(0).get(), region.len());
    // SAFETY: the mask outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            start,
            len,
            MPOL_BIND,
            &raw const nodes,
            64,
            MPOL_MF_MOVE,
        )
    };
    Errno::result(result).map(drop)
}

/// Asks for the pages of a region to be moved to a node (`move_pages`); without one, asks where they are. Returns what
/// the kernel says of each: the node that it is on, or an error number, negated.
pub(crate) fn move_pages(region: &Region, node: Option<u32>) -> Result<Vec<i32>> {
    const MPOL_MF_MOVE: i32 = 2;
    let pages: Vec<usize> = (0..region.len())
        .step_by(super::PAGE)
        .map(|offset| region.at(offset).get())
        .collect();
    let nodes = node.map(|node| vec![node as i32; pages.len()]);
    let mut status = vec![i32::MAX; pages.len()];
    // SAFETY: each list has an entry for each page, or is none.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            pages.len(),
            pages.as_ptr(),
            nodes.as_ref().map_or(std::ptr::null(), Vec::as_ptr),
            status.as_mut_ptr(),
            MPOL_MF_MOVE,
        )
    };
    Errno::result(result).map(|_| status)
}

/// A process that shares this one's descriptors but not its memory (`CLONE_FILES`): runs `body`, then exits.
pub(crate) fn fork_sharing_files(body: impl FnOnce()) -> Process {
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: as fork: without CLONE_VM the child has memory of its own; the tests that call it have one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    let pid = i32::try_from(Errno::result(pid).expect("clone")).expect("a process number");
    if pid == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
        super::process::exit_now(if done { 0 } else { 101 });
    }
    Process::adopt(pid)
}
