// SPDX-License-Identifier: MIT OR Apache-2.0

//! A story about `/dev/shmdev`, told by doing it: processes and the kernel share memory, sleep, wake, and
//! one is killed.
//!
//! Each line says who made which call and what came of it; each is checked, and the program exits with 1 at
//! the first that is not as told. The other processes are this program again (see `actor`); the order of
//! events is the director's, by questions and answers over pipes, and nothing is waited for without a
//! bound.

mod actor;
mod stage;
mod story;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::stage::Stage;

/// What an act returns; the message is shown to the spectator.
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The whole story takes a second or two; on a machine that is emulated and busy, some more.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut color = std::io::stdout().is_terminal();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--color" => color = true,
            "--no-color" => color = false,
            // How the director starts the others.
            "--actor" => return finish(actor::play()),
            _ => {
                eprintln!("usage: demo [--color | --no-color]");
                return ExitCode::from(2);
            }
        }
    }
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        eprintln!(
            "demo: not over after {} s: something waits that should not",
            PATIENCE.as_secs()
        );
        // The actors see their standard input end.
        std::process::exit(1);
    });
    finish(story::tell(&mut Stage::new(color)))
}

fn finish(result: Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
