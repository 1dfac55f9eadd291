//! Writing for people: aligned tables, and colour on a terminal only.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

/// Where a command writes.
pub struct Output {
    writer: Mutex<Box<dyn Write + Send>>,
    is_terminal: bool,
    coloured: bool,
}

impl Output {
    /// The process's stdout.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(Box::new(io::stdout()), io::stdout().is_terminal())
    }

    /// The process's stderr.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(Box::new(io::stderr()), io::stderr().is_terminal())
    }

    fn of(writer: Box<dyn Write + Send>, is_terminal: bool) -> Self {
        // https://no-color.org: any text but the empty one.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { writer: Mutex::new(writer), is_terminal, coloured: is_terminal && !no_color }
    }

    /// An output kept in memory, without colour, and where to read it.
    #[must_use]
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        let writer = Mutex::new(Box::new(captured.clone()) as Box<dyn Write + Send>);
        (Self { writer, is_terminal: false, coloured: false }, captured)
    }

    /// Whether a person watches: progress may be drawn.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether colour may be used.
    #[must_use]
    pub fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// How to mark what is written here.
    #[must_use]
    pub fn style(&self) -> Style {
        Style { coloured: self.coloured }
    }

    /// Writes a text as it is.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; the reader of a pipe may be gone.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }

    /// Writes a text and ends the line.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    ///
    /// As [`Output::write`], or where the value has no JSON.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// Writes a table.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn table(&self, table: &Table) -> io::Result<()> {
        self.write(&table.render(self.style()))
    }
}

/// What was written to an output kept in memory.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Marks text, where colour may be used.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// Something went well: green.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.mark("32", text)
    }

    /// Something is worth a look: yellow.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.mark("33", text)
    }

    /// Something is wrong: red, bold.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.mark("1;31", text)
    }

    /// A heading: bold.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.mark("1", text)
    }

    /// Less important: dim.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.mark("2", text)
    }

    fn mark(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A table with aligned columns: texts to the left, numbers to the right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; what goes beyond the head is left out, what is missing is empty.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.to_string())).collect());
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn render(&self, style: Style) -> String {
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

/// Terminal columns, near enough for what is shown here: one a character.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// What came from a message must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
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
        assert_eq!(table.render(Style { coloured: false }), expected);
    }

    #[test]
    fn colour_is_for_terminals() {
        assert_eq!(Style { coloured: false }.bad("no"), "no");
        assert_eq!(Style { coloured: true }.bad("no"), "\u{1b}[1;31mno\u{1b}[0m");
    }

    #[test]
    fn a_value_cannot_steer_the_terminal() {
        let mut table = Table::new(&["user"]);
        table.row(["\u{1b}[2Jgone"]);
        assert!(!table.render(Style { coloured: false }).contains('\u{1b}'));
    }

    #[test]
    fn a_short_row_is_filled_up() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1"]);
        assert_eq!(table.render(Style { coloured: false }), "a  b\n1\n");
    }
}
