//! The commands of every kind, and the records that they find.

use std::ops::Range;

use jiff::SignedDuration;

use super::{COUNTED, COUNTED_LARGE, Case, LINES};
use crate::load;
use inventory_worker::{
    domain::{
        Action, Cancel, Confirm, Expire, Extend, Fulfil, Goods, Holdings, LineChange, LineKey,
        Modify, OrderLine, PoolId, Reservation, ReservationId, ReservationStatus, Reserve, Restock,
        RestockMode, SeatChange, StockLevel, Timestamp, time,
    },
    ports::Record,
};

/// Seconds.
const HOUR: u32 = 3_600;

/// What the reservations of a case hold of its line, or sold of it.
const TAKEN: i64 = 100;

/// One-seat reserves first. Each case uses its own seats, lines and reservations.
pub(super) fn all(now: Timestamp) -> anyhow::Result<Vec<Case>> {
    let all = [of_holds(now)?, of_new_stock()?, of_changed_holds(now)?, of_goods_that_stay(now)?];
    Ok(all.into_iter().flatten().collect())
}

/// Holds, from their making to their end.
fn of_holds(now: Timestamp) -> anyhow::Result<Vec<Case>> {
    Ok(vec![
        Case {
            name: "reserve, 1 seat",
            before: seats(numbers(0), now)?,
            actions: each(0, &|number| Ok(load::reserve(number)?))?,
        },
        Case {
            name: "confirm, 1 seat",
            before: held(1, now, hour_after(now))?,
            actions: each(1, &|number| Ok(Action::Confirm(confirm(number)?)))?,
        },
        Case {
            name: "cancel, 1 seat",
            before: held(2, now, hour_after(now))?,
            actions: each(2, &cancel)?,
        },
        Case {
            name: "expire, 1 seat",
            before: held(3, now, hour_before(now))?,
            actions: each(3, &expire)?,
        },
        Case {
            name: "reserve, 1 of a SKU, ten in a batch",
            before: vec![line("standing", now).map(|(key, line)| Record::Line(key, line))?],
            actions: each(4, &reserve_line)?,
        },
        Case {
            name: "reserve, rejected",
            before: Vec::new(),
            actions: each(5, &|number| Ok(load::reserve(number)?))?,
        },
    ])
}

/// New seats and lines.
fn of_new_stock() -> anyhow::Result<Vec<Case>> {
    Ok(vec![
        Case { name: "restock, 1 new seat", before: Vec::new(), actions: each(6, &new_seat)? },
        Case {
            name: "restock, 1 new SKU",
            before: Vec::new(),
            actions: each(7, &|number| restock_lines(number, 1))?,
        },
        Case {
            name: "restock, 90 new SKUs",
            before: Vec::new(),
            actions: numbers(8)
                .take(COUNTED_LARGE)
                .map(|number| restock_lines(number, LINES))
                .collect::<anyhow::Result<_>>()?,
        },
    ])
}

/// Holds that are extended, modified, or confirmed late.
fn of_changed_holds(now: Timestamp) -> anyhow::Result<Vec<Case>> {
    Ok(vec![
        Case {
            name: "extend, 1 seat",
            before: held(9, now, hour_after(now))?,
            actions: each(9, &|number| {
                let (reservation_id, hold_seconds) = (reservation_id(number)?, 2 * HOUR);
                Ok(Action::Extend(Extend { reservation_id, hold_seconds, user_id: None }))
            })?,
        },
        Case {
            name: "modify, 1 seat for another",
            before: held(10, now, hour_after(now))?
                .into_iter()
                .chain(seats(numbers(11), now)?)
                .collect(),
            actions: each(10, &|number| {
                let of = |number| -> anyhow::Result<_> {
                    Ok(Holdings { seats: vec![load::seat_number(number)?], lines: Vec::new() })
                };
                let reservation_id = reservation_id(number)?;
                let (add, remove) = (of(number + COUNTED)?, of(number)?);
                Ok(Action::Modify(Modify { reservation_id, add, remove, user_id: None }))
            })?,
        },
        Case {
            name: "confirm, 1 seat, after its hold ran out",
            before: held(12, now, hour_before(now))?,
            actions: each(12, &|number| {
                Ok(Action::Confirm(Confirm { allow_expired: true, ..confirm(number)? }))
            })?,
        },
    ])
}

/// Sales whose goods stay.
fn of_goods_that_stay(now: Timestamp) -> anyhow::Result<Vec<Case>> {
    Ok(vec![
        Case {
            name: "confirm, 1 of a SKU, goods stay, ten in a batch",
            before: with_line("held", now, numbers(13), |line| line.reserved = TAKEN)?,
            actions: each(13, &|number| {
                Ok(Action::Confirm(Confirm { goods: Goods::Stay, ..confirm(number)? }))
            })?,
        },
        Case {
            name: "fulfil, 1 of a SKU, ten in a batch",
            before: sold(with_line("sold", now, numbers(14), |line| line.committed = TAKEN)?)?,
            actions: each(14, &|number| {
                let reservation_id = reservation_id(number)?;
                Ok(Action::Fulfil(Fulfil { reservation_id, user_id: None }))
            })?,
        },
    ])
}

