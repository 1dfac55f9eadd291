//! The four tables, as ports by use: [`ReadStore`] reads items by key, [`ScanStore`] also page by
//! page, [`ExpiryIndex`] finds holds past their end, [`CommitStore`] applies transactions,
//! [`AttemptStore`] keeps the attempts at a message, and [`LeaseStore`] who shares a task. An adapter
//! implements all of them, and is a [`Store`]; a caller takes only the ports it needs.

mod attempts;
mod commit;
mod expiry;
mod forward;
mod leases;
mod ledger;
mod outcomes;
mod read;
mod scan;

pub use self::{
    attempts::{Attempt, AttemptStore},
    commit::{
        Check, CommitError, CommitStore, Consumed, Expected, TRANSACTION_BYTES_MAX,
        TRANSACTION_ITEMS_MAX, Transaction, Write,
    },
    expiry::{
        EXPIRY_SHARDS, Ended, ExpiredHold, ExpiredPage, ExpiryIndex, ExpiryQuery, expiry_shard,
    },
    leases::{Lease, LeaseStore, Leases},
    ledger::{LedgerKey, LedgerRecord},
    outcomes::OutcomeEditor,
    read::{LoadRequest, ReadSet, ReadStore},
    scan::{Page, PageCursor, Record, ScanStore},
};

/// The four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Numbered seats.
    Seats,
    /// Counted lines.
    Stock,
    /// Reservations.
    Reservations,
    /// Outcomes, chunked restocks' intents and markers, attempts, leases.
    Ledger,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Seats, Self::Stock, Self::Reservations, Self::Ledger];

    /// The table's name in metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seats => "seats",
            Self::Stock => "stock",
            Self::Reservations => "reservations",
            Self::Ledger => "ledger",
        }
    }
}

/// Every port of the tables: implemented by adapters, and passed on in parts by the wiring.
pub trait Store: ScanStore + ExpiryIndex + CommitStore + AttemptStore + LeaseStore {}

impl<T: ScanStore + ExpiryIndex + CommitStore + AttemptStore + LeaseStore> Store for T {}
