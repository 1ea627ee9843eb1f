// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu-test --machinery`: real guests that fail on request, to see that each failure is noticed in
//! time and taken for what it is.

use std::{
    io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    clock::Limits,
    image::{self, KernelArgs, Parts},
    machine::{self, MachineArgs},
    outcome::Verdict,
    protocol::Job,
    report::Counts,
    session::Output,
    test::{self, Watched},
    vm::Standard,
};
use crate::{ctx::Ctx, error::Failure, guest_bins::Purpose};

/// A guest, and what is to be made of it.
struct Case {
    name: &'static str,
    /// `shmdev.fault=`; none is for a guest that does as it should.
    fault: Option<&'static str>,
    expected: Expected,
    /// A word of the explanation.
    word: &'static str,
}

enum Expected {
    Passed,
    Failed,
    Machinery,
}

const CASES: [Case; 6] = [
    case(
        "a_guest_that_does_as_it_should_passes",
        None,
        Expected::Passed,
        "",
    ),
    case(
        "a_guest_that_panics_fails",
        Some("panic"),
        Expected::Failed,
        "panicked",
    ),
    case("a_guest_that_hangs_fails", Some("hang"), Expected::Failed, "hung"),
    case(
        "a_guest_that_powers_off_early_is_noticed",
        Some("poweroff"),
        Expected::Machinery,
        "QEMU ended",
    ),
    case(
        "a_guest_that_says_nothing_is_noticed",
        Some("silent"),
        Expected::Machinery,
        "in time",
    ),
    case(
        "a_verdict_that_is_missing_is_noticed",
        Some("noverdict"),
        Expected::Machinery,
        "QEMU ended",
    ),
];

const fn case(
    name: &'static str,
    fault: Option<&'static str>,
    expected: Expected,
    word: &'static str,
) -> Case {
    Case {
        name,
        fault,
        expected,
        word,
    }
}

fn full_name(case: &Case) -> String {
    format!("machinery::{}", case.name)
}

/// No failure may take longer to be noticed.
const BOUND: Duration = Duration::from_secs(60);

/// Runs the cases whose name contains `filter`.
pub fn run(ctx: &Ctx, kernel: &KernelArgs, machine: &MachineArgs, filter: Option<&str>) -> Result<ExitCode> {
    let chosen = |case: &&Case| filter.is_none_or(|filter| full_name(case).contains(filter));
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if cases.is_empty() {
        let names: Vec<String> = CASES.iter().map(full_name).collect();
        return Err(Failure::usage(format!(
            "no test of the machinery has {:?} in its name; there are: {}",
            filter.unwrap_or_default(),
            names.join(", ")
        )));
    }
    let spec = kernel.spec(ctx)?;
    let parts = image::prepare(ctx, &spec, Purpose::Use)?;
    let start = Instant::now();
    let mut counts = Counts {
        filtered_out: (CASES.len() - cases.len()) as u64,
        ..Counts::default()
    };
    println!("\nrunning {} tests", cases.len());
    for case in cases {
        let log = machine::log(ctx, case.fault.unwrap_or("ok"), &parts.kernel.name)?;
        let start = Instant::now();
        let verdict = try_case(ctx, &parts, machine, case, &log)?;
        if let Verdict::Interrupted(signal) = verdict {
            return Ok(ExitCode::from(128 + signal as u8));
        }
        match judge(case, &verdict, start.elapsed()) {
            Ok(()) => {
                counts.passed += 1;
                println!("test {} ... ok", full_name(case));
            }
            Err(why) => {
                counts.failed += 1;
                println!("test {} ... FAILED\n    {why}", full_name(case));
                println!("    the kernel's log is {}", log.display());
            }
        }
    }
    println!(
        "\n{}",
        counts.line(counts.failed == 0, start.elapsed().as_secs_f32())
    );
    Ok(ExitCode::from(u8::from(counts.failed > 0)))
}

/// What a guest says of tests is none of this run's results.
struct ErrorsAlone;

impl Output for ErrorsAlone {
    fn stdout(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        Standard.stderr(bytes)
    }
}

/// One guest; what it was taken for.
fn try_case(ctx: &Ctx, parts: &Parts, machine: &MachineArgs, case: &Case, log: &Path) -> Result<Verdict> {
    let job = Job {
        argv: vec![b"/init".to_vec()],
        cwd: b"/".to_vec(),
        heartbeat: true,
        ..Job::default()
    };
    let limits = Limits {
        boot: Some(Duration::from_secs(if case.fault == Some("silent") {
            8
        } else {
            40
        })),
        silence: Some(Duration::from_secs(5)),
        idle: Some(Duration::from_secs(20)),
        overall: Some(BOUND),
        power_off: Duration::from_secs(10),
    };
    let append: Vec<String> = case
        .fault
        .iter()
        .map(|fault| format!("shmdev.fault={fault}"))
        .collect();
    let watched = Watched {
        job: &job,
        limits,
        append: &append,
        log,
    };
    test::watch(ctx, parts, machine, &watched, &mut ErrorsAlone)
}

/// Why what the guest was taken for, after that time, is not what it should be.
fn judge(case: &Case, verdict: &Verdict, time: Duration) -> Result<(), String> {
    let as_expected = match (&case.expected, verdict) {
        (Expected::Passed, Verdict::Passed(_)) => true,
        (Expected::Failed, Verdict::Failed(_, Some(why)))
        | (Expected::Machinery, Verdict::Machinery(why)) => why.contains(case.word),
        _ => false,
    };
    if !as_expected {
        return Err(format!("taken for {verdict:?}"));
    }
    if time > BOUND {
        return Err(format!("noticed after {time:?} only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::Cache, error, ui::Ui};

    #[test]
    fn a_guest_is_what_it_should_be_with_the_right_word_in_time() {
        let panics = case("panics", Some("panic"), Expected::Failed, "panicked");
        let failed = |why: &str| Verdict::Failed(Counts::default(), Some(why.into()));
        assert_eq!(judge(&panics, &failed("the kernel panicked"), BOUND), Ok(()));
        assert!(judge(&panics, &failed("the kernel hung"), BOUND).is_err());
        assert!(judge(&panics, &failed("the kernel panicked"), BOUND * 2).is_err());
        let machinery = Verdict::Machinery("the kernel panicked".into());
        assert!(judge(&panics, &machinery, BOUND).is_err());
    }

    #[test]
    fn a_filter_that_fits_nothing_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Ctx {
            workspace: dir.path().into(),
            cache: Cache::at(dir.path()),
            ui: Ui::silent(),
        };
        let refused = run(
            &ctx,
            &KernelArgs::default(),
            &MachineArgs::default(),
            Some("unheard"),
        );
        let error = refused.unwrap_err();
        assert_eq!(error::kind(&error), error::Kind::Usage);
        assert!(
            error.to_string().contains("machinery::a_guest_that_panics_fails"),
            "{error}"
        );
    }
}
