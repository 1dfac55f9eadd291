//! The contract of reserve, and of what a modify takes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Violation, signed};
use crate::checks::ensure;
use inventory_worker::domain::{
    OrderLine, RejectedLine, Rejection, RejectionCode, Reservation, ReservationStatus, Reserve,
    Seat, SeatNumber, SeatState, Sku, Timestamp,
};

/// The contract: a hold is 600 seconds unless the command says otherwise.
const HOLD_SECONDS: u32 = 600;

/// Whether the seat is on sale: AVAILABLE, or held by a hold that has run out and not withheld.
pub(super) fn is_free(seat: Option<&Seat>, now: Timestamp) -> bool {
    seat.is_some_and(|seat| match &seat.occupancy {
        SeatState::Available => true,
        SeatState::Reserved { until, .. } => *until <= now && !seat.withheld,
        SeatState::Booked { .. } | SeatState::Blocked => false,
    })
}

/// The end of a hold that begins then, rounded up to the second.
pub(super) fn hold_end(from: Timestamp, hold_seconds: u32) -> Timestamp {
    let end_ms = from.as_millisecond() + i64::from(hold_seconds) * 1_000;
    let rounded_s = end_ms.div_euclid(1_000) + i64::from(end_ms.rem_euclid(1_000) > 0);
    Timestamp::from_second(rounded_s).unwrap_or(Timestamp::MAX)
}

/// The requested and the available quantity of each named line; `None` if the rejection names a
/// line by its version, or anything twice.
pub(super) fn quantities(rejection: &Rejection) -> Option<BTreeMap<&Sku, (i64, i64)>> {
    let mut named = BTreeMap::new();
    for line in &rejection.lines {
        let RejectedLine::Quantity { sku, requested, available } = line else { return None };
        if named.insert(sku, (*requested, *available)).is_some() {
            return None;
        }
    }
    let seats: BTreeSet<&SeatNumber> = rejection.seats.iter().collect();
    (seats.len() == rejection.seats.len()).then_some(named)
}

impl Case<'_> {
    fn is_within_limits(&self, reserve: &Reserve) -> bool {
        reserve.seats.len() + reserve.lines.len() <= self.limits.reserve_entries_max
            && reserve.hold_seconds.is_none_or(|hold| hold <= self.limits.hold_seconds_max)
    }

    pub(super) fn reserved(
        &mut self,
        reserve: &Reserve,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        ensure(self.is_within_limits(reserve), "outcome", || "beyond the limits".to_owned())?;
        let id = reserve.reservation_id;
        ensure(self.model.reservations.last(&id).is_none(), "outcome", || {
            format!("{id} was there already")
        })?;
        let hold = reserve.hold_seconds.unwrap_or(HOLD_SECONDS.min(self.limits.hold_seconds_max));
        let source = self.command.key.source.clone();
        self.model.makers.insert(id, source.clone());
        let next = Reservation {
            reservation_id: id,
            pool: self.command.pool.clone(),
            source,
            user_id: reserve.user_id.clone(),
            status: ReservationStatus::Active,
            version: 1,
            seats: reserve.seats.clone(),
            lines: reserve.lines.clone(),
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: self.decided_at,
            expires_at: hold_end(self.decided_at, hold),
            ended_at: None,
        };
        self.take(&next, &reserve.seats, &reserve.lines)?;
        self.put_reservation(next, shown)
    }

    /// Holds the seats and lines for the reservation.
    pub(super) fn take(
        &mut self,
        reservation: &Reservation,
        seats: &[SeatNumber],
        lines: &[OrderLine],
    ) -> Result<(), Violation> {
        let (reservation_id, until) = (reservation.reservation_id, reservation.expires_at);
        for number in seats {
            let key = self.seat_key(number)?;
            let seat = self.model.seats.last(&key);
            ensure(is_free(seat, self.decided_at), "oversold", || {
                format!("seat {number} was not free at {}: {seat:?}", self.decided_at)
            })?;
            let by = reservation.user_id.clone();
            self.put_seat(&key, |seat| {
                seat.occupancy = SeatState::Reserved { reservation_id, by, until };
            });
        }
        for request in lines {
            let key = self.line_key(&request.sku);
            let quantity = signed(request.quantity);
            let line = self.model.lines.last(&key);
            ensure(line.is_some_and(|line| line.available >= quantity), "oversold", || {
                format!("{quantity} of {} were not there: {line:?}", request.sku)
            })?;
            self.put_line(&key, |line| {
                line.available -= quantity;
                line.reserved += quantity;
            });
        }
        Ok(())
    }

    pub(super) fn reserve_rejected(
        &mut self,
        reserve: &Reserve,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let within = self.is_within_limits(reserve);
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        if rejection.code == RejectionCode::LimitExceeded {
            return self.rejection(!within && !names_any, rejection);
        }
        let id = reserve.reservation_id;
        if rejection.code == RejectionCode::ReservationExists {
            let exists = self.reservation(id, |it| it.is_some());
            return self.rejection(within && exists && !names_any, rejection);
        }
        let holds = within
            && self.reservation(id, |it| it.is_none())
            && self.is_not_taken(&reserve.seats, &reserve.lines, rejection)?;
        self.rejection(holds, rejection)
    }

    /// Whether the rejection names every seat and line that fails the check of its code, and each
    /// passed those before it.
    pub(super) fn is_not_taken(
        &self,
        seats: &[SeatNumber],
        lines: &[OrderLine],
        rejection: &Rejection,
    ) -> Result<bool, Violation> {
        let now = self.decided_at;
        let named: BTreeSet<_> = rejection.seats.iter().collect();
        let Some(named_lines) = quantities(rejection) else { return Ok(false) };
        let mut holds = !named.is_empty() || !named_lines.is_empty();
        for number in seats {
            let key = self.seat_key(number)?;
            let is_named = named.contains(number);
            holds &= match rejection.code {
                RejectionCode::SeatNotFound => self.seat(&key, |it| it.is_none() == is_named),
                RejectionCode::SkuNotFound => self.seat(&key, |it| it.is_some()),
                RejectionCode::SeatsUnavailable => {
                    self.seat(&key, |it| it.is_some() && is_free(it, now) != is_named)
                }
                RejectionCode::InsufficientStock => self.seat(&key, |it| is_free(it, now)),
                _ => false,
            };
        }
        for request in lines {
            let key = self.line_key(&request.sku);
            let named = named_lines.get(&request.sku);
            let wanted = signed(request.quantity);
            let is_asked = named.is_none_or(|(requested, _)| *requested == wanted);
            let stated = named.map(|(_, available)| *available);
            holds &= is_asked
                && match rejection.code {
                    RejectionCode::SeatNotFound => stated.is_none(),
                    RejectionCode::SkuNotFound => {
                        stated.is_none_or(|stated| stated == 0)
                            && self.line(&key, |it| it.is_none() == stated.is_some())
                    }
                    RejectionCode::SeatsUnavailable => {
                        stated.is_none() && self.line(&key, |it| it.is_some())
                    }
                    RejectionCode::InsufficientStock => self.line(&key, |it| match stated {
                        Some(stated) => {
                            it.is_some_and(|line| line.available == stated && stated < wanted)
                        }
                        None => it.is_some_and(|line| line.available >= wanted),
                    }),
                    _ => false,
                };
        }
        let asked = rejection.seats.iter().all(|seat| seats.contains(seat))
            && named_lines.keys().all(|sku| lines.iter().any(|asked| asked.sku == **sku));
        Ok(holds && asked)
    }
}
