//! Checks at the end: the results against each other, and the tables against them.

use std::collections::BTreeMap;

use super::{Expectations, ExpectedSeat, TrackedReservation};
use crate::{
    demo::venue,
    domain::{
        LineKey, ReservationStatus, Seat, SeatNumber, SeatState, SeatStatus, StockLevel, Timestamp,
    },
    ports::{Page, PageCursor, PortError, Record, ScanStore, Table},
};

impl TrackedReservation {
    /// When another reservation may take its seats; `None` if they are sold.
    fn free_from(&self) -> Option<Timestamp> {
        match (self.was_confirmed, self.ended_at) {
            (true, ended_at) => ended_at,
            (false, Some(ended_at)) => Some(ended_at.min(self.latest.expires_at)),
            (false, None) => Some(self.latest.expires_at),
        }
    }
}

impl Expectations {
    /// Records contradictions: a command without its outcome, a hold that did not expire, a seat
    /// that two reservations had at the same time.
    pub fn close(&mut self) {
        let mut problems = Vec::new();
        for (key, command) in &self.commands {
            let (sent, answered) = (command.expected.len(), command.results.len());
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
                if free_from.is_none_or(|free_from| later.latest.created_at < free_from) {
                    problems.push(format!("seat {seat} was given to two at the same time"));
                }
            }
        }
        self.problems.append(&mut problems);
    }

    /// The reservations of each seat, in order.
    fn holders(&self) -> BTreeMap<&SeatNumber, Vec<&TrackedReservation>> {
        let mut holders: BTreeMap<&SeatNumber, Vec<&TrackedReservation>> = BTreeMap::new();
        for held in self.reservations.values().filter(|held| held.latest.pool.event_id().is_some())
        {
            for seat in &held.latest.seats {
                holders.entry(seat).or_default().push(held);
            }
        }
        for of_seat in holders.values_mut() {
            let end = |held: &TrackedReservation| held.ended_at.unwrap_or(Timestamp::MAX);
            of_seat.sort_by_key(|held| (held.latest.created_at, end(held)));
        }
        holders
    }

    /// Records every seat and line of the tables that differs from the results. Returns the number
    /// of seats by status.
    pub fn compare(&mut self, tables: Vec<Record>) -> BTreeMap<SeatStatus, u64> {
        let mut by_status = BTreeMap::new();
        let expected = self.seats();
        let mut lines = 0;
        for record in tables {
            match record {
                Record::Seat(key, seat) => {
                    *by_status.entry(seat.occupancy.status()).or_default() += 1;
                    self.compare_seat(&key.number, &seat, expected.get(&key.number).copied());
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
            self.problems.push(format!("the tables have {lines} lines, {expected} expected"));
        }
        by_status
    }

    fn compare_seat(&mut self, number: &SeatNumber, seat: &Seat, expected: Option<ExpectedSeat>) {
        let agrees = match (&seat.occupancy, expected) {
            (SeatState::Available, None) => number.as_str() != venue::BLOCKED,
            (SeatState::Blocked, None) => number.as_str() == venue::BLOCKED,
            (SeatState::Reserved { .. }, Some(ExpectedSeat::Held)) => true,
            (SeatState::Booked { reservation_id, .. }, Some(ExpectedSeat::Sold)) => {
                let owner = self.reservations.get(reservation_id);
                owner.is_some_and(|owner| {
                    owner.latest.status == ReservationStatus::Confirmed
                        && owner.latest.seats.contains(number)
                })
            }
            _ => false,
        };
        if !agrees {
            let status = seat.occupancy.status();
            self.problems.push(format!("seat {number} is {status}, expected {expected:?}"));
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
                "line {sku} has {} available and {} reserved, expected {} and {}",
                found.0, found.1, expected.0, expected.1
            ));
        }
    }
}

/// Every record of a table.
///
/// # Errors
///
/// The table cannot be read.
pub async fn read_all(store: &dyn ScanStore, table: Table) -> Result<Vec<Record>, PortError> {
    let mut records = Vec::new();
    let mut from: Option<PageCursor> = None;
    loop {
        let Page { records: page, next, .. } = store.scan(table, from.as_ref()).await?;
        records.extend(page);
        match next {
            Some(next) => from = Some(next),
            None => return Ok(records),
        }
    }
}
