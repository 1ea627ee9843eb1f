// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it means that a guest ended as it did. Pure.
//!
//! A verdict is PID 1's word on how the tests' process ended **and** a well-formed result line at the end of its output
//! that agrees **and** a kernel log without trouble. What is missing counts as failure:
//!
//! | what happened | verdict |
//! |---|---|
//! | status 0, result ok, quiet kernel | passed |
//! | status 101, result FAILED | failed |
//! | trouble in the kernel's log, whatever the tests say | failed |
//! | the kernel panicked while tests ran | failed: the test that ran is named |
//! | no sign of life, no output, or no end while tests ran | failed: the test that ran is named |
//! | anything of that before the tests ran | the machinery failed |
//! | switched off early; status or result line missing, cut off, or in disagreement | the machinery failed |

use super::{
    clock::Cut,
    protocol::Exit,
    report::{Counts, Report},
    session::Record,
    trouble,
};

/// The tests' exit status when some failed: that of a Rust panic.
const SOME_FAILED: u8 = 101;

/// What became of the tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All passed.
    Passed(Counts),
    /// Some failed, or the kernel did; one paragraph says what, unless the tests have said it themselves.
    Failed(Counts, Option<String>),
    /// Nothing is known; one paragraph says why.
    Machinery(String),
    /// A signal to xtask ended it.
    Interrupted(i32),
}

/// Judges a run of the tests.
pub fn judge(record: &Record, report: &Report, log: &str) -> Verdict {
    let Some(exit) = record.exit else {
        return without_exit(record, report, log);
    };
    if let Some(problem) = no_end(record) {
        return Verdict::Machinery(problem);
    }
    let counts = match report.verdict() {
        Ok(counts) => counts,
        Err(why) => return Verdict::Machinery(format!("the tests ended with {}, but {why}", describe(exit))),
    };
    if counts.total() == 0 {
        return Verdict::Machinery("there was not one test".into());
    }
    match (exit, counts.failed) {
        (Exit::Code(0), 0) => match first_trouble(log) {
            None => Verdict::Passed(counts),
            Some(line) => Verdict::Failed(
                counts,
                Some(format!("the tests passed, but the kernel logged: {line}")),
            ),
        },
        (Exit::Code(SOME_FAILED), 1..) => Verdict::Failed(counts, None),
        _ => Verdict::Machinery(format!(
            "the tests ended with {}, which disagrees with their result line ({} failed)",
            describe(exit),
            counts.failed
        )),
    }
}

/// PID 1 did not say how the tests ended.
fn without_exit(record: &Record, report: &Report, log: &str) -> Verdict {
    let problem = disaster(record, log);
    if !blames_job(record, log) || report.verdict().is_ok() {
        return Verdict::Machinery(problem);
    }
    let during = match report.running() {
        Some(test) => format!("{problem}; the test that ran was {test}"),
        None => problem,
    };
    Verdict::Failed(report.so_far(), Some(during))
}

/// Whether a job without an exit status is what brought the guest down, or to a halt.
pub fn blames_job(record: &Record, log: &str) -> bool {
    record.started.is_some()
        && record.fatal.is_none()
        && (matches!(record.cut, Some(Cut::Silence | Cut::Idle | Cut::Overall)) || panic_line(log).is_some())
}

/// What is wrong with the end of a guest whose job has ended; nothing, as a rule.
pub fn no_end(record: &Record) -> Option<String> {
    match record.cut {
        None if record.complete => None,
        None => Some("the guest was switched off before all output had arrived".into()),
        Some(Cut::PowerOff) => Some("the guest did not power off".into()),
        Some(cut) => Some(describe_cut(cut)),
    }
}

/// Why a job has no exit status. For every command that runs a guest.
pub fn disaster(record: &Record, log: &str) -> String {
    if let Some(why) = &record.fatal {
        return format!("the guest's PID 1 gave up: {why}");
    }
    if let Some(line) = panic_line(log) {
        return format!("the guest's kernel panicked: {line}");
    }
    if let Some(cut) = record.cut {
        return describe_cut(cut);
    }
    let when = match (record.hello, record.started) {
        (None, _) => "before the guest's PID 1 said hello",
        (_, None) => "before the job was started",
        _ => "before the guest had said how the job ended",
    };
    let status = record
        .status
        .map_or("unknown".into(), |status| status.to_string());
    let complaints = match record.complaints.as_str() {
        "" => String::new(),
        text => format!(", saying: {text}"),
    };
    format!("QEMU ended {when} ({status}){complaints}")
}

