// SPDX-License-Identifier: MIT OR Apache-2.0

//! Those who wait, as lines of text that fit on the screen. Pure.

use super::Seen;
use super::report::table;
use super::waiters::Because;
use crate::human::{age, count};
use crate::screen::{Line, Look, Place, fit, line};

/// Lines around the rows: the summary, the headings and the keys.
const FRAME: usize = 3;

/// How many rows a screen has room for.
pub(super) fn page(height: usize) -> usize {
    height.saturating_sub(FRAME)
}

/// `height` lines at most, of `width` characters at most.
pub(super) fn draw(seen: &Seen, place: Place, clock: &str, width: usize, height: usize) -> Vec<Line> {
    let page = page(height);
    let mut table = table(seen).into_iter();
    let heading = table.next().unwrap_or_default();
    let summary = format!("{clock}  {}{}", summary(seen), place.state());
    let mut screen = vec![line(Look::Heading, summary), line(Look::Dim, heading)];
    let rows = table.zip(&seen.waiters).skip(place.scroll).take(page);
    screen.extend(rows.map(|(text, waiter)| {
        let look = match waiter.because {
            // Nobody is going to give these back.
            Because::OwnerDied => Look::Waiting,
            Because::Held(_) => Look::Held,
            _ => Look::Plain,
        };
        line(look, text)
    }));
    screen.resize(page + 2, line(Look::Plain, ""));
    screen.push(line(Look::Dim, place.keys("", seen.waiters.len(), page)));
    fit(screen, width, height)
}

fn summary(seen: &Seen) -> String {
    let number = seen.waiters.len() as u64;
    let longest = match seen.waiters.first() {
        None => "nobody waits".to_owned(),
        Some(first) => format!("{}, the longest for {}", count(number, "waiter"), age(first.age)),
    };
    let cut = if seen.complete { "" } else { "; some are left out" };
    format!("{longest}{cut}")
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::seen;
    use super::*;

    #[test]
    fn who_waits_for_somebody_stands_out() {
        let screen = draw(&seen(), Place::default(), "12:00:00", 100, 12);
        assert_eq!(screen.len(), 12);
        assert_eq!(screen[0].text, "12:00:00  7 waiters, the longest for 1m30s");
        assert!(screen[1].text.starts_with("PID  COMMAND  SEGMENT"));
        let looks: Vec<Look> = screen[2..9].iter().map(|line| line.look).collect();
        use Look::{Held, Plain, Waiting};
        assert_eq!(looks, [Held, Held, Plain, Held, Waiting, Plain, Plain]);
        assert_eq!(screen[11].text, "q quit  space stop  ↑↓ scroll");
    }

    #[test]
    fn a_screen_is_never_larger_than_the_terminal() {
        for (width, height) in [(80, 24), (20, 5), (1, 1), (0, 0), (300, 200)] {
            for scroll in [0, 3, 100] {
                let place = Place {
                    scroll,
                    ..Place::default()
                };
                let screen = draw(&seen(), place, "", width, height);
                assert!(screen.len() <= height, "{width}x{height}");
                assert!(screen.iter().all(|line| line.text.chars().count() <= width));
            }
        }
    }

    #[test]
    fn nobody_is_told_too_and_so_is_what_is_left_out() {
        let seen = Seen {
            complete: false,
            ..Seen::default()
        };
        assert_eq!(summary(&seen), "nobody waits; some are left out");
    }
}
