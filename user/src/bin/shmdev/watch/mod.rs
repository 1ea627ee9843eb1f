// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev watch`: follows what happens to segments; a table for a person at a terminal, a line for each change
//! for everything else. It looks again and again: what comes and goes between two looks is not seen.

mod changes;
mod lines;
mod screen;
mod view;

use std::io::{IsTerminal, stdout};
use std::time::{Duration, SystemTime};

use crossterm::event::KeyEvent;
use shmdev::{Device, Name, Stat};

use crate::Node;
use crate::accounts::Accounts;
use crate::failure::Result;
use crate::ls::all;
use crate::parse;
use crate::report::Sort;
use crate::screen::{Asked, Line};
use crate::terminal::{self, Live};

/// Follow segments: who creates, maps, locks, writes and removes them
///
/// At a terminal a table that is kept up to date: q quits, s sorts by the next column, r turns the order round, space
/// stops and goes on, arrow keys scroll. Rows are yellow while a range is held, red while somebody waits for one, green
/// when new. NO_COLOR in the environment leaves the colours out.
///
/// Else a line for each change, after a line for each segment that is there at the start.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these segments; they need not be there yet
    name: Vec<Name>,
    /// How often to look
    #[arg(long, short, value_name = "TIME", value_parser = parse::interval, default_value = "500ms")]
    interval: Duration,
    /// By what to sort the table
    #[arg(long, short, value_name = "WHAT", default_value = "name")]
    sort: Sort,
    /// The other way round
    #[arg(long, short)]
    reverse: bool,
    /// A line for each change, also at a terminal
    #[arg(long, short)]
    lines: bool,
    /// Each line as a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let watched = Watched {
        device: node.device()?,
        names: &args.name,
    };
    let accounts = Accounts::load();
    if args.lines || args.json || !stdout().is_terminal() {
        return lines::run(&watched, &accounts, args.interval, args.json);
    }
    let view = view::View::new(args.sort, args.reverse, accounts);
    terminal::run(&mut Watch { watched, view }, args.interval)
}

/// The table at a terminal.
struct Watch<'a> {
    watched: Watched<'a>,
    view: view::View,
}

impl Live for Watch<'_> {
    fn look(&mut self) -> Result {
        let segments = self.watched.look()?;
        let info = self.watched.device.query()?;
        self.view.look(SystemTime::now(), segments, info);
        Ok(())
    }

    fn draw(&self, width: usize, height: usize) -> Vec<Line> {
        screen::draw(&self.view, width, height)
    }

    fn key(&mut self, key: KeyEvent, height: usize) -> Asked {
        let page = screen::page(&self.view, height);
        self.view.key(key, page)
    }

    fn is_stopped(&self) -> bool {
        self.view.place.stopped
    }
}

/// The segments that are followed.
struct Watched<'a> {
    device: Device,
    names: &'a [Name],
}

impl Watched<'_> {
    /// As they are now, in the order of their ids.
    fn look(&self) -> Result<Vec<Stat>> {
        let mut segments = all(&self.device)?;
        if !self.names.is_empty() {
            segments.retain(|stat| stat.name.is_some_and(|name| self.names.contains(&name)));
        }
        Ok(segments)
    }
}
