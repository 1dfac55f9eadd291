//! Output for terminals: tables, progress, and colour on a terminal only.

pub mod progress;

mod style;
mod table;
mod words;

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

pub use style::Style;
pub use table::{Table, printable};
pub use words::{counted, wrapped};

/// The output of a command.
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
        // https://no-color.org: any non-empty value.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { writer: Mutex::new(writer), is_terminal, coloured: is_terminal && !no_color }
    }

    /// An output kept in memory, without colour, and a handle to read it.
    #[must_use]
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        let writer = Mutex::new(Box::new(captured.clone()) as Box<dyn Write + Send>);
        (Self { writer, is_terminal: false, coloured: false }, captured)
    }

    /// Whether the output is a terminal, where progress may be drawn.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether colour may be used.
    #[must_use]
    pub fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// The style for text written here.
    #[must_use]
    pub fn style(&self) -> Style {
        Style::new(self.coloured)
    }

    /// Writes a text unchanged.
    ///
    /// # Errors
    ///
    /// The text cannot be written; the reader of a pipe may be gone.
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
    /// As [`Output::write`], or the value cannot be written as JSON.
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

/// The text written to an output kept in memory.
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

/// The lines of a text that are wider than a terminal of 80 columns.
#[cfg(test)]
pub(crate) fn wider_than_80(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > 80).collect()
}