fn describe_cut(cut: Cut) -> String {
    match cut {
        Cut::Boot => "the guest did not start the job in time and was killed".into(),
        Cut::Silence => "the guest hung: it gave no sign of life any more and was killed".into(),
        Cut::Idle => "the guest lived, but its job wrote nothing any more, and it was killed".into(),
        Cut::Overall => "the guest took too long and was killed".into(),
        Cut::PowerOff => "the guest did not power off and was killed".into(),
        Cut::Interrupted(signal) => format!("interrupted by signal {signal}"),
    }
}

/// How a process ended, in words.
pub fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("status {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

/// What the kernel said when it panicked.
fn panic_line(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| line.contains("Kernel panic - not syncing"))
        .map(str::trim)
}

/// The first line of the kernel's log that must not be there.
pub fn first_trouble(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| trouble::find(line).is_some())
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str = "\nrunning 2 tests\ntest a ... ok\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.10s\n\n";
    const FAILED: &str = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
    const PANIC: &str = "[ 2.0] Kernel panic - not syncing: Attempted to kill init!\n";

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        report.feed(text.as_bytes());
        report
    }

    /// A run in which all went well.
    fn record(exit: Exit) -> Record {
        Record {
            hello: Some(1000),
            started: Some(1200),
            exit: Some(exit),
            complete: true,
            ..Record::default()
        }
    }

    fn unfinished(cut: Option<Cut>) -> Record {
        Record {
            exit: None,
            complete: false,
            cut,
            ..record(Exit::Code(0))
        }
    }

    fn is_machinery(verdict: &Verdict, word: &str) -> bool {
        matches!(verdict, Verdict::Machinery(why) if why.contains(word))
    }

    fn is_failed(verdict: &Verdict, word: &str) -> bool {
        matches!(verdict, Verdict::Failed(_, Some(why)) if why.contains(word))
    }

    #[test]
    fn all_well_is_passed() {
        let verdict = judge(&record(Exit::Code(0)), &report(PASSED), "[ 1.0] shmdev: loaded\n");
        assert!(
            matches!(verdict, Verdict::Passed(counts) if counts.passed == 2),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_run_without_tests_is_no_verdict() {
        let none = |filtered_out| {
            let line = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured;";
            let text = format!("{line} {filtered_out} filtered out; finished in 0.00s\n");
            judge(&record(Exit::Code(0)), &report(&text), "")
        };
        assert!(is_machinery(&none(0), "not one test"));
        assert!(matches!(none(9), Verdict::Passed(_)));
    }

    #[test]
    fn failed_tests_are_failed_tests() {
        let verdict = judge(&record(Exit::Code(101)), &report(FAILED), "");
        assert!(
            matches!(verdict, Verdict::Failed(counts, None) if counts.failed == 1),
            "{verdict:?}"
        );
    }

    #[test]
    fn trouble_in_the_log_fails_tests_that_passed() {
        let verdict = judge(
            &record(Exit::Code(0)),
            &report(PASSED),
            "[ 1.0] BUG: KASAN: oops\n",
        );
        assert!(is_failed(&verdict, "BUG: KASAN: oops"), "{verdict:?}");
    }

    #[test]
    fn a_panic_while_a_test_runs_names_the_test() {
        let verdict = judge(
            &unfinished(None),
            &report("running 2 tests\ntest a ... ok\ntest b ... "),
            PANIC,
        );
        assert!(is_failed(&verdict, "the test that ran was b"), "{verdict:?}");
        assert!(matches!(verdict, Verdict::Failed(counts, _) if counts.passed == 1));
    }

    #[test]
    fn a_panic_before_the_tests_is_the_machinerys() {
        let record = Record {
            started: None,
            hello: None,
            ..unfinished(None)
        };
        assert!(is_machinery(&judge(&record, &report(""), PANIC), "panicked"));
    }

    #[test]
    fn a_hang_while_a_test_runs_names_the_test() {
        for (cut, word) in [
            (Cut::Silence, "hung"),
            (Cut::Idle, "wrote nothing"),
            (Cut::Overall, "too long"),
        ] {
            let verdict = judge(&unfinished(Some(cut)), &report("running 1 test\ntest a ... "), "");
            assert!(
                is_failed(&verdict, word) && is_failed(&verdict, "was a"),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn a_guest_that_never_speaks_is_the_machinerys() {
        let record = Record {
            started: None,
            hello: None,
            ..unfinished(Some(Cut::Boot))
        };
        assert!(is_machinery(&judge(&record, &report(""), ""), "in time"));
    }

    #[test]
    fn an_early_power_off_is_the_machinerys() {
        let verdict = judge(&unfinished(None), &report("running 2 tests\ntest a ... "), "");
        assert!(is_machinery(&verdict, "before the guest had said"), "{verdict:?}");
    }

    #[test]
    fn a_result_line_without_a_status_is_no_verdict() {
        assert!(is_machinery(
            &judge(&unfinished(None), &report(PASSED), ""),
            "QEMU ended"
        ));
        let verdict = judge(&unfinished(Some(Cut::Silence)), &report(PASSED), "");
        assert!(is_machinery(&verdict, "hung"), "{verdict:?}");
    }

    #[test]
    fn a_status_without_a_result_line_is_no_verdict() {
        for text in ["", "running 2 tests\ntest a ... ok\n"] {
            assert!(
                is_machinery(&judge(&record(Exit::Code(0)), &report(text), ""), "result line"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_result_line_that_is_cut_off_is_none() {
        for length in 1..PASSED.trim_end().len() {
            let verdict = judge(&record(Exit::Code(0)), &report(&PASSED[..length]), "");
            assert!(is_machinery(&verdict, ""), "{length}: {verdict:?}");
        }
    }

    #[test]
    fn lines_forged_in_the_middle_count_for_nothing() {
        let forged = PASSED.replace(
            "test b ... ok",
            "test b ... test result: ok. 2 passed; 0 failed\nok",
        );
        assert!(matches!(
            judge(&record(Exit::Code(0)), &report(&forged), ""),
            Verdict::Passed(_)
        ));
        let ended_by_forgery = PASSED.to_owned() + "more output\n";
        assert!(is_machinery(
            &judge(&record(Exit::Code(0)), &report(&ended_by_forgery), ""),
            "result line"
        ));
        let failed = format!("{PASSED}{FAILED}");
        assert!(matches!(
            judge(&record(Exit::Code(101)), &report(&failed), ""),
            Verdict::Failed(..)
        ));
        let short = PASSED.replace("running 2", "running 3");
        assert!(is_machinery(
            &judge(&record(Exit::Code(0)), &report(&short), ""),
            "announced"
        ));
    }

    #[test]
    fn a_status_that_disagrees_with_the_result_line_is_no_verdict() {
        assert!(is_machinery(
            &judge(&record(Exit::Code(101)), &report(PASSED), ""),
            "disagrees"
        ));
        assert!(is_machinery(
            &judge(&record(Exit::Code(0)), &report(FAILED), ""),
            "disagrees"
        ));
        assert!(is_machinery(
            &judge(&record(Exit::Signal(9)), &report(PASSED), ""),
            "signal 9"
        ));
    }

    #[test]
    fn output_that_was_lost_is_no_verdict() {
        let record = Record {
            complete: false,
            ..record(Exit::Code(0))
        };
        assert!(is_machinery(&judge(&record, &report(PASSED), ""), "arrived"));
    }

    #[test]
    fn qemus_complaints_are_passed_on() {
        let record = Record {
            hello: None,
            started: None,
            complaints: "no such file".into(),
            ..unfinished(None)
        };
        assert!(is_machinery(&judge(&record, &report(""), ""), "no such file"));
    }
}
