// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes of a test, the gates at which they wait for one another, and what the runner needs to watch and clear
//! them away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use super::handle::owned;
use super::{Errno, Result, file};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    Signal(i32),
}

impl End {
    /// What `waitpid` said of a process that has ended.
    fn of(status: i32) -> End {
        if libc::WIFEXITED(status) {
            End::Exit(libc::WEXITSTATUS(status))
        } else {
            End::Signal(libc::WTERMSIG(status))
        }
    }
}

/// A forked child. Killed and reaped when dropped before it has been joined.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    reaped: bool,
}

impl Process {
    /// Runs the closure in a forked child, which exits with status 0 when it returns and 101 when it panics. What the
    /// closure owns is dropped in both processes.
    pub(crate) fn fork(body: impl FnOnce()) -> Process {
        Process::try_fork(body).expect("fork")
    }

    /// As [`Process::fork`], when failing is what is tested.
    pub(crate) fn try_fork(body: impl FnOnce()) -> Result<Process> {
        // SAFETY: tests that fork do so from their only thread, so the child may do what it likes.
        let pid = Errno::result(unsafe { libc::fork() })?;
        if pid == 0 {
            let status = if std::panic::catch_unwind(AssertUnwindSafe(body)).is_ok() {
                0
            } else {
                101
            };
            exit_now(status);
        }
        Ok(Process { pid, reaped: false })
    }

    /// A child that was made by other means.
    pub(super) fn adopt(pid: i32) -> Process {
        Process { pid, reaped: false }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child has not been reaped, so the number is still its own.
        let result = unsafe { libc::kill(self.pid, signal) };
        assert_eq!(result, 0, "kill {signal}");
    }

    /// Waits until the child has ended.
    pub(crate) fn wait(mut self) -> End {
        self.reap()
    }

    /// Waits until the child has ended, as it should.
    pub(crate) fn join(self) {
        let pid = self.pid;
        assert_eq!(self.wait(), End::Exit(0), "process {pid} of the test");
    }

    /// Whether the child has not ended; if it has, that was as it should.
    pub(crate) fn goes_on(&mut self) -> bool {
        let end = self.ended();
        assert!(
            matches!(end, None | Some(End::Exit(0))),
            "process {} of the test: {end:?}",
            self.pid
        );
        end.is_none()
    }

    /// How the child ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let result = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
        if Errno::result(result).expect("waitpid") == 0 {
            return None;
        }
        self.reaped = true;
        Some(End::of(status))
    }

    /// Kills the child and waits until it is gone with all it had.
    pub(crate) fn kill(self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.wait(), End::Signal(libc::SIGKILL));
    }

    /// Stops the child, and waits until it has stopped.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let result = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WUNTRACED) };
        assert!(result == self.pid && libc::WIFSTOPPED(status), "the child stops");
    }

    /// Whether the child sleeps in this system call, in a way that a signal would end.
    pub(crate) fn sleeps_in(&self, call: libc::c_long) -> bool {
        let text = |file| std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
        let calls = text("syscall").split(' ').next() == Some(call.to_string().as_str());
        calls && stat_fields(&text("stat")).is_some_and(|(_, state, _)| state == 'S')
    }

    fn reap(&mut self) -> End {
        let mut status = 0;
        loop {
            // SAFETY: `status` outlives the call.
            match Errno::result(unsafe { libc::waitpid(self.pid, &raw mut status, 0) }) {
                Err(Errno::EINTR) => (),
                Err(error) => panic!("waitpid: {error}"),
                Ok(_) => break,
            }
        }
        self.reaped = true;
        End::of(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(libc::SIGKILL);
            self.reap();
        }
    }
}

/// Ends this process without running anything more.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit does not return.
    unsafe { libc::_exit(status) }
}

/// Ends this process as others would who have had enough of it.
pub(crate) fn kill_myself() -> ! {
    // SAFETY: the call takes an integer.
    unsafe { libc::raise(libc::SIGKILL) };
    unreachable!("SIGKILL kills")
}

/// Ends this thread as the kernel knows it, and no other, even if it is the first.
pub(crate) fn exit_thread() -> ! {
    // SAFETY: the call takes an integer; nothing on this thread's stack is used by other threads afterwards but what
    // stays there, since the stack stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit does not return")
}

