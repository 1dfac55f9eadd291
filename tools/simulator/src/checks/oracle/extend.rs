//! The contract of extend.

use std::collections::BTreeSet;

use super::{Case, Violation, holds::held_code, reserve::hold_end};
use crate::checks::ensure;
use inventory_worker::domain::{
    Extend, Rejection, RejectionCode, Reservation, ReservationId, SeatNumber, SeatState, Timestamp,
};

impl Case<'_> {
    /// The end that the extend asks for.
    fn extended_end(&self, extend: &Extend) -> Timestamp {
        hold_end(self.decided_at, extend.hold_seconds)
    }

    /// Why the hold cannot be extended, apart from its seats.
    fn extend_code(&self, extend: &Extend, found: Option<&Reservation>) -> Option<RejectionCode> {
        let user_id = extend.user_id.as_ref();
        if let Some(code) = held_code(found, &self.command.pool, user_id, self.decided_at) {
            return Some(code);
        }
        if extend.hold_seconds > self.limits.hold_seconds_max {
            return Some(RejectionCode::LimitExceeded);
        }
        let (found, end) = (found?, self.extended_end(extend));
        let latest = hold_end(found.created_at, self.limits.hold_total_seconds_max);
        let is_longer = end > found.expires_at;
        (is_longer && end > latest).then_some(RejectionCode::LimitExceeded)
    }

    pub(super) fn extended(
        &mut self,
        extend: &Extend,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let id = extend.reservation_id;
        let end = self.extended_end(extend);
        // Never earlier: the hold stays as it is.
        let is_long_enough = |found: Option<&Reservation>| {
            self.extend_code(extend, found).is_none()
                && found.is_some_and(|found| end <= found.expires_at && found == shown)
        };
        if self.reservation(id, is_long_enough) {
            return Ok(());
        }
        let found = self.own(id, extend.user_id.as_ref())?;
        let code = self.extend_code(extend, Some(&found));
        ensure(code.is_none(), "expiry", || {
            format!("extended at {} to {end}, though {code:?}: {found:?}", self.decided_at)
        })?;
        ensure(end > found.expires_at, "outcome", || format!("{end} is not later: {found:?}"))?;
        for number in &found.seats {
            let key = self.seat_key(number)?;
            ensure(self.is_own_seat(&key, id), "oversold", || {
                format!("seat {number} was not its own: {:?}", self.model.seats.last(&key))
            })?;
            let by = found.user_id.clone();
            self.put_seat(&key, |seat| {
                seat.occupancy = SeatState::Reserved { reservation_id: id, by, until: end };
            });
        }
        let next = Reservation { expires_at: end, version: found.version + 1, ..found };
        self.put_reservation(next, shown)
    }

    pub(super) fn extend_rejected(
        &mut self,
        extend: &Extend,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let id = extend.reservation_id;
        if rejection.seats.is_empty() {
            let is_so = |found: Option<&Reservation>| {
                self.extend_code(extend, found) == Some(rejection.code)
            };
            let holds = self.reservation(id, is_so) && rejection.lines.is_empty();
            return self.rejection(holds, rejection);
        }
        let found = self.guarded_own(id, extend.user_id.as_ref(), rejection)?;
        let holds = self.extend_code(extend, Some(&found)).is_none()
            && self.extended_end(extend) > found.expires_at
            && rejection.lines.is_empty()
            && self.is_taken_over(id, &found.seats, rejection)?;
        self.rejection(holds, rejection)
    }

    /// Whether the rejection names those of the seats that the reservation no longer owns.
    pub(super) fn is_taken_over(
        &self,
        id: ReservationId,
        seats: &[SeatNumber],
        rejection: &Rejection,
    ) -> Result<bool, Violation> {
        let named: BTreeSet<&SeatNumber> = rejection.seats.iter().collect();
        let mut holds = rejection.code == RejectionCode::ReservationExpired
            && named.len() == rejection.seats.len()
            && rejection.seats.iter().all(|number| seats.contains(number));
        for number in seats {
            let key = self.seat_key(number)?;
            let is_named = named.contains(number);
            holds &= self.seat(&key, |seat| {
                let owner = seat.and_then(|seat| seat.occupancy.reservation_id());
                (owner == Some(id)) != is_named
            });
        }
        Ok(holds)
    }
}
