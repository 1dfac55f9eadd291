//! Reads the tables until the id is nowhere in them.

use std::sync::Arc;

use tokio::time::sleep;

use crate::{
    domain::{CommandKey, Reservation, ReservationId, Seat, SeatKey, SeatState, UserId},
    ports::{
        Clock, CommitError, Entropy, Expected, LedgerKey, LedgerRecord, LoadRequest, OutcomeEditor,
        PortError, Record, Table, Transaction, Write,
    },
    retry::{Backoff, Policy},
};

/// The tables that name users, in the order in which they are read: outcomes after the reservations
/// that they name.
const TABLES: [Table; 3] = [Table::Reservations, Table::Seats, Table::Ledger];

/// The most passes over the tables: more are made only if commands that name the user go on being
/// decided.
const PASSES_MAX: u32 = 10;

/// The most items that cannot be read that are named.
const UNREADABLE_SHOWN_MAX: usize = 20;

/// Where the id was found: replaced, or in a dry run only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Reservations.
    pub reservations: u64,
    /// Seats: in a dry run, and otherwise those that were not replaced with their reservations.
    pub seats: u64,
    /// Outcomes in the ledger.
    pub outcomes: u64,
    /// Passes over the tables; the last one found nothing.
    pub passes: u32,
    /// Items that could not be read in the last pass, which may hold the id: the first of them.
    pub unreadable: Vec<String>,
}

impl Removed {
    /// All places where it was found.
    #[must_use]
    pub fn places(&self) -> u64 {
        self.reservations + self.seats + self.outcomes
    }
}

/// A removal that stopped. What was replaced stays so; another run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgetError {
    /// The tables cannot be read or written.
    #[error(transparent)]
    Port(#[from] PortError),
    /// An item was changed by others each time that it was to be written.
    #[error("an item of the table {0} is changed all the time; again")]
    Conflicts(&'static str),
    /// The store refused a write.
    #[error("refused: {0}")]
    Refused(String),
    /// Each pass found the id again.
    #[error(
        "commands that name the user are still decided: stop posting them, let the queues drain, \
         and again"
    )]
    StillWritten,
}

/// Called with a table, and the number of its items that were read.
pub type TableProgress<'a> = &'a mut (dyn FnMut(Table, u64) + Send);

/// The removal of one user's id.
pub struct Forgetting {
    /// The tables.
    pub store: Arc<dyn OutcomeEditor>,
    /// The time that changed seats carry.
    pub clock: Arc<dyn Clock>,
    /// Tokens and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// The id.
    pub user_id: UserId,
    /// Whether to count only, in one pass.
    pub is_dry: bool,
}

impl Forgetting {
    /// Replaces the id wherever the tables have it.
    ///
    /// # Errors
    ///
    /// [`ForgetError`].
    pub async fn run(&self, progress: TableProgress<'_>) -> Result<Removed, ForgetError> {
        let mut removed = Removed::default();
        while removed.passes < PASSES_MAX {
            let before = removed.places();
            removed.passes += 1;
            removed.unreadable.clear();
            for table in TABLES {
                self.read(table, &mut removed, progress).await?;
            }
            if self.is_dry || removed.places() == before {
                return Ok(removed);
            }
        }
        Err(ForgetError::StillWritten)
    }

