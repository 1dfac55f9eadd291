//! What is held and sold is what reservations hold and bought, and nothing else moves the stock.

use std::collections::BTreeMap;

use inventory_worker::domain::{
    Action, Goods, LineKey, Outcome, Reservation, ReservationStatus, RestockMode, StockLevel,
};

use super::{Checked, Decided};
use crate::world::Items;

pub fn check(decided: &Decided) -> Checked {
    reserved_and_committed_are_sums(&decided.after)?;
    stock_is_conserved(decided)
}

fn is_committed(reservation: &Reservation) -> bool {
    reservation.status == ReservationStatus::Confirmed
        && reservation.goods == Some(Goods::Stay)
        && reservation.fulfilled_at.is_none()
}

/// `reserved` is what ACTIVE reservations hold; `committed` what CONFIRMED ones bought and has not
/// left.
fn reserved_and_committed_are_sums(items: &Items) -> Checked {
    let mut sums: BTreeMap<LineKey, [i64; 2]> = BTreeMap::new();
    for reservation in items.reservations.values() {
        let active = i64::from(reservation.status == ReservationStatus::Active);
        let committed = i64::from(is_committed(reservation));
        for request in reservation.lines.iter().filter(|_| active + committed > 0) {
            let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
            let quantity = i64::try_from(request.quantity).unwrap();
            let sum = sums.entry(key).or_default();
            sum[0] += active * quantity;
            sum[1] += committed * quantity;
        }
    }
    for (key, line) in &items.lines {
        let sum = sums.remove(key).unwrap_or_default();
        let on_hand = line.available + line.reserved + line.committed;
        if [line.reserved, line.committed] != sum || line.on_hand() != on_hand {
            return Err(format!("{key:?} is {line:?}, reservations hold and bought {sum:?}"));
        }
    }
    if sums.is_empty() { Ok(()) } else { Err(format!("held but not there: {sums:?}")) }
}

/// Only restock, a confirm whose goods leave, fulfil, and the refund of goods that had left change
/// the quantity on hand, by the quantities they name.
fn stock_is_conserved(decided: &Decided) -> Checked {
    for (key, new) in &decided.after.lines {
        let old = decided.before.lines.get(key);
        let on_hand = old.map_or(0, StockLevel::on_hand);
        let expected = match &decided.ran.verdict.outcome {
            Outcome::Confirmed { reservation } => {
                let is_new =
                    !was(decided, reservation, |old| old.status == ReservationStatus::Confirmed);
                let leaves = is_new && reservation.goods == Some(Goods::Leave);
                on_hand - asked_of(key, reservation, leaves)
            }
            Outcome::Fulfilled { reservation } => on_hand - asked_of(key, reservation, true),
            Outcome::Cancelled { reservation, .. } => {
                let had_left = was(decided, reservation, |old| {
                    old.status == ReservationStatus::Confirmed && !is_committed(old)
                });
                on_hand + asked_of(key, reservation, had_left)
            }
            Outcome::Restocked { .. } => restocked(decided, key, on_hand),
            _ => on_hand,
        };
        if new.on_hand() != expected {
            return Err(format!("{key:?}: on hand {} where {expected} is due", new.on_hand()));
        }
    }
    Ok(())
}

fn was(
    decided: &Decided,
    reservation: &Reservation,
    state: impl FnOnce(&Reservation) -> bool,
) -> bool {
    state(&decided.before.reservations[&reservation.reservation_id])
}

fn asked_of(key: &LineKey, reservation: &Reservation, counts: bool) -> i64 {
    let of_line = |key: &LineKey| -> i64 {
        let lines = reservation.lines.iter().filter(|request| request.sku == key.sku);
        lines.map(|request| i64::try_from(request.quantity).unwrap()).sum()
    };
    if counts && reservation.pool == key.pool { of_line(key) } else { 0 }
}

fn restocked(decided: &Decided, key: &LineKey, on_hand: i64) -> i64 {
    let Action::Restock(restock) = &decided.ran.command.action else { return on_hand };
    if decided.ran.command.pool != key.pool {
        return on_hand;
    }
    let Some(request) = restock.lines.iter().find(|request| request.sku == key.sku) else {
        return on_hand;
    };
    let newest = decided.before.lines.get(key).and_then(|line| line.as_of);
    match restock.mode {
        RestockMode::Add => on_hand + request.quantity,
        RestockMode::Set if restock.as_of.is_some_and(|this| newest > Some(this)) => on_hand,
        RestockMode::Set => request.quantity,
    }
}
