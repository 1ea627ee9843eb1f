// SPDX-License-Identifier: MIT OR Apache-2.0

//! A view as lines of text that fit on the screen. Pure.

use std::time::Duration;

use shmdev::Stat;

use super::view::{Row, View};
use crate::human::{clock, count, local, size};
use crate::report::{mode, state};
use crate::screen::{Line, Look, fit, line};
use crate::table::{Column, left, lines, right};
use crate::which::called;

const COLUMNS: [Column; 12] = [
    right("ID"),
    left("NAME"),
    right("SIZE"),
    left("MODE"),
    left("OWNER"),
    right("MAPS"),
    right("HANDLES"),
    right("HELD"),
    right("WAIT"),
    right("WRITES/S"),
    left("LAST ATTACHED"),
    left(""),
];

/// Lines around the rows: the summary, the headings and the keys.
const FRAME: usize = 3;

/// How the lines of a screen are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Division {
    rows: usize,
    log: usize,
}

/// The log gets a third at most, and only what it needs; a line is between.
fn divide(height: usize, log: usize) -> Division {
    let free = height.saturating_sub(FRAME);
    let log = log.min((free / 3).saturating_sub(1));
    let separator = usize::from(log > 0);
    Division {
        rows: free - log - separator,
        log,
    }
}

/// How many rows a screen has room for.
pub(super) fn page(view: &View, height: usize) -> usize {
    divide(height, view.log.len()).rows
}

/// `height` lines at most, of `width` characters at most.
pub(super) fn draw(view: &View, width: usize, height: usize) -> Vec<Line> {
    let division = divide(height, view.log.len());
    let rows: Vec<Vec<String>> = view.rows.iter().map(|row| cells(view, row)).collect();
    let mut table = lines(&COLUMNS, &rows).into_iter();
    let heading = table.next().unwrap_or_default();

    let mut screen = vec![line(Look::Heading, summary(view)), line(Look::Dim, heading)];
    let visible = table.zip(&view.rows).skip(view.place.scroll).take(division.rows);
    screen.extend(visible.map(|(text, row)| line(look(row), text)));
    screen.resize(division.rows + 2, line(Look::Plain, ""));
    if division.log > 0 {
        screen.push(line(Look::Plain, ""));
        let latest = view.log.iter().skip(view.log.len() - division.log);
        screen.extend(latest.map(|(time, text)| line(Look::Plain, format!("{}  {text}", clock(*time)))));
    }
    screen.push(line(Look::Dim, keys(view, division.rows)));
    fit(screen, width, height)
}

fn cells(view: &View, row: &Row) -> Vec<String> {
    let stat = &row.stat;
    let writes = match row.writes {
        none if none <= 0.0 => String::new(),
        few if few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    };
    vec![
        stat.id.to_string(),
        called(stat).to_owned(),
        size(stat.size),
        mode(stat.mode),
        view.accounts.user(stat.uid),
        some(stat.nattch),
        some(stat.handles),
        some(stat.holders.into()),
        some(stat.waiters.into()),
        writes,
        attached(view, stat),
        state(stat).to_owned(),
    ]
}

/// Zeros are left out, so that what is there is seen.
fn some(number: u64) -> String {
    match number {
        0 => String::new(),
        number => number.to_string(),
    }
}

/// The time of day says enough of what happened less than half a day ago.
fn attached(view: &View, stat: &Stat) -> String {
    const LATELY: Duration = Duration::from_secs(12 * 3600);
    let Some(time) = stat.attached else {
        return String::new();
    };
    let age = view.looked.and_then(|now| now.duration_since(time).ok());
    let when = match age {
        Some(age) if age > LATELY => local(time),
        _ => clock(time),
    };
    match stat.last_pid {
        Some(pid) => format!("{when} by {pid}"),
        None => when,
    }
}

fn look(row: &Row) -> Look {
    match row.stat {
        stat if stat.waiters > 0 => Look::Waiting,
        stat if stat.holders > 0 => Look::Held,
        stat if stat.removed => Look::Dim,
        _ if row.is_new => Look::New,
        _ => Look::Plain,
    }
}

