// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/sys/kernel/debug/shmdev/`: segments, ranges and usage, as an operator reads them who asks what is stuck.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::namespace::in_ipc_namespace;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_AUTO_REMOVE, Create, DEADLINE_NEVER, Gate, Handle, PAGE, Process,
    Region, THIS, creation, usage,
};

tests![
    segments_has_a_line_for_each needs [Debugfs],
    segments_shows_counts_owners_and_flags needs [Debugfs],
    segments_of_all_namespaces_are_shown needs [Debugfs, IpcNamespace],
    ranges_shows_who_holds_and_who_waits needs [Debugfs],
    ranges_come_segment_by_segment_in_the_order_of_arrival needs [Debugfs],
    words_shows_who_waits_on_which_word needs [Debugfs],
    usage_shows_what_each_user_made needs [Debugfs],
    a_name_adds_no_line_and_no_column needs [Debugfs],
    the_files_are_roots_alone_and_cannot_be_written needs [Debugfs],
];

const SEGMENTS: [&str; 16] = [
    "ipcns",
    "id",
    "uid",
    "gid",
    "mode",
    "size",
    "mapped",
    "pieces",
    "nattch",
    "handles",
    "held",
    "waiting",
    "generation",
    "flags",
    "map",
    "name",
];
const RANGES: [&str; 10] = [
    "ipcns", "id", "name", "state", "start", "end", "access", "token", "pid", "age_ms",
];

const WORDS: [&str; 7] = ["ipcns", "id", "name", "offset", "token", "pid", "age_ms"];

pub(super) fn path(file: &str) -> PathBuf {
    Path::new("/sys/kernel/debug/shmdev").join(file)
}

pub(super) fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

type Row = BTreeMap<&'static str, String>;

/// The lines below the headings, which must be these.
#[track_caller]
fn table<const N: usize>(file: &str, headings: [&'static str; N]) -> Vec<Row> {
    let text = text(file);
    assert!(text.ends_with('\n'), "{text:?}");
    let mut lines = text.lines();
    let first: Vec<_> = lines.next().expect("headings").split_whitespace().collect();
    assert_eq!(first, headings);
    lines
        .map(|line| {
            let columns: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(columns.len(), N, "{line:?}");
            headings.into_iter().zip(columns).collect()
        })
        .collect()
}

pub(super) fn segments() -> Vec<Row> {
    table("segments", SEGMENTS)
}

pub(super) fn ranges() -> Vec<Row> {
    table("ranges", RANGES)
}

/// The one row whose column has this value.
#[track_caller]
fn row(rows: &[Row], column: &str, value: &str) -> Row {
    let mut found = rows.iter().filter(|row| row[column] == value);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("no {column} {value} in {rows:?}"));
    assert!(found.next().is_none(), "{column} {value} is there twice");
    row.clone()
}

#[track_caller]
pub(super) fn number(row: &Row, column: &str) -> u64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} is {:?}", row[column]))
}

/// The number of this process's namespace, as `lsns` shows it.
fn namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/ipc").unwrap().ino()
}

fn segments_has_a_line_for_each() {
    let ids = || -> Vec<u64> { segments().iter().map(|row| number(row, "id")).collect() };
    assert_eq!(ids(), [0]);
    let handles = [
        Handle::creating("frames", 5000),
        Handle::creating("", 100),
        Handle::creating("other", 100),
    ];
    let mut expected = vec![0];
    expected.extend(handles.iter().map(Handle::id));
    let mut seen = ids();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    remove("frames");
    remove("other");
    drop(handles);
    assert_eq!(ids(), [0]);
}

fn segments_shows_counts_owners_and_flags() {
    let handle = Handle::creating("frames", 5000);
    handle.set_owner(THIS, 1000, 2000).unwrap();
    handle.set_mode(THIS, 0o640).unwrap();
    let _mappings = [handle.window(0, PAGE), handle.window(0, 2 * PAGE)];
    let _other = Handle::of("frames");
    handle.pwrite(b"x", 0).unwrap();
    handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    let stat = handle.stat().unwrap();
    let line = row(&segments(), "name", "frames");
    for (column, value) in [
        ("ipcns", namespace()),
        ("id", stat.target.id),
        ("uid", 1000),
        ("gid", 2000),
        ("size", 5000),
        ("mapped", 8192),
        ("pieces", stat.pieces.into()),
        ("nattch", 2),
        ("handles", 2),
        ("held", 1),
        ("waiting", 0),
        ("generation", 1),
    ] {
        assert_eq!(number(&line, column), value, "{column}");
    }
    assert_eq!(u32::from_str_radix(&line["mode"], 8), Ok(0o640), "{line:?}");
    assert_eq!(line["flags"], "-");
    // Goes with its last handle; was removed.
    let auto = Handle::rw();
    let create = Create {
        flags: CREATE_AUTO_REMOVE,
        ..creation("auto", 100)
    };
    auto.create(create).unwrap();
    assert_eq!(row(&segments(), "name", "auto")["flags"], "a");
    let (auto_id, id) = (auto.id().to_string(), handle.id().to_string());
    auto.remove(THIS).unwrap();
    remove("frames");
    let rows = segments();
    let flags = &row(&rows, "id", &auto_id)["flags"];
    assert!(["ar", "ra"].contains(&flags.as_str()), "{flags}");
    assert_eq!(row(&rows, "id", &id)["flags"], "r");
    let anonymous = Handle::creating("", 100);
    assert_eq!(
        row(&segments(), "id", &anonymous.id().to_string())["name"],
        "(anonymous)"
    );
    assert_eq!(row(&segments(), "id", "0")["name"], "(default)");
}

