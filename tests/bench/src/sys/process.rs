// SPDX-License-Identifier: MIT OR Apache-2.0

//! Other processes of a measure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getppid};

/// A child, which is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
}

impl Child {
    /// Runs `body` in a child. If it fails it says so on standard error and ends this process, which would else wait for
    /// the child for ever.
    pub fn fork(body: impl FnOnce() -> Result<()>) -> Result<Self> {
        // SAFETY: this process has one thread whenever a measure forks, so the child may do what it likes.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => Ok(Self { pid: child }),
            ForkResult::Child => {
                // Who waits for this child must not wait for ever when the program is killed.
                // SAFETY: it takes numbers.
                let _ = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let status = match catch_unwind(AssertUnwindSafe(body)) {
                    Ok(Ok(())) => 0,
                    Ok(Err(error)) => {
                        eprintln!("shmdev-bench: a child: {error:#}");
                        1
                    }
                    Err(_) => 101,
                };
                if status != 0 {
                    let _ = kill(getppid(), Signal::SIGTERM);
                }
                // SAFETY: it ends the process at once; nothing of the parent's is dropped or flushed twice.
                unsafe { libc::_exit(status) }
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail for one that has ended and been waited for.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// Lets this process run only while nobody else wants to: whoever wakes it is not interrupted by it.
pub fn run_when_idle() -> Result<()> {
    schedule(libc::SCHED_IDLE, 0).context("SCHED_IDLE")
}

/// Lets this process and its children run like others, but not at once when they are woken.
pub fn run_in_turn() -> Result<()> {
    schedule(libc::SCHED_BATCH, 0).context("SCHED_BATCH")
}

/// Lets this process run as soon as it is woken.
pub fn run_at_once() -> Result<()> {
    schedule(libc::SCHED_FIFO, 1).context("SCHED_FIFO")
}

fn schedule(policy: i32, priority: i32) -> nix::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameters are there until the call returns.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    Errno::result(result).map(drop)
}
