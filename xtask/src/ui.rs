// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees while work is done: steps, bars, warnings. All of it goes to stderr; results go to stdout and
//! are not this file's business.

use std::{io::IsTerminal, process::Command, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How to talk to the person.
#[derive(Debug, Clone)]
pub struct Ui {
    mode: Mode,
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Plain,
    #[cfg(test)]
    Silent,
}

impl Ui {
    /// Bars when stderr is a terminal, plain lines otherwise.
    pub fn new(verbose: bool) -> Self {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Ui {
            mode: if terminal { Mode::Terminal } else { Mode::Plain },
            verbose,
        }
    }

    /// Says nothing.
    #[cfg(test)]
    pub fn silent() -> Self {
        Ui {
            mode: Mode::Silent,
            verbose: false,
        }
    }

    /// A line about what is being done now.
    pub fn step(&self, what: &str) {
        self.line("      ", what);
    }

    /// A line about something that the person should know, and that does not stop the work.
    pub fn warn(&self, what: &str) {
        self.line("warning:", what);
    }

    /// A command, before it is run; with `--verbose` only.
    pub fn command(&self, command: &Command) {
        if self.verbose {
            self.line("     +", &describe(command));
        }
    }

    /// A piece of long work; `total` in whatever unit [`Task::set`] counts in, 0 when it is not known.
    pub fn task(&self, what: &str, total: u64) -> Task {
        if self.mode == Mode::Plain {
            self.step(what);
        }
        let bar = ProgressBar::with_draw_target(Some(total), self.target());
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
            told: 0,
        }
    }

    fn target(&self) -> ProgressDrawTarget {
        match self.mode {
            Mode::Terminal => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        }
    }

    fn line(&self, label: &str, what: &str) {
        #[cfg(test)]
        if self.mode == Mode::Silent {
            return;
        }
        eprintln!("{label} {what}");
    }
}

/// Long work in progress; the bar goes when this is dropped.
#[derive(Debug)]
pub struct Task {
    ui: Ui,
    what: String,
    bar: ProgressBar,
    total: u64,
    told: u64,
}

impl Task {
    /// How far the work is, and what is being done.
    pub fn set(&mut self, done: u64, message: &str) {
        self.bar.set_position(done.min(self.total));
        self.bar.set_message(message.to_owned());
        // Where nobody watches, a line for each quarter.
        if self.ui.mode == Mode::Plain && self.total > 0 {
            let quarter = (4 * done / self.total).min(4);
            if quarter > self.told && quarter < 4 {
                self.told = quarter;
                self.ui.step(&format!("{}: {} %", self.what, 25 * quarter));
            }
        }
    }

    /// What is being done, where no total is known.
    pub fn message(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// The work is done; says how long it took.
    pub fn finish(self) {
        let seconds = self.bar.elapsed().as_secs_f32();
        self.bar.finish_and_clear();
        if seconds >= 0.5 {
            self.ui.step(&format!("{}: done in {seconds:.1} s", self.what));
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
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
