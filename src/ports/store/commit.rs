//! Conditional transactions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::{LedgerKey, LedgerRecord, Table};
use crate::{
    domain::{
        CommandKey, LineKey, Reservation, ReservationId, Seat, SeatKey, StockLevel, Timestamp,
    },
    ports::PortError,
};

/// DynamoDB: "up to 100 distinct items" in one TransactWriteItems.
pub const TRANSACTION_ITEMS_MAX: usize = 100;

/// DynamoDB: "The aggregate size of the items in the transaction cannot exceed 4 MB".
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The condition on an item under which a transaction is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// It does not exist. A reservation or ledger entry past its [retention](crate::retention)
    /// counts as absent, deleted or not: the new item replaces it, and begins at its own first
    /// version.
    Absent,
    /// It exists in this version.
    Version(u64),
}

/// One whole item to write, under a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// A seat.
    Seat {
        /// The seat's key.
        key: SeatKey,
        /// The condition on the stored item.
        expected: Expected,
        /// The new item.
        seat: Seat,
    },
    /// A line.
    Line {
        /// The line's pool and SKU.
        key: LineKey,
        /// The condition on the stored item.
        expected: Expected,
        /// The new item.
        line: StockLevel,
    },
    /// A reservation, which contains its key. The adapter keeps it in the expiry index while
    /// ACTIVE, and sets the time to live ([retention](crate::retention)) from its end if it was
    /// released.
    Reservation {
        /// The condition on the stored item.
        expected: Expected,
        /// The new item.
        reservation: Reservation,
    },
    /// A new ledger entry: it must be [`Expected::Absent`]. A chunk's marker also replaces one of
    /// an earlier intent, which is unrelated to this intent.
    Ledger {
        /// The entry's key.
        key: LedgerKey,
        /// The entry. The adapter sets the time to live ([retention](crate::retention)) from
        /// `decided_at`.
        record: LedgerRecord,
    },
    /// The outcome that replaces an intent: the entry must be that intent, with the same digest.
    LedgerOverIntent {
        /// The command of both.
        key: CommandKey,
        /// When the intent began.
        begun_at: Timestamp,
        /// The outcome.
        record: LedgerRecord,
    },
}

/// A condition on an item that is not written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The reservation still exists in this version.
    Reservation {
        /// The reservation's id.
        reservation_id: ReservationId,
        /// The condition.
        expected: Expected,
    },
    /// The seat still exists in this version, or is still absent.
    Seat {
        /// The seat's key.
        key: SeatKey,
        /// The condition.
        expected: Expected,
    },
    /// The line still exists in this version, or is still absent.
    Line {
        /// The line's key.
        key: LineKey,
        /// The condition.
        expected: Expected,
    },
}

/// Writes that are applied together or not at all. Distinct items, including the checks at most
/// [`TRANSACTION_ITEMS_MAX`], and at most [`TRANSACTION_BYTES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// The items to write.
    pub writes: Vec<Write>,
    /// Conditions on other items.
    pub checks: Vec<Check>,
}

/// The write units a call consumed, as reported by the store; empty if it does not report them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consumed {
    /// Units by table.
    pub write_units: BTreeMap<Table, f64>,
}

/// The errors of a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold, or another transaction was in progress on the same item. Nothing
    /// was applied: load again and decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The store will never accept this request. Nothing was applied.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The store is unavailable. On [`PortError::Unavailable`] the transaction may have been
    /// applied.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Applies transactions.
#[async_trait]
pub trait CommitStore: Send + Sync {
    /// Applies a transaction entirely, or not at all. `token` makes repetitions of this call
    /// idempotent inside the client library; a caller passes a fresh one for each attempt.
    ///
    /// A single write without checks may be sent without the token, as its condition guards it: if
    /// its answer was lost, the repetition may report a conflict with the write's own first
    /// sending. Loading again shows it applied.
    async fn commit(&self, transaction: &Transaction, token: Uuid)
    -> Result<Consumed, CommitError>;

    /// Whether the tables may be written: a write to each that its condition always prevents. It
    /// changes nothing. A store without permissions or limits need not ask.
    async fn check_writes(&self) -> Result<(), PortError> {
        Ok(())
    }
}
