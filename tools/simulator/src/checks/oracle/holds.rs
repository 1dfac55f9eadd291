//! What the commands on a reservation have in common, and the contract of confirm.

use std::collections::BTreeSet;

use super::{
    Case, Violation, is_active,
    reserve::{is_free, quantities},
    signed,
};
use crate::checks::ensure;
use inventory_worker::domain::{
    Confirm, Goods, PoolId, Rejection, RejectionCode, Reservation, ReservationId,
    ReservationStatus, SeatKey, SeatNumber, SeatState, Timestamp, UserId,
};

/// The checks common to all commands on a reservation: why it is refused.
pub(super) fn obstacle(
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

/// Why a hold cannot be extended or modified.
pub(super) fn held_code(
    found: Option<&Reservation>,
    pool: &PoolId,
    user_id: Option<&UserId>,
    now: Timestamp,
) -> Option<RejectionCode> {
    obstacle(found, pool, user_id).or_else(|| match found?.status {
        ReservationStatus::Active if now < found?.expires_at => None,
        ReservationStatus::Active | ReservationStatus::Expired => {
            Some(RejectionCode::ReservationExpired)
        }
        ReservationStatus::Cancelled => Some(RejectionCode::ReservationCancelled),
        ReservationStatus::Confirmed => Some(RejectionCode::ReservationConfirmed),
    })
}

impl Case<'_> {
    /// The current reservation, if the command may change it.
    pub(super) fn own(
        &self,
        id: ReservationId,
        user_id: Option<&UserId>,
    ) -> Result<Reservation, Violation> {
        let found = self.model.reservations.last(&id);
        match (found, obstacle(found, &self.command.pool, user_id)) {
            (Some(found), None) => Ok(found.clone()),
            _ => self.wrong("outcome", format!("{id} is {found:?}")),
        }
    }

    /// The same, for a rejection that depends on the reservation and on what it names: the
    /// reservation must be guarded.
    pub(super) fn guarded_own(
        &self,
        id: ReservationId,
        user_id: Option<&UserId>,
        rejection: &Rejection,
    ) -> Result<Reservation, Violation> {
        let is_guarded = self.guarded.reservations.contains(&id);
        ensure(is_guarded, "rejection", || format!("{id} is not guarded: {rejection:?}"))?;
        self.own(id, user_id)
    }

    pub(super) fn is_own_seat(&self, key: &SeatKey, id: ReservationId) -> bool {
        let seat = self.model.seats.last(key);
        seat.and_then(|seat| seat.occupancy.reservation_id()) == Some(id)
    }

    /// Why the reservation cannot be confirmed, apart from its seats and lines.
    fn confirm_code(
        &self,
        confirm: &Confirm,
        found: Option<&Reservation>,
    ) -> Option<RejectionCode> {
        let is_late_allowed = confirm.allow_expired;
        obstacle(found, &self.command.pool, confirm.user_id.as_ref()).or_else(|| {
            let found = found?;
            match found.status {
                ReservationStatus::Active if self.decided_at < found.expires_at => None,
                ReservationStatus::Active | ReservationStatus::Expired => {
                    (!is_late_allowed).then_some(RejectionCode::ReservationExpired)
                }
                ReservationStatus::Cancelled => Some(RejectionCode::ReservationCancelled),
                ReservationStatus::Confirmed => (found.booking_id.as_ref()
                    != Some(&confirm.booking_id))
                .then_some(RejectionCode::ReservationConfirmed),
            }
        })
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
                    && self.confirm_code(confirm, Some(found)).is_none()
                    && found == shown
            })
        };
        if self.reservation(id, is_echo) {
            return Ok(());
        }
        let found = self.own(id, confirm.user_id.as_ref())?;
        // Free seats do, whether or not the hold has run out by this worker's clock: it had by that
        // of the worker that took them over.
        let is_late = confirm.allow_expired;
        let is_expired = found.status == ReservationStatus::Expired && confirm.allow_expired;
        ensure(is_active(&found) || is_expired, "outcome", || {
            format!("confirmed what is {:?}", found.status)
        })?;
        ensure(is_late || self.decided_at < found.expires_at, "expiry", || {
            format!("confirmed at {}, after it ran out at {}", self.decided_at, found.expires_at)
        })?;
        for number in &found.seats {
            let key = self.seat_key(number)?;
            let seat = self.model.seats.last(&key);
            let is_free = is_late && is_free(seat, self.decided_at);
            ensure(self.is_own_seat(&key, id) || is_free, "oversold", || {
                format!("seat {number} was not its own: {seat:?}")
            })?;
            let (by, booking_id) = (found.user_id.clone(), confirm.booking_id.clone());
            self.put_seat(&key, |seat| {
                seat.occupancy = SeatState::Booked { reservation_id: id, by, booking_id };
            });
        }
        self.sell_lines(confirm, &found)?;
        let next = Reservation {
            status: ReservationStatus::Confirmed,
            version: found.version + 1,
            booking_id: Some(confirm.booking_id.clone()),
            goods: Some(confirm.goods),
            ..found
        };
        self.put_reservation(next, shown)
    }

    /// Takes the lines from reserved, or of an EXPIRED reservation from available: they leave, or
    /// stay committed.
    fn sell_lines(&mut self, confirm: &Confirm, found: &Reservation) -> Result<(), Violation> {
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let quantity = signed(request.quantity);
            let is_reserved = is_active(found);
            let line = self.model.lines.last(&key);
            let is_there = line.is_some_and(|line| is_reserved || line.available >= quantity);
            ensure(is_there, "oversold", || {
                format!("{quantity} of {} were not there: {line:?}", request.sku)
            })?;
            let stays = confirm.goods == Goods::Stay;
            self.put_line(&key, |line| {
                line.reserved -= if is_reserved { quantity } else { 0 };
                line.available -= if is_reserved { 0 } else { quantity };
                line.committed += if stays { quantity } else { 0 };
            });
            if !stays {
                self.model.move_goods(&key, -quantity);
            }
        }
        Ok(())
    }

    pub(super) fn confirm_rejected(
        &mut self,
        confirm: &Confirm,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        if !rejection.seats.is_empty() || !rejection.lines.is_empty() {
            return self.confirm_gone(confirm, rejection);
        }
        let holds = self.reservation(confirm.reservation_id, |found| {
            self.confirm_code(confirm, found) == Some(rejection.code)
        });
        self.rejection(holds, rejection)
    }

    /// For a hold of which something is gone: the reservation is unchanged and guarded. The named
    /// seats belong to another, or are not free either where that would do; of the named lines of
    /// an EXPIRED reservation too little is available.
    fn confirm_gone(&mut self, confirm: &Confirm, rejection: &Rejection) -> Result<(), Violation> {
        let id = confirm.reservation_id;
        let found = self.guarded_own(id, confirm.user_id.as_ref(), rejection)?;
        let named: BTreeSet<&SeatNumber> = rejection.seats.iter().collect();
        let Some(named_lines) = quantities(rejection) else {
            return self.rejection(false, rejection);
        };
        let is_late = confirm.allow_expired;
        let mut holds = rejection.code == RejectionCode::ReservationExpired
            && found.status != ReservationStatus::Confirmed
            && self.confirm_code(confirm, Some(&found)).is_none()
            && rejection.seats.iter().all(|number| found.seats.contains(number))
            && named_lines.keys().all(|sku| found.lines.iter().any(|line| line.sku == **sku));
        for number in &found.seats {
            let key = self.seat_key(number)?;
            let is_named = named.contains(number);
            holds &= self.seat(&key, |seat| {
                let owner = seat.and_then(|seat| seat.occupancy.reservation_id());
                let is_there = owner == Some(id) || is_late && is_free(seat, self.decided_at);
                is_there != is_named
            });
        }
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let wanted = signed(request.quantity);
            holds &= match named_lines.get(&request.sku) {
                Some((requested, stated)) => {
                    *requested == wanted
                        && *stated < wanted
                        && !is_active(&found)
                        && self.line(&key, |line| line.map_or(0, |line| line.available) == *stated)
                }
                None => {
                    let is_enough = |available: i64| is_active(&found) || available >= wanted;
                    self.line(&key, |line| line.is_some_and(|line| is_enough(line.available)))
                }
            };
        }
        self.rejection(holds, rejection)
    }
}
