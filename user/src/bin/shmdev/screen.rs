// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every screen at a terminal is made of: lines with a look, rows that scroll, keys that do the same
//! everywhere. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Colour marks and never carries meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Heading,
    Dim,
    New,
    Held,
    Waiting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) look: Look,
    pub(crate) text: String,
}

pub(crate) fn line(look: Look, text: impl Into<String>) -> Line {
    let text = text.into();
    Line { look, text }
}

/// `height` lines at most, of `width` characters at most. Names are ASCII; what could be wider are names of
/// users, and the terminal cuts those.
pub(crate) fn fit(mut lines: Vec<Line>, width: usize, height: usize) -> Vec<Line> {
    lines.truncate(height);
    for line in &mut lines {
        line.text = line.text.chars().take(width).collect();
    }
    lines
}

/// What a key asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    Redraw,
    Quit,
}

/// Where the person is in a table that is kept up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// It is not kept up to date now.
    pub(crate) stopped: bool,
    /// Which row is the first on the screen.
    pub(crate) scroll: usize,
}

impl Place {
    /// `rows` is how many there are, `page` how many the screen has room for.
    pub(crate) fn key(&mut self, key: KeyEvent, rows: usize, page: usize) -> Asked {
        let last = rows.saturating_sub(page);
        self.scroll = match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Asked::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Asked::Quit,
            KeyCode::Char(' ') => {
                self.stopped = !self.stopped;
                return Asked::Redraw;
            }
            KeyCode::Up | KeyCode::Char('k') => self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll + 1,
            KeyCode::PageUp => self.scroll.saturating_sub(page),
            KeyCode::PageDown => self.scroll + page,
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => return Asked::Nothing,
        }
        .min(last);
        Asked::Redraw
    }

    /// What the keys do, for the last line; `others` are those of the table alone.
    pub(crate) fn keys(&self, others: &str, rows: usize, page: usize) -> String {
        let hidden = rows.saturating_sub(self.scroll + page);
        let more = match (self.scroll, hidden) {
            (0, 0) => String::new(),
            (above, below) => format!("  {above} above, {below} below"),
        };
        let space = if self.stopped { "go on" } else { "stop" };
        format!("q quit  {others}space {space}  ↑↓ scroll{more}")
    }

    /// For the first line.
    pub(crate) fn state(&self) -> &'static str {
        if self.stopped { "  (stopped)" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_scroll_stop_and_quit() {
        let mut place = Place::default();
        let mut press = |code| {
            let asked = place.key(KeyEvent::new(code, KeyModifiers::NONE), 3, 2);
            (asked, place)
        };
        for _ in 0..20 {
            press(KeyCode::Down);
        }
        assert_eq!(
            press(KeyCode::Down).1.scroll,
            1,
            "two of three rows are on the screen"
        );
        assert_eq!(press(KeyCode::Home).1.scroll, 0);
        assert!(press(KeyCode::Char(' ')).1.stopped);
        assert_eq!(press(KeyCode::Char('x')).0, Asked::Nothing);
        assert_eq!(press(KeyCode::Char('q')).0, Asked::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(place.key(interrupt, 3, 2), Asked::Quit);
    }

    #[test]
    fn what_is_not_on_the_screen_is_counted() {
        let place = Place {
            stopped: true,
            scroll: 1,
        };
        assert_eq!(
            place.keys("s sort  ", 5, 2),
            "q quit  s sort  space go on  ↑↓ scroll  1 above, 2 below"
        );
        assert_eq!(Place::default().keys("", 2, 2), "q quit  space stop  ↑↓ scroll");
    }
}