/// Gives this thread something of its own that it shared so far: `CLONE_` flags.
pub(crate) fn unshare(flags: i32) -> Result<()> {
    // SAFETY: the call takes an integer.
    Errno::result(unsafe { libc::unshare(flags) }).map(drop)
}

/// Waits for a signal to end this process.
pub(crate) fn park() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// A one-way signal between processes: each [`Gate::open`] lets one [`Gate::pass`] through.
#[derive(Debug)]
pub(crate) struct Gate {
    reader: File,
    writer: File,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let (reader, writer) = file::pipe();
        Gate { reader, writer }
    }

    pub(crate) fn open(&self) {
        (&self.writer).write_all(&[1]).expect("opening a gate");
    }

    pub(crate) fn pass(&self) {
        (&self.reader).read_exact(&mut [0]).expect("passing a gate");
    }
}

/// Waits until the condition holds; the test fails after a time that no healthy system needs.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(40);
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Which of these descriptors are readable (or at their end), after at most this time.
pub(crate) fn wait_readable<const N: usize>(
    fds: [RawFd; N],
    timeout: Duration,
) -> std::io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    let timeout = i32::try_from(timeout.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
    // SAFETY: the array has N elements.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled.map(|one| one.revents != 0)),
        Err(error) => Err(error.into()),
    }
}

/// Gives this process, which has just been forked, these standard streams, no other descriptors, and a process group of
/// its own. What it owned that had descriptors must not be used any more.
pub(crate) fn stand_alone(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<()> {
    for (from, to) in [(input, 0), (output, 1), (output, 2)] {
        // SAFETY: the descriptors are open, and the standard streams nobody's.
        Errno::result(unsafe { libc::dup2(from.as_raw_fd(), to) })?;
    }
    // SAFETY: the caller sees to it that what is closed here is not used any more.
    Errno::result(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) })?;
    // SAFETY: the call takes two integers.
    Errno::result(unsafe { libc::setpgid(0, 0) }).map(drop)
}

/// A descriptor that becomes readable when the child ends.
pub(crate) fn pidfd_open(pid: i32) -> std::io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(result)?;
    Ok(owned(i32::try_from(fd).expect("a descriptor")))
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> std::io::Result<()> {
    // SAFETY: the descriptor is open.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok(())
}

/// Makes orphans below this process its children.
pub(crate) fn become_subreaper() -> std::io::Result<()> {
    // SAFETY: the option takes an integer.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    Ok(())
}

/// Kills and reaps children until there are none; orphans of theirs become children and go too. Returns what was
/// killed.
pub(crate) fn kill_descendants() -> Vec<String> {
    let mut killed = Vec::new();
    // Most tests leave nothing, and looking through all processes takes its time.
    while has_children() {
        for (pid, name) in children() {
            // SAFETY: a child that has not been reaped keeps its number.
            if unsafe { libc::kill(pid, libc::SIGKILL) } == 0 && !name.ends_with("(zombie)") {
                killed.push(format!("{name} ({pid})"));
            }
        }
        // SAFETY: the status is not asked for.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
    }
    killed
}

/// Whether this process has children, living or not yet reaped.
fn has_children() -> bool {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: what is found is not asked for.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), options) };
    Errno::result(result) != Err(Errno::ECHILD)
}

/// The children of this process: number and name.
fn children() -> Vec<(i32, String)> {
    let me = i64::from(std::process::id());
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let (name, state, parent) =
                stat_fields(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
            let name = if state == 'Z' {
                format!("{name} (zombie)")
            } else {
                name
            };
            (parent == me).then_some((pid, name))
        })
        .collect()
}

/// Name, state and parent out of `/proc/PID/stat`. The name may contain anything, parentheses too.
fn stat_fields(text: &str) -> Option<(String, char, i64)> {
    let (head, tail) = text.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split(' ');
    Some((
        name.to_owned(),
        fields.next()?.chars().next()?,
        fields.next()?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::stat_fields;

    #[test]
    fn names_with_parentheses_do_not_confuse_the_fields() {
        assert_eq!(
            stat_fields("12 (a) b) S 7 12 12 0"),
            Some(("a) b".into(), 'S', 7))
        );
        assert_eq!(stat_fields("12 (sh) Z 1 2"), Some(("sh".into(), 'Z', 1)));
        assert_eq!(stat_fields(""), None);
    }
}
