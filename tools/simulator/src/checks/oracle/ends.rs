//! The contract of fulfil, cancel and expire.

use super::{Case, Violation, holds::obstacle, is_active, reserve::quantities, signed};
use crate::checks::ensure;
use inventory_worker::domain::{
    Cancel, Expire, Fulfil, Goods, Rejection, RejectionCode, Reservation, ReservationStatus,
    RestockStatus, SeatState,
};

/// The contract: the largest on hand of a line.
pub(super) const ON_HAND_MAX: i64 = 9_000_000_000_000_000;

/// Whether the goods of the reservation are sold and still here.
fn has_goods_here(found: &Reservation) -> bool {
    found.status == ReservationStatus::Confirmed
        && found.goods == Some(Goods::Stay)
        && found.fulfilled_at.is_none()
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

/// Why a reservation cannot be cancelled; `None` if it can.
fn cancel_code(found: &Reservation, refund: bool) -> Option<RejectionCode> {
    let is_fulfilled = found.fulfilled_at.is_some();
    match ended_code(found, refund) {
        Some(RejectionCode::ReservationConfirmed) if is_fulfilled => {
            Some(RejectionCode::ReservationFulfilled)
        }
        code => code,
    }
}

impl Case<'_> {
    /// Why the reservation cannot be fulfilled.
    fn fulfil_code(&self, fulfil: &Fulfil, found: Option<&Reservation>) -> Option<RejectionCode> {
        obstacle(found, &self.command.pool, fulfil.user_id.as_ref()).or_else(|| {
            let found = found?;
            match found.status {
                ReservationStatus::Active if self.decided_at < found.expires_at => {
                    Some(RejectionCode::ReservationActive)
                }
                ReservationStatus::Active | ReservationStatus::Expired => {
                    Some(RejectionCode::ReservationExpired)
                }
                ReservationStatus::Cancelled => Some(RejectionCode::ReservationCancelled),
                ReservationStatus::Confirmed if has_goods_here(found) => None,
                ReservationStatus::Confirmed => Some(RejectionCode::ReservationFulfilled),
            }
        })
    }

    pub(super) fn fulfilled(
        &mut self,
        fulfil: &Fulfil,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let found = self.own(fulfil.reservation_id, fulfil.user_id.as_ref())?;
        let code = self.fulfil_code(fulfil, Some(&found));
        ensure(code.is_none(), "outcome", || format!("fulfilled, though {code:?}: {found:?}"))?;
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let quantity = signed(request.quantity);
            self.put_line(&key, |line| line.committed -= quantity);
            self.model.move_goods(&key, -quantity);
        }
        let fulfilled_at = Some(self.decided_at);
        let next = Reservation { fulfilled_at, version: found.version + 1, ..found };
        self.put_reservation(next, shown)
    }

    pub(super) fn fulfil_rejected(
        &mut self,
        fulfil: &Fulfil,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let is_so =
            |found: Option<&Reservation>| self.fulfil_code(fulfil, found) == Some(rejection.code);
        let holds = self.reservation(fulfil.reservation_id, is_so);
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        self.rejection(holds && !names_any, rejection)
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
        self.give_back(found, ReservationStatus::Cancelled, cancel.seats_to, shown)
    }

    pub(super) fn cancel_rejected(
        &mut self,
        cancel: &Cancel,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        if rejection.code == RejectionCode::LimitExceeded {
            return self.too_much_back(cancel, rejection);
        }
        let holds = self.reservation(cancel.reservation_id, |found| {
            let code = obstacle(found, &self.command.pool, cancel.user_id.as_ref())
                .or_else(|| cancel_code(found?, cancel.refund));
            code == Some(rejection.code)
        });
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        self.rejection(holds && !names_any, rejection)
    }

    /// For a refund that would take lines beyond the bound of on hand: only goods that had left do.
    fn too_much_back(&self, cancel: &Cancel, rejection: &Rejection) -> Result<(), Violation> {
        let Some(named) = quantities(rejection) else { return self.rejection(false, rejection) };
        let is_so = |found: Option<&Reservation>| {
            let user_id = cancel.user_id.as_ref();
            let Some(found) =
                found.filter(|it| obstacle(Some(it), &self.command.pool, user_id).is_none())
            else {
                return false;
            };
            let had_left = found.status == ReservationStatus::Confirmed && !has_goods_here(found);
            let is_over = |sku, quantity: i64, stated: Option<i64>| {
                self.line(&self.line_key(sku), |line| {
                    line.is_some_and(|line| {
                        let on_hand = line.available + line.reserved + line.committed + quantity;
                        (on_hand > ON_HAND_MAX) == stated.is_some()
                            && stated.is_none_or(|stated| stated == line.available)
                    })
                })
            };
            let all = found.lines.iter().all(|request| {
                let (quantity, named) = (signed(request.quantity), named.get(&request.sku));
                named.is_none_or(|(requested, _)| *requested == quantity)
                    && is_over(&request.sku, quantity, named.map(|(_, stated)| *stated))
            });
            let asked =
                named.keys().all(|sku| found.lines.iter().any(|request| request.sku == **sku));
            had_left && cancel.refund && all && asked
        };
        let holds = self.reservation(cancel.reservation_id, is_so)
            && rejection.seats.is_empty()
            && !named.is_empty();
        self.rejection(holds, rejection)
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
        self.give_back(found, ReservationStatus::Expired, RestockStatus::Available, shown)
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
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        self.rejection(holds && !names_any, rejection)
    }

    /// Puts what the reservation still owns back on sale, or what is withheld off sale.
    fn give_back(
        &mut self,
        found: Reservation,
        status: ReservationStatus,
        seats_to: RestockStatus,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let to = match seats_to {
            RestockStatus::Available => SeatState::Available,
            RestockStatus::Blocked => SeatState::Blocked,
        };
        for number in &found.seats {
            self.give_back_seat(&found, number, &to)?;
        }
        let was_here = has_goods_here(&found);
        let was_sold = found.status == ReservationStatus::Confirmed;
        for request in &found.lines {
            let key = self.line_key(&request.sku);
            let quantity = signed(request.quantity);
            self.put_line(&key, |line| {
                line.available += quantity;
                line.reserved -= if was_sold { 0 } else { quantity };
                line.committed -= if was_here { quantity } else { 0 };
            });
            if was_sold && !was_here {
                self.model.move_goods(&key, quantity);
                let line = self.model.lines.last(&key);
                let is_within = line.is_some_and(|line| {
                    line.available + line.reserved + line.committed <= ON_HAND_MAX
                });
                ensure(is_within, "outcome", || format!("{key:?} is beyond its bound"))?;
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

    /// Gives a seat back, if the reservation still owns it.
    pub(super) fn give_back_seat(
        &mut self,
        found: &Reservation,
        number: &inventory_worker::domain::SeatNumber,
        to: &SeatState,
    ) -> Result<(), Violation> {
        let key = self.seat_key(number)?;
        if !self.is_own_seat(&key, found.reservation_id) {
            return Ok(());
        }
        ensure(self.guarded.seats.contains(&key), "effect", || {
            format!("its seat {number} was not given back")
        })?;
        self.put_seat(&key, |seat| {
            seat.occupancy = if seat.withheld { SeatState::Blocked } else { to.clone() };
            seat.withheld = false;
        });
        Ok(())
    }
}
