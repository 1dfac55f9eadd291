//! The tables: strongly consistent reads and conditional transactions.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::SignedDuration;
use uuid::Uuid;

use super::PortError;
use crate::domain::{
    CommandKey, CommandType, Digest, LineKey, Outcome, PoolId, Reservation, ReservationId,
    RestockSummary, Seat, SeatKey, StockLevel, Timestamp, time,
};

/// DynamoDB: "up to 100 distinct items" in one TransactWriteItems.
pub const TRANSACTION_ITEMS_MAX: usize = 100;

/// DynamoDB: "The aggregate size of the items in the transaction cannot exceed 4 MB".
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a ledger entry is kept from when it was decided, and a reservation from when it was
/// given back: longer than a message can live through queue, dead-letter queue and a redrive.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(RETENTION_DAYS * 24);

/// [`RETENTION`] in days.
pub const RETENTION_DAYS: i64 = 90;

/// The second from which what is kept since `from` counts as absent, in seconds since 1970.
#[must_use]
pub fn expires_second(from: Timestamp) -> i64 {
    time::saturating_add(from, RETENTION).as_second()
}

/// Whether what is kept since `from` counts as absent.
#[must_use]
pub fn is_past_retention(from: Timestamp, now: Timestamp) -> bool {
    expires_second(from) <= now.as_second()
}

/// How many shards the index of expiries has. Fixed: a change would orphan what is indexed.
pub const EXPIRY_SHARDS: u32 = 16;

/// The shard of the expiry index that a reservation is in while it is ACTIVE.
#[must_use]
pub fn expiry_shard(id: ReservationId) -> u32 {
    // The last four bytes: random in UUIDv4 and v7, digest in v5.
    let [.., a, b, c, d] = id.0.into_bytes();
    u32::from_be_bytes([a, b, c, d]) % EXPIRY_SHARDS
}

/// The four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Numbered seats.
    Seats,
    /// Counted lines.
    Stock,
    /// Reservations.
    Reservations,
    /// Outcomes, chunked restocks' intents and markers, attempts.
    Ledger,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Seats, Self::Stock, Self::Reservations, Self::Ledger];

    /// The table's word in metrics and messages.
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

/// What an entry of the ledger is kept under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerKey {
    /// A command's outcome, or the intent of its chunked restock.
    Command(CommandKey),
    /// The marker of one chunk of a chunked restock.
    Chunk(CommandKey, u32),
}

/// What the ledger holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LedgerRecord {
    /// What a command came to, once and for ever.
    Outcome {
        /// What the command's content came to.
        digest: Digest,
        /// What kind of command it was.
        command_type: CommandType,
        /// The pool it named.
        pool: PoolId,
        /// What it came to.
        outcome: Outcome,
        /// When it was decided.
        decided_at: Timestamp,
    },
    /// A chunked restock has begun. Kept under [`LedgerKey::Command`] until the outcome takes its
    /// place.
    Intent {
        /// What the command's content came to.
        digest: Digest,
        /// The end (exclusive) of each chunk, counted over the seats and then the lines.
        chunk_ends: Vec<u32>,
        /// When it began: what tells this intent from an earlier one under the same key, which is
        /// [`RETENTION`] older.
        decided_at: Timestamp,
    },
    /// A chunk of a restock was applied.
    Chunk {
        /// What the command's content came to.
        digest: Digest,
        /// When the intent it belongs to began.
        begun_at: Timestamp,
        /// What the chunk did.
        summary: RestockSummary,
        /// When it was applied.
        decided_at: Timestamp,
    },
}

impl LedgerRecord {
    /// What the command's content came to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Outcome { digest, .. }
            | Self::Intent { digest, .. }
            | Self::Chunk { digest, .. } => *digest,
        }
    }

    /// Since when it is kept.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        match self {
            Self::Outcome { decided_at, .. }
            | Self::Intent { decided_at, .. }
            | Self::Chunk { decided_at, .. } => *decided_at,
        }
    }
}

/// What to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadRequest {
    /// Ledger entries.
    pub ledger: BTreeSet<LedgerKey>,
    /// Reservations.
    pub reservations: BTreeSet<ReservationId>,
    /// Seats.
    pub seats: BTreeSet<SeatKey>,
    /// Lines.
    pub lines: BTreeSet<LineKey>,
}

impl LoadRequest {
    /// How many items are wanted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ledger.len() + self.reservations.len() + self.seats.len() + self.lines.len()
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was loaded: every wanted key is there, `None` where the item does not exist, or is past its
/// [`RETENTION`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Ledger entries.
    pub ledger: BTreeMap<LedgerKey, Option<LedgerRecord>>,
    /// Reservations.
    pub reservations: BTreeMap<ReservationId, Option<Reservation>>,
    /// Seats.
    pub seats: BTreeMap<SeatKey, Option<Seat>>,
    /// Lines.
    pub lines: BTreeMap<LineKey, Option<StockLevel>>,
}

/// What an item must be like for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// It does not exist. A reservation or ledger entry past its [`RETENTION`] counts as absent,
    /// deleted or not: the new item takes its place, and begins in its own first version.
    Absent,
    /// It exists in this version.
    Version(u64),
}

