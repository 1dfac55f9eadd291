//! Tables with aligned columns.

use std::fmt::Write as _;

use super::Style;

/// A table with aligned columns: texts to the left, numbers to the right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column headings.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the headings are dropped, missing ones are empty.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.to_string())).collect());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn render(&self, style: Style) -> String {
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let columns = 0..self.head.len();
        let widths: Vec<(usize, bool)> = columns
            .map(|column| {
                let all = self.rows.iter().map(|row| cell(row, column));
                let widest = all.clone().map(|text| width(&text)).max().unwrap_or(0);
                let numbers = !self.rows.is_empty() && all.clone().all(|text| is_number(&text));
                (widest.max(width(&cell(&self.head, column))), numbers)
            })
            .collect();
        let line = |row: &[String]| {
            let mut line = String::new();
            for (column, (wide, right)) in widths.iter().enumerate() {
                let text = cell(row, column);
                let gap = " ".repeat(wide.saturating_sub(width(&text)));
                let (before, after) =
                    if *right { (gap, String::new()) } else { (String::new(), gap) };
                let _ = write!(line, "{before}{text}{after}  ");
            }
            line.trim_end().to_owned()
        };
        let mut text = format!("{}\n", style.heading(&line(&self.head)));
        for row in &self.rows {
            let _ = writeln!(text, "{}", line(row));
        }
        text
    }
}

/// Terminal columns, approximately: one per character.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The text without control characters: a value from a message must not control the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["seat", "version"]);
        table.row(["A-1", "7"]);
        table.row(["Ränge-12", "1024"]);
        let expected = "seat      version\nA-1             7\nRänge-12     1024\n";
        assert_eq!(table.render(Style::new(false)), expected);
    }

    #[test]
    fn a_value_cannot_steer_the_terminal() {
        let mut table = Table::new(&["user"]);
        table.row(["\u{1b}[2Jgone"]);
        assert!(!table.render(Style::new(false)).contains('\u{1b}'));
    }

    #[test]
    fn a_short_row_is_filled_up() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1"]);
        assert_eq!(table.render(Style::new(false)), "a  b\n1\n");
    }
}
