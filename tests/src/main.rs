// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests of `/dev/shmdev`, run as root in the guest.
//!
//! `harness` runs and judges, `sys` wraps the system calls (all the `unsafe` there is), `cases` holds the tests, a
//! file a topic, written against `docs/abi.md`. `trouble` is the table of what must never be in the kernel log.

mod cases;
mod harness;
mod sys;
mod trouble;

use std::process::ExitCode;

use harness::{Args, Command};

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("shmdev-tests: {error}\n{}", Args::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(map) = args.map.as_deref().filter(|map| !sys::mode::choose(map)) {
        eprintln!("shmdev-tests: no way to map is called {map:?}\n{}", Args::USAGE);
        return ExitCode::from(2);
    }
    let all = cases::ALL.iter().copied().flatten().enumerate();
    let tests: Vec<_> = all
        .filter(|&(index, _)| args.has_share_in(index))
        .map(|(_, test)| test)
        .collect();
    match args.command {
        Command::Help => println!("{}", Args::USAGE),
        Command::Park => sys::process::park(),
        Command::List => {
            let names: Vec<_> = tests
                .iter()
                .filter(|test| args.chooses(&test.name(), test.slow))
                .map(|test| test.name())
                .collect();
            names.iter().for_each(|name| println!("{name}: test"));
            println!("\n{} tests, 0 benchmarks", names.len());
        }
        Command::Run => return harness::run(&args, &tests),
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_test_has_a_name_of_its_own() {
        let names: Vec<_> = super::cases::ALL
            .iter()
            .copied()
            .flatten()
            .map(super::harness::Test::name)
            .collect();
        assert!(!names.is_empty());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
