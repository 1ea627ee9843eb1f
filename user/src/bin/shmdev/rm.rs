// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev rm`: removes segments, asking first where somebody uses them.

use std::io::{self, BufRead, IsTerminal, Write, stderr, stdin};
use std::process::ExitCode;

use nix::unistd::geteuid;
use shmdev::{Device, Name, RemoveErrorKind, Stat, StatErrorKind, Target};

use crate::Node;
use crate::failure::{Failure, Result, tell};
use crate::human::{count, size};
use crate::ls::{all, is_of};
use crate::which::named;

/// Remove segments
///
/// For their owner, their creator and root. The name is free at once; the memory goes with the last of those who
/// use it, and they go on undisturbed. If standard input is a terminal, asks about each segment that somebody uses.
#[derive(clap::Args)]
#[command(visible_alias = "remove")]
pub(crate) struct Args {
    /// The segments
    #[arg(required_unless_present_any = ["id", "all_mine"])]
    name: Vec<Name>,
    /// Numbers of segments; may be given several times
    #[arg(long, value_name = "N")]
    id: Vec<u64>,
    /// All that you own or created
    #[arg(long, conflicts_with_all = ["name", "id"])]
    all_mine: bool,
    /// Do not ask, and do not complain of what is not there
    #[arg(long, short)]
    force: bool,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result<ExitCode> {
    let device = node.device()?;
    let asks = !args.force && stdin().is_terminal();
    let mut all_went_well = true;
    let mut check = |result: Result| match result {
        Ok(()) => Ok(()),
        Err(Failure::Told { message, .. }) => {
            // The others are removed all the same.
            tell(message);
            all_went_well = false;
            Ok(())
        }
        Err(closed) => Err(closed),
    };
    if args.all_mine {
        let me = geteuid().as_raw();
        for stat in all(&device)? {
            // An anonymous one cannot be removed by others, and need not be.
            if is_of(&stat, me) && stat.name.is_some() && !stat.removed {
                check(remove_seen(&device, &stat, asks, args.force))?;
            }
        }
    } else {
        let names = args.name.iter().map(Target::from);
        let ids = args.id.iter().map(|id| Target::Id(*id));
        for target in names.chain(ids) {
            check(remove(&device, target, asks, args.force))?;
        }
    }
    Ok(if all_went_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn remove(device: &Device, target: Target<'_>, asks: bool, force: bool) -> Result {
    if !asks {
        return remove_now(device, target, force);
    }
    match device.stat(target) {
        Ok(stat) if stat.removed => remove_now(device, target, force),
        Ok(stat) => remove_seen(device, &stat, asks, force),
        // What is not there is told in the words of `remove`.
        Err(error) if error.kind() == StatErrorKind::NotFound => remove_now(device, target, force),
        Err(error) => Err(error.into()),
    }
}

/// Asks if somebody uses it. By its number, so that what is removed is what was asked about.
fn remove_seen(device: &Device, stat: &Stat, asks: bool, force: bool) -> Result {
    let wanted = !asks
        || !stat.is_attached()
        || confirm(&question(stat)).map_err(|error| Failure::system("ask", &error))?;
    match wanted {
        true => remove_now(device, Target::Id(stat.id), force).map_err(|failure| rename(failure, stat)),
        false => Ok(()),
    }
}

/// Says the name that the person said, not the number that was used.
fn rename(failure: Failure, stat: &Stat) -> Failure {
    match failure {
        Failure::Told { message, status } => {
            let number = Target::Id(stat.id).to_string();
            Failure::told(message.replacen(&number, &named(stat).to_string(), 1), status)
        }
        closed => closed,
    }
}

fn remove_now(device: &Device, target: Target<'_>, force: bool) -> Result {
    match device.remove(target) {
        Err(error)
            if force && matches!(error.kind(), RemoveErrorKind::NotFound | RemoveErrorKind::Removed) =>
        {
            Ok(())
        }
        result => Ok(result?),
    }
}

fn question(stat: &Stat) -> String {
    let users = [(stat.nattch, "mapping"), (stat.handles, "handle")];
    let users = users.iter().filter(|(number, _)| *number > 0);
    let users: Vec<String> = users.map(|(number, thing)| count(*number, thing)).collect();
    format!(
        "remove {} ({}), which has {}?",
        named(stat),
        size(stat.size),
        users.join(" and ")
    )
}

/// Anything but a yes is a no.
fn confirm(question: &str) -> io::Result<bool> {
    write!(stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    Ok(means_yes(&answer))
}

fn means_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::raw;

    #[test]
    fn the_question_says_who_would_notice() {
        let mut frames = raw(3, "frames");
        (frames.size, frames.nattch, frames.handles) = (65536, 1, 2);
        assert_eq!(
            question(&Stat::from(&frames)),
            "remove \"frames\" (64K), which has 1 mapping and 2 handles?"
        );
    }

    #[test]
    fn only_a_yes_is_one() {
        for yes in ["y\n", "Y", " yes \n"] {
            assert!(means_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yesterday", "j"] {
            assert!(!means_yes(no), "{no:?}");
        }
    }
}
