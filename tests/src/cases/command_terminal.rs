// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command `shmdev` at a terminal: what `watch` shows there, how it gives the terminal back, what `rm` asks, and
//! whom Ctrl-C reaches.

use super::command::shmdev;
use super::refused;
use crate::harness::tests;
use crate::sys::segments::remove;
use crate::sys::terminal::Terminal;
use crate::sys::{ACCESS_WRITE, Errno, Handle, PAGE, by_name, signal};

tests![
    #[slow] watch_shows_who_creates_maps_and_locks needs [ShmdevCommand],
    watch_follows_the_size_of_its_terminal needs [ShmdevCommand],
    #[slow] watch_gives_the_terminal_back_however_it_ends needs [ShmdevCommand],
    #[slow] rm_asks_before_it_removes_what_somebody_uses needs [ShmdevCommand],
    ctrl_c_reaches_a_command_under_lock_once needs [ShmdevCommand],
];

const WATCH: &str = "watch --interval 10ms";
/// What begins and ends a screen of `watch` and `top`: an update that terminals show at once.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
/// What ends the use of the whole screen, and shows the cursor.
const GIVE_BACK: [&str; 2] = ["\x1b[?1049l", "\x1b[?25h"];

/// The lines of the last whole screen.
pub(super) fn screen(shown: &str) -> Option<Vec<String>> {
    let (before, _) = shown.rsplit_once(END)?;
    let (_, screen) = before.rsplit_once(BEGIN)?;
    let mut text = String::new();
    let mut characters = screen.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            text.push(character);
        } else if characters.by_ref().skip(1).find(char::is_ascii_alphabetic) == Some('H') {
            // The cursor goes to the next line.
            text.push('\n');
        }
    }
    Some(
        text.lines()
            .skip(1)
            .map(|line| line.trim_end().to_owned())
            .collect(),
    )
}

/// What stands in the row of this segment, in a column whose cells stand to the right; empty for nothing.
fn cell<'a>(screen: &'a [String], name: &str, title: &str) -> Option<&'a str> {
    let heading = screen.iter().find(|line| line.contains("HANDLES"))?;
    let end = heading.find(title)? + title.len();
    let row = screen
        .iter()
        .find(|line| line.split_whitespace().nth(1) == Some(name))?;
    // A row that is shorter has nothing there.
    row.get(..end).map_or(Some(""), |row| row.rsplit(' ').next())
}

impl Terminal {
    /// Waits for a screen on which this stands.
    #[track_caller]
    fn shows(&mut self, name: &str, title: &str, value: &str) {
        self.shown(&format!("{name}: {title} {value}"), |shown| {
            screen(shown).is_some_and(|screen| cell(&screen, name, title) == Some(value))
        });
    }

    /// Waits for a screen of this many lines, and returns it.
    #[track_caller]
    fn screen_of(&mut self, lines: usize) -> Vec<String> {
        let whole = |shown: &str| screen(shown).filter(|screen| screen.len() == lines);
        let shown = self.shown(&format!("{lines} lines"), |shown| whole(shown).is_some());
        whole(&shown).expect("it was there")
    }
}

fn watch_shows_who_creates_maps_and_locks() {
    let mut terminal = Terminal::new(100, 30);
    let watch = terminal.start(&mut shmdev(WATCH));
    terminal.shows("(default)", "SIZE", "2.1M");
    let handle = Handle::creating("frames", 65536);
    terminal.shows("frames", "SIZE", "64K");
    terminal.shows("frames", "HANDLES", "1");
    let mapping = handle.window(0, PAGE);
    terminal.shows("frames", "MAPS", "1");
    terminal.shows("frames", "HELD", "");
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    terminal.shows("frames", "HELD", "1");
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    terminal.shows("frames", "HELD", "");
    drop(mapping);
    terminal.shows("frames", "MAPS", "");
    remove("frames");
    drop(handle);
    terminal.shown("it is gone", |shown| {
        screen(shown).is_some_and(|screen| cell(&screen, "frames", "SIZE").is_none())
    });
    terminal.press("q");
    assert_eq!(terminal.ended(watch).0, Some(0));
}