    async fn read(
        &self,
        table: Table,
        removed: &mut Removed,
        progress: TableProgress<'_>,
    ) -> Result<(), ForgetError> {
        let (mut from, mut read) = (None, 0);
        loop {
            let page = self.store.scan(table, from.as_ref()).await?;
            read += u64::try_from(page.records.len()).unwrap_or_default();
            for record in page.records {
                self.see(record, removed).await?;
            }
            let room = UNREADABLE_SHOWN_MAX.saturating_sub(removed.unreadable.len());
            removed.unreadable.extend(page.unreadable.into_iter().take(room));
            progress(table, read);
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn see(&self, record: Record, removed: &mut Removed) -> Result<(), ForgetError> {
        match record {
            Record::Reservation(reservation) if reservation.user_id == self.user_id => {
                if self.is_dry || self.reservation(reservation.reservation_id).await? {
                    removed.reservations += 1;
                }
            }
            Record::Seat(key, seat) if self.holds(&seat) => {
                if self.is_dry || self.seat(&key).await? {
                    removed.seats += 1;
                }
            }
            Record::Ledger(LedgerKey::Command(key), LedgerRecord::Outcome { outcome, .. }) => {
                let named = outcome.reservation().filter(|named| named.user_id == self.user_id);
                let Some(named) = named else { return Ok(()) };
                if !self.is_dry {
                    // A reservation that was made since its table was read.
                    let made = self.reservation(named.reservation_id).await?;
                    removed.reservations += u64::from(made);
                }
                if self.is_dry || self.outcome(&key).await? {
                    removed.outcomes += 1;
                }
            }
            Record::Reservation(_) | Record::Seat(..) | Record::Line(..) | Record::Ledger(..) => {}
        }
        Ok(())
    }

    fn holds(&self, seat: &Seat) -> bool {
        match &seat.occupancy {
            SeatState::Reserved { by, .. } | SeatState::Booked { by, .. } => *by == self.user_id,
            SeatState::Available | SeatState::Blocked => false,
        }
    }

    /// Replaces the id in a reservation and on the seats that it holds, in one transaction. Returns
    /// whether the reservation had it.
    async fn reservation(&self, id: ReservationId) -> Result<bool, ForgetError> {
        let mut backoff = Policy::CONFLICT.start();
        loop {
            let wanted = LoadRequest { reservations: [id].into(), ..LoadRequest::default() };
            let found = self.store.load(&wanted).await?.reservations.remove(&id).flatten();
            let found = found.filter(|found| found.user_id == self.user_id);
            let Some(reservation) = found else { return Ok(false) };
            let mut writes = self.seats_of(&reservation).await?;
            writes.push(Write::Reservation {
                expected: Expected::Version(reservation.version),
                reservation: Reservation {
                    user_id: id.pseudonym(),
                    version: reservation.version.saturating_add(1),
                    ..reservation
                },
            });
            let transaction = Transaction { writes, checks: Vec::new() };
            let committed = self.store.commit(&transaction, self.entropy.uuid()).await;
            if self.is_written(committed.map(drop), &mut backoff, Table::Reservations).await? {
                return Ok(true);
            }
        }
    }

    /// The writes of the seats that a reservation holds: with the reservation itself they fit one
    /// transaction, as they did when it was made.
    async fn seats_of(&self, reservation: &Reservation) -> Result<Vec<Write>, ForgetError> {
        let Some(event_id) = reservation.pool.event_id() else { return Ok(Vec::new()) };
        let key = |number: &crate::domain::SeatNumber| SeatKey { event_id, number: number.clone() };
        let seats = reservation.seats.iter().map(key).collect();
        let loaded = self.store.load(&LoadRequest { seats, ..LoadRequest::default() }).await?;
        let id = reservation.reservation_id;
        let own = |seat: &Seat| seat.occupancy.reservation_id() == Some(id) && self.holds(seat);
        let held = loaded.seats.into_iter().filter_map(|(key, seat)| Some((key, seat?)));
        Ok(held.filter(|(_, seat)| own(seat)).map(|(key, seat)| self.replaced(key, seat)).collect())
    }

    /// The write of a seat with the pseudonym of the reservation that it belongs to.
    fn replaced(&self, key: SeatKey, mut seat: Seat) -> Write {
        let expected = Expected::Version(seat.version);
        seat.version = seat.version.saturating_add(1);
        seat.updated_at = self.clock.now();
        match &mut seat.occupancy {
            SeatState::Reserved { reservation_id, by, .. }
            | SeatState::Booked { reservation_id, by, .. } => *by = reservation_id.pseudonym(),
            SeatState::Available | SeatState::Blocked => {}
        }
        Write::Seat { key, expected, seat }
    }

    /// Replaces the id on a seat; first in its reservation, which takes the seat along.
    async fn seat(&self, key: &SeatKey) -> Result<bool, ForgetError> {
        let mut backoff = Policy::CONFLICT.start();
        loop {
            let wanted = LoadRequest { seats: [key.clone()].into(), ..LoadRequest::default() };
            let found = self.store.load(&wanted).await?.seats.remove(key).flatten();
            let Some(seat) = found.filter(|seat| self.holds(seat)) else { return Ok(false) };
            if let Some(id) = seat.occupancy.reservation_id()
                && self.reservation(id).await?
            {
                return Ok(true);
            }
            let writes = vec![self.replaced(key.clone(), seat)];
            let transaction = Transaction { writes, checks: Vec::new() };
            let committed = self.store.commit(&transaction, self.entropy.uuid()).await;
            if self.is_written(committed.map(drop), &mut backoff, Table::Seats).await? {
                return Ok(true);
            }
        }
    }

    /// Replaces the id in an outcome.
    async fn outcome(&self, key: &CommandKey) -> Result<bool, ForgetError> {
        let mut backoff = Policy::CONFLICT.start();
        let entry = LedgerKey::Command(key.clone());
        loop {
            let wanted = LoadRequest { ledger: [entry.clone()].into(), ..LoadRequest::default() };
            let found = self.store.load(&wanted).await?.ledger.remove(&entry).flatten();
            let Some(mut record) = found else { return Ok(false) };
            let LedgerRecord::Outcome { outcome, .. } = &mut record else { return Ok(false) };
            let named = outcome.reservation_mut().filter(|named| named.user_id == self.user_id);
            let Some(named) = named else { return Ok(false) };
            named.user_id = named.reservation_id.pseudonym();
            let written = self.store.replace_outcome(key, &record).await;
            if self.is_written(written, &mut backoff, Table::Ledger).await? {
                return Ok(true);
            }
        }
    }

    /// Whether a write took effect; `false` to read again, after a pause. A write whose answer was
    /// lost is read again too.
    async fn is_written(
        &self,
        written: Result<(), CommitError>,
        backoff: &mut Backoff,
        table: Table,
    ) -> Result<bool, ForgetError> {
        let error = match written {
            Ok(()) => return Ok(true),
            Err(CommitError::Invalid(what)) => return Err(ForgetError::Refused(what)),
            Err(CommitError::Port(error @ (PortError::Refused(_) | PortError::Unreadable(_)))) => {
                return Err(error.into());
            }
            Err(CommitError::Port(error)) => ForgetError::Port(error),
            Err(CommitError::Conflict(_)) => ForgetError::Conflicts(table.as_str()),
        };
        let delay = backoff.next_delay(&*self.entropy).ok_or(error)?;
        sleep(delay).await;
        Ok(false)
    }
}
