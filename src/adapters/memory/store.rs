//! The tables in memory, with DynamoDB's transactions.

mod apply;
mod pages;
mod size;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use pages::PageRequest;

use super::after;
use crate::{
    domain::{
        CommandKey, LineKey, PoolId, Reservation, ReservationId, Seat, SeatKey, StockLevel,
        Timestamp,
    },
    ports::{
        Attempt, AttemptStore, Clock, CommitError, CommitStore, Consumed, ExpiredPage, ExpiryIndex,
        ExpiryQuery, Lease, LeaseStore, Leases, LedgerKey, LedgerRecord, LoadRequest,
        OutcomeEditor, Page, PageCursor, PortError, ReadSet, ReadStore, Record, ScanStore, Table,
        Transaction,
    },
    retention::is_past_retention,
};

/// DynamoDB: "A client request token is valid for 10 minutes after the first request that uses it
/// is completed."
const TOKEN_INTERVAL: Duration = Duration::from_secs(600);

/// Records per page unless [`MemoryStore::with_page_size`] sets another number.
const PAGE_RECORDS: usize = 1_000;

/// Shard, end of the hold, reservation.
pub type IndexEntry = (u32, Timestamp, ReservationId);

/// The tables, for tests, the simulation and the bench. Reads never tear and indexes never lag;
/// every conflict is a condition that did not hold.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    page_records: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Taken by pages of seats and lines so far.
    read_units: f64,
    tables: Tables,
    tokens: Tokens,
}

/// The contents of all tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Numbered seats.
    pub seats: BTreeMap<SeatKey, Seat>,
    /// Counted lines.
    pub lines: BTreeMap<LineKey, StockLevel>,
    /// Reservations.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    /// Outcomes, intents and markers.
    pub ledger: BTreeMap<LedgerKey, LedgerRecord>,
    /// Attempts by message id: their number, and the time of the last one.
    pub attempts: BTreeMap<String, (u32, Timestamp)>,
    /// Messages recorded as having a copy in the dead-letter queue, and since when.
    pub dead_letters: BTreeMap<String, Timestamp>,
    /// Leases by task.
    pub leases: BTreeMap<String, Leases>,
    /// ACTIVE reservations by shard and end.
    pub expiry_index: BTreeSet<IndexEntry>,
}

/// Transactions that were applied, by token, with a digest of their content.
#[derive(Default)]
struct Tokens {
    applied: BTreeMap<Uuid, u64>,
    oldest_first: VecDeque<(Timestamp, Uuid)>,
}

impl MemoryStore {
    /// Empty tables.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, page_records: PAGE_RECORDS, state: Mutex::default() }
    }

    /// The same store with `records` (at least one) per page.
    #[must_use]
    pub fn with_page_size(mut self, records: usize) -> Self {
        self.page_records = records.max(1);
        self
    }

    fn page<'a>(&self, from: Option<&'a PageCursor>) -> PageRequest<'a> {
        PageRequest { from, max: self.page_records }
    }

    /// Read units that pages of seats and lines have taken, as DynamoDB counts them.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.state().read_units
    }

    /// A copy of everything.
    #[must_use]
    pub fn snapshot(&self) -> Tables {
        self.state().tables.clone()
    }

    /// Shows the tables without copying them. The store waits meanwhile.
    pub fn inspect<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.state().tables)
    }

    /// Inserts records for set-up, replacing any that exist.
    pub fn insert(&self, records: impl IntoIterator<Item = Record>) {
        let mut state = self.state();
        let tables = &mut state.tables;
        for record in records {
            match record {
                Record::Seat(key, seat) => drop(tables.seats.insert(key, seat)),
                Record::Line(key, line) => drop(tables.lines.insert(key, line)),
                Record::Reservation(reservation) => tables.put_reservation(reservation),
                Record::Ledger(key, record) => drop(tables.ledger.insert(key, record)),
            }
        }
    }

    /// Drops what DynamoDB would delete by time to live: records past their retention. Runs only
    /// when called: until then they exist, and count as absent.
    pub fn expire_ttl(&self, now: Timestamp) {
        self.expire_ttl_where(now, || true);
    }

    /// Like [`Self::expire_ttl`], only for those items that `is_gone` selects, called once for each
    /// that is due: DynamoDB deletes late and in no order.
    pub fn expire_ttl_where(&self, now: Timestamp, mut is_gone: impl FnMut() -> bool) {
        let mut state = self.state();
        let tables = &mut state.tables;
        let mut is_kept = |from| !is_past_retention(from, now) || !is_gone();
        tables.ledger.retain(|_, record| is_kept(record.decided_at()));
        tables.attempts.retain(|_, (_, at)| is_kept(*at));
        tables.dead_letters.retain(|_, at| is_kept(*at));
        // No index holds a reservation that was given back.
        tables
            .reservations
            .retain(|_, reservation| !apply::is_reservation_past(reservation, now) || !is_gone());
    }

    /// A single write is a PutItem, as in the DynamoDB adapter: half the units, and no token.
    fn put_one(&self, transaction: &Transaction) -> Result<Consumed, CommitError> {
        let mut state = self.state();
        state.tables.check(transaction, self.clock.now())?;
        let consumed = size::consumed(&state.tables, transaction);
        state.tables.apply(transaction);
        Ok(consumed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    /// Whether the token's transaction was applied before; refuses a token of another transaction.
    fn is_repetition(
        &mut self,
        token: Uuid,
        digest: u64,
        now: Timestamp,
    ) -> Result<bool, CommitError> {
        while let Some((until, old)) = self.oldest_first.front() {
            if *until > now {
                break;
            }
            self.applied.remove(old);
            self.oldest_first.pop_front();
        }
        match self.applied.get(&token) {
            None => Ok(false),
            Some(applied) if *applied == digest => Ok(true),
            Some(_) => Err(CommitError::Invalid(
                "the token was used with another transaction (IdempotentParameterMismatch)"
                    .to_owned(),
            )),
        }
    }

    fn remember(&mut self, token: Uuid, digest: u64, now: Timestamp) {
        self.applied.insert(token, digest);
        self.oldest_first.push_back((after(now, TOKEN_INTERVAL), token));
    }
}

/// Whether it is a single write.
fn is_put(transaction: &Transaction) -> bool {
    transaction.writes.len() == 1 && transaction.checks.is_empty()
}

/// Equal for equal content, in every run of a build: the hasher's keys are fixed.
fn content_digest(transaction: &Transaction) -> u64 {
    let mut hasher = DefaultHasher::new();
    transaction.hash(&mut hasher);
    hasher.finish()
}

/// Every wanted key with its value, if any.
fn pick<K: Ord + Clone, V: Clone>(
    table: &BTreeMap<K, V>,
    keys: &BTreeSet<K>,
    counts: impl Fn(&V) -> bool,
) -> BTreeMap<K, Option<V>> {
    let found = |key| table.get(key).filter(|found| counts(found)).cloned();
    keys.iter().map(|key| (key.clone(), found(key))).collect()
}

#[async_trait]
impl ReadStore for MemoryStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let now = self.clock.now();
        let Tables { ledger, reservations, seats, lines, .. } = &self.state().tables;
        Ok(ReadSet {
            ledger: pick(ledger, &wanted.ledger, |record| {
                !is_past_retention(record.decided_at(), now)
            }),
            reservations: pick(reservations, &wanted.reservations, |reservation| {
                !apply::is_reservation_past(reservation, now)
            }),
            seats: pick(seats, &wanted.seats, |_| true),
            lines: pick(lines, &wanted.lines, |_| true),
        })
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ScanStore for MemoryStore {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        let now = self.clock.now();
        let mut page = self.state().tables.scan(table, self.page(from))?;
        page.records.retain(|record| match record {
            Record::Ledger(_, record) => !is_past_retention(record.decided_at(), now),
            Record::Reservation(reservation) => !apply::is_reservation_past(reservation, now),
            Record::Seat(..) | Record::Line(..) => true,
        });
        Ok(page)
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        let mut state = self.state();
        let page = state.tables.seats_page(event_id, self.page(from).up_to(limit))?;
        state.read_units += size::read_units(&page.records);
        Ok(page)
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        let mut state = self.state();
        let page = state.tables.lines_page(pool, self.page(from).up_to(limit))?;
        state.read_units += size::read_units(&page.records);
        Ok(page)
    }
}

