// SPDX-License-Identifier: MIT OR Apache-2.0
//! PID 1 of the guest: loads modules, mounts, runs one job for the host, reports how it ended, powers off.
//!
//! Whatever goes wrong is said to the host and ends in power-off; nothing here may wait without a bound, except for
//! the job. Should PID 1 die all the same, the kernel panics, and that ends the machine too.

mod cmdline;
mod fault;
mod host;
mod job;
mod loopback;
mod modules;
mod mounts;
#[allow(dead_code, reason = "each side uses its half")]
mod protocol;
mod pumps;
mod standalone;

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::system::{RebootCommand, reboot};

use cmdline::Options;
use host::Host;
use protocol::{Job, ToGuest, ToHost};

fn main() {
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        fault::pretend_to_test();
        return;
    }
    let outcome = std::panic::catch_unwind(boot);
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fatal(&format!("{error:#}")),
        Err(_) => fatal("PID 1 panicked; the serial log says where"),
    }
    power_off();
}

fn boot() -> Result<()> {
    mounts::early()?;
    let options = Options::parse(&fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?);
    // The boot is quiet, because a serial console is slow; from now on the log on it is complete.
    let _ = fs::write("/proc/sys/kernel/printk", "7");
    fault::at_boot(options.fault);
    if let Some(what) = options.standalone {
        return standalone::run(what, &options.kernel);
    }
    modules::load_console()?;
    let host = Host::connect()?;
    host.send(&ToHost::Hello(protocol::VERSION, uptime()))?;
    if options.probe {
        return Ok(());
    }
    match host.receive()? {
        Some(ToGuest::Run(job)) => serve(host, &job, &options),
        other => bail!("expected a job from the host, got {other:?}"),
    }
}

/// Runs the host's job in the surroundings it asks for.
fn serve(host: &'static Host, job: &Job, options: &Options) -> Result<()> {
    modules::load_rest()?;
    modules::load_ours(&job.module_parameters)?;
    mounts::for_job(job)?;
    // Without a network, without a loopback device: not every kernel has one.
    let _ = loopback::up();
    let _ = rustix::system::sethostname(b"shmdev");
    job::run(host, job, options.fault)
}

/// Milliseconds since the kernel's start.
fn uptime() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Tells the host why there will be no verdict; on the serial console too, in case the host cannot be reached.
fn fatal(why: &str) {
    eprintln!("shmdev-init: {why}");
    if let Some(host) = Host::connected() {
        let _ = host.send(&ToHost::Fatal(why.to_owned()));
        // If somebody reads the port already, that one hears the host's answer.
        thread::spawn(|| while host.receive().is_ok_and(|message| message.is_some()) {});
        host.wait_for_finish(Duration::from_secs(5));
    }
}

/// Powers off; if the kernel cannot, ends PID 1, which panics the kernel.
fn power_off() -> ! {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
    thread::sleep(Duration::from_secs(5));
    eprintln!("shmdev-init: this kernel cannot power off");
    std::process::exit(1)
}
