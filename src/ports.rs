//! What the worker needs of the world, in its own words.
//!
//! Each port is one small trait; its methods state the contract that every adapter keeps, and
//! `tests/contract` holds every adapter to it, in memory and real. No AWS or Redis type appears
//! here. A call reports what happened and decides nothing: retrying is the caller's business,
//! except for what the client library repeats by itself (transport faults and throttling).

pub mod clock;
pub mod error;
pub mod locks;
pub mod publisher;
pub mod queue;
pub mod store;

pub use clock::{Clock, Entropy};
pub use error::{BatchAnswer, EntryError, PortError};
pub use locks::Locks;
pub use publisher::{Publication, Publisher};
pub use queue::{
    Backlog, Delivery, OutgoingMessage, Queue, QueueLimits, ReceiptHandle, ReceiveRequest,
};
pub use store::{
    Attempt, AttemptStore, Check, CommitError, CommitStore, Consumed, Ended, Expected, ExpiredHold,
    ExpiredPage, ExpiryIndex, ExpiryQuery, LedgerKey, LedgerRecord, LoadRequest, Page, PageCursor,
    ReadSet, ReadStore, Record, ScanStore, Store, Table, Transaction, Write,
};
