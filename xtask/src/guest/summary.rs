// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a test run: a line for each part, a result line in cargo's form for the whole, the exit status.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;

use super::{outcome::Verdict, report::Counts};
use crate::error::{self, Kind};

/// What the parts of a run came to.
#[derive(Debug)]
pub struct Summary {
    start: Instant,
    parts: Vec<(String, Verdict)>,
}

impl Summary {
    /// Nothing yet.
    pub fn new() -> Self {
        Summary {
            start: Instant::now(),
            parts: Vec::new(),
        }
    }

    /// Adds a part, or why it could not be run.
    pub fn add(&mut self, name: &str, verdict: Result<Verdict>) {
        let verdict = verdict.unwrap_or_else(|error| {
            let why = format!("{error:#}");
            match error::kind(&error) {
                Kind::Tests => Verdict::Failed(Counts::default(), Some(why)),
                _ => Verdict::Machinery(why),
            }
        });
        self.parts.push((name.to_owned(), verdict));
    }

    /// Whether the person has had enough.
    pub fn interrupted(&self) -> bool {
        self.interruption().is_some()
    }

    fn interruption(&self) -> Option<i32> {
        self.parts.iter().find_map(|(_, verdict)| match verdict {
            Verdict::Interrupted(signal) => Some(*signal),
            _ => None,
        })
    }

    /// Shows all of it.
    pub fn print(&self) -> ExitCode {
        let text = self.text(self.start.elapsed().as_secs_f32());
        // Should nobody read it, the exit status still tells.
        let _ = io::stdout().write_all(text.as_bytes());
        ExitCode::from(self.code())
    }

    fn text(&self, seconds: f32) -> String {
        let mut text = String::from("\n");
        let width = self.parts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, verdict) in &self.parts {
            let (word, why) = match verdict {
                Verdict::Passed(counts) => (format!("ok. {} passed{}", counts.passed, ignored(counts)), None),
                Verdict::Failed(counts, why) => (
                    format!(
                        "FAILED. {} passed; {} failed{}",
                        counts.passed,
                        counts.failed,
                        ignored(counts)
                    ),
                    why.as_deref(),
                ),
                Verdict::Machinery(why) => ("the machinery FAILED".into(), Some(why.as_str())),
                Verdict::Interrupted(signal) => (format!("interrupted by signal {signal}"), None),
            };
            text.push_str(&format!("{name:width$}  {word}"));
            text.push_str(&why.map(|why| format!(": {why}")).unwrap_or_default());
            text.push('\n');
        }
        let counts = self
            .parts
            .iter()
            .fold(Counts::default(), |sum, (_, verdict)| sum.plus(counted(verdict)));
        let line = counts.line(self.code() == 0, seconds);
        text.push_str(&format!("\n{line}\n"));
        text
    }

    /// Whether all went well, and no test was run.
    pub fn ran_nothing(&self) -> bool {
        self.code() == 0
            && self.parts.iter().all(|(_, verdict)| {
                let counts = counted(verdict);
                counts.passed + counts.ignored == 0
            })
    }

    /// 1 when something is known to be broken, else 69 when something is not known.
    pub fn code(&self) -> u8 {
        let any = |is: fn(&Verdict) -> bool| self.parts.iter().any(|(_, verdict)| is(verdict));
        if let Some(signal) = self.interruption() {
            128 + signal as u8
        } else if any(|verdict| matches!(verdict, Verdict::Failed(..))) {
            Kind::Tests.code()
        } else if any(|verdict| matches!(verdict, Verdict::Machinery(_))) || self.parts.is_empty() {
            Kind::Machinery.code()
        } else {
            0
        }
    }
}

/// How many were not run, if any.
fn ignored(counts: &Counts) -> String {
    match counts.ignored {
        0 => String::new(),
        count => format!("; {count} ignored"),
    }
}

/// What a part adds to the result line. One that failed as a whole counts as a failed test.
fn counted(verdict: &Verdict) -> Counts {
    let one = Counts {
        failed: 1,
        ..Counts::default()
    };
    match verdict {
        Verdict::Passed(counts) | Verdict::Failed(counts, None) => *counts,
        Verdict::Failed(counts, Some(_)) => counts.plus(one),
        Verdict::Machinery(_) | Verdict::Interrupted(_) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(passed: u64) -> Verdict {
        Verdict::Passed(Counts {
            passed,
            ..Counts::default()
        })
    }

    fn summary(verdicts: &[Verdict]) -> (u8, String) {
        let mut summary = Summary::new();
        for verdict in verdicts {
            summary.add("part", Ok(verdict.clone()));
        }
        (summary.code(), summary.text(1.0))
    }

    #[test]
    fn all_parts_add_up_to_one_result_line() {
        let (code, text) = summary(&[passed(2), passed(3)]);
        assert_eq!(code, 0);
        assert!(text.ends_with(
            "\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n"
        ));
        assert!(!text.starts_with("\npart  ok. 2 passed; "));
    }

    #[test]
    fn each_part_says_what_it_left_out() {
        let (_, text) = summary(&[Verdict::Passed(Counts {
            passed: 7,
            ignored: 2,
            ..Counts::default()
        })]);
        assert!(text.starts_with("\npart  ok. 7 passed; 2 ignored\n"), "{text}");
    }

    #[test]
    fn what_is_known_to_be_broken_outweighs_what_is_not_known() {
        let machinery = Verdict::Machinery("no disk".into());
        let failed = Verdict::Failed(
            Counts {
                failed: 1,
                ..Counts::default()
            },
            None,
        );
        assert_eq!(summary(&[passed(1), machinery.clone()]).0, 69);
        assert_eq!(summary(&[machinery.clone(), failed]).0, 1);
        assert_eq!(summary(&[passed(1), Verdict::Interrupted(2)]).0, 130);
        assert_eq!(summary(&[Verdict::Interrupted(2), machinery.clone()]).0, 130);
        assert_eq!(summary(&[]).0, 69);
        assert!(summary(&[machinery]).1.contains("no disk"));
    }

    #[test]
    fn a_kernel_that_panics_is_a_failure_in_the_result_line() {
        let (code, text) = summary(&[Verdict::Failed(
            Counts {
                passed: 1,
                ..Counts::default()
            },
            Some("panic".into()),
        )]);
        assert_eq!(code, 1);
        assert!(text.contains("FAILED. 1 passed; 1 failed; 0 ignored;"), "{text}");
    }
}
