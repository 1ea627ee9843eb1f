// SPDX-License-Identifier: MIT OR Apache-2.0

//! Columns that line up. Pure.

/// A column's heading, and where its cells stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers stand to the right.
    pub(crate) right: bool,
}

pub(crate) const fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

pub(crate) const fn right(title: &'static str) -> Column {
    Column { title, right: true }
}

/// Between columns.
const GAP: &str = "  ";

/// The headings, then the rows. A row has a cell for each column. Lines have no blanks at their ends.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells
            .map(String::as_str)
            .chain([columns[index].title])
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, column), &width)| {
                if column.right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:width$}")
                }
            });
        let line = cells.collect::<Vec<_>>().join(GAP);
        line.trim_end().to_owned()
    };
    let heading = line(columns.iter().map(|column| column.title).collect());
    let rows = rows
        .iter()
        .map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(heading).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_line_up_and_lines_end_with_text() {
        let columns = [right("ID"), left("NAME"), left("STATE")];
        let rows = [row(["1", "a", ""]), row(["1000", "größer", "removed"])];
        assert_eq!(
            lines(&columns, &rows),
            ["  ID  NAME    STATE", "   1  a", "1000  größer  removed"]
        );
        assert_eq!(lines(&columns, &[]), ["ID  NAME  STATE"]);
    }
}
