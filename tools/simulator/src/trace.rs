//! What happened, line by line: a hash of it always, the text when asked.

use std::fmt::{self, Write};

use tokio::time::Instant;

/// The trace of one history. Two runs of one seed have the same, byte for byte.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    hash: u64,
    lines: u64,
    text: Option<String>,
}

impl Trace {
    /// Nothing yet; simulated time counts from now.
    #[must_use]
    pub fn new(keeps_text: bool) -> Self {
        Self {
            start: Instant::now(),
            hash: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            text: keeps_text.then(String::new),
        }
    }

    /// Adds a line, under the simulated time in milliseconds.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let at_us = self.start.elapsed().as_micros();
        self.lines += 1;
        // Writing to a text or a hash cannot fail.
        let _ = writeln!(self, "{:>10}.{:03} {line}", at_us / 1_000, at_us % 1_000);
    }

    /// FNV-1a over every line.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines, where they were kept.
    #[must_use]
    pub fn into_text(self) -> Option<String> {
        self.text
    }
}

impl Write for Trace {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for byte in part.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(text) = &mut self.text {
            text.push_str(part);
        }
        Ok(())
    }
}
