// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees while work is done: steps, bars, warnings. All of it goes to stderr; results go to stdout and
//! are not this file's business.

use std::{cell::Cell, io::IsTerminal, process::Command, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done sooner is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// How to talk to the person. Clones share the screen.
#[derive(Debug, Clone)]
pub struct Ui {
    mode: Mode,
    verbose: bool,
    bars: MultiProgress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Plain,
    Quiet,
    #[cfg(test)]
    Silent,
}

impl Ui {
    /// Bars when stderr is a terminal, plain lines otherwise; neither when it is to be `quiet`.
    pub fn new(verbose: bool, quiet: bool) -> Self {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let mode = match (quiet, terminal) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Terminal,
            (false, false) => Mode::Plain,
        };
        Ui::in_mode(mode, verbose)
    }

    /// Says nothing.
    #[cfg(test)]
    pub fn silent() -> Self {
        Ui::in_mode(Mode::Silent, false)
    }

    fn in_mode(mode: Mode, verbose: bool) -> Self {
        let target = match mode {
            Mode::Terminal => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        Ui {
            mode,
            verbose,
            bars: MultiProgress::with_draw_target(target),
        }
    }

    /// A line about what is being done now.
    pub fn step(&self, what: &str) {
        if self.mode != Mode::Quiet {
            self.line(&format!("       {what}"));
        }
    }

    /// A line about something that the person should know, and that does not stop the work.
    pub fn warn(&self, what: &str) {
        self.line(&format!("warning: {what}"));
    }

    /// A line of somebody else's, such as a compiler's.
    pub fn line(&self, line: &str) {
        #[cfg(test)]
        if self.mode == Mode::Silent {
            return;
        }
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// A command, before it is run; with `--verbose` only.
    pub fn command(&self, command: &Command) {
        if self.verbose {
            self.line(&format!("     + {}", describe(command)));
        }
    }

    /// A piece of long work; `total` in whatever unit [`Task::set`] counts in, 0 when it is not known.
    pub fn task(&self, what: &str, total: u64) -> Task {
        let bar = self.bars.add(ProgressBar::new(total));
        let template = if total > 0 {
            "  {spinner} {prefix} [{bar:28}] {percent:>3}% {elapsed} {wide_msg}"
        } else {
            "  {spinner} {prefix} {elapsed} {wide_msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Task {
            ui: self.clone(),
            what: what.to_owned(),
            bar,
            total,
            told: Cell::new(None),
        }
    }
}

/// Long work in progress; the bar goes when this is dropped.
#[derive(Debug)]
pub struct Task {
    ui: Ui,
    what: String,
    bar: ProgressBar,
    total: u64,
    /// The last quarter that a line was about.
    told: Cell<Option<u64>>,
}

impl Task {
    /// How far the work is, and what is being done.
    pub fn set(&self, done: u64, message: &str) {
        self.bar.set_position(done.min(self.total));
        self.message(message);
    }

    /// What is being done; to be called now and then, even if there is nothing new.
    pub fn message(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if self.ui.mode == Mode::Plain && self.bar.elapsed() >= WORTH_A_LINE {
            self.tell();
        }
    }

    /// Where nobody watches a bar: a line when the work turns out to be long, and for each quarter.
    fn tell(&self) {
        let quarter = (4 * self.bar.position())
            .checked_div(self.total)
            .unwrap_or(0)
            .min(3);
        match self.told.replace(Some(quarter)) {
            None => self.ui.step(&self.what),
            Some(told) if quarter > told => {
                self.ui.step(&format!("{}: {} %", self.what, 25 * quarter));
            }
            Some(_) => {}
        }
    }

    /// The work is done; says how long it took, if that was long.
    pub fn finish(self) {
        let elapsed = self.bar.elapsed();
        self.bar.finish_and_clear();
        if elapsed >= WORTH_A_LINE {
            self.ui
                .step(&format!("{}: done in {:.1} s", self.what, elapsed.as_secs_f32()));
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.ui.bars.remove(&self.bar);
    }
}

/// A command as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| quote(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// How many words of a command a brief description has.
const BRIEF: usize = 4;

/// A command without the sandbox around it and without most of its arguments: what it is about.
pub fn brief(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    while ["unshare", "bwrap"].contains(&&*words[0]) {
        let Some(end) = words
            .iter()
            .position(|word| word == "--")
            .filter(|end| end + 1 < words.len())
        else {
            break;
        };
        words.drain(..=end);
    }
    let rest = if words.len() > BRIEF { " …" } else { "" };
    words
        .iter()
        .take(BRIEF)
        .map(|word| quote(word))
        .collect::<Vec<_>>()
        .join(" ")
        + rest
}

/// A word, quoted for a shell where that is needed.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_left_out_of_a_brief_description() {
        let mut command = Command::new("unshare");
        command.args([
            "--user", "--", "bwrap", "--proc", "/proc", "--", "make", "--", "x",
        ]);
        assert_eq!(brief(&command), "make -- x");
    }

    #[test]
    fn commands_are_shown_as_a_shell_would_take_them() {
        let mut command = Command::new("echo");
        command.args(["a b", "it's", "", "plain=1"]);
        assert_eq!(describe(&command), r"echo 'a b' 'it'\''s' '' plain=1");
    }
}
