//! Packed entries: what changes in a sale.

use crate::{
    domain::{Seat, SeatState, SeatStatus, StockLevel, Timestamp},
    ports::hints::{LineHint, SeatHint},
};

/// Stands for "no end is known", which never comes.
const NO_END: i64 = i64::MAX;

/// Why a seat can or cannot be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// AVAILABLE.
    Available,
    /// RESERVED by a hold that runs, or that ran out on a withheld seat, which no reserve may take.
    Held,
    /// RESERVED by a hold that ran out: a reserve may take it.
    HoldEnded,
    /// BOOKED.
    Booked,
    /// BLOCKED.
    Blocked,
}

/// The state of a seat, without its owner. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatEntry {
    /// Its version.
    pub version: u64,
    until_ms: i64,
    /// Its status, as stored.
    pub status: SeatStatus,
    /// Whether it becomes BLOCKED when it is released.
    pub withheld: bool,
}

impl SeatEntry {
    /// An entry; `until` is the end of the hold of a RESERVED seat.
    #[must_use]
    pub fn new(version: u64, status: SeatStatus, until: Option<Timestamp>, withheld: bool) -> Self {
        let until = until.filter(|_| status == SeatStatus::Reserved);
        Self { version, until_ms: until.map_or(NO_END, milliseconds), status, withheld }
    }

    /// When its hold runs out, if it is RESERVED.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        (self.until_ms != NO_END).then(|| Timestamp::from_millisecond(self.until_ms).ok()).flatten()
    }

    /// Why it can or cannot be bought at `now`.
    #[must_use]
    pub fn reason_at(&self, now: Timestamp) -> Reason {
        match self.status {
            SeatStatus::Available if self.withheld => Reason::Blocked,
            SeatStatus::Available => Reason::Available,
            SeatStatus::Reserved if self.is_sellable_at(now) => Reason::HoldEnded,
            SeatStatus::Reserved => Reason::Held,
            SeatStatus::Booked => Reason::Booked,
            SeatStatus::Blocked => Reason::Blocked,
        }
    }

    /// The letter of its status in maps and streams: A, R, B, or X for BLOCKED.
    #[must_use]
    pub fn letter(&self) -> u8 {
        match self.status {
            SeatStatus::Available => b'A',
            SeatStatus::Reserved => b'R',
            SeatStatus::Booked => b'B',
            SeatStatus::Blocked => b'X',
        }
    }

    /// Whether a reserve may take it at `now`: the rule of [`Seat::is_available_at`]. Without
    /// branches: a map asks it of 20,000 seats, whose states follow no pattern.
    #[must_use]
    pub fn is_sellable_at(&self, now: Timestamp) -> bool {
        let is_withheld = self.withheld & !injected_bug!(ShowWithheld);
        !is_withheld & ((self.status == SeatStatus::Available) | self.has_ended_at(now))
    }

    /// When it becomes sellable without a write, if that is after `now`.
    #[must_use]
    pub fn sellable_after(&self, now: Timestamp) -> Option<Timestamp> {
        let lasts = self.until_ms > now.as_millisecond() && !self.withheld;
        lasts.then(|| self.until()).flatten()
    }

    /// Of a seat without a hold, never.
    fn has_ended_at(&self, now: Timestamp) -> bool {
        (self.until_ms <= now.as_millisecond()) & !injected_bug!(HoldForever)
    }
}

impl From<&Seat> for SeatEntry {
    fn from(seat: &Seat) -> Self {
        let until = match seat.occupancy {
            SeatState::Reserved { until, .. } => Some(until),
            SeatState::Available | SeatState::Booked { .. } | SeatState::Blocked => None,
        };
        Self::new(seat.version, seat.occupancy.status(), until, seat.withheld)
    }
}

/// Milliseconds since 1970, rounded up: a hold is never shown as shorter than it is.
fn milliseconds(at: Timestamp) -> i64 {
    let rest = at.as_nanosecond().rem_euclid(1_000_000);
    let floor = at.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(floor).unwrap_or(NO_END).saturating_add(i64::from(rest > 0))
}

