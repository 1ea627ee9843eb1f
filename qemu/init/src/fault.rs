// SPDX-License-Identifier: MIT OR Apache-2.0
//! Misbehaviour on request: with `shmdev.fault=` on the kernel's command line, and only then, the guest fails in one
//! of the ways that the host must be able to tell apart.

use std::{io::Write, thread, time::Duration};

use rustix::{
    process::{Pid, Signal, kill_process},
    system::{RebootCommand, reboot},
};

use crate::cmdline::Fault;

/// How long the job runs before the fault strikes: long enough for the first line of [`pretend_to_test`].
const DELAY: Duration = Duration::from_millis(700);

/// The fault that strikes before the host is greeted.
pub fn at_boot(fault: Option<Fault>) {
    if fault == Some(Fault::Silent) {
        sleep_forever();
    }
}

/// The faults that strike while `job` runs. They come from a thread of their own, for nothing else is to notice.
pub fn while_running(fault: Option<Fault>, job: Pid) {
    let strike: fn(Pid) = match fault {
        // The kernel panics when PID 1 ends.
        Some(Fault::Panic) => |_| std::process::exit(1),
        Some(Fault::PowerOff) => |_| _ = reboot(RebootCommand::PowerOff),
        Some(Fault::Hang) => |job| _ = kill_process(job, Signal::STOP),
        _ => return,
    };
    thread::spawn(move || {
        thread::sleep(DELAY);
        strike(job);
    });
}

/// Whether the host is to hear that the guest is alive. A guest that hangs is not.
pub fn silences_heartbeat(fault: Option<Fault>) -> bool {
    fault == Some(Fault::Hang)
}

/// Whether the host is to hear how the job ended.
pub fn silences_verdict(fault: Option<Fault>) -> bool {
    fault == Some(Fault::NoVerdict)
}

/// A job for tests of the machinery: looks like two tests that pass, the second of which takes a while.
pub fn pretend_to_test() {
    let say = |line: &str| {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    };
    say("\nrunning 2 tests\ntest pretended::quick ... ok\n");
    say("test pretended::slow ... ");
    thread::sleep(2 * DELAY);
    say(
        "ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.40s\n\n",
    );
}

fn sleep_forever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
