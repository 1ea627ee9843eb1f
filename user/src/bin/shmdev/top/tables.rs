// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the tables `ranges` and `words` of debugfs say. Columns are found by their headings: there may be more of
//! them. A line that is cut off is left out. Pure.

use std::time::Duration;

/// Whose line it is: a segment, of whatever IPC namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) ipcns: u64,
    pub(super) id: u64,
    /// As the table has it: `(default)` and `(anonymous)` are no names.
    pub(super) called: String,
}

/// A range that is held, or waited for. Those of a segment come in the order of their arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) segment: Segment,
    pub(super) held: bool,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) write: bool,
    pub(super) token: u32,
    pub(super) pid: u32,
    pub(super) age: Duration,
}

/// Somebody's place in the queue of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) segment: Segment,
    pub(super) offset: u64,
    pub(super) pid: u32,
    pub(super) age: Duration,
}

/// The rows of a table that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table<T> {
    pub(super) rows: Vec<T>,
    /// Nothing was left out.
    pub(super) complete: bool,
}

/// `None` when a column is not there: it is the table of another version.
pub(super) fn ranges(text: &str) -> Option<Table<Range>> {
    const COLUMNS: [&str; 10] = [
        "ipcns", "id", "name", "state", "start", "end", "access", "token", "pid", "age_ms",
    ];
    table(
        text,
        COLUMNS,
        |[ipcns, id, name, state, start, end, access, token, pid, age]| {
            Some(Range {
                segment: segment(ipcns, id, name)?,
                held: one_of(state, "held", "waits")?,
                start: start.parse().ok()?,
                end: end.parse().ok()?,
                write: one_of(access, "write", "read")?,
                token: token.parse().ok()?,
                pid: pid.parse().ok()?,
                age: milliseconds(age)?,
            })
        },
    )
}

/// As [`ranges`].
pub(super) fn words(text: &str) -> Option<Table<Word>> {
    const COLUMNS: [&str; 6] = ["ipcns", "id", "name", "offset", "pid", "age_ms"];
    table(text, COLUMNS, |[ipcns, id, name, offset, pid, age]| {
        Some(Word {
            segment: segment(ipcns, id, name)?,
            offset: offset.parse().ok()?,
            pid: pid.parse().ok()?,
            age: milliseconds(age)?,
        })
    })
}

fn table<const N: usize, T>(
    text: &str,
    columns: [&str; N],
    read: impl Fn([&str; N]) -> Option<T>,
) -> Option<Table<T>> {
    let mut lines = text.split_inclusive('\n');
    let headings: Vec<&str> = lines.next()?.split_whitespace().collect();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = headings.iter().position(|heading| *heading == column)?;
    }
    let mut table = Table {
        rows: Vec::new(),
        complete: true,
    };
    for line in lines {
        let cells: Vec<&str> = line.split_whitespace().collect();
        // The end of a line tells that its last number is whole.
        let whole = line.ends_with('\n') && cells.len() >= headings.len();
        let row = whole.then(|| read(places.map(|place| cells[place])));
        match row.flatten() {
            Some(row) => table.rows.push(row),
            None => table.complete = false,
        }
    }
    Some(table)
}

fn segment(ipcns: &str, id: &str, called: &str) -> Option<Segment> {
    Some(Segment {
        ipcns: ipcns.parse().ok()?,
        id: id.parse().ok()?,
        called: called.to_owned(),
    })
}

fn milliseconds(text: &str) -> Option<Duration> {
    Some(Duration::from_millis(text.parse().ok()?))
}

fn one_of(text: &str, yes: &str, no: &str) -> Option<bool> {
    match text {
        _ if text == yes => Some(true),
        _ if text == no => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: &str = "\
ipcns id name state start end access token pid age_ms
4026531839 3 frames held 100 150 write 17 812 5000
4026531839 3 frames waits 0 1000 read 18 813 4000
";

    #[test]
    fn ranges_are_read_line_by_line() {
        let table = ranges(RANGES).unwrap();
        assert!(table.complete);
        assert_eq!(
            table.rows[0],
            Range {
                segment: Segment {
                    ipcns: 4_026_531_839,
                    id: 3,
                    called: "frames".into()
                },
                held: true,
                start: 100,
                end: 150,
                write: true,
                token: 17,
                pid: 812,
                age: Duration::from_secs(5),
            }
        );
        assert_eq!((table.rows[1].held, table.rows[1].write), (false, false));
        assert_eq!(table.rows.len(), 2);
    }

    #[test]
    fn columns_may_be_added_anywhere() {
        let more = "\
ipcns id name flags offset token pid age_ms cpu
1 0 (default) x 64 17 812 250 3
";
        let table = words(more).unwrap();
        let [word] = &table.rows[..] else {
            panic!("{table:?}")
        };
        assert_eq!(
            (word.offset, word.pid, word.age),
            (64, 812, Duration::from_millis(250))
        );
        assert_eq!(word.segment.called, "(default)");
    }

    #[test]
    fn a_table_without_a_column_is_none() {
        assert_eq!(words(RANGES), None);
        assert_eq!(words(""), None);
        assert_eq!(ranges("ipcns id name\n"), None);
    }

    #[test]
    fn what_is_cut_off_is_left_out_and_told() {
        for cut in 1..RANGES.len() {
            let text = &RANGES[..cut];
            let lines = text.matches('\n').count();
            match ranges(text) {
                None => assert_eq!(lines, 0, "{text:?}"),
                Some(table) => {
                    assert_eq!(table.rows.len(), lines.saturating_sub(1), "{text:?}");
                    assert_eq!(table.complete, text.ends_with('\n') || lines == 0, "{text:?}");
                }
            }
        }
        let table = ranges(&format!("{RANGES}(no memory for the rest)\n")).unwrap();
        assert_eq!((table.rows.len(), table.complete), (2, false));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_left_out() {
        for line in [
            "1 3 f lost 0 1 read 1 2 3",
            "1 3 f held -1 1 read 1 2 3",
            "1 3 f held 0 1 r 1 2 3",
        ] {
            let table = ranges(&format!("{RANGES}{line}\n")).unwrap();
            assert_eq!((table.rows.len(), table.complete), (2, false), "{line}");
        }
    }
}
