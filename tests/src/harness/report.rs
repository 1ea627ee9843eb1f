// SPDX-License-Identifier: MIT OR Apache-2.0

//! Result lines in cargo's format. Pure: it makes text, the runner prints it.

use std::time::Duration;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// Why the guest cannot run it.
    Ignored(String),
    /// What went wrong, a paragraph each.
    Failed(Vec<String>),
}

/// The end of the line that `test NAME ... ` began.
pub(crate) fn ending(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "ok".into(),
        Verdict::Ignored(reason) => format!("ignored, {reason}"),
        Verdict::Failed(_) => "FAILED".into(),
    }
}

/// What is shown of a failed test: everything it printed, and the reasons.
pub(crate) fn details(name: &str, output: &str, reasons: &[String]) -> String {
    let mut text = format!("\n---- {name} ----\n");
    for part in std::iter::once(output).chain(reasons.iter().map(String::as_str)) {
        if !part.is_empty() {
            text.push_str(part.trim_end());
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

/// The counts of a whole run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: usize,
    pub(crate) ignored: usize,
    pub(crate) filtered_out: usize,
    /// Names of the tests that failed.
    pub(crate) failed: Vec<String>,
}

impl Summary {
    /// Counts one more test.
    pub(crate) fn count(&mut self, name: &str, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Ignored(_) => self.ignored += 1,
            Verdict::Failed(_) => self.failed.push(name.to_owned()),
        }
    }

    /// Whether nothing failed.
    pub(crate) fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// The end of the report; its last line is the verdict.
    pub(crate) fn text(&self, time: Duration) -> String {
        let mut text = String::new();
        if !self.failed.is_empty() {
            text.push_str("\nfailures:\n");
            for name in &self.failed {
                text.push_str(&format!("    {name}\n"));
            }
        }
        let Summary {
            passed,
            ignored,
            filtered_out,
            failed,
        } = self;
        let word = if self.is_ok() { "ok" } else { "FAILED" };
        text.push_str(&format!(
            "\ntest result: {word}. {passed} passed; {} failed; {ignored} ignored; 0 measured; \
             {filtered_out} filtered out; finished in {:.2}s\n",
            failed.len(),
            time.as_secs_f64(),
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Summary, Verdict, details, ending};
    use std::time::Duration;

    #[test]
    fn a_good_run_ends_as_cargo_ends() {
        let mut summary = Summary {
            filtered_out: 4,
            ..Summary::default()
        };
        summary.count("a", &Verdict::Passed);
        summary.count("b", &Verdict::Ignored("no python".into()));
        assert!(summary.is_ok());
        assert_eq!(
            summary.text(Duration::from_millis(1234)),
            "\ntest result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.23s\n"
        );
    }

    #[test]
    fn a_bad_run_names_what_failed_and_says_so_last() {
        let mut summary = Summary::default();
        summary.count("mmap::a", &Verdict::Failed(vec!["no".into()]));
        assert!(!summary.is_ok());
        let text = summary.text(Duration::ZERO);
        assert!(text.starts_with("\nfailures:\n    mmap::a\n"));
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with("test result: FAILED. 0 passed; 1 failed; "),
            "{last}"
        );
    }

    #[test]
    fn lines_of_tests_read_as_cargos() {
        assert_eq!(ending(&Verdict::Passed), "ok");
        assert_eq!(ending(&Verdict::Ignored("needs x".into())), "ignored, needs x");
        assert_eq!(ending(&Verdict::Failed(Vec::new())), "FAILED");
    }

    #[test]
    fn details_hold_the_output_and_every_reason() {
        let text = details(
            "a::b",
            "panicked\n",
            &["exit status 101".into(), "WARNING: x".into()],
        );
        assert_eq!(
            text,
            "\n---- a::b ----\npanicked\nexit status 101\nWARNING: x\n\n"
        );
    }
}
