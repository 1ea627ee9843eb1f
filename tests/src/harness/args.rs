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
    /// Slow tests are left out.
    pub(crate) quick: bool,
    /// Which of so many programs this is, from 1 on, of which each takes its share of the tests.
    pub(crate) shard: (usize, usize),
    /// How segments are mapped.
    pub(crate) map: Option<String>,
    /// Each result line says how long the test took.
    pub(crate) report_time: bool,
}

impl Args {
    /// How to use the program.
    pub(crate) const USAGE: &str = "usage: shmdev-tests [FILTER...] [--exact] [--quick] [--list] [--shard=I/N] \
        [--map=HOW] [--report-time]\n\
        Runs the tests whose name contains a FILTER (with --exact: is one), all without a filter; of N programs, the \
        one with --shard=I/N takes its share. With --quick, slow tests are left out. With --map=pfn, fault or huge, segments are mapped so where a test does not \
        say. Needs root, and /dev/shmdev.";

    /// Reads the arguments (without the program's name).
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Args, String> {
        let mut args = Args {
            command: Command::Run,
            filters: Vec::new(),
            exact: false,
            quick: false,
            shard: (1, 1),
            map: None,
            report_time: false,
        };
        for argument in arguments {
            match argument.as_str() {
                "--list" => args.command = Command::List,
                "--park" => args.command = Command::Park,
                "--exact" => args.exact = true,
                "--quick" => args.quick = true,
                "--report-time" => args.report_time = true,
                "-h" | "--help" => args.command = Command::Help,
                option if option.starts_with("--shard=") => {
                    let share = parse_shard(&option["--shard=".len()..]);
                    args.shard = share.ok_or_else(|| format!("{option}: expected 1/2, 2/2 and the like"))?;
                }
                option if option.starts_with("--map=") => {
                    args.map = Some(option["--map=".len()..].to_owned());
                }
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => args.filters.push(argument),
            }
        }
        Ok(args)
    }

    /// Whether it falls to this program to run the test with that number in the list of all, or to leave it out.
    pub(crate) fn has_share_in(&self, index: usize) -> bool {
        let (shard, shards) = self.shard;
        index % shards == shard - 1
    }

    /// Whether the test of this name is chosen, which is slow or not.
    pub(crate) fn chooses(&self, name: &str, slow: bool) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !(slow && self.quick) && (self.filters.is_empty() || self.filters.iter().any(matches))
    }
}

/// `I/N`, with I from 1 to N.
fn parse_shard(text: &str) -> Option<(usize, usize)> {
    let (shard, shards) = text.split_once('/')?;
    let (shard, shards) = (shard.parse().ok()?, shards.parse().ok()?);
    (1..=shards).contains(&shard).then_some((shard, shards))
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
        assert!(args.chooses("mmap::anything", false));
    }

    #[test]
    fn filters_choose_by_part_of_the_name_and_any_of_several_is_enough() {
        let args = parse("mmap:: poll").unwrap();
        assert!(args.chooses("mmap::zero_length_is_einval", false));
        assert!(args.chooses("sync::poll_sees_it", false));
        assert!(!args.chooses("io::read_is_short_at_the_end", false));
    }

    #[test]
    fn an_exact_filter_is_the_whole_name() {
        for line in ["--exact mmap::a", "mmap::a --exact"] {
            let args = parse(line).unwrap();
            assert!(args.chooses("mmap::a", false));
            assert!(!args.chooses("mmap::a_b", false));
        }
    }

    #[test]
    fn slow_tests_can_be_left_out() {
        assert!(parse("").unwrap().chooses("mmap::a", true));
        for line in ["--quick", "--quick mmap"] {
            let args = parse(line).unwrap();
            assert!(args.chooses("mmap::a", false) && !args.chooses("mmap::a", true));
        }
        assert!(!parse("--quick mmap").unwrap().chooses("io::a", false));
    }

    #[test]
    fn each_test_falls_to_one_shard() {
        assert!((0..9).all(|index| parse("").unwrap().has_share_in(index)));
        let shards = ["--shard=1/3", "--shard=2/3", "--shard=3/3"].map(|option| parse(option).unwrap());
        for index in 0..9 {
            let takers = shards.iter().filter(|args| args.has_share_in(index));
            assert_eq!(takers.count(), 1, "{index}");
        }
        for wrong in ["0/1", "2/1", "1/0", "1", "a/b", "-1/2", ""] {
            assert!(parse(&format!("--shard={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(parse("--nocapture").is_err());
        assert_eq!(parse("--list mmap").unwrap().command, Command::List);
    }
}
