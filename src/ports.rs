//! The worker's view of external services.
//!
//! Each port is one small trait; its methods state the contract that every adapter, in memory and
//! real, keeps and `tests/contract` checks. No AWS or Redis type appears here. A call reports the
//! result and decides nothing: retrying is up to the caller, except for transport faults and
//! throttling, which the client library retries itself.

pub mod activity;
pub mod clock;
pub mod error;
pub mod hints;
pub mod locks;
pub mod publisher;
pub mod queue;
pub mod snapshots;
pub mod store;

pub use activity::{ActivityBoard, WorkerTotals};
pub use clock::{Clock, Entropy, ProcessorTime};
pub use error::{BatchAnswer, EntryError, PortError};
pub use hints::{HintPublisher, HintSubscriber, HintSubscription};
pub use locks::Locks;
pub use publisher::{Publication, Publisher};
pub use queue::{
    Backlog, Delivery, OutgoingMessage, Queue, QueueLimits, ReceiptHandle, ReceiveRequest,
};
pub use snapshots::SnapshotStore;
pub use store::{
    Attempt, AttemptStore, Check, CommitError, CommitStore, Consumed, Ended, Expected, ExpiredHold,
    ExpiredPage, ExpiryIndex, ExpiryQuery, LedgerKey, LedgerRecord, LoadRequest, Page, PageCursor,
    ReadSet, ReadStore, Record, ScanStore, Store, Table, Transaction, Write,
};
