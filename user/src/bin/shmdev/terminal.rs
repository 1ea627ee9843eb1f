// SPDX-License-Identifier: MIT OR Apache-2.0

//! The terminal: keys come from it, lines go to it, and it is given back as it was, however the command ends.

use std::io::{self, BufWriter, StdoutLock, Write, stdout};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyEvent, KeyEventKind, poll, read};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use nix::sys::signal::{SigSet, Signal};

use crate::failure::{Failure, Result};
use crate::screen::{Asked, Line, Look};

/// Something that is shown and kept up to date.
pub(crate) trait Live {
    /// Looks at how things are now.
    fn look(&mut self) -> Result;

    /// What it saw: `height` lines at most, of `width` characters at most.
    fn draw(&self, width: usize, height: usize) -> Vec<Line>;

    /// A key was pressed, on a screen of `height` lines.
    fn key(&mut self, key: KeyEvent, height: usize) -> Asked;

    /// Whether it shall not look for now.
    fn is_stopped(&self) -> bool;
}

pub(crate) fn run(live: &mut impl Live, interval: Duration) -> Result {
    // Before the screen is taken: what fails now is told where it can be read.
    live.look()?;
    end_on_signals().map_err(failed)?;
    let screen = Screen::take().map_err(failed)?;
    let result = follow(live, interval);
    drop(screen);
    result
}

fn follow(live: &mut impl Live, interval: Duration) -> Result {
    // From here on a change of the size is an event; one before is seen by looking at the size after this.
    poll(Duration::ZERO).map_err(failed)?;
    let mut next = Instant::now() + interval;
    loop {
        let (width, height) = size().map_err(failed)?;
        show(&live.draw(width.into(), height.into())).map_err(failed)?;
        if wait(live, next, height.into())? == Asked::Quit {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            if !live.is_stopped() {
                live.look()?;
            }
        }
    }
}

/// Until `until`, or a key or a change of the size that changes what is to be seen.
fn wait(live: &mut impl Live, until: Instant, height: usize) -> Result<Asked> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if !poll(left).map_err(failed)? {
            return Ok(Asked::Nothing);
        }
        let asked = match read().map_err(failed)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => live.key(key, height),
            Event::Resize(..) => Asked::Redraw,
            _ => Asked::Nothing,
        };
        if asked != Asked::Nothing {
            return Ok(asked);
        }
    }
}

fn show(lines: &[Line]) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0_u16..).zip(lines) {
        queue!(out, MoveTo(0, row))?;
        match line.look {
            Look::Plain => {}
            Look::Heading => queue!(out, SetAttribute(Attribute::Bold))?,
            Look::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
            Look::New => queue!(out, SetForegroundColor(Color::Green))?,
            Look::Held => queue!(out, SetForegroundColor(Color::Yellow))?,
            Look::Waiting => queue!(out, SetForegroundColor(Color::Red))?,
        }
        queue!(
            out,
            Print(&line.text),
            ResetColor,
            SetAttribute(Attribute::Reset),
            Clear(ClearType::UntilNewLine)
        )?;
    }
    queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
    out.flush()
}

/// Holds the terminal; gives it back when dropped, by a panic too.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        // So that a signal gives back all of it, or comes first.
        let mut out = stdout().lock();
        enable_raw_mode()?;
        let screen = Self;
        execute!(out, EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Nobody takes it, or draws, while somebody has what is returned.
    fn give_back() -> StdoutLock<'static> {
        let mut out = stdout().lock();
        // There is nobody to tell, and nothing else to be done.
        let _ = execute!(out, EnableLineWrap, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
        out
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(Self::give_back());
    }
}

/// SIGTERM and its like end the command, after the terminal was given back.
fn end_on_signals() -> io::Result<()> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT]
        .into_iter()
        .collect();
    signals.thread_block()?;
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            let _out = Screen::give_back();
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

fn failed(error: io::Error) -> Failure {
    Failure::written("use the terminal", &error)
}