fn numbers(case: usize) -> Range<usize> {
    case * COUNTED..(case + 1) * COUNTED
}

fn hour_after(now: Timestamp) -> Timestamp {
    time::saturating_add(now, SignedDuration::from_hours(1))
}

fn hour_before(now: Timestamp) -> Timestamp {
    time::saturating_add(now, SignedDuration::from_hours(-1))
}

/// Holds made an hour ago.
fn held(case: usize, now: Timestamp, until: Timestamp) -> anyhow::Result<Vec<Record>> {
    let holds = numbers(case).map(|number| load::hold(number, hour_before(now), until));
    Ok(holds.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn reservation_id(number: usize) -> anyhow::Result<ReservationId> {
    Ok(load::command_key(number)?.default_reservation_id())
}

fn each(
    case: usize,
    action: &dyn Fn(usize) -> anyhow::Result<Action>,
) -> anyhow::Result<Vec<Action>> {
    numbers(case).map(action).collect()
}

fn seats(range: Range<usize>, now: Timestamp) -> anyhow::Result<Vec<Record>> {
    range.map(|n| Ok(Record::Seat(load::seat_key(n)?, load::seat(n, now)?))).collect()
}

fn confirm(number: usize) -> anyhow::Result<Confirm> {
    let booking_id = format!("booking-{number}").parse()?;
    Ok(Confirm::new(reservation_id(number)?, booking_id))
}

fn cancel(number: usize) -> anyhow::Result<Action> {
    Ok(Action::Cancel(Cancel::new(reservation_id(number)?)))
}

fn expire(number: usize) -> anyhow::Result<Action> {
    Ok(Action::Expire(Expire { reservation_id: reservation_id(number)? }))
}

/// A line of the event that every command wants.
fn line(sku: &str, now: Timestamp) -> anyhow::Result<(LineKey, StockLevel)> {
    let key = LineKey { pool: PoolId::Event(load::EVENT), sku: sku.parse()? };
    let line = StockLevel {
        available: 1_000,
        reserved: 0,
        committed: 0,
        as_of: None,
        version: 1,
        updated_at: now,
    };
    Ok((key, line))
}

/// A line, and ACTIVE reservations of one of it each.
fn with_line(
    sku: &str,
    now: Timestamp,
    numbers: Range<usize>,
    change: impl Fn(&mut StockLevel),
) -> anyhow::Result<Vec<Record>> {
    let (key, mut line) = line(sku, now)?;
    change(&mut line);
    let later = time::saturating_add(now, SignedDuration::from_hours(1));
    let mut records = vec![Record::Line(key, line)];
    for number in numbers {
        let [_, Record::Reservation(held)] = load::hold(number, now, later)? else {
            anyhow::bail!("a reservation");
        };
        let lines = vec![OrderLine { sku: sku.parse()?, quantity: 1 }];
        records.push(Record::Reservation(Reservation { seats: Vec::new(), lines, ..held }));
    }
    Ok(records)
}

/// The records with the reservations CONFIRMED and their goods still there.
fn sold(records: Vec<Record>) -> anyhow::Result<Vec<Record>> {
    let confirmed = |record| match record {
        Record::Reservation(held) => Ok(Record::Reservation(Reservation {
            status: ReservationStatus::Confirmed,
            booking_id: Some("booking".parse()?),
            goods: Some(Goods::Stay),
            version: 2,
            ..held
        })),
        other => Ok(other),
    };
    records.into_iter().map(confirmed).collect()
}

fn reserve_line(number: usize) -> anyhow::Result<Action> {
    let Action::Reserve(reserve) = load::reserve(number)? else {
        anyhow::bail!("a reserve");
    };
    let lines = vec![OrderLine { sku: "standing".parse()?, quantity: 1 }];
    Ok(Action::Reserve(Reserve { seats: Vec::new(), lines, ..reserve }))
}

fn new_seat(number: usize) -> anyhow::Result<Action> {
    let seat = load::seat(number, Timestamp::UNIX_EPOCH)?;
    let change = SeatChange {
        number: load::seat_number(number)?,
        section: seat.details.section,
        row_number: seat.details.row_number,
        seat_type: seat.details.seat_type,
        price: seat.details.price,
        status: None,
    };
    Ok(Action::Restock(Restock::new(vec![change], Vec::new(), RestockMode::Set)))
}

fn restock_lines(number: usize, count: usize) -> anyhow::Result<Action> {
    let line = |place| -> anyhow::Result<_> {
        Ok(LineChange::new(format!("sku-{number:05}-{place:02}").parse()?, 100))
    };
    let lines = (0..count).map(line).collect::<anyhow::Result<_>>()?;
    Ok(Action::Restock(Restock::new(Vec::new(), lines, RestockMode::Set)))
}
