// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the output of tests in cargo's form as it comes. Pure.

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Not run because they say so.
    pub ignored: u64,
    /// Benchmarks.
    pub measured: u64,
    /// Not run because the filter leaves them out.
    pub filtered_out: u64,
}

impl Counts {
    /// Both.
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            measured: self.measured + other.measured,
            filtered_out: self.filtered_out + other.filtered_out,
        }
    }

    /// All that there were, run or not.
    pub fn total(self) -> u64 {
        self.passed + self.failed + self.ignored + self.measured + self.filtered_out
    }

    /// The line that cargo prints for these, without its end.
    pub fn line(self, ok: bool, seconds: f32) -> String {
        format!(
            "test result: {}. {} passed; {} failed; {} ignored; {} measured; {} filtered out; finished in {seconds:.2}s",
            if ok { "ok" } else { "FAILED" },
            self.passed,
            self.failed,
            self.ignored,
            self.measured,
            self.filtered_out,
        )
    }

    /// What a result line says; nothing if it is not one in every detail.
    pub fn parse(line: &str) -> Option<Counts> {
        let rest = line.strip_prefix("test result: ")?;
        let (word, rest) = rest.split_once(". ")?;
        let (counts, time) = rest.rsplit_once("; finished in ")?;
        time.strip_suffix('s')?.parse::<f64>().ok()?;
        let mut numbers = counts.split("; ");
        let mut next = |label: &str| numbers.next()?.strip_suffix(label)?.parse::<u64>().ok();
        let counts = Counts {
            passed: next(" passed")?,
            failed: next(" failed")?,
            ignored: next(" ignored")?,
            measured: next(" measured")?,
            filtered_out: next(" filtered out")?,
        };
        let agrees = match word {
            "ok" => counts.failed == 0,
            "FAILED" => counts.failed > 0,
            _ => false,
        };
        (agrees && numbers.next().is_none()).then_some(counts)
    }
}

/// What has been read so far.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The line that is not at its end yet.
    partial: String,
    /// The last line that was not empty.
    last: String,
    /// The first "running N tests".
    announced: Option<u64>,
    /// Lines of tests that ended.
    seen: Counts,
    /// Result lines, all added up.
    total: Counts,
}

impl Report {
    /// Takes more output.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.partial.push_str(&String::from_utf8_lossy(bytes));
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.take(&without_colours(line.trim_end()));
        }
    }

    fn take(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        if self.announced.is_none() {
            let announced = line
                .strip_prefix("running ")
                .and_then(|rest| rest.split_once(" test"));
            self.announced = announced.and_then(|(number, _)| number.parse().ok());
        }
        if let Some(counts) = Counts::parse(line) {
            self.total = self.total.plus(counts);
        } else if line.starts_with("test ") {
            match line.rsplit_once(" ... ").map(|(_, end)| end) {
                Some("ok") => self.seen.passed += 1,
                Some("FAILED") => self.seen.failed += 1,
                Some(end) if end.starts_with("ignored") => self.seen.ignored += 1,
                _ => {}
            }
        }
        self.last = line.to_owned();
    }

    /// The counts of one test program whose output is whole; else why there are none.
    pub fn verdict(&self) -> Result<Counts, &'static str> {
        if !self.partial.is_empty() {
            return Err("their output breaks off within a line");
        }
        let counts = Counts::parse(&self.last).ok_or("their output does not end with a result line")?;
        if self.announced != Some(counts.passed + counts.failed + counts.ignored + counts.measured) {
            return Err("the result line does not have as many tests as were announced");
        }
        Ok(counts)
    }

    /// The test whose name has been printed, and its result has not.
    pub fn running(&self) -> Option<&str> {
        self.partial
            .strip_prefix("test ")?
            .split_once(" ... ")
            .map(|(name, _)| name)
    }

    /// The tests that ended.
    pub fn so_far(&self) -> Counts {
        self.seen
    }

    /// All result lines together: those of several test programs.
    pub fn total(&self) -> Counts {
        self.total
    }
}

/// The line without terminal escape sequences.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // "ESC [ parameters letter", or "ESC ( letter".
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s";

    #[test]
    fn a_result_line_is_read_as_it_is_written() {
        let counts = Counts::parse(LINE).unwrap();
        assert_eq!((counts.passed, counts.ignored, counts.filtered_out), (2, 1, 3));
        assert_eq!(counts.line(true, 0.1), LINE);
    }

    #[test]
    fn what_is_nearly_a_result_line_is_none() {
        for wrong in [
            LINE.replace("ok", "FAILED"),
            LINE.replace("0 failed", "1 failed"),
            LINE.replace("ok", "good"),
            LINE.replace("2 passed; ", ""),
            LINE.replace("0.10s", ""),
            LINE.replace("; finished", "; 1 more; finished"),
            format!(" {LINE}"),
        ] {
            assert_eq!(Counts::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn results_of_several_programs_add_up_in_colour_and_in_pieces() {
        let mut report = Report::default();
        let coloured = LINE.replace("ok", "\x1b[32mok\x1b(B\x1b[m");
        for piece in format!("{coloured}\n\n{LINE}\n").as_bytes().chunks(7) {
            report.feed(piece);
        }
        assert_eq!(report.total().passed, 4);
    }

    #[test]
    fn the_running_test_is_the_one_without_a_result() {
        let mut report = Report::default();
        report.feed(b"running 2 tests\ntest a ... ok\ntest sync::b ... ");
        assert_eq!(report.running(), Some("sync::b"));
        assert_eq!(report.so_far().passed, 1);
        report.feed(b"ok\n");
        assert_eq!(report.running(), None);
    }
}
