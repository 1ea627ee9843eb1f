// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pseudo-terminal: a program runs at it, and the test sits before it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::Errno;
use super::handle::owned;
use super::poll::{LONG_MS, poll_for};
use super::process::until;

/// How long something may take to be shown.
const PATIENCE: Duration = Duration::from_millis(LONG_MS as u64);

/// What a program at a terminal may change of it and has to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    flags: [libc::tcflag_t; 4],
    characters: [libc::cc_t; libc::NCCS],
}

pub(crate) struct Terminal {
    /// Where the person types and reads.
    outside: File,
    /// Where programs read and write; kept open, so that what they left can be looked at.
    inside: OwnedFd,
    /// All that was ever shown.
    shown: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new(columns: u16, rows: u16) -> Terminal {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: the call takes an integer.
        let outside = owned(Errno::result(unsafe { libc::posix_openpt(flags) }).expect("posix_openpt"));
        // SAFETY: the descriptor is that of a terminal.
        Errno::result(unsafe { libc::unlockpt(outside.as_raw_fd()) }).expect("unlockpt");
        // SAFETY: this command takes flags, and makes a descriptor.
        let inside = unsafe { libc::ioctl(outside.as_raw_fd(), libc::TIOCGPTPEER, flags) };
        let terminal = Terminal {
            outside: outside.into(),
            inside: owned(Errno::result(inside).expect("TIOCGPTPEER")),
            shown: Vec::new(),
        };
        terminal.set_size(columns, rows);
        terminal
    }

    /// As by dragging the corner of its window.
    pub(crate) fn set_size(&self, columns: u16, rows: u16) {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: `size` is what this command reads.
        let result = unsafe { libc::ioctl(self.outside.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        Errno::result(result).expect("TIOCSWINSZ");
    }

    pub(crate) fn settings(&self) -> Settings {
        // SAFETY: all zero is a valid termios.
        let mut termios: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `termios` outlives the call.
        let result = unsafe { libc::tcgetattr(self.inside.as_raw_fd(), &raw mut termios) };
        Errno::result(result).expect("tcgetattr");
        Settings {
            flags: [termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag],
            characters: termios.c_cc,
        }
    }

    /// Starts a program at the terminal, as the first of a session that the terminal controls.
    pub(crate) fn start(&self, command: &mut Command) -> Child {
        let stream = || self.inside.try_clone().expect("dup");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let lead = || {
            // SAFETY: the call takes nothing.
            Errno::result(unsafe { libc::setsid() })?;
            // SAFETY: this command takes an integer; standard input is the terminal.
            Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
            Ok(())
        };
        // SAFETY: after fork it makes two system calls and touches no memory.
        unsafe { command.pre_exec(lead) };
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    pub(crate) fn press(&self, keys: &str) {
        (&self.outside).write_all(keys.as_bytes()).expect("typing");
    }

    /// All that was shown until now, once that is as it should be.
    pub(crate) fn shown(&mut self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let text = String::from_utf8_lossy(&self.shown).into_owned();
            if condition(&text) {
                return text;
            }
            // What is drawn again and again does not end the waiting.
            let left = give_up.saturating_duration_since(Instant::now());
            let more = self.read(i32::try_from(left.as_millis()).unwrap_or(i32::MAX));
            let last = &self.shown[self.shown.len().saturating_sub(2000)..];
            let last = String::from_utf8_lossy(last);
            assert!(
                more && !left.is_zero(),
                "waited in vain: {what}; the end of it is {last:?}"
            );
        }
    }

    /// How the program ended, and all that was shown.
    pub(crate) fn ended(&mut self, mut child: Child) -> (Option<i32>, String) {
        let mut status = None;
        until("the program ends", || {
            // It may be waiting for its output to be read.
            while self.read(0) {}
            status = child.try_wait().expect("wait");
            status.is_some()
        });
        while self.read(0) {}
        let shown = String::from_utf8_lossy(&self.shown).into_owned();
        (status.and_then(|status| status.code()), shown)
    }

    /// Whether anything more came within this time.
    fn read(&mut self, timeout_ms: i32) -> bool {
        if poll_for(self.outside.as_fd(), libc::POLLIN, timeout_ms) & libc::POLLIN == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let count = self.outside.read(&mut buffer).expect("reading a terminal");
        self.shown.extend_from_slice(&buffer[..count]);
        count > 0
    }
}
