//! The contract of modify.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Violation, holds::held_code, reserve::quantities, signed};
use crate::checks::ensure;
use inventory_worker::domain::{
    Modify, OrderLine, Rejection, RejectionCode, Reservation, SeatNumber, SeatState, Sku,
};

/// The contract: the most seats and lines of one reservation.
const ENTRIES_MAX: usize = 97;

/// The contract: the largest quantity of one line.
const QUANTITY_MAX: u64 = 1_000_000_000;

fn quantity_in(lines: &[OrderLine], sku: &Sku) -> u64 {
    lines.iter().filter(|line| line.sku == *sku).map(|line| line.quantity).sum()
}

/// The seats and lines that the reservation would hold: what is left in its order, then what is
/// new.
fn left(found: &Reservation, modify: &Modify) -> (Vec<SeatNumber>, Vec<OrderLine>) {
    let mut seats = found.seats.clone();
    seats.retain(|seat| !modify.remove.seats.contains(seat) && !modify.add.seats.contains(seat));
    seats.extend(modify.add.seats.iter().cloned());
    let mut lines = found.lines.clone();
    for removed in &modify.remove.lines {
        for line in lines.iter_mut().filter(|line| line.sku == removed.sku) {
            line.quantity = line.quantity.saturating_sub(removed.quantity);
        }
    }
    for added in &modify.add.lines {
        match lines.iter_mut().find(|line| line.sku == added.sku) {
            Some(line) => line.quantity += added.quantity,
            None => lines.push(added.clone()),
        }
    }
    lines.retain(|line| line.quantity > 0);
    (seats, lines)
}

impl Case<'_> {
    /// Why the hold cannot be modified, apart from the seats and lines themselves.
    fn modify_code(&self, modify: &Modify, found: Option<&Reservation>) -> Option<RejectionCode> {
        let user_id = modify.user_id.as_ref();
        if let Some(code) = held_code(found, &self.command.pool, user_id, self.decided_at) {
            return Some(code);
        }
        let found = found?;
        let holds_all = modify.remove.seats.iter().all(|seat| found.seats.contains(seat))
            && (modify.remove.lines.iter())
                .all(|line| line.quantity <= quantity_in(&found.lines, &line.sku));
        if !holds_all {
            return Some(RejectionCode::NotReserved);
        }
        let (seats, lines) = left(found, modify);
        let entries = seats.len() + lines.len();
        // An operator's lower limit forbids a hold to grow, not to shrink.
        let held = found.seats.len() + found.lines.len();
        let entries_max = ENTRIES_MAX.min(self.limits.reserve_entries_max.max(held));
        let is_within = (1..=entries_max).contains(&entries)
            && lines.iter().all(|line| line.quantity <= QUANTITY_MAX);
        (!is_within).then_some(RejectionCode::LimitExceeded)
    }

    pub(super) fn modified(
        &mut self,
        modify: &Modify,
        shown: &Reservation,
    ) -> Result<(), Violation> {
        let id = modify.reservation_id;
        let found = self.own(id, modify.user_id.as_ref())?;
        let code = self.modify_code(modify, Some(&found));
        ensure(code.is_none(), "expiry", || {
            format!("modified at {}, though {code:?}: {found:?}", self.decided_at)
        })?;
        for number in &modify.remove.seats {
            let key = self.seat_key(number)?;
            ensure(self.is_own_seat(&key, id), "oversold", || {
                format!("seat {number} was not its own: {:?}", self.model.seats.last(&key))
            })?;
        }
        self.take(&found, &modify.add.seats, &modify.add.lines)?;
        for number in &modify.remove.seats {
            self.give_back_seat(&found, number, &SeatState::Available)?;
        }
        for request in &modify.remove.lines {
            let key = self.line_key(&request.sku);
            let quantity = signed(request.quantity);
            self.put_line(&key, |line| {
                line.available += quantity;
                line.reserved -= quantity;
            });
        }
        let (seats, lines) = left(&found, modify);
        let next = Reservation { seats, lines, version: found.version + 1, ..found };
        self.put_reservation(next, shown)
    }

    pub(super) fn modify_rejected(
        &mut self,
        modify: &Modify,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let id = modify.reservation_id;
        let names_any = !rejection.seats.is_empty() || !rejection.lines.is_empty();
        let of_reservation_alone =
            matches!(rejection.code, RejectionCode::NotReserved | RejectionCode::LimitExceeded);
        if of_reservation_alone || !names_any {
            let is_so = |found: Option<&Reservation>| {
                self.modify_code(modify, found) == Some(rejection.code)
                    && match (rejection.code, found) {
                        (RejectionCode::NotReserved, Some(found)) => {
                            names_not_held(found, modify, rejection)
                        }
                        (RejectionCode::LimitExceeded, Some(found)) => {
                            names_too_many(found, modify, rejection)
                        }
                        _ => !names_any,
                    }
            };
            let holds = self.reservation(id, is_so);
            return self.rejection(holds, rejection);
        }
        let found = self.guarded_own(id, modify.user_id.as_ref(), rejection)?;
        let code = self.modify_code(modify, Some(&found));
        let mut holds = code.is_none();
        if rejection.code == RejectionCode::ReservationExpired {
            holds &= rejection.lines.is_empty()
                && self.is_taken_over(id, &modify.remove.seats, rejection)?;
            return self.rejection(holds, rejection);
        }
        for number in &modify.remove.seats {
            let key = self.seat_key(number)?;
            holds &= self.seat(&key, |seat| {
                seat.and_then(|seat| seat.occupancy.reservation_id()) == Some(id)
            });
        }
        holds &= self.is_not_taken(&modify.add.seats, &modify.add.lines, rejection)?;
        self.rejection(holds, rejection)
    }
}

/// Whether the rejection names exactly what is to be removed and is not held, with the quantity
/// held of each such line.
fn names_not_held(found: &Reservation, modify: &Modify, rejection: &Rejection) -> bool {
    let Some(named) = quantities(rejection) else { return false };
    let seats: BTreeSet<_> =
        modify.remove.seats.iter().filter(|seat| !found.seats.contains(seat)).collect();
    let lines = modify.remove.lines.iter().filter_map(|line| {
        let held = quantity_in(&found.lines, &line.sku);
        let amounts = (signed(line.quantity), signed(held));
        (line.quantity > held).then_some((&line.sku, amounts))
    });
    rejection.seats.iter().collect::<BTreeSet<_>>() == seats && named == lines.collect()
}

/// Whether the rejection names exactly the lines whose quantity would be too large, with the
/// quantity held of each.
fn names_too_many(found: &Reservation, modify: &Modify, rejection: &Rejection) -> bool {
    let (_, lines) = left(found, modify);
    let lines = lines.iter().filter(|line| line.quantity > QUANTITY_MAX).map(|line| {
        let held = quantity_in(&found.lines, &line.sku);
        (line.sku.clone(), (signed(line.quantity), signed(held)))
    });
    let lines: BTreeMap<_, _> = lines.collect();
    let Some(named) = quantities(rejection) else { return false };
    rejection.seats.is_empty()
        && named.into_iter().map(|(sku, amounts)| (sku.clone(), amounts)).eq(lines)
}