fn summary(view: &View) -> String {
    let sum = |number: fn(&Stat) -> u32| {
        view.rows
            .iter()
            .map(|row| u64::from(number(&row.stat)))
            .sum::<u64>()
    };
    let time = view.looked.map(clock).unwrap_or_default();
    format!(
        "{time}  {}, {} of {} used; {} held, {} waiting{}",
        count(view.rows.len() as u64, "segment"),
        size(view.info.total_bytes),
        size(view.info.max_total_bytes),
        sum(|stat| stat.holders),
        sum(|stat| stat.waiters),
        view.place.state()
    )
}

fn keys(view: &View, page: usize) -> String {
    use clap::ValueEnum;
    let sort = view.sort.to_possible_value();
    let sort = sort.as_ref().map_or("", |value| value.get_name());
    let reversed = if view.reverse { ", reversed" } else { "" };
    let others = format!("s sort ({sort}{reversed})  r reverse  ");
    view.place.keys(&others, view.rows.len(), page)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use shmdev::Info;

    use super::*;
    use crate::accounts::Accounts;
    use crate::report::Sort;
    use crate::report::samples::{raw, stat};

    fn view_of(segments: Vec<Stat>) -> View {
        let mut view = View::new(Sort::Name, false, Accounts::of("root:x:0:", ""));
        let info = Info {
            total_bytes: 65536,
            max_total_bytes: 2 << 30,
            ..Info::default()
        };
        view.look(
            SystemTime::UNIX_EPOCH + Duration::from_secs(10_000),
            segments,
            info,
        );
        view
    }

    #[test]
    fn what_is_held_and_waited_for_stands_out() {
        let mut busy = raw(5, "frames");
        (busy.holders, busy.waiters, busy.nattch) = (1, 2, 7);
        let mut held = raw(6, "held");
        held.holders = 1;
        let view = view_of(vec![stat(0, ""), Stat::from(&busy), Stat::from(&held)]);
        let screen = draw(&view, 100, 10);
        assert!(
            screen[0]
                .text
                .ends_with("3 segments, 64K of 2G used; 2 held, 2 waiting"),
            "{}",
            screen[0].text
        );
        assert_eq!(
            screen[1].text,
            "ID  NAME       SIZE  MODE  OWNER  MAPS  HANDLES  HELD  WAIT  WRITES/S  LAST ATTACHED"
        );
        assert_eq!(
            screen[3],
            line(
                Look::Waiting,
                " 5  frames       4K  0600  root      7              1     2"
            )
        );
        let looks: Vec<Look> = screen[2..5].iter().map(|line| line.look).collect();
        assert_eq!(looks, [Look::Plain, Look::Waiting, Look::Held]);
        assert!(screen[9].text.starts_with("q quit  s sort (name)"));
    }

    #[test]
    fn a_screen_is_never_larger_than_the_terminal() {
        let many: Vec<Stat> = (1..50).map(|id| stat(id, "x")).collect();
        let mut view = view_of(many.clone());
        view.look(SystemTime::now(), vec![stat(0, "")], Info::default());
        view.look(SystemTime::now(), many, Info::default());
        for (width, height) in [(80, 24), (20, 5), (1, 1), (0, 0), (300, 200)] {
            let screen = draw(&view, width, height);
            assert!(screen.len() <= height, "{width}x{height}");
            assert!(screen.iter().all(|line| line.text.chars().count() <= width));
        }
        assert_eq!(draw(&view, 80, 24).len(), 24);
    }

    #[test]
    fn the_log_gets_a_third_at_most() {
        assert_eq!(divide(24, 0), Division { rows: 21, log: 0 });
        assert_eq!(divide(24, 2), Division { rows: 18, log: 2 });
        assert_eq!(divide(24, 50), Division { rows: 14, log: 6 });
        assert_eq!(divide(4, 50), Division { rows: 1, log: 0 });
        assert_eq!(divide(0, 50), Division { rows: 0, log: 0 });
    }
}
