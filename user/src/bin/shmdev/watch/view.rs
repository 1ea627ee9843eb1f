// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the person at the terminal has before them: the segments, in which order, how far scrolled, and what
//! happened lately. Keys change it, looks change it. Pure.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use crossterm::event::{KeyCode, KeyEvent};
use shmdev::{Info, Stat};

use super::changes::{Change, between};
use crate::accounts::Accounts;
use crate::report::Sort;
use crate::screen::{Asked, Place};

/// For how long a segment counts as new.
const NEW: Duration = Duration::from_secs(3);

/// How many lines of what happened are kept.
const LOG: usize = 100;

pub(super) struct View {
    pub(super) accounts: Accounts,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    pub(super) place: Place,
    /// In the order in which they are shown.
    pub(super) rows: Vec<Row>,
    pub(super) log: VecDeque<(SystemTime, String)>,
    pub(super) info: Info,
    /// When it was looked last; `None` before the first look.
    pub(super) looked: Option<SystemTime>,
    /// In the order of their ids.
    segments: Vec<Stat>,
    rates: Vec<(u64, f64)>,
}

/// A segment on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) stat: Stat,
    /// Writes a second, between the last two looks.
    pub(super) writes: f64,
    pub(super) is_new: bool,
}

impl View {
    pub(super) fn new(sort: Sort, reverse: bool, accounts: Accounts) -> Self {
        Self {
            accounts,
            sort,
            reverse,
            place: Place::default(),
            rows: Vec::new(),
            log: VecDeque::new(),
            info: Info::default(),
            looked: None,
            segments: Vec::new(),
            rates: Vec::new(),
        }
    }

    /// What a look found.
    pub(super) fn look(&mut self, now: SystemTime, segments: Vec<Stat>, info: Info) {
        if let Some(looked) = self.looked {
            let changes = between(&self.segments, &segments);
            let elapsed = now.duration_since(looked).unwrap_or_default().as_secs_f64();
            self.rates = changes
                .iter()
                .filter_map(|change| rate(change, elapsed))
                .collect();
            for line in changes
                .iter()
                .filter_map(|change| change.describe(&self.accounts))
            {
                self.log.push_back((now, line));
            }
            self.log.drain(..self.log.len().saturating_sub(LOG));
        }
        (self.segments, self.info, self.looked) = (segments, info, Some(now));
        self.arrange();
    }

    fn arrange(&mut self) {
        let mut segments = self.segments.clone();
        self.sort.sort(&mut segments, self.reverse, &self.accounts);
        let now = self.looked.unwrap_or(SystemTime::UNIX_EPOCH);
        let row = |stat: Stat| Row {
            stat,
            writes: self
                .rates
                .iter()
                .find(|(id, _)| *id == stat.id)
                .map_or(0.0, |(_, rate)| *rate),
            is_new: now.duration_since(stat.created).is_ok_and(|age| age < NEW),
        };
        self.rows = segments.into_iter().map(row).collect();
    }

    /// `page` is how many rows the screen has.
    pub(super) fn key(&mut self, key: KeyEvent, page: usize) -> Asked {
        match key.code {
            KeyCode::Char('s') => self.sort = next(self.sort),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            _ => return self.place.key(key, self.rows.len(), page),
        }
        self.arrange();
        Asked::Redraw
    }
}

fn rate(change: &Change<'_>, elapsed: f64) -> Option<(u64, f64)> {
    match change {
        Change::Changed { before, now } if elapsed > 0.0 => {
            let writes = now.generation.wrapping_sub(before.generation);
            Some((now.id, writes as f64 / elapsed))
        }
        _ => None,
    }
}

fn next(sort: Sort) -> Sort {
    let all = Sort::value_variants();
    let index = all.iter().position(|other| *other == sort).unwrap_or(0);
    all[(index + 1) % all.len()]
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;
    use crate::report::samples::stat;

    fn press(view: &mut View, code: KeyCode) -> Asked {
        view.key(KeyEvent::new(code, KeyModifiers::NONE), 2)
    }

    fn ids(view: &View) -> Vec<u64> {
        view.rows.iter().map(|row| row.stat.id).collect()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn view_of(segments: &[Stat]) -> View {
        let mut view = View::new(Sort::Id, false, Accounts::numeric());
        view.look(at(1000), segments.to_vec(), Info::default());
        view
    }

    #[test]
    fn the_first_look_is_no_news() {
        let mut view = view_of(&[stat(1, "a")]);
        assert!(view.log.is_empty());
        view.look(at(1001), vec![stat(2, "b")], Info::default());
        let log: Vec<&str> = view.log.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(log, ["a: gone", "b: created, 4K, mode 0600, 0:0"]);
    }

    #[test]
    fn writes_are_counted_by_the_second() {
        let mut view = view_of(&[stat(1, "a")]);
        let mut busy = stat(1, "a");
        busy.generation = 30;
        view.look(at(1002), vec![busy], Info::default());
        assert!((view.rows[0].writes - 15.0).abs() < 1e-9);
        view.look(at(1004), vec![busy], Info::default());
        assert!(view.rows[0].writes.abs() < 1e-9);
    }

    #[test]
    fn what_was_created_lately_is_new() {
        // `stat(ID)` was created ID + 1 seconds after the epoch.
        let mut view = View::new(Sort::Id, false, Accounts::numeric());
        view.look(at(10), vec![stat(1, "old"), stat(8, "young")], Info::default());
        let new: Vec<bool> = view.rows.iter().map(|row| row.is_new).collect();
        assert_eq!(new, [false, true]);
    }

    #[test]
    fn keys_sort_and_scroll() {
        let mut view = view_of(&[stat(1, "c"), stat(2, "b"), stat(3, "a")]);
        assert_eq!(ids(&view), [1, 2, 3]);
        assert_eq!(press(&mut view, KeyCode::Char('r')), Asked::Redraw);
        assert_eq!(ids(&view), [3, 2, 1]);
        assert_eq!(press(&mut view, KeyCode::End), Asked::Redraw);
        assert_eq!(view.place.scroll, 1, "two of three rows are on the screen");
        assert_eq!(press(&mut view, KeyCode::Char('q')), Asked::Quit);
    }

    #[test]
    fn sorting_goes_through_all_columns() {
        let mut sort = Sort::Name;
        for _ in Sort::value_variants() {
            sort = next(sort);
        }
        assert_eq!(sort, Sort::Name);
    }
}
