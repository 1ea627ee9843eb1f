// SPDX-License-Identifier: MIT OR Apache-2.0

//! Signals that interrupt a call, and limits and identities of a process.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Errno, Result};

static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    CAUGHT.fetch_add(1, Ordering::SeqCst);
}

/// Counts this signal from now on, with these `SA_` flags.
pub(crate) fn catch(signal: i32, flags: i32) {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = (count as extern "C" fn(i32)) as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: the handler only counts, which is safe in a signal.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0, "sigaction");
}

/// How many signals were caught.
pub(crate) fn caught() -> u32 {
    CAUGHT.load(Ordering::SeqCst)
}

/// Sends a signal to one thread of this process.
pub(crate) fn signal_thread(thread: i32, signal: i32) {
    let process = std::process::id();
    // SAFETY: the call takes integers.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
    assert_eq!(result, 0, "tgkill");
}

/// Sends a signal to a process that has not been reaped.
pub(crate) fn send(process: u32, signal: i32) {
    let process = i32::try_from(process).expect("a process number");
    // SAFETY: the call takes integers.
    let result = unsafe { libc::kill(process, signal) };
    assert_eq!(result, 0, "kill");
}

/// The number of this thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: the call takes nothing.
    unsafe { libc::gettid() }
}

/// Sets a soft limit (the hard one stays, so that it can be raised again).
pub(crate) fn limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives the call.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    assert_eq!(result, 0, "getrlimit");
    limit.rlim_cur = soft.min(limit.rlim_max);
    // SAFETY: `limit` outlives the call.
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(result, 0, "setrlimit");
}

/// Becomes an ordinary user for good.
pub(crate) fn become_nobody() {
    // SAFETY: the calls take integers; this process has one thread.
    let group = unsafe { libc::setgid(65534) };
    // SAFETY: as above.
    let user = unsafe { libc::setuid(65534) };
    assert_eq!((group, user), (0, 0), "setgid, setuid");
}

/// Schedules this process, from now on, before all that is not as urgent: 1 to 99.
pub(crate) fn become_real_time(priority: i32) {
    schedule(libc::SCHED_FIFO, priority);
}

fn schedule(policy: i32, priority: i32) {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `parameters` outlives the call.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    assert_eq!(result, 0, "sched_setscheduler: {}", Errno::last());
}

/// Keeps this thread, and what it forks, on one processor.
pub(crate) fn run_on_the_first_processor() {
    let mut set = nix::sched::CpuSet::new();
    set.set(0).expect("processor 0");
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("sched_setaffinity");
}

/// Does something during which no ordinary task runs on the processor of this one.
pub(crate) fn keep_the_processor(body: impl FnOnce()) {
    schedule(libc::SCHED_FIFO, 1);
    body();
    schedule(libc::SCHED_OTHER, 0);
}

/// Sets the personality of this process.
pub(crate) fn set_personality(persona: i32) {
    // SAFETY: the call takes an integer.
    let old = unsafe { libc::personality(persona as libc::c_ulong) };
    assert!(old >= 0, "personality");
}

/// Has no large pages mapped for this process from now on, or has them again.
pub(crate) fn disable_large_pages(disable: bool) {
    // SAFETY: the option takes integers.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(disable), 0, 0, 0) };
    assert_eq!(result, 0, "PR_SET_THP_DISABLE: {}", Errno::last());
}

/// Runs a program in place of this process; returns only when that fails.
pub(crate) fn exec(program: &std::ffi::CStr, arguments: &[&std::ffi::CStr]) -> Result<()> {
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: a C string, and an array of C strings that ends with a null pointer.
    let result = unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    Errno::result(result).map(drop)
}

/// `vfork`, then `execve` of this very program with `arguments`, in C's manner; returns the child's number.
pub(crate) fn spawn_self(arguments: &[&str]) -> std::process::Child {
    std::process::Command::new("/proc/self/exe")
        .args(arguments)
        .spawn()
        .expect("starting this program")
}

/// Locks everything that this process maps from now on.
pub(crate) fn lock_future() {
    // SAFETY: locking does not change memory.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    assert_eq!(result, 0, "mlockall: {}", Errno::last());
}

/// `pread` of a byte from a descriptor that may be closed, or be closed during the call.
pub(crate) fn pread_by_number(fd: i32) -> Result<usize> {
    let mut byte = 0_u8;
    // SAFETY: one byte, which outlives the call.
    super::count(unsafe { libc::pread(fd, (&raw mut byte).cast(), 1, 0) })
}
