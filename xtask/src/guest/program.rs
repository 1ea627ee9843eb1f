// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one of our programs, which reports on its standard output, in a guest whose kernel has to stay without trouble, and
//! judges how that ended. What the program says is for its caller to judge.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use super::{
    clock::{Cut, Limits},
    image::Parts,
    machine,
    outcome::{blames_job, describe, disaster, first_trouble, no_end},
    protocol::{Exit, Job, ROOT_TAG},
    qemu::{Export, Machine},
    session::{Output, Record},
    terminal,
};
use crate::{ctx::Ctx, error::Failure};

/// A program that writes nothing for so long hangs.
const IDLE: Duration = Duration::from_secs(900);

/// All that the program does, on a slow host.
const OVERALL: Duration = Duration::from_secs(3 * 3600);

/// What makes trouble in the kernel an end that cannot be overlooked, and costs nothing while there is none.
const STRICT: [&str; 3] = ["panic_on_warn=1", "hung_task_panic=1", "loglevel=5"];

/// How a program ended about which there is nothing to complain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With status 0.
    Well,
    /// A signal to xtask ended it.
    Interrupted(i32),
}

/// Runs the program in `machine`; `what` names it in the log's file name and in errors.
pub fn run(
    ctx: &Ctx,
    parts: &Parts,
    mut machine: Machine,
    what: &str,
    argv: &[String],
    output: &mut dyn Output,
) -> Result<End> {
    let log = machine::log(ctx, what, &parts.kernel.name)?;
    ctx.ui.step(&format!(
        "{what}: guest with {}; the kernel's log is {}",
        parts.kernel.release,
        log.display()
    ));
    machine.append.splice(0..0, STRICT.map(String::from));
    machine.exports.push(Export {
        tag: ROOT_TAG,
        path: parts.root.path().to_owned(),
        readonly: true,
    });
    let job = Job {
        argv: argv.iter().map(|word| word.clone().into_bytes()).collect(),
        env: machine::environment(&parts.kernel.name, None),
        cwd: b"/".to_vec(),
        root: true,
        // It would be counted, and run beside what is measured.
        heartbeat: false,
        ..Job::default()
    };
    let limits = Limits {
        boot: Some(Duration::from_secs(180)),
        silence: None,
        idle: Some(IDLE),
        overall: Some(OVERALL),
        power_off: Duration::from_secs(60),
    };
    let session = machine::start(ctx, parts, &machine, &log)?;
    let _signals = terminal::watch_signals(session.sender(), false)?;
    let record = session.run(&job, limits, output);
    machine::note_times(&log, &record);
    let text = fs::read(&*log).with_context(|| format!("cannot read {}", log.display()))?;
    judge(&record, &String::from_utf8_lossy(&text), what)
        .with_context(|| format!("the kernel's log is {}", log.display()))
}

/// What it means that the guest ended so.
fn judge(record: &Record, log: &str, what: &str) -> Result<End> {
    if let Some(Cut::Interrupted(signal)) = record.cut {
        return Ok(End::Interrupted(signal));
    }
    let Some(exit) = record.exit else {
        let problem = disaster(record, log);
        return Err(match blames_job(record, log) {
            true => Failure::tests(problem),
            false => Failure::machinery(problem),
        });
    };
    if exit != Exit::Code(0) {
        let how = describe(exit);
        return Err(Failure::tests(format!("{what} ended with {how}")));
    }
    if let Some(line) = first_trouble(log) {
        return Err(Failure::tests(format!(
            "{what} ended well, but the kernel logged: {line}"
        )));
    }
    match no_end(record) {
        Some(problem) => Err(Failure::machinery(problem)),
        None => Ok(End::Well),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{self, Kind};

    fn ended(exit: Option<Exit>, cut: Option<Cut>) -> Record {
        Record {
            hello: Some(1000),
            started: Some(1200),
            exit,
            complete: exit.is_some(),
            cut,
            ..Record::default()
        }
    }

    fn kind(record: &Record, log: &str) -> Kind {
        error::kind(&judge(record, log, "bench").unwrap_err())
    }

    #[test]
    fn status_0_and_a_quiet_kernel_are_a_good_end() {
        let record = ended(Some(Exit::Code(0)), None);
        assert_eq!(
            judge(&record, "[ 1.0] shmdev: loaded\n", "bench").unwrap(),
            End::Well
        );
    }

    #[test]
    fn what_the_program_does_to_itself_or_to_the_kernel_is_its_own_failure() {
        assert_eq!(kind(&ended(Some(Exit::Code(3)), None), ""), Kind::Tests);
        assert_eq!(kind(&ended(Some(Exit::Signal(11)), None), ""), Kind::Tests);
        assert_eq!(kind(&ended(None, Some(Cut::Idle)), ""), Kind::Tests);
        let panic = "[ 2.0] Kernel panic - not syncing: x\n";
        assert_eq!(kind(&ended(None, None), panic), Kind::Tests);
        let warning = "[ 2.0] WARNING: CPU: 0 PID: 1 at mm/memory.c:1 x+0x1/0x2\n";
        assert_eq!(kind(&ended(Some(Exit::Code(0)), None), warning), Kind::Tests);
    }

    #[test]
    fn a_guest_that_goes_away_is_the_machinerys_failure() {
        assert_eq!(kind(&ended(None, None), ""), Kind::Machinery);
        assert_eq!(kind(&ended(None, Some(Cut::Boot)), ""), Kind::Machinery);
        let cut = ended(Some(Exit::Code(0)), Some(Cut::PowerOff));
        assert_eq!(kind(&cut, ""), Kind::Machinery);
        let incomplete = Record {
            complete: false,
            ..ended(Some(Exit::Code(0)), None)
        };
        assert_eq!(kind(&incomplete, ""), Kind::Machinery);
    }

    #[test]
    fn an_interruption_is_no_failure() {
        let cut = ended(None, Some(Cut::Interrupted(2)));
        assert_eq!(judge(&cut, "", "bench").unwrap(), End::Interrupted(2));
    }
}
