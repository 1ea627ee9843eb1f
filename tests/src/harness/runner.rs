// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the chosen tests one after the other, each between two looks at the kernel log and at the device.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use super::kmsg::{self, Reader};
use super::report::{Summary, Verdict, details, ending};
use super::{Args, Test, child, on_debug_kernel, state};
use crate::sys::process;

/// Exit status of a run in which a test failed, as cargo's.
const FAILED: u8 = 101;
/// Exit status when the tests could not be run at all.
const MACHINERY_FAILED: u8 = 69;

/// Runs the chosen tests and prints the report.
pub(crate) fn run(args: &Args, tests: &[&Test]) -> ExitCode {
    let (chosen, others): (Vec<&Test>, Vec<&Test>) = tests
        .iter()
        .partition(|test| args.chooses(&test.name(), test.slow));
    match without_restartable_sequences().and_then(|()| Runner::new()) {
        Ok(mut runner) => match runner.run(&chosen, others.len(), args.report_time) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(error) => machinery_failed(&error),
        },
        Err(error) => machinery_failed(&error),
    }
}

/// Starts this program anew, once, without restartable sequences: the kernel writes to their area when it returns from
/// a call, and kills who has no memory for that just then, as tests of such failures have.
fn without_restartable_sequences() -> std::io::Result<()> {
    const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    if std::env::var(TUNABLES.0).is_ok_and(|value| value == TUNABLES.1) {
        return Ok(());
    }
    let mut anew = Command::new("/proc/self/exe");
    anew.args(std::env::args_os().skip(1)).env(TUNABLES.0, TUNABLES.1);
    Err(anew.exec())
}

fn machinery_failed(error: &std::io::Error) -> ExitCode {
    eprintln!("shmdev-tests: the tests cannot run: {error}");
    ExitCode::from(MACHINERY_FAILED)
}

struct Runner {
    log: Reader,
    /// How much slower this kernel is than a stock one, for the limits alone.
    slowness: u32,
}

impl Runner {
    fn new() -> std::io::Result<Runner> {
        process::become_subreaper()?;
        let log = Reader::from_the_start()?;
        Ok(Runner {
            log,
            slowness: if on_debug_kernel() { 5 } else { 1 },
        })
    }

    fn run(&mut self, tests: &[&Test], filtered_out: usize, report_time: bool) -> std::io::Result<bool> {
        let start = Instant::now();
        let mut summary = Summary {
            filtered_out,
            ..Summary::default()
        };
        let count = tests.len();
        say(&format!(
            "\nrunning {count} test{}\n",
            if count == 1 { "" } else { "s" }
        ))?;
        if let Some(trouble) = kmsg::trouble(&self.log.news()?) {
            let name = "(before the first test)";
            say(&details(name, "", std::slice::from_ref(&trouble)))?;
            summary.count(name, &Verdict::Failed(vec![trouble]));
        }
        for test in tests {
            let name = test.name();
            // Announced before it runs: if the kernel dies, this is the test that killed it.
            say(&format!("test {name} ... "))?;
            let began = Instant::now();
            let (verdict, output) = self.judge(test)?;
            let time = if report_time {
                format!(" <{:.3}s>", began.elapsed().as_secs_f64())
            } else {
                String::new()
            };
            say(&format!("{}{time}\n", ending(&verdict)))?;
            if let Verdict::Failed(reasons) = &verdict {
                say(&details(&name, &output, reasons))?;
            }
            summary.count(&name, &verdict);
        }
        say(&summary.text(start.elapsed()))?;
        Ok(summary.is_ok())
    }

    /// Runs one test; its verdict and its output.
    fn judge(&mut self, test: &Test) -> std::io::Result<(Verdict, String)> {
        for need in test.needs {
            let Some(reason) = need.missing() else { continue };
            let verdict = match need.may_be_missing() {
                true => Verdict::Ignored(reason),
                false => Verdict::Failed(vec![format!("{reason}, which this guest ought to have")]),
            };
            return Ok((verdict, String::new()));
        }
        if let Err(reason) = state::prepare() {
            return Ok((Verdict::Failed(vec![reason]), String::new()));
        }
        let outcome = child::run(test, Duration::from_secs(test.seconds) * self.slowness)?;
        let mut reasons = outcome.complaints;
        reasons.extend(state::check().err());
        reasons.extend(kmsg::trouble(&self.log.news()?));
        let verdict = if reasons.is_empty() {
            Verdict::Passed
        } else {
            Verdict::Failed(reasons)
        };
        Ok((verdict, outcome.output))
    }
}

/// Prints at once, so that the host knows what runs.
fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