fn segments_of_all_namespaces_are_shown() {
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        let handle = Handle::creating("inside", 100);
        handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        ready.open();
        go.pass();
        assert_eq!(number(&row(&segments(), "name", "outside"), "handles"), 1);
        handle.end(ACCESS_WRITE, 0, 1).unwrap();
    });
    ready.pass();
    let handle = Handle::creating("outside", 100);
    let rows = segments();
    let [inside, outside] = ["inside", "outside"].map(|text| number(&row(&rows, "name", text), "ipcns"));
    assert_eq!(outside, namespace());
    assert_ne!(inside, outside);
    assert_eq!(number(&row(&ranges(), "name", "inside"), "ipcns"), inside);
    go.open();
    child.join();
    remove("outside");
    drop(handle);
    until("the namespace is gone", || usage() == (0, 0));
}

fn ranges_shows_who_holds_and_who_waits() {
    assert_eq!(ranges(), Vec::<Row>::new());
    let holder = Handle::creating("frames", 5000);
    holder.begin(ACCESS_WRITE, 100, 50, 0).unwrap();
    holder.begin(ACCESS_READ, 4096, 904, 0).unwrap();
    let handle = Handle::of("frames");
    let token = handle.info().unwrap().token;
    let waiter = Process::fork(|| {
        handle.begin(ACCESS_READ, 0, 1000, DEADLINE_NEVER).unwrap();
        handle.end(ACCESS_READ, 0, 1000).unwrap();
    });
    until("it waits", || holder.stat().unwrap().waiters == 1);
    let rows = ranges();
    assert_eq!(rows.len(), 3);
    let me = u64::from(std::process::id());
    for (line, (state, start, end, access, whose, pid)) in rows.iter().zip([
        ("held", 100, 150, "w", holder.info().unwrap().token, me),
        ("held", 4096, 5000, "r", holder.info().unwrap().token, me),
        ("waits", 0, 1000, "r", token, waiter.pid() as u64),
    ]) {
        assert_eq!((line["name"].as_str(), line["state"].as_str()), ("frames", state));
        assert_eq!((number(line, "start"), number(line, "end")), (start, end));
        assert!(line["access"].to_lowercase().starts_with(access), "{line:?}");
        assert_eq!((number(line, "token"), number(line, "pid")), (whose.into(), pid));
        assert_eq!(number(line, "id"), holder.id());
        assert!(number(line, "age_ms") < 600_000, "{line:?}");
    }
    // What is older is shown to be.
    let age = || number(&ranges()[0], "age_ms");
    let before = age();
    until("it ages", || age() > before + 2);
    holder.end(ACCESS_WRITE, 100, 50).unwrap();
    waiter.join();
    assert_eq!(ranges().len(), 1);
    remove("frames");
}

fn ranges_come_segment_by_segment_in_the_order_of_arrival() {
    let (one, two) = (Handle::creating("one", 5000), Handle::creating("two", 5000));
    let (one_too, two_too) = (Handle::of("one"), Handle::of("two"));
    for index in 0..10_u64 {
        // Places in no order, segments and handles in turn.
        let offset = index * 7 % 10 * 100;
        let handle = [&one, &two, &one_too, &two_too][index as usize % 4];
        handle.begin(ACCESS_WRITE, offset, 10, 0).unwrap();
    }
    let seen: Vec<_> = ranges()
        .iter()
        .map(|row| (row["name"].clone(), number(row, "start")))
        .collect();
    let arrived = |parity| {
        (0..10)
            .filter(move |index| index % 2 == parity)
            .map(|index| index * 7 % 10 * 100)
    };
    let expected: Vec<_> = arrived(0)
        .map(|start| ("one".to_owned(), start))
        .chain(arrived(1).map(|start| ("two".to_owned(), start)))
        .collect();
    assert_eq!(seen, expected);
    remove("one");
    remove("two");
}

