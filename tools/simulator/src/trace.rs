//! The trace of a history: always a hash of its lines, and their text if requested.

use std::fmt::{self, Write};

use tokio::time::Instant;

use inventory_worker::ports::{LedgerKey, LedgerRecord, Transaction, Write as Item};

/// The trace of one history. Two runs of one seed produce the same trace, byte for byte.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    hash: u64,
    lines: u64,
    text: Option<String>,
}

impl Trace {
    /// An empty trace; simulated time counts from now.
    #[must_use]
    pub fn new(keeps_text: bool) -> Self {
        Self {
            start: Instant::now(),
            hash: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            text: keeps_text.then(String::new),
        }
    }

    /// Adds a line with the simulated time in milliseconds.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let at_us = self.start.elapsed().as_micros();
        self.lines += 1;
        // Writing to a string or a hash cannot fail.
        let _ = writeln!(self, "{:>10}.{:03} {line}", at_us / 1_000, at_us % 1_000);
    }

    /// FNV-1a over every line.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The number of lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines, if they were kept.
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

/// The writes of a transaction, as a trace shows them.
pub(super) struct Writes<'a>(pub(super) &'a Transaction);

impl fmt::Display for Writes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for write in &self.0.writes {
            match write {
                Item::Seat { key, seat, .. } => {
                    let (status, version) = (seat.occupancy.status(), seat.version);
                    write!(f, "{}:{}={status}.{version} ", key.event_id, key.number)?;
                }
                Item::Line { key, line, .. } => write!(
                    f,
                    "{}:{}={}+{}.{} ",
                    key.pool, key.sku, line.available, line.reserved, line.version
                )?,
                Item::Reservation { reservation, .. } => {
                    let (status, version) = (reservation.status.as_str(), reservation.version);
                    write!(f, "{}={status}.{version} ", reservation.reservation_id)?;
                }
                Item::Ledger { key: LedgerKey::Command(key), record }
                | Item::LedgerOverIntent { key, record, .. } => {
                    write!(f, "[{}: {}] ", key.id, record_name(record))?;
                }
                Item::Ledger { key: LedgerKey::Chunk(key, number), .. } => {
                    write!(f, "[{} chunk {number}] ", key.id)?;
                }
            }
        }
        Ok(())
    }
}

fn record_name(record: &LedgerRecord) -> &'static str {
    match record {
        LedgerRecord::Outcome { outcome, .. } => match outcome.rejection() {
            Some(rejection) => rejection.code.as_str(),
            None => outcome.result_type(),
        },
        LedgerRecord::Intent { .. } => "intent",
        LedgerRecord::Chunk { .. } => "chunk",
    }
}