#[async_trait]
impl ExpiryIndex for MemoryStore {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        self.state().tables.expired_page(query)
    }
}

#[async_trait]
impl CommitStore for MemoryStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        if transaction.writes.is_empty() && transaction.checks.is_empty() {
            return Ok(Consumed::default());
        }
        apply::validate(transaction)?;
        if is_put(transaction) {
            return self.put_one(transaction);
        }
        let digest = content_digest(transaction);
        let now = self.clock.now();
        let mut state = self.state();
        if state.tokens.is_repetition(token, digest, now)? {
            // DynamoDB: a repetition consumes read units only.
            return Ok(Consumed::default());
        }
        state.tables.check(transaction, now)?;
        let consumed = size::consumed(&state.tables, transaction);
        state.tables.apply(transaction);
        state.tokens.remember(token, digest, now);
        Ok(consumed)
    }
}

#[async_trait]
impl OutcomeEditor for MemoryStore {
    async fn replace_outcome(
        &self,
        key: &CommandKey,
        record: &LedgerRecord,
    ) -> Result<(), CommitError> {
        if !matches!(record, LedgerRecord::Outcome { .. }) {
            return Err(CommitError::Invalid("the new record is no outcome".to_owned()));
        }
        let mut state = self.state();
        match state.tables.ledger.get_mut(&LedgerKey::Command(key.clone())) {
            Some(found @ LedgerRecord::Outcome { .. })
                if found.digest() == record.digest()
                    && found.decided_at() == record.decided_at() =>
            {
                *found = record.clone();
                Ok(())
            }
            _ => Err(CommitError::Conflict("the entry is not that outcome".to_owned())),
        }
    }
}

#[async_trait]
impl AttemptStore for MemoryStore {
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        let mut state = self.state();
        let (count, at) = state.tables.attempts.entry(message_id.to_owned()).or_insert((0, now));
        *count = count.saturating_add(1);
        Ok(Attempt { count: *count, before: std::mem::replace(at, now) })
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        if let Some((count, _)) = self.state().tables.attempts.get_mut(message_id) {
            *count = count.saturating_sub(1);
        }
        Ok(())
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        self.state().tables.dead_letters.insert(message_id.to_owned(), now);
        Ok(())
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        Ok(self.state().tables.dead_letters.contains_key(message_id))
    }
}

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        Ok(self.state().tables.leases.get(task).cloned().unwrap_or_default())
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        let mut state = self.state();
        let stored = state.tables.leases.entry(task.to_owned()).or_default();
        let is_current = stored.version == version;
        if is_current {
            *stored = Leases { version: version.saturating_add(1), held: held.to_vec() };
        }
        Ok(is_current)
    }
}