fn watch_follows_the_size_of_its_terminal() {
    let mut terminal = Terminal::new(100, 30);
    // It is told, and does not look by itself.
    let watch = terminal.start(&mut shmdev("watch --interval 1h"));
    let wide = terminal.screen_of(30);
    assert!(wide.iter().any(|line| line.chars().count() > 40), "{wide:?}");
    for (columns, rows) in [(40, 7), (20, 40), (100, 24)] {
        terminal.set_size(columns, rows);
        let lines = terminal.screen_of(rows.into());
        let fits = |line: &String| line.chars().count() <= columns.into();
        assert!(lines.iter().all(fits), "{columns}: {lines:?}");
    }
    terminal.press("q");
    assert_eq!(terminal.ended(watch).0, Some(0));
}

fn watch_gives_the_terminal_back_however_it_ends() {
    const CTRL_C: &str = "\x03";
    let keys = ["q", CTRL_C].map(|keys| (Some(keys), 0));
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].map(|signal| (None, signal));
    for (keys, signal) in keys.into_iter().chain(signals) {
        let mut terminal = Terminal::new(80, 24);
        let before = terminal.settings();
        let watch = terminal.start(&mut shmdev(WATCH));
        terminal.screen_of(24);
        assert_ne!(
            terminal.settings(),
            before,
            "it reads keys without waiting for a line"
        );
        let status = match keys {
            Some(keys) => {
                terminal.press(keys);
                0
            }
            None => {
                signal::send(watch.id(), signal);
                128 + signal
            }
        };
        let (ended, shown) = terminal.ended(watch);
        assert_eq!(ended, Some(status), "{keys:?} {signal}");
        assert_eq!(terminal.settings(), before, "{keys:?} {signal}");
        let (_, last) = shown.rsplit_once(END).expect("a screen");
        for sequence in GIVE_BACK {
            assert!(last.contains(sequence), "{keys:?} {signal}: {last:?}");
        }
    }
}

fn rm_asks_before_it_removes_what_somebody_uses() {
    const END_OF_INPUT: &str = "\x04";
    const QUESTION: &str = "remove \"frames\" (64K), which has 1 mapping and 1 handle? [y/N] ";
    let handle = Handle::creating("frames", 65536);
    let _mapping = handle.window(0, PAGE);
    for (answer, removed) in [
        ("n\n", false),
        ("\n", false),
        (END_OF_INPUT, false),
        ("y\n", true),
    ] {
        let mut terminal = Terminal::new(80, 24);
        let rm = terminal.start(&mut shmdev("rm frames"));
        terminal.shown("the question", |shown| shown.ends_with(QUESTION));
        assert_eq!(Handle::rw().stat_of(by_name("frames")).unwrap().handles, 1);
        terminal.press(answer);
        assert_eq!(terminal.ended(rm).0, Some(0), "{answer:?}");
        let left = Handle::rw().stat_of(by_name("frames"));
        assert_eq!(left.err(), removed.then_some(Errno::ENOENT), "{answer:?}");
    }
    // What nobody uses, and where it shall not ask.
    drop(Handle::creating("idle", 100));
    let _busy = Handle::creating("busy", 100);
    for arguments in ["rm idle", "rm --force busy"] {
        let mut terminal = Terminal::new(80, 24);
        let rm = terminal.start(&mut shmdev(arguments));
        assert_eq!(terminal.ended(rm), (Some(0), String::new()), "{arguments}");
    }
    for name in ["idle", "busy"] {
        refused(Handle::rw().stat_of(by_name(name)), Errno::ENOENT);
    }
}

fn ctrl_c_reaches_a_command_under_lock_once() {
    const CTRL_C: &str = "\x03";
    let handle = Handle::creating("frames", 100);
    let mut terminal = Terminal::new(80, 24);
    let mut command = shmdev("lock frames -- sh -c");
    command.arg(
        "trap 'n=$((n + 1)); echo caught $n' INT; trap 'exit 3' USR1; echo number $$ .; while :; do sleep 0.01; done",
    );
    let lock = terminal.start(&mut command);
    let shown = terminal.shown("its number", |shown| shown.contains(" ."));
    let number = shown
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .unwrap();
    for times in 1..=3 {
        terminal.press(CTRL_C);
        terminal.shown("the trap", |shown| shown.contains(&format!("caught {times}")));
        assert_eq!(handle.stat().unwrap().holders, 1);
    }
    signal::send(number, libc::SIGUSR1);
    let (status, shown) = terminal.ended(lock);
    assert_eq!(status, Some(3));
    assert!(!shown.contains("caught 4"), "{shown}");
    assert_eq!((handle.stat().unwrap().holders, handle.generation()), (0, 1));
    remove("frames");
}
