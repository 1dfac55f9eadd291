//! Every version of every item, and the ledger.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use jiff::SignedDuration;

use super::listed::Listed;
use crate::profile::SKEW_MAX_MS;
use inventory_worker::{
    domain::{
        CommandKey, LineKey, Reservation, ReservationId, ReservationStatus, Seat, SeatKey, Source,
        StockLevel, Timestamp,
    },
    ports::{LedgerKey, LedgerRecord, Record},
};

/// When a ledger entry was decided.
pub(crate) fn decided_at(record: &LedgerRecord) -> Timestamp {
    match record {
        LedgerRecord::Outcome { decided_at, .. }
        | LedgerRecord::Intent { decided_at, .. }
        | LedgerRecord::Chunk { decided_at, .. } => *decided_at,
    }
}

/// When a reservation was given back. A late confirm of an EXPIRED one sells it after all.
fn ended_at(reservation: &Reservation) -> Option<Timestamp> {
    match reservation.status {
        ReservationStatus::Cancelled | ReservationStatus::Expired => reservation.ended_at,
        ReservationStatus::Active | ReservationStatus::Confirmed => None,
    }
}

/// A version of an item.
#[derive(Clone, Debug)]
struct Version<T> {
    /// When it was written.
    from: Timestamp,
    /// The command that wrote it; `None` for the initial version.
    by: Option<CommandKey>,
    item: T,
}

/// A state of an item, and when it was current.
pub(crate) struct State<'a, T> {
    pub(crate) from: Timestamp,
    /// When the next one was written.
    pub(crate) until: Timestamp,
    pub(crate) item: &'a T,
}

/// The versions of one item. Before the first, the item did not exist.
#[derive(Clone, Debug)]
struct Versions<T>(Vec<Version<T>>);

/// The earliest state that a command may have read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since<'a> {
    /// When the command was sent.
    pub(crate) at: Timestamp,
    /// The earlier commands of its group, whose changes it must see.
    pub(crate) after: &'a BTreeSet<CommandKey>,
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Versions<T> {
    fn last(&self) -> Option<&T> {
        self.0.last().map(|version| &version.item)
    }

    /// Whether the predicate held for any version of the item since then.
    fn ever_since(&self, since: Since<'_>, is_so: impl Fn(Option<&T>) -> bool) -> bool {
        let is_seen = |version: &Version<T>| {
            version.by.as_ref().is_some_and(|command| since.after.contains(command))
        };
        let first = self.0.iter().rposition(is_seen);
        let was_absent = self.0.first().is_none_or(|version| version.from >= since.at);
        if first.is_none() && was_absent && is_so(None) {
            return true;
        }
        let until =
            |index: usize| self.0.get(index + 1).map_or(Timestamp::MAX, |version| version.from);
        self.0
            .iter()
            .enumerate()
            .skip(first.unwrap_or(0))
            .any(|(index, version)| until(index) >= since.at && is_so(Some(&version.item)))
    }
}

/// A table by key.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, T>(BTreeMap<K, Versions<T>>);

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, T> Table<K, T> {
    pub(crate) fn last<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)?.last()
    }

    pub(crate) fn put(&mut self, key: &K, item: T, from: Timestamp, by: &CommandKey) {
        self.push(key, Version { from, by: Some(by.clone()), item });
    }

    /// Sets an initial item.
    fn set_up(&mut self, key: &K, item: T, from: Timestamp) {
        self.push(key, Version { from, by: None, item });
    }

    fn push(&mut self, key: &K, version: Version<T>) {
        if let Some(versions) = self.0.get_mut(key) {
            versions.0.push(version);
            return;
        }
        self.0.insert(key.clone(), Versions(vec![version]));
    }

    pub(crate) fn ever_since(
        &self,
        key: &K,
        since: Since<'_>,
        is_so: impl Fn(Option<&T>) -> bool,
    ) -> bool {
        match self.0.get(key) {
            Some(versions) => versions.ever_since(since, is_so),
            None => is_so(None),
        }
    }

    /// Forgets the items whose current version does not match.
    fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.0.retain(|_, versions| versions.last().is_none_or(&is_kept));
    }

    /// Every version of every item, with the command that wrote it; `None` for an initial one.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&K, Option<&CommandKey>, &T)> {
        self.0.iter().flat_map(|(key, versions)| {
            versions.0.iter().map(move |version| (key, version.by.as_ref(), &version.item))
        })
    }

    /// The keys of all items.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// The states of an item, first to last. Before the first, it did not exist.
    pub(crate) fn states(&self, key: &K) -> impl Iterator<Item = State<'_, T>> {
        let versions = self.0.get(key).map(|versions| versions.0.as_slice()).unwrap_or_default();
        let next = versions.iter().skip(1).map(|next| next.from);
        versions.iter().zip(next.chain([Timestamp::MAX])).map(|(version, until)| State {
            from: version.from,
            until,
            item: &version.item,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.0.iter().filter_map(|(key, versions)| Some((key, versions.last()?)))
    }
}