/// The state of a line. `on_hand = available + reserved + committed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEntry {
    /// Its version.
    pub version: u64,
    /// May be sold; below zero after a shortfall.
    pub available: i64,
    /// Held by ACTIVE reservations.
    pub reserved: i64,
    /// Sold and still there.
    pub committed: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl LineEntry {
    /// The physical quantity.
    #[must_use]
    pub fn on_hand(&self) -> i64 {
        self.available.saturating_add(self.reserved).saturating_add(self.committed)
    }
}

impl From<&StockLevel> for LineEntry {
    fn from(line: &StockLevel) -> Self {
        let StockLevel { available, reserved, committed, version, updated_at, as_of: _ } = *line;
        Self { version, available, reserved, committed, updated_at }
    }
}

impl From<&LineHint> for LineEntry {
    fn from(line: &LineHint) -> Self {
        let &LineHint { available, reserved, committed, version, updated_at, sku: _ } = line;
        Self { version, available, reserved, committed, updated_at }
    }
}

impl From<&SeatHint> for SeatEntry {
    fn from(seat: &SeatHint) -> Self {
        Self::new(seat.version, seat.status, seat.until, seat.withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ReservationId, SeatDetails};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn states(until: Timestamp) -> [SeatState; 4] {
        let (reservation_id, by) = (ReservationId(uuid::Uuid::nil()), || "u".parse().unwrap());
        [
            SeatState::Available,
            SeatState::Reserved { reservation_id, by: by(), until },
            SeatState::Booked { reservation_id, by: by(), booking_id: "b".parse().unwrap() },
            SeatState::Blocked,
        ]
    }

    #[test]
    fn a_packed_seat_is_sellable_when_the_domain_says_so() {
        let until = at("2026-11-22T10:00:00Z");
        let instants = ["2026-11-22T09:59:59.999Z", "2026-11-22T10:00:00Z", "2027-01-01T00:00:00Z"];
        for occupancy in states(until) {
            for withheld in [false, true] {
                let details = SeatDetails::default();
                let occupancy = occupancy.clone();
                let (created_at, updated_at) = (until, until);
                let seat =
                    Seat { details, occupancy, withheld, version: 3, created_at, updated_at };
                let entry = SeatEntry::from(&seat);
                for now in instants.map(at) {
                    let expected = seat.is_available_at(now);
                    assert_eq!(entry.is_sellable_at(now), expected, "{seat:?} at {now}");
                    let reason = entry.reason_at(now);
                    let sells = matches!(reason, Reason::Available | Reason::HoldEnded);
                    assert_eq!(sells, expected, "{reason:?}: {seat:?} at {now}");
                    assert_eq!((entry.version, entry.status), (3, seat.occupancy.status()));
                }
            }
        }
    }

    #[test]
    fn a_hold_counts_until_its_end_and_on_a_withheld_seat_after_it() {
        let until = at("2026-11-22T10:00:00.0000001Z");
        let held = SeatEntry::new(1, SeatStatus::Reserved, Some(until), false);
        assert_eq!(held.until(), Some(at("2026-11-22T10:00:00.001Z")));
        assert_eq!(held.reason_at(until), Reason::Held);
        assert_eq!(held.reason_at(at("2026-11-22T10:00:00.001Z")), Reason::HoldEnded);
        let withheld = SeatEntry { withheld: true, ..held };
        assert_eq!(withheld.reason_at(Timestamp::MAX), Reason::Held);
        assert_eq!(withheld.sellable_after(Timestamp::MIN), None);
        let endless = SeatEntry::new(1, SeatStatus::Reserved, None, false);
        assert_eq!(endless.reason_at(Timestamp::MAX), Reason::Held);
    }

    #[test]
    fn an_entry_is_packed() {
        assert_eq!(size_of::<SeatEntry>(), 24);
    }
}
