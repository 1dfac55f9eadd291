//! What must follow from the books, and how the tables must stand by them.

use std::collections::BTreeMap;

use super::{ExpectedSeat, Held, Tally};
use crate::{
    demo::theatre,
    domain::{LineKey, ReservationStatus, Seat, SeatNumber, SeatState, StockLevel, Timestamp},
    ports::{Page, PageCursor, PortError, Record, ScanStore, Table},
};

impl Held {
    /// From when on its seats may be someone else's; `None` while they are its own for good.
    fn free_from(&self) -> Option<Timestamp> {
        match (self.was_confirmed, self.ended_at) {
            (true, ended_at) => ended_at,
            (false, Some(ended_at)) => Some(ended_at.min(self.view.expires_at)),
            (false, None) => Some(self.view.expires_at),
        }
    }
}

impl Tally {
    /// Notes what does not follow: a command without its outcome, a hold that did not run out, a
    /// seat that two had at the same time.
    pub fn close(&mut self) {
        let mut problems = Vec::new();
        for (key, asked) in &self.asked {
            let (sent, answered) = (asked.expected.len(), asked.answers.len());
            if answered < sent {
                problems.push(format!("{key}: {answered} outcomes for {sent} commands"));
            }
        }
        for id in &self.running_out {
            if !self.has_expired(*id) {
                problems.push(format!("reservation {id} ran out and was not released"));
            }
        }
        for (seat, holders) in self.holders() {
            for pair in holders.windows(2) {
                let [earlier, later] = pair else { continue };
                let free_from = earlier.free_from();
                if free_from.is_none_or(|free_from| later.view.created_at < free_from) {
                    problems.push(format!("seat {seat} was given to two at the same time"));
                }
            }
        }
        self.problems.append(&mut problems);
    }

    /// Who had each seat, one after the other.
    fn holders(&self) -> BTreeMap<&SeatNumber, Vec<&Held>> {
        let mut holders: BTreeMap<&SeatNumber, Vec<&Held>> = BTreeMap::new();
        for held in self.reservations.values().filter(|held| held.pool.event_id().is_some()) {
            for seat in &held.view.seats {
                holders.entry(seat).or_default().push(held);
            }
        }
        for of_seat in holders.values_mut() {
            let end = |held: &Held| held.ended_at.unwrap_or(Timestamp::MAX);
            of_seat.sort_by_key(|held| (held.view.created_at, end(held)));
        }
        holders
    }

    /// Notes every seat and line of the tables that stands otherwise than by the books. Gives the
    /// number of seats by status.
    pub fn compare(&mut self, tables: Vec<Record>) -> BTreeMap<&'static str, u64> {
        let mut by_status = BTreeMap::new();
        let by_the_books = self.seats();
        let mut lines = 0;
        for record in tables {
            match record {
                Record::Seat(key, seat) => {
                    *by_status.entry(seat.occupancy.status()).or_default() += 1;
                    self.compare_seat(&key.number, &seat, by_the_books.get(&key.number).copied());
                }
                Record::Line(key, line) => {
                    lines += 1;
                    self.compare_line(&key, &line);
                }
                Record::Reservation(_) | Record::Ledger(..) => {}
            }
        }
        if lines != self.stock.len() {
            let expected = self.stock.len();
            self.problems.push(format!("the tables have {lines} lines, {expected} by the books"));
        }
        by_status
    }

    fn compare_seat(&mut self, number: &SeatNumber, seat: &Seat, booked: Option<ExpectedSeat>) {
        let agrees = match (&seat.occupancy, booked) {
            (SeatState::Available, None) => number.as_str() != theatre::BLOCKED,
            (SeatState::Blocked, None) => number.as_str() == theatre::BLOCKED,
            (SeatState::Reserved { .. }, Some(ExpectedSeat::Held)) => true,
            (SeatState::Booked { reservation_id, .. }, Some(ExpectedSeat::Sold)) => {
                let owner = self.reservations.get(&reservation_id.0);
                owner.is_some_and(|owner| {
                    owner.view.status == ReservationStatus::Confirmed
                        && owner.view.seats.contains(number)
                })
            }
            _ => false,
        };
        if !agrees {
            let status = seat.occupancy.status();
            self.problems.push(format!("seat {number} is {status}, by the books {booked:?}"));
        }
    }

    fn compare_line(&mut self, key: &LineKey, line: &StockLevel) {
        let (held, sold) = self.taken(key);
        let stocked = self.stock.get(key).copied().unwrap_or(0);
        let expected =
            (i128::from(stocked) - i128::from(held) - i128::from(sold), i128::from(held));
        let found = (i128::from(line.available), i128::from(line.reserved));
        if found != expected || found.0 < 0 {
            let sku = &key.sku;
            self.problems.push(format!(
                "line {sku} has {} available and {} reserved, by the books {} and {}",
                found.0, found.1, expected.0, expected.1
            ));
        }
    }
}

/// Everything in a table.
///
/// # Errors
///
/// Where it cannot be read.
pub async fn read_all(store: &dyn ScanStore, table: Table) -> Result<Vec<Record>, PortError> {
    let mut records = Vec::new();
    let mut from: Option<PageCursor> = None;
    loop {
        let Page { records: page, next } = store.scan(table, from.as_ref()).await?;
        records.extend(page);
        match next {
            Some(next) => from = Some(next),
            None => return Ok(records),
        }
    }
}