fn words_shows_who_waits_on_which_word() {
    assert_eq!(table("words", WORDS), []);
    let owner = Handle::creating("frames", 100);
    let (token, ready) = (Region::shared(PAGE), Gate::new());
    let wait = |offsets: &[u64]| {
        let process = Process::fork(|| {
            let handle = Handle::of("frames");
            token.u32(0).store(handle.info().unwrap().token, Ordering::SeqCst);
            ready.open();
            let words: Vec<_> = offsets.iter().map(|&offset| (offset, 0)).collect();
            handle.wait_on_any(&words, DEADLINE_NEVER).unwrap();
        });
        ready.pass();
        until("it waits", || process.sleeps_in(libc::SYS_ioctl));
        (process, token.u32(0).load(Ordering::SeqCst))
    };
    let (first, first_token) = wait(&[8]);
    let (second, second_token) = wait(&[16, 24]);
    let rows = || {
        let mut rows: Vec<_> = table("words", WORDS)
            .into_iter()
            .map(|row| {
                assert_eq!(
                    (row["name"].as_str(), &row["id"]),
                    ("frames", &owner.id().to_string())
                );
                assert!(row["age_ms"].parse::<u64>().unwrap() < 60_000);
                (row["offset"].clone(), row["token"].clone(), row["pid"].clone())
            })
            .collect();
        rows.sort();
        rows
    };
    let row = |offset: u64, token: u32, process: &Process| {
        (offset.to_string(), token.to_string(), process.pid().to_string())
    };
    let of_second = |offset| row(offset, second_token, &second);
    assert_eq!(
        rows(),
        [of_second(16), of_second(24), row(8, first_token, &first)]
    );
    assert_eq!(owner.requeue(8, 0, 0, 32, 1), Ok(1));
    assert_eq!(
        rows(),
        [of_second(16), of_second(24), row(32, first_token, &first)]
    );
    first.kill();
    assert_eq!(rows(), [of_second(16), of_second(24)]);
    second.kill();
    assert_eq!(rows(), []);
    remove("frames");
}

fn usage_shows_what_each_user_made() {
    let _node = OpenNode::new();
    let rows = || -> Vec<Vec<String>> {
        text("usage")
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    let line = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    assert_eq!(rows(), [line(&["segments", "0"]), line(&["bytes", "0"])]);
    let _root = Handle::creating("", 100);
    let one = User::new(1000, 1).act(|| [Handle::creating("", 5000), Handle::creating("", 4097)]);
    let _two = User::new(1001, 1).act(|| Handle::creating("", 3 * 4096));
    one[0].set_owner(THIS, 1001, 1).unwrap();
    let mut seen = rows();
    assert_eq!(seen[..2], [line(&["segments", "4"]), line(&["bytes", "32768"])]);
    seen[2..].sort();
    assert_eq!(
        seen[2..],
        [
            line(&["uid", "0", "bytes", "4096"]),
            line(&["uid", "1000", "bytes", "16384"]),
            line(&["uid", "1001", "bytes", "12288"]),
        ]
    );
    drop(one);
    assert!(
        !rows()
            .iter()
            .any(|words| words.get(1).is_some_and(|word| word == "1000"))
    );
}

fn a_name_adds_no_line_and_no_column() {
    let longest = "n".repeat(63);
    let names = ["-", "--", "held", "ipcns", "0", "-rf", "...", &longest];
    let handles: Vec<_> = names.iter().map(|text| Handle::creating(text, 100)).collect();
    for handle in &handles {
        handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
    }
    // `table` counts columns.
    let (segments, ranges) = (segments(), ranges());
    assert_eq!((segments.len(), ranges.len()), (names.len() + 1, names.len()));
    for (text, handle) in names.iter().zip(&handles) {
        let id = handle.id().to_string();
        assert_eq!(row(&segments, "id", &id)["name"], *text);
        assert_eq!(row(&ranges, "id", &id)["name"], *text);
    }
    names.into_iter().for_each(remove);
}

fn the_files_are_roots_alone_and_cannot_be_written() {
    for file in ["segments", "ranges", "usage"] {
        let outcome = std::fs::OpenOptions::new()
            .write(true)
            .open(path(file))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"));
        assert!(outcome.is_err(), "{file} was written");
        Process::fork(|| {
            User::new(1000, 1000).become_for_good();
            assert!(File::open(path(file)).is_err(), "{file} is open to all");
        })
        .join();
    }
}
