//! The contract of reserve.

use std::collections::BTreeSet;

use super::{Case, Violation};
use crate::checks::ensure;
use inventory_worker::domain::{
    Rejection, RejectionCode, Reservation, ReservationStatus, Reserve, Seat, SeatState, Timestamp,
};

/// The contract: a hold is 600 seconds unless the command says otherwise.
const HOLD_SECONDS: u32 = 600;

fn is_free(seat: Option<&Seat>, now: Timestamp) -> bool {
    seat.is_some_and(|seat| match &seat.occupancy {
        SeatState::Available => true,
        SeatState::Reserved { until, .. } => *until <= now,
        SeatState::Booked { .. } | SeatState::Blocked => false,
    })
}

impl Case<'_> {
    fn is_within_limits(&self, reserve: &Reserve) -> bool {
        reserve.seats.len() + reserve.lines.len() <= self.limits.reserve_entries_max
            && reserve.hold_seconds.is_none_or(|hold| hold <= self.limits.hold_seconds_max)
    }

    /// The end of the hold, rounded up to the second.
    fn hold_end(&self, reserve: &Reserve) -> Timestamp {
        let hold = reserve.hold_seconds.unwrap_or(HOLD_SECONDS.min(self.limits.hold_seconds_max));
        let end_ms = self.decided_at.as_millisecond() + i64::from(hold) * 1_000;
        let rounded_s = end_ms.div_euclid(1_000) + i64::from(end_ms.rem_euclid(1_000) > 0);
        Timestamp::from_second(rounded_s).unwrap_or(Timestamp::MAX)
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
        let until = self.hold_end(reserve);
        for number in &reserve.seats {
            let key = self.seat_key(number)?;
            let seat = self.model.seats.last(&key);
            ensure(is_free(seat, self.decided_at), "oversold", || {
                format!("seat {number} was not free at {}: {seat:?}", self.decided_at)
            })?;
            let by = reserve.user_id.clone();
            self.put_seat(&key, |seat| {
                seat.occupancy = SeatState::Reserved { reservation_id: id, by, until };
            });
        }
        for request in &reserve.lines {
            let key = self.line_key(&request.sku);
            let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
            let line = self.model.lines.last(&key);
            ensure(line.is_some_and(|line| line.available >= quantity), "oversold", || {
                format!("{quantity} of {} were not there: {line:?}", request.sku)
            })?;
            self.put_line(&key, |line| {
                line.available -= quantity;
                line.reserved += quantity;
            });
        }
        let next = Reservation {
            reservation_id: id,
            pool: self.command.pool.clone(),
            user_id: reserve.user_id.clone(),
            status: ReservationStatus::Active,
            version: 1,
            seats: reserve.seats.clone(),
            lines: reserve.lines.clone(),
            booking_id: None,
            created_at: self.decided_at,
            expires_at: until,
            ended_at: None,
        };
        self.put_reservation(next, shown)
    }

    pub(super) fn reserve_rejected(
        &mut self,
        reserve: &Reserve,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let within = self.is_within_limits(reserve);
        if rejection.code == RejectionCode::LimitExceeded {
            return self.rejection(!within, rejection);
        }
        let id = reserve.reservation_id;
        if rejection.code == RejectionCode::ReservationExists {
            return self.rejection(within && self.reservation(id, |it| it.is_some()), rejection);
        }
        let now = self.decided_at;
        let named: BTreeSet<_> = rejection.seats.iter().collect();
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        let mut holds = within && names_any && self.reservation(id, |it| it.is_none());
        for number in &reserve.seats {
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
        for request in &reserve.lines {
            let key = self.line_key(&request.sku);
            let named = rejection.lines.iter().find(|line| line.sku == request.sku);
            let wanted = i64::try_from(request.quantity).unwrap_or(i64::MAX);
            let is_asked = named.is_none_or(|line| line.requested == request.quantity);
            let stated = named.map(|line| line.available);
            holds &= is_asked
                && match rejection.code {
                    RejectionCode::SeatNotFound => true,
                    RejectionCode::SkuNotFound => {
                        self.line(&key, |it| it.is_none() == named.is_some())
                    }
                    RejectionCode::SeatsUnavailable => self.line(&key, |it| it.is_some()),
                    RejectionCode::InsufficientStock => self.line(&key, |it| match stated {
                        Some(stated) => {
                            it.is_some_and(|line| line.available == stated && stated < wanted)
                        }
                        None => it.is_some_and(|line| line.available >= wanted),
                    }),
                    _ => false,
                };
        }
        let asked = rejection.seats.iter().all(|seat| reserve.seats.contains(seat))
            && (rejection.lines.iter())
                .all(|line| reserve.lines.iter().any(|asked| asked.sku == line.sku));
        self.rejection(holds && asked, rejection)
    }
}
