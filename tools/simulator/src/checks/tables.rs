//! Invariants of the tables alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, ensure, model::Model};
use inventory_worker::{
    adapters::memory::Tables,
    domain::{
        Goods, LineKey, Reservation, ReservationId, ReservationStatus, SeatKey, SeatState,
        Timestamp,
    },
    ports::{Transaction, Write, store::expiry_shard},
};

/// Checks all tables, and that they match the outcomes.
pub(crate) fn check(tables: &Tables, model: &Model) -> Result<(), Violation> {
    for key in tables.seats.keys() {
        check_seat(tables, key)?;
    }
    let reservations = || tables.reservations.iter().filter(|(_, found)| model.is_there(found));
    for (_, reservation) in reservations() {
        check_reservation(tables, reservation, None)?;
    }
    check_lines(tables, None)?;
    let seats: BTreeMap<_, _> = model.seats.iter().collect();
    ensure(tables.seats.iter().eq(seats), "seats", || "are not what the outcomes say".to_owned())?;
    ensure(tables.lines.iter().eq(model.lines.iter()), "stock", || {
        "is not what the outcomes say".to_owned()
    })?;
    ensure(reservations().eq(model.reservations.iter()), "reservations", || {
        "are not what the outcomes say".to_owned()
    })?;
    let ledger = tables.ledger.iter().filter(|(_, record)| model.counts(record));
    ensure(ledger.eq(model.ledger.iter()), "ledger", || "an entry changed".to_owned())?;
    for (key, on_hand) in &model.on_hand {
        let is = tables.lines.get(key).map(inventory_worker::domain::StockLevel::on_hand);
        let holds = match (on_hand, is) {
            (Some(expected), Some(is)) => *expected == is,
            _ => true,
        };
        ensure(holds, "conservation", || {
            format!("{key:?}: on hand is {is:?}, what came and went makes it {on_hand:?}")
        })?;
    }
    Ok(())
}

/// Checks what a transaction may have broken. `latest`: the latest time on any worker's clock.
pub(crate) fn check_touched(
    tables: &Tables,
    transaction: &Transaction,
    latest: Timestamp,
) -> Result<(), Violation> {
    let mut lines = BTreeSet::new();
    for write in &transaction.writes {
        match write {
            Write::Seat { key, .. } => check_seat(tables, key)?,
            Write::Line { key, .. } => {
                lines.insert(key.clone());
            }
            Write::Reservation { reservation, .. } => {
                let id = reservation.reservation_id;
                if let Some(reservation) = tables.reservations.get(&id) {
                    check_reservation(tables, reservation, Some(latest))?;
                }
            }
            Write::Ledger { .. } | Write::LedgerOverIntent { .. } => {}
        }
    }
    if lines.is_empty() { Ok(()) } else { check_lines(tables, Some(&lines)) }
}

fn check_seat(tables: &Tables, key: &SeatKey) -> Result<(), Violation> {
    let Some(seat) = tables.seats.get(key) else { return Ok(()) };
    let owner = seat.occupancy.reservation_id();
    ensure(!seat.withheld || owner.is_some(), "withheld", || {
        format!("{key:?} is {} and withheld", seat.occupancy.status())
    })?;
    let Some(id) = owner else { return Ok(()) };
    let wanted = match seat.occupancy {
        SeatState::Booked { .. } => ReservationStatus::Confirmed,
        _ => ReservationStatus::Active,
    };
    let owner = tables.reservations.get(&id);
    let holds = owner.is_some_and(|owner| {
        owner.status == wanted
            && owner.pool.event_id() == Some(key.event_id)
            && owner.seats.contains(&key.number)
    });
    ensure(holds, "owner", || {
        let status = seat.occupancy.status();
        format!("{key:?} is {status} by {id}, which is {:?}", owner.map(|owner| owner.status))
    })
}

/// `latest`: the latest time on any worker's clock; a seat can be taken over only from a hold that
/// has expired on some worker's clock.
fn check_reservation(
    tables: &Tables,
    reservation: &Reservation,
    latest: Option<Timestamp>,
) -> Result<(), Violation> {
    let id = reservation.reservation_id;
    let is_indexed = tables.expiry_index.contains(&(expiry_shard(id), reservation.expires_at, id));
    let is_active = reservation.status == ReservationStatus::Active;
    ensure(is_indexed == is_active, "index", || format!("{id}: indexed is {is_indexed}"))?;
    let Some(event_id) = reservation.pool.event_id() else { return Ok(()) };
    for number in &reservation.seats {
        let key = SeatKey { event_id, number: number.clone() };
        let occupancy = tables.seats.get(&key).map(|seat| &seat.occupancy);
        let is_own = occupancy.and_then(SeatState::reservation_id) == Some(id);
        let is_booked = matches!(occupancy, Some(SeatState::Booked { .. }));
        let holds = match reservation.status {
            ReservationStatus::Active => {
                let ran_out = latest.is_none_or(|latest| reservation.expires_at <= latest);
                if is_own { !is_booked } else { ran_out }
            }
            ReservationStatus::Confirmed => is_own && is_booked,
            ReservationStatus::Cancelled | ReservationStatus::Expired => !is_own,
        };
        ensure(holds, "owner", || {
            let status = reservation.status.as_str();
            format!("{id} is {status}, its seat {number} is {occupancy:?}")
        })?;
    }
    Ok(())
}

/// `reserved` is the sum of what ACTIVE reservations hold, and `committed` of what CONFIRMED ones
/// have sold and not handed over yet.
fn check_lines(tables: &Tables, only: Option<&BTreeSet<LineKey>>) -> Result<(), Violation> {
    let mut held: BTreeMap<LineKey, i64> = BTreeMap::new();
    let active = |id: &ReservationId| tables.reservations.get(id);
    for reservation in tables.expiry_index.iter().filter_map(|(_, _, id)| active(id)) {
        for line in &reservation.lines {
            let key = LineKey { pool: reservation.pool.clone(), sku: line.sku.clone() };
            *held.entry(key).or_default() += i64::try_from(line.quantity).unwrap_or(i64::MAX);
        }
    }
    let mut sold: BTreeMap<LineKey, i64> = BTreeMap::new();
    let stays = |it: &&Reservation| it.goods == Some(Goods::Stay) && it.fulfilled_at.is_none();
    let confirmed = |it: &&Reservation| it.status == ReservationStatus::Confirmed;
    for reservation in tables.reservations.values().filter(confirmed).filter(stays) {
        for line in &reservation.lines {
            let key = LineKey { pool: reservation.pool.clone(), sku: line.sku.clone() };
            *sold.entry(key).or_default() += i64::try_from(line.quantity).unwrap_or(i64::MAX);
        }
    }
    let check = |key: &LineKey| {
        let reserved = tables.lines.get(key).map_or(0, |line| line.reserved);
        let sum = held.get(key).copied().unwrap_or(0);
        ensure(reserved == sum, "reserved", || {
            format!("{key:?}: reserved is {reserved}, ACTIVE reservations hold {sum}")
        })?;
        let committed = tables.lines.get(key).map_or(0, |line| line.committed);
        let sum = sold.get(key).copied().unwrap_or(0);
        ensure(committed == sum, "committed", || {
            format!("{key:?}: committed is {committed}, CONFIRMED reservations have {sum}")
        })
    };
    match only {
        Some(keys) => keys.iter().try_for_each(check),
        None => held.keys().chain(sold.keys()).chain(tables.lines.keys()).try_for_each(check),
    }
}