/// One item to be written, as a whole, under a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// A seat.
    Seat {
        /// Which.
        key: SeatKey,
        /// How it must stand.
        expected: Expected,
        /// What it becomes.
        seat: Seat,
    },
    /// A line.
    Line {
        /// Which.
        key: LineKey,
        /// How it must stand.
        expected: Expected,
        /// What it becomes.
        line: StockLevel,
    },
    /// A reservation, which names itself. The adapter keeps it in the expiry index while ACTIVE,
    /// and sets the time to live ([`RETENTION`]) from its end where it was given back.
    Reservation {
        /// How it must stand.
        expected: Expected,
        /// What it becomes.
        reservation: Reservation,
    },
    /// A new ledger entry: it must be [`Expected::Absent`]. The marker of a chunk also takes the
    /// place of one of an earlier intent, which tells nothing of this one.
    Ledger {
        /// Which.
        key: LedgerKey,
        /// What it says. The adapter sets the time to live ([`RETENTION`]) from `decided_at`.
        record: LedgerRecord,
    },
    /// The outcome that takes an intent's place: the entry must be that intent, with the same
    /// digest.
    LedgerOverIntent {
        /// Whose.
        key: CommandKey,
        /// When the intent began.
        begun_at: Timestamp,
        /// What it says.
        record: LedgerRecord,
    },
}

/// A condition on an item that is not written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The reservation still stands in this version.
    Reservation {
        /// Which.
        reservation_id: ReservationId,
        /// How it must stand.
        expected: Expected,
    },
    /// The seat still stands in this version, or still does not exist.
    Seat {
        /// Which.
        key: SeatKey,
        /// How it must stand.
        expected: Expected,
    },
}

/// Writes that happen all together or not at all. Distinct items, at most
/// [`TRANSACTION_ITEMS_MAX`] with the checks and [`TRANSACTION_BYTES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// What is written.
    pub writes: Vec<Write>,
    /// What must hold besides.
    pub checks: Vec<Check>,
}

/// The write units a call consumed, as the store itself said; empty where it does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consumed {
    /// Units by table.
    pub write_units: BTreeMap<Table, f64>,
}

/// How a commit can fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold, or another transaction was at work on the same item. Nothing was
    /// applied: load again and decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The store will never take this request. Nothing was applied.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The store is unavailable. [`PortError::Unavailable`]: it may have been applied.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// An ACTIVE reservation past its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredHold {
    /// Which.
    pub reservation_id: ReservationId,
    /// Its pool.
    pub pool: PoolId,
    /// When it ran out.
    pub expires_at: Timestamp,
}

/// Which ends of holds are asked for, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// From then on.
    pub from: Timestamp,
    /// Up to then.
    pub until: Timestamp,
}

impl Ended {
    /// However long ago, up to then.
    #[must_use]
    pub fn by(until: Timestamp) -> Self {
        Self { from: Timestamp::MIN, until }
    }
}

/// Holds that ran out, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiredPage {
    /// The holds.
    pub holds: Vec<ExpiredHold>,
    /// Where to go on, under the same beginning; `None` where there are no more.
    pub next: Option<PageCursor>,
}

/// One item of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A seat.
    Seat(SeatKey, Seat),
    /// A line.
    Line(LineKey, StockLevel),
    /// A reservation.
    Reservation(Reservation),
    /// A ledger entry. Entries of attempts are left out.
    Ledger(LedgerKey, LedgerRecord),
}

/// Where a scan goes on. Opaque; made by the adapter that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor(pub String);

/// A page of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is on it.
    pub records: Vec<Record>,
    /// Where the next begins; `None` after the last.
    pub next: Option<PageCursor>,
}

/// An attempt at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The how many-th it is, of those that were not taken back.
    pub count: u32,
    /// When the one before was counted, taken back or not; of the first, when it was itself.
    pub before: Timestamp,
}

/// The tables.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads items with strong consistency. Every wanted key is in the answer or the call fails:
    /// a key that was not processed never counts as absent. No snapshot: items may be of
    /// different moments.
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError>;

    /// Applies a transaction whole, or not at all. `token` makes repetitions of this very call
    /// idempotent inside the client library; a caller takes a fresh one for each attempt.
    ///
    /// One write alone, without checks, may go without its token, for its condition guards it: when
    /// its answer was lost, the repetition may report a conflict with the write's own first
    /// sending. Loading again shows it in place.
    async fn commit(&self, transaction: &Transaction, token: Uuid)
    -> Result<Consumed, CommitError>;

    /// Counts one more attempt at a message. Atomic.
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError>;

    /// Takes back one attempt that ended in an unavailable dependency. When it was counted
    /// stays known.
    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError>;

    /// Notes that a copy of the message went to the dead letters. Kept as long as a count of
    /// attempts, 90 days.
    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError>;

    /// Whether a copy of the message was noted. Strongly consistent.
    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError>;

    /// ACTIVE reservations of an expiry shard with `expires_at` in the range, the oldest first, at
    /// most `limit`, from the beginning of the range or from where a page of the same beginning
    /// left off; what was given back meanwhile does not disturb the cursor. Eventually consistent:
    /// it may miss the newest and show what has just ended.
    async fn expired(
        &self,
        shard: u32,
        ended: Ended,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<ExpiredPage, PortError>;

    /// Reads a table page by page, for audits, without what is past its [`RETENTION`]. Strongly
    /// consistent item by item.
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError>;

    /// Every seat of an event, by seat number, page by page.
    async fn seats(&self, event_id: u64, from: Option<&PageCursor>) -> Result<Page, PortError>;

    /// Every line of a pool, by SKU, page by page.
    async fn lines(&self, pool: &PoolId, from: Option<&PageCursor>) -> Result<Page, PortError>;

    /// Whether the tables can be reached, cheaply, for readiness.
    async fn ping(&self) -> Result<(), PortError>;
}
