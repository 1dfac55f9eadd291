//! The contract of confirm, cancel and expire.

use std::collections::BTreeSet;

use super::{Case, Violation, is_active};
use crate::checks::ensure;
use inventory_worker::domain::{
    BookingId, Cancel, Confirm, Expire, PoolId, Rejection, RejectionCode, Reservation,
    ReservationId, ReservationStatus, SeatKey, SeatNumber, SeatState, UserId,
};

/// The checks common to confirm, cancel and expire: why the reservation is refused.
fn obstacle(
    found: Option<&Reservation>,
    pool: &PoolId,
    user_id: Option<&UserId>,
) -> Option<RejectionCode> {
    match found {
        None => Some(RejectionCode::ReservationNotFound),
        Some(found) if found.pool != *pool => Some(RejectionCode::ReservationNotFound),
        Some(found) if user_id.is_some_and(|user_id| *user_id != found.user_id) => {
            Some(RejectionCode::NotOwner)
        }
        Some(_) => None,
    }
}

impl Case<'_> {
    /// The current reservation, if the command may change it.
    fn own(&self, id: ReservationId, user_id: Option<&UserId>) -> Result<Reservation, Violation> {
        let found = self.model.reservations.last(&id);
        match (found, obstacle(found, &self.command.pool, user_id)) {
            (Some(found), None) => Ok(found.clone()),
            _ => self.wrong("outcome", format!("{id} is {found:?}")),
        }
    }

    fn is_own_seat(&self, key: &SeatKey, id: ReservationId) -> bool {
        let seat = self.model.seats.last(key);
        seat.and_then(|seat| seat.occupancy.reservation_id()) == Some(id)
    }

    pub(super) fn confirmed(
        &mut self,
        confirm: &Confirm,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let id = confirm.reservation_id;
        // Confirmed before with the same booking: the answer repeats.
        let is_echo = |found: Option<&Reservation>| {
            found.is_some_and(|found| {
                found.status == ReservationStatus::Confirmed
                    && found.booking_id.as_ref() == Some(&confirm.booking_id)
                    && obstacle(Some(found), &self.command.pool, confirm.user_id.as_ref()).is_none()
                    && found == shown
            })
        };
        if self.reservation(id, is_echo) {
            return Ok(());
        }
        let found = self.own(id, confirm.user_id.as_ref())?;
        ensure(is_active(&found), "outcome", || format!("confirmed what is {:?}", found.status))?;
        ensure(self.decided_at < found.expires_at, "expiry", || {
            format!("confirmed at {}, after it ran out at {}", self.decided_at, found.expires_at)
        })?;
        for number in &found.seats {
            let key = self.seat_key(number)?;
            ensure(self.is_own_seat(&key, id), "oversold", || {
                format!("seat {number} was not its own: {:?}", self.model.seats.last(&key))
            })?;
            let (by, booking_id) = (found.user_id.clone(), confirm.booking_id.clone());
            self.put_seat(&key, |seat| {
                seat.occupancy = SeatState::Booked { reservation_id: id, by, booking_id };
            });
        }
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
            self.put_line(&key, |line| line.reserved -= quantity);
            self.model.move_goods(&key, -quantity);
        }
        let next = Reservation {
            status: ReservationStatus::Confirmed,
            version: found.version + 1,
            booking_id: Some(confirm.booking_id.clone()),
            ..found
        };
        self.put_reservation(next, shown)
    }

    pub(super) fn confirm_rejected(
        &mut self,
        confirm: &Confirm,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let id = confirm.reservation_id;
        if !rejection.seats.is_empty() {
            return self.taken_over(id, confirm, rejection);
        }
        let now = self.decided_at;
        let status = |found: &Reservation, booking: &BookingId| match found.status {
            ReservationStatus::Active if now < found.expires_at => None,
            ReservationStatus::Active | ReservationStatus::Expired => {
                Some(RejectionCode::ReservationExpired)
            }
            ReservationStatus::Cancelled => Some(RejectionCode::ReservationCancelled),
            ReservationStatus::Confirmed if found.booking_id.as_ref() == Some(booking) => None,
            ReservationStatus::Confirmed => Some(RejectionCode::ReservationConfirmed),
        };
        let user_id = confirm.user_id.as_ref();
        let holds = self.reservation(id, |found| {
            let code = obstacle(found, &self.command.pool, user_id)
                .or_else(|| found.and_then(|found| status(found, &confirm.booking_id)));
            code == Some(rejection.code)
        });
        self.rejection(holds, rejection)
    }

    /// For a taken-over hold: the reservation is unchanged and guarded, and the named seats belong
    /// to another.
    fn taken_over(
        &mut self,
        id: ReservationId,
        confirm: &Confirm,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let is_guarded = self.guarded.reservations.contains(&id);
        ensure(is_guarded, "rejection", || format!("{id} is not guarded: {rejection:?}"))?;
        let found = self.own(id, confirm.user_id.as_ref())?;
        let named: BTreeSet<&SeatNumber> = rejection.seats.iter().collect();
        let mut holds = rejection.code == RejectionCode::ReservationExpired
            && is_active(&found)
            && self.decided_at < found.expires_at
            && rejection.seats.iter().all(|number| found.seats.contains(number));
        for number in &found.seats {
            let key = self.seat_key(number)?;
            let is_named = named.contains(number);
            holds &= self.seat(&key, |seat| {
                let owner = seat.and_then(|seat| seat.occupancy.reservation_id());
                (owner == Some(id)) != is_named
            });
        }
        self.rejection(holds, rejection)
    }

    pub(super) fn cancelled(
        &mut self,
        cancel: &Cancel,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let found = self.own(cancel.reservation_id, cancel.user_id.as_ref())?;
        let is_refund = found.status == ReservationStatus::Confirmed && cancel.refund;
        ensure(is_active(&found) || is_refund, "outcome", || {
            format!("cancelled what is {:?}", found.status)
        })?;
        self.give_back(found, ReservationStatus::Cancelled, shown)
    }

    pub(super) fn cancel_rejected(
        &mut self,
        cancel: &Cancel,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let holds = self.reservation(cancel.reservation_id, |found| {
            let code = obstacle(found, &self.command.pool, cancel.user_id.as_ref())
                .or_else(|| ended_code(found?, cancel.refund));
            code == Some(rejection.code)
        });
        self.rejection(holds && rejection.seats.is_empty(), rejection)
    }

    pub(super) fn expired(
        &mut self,
        expire: &Expire,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let found = self.own(expire.reservation_id, None)?;
        ensure(is_active(&found), "outcome", || format!("expired what is {:?}", found.status))?;
        ensure(found.expires_at <= self.decided_at, "expiry", || {
            format!("expired at {}, before it ran out at {}", self.decided_at, found.expires_at)
        })?;
        self.give_back(found, ReservationStatus::Expired, shown)
    }

    pub(super) fn expire_rejected(
        &mut self,
        expire: &Expire,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let holds = self.reservation(expire.reservation_id, |found| {
            let code =
                obstacle(found, &self.command.pool, None).or_else(|| ended_code(found?, false));
            code == Some(rejection.code)
        });
        self.rejection(holds && rejection.seats.is_empty(), rejection)
    }

    /// Puts what the reservation still owns back on sale.
    fn give_back(
        &mut self,
        found: Reservation,
        status: ReservationStatus,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let id = found.reservation_id;
        for number in &found.seats {
            let key = self.seat_key(number)?;
            if self.is_own_seat(&key, id) {
                ensure(self.guarded.seats.contains(&key), "effect", || {
                    format!("its seat {number} was not given back")
                })?;
                self.put_seat(&key, |seat| seat.occupancy = SeatState::Available);
            }
        }
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
            let was_sold = found.status == ReservationStatus::Confirmed;
            self.put_line(&key, |line| {
                line.available += quantity;
                line.reserved -= if was_sold { 0 } else { quantity };
            });
            if was_sold {
                self.model.move_goods(&key, quantity);
            }
        }
        let next = Reservation {
            status,
            version: found.version + 1,
            ended_at: Some(self.decided_at),
            ..found
        };
        self.put_reservation(next, shown)
    }
}

/// Why an ended reservation cannot end again; `None` if it can.
fn ended_code(found: &Reservation, refund: bool) -> Option<RejectionCode> {
    match found.status {
        ReservationStatus::Active => None,
        ReservationStatus::Confirmed if refund => None,
        ReservationStatus::Confirmed => Some(RejectionCode::ReservationConfirmed),
        ReservationStatus::Cancelled => Some(RejectionCode::ReservationCancelled),
        ReservationStatus::Expired => Some(RejectionCode::ReservationExpired),
    }
}
