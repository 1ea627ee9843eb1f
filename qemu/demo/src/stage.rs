// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the spectator sees: headings, and lines of who, which call, what came of it. Colour marks and never
//! carries meaning.

use std::fmt::Display;

/// A spectator.
pub(crate) struct Stage {
    color: bool,
    acts: u32,
}

/// Wide enough for `writer 12345` and for the longest call of the story; most outcomes then end before
/// column 80.
const WHO: usize = 12;
const CALL: usize = 30;

impl Stage {
    pub(crate) fn new(color: bool) -> Self {
        Self { color, acts: 0 }
    }

    /// Begins an act.
    pub(crate) fn act(&mut self, title: &str) {
        self.acts += 1;
        let number = self.acts;
        println!("\n{}", self.paint("1", format!("{number}. {title}")));
    }

    /// `who` made `call`, and `outcome` came of it.
    pub(crate) fn line(&self, who: &str, call: impl Display, outcome: impl Display) {
        // Padded before it is painted: escape codes have no width on screen but count in a format.
        let hue = match who.split(' ').next() {
            Some("writer") => "33",
            Some("reader") => "36",
            Some("heir") => "32",
            Some("kernel") => "35",
            _ => "34",
        };
        let who = self.paint(hue, format!("{who:<WHO$}"));
        let call = self.paint("2", format!("{call:<CALL$}", call = call.to_string()));
        println!("  {who} {call} {outcome}");
    }

    /// Words between the lines.
    pub(crate) fn say(&self, text: impl Display) {
        println!("{text}");
    }

    pub(crate) fn end(&self) {
        println!(
            "\n{}",
            self.paint("1;32", "All of it happened as told.".to_owned())
        );
    }

    fn paint(&self, code: &str, text: String) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text
        }
    }
}
