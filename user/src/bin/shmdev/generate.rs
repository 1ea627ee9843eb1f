// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev completions` and `shmdev man`: what is made of the command line's own description.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::{Failure, Result, print};

/// Print completions for a shell
///
/// For bash: shmdev completions bash > ~/.local/share/bash-completion/completions/shmdev
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Write the manual pages, shmdev.1 and one for each subcommand, to a directory
///
/// To read one at once: shmdev man /tmp/man && man /tmp/man/shmdev-lock.1
#[derive(clap::Args)]
pub(crate) struct Man {
    /// The directory, such as /usr/local/share/man/man1; it is made if it is not there
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

pub(crate) fn completions(args: &Completions) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Args::command(), "shmdev", &mut script);
    print(script)
}

pub(crate) fn man(args: &Man) -> Result {
    fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(crate::Args::command(), &args.dir))
        .map_err(|error| {
            Failure::system(
                format_args!("write manual pages to {}", args.dir.display()),
                &error,
            )
        })
}
