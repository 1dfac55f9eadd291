//! Pools in files: imported through the queue of restocks, and exported from the tables.
//!
//! ```text
//! file ─► Rows ─► Row ─► Chunks ─► Unit ─► Importer ─► queue        (workers ─► tables)
//! file ◄─ Writer ◄─ Row ◄─ export ◄───────────────────────────────────────────── tables
//! ```
//!
//! A row is a seat, a line or a reservation; JSON Lines and CSV have the same fields. Rows of a pool
//! keep their order: seats and lines become restocks, reservations become a reserve, and if they are
//! booked a confirm. All go to one queue in the pool's group, so that a reserve never comes before
//! the restock that makes its seats.
//!
//! The identity of a command is made of the file's content and of the rows in it. A repeated import
//! therefore posts the same commands, and what has an outcome in the ledger is not posted again: the
//! ledger is the only record of how far an import is.
//!
//! - `row`, `fields`: what a row is, and how its texts are read.
//! - `reader`, `writer`: the two formats.
//! - `chunks`: rows joined into commands.
//! - `import`: posts them.
//! - `export`: reads a pool from the tables.

mod chunks;
mod export;
mod fields;
mod import;
mod reader;
mod row;
mod writer;

pub use chunks::{Chunks, Identity, RowCounts, Unit, UnitCommand};
pub use export::{ExportSummary, export};
pub use import::{ImportError, ImportPorts, ImportSummary, Importer, RejectedCommand};
pub use reader::{FileError, Place, ReadRow, Rows};
pub use row::{ReservationRow, Row, RowError};
pub use writer::{FileFormat, NotWritable, Writer};

#[cfg(test)]
mod tests;
