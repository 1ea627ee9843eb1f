// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line: what to do, and which tests to do it with. Pure.

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the chosen tests and report.
    Run,
    /// Print the names of the chosen tests.
    List,
    /// Do nothing until killed: a program for tests of `execve`.
    Park,
    /// Print how to use the program.
    Help,
}

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) command: Command,
    /// Tests whose name contains one of these are chosen; all when empty.
    pub(crate) filters: Vec<String>,
    /// The filters are whole names.
    pub(crate) exact: bool,
    /// Each result line says how long the test took.
    pub(crate) report_time: bool,
}

impl Args {
    /// How to use the program.
    pub(crate) const USAGE: &str = "usage: shmdev-tests [FILTER...] [--exact] [--list] [--report-time]\n\
        Runs the tests whose name contains a FILTER (with --exact: is one), all without a filter. Needs root, and \
        /dev/shmdev.";

    /// Reads the arguments (without the program's name).
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Args, String> {
        let mut args = Args {
            command: Command::Run,
            filters: Vec::new(),
            exact: false,
            report_time: false,
        };
        for argument in arguments {
            match argument.as_str() {
                "--list" => args.command = Command::List,
                "--park" => args.command = Command::Park,
                "--exact" => args.exact = true,
                "--report-time" => args.report_time = true,
                "-h" | "--help" => args.command = Command::Help,
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => args.filters.push(argument),
            }
        }
        Ok(args)
    }

    /// Whether the test of this name is chosen.
    pub(crate) fn chooses(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Command};

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_a_filter_everything_is_chosen() {
        let args = parse("").unwrap();
        assert_eq!(args.command, Command::Run);
        assert!(args.chooses("mmap::anything"));
    }

    #[test]
    fn filters_choose_by_part_of_the_name_and_any_of_several_is_enough() {
        let args = parse("mmap:: poll").unwrap();
        assert!(args.chooses("mmap::zero_length_is_einval"));
        assert!(args.chooses("sync::poll_sees_it"));
        assert!(!args.chooses("io::read_is_short_at_the_end"));
    }

    #[test]
    fn an_exact_filter_is_the_whole_name() {
        for line in ["--exact mmap::a", "mmap::a --exact"] {
            let args = parse(line).unwrap();
            assert!(args.chooses("mmap::a"));
            assert!(!args.chooses("mmap::a_b"));
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(parse("--nocapture").is_err());
        assert_eq!(parse("--list mmap").unwrap().command, Command::List);
    }
}
