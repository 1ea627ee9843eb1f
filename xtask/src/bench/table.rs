// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table: once made, shown on a terminal, in Markdown or in HTML.

use super::report::escape;

/// Rows under a heading each column has; numbers are to the right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    heading: String,
    right: bool,
}

impl Table {
    /// Adds a column of words.
    pub fn words(mut self, heading: impl Into<String>) -> Self {
        self.columns.push(Column {
            heading: heading.into(),
            right: false,
        });
        self
    }

    /// Adds a column of numbers.
    pub fn numbers(mut self, heading: impl Into<String>) -> Self {
        self.columns.push(Column {
            heading: heading.into(),
            right: true,
        });
        self
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether nothing stands under the headings.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |index: usize| {
            let cells = self.rows.iter().map(|row| &row[index]);
            let heading = &self.columns[index].heading;
            let widths = cells.chain([heading]).map(|text| text.chars().count());
            widths.max().unwrap_or(0)
        };
        (0..self.columns.len()).map(width).collect()
    }

    /// Lines for a terminal, each after `indent`.
    pub fn text(&self, indent: &str) -> String {
        let widths = self.widths();
        let line = |cells: &mut dyn Iterator<Item = &String>| {
            let mut line = indent.to_owned();
            for ((cell, column), &width) in cells.zip(&self.columns).zip(&widths) {
                let cell = match column.right {
                    true => format!("{cell:>width$}  "),
                    false => format!("{cell:<width$}  "),
                };
                line.push_str(&cell);
            }
            format!("{}\n", line.trim_end())
        };
        let heading = line(&mut self.columns.iter().map(|column| &column.heading));
        let rows = self.rows.iter().map(|row| line(&mut row.iter()));
        // Headings that say nothing take no line.
        let shown = Some(heading).filter(|heading| !heading.trim().is_empty());
        shown.into_iter().chain(rows).collect()
    }

    /// A table of GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&mut self.columns.iter().map(|column| column.heading.clone()));
        let rule = |column: &Column| if column.right { "---:" } else { "---" }.to_owned();
        text += &line(&mut self.columns.iter().map(rule));
        for row in &self.rows {
            text += &line(&mut row.iter().cloned());
        }
        text
    }

    /// An HTML table.
    pub fn html(&self) -> String {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &String>| {
            let mut text = String::from("<tr>");
            for (cell, column) in cells.zip(&self.columns) {
                let class = if column.right { " class=\"n\"" } else { "" };
                text += &format!("<{tag}{class}>{}</{tag}>", code(cell));
            }
            text + "</tr>\n"
        };
        let mut text = String::from("<div class=\"wide\"><table>\n<thead>");
        text += &cells("th", &mut self.columns.iter().map(|column| &column.heading));
        text += "</thead><tbody>\n";
        for row in &self.rows {
            text += &cells("td", &mut row.iter());
        }
        text + "</tbody></table></div>\n"
    }
}

/// Text with `code` in it, as HTML.
fn code(text: &str) -> String {
    let text = escape(text);
    let parts = text.split('`').enumerate();
    let shown = parts.map(|(index, part)| match index % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default().words("who").numbers("figure").words("");
        table.row(["memfd", "1,226", "a|b"]);
        table.row(["<x>", "7"]);
        table
    }

    #[test]
    fn a_terminal_sees_columns() {
        assert_eq!(
            table().text("  "),
            "  who    figure\n  memfd   1,226  a|b\n  <x>         7\n"
        );
        let mut bare = Table::default().words("").numbers("");
        bare.row(["a", "1"]);
        assert_eq!(bare.text(""), "a  1\n");
    }

    #[test]
    fn markdown_escapes_its_bars() {
        assert_eq!(
            table().markdown(),
            "| who | figure |  |\n| --- | ---: | --- |\n| memfd | 1,226 | a\\|b |\n| <x> | 7 |  |\n"
        );
    }

    #[test]
    fn html_escapes_its_brackets() {
        let html = table().html();
        assert!(
            html.contains("<td>&lt;x&gt;</td><td class=\"n\">7</td><td></td>"),
            "{html}"
        );
    }
}