/// The state that the contract derives from the outcomes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) seats: Table<SeatKey, Seat>,
    pub(crate) lines: Table<LineKey, StockLevel>,
    pub(crate) reservations: Table<ReservationId, Reservation>,
    pub(crate) ledger: BTreeMap<LedgerKey, LedgerRecord>,
    /// The position of each command in the order of decisions.
    pub(crate) decided: BTreeMap<CommandKey, u64>,
    /// The seats and lines that each command changed, as its result must list them; `None` for a
    /// chunked restock, whose result lists none.
    pub(crate) changes: BTreeMap<CommandKey, Option<Vec<Listed>>>,
    /// Restocks that were applied in chunks.
    pub(crate) chunked: BTreeSet<CommandKey>,
    /// The source of the command that made each reservation.
    pub(crate) makers: BTreeMap<ReservationId, Source>,
    /// Each line's initial quantity plus its movements; `None` once it was set.
    pub(crate) on_hand: BTreeMap<LineKey, Option<i64>>,
    /// The clock error allowed beyond [`SKEW_MAX_MS`], milliseconds.
    more_skew_ms: i64,
    /// Entries decided, and reservations ended, by then are forgotten, even if the tables still
    /// have them.
    forgotten_until: Option<Timestamp>,
}

/// The contract: ledger entries and ended reservations are kept for 90 days.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Model {
    /// An empty model for workers with this maximum clock error, milliseconds.
    pub(crate) fn with_clocks_off_by(skew_ms: i64) -> Self {
        Self { more_skew_ms: skew_ms - SKEW_MAX_MS, ..Self::default() }
    }

    /// The largest difference between clocks.
    pub(crate) fn skew(&self) -> SignedDuration {
        SignedDuration::from_millis(SKEW_MAX_MS + self.more_skew_ms)
    }

    /// Forgets everything older than the retention.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.forgotten_until = Some(now - KEPT);
        let forgotten = self.forgotten_until;
        let is_kept = |at: Timestamp| forgotten.is_none_or(|until| at > until);
        self.ledger.retain(|_, record| is_kept(decided_at(record)));
        let ledger = &self.ledger;
        self.decided.retain(|key, _| ledger.contains_key(&LedgerKey::Command(key.clone())));
        self.changes.retain(|key, _| ledger.contains_key(&LedgerKey::Command(key.clone())));
        self.reservations.retain(|reservation| ended_at(reservation).is_none_or(is_kept));
    }

    /// Whether a ledger entry counts, even if the table still has it.
    pub(crate) fn counts(&self, record: &LedgerRecord) -> bool {
        self.is_kept(decided_at(record))
    }

    /// Whether a reservation counts, even if the table still has it.
    pub(crate) fn is_there(&self, reservation: &Reservation) -> bool {
        ended_at(reservation).is_none_or(|at| self.is_kept(at))
    }

    fn is_kept(&self, at: Timestamp) -> bool {
        self.forgotten_until.is_none_or(|until| at > until)
    }

    pub(crate) fn set_up(&mut self, record: &Record, at: Timestamp) {
        // Earlier than any command.
        let before = at - jiff::SignedDuration::from_secs(60);
        match record {
            Record::Seat(key, seat) => self.seats.set_up(key, seat.clone(), before),
            Record::Line(key, line) => {
                self.on_hand.insert(key.clone(), Some(line.on_hand()));
                self.lines.set_up(key, line.clone(), before);
            }
            Record::Reservation(reservation) => {
                let id = reservation.reservation_id;
                self.makers.insert(id, reservation.source.clone());
                self.reservations.set_up(&id, reservation.clone(), before);
            }
            Record::Ledger(key, record) => drop(self.ledger.insert(key.clone(), record.clone())),
        }
    }

    /// Records a movement of goods from an outcome.
    pub(crate) fn move_goods(&mut self, key: &LineKey, by: i64) {
        if let Some(on_hand) = self.on_hand.entry(key.clone()).or_insert(Some(0)) {
            *on_hand += by;
        }
    }
}
