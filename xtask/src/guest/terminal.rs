// SPDX-License-Identifier: MIT OR Apache-2.0
//! The person's side: the terminal's mode and size, keys, signals. What they mean goes to the session as events.

use std::{
    io::{self, IsTerminal, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    stdio,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH},
    iterator::Signals,
};

use super::{
    protocol::{Size, Terminal},
    session::Event,
};

/// Pressed three times within [`ESCAPE_WITHIN`], this key ends the guest: Ctrl-].
const ESCAPE: u8 = 0x1d;
const ESCAPE_WITHIN: Duration = Duration::from_secs(1);

/// The terminal for the job, if the person sits at one.
pub fn for_job() -> Option<Terminal> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    Some(Terminal {
        size: size()?,
        stderr_apart: !io::stderr().is_terminal(),
    })
}

fn size() -> Option<Size> {
    let size = tcgetwinsize(stdio::stdin()).ok()?;
    Some(Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// A terminal type that programs in `root` know: the person's, or one that everybody knows.
pub fn kind(root: &Path) -> String {
    let wanted = std::env::var("TERM").unwrap_or_default();
    let known = |dir: &str| {
        let first = wanted.get(..1)?;
        root.join(dir).join(first).join(&wanted).symlink_metadata().ok()
    };
    let plain = wanted
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
    let known = plain
        && ["lib/terminfo", "usr/share/terminfo", "etc/terminfo"]
            .iter()
            .any(|dir| known(dir).is_some());
    if known {
        wanted
    } else {
        "xterm-256color".to_owned()
    }
}

/// The terminal in raw mode: every key goes to the guest. Dropped, it is as it was.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Switches.
    pub fn enter() -> Result<Self> {
        let before = tcgetattr(stdio::stdin()).context("cannot read the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdio::stdin(), OptionalActions::Drain, &raw).context("cannot set the terminal's mode")?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Carries standard input to the guest. With `escape`, looks out for the key that ends the guest.
pub fn carry_input(mut to: UnixStream, sender: SyncSender<Event>, escape: bool) {
    thread::spawn(move || {
        let mut buffer = vec![0; 32 << 10];
        let mut carried = 0;
        let mut escapes = Escapes::default();
        loop {
            let count = match rustix::io::read(stdio::stdin(), &mut buffer) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            if escape && escapes.complete(&buffer[..count], Instant::now()) {
                let _ = sender.send(Event::Kill(SIGINT));
                return;
            }
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
            carried += count as u64;
        }
        // The socket stays open: where the input ends is told by the count, not by a hang-up.
        let _ = sender.send(Event::InputEnd(carried));
        std::mem::forget(to);
    });
}

/// How often the escape key was pressed in a row, and since when.
#[derive(Debug, Default)]
struct Escapes {
    count: u32,
    since: Option<Instant>,
}

impl Escapes {
    fn complete(&mut self, keys: &[u8], now: Instant) -> bool {
        for &key in keys {
            let recent = self
                .since
                .is_some_and(|since| now.duration_since(since) <= ESCAPE_WITHIN);
            if key != ESCAPE {
                self.count = 0;
            } else if self.count > 0 && recent {
                self.count += 1;
            } else {
                (self.count, self.since) = (1, Some(now));
            }
            if self.count == 3 {
                return true;
            }
        }
        false
    }
}

/// Who hears of signals: the guests that run.
static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Listener {
    id: u64,
    sender: SyncSender<Event>,
    /// ^C is for the job first.
    forwarded: bool,
}

fn listeners() -> MutexGuard<'static, Vec<Listener>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as this lives, signals go to its guest, too.
#[derive(Debug)]
pub struct Watch {
    id: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        listeners().retain(|listener| listener.id != self.id);
    }
}

/// Makes events of the signals that xtask gets from now on. A `forwarded` ^C is for the job first. One thread watches,
/// however many guests run after each other; between them a signal does what it does to any program.
pub fn watch_signals(sender: SyncSender<Event>, forwarded: bool) -> Result<Watch> {
    static WATCHING: Once = Once::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    listeners().push(Listener {
        id,
        sender,
        forwarded,
    });
    let watch = Watch { id };
    let mut started = Ok(());
    WATCHING.call_once(|| {
        started = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH]).map(|mut signals| {
            thread::spawn(move || {
                for signal in signals.forever() {
                    if !tell_listeners(signal) {
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            });
        });
    });
    started.context("cannot watch for signals")?;
    Ok(watch)
}

/// Whether there was somebody to tell.
fn tell_listeners(signal: i32) -> bool {
    // Sending may wait for a main loop, which may wait for the list when it is done.
    let told: Vec<_> = listeners()
        .iter()
        .map(|listener| (listener.sender.clone(), listener.forwarded))
        .collect();
    let mut heard = false;
    for (sender, forwarded) in told {
        let event = match signal {
            SIGWINCH => match size() {
                Some(size) => Event::Resize(size),
                None => return true,
            },
            SIGINT | SIGQUIT if forwarded => Event::Signal(signal),
            _ => Event::Kill(signal),
        };
        heard |= sender.send(event).is_ok();
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_escapes_in_a_second_end_the_guest() {
        let now = Instant::now();
        assert!(Escapes::default().complete(&[ESCAPE; 3], now));
        assert!(!Escapes::default().complete(&[ESCAPE, ESCAPE, b'x', ESCAPE], now));
        let mut escapes = Escapes::default();
        assert!(!escapes.complete(&[ESCAPE], now));
        assert!(!escapes.complete(&[ESCAPE], now + Duration::from_secs(2)));
        assert!(!escapes.complete(&[ESCAPE], now + Duration::from_secs(2)));
        assert!(escapes.complete(&[ESCAPE], now + Duration::from_secs(2)));
    }

    #[test]
    fn signals_go_to_the_guests_that_run_now() {
        let guest = || std::sync::mpsc::sync_channel(1);
        assert!(!tell_listeners(SIGTERM));
        let (first, gone) = guest();
        drop(watch_signals(first, false).unwrap());
        drop(gone);
        assert!(!tell_listeners(SIGTERM));
        let (second, events) = guest();
        let watch = watch_signals(second, false).unwrap();
        let (third, others_events) = guest();
        let other = watch_signals(third, true).unwrap();
        assert!(tell_listeners(SIGINT));
        assert!(matches!(events.try_recv(), Ok(Event::Kill(SIGINT))));
        assert!(matches!(others_events.try_recv(), Ok(Event::Signal(SIGINT))));
        drop(other);
        assert!(tell_listeners(SIGTERM));
        assert!(matches!(events.try_recv(), Ok(Event::Kill(SIGTERM))));
        assert!(others_events.try_recv().is_err());
        drop(watch);
        assert!(!tell_listeners(SIGTERM));
    }

    #[test]
    fn a_terminal_that_the_guest_does_not_know_becomes_one_that_it_does() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(kind(empty.path()), "xterm-256color");
    }
}
