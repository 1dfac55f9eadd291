//! Reads a file row by row: JSON Lines or CSV, whichever its first line is.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{
    fields::{self, Fields},
    row::{Row, RowError},
};
use crate::domain::PoolId;

/// The longest line, bytes: with its number of seats and lines, the longest row is far shorter.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of its line, from 1.
    pub line: u64,
}

/// A row with its place, or what is wrong with it.
pub type ReadRow = (Place, Result<Row, RowError>);

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It can be read once only, or is a directory.
    #[error("expected a regular file: an import reads it twice, first to check it")]
    NotRegular,
    /// A column that no row has, or a column twice.
    #[error("line 1: {0}")]
    Header(RowError),
}

/// The rows of a file, read one at a time.
pub struct Rows {
    input: BufReader<File>,
    pool: Option<PoolId>,
    digest: Sha256,
    buffer: Vec<u8>,
    line: u64,
    bytes: u64,
    /// The columns of a CSV; `None` for JSON Lines, and before the first line.
    columns: Option<Vec<&'static str>>,
    has_begun: bool,
}

impl Rows {
    /// Opens a file. `pool` is that of rows that name none.
    ///
    /// # Errors
    ///
    /// It is no regular file, or cannot be opened.
    pub fn open(path: &Path, pool: Option<PoolId>) -> Result<Self, FileError> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(FileError::NotRegular);
        }
        Ok(Self {
            input: BufReader::with_capacity(256 * 1024, file),
            pool,
            digest: Sha256::new(),
            buffer: Vec::new(),
            line: 0,
            bytes: 0,
            columns: None,
            has_begun: false,
        })
    }

    /// The size of the file, bytes.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.input.get_ref().metadata()?.len())
    }

    /// How much of the file was read, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of what was read: of the whole file once there is no further row.
    #[must_use]
    pub fn digest(self) -> [u8; 32] {
        self.digest.finalize().into()
    }

    /// The next row, or what is wrong with it; `None` at the end.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its first line has columns that no row has.
    pub fn next_row(&mut self) -> Result<Option<ReadRow>, FileError> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            let line = std::mem::take(&mut self.buffer);
            let row = self.row(&line);
            self.buffer = line;
            if let Some(row) = row? {
                return Ok(Some((Place { line: self.line }, row)));
            }
        }
    }

    /// Reads a line, without its end; `false` at the end of the file. Of a line that is too long,
    /// only the beginning is kept.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX + 1);
        if limited.read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(false);
        }
        self.count();
        if !self.buffer.ends_with(b"\n") && self.is_too_long() {
            self.skip_rest()?;
        }
        while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        self.line += 1;
        Ok(true)
    }

    fn is_too_long(&self) -> bool {
        u64::try_from(self.buffer.len()).unwrap_or(u64::MAX) > LINE_BYTES_MAX
    }

    fn count(&mut self) {
        self.digest.update(&self.buffer);
        self.bytes += u64::try_from(self.buffer.len()).unwrap_or_default();
    }

    /// Reads past the end of a line that is too long.
    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let found = self.input.fill_buf()?;
            let end = found.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
            let used = end.unwrap_or(found.len());
            self.digest.update(found.get(..used).unwrap_or_default());
            self.bytes += u64::try_from(used).unwrap_or_default();
            self.input.consume(used);
            if end.is_some() || used == 0 {
                return Ok(());
            }
        }
    }

    /// The row of a line; `None` for a blank line, and for a CSV's header.
    fn row(&mut self, line: &[u8]) -> Result<Option<Result<Row, RowError>>, FileError> {
        if u64::try_from(line.len()).unwrap_or(u64::MAX) > LINE_BYTES_MAX {
            let expected = format!("a line of at most {LINE_BYTES_MAX} bytes");
            return Ok(Some(Err(RowError::new("row", expected))));
        }
        let Ok(text) = str::from_utf8(line) else {
            return Ok(Some(Err(RowError::new("row", "text in UTF-8: save the file so"))));
        };
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        if text.trim().is_empty() {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.has_begun, true) && !text.trim_start().starts_with('{') {
            self.columns = Some(columns(text).map_err(FileError::Header)?);
            return Ok(None);
        }
        let fields = match &self.columns {
            None => Fields::of_json(text),
            Some(columns) => cells(text).and_then(|cells| match cells.len() == columns.len() {
                true => {
                    Fields::of_cells(columns.iter().copied().zip(cells.iter().map(String::as_str)))
                }
                false => {
                    let (expected, found) = (columns.len(), cells.len());
                    let what = format!("{expected} cells as in line 1, there are {found}");
                    Err(RowError::new("row", what))
                }
            }),
        };
        Ok(Some(fields.and_then(|fields| fields.row(self.pool.as_ref()))))
    }
}

/// The columns that a CSV's first line names.
fn columns(header: &str) -> Result<Vec<&'static str>, RowError> {
    let mut columns = Vec::new();
    for name in cells(header)? {
        let name = fields::known(name.trim()).ok_or_else(fields::unknown_field)?;
        if columns.contains(&name) {
            return Err(RowError::new(name, "each column once"));
        }
        columns.push(name);
    }
    Ok(columns)
}

/// The cells of a line of CSV (RFC 4180). No field may hold a line break, so a row is one line.
pub(super) fn cells(line: &str) -> Result<Vec<String>, RowError> {
    let wrong = |what| Err(RowError::new("row", what));
    let (mut cells, mut rest) = (Vec::new(), line);
    loop {
        let mut cell = String::new();
        match rest.strip_prefix('"') {
            None => {
                let (plain, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if plain.contains('"') {
                    return wrong("quotes around a whole cell, and twice within one");
                }
                cell.push_str(plain);
                rest = after;
            }
            Some(quoted) => {
                rest = quoted;
                loop {
                    let Some((part, after)) = rest.split_once('"') else {
                        return wrong("a quote at the end of a cell that begins with one");
                    };
                    cell.push_str(part);
                    rest = after;
                    match rest.strip_prefix('"') {
                        Some(after) => {
                            cell.push('"');
                            rest = after;
                        }
                        None => break,
                    }
                }
            }
        }
        cells.push(cell);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(cells),
            None => return wrong("a comma or the end of the line after a quoted cell"),
        }
    }
}
