// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest without a host program: a shell or the tests on the serial console, for an image that is started by hand.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitOptions, wait};

use crate::{cmdline::Standalone, modules, mounts, protocol::Job};

/// The serial console.
const CONSOLE: &str = "/dev/ttyS0";

/// Loads the module, shows what it says of itself, and runs what was asked for. The tools call the kernel
/// `kernel`.
pub fn run(what: Standalone, kernel: &str) -> Result<()> {
    // Only what is broken is to appear among the output of programs.
    let _ = std::fs::write("/proc/sys/kernel/printk", "4");
    modules::load_ours("")?;
    mounts::for_job(&Job::default())?;
    let _ = crate::loopback::up();
    let _ = rustix::system::sethostname(b"shmdev");
    run_on_console("/usr/local/bin/shmdev", &["info"], kernel)?;
    match what {
        Standalone::Shell => {
            println!(
                "A shell in the guest. The module is loaded; /usr/local/bin has shmdev and shmdev-tests; exit powers off."
            );
            run_on_console("/bin/busybox", &["sh", "-l"], kernel)
        }
        Standalone::Tests => run_on_console("/usr/local/bin/shmdev-tests", &[], kernel),
    }
}

/// Runs a program with the console as its terminal, and waits for it.
fn run_on_console(program: &str, args: &[&str], kernel: &str) -> Result<()> {
    let console = File::options()
        .read(true)
        .write(true)
        .open(CONSOLE)
        .context("there is no serial console")?;
    let console = || console.try_clone().map(Stdio::from);
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir("/")
        .env_clear()
        .stdin(console()?)
        .stdout(console()?)
        .stderr(console()?);
    command.envs([
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("TERM", "vt102"),
        ("SHMDEV_KO", "/lib/shmdev/shmdev.ko"),
        ("SHMDEV_KERNEL", kernel),
        ("SHMDEV_STANDALONE", "1"),
    ]);
    // SAFETY: between fork and exec the closure does nothing but two system calls.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
        })
    };
    let child = match command.spawn() {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            println!("cannot run {program}: {error}");
            return Ok(());
        }
    };
    while !matches!(wait(WaitOptions::empty())?, Some((pid, _)) if pid == child) {}
    Ok(())
}
