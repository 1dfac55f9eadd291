//! Translates between a history's plain numbers and domain types.

use inventory_worker::{
    decide::ItemKey,
    domain::{
        Action, Cancel, Confirm, Expire, Extend, Fulfil, Goods, Holdings, LineChange, LineKey,
        Modify, OrderLine, Outcome, PoolId, RejectedLine, RejectionCode, Reservation,
        ReservationStatus, Reserve, Restock, RestockMode, RestockStatus, RestockSummary, Seat,
        SeatChange, SeatDetails, SeatKey, SeatNumber, SeatState, StockLevel, Timestamp,
    },
};

use super::{
    history::{Ask, LineAsk, Plain, RESERVATIONS, SEATS, SKUS, SeatAsk, Things},
    model::{self, Expected, Item, LineModel, LineOffence, Model, ReservationModel, SeatModel},
};
use crate::world::{Items, Universe, at, booking, event, number, reservation_id, sku, store, user};

pub fn universe() -> Universe {
    let seats: Vec<String> = (0..SEATS).map(seat_name).collect();
    let skus: Vec<String> = (0..SKUS).map(sku_name).collect();
    let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    Universe::of(&[pool(0), pool(1), pool(2)], &seats, &skus, RESERVATIONS)
}

pub fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at("10:00:00").as_millisecond() + ms).unwrap()
}

pub fn pool(pool: u8) -> PoolId {
    match pool {
        0 => event(1),
        1 => event(2),
        _ => store("s"),
    }
}

fn seat_name(seat: u8) -> String {
    format!("S-{seat}")
}

fn sku_name(sku: u8) -> String {
    format!("K-{sku}")
}

fn user_name(user: u8) -> String {
    format!("u-{user}")
}

fn booking_name(booking: u8) -> String {
    format!("b-{booking}")
}

fn requests(lines: &[(u8, i64)]) -> Vec<OrderLine> {
    let request = |(name, quantity): &(u8, i64)| OrderLine {
        sku: sku(&sku_name(*name)),
        quantity: u64::try_from(*quantity).unwrap(),
    };
    lines.iter().map(request).collect()
}

fn seat_numbers(seats: &[u8]) -> Vec<SeatNumber> {
    seats.iter().map(|seat| number(&seat_name(*seat))).collect()
}

fn holdings(things: &Things) -> Holdings {
    Holdings { seats: seat_numbers(&things.seats), lines: requests(&things.lines) }
}

pub fn command(plain: &Plain) -> (PoolId, Action) {
    let owner = |user_number: Option<u8>| user_number.map(|name| user(&user_name(name)));
    let action = match &plain.ask {
        Ask::Reserve { id, user: by, things, hold_s } => Action::Reserve(Reserve {
            reservation_id: reservation_id(*id),
            user_id: user(&user_name(*by)),
            seats: seat_numbers(&things.seats),
            lines: requests(&things.lines),
            hold_seconds: *hold_s,
        }),
        Ask::Extend { id, user, hold_s } => Action::Extend(Extend {
            reservation_id: reservation_id(*id),
            hold_seconds: *hold_s,
            user_id: owner(*user),
        }),
        Ask::Modify { id, user, add, remove } => Action::Modify(Modify {
            reservation_id: reservation_id(*id),
            add: holdings(add),
            remove: holdings(remove),
            user_id: owner(*user),
        }),
        Ask::Confirm { id, user, booking: booked, how } => Action::Confirm(Confirm {
            reservation_id: reservation_id(*id),
            booking_id: booking(&booking_name(*booked)),
            user_id: owner(*user),
            goods: goods(how.stays),
            allow_expired: how.late,
        }),
        Ask::Fulfil { id, user } => {
            Action::Fulfil(Fulfil { reservation_id: reservation_id(*id), user_id: owner(*user) })
        }
        Ask::Cancel { id, user, refund, block } => Action::Cancel(Cancel {
            reservation_id: reservation_id(*id),
            user_id: owner(*user),
            reason: None,
            refund: *refund,
            seats_to: if *block { RestockStatus::Blocked } else { RestockStatus::Available },
        }),
        Ask::Expire { id } => Action::Expire(Expire { reservation_id: reservation_id(*id) }),
        Ask::Restock { seats, add, lines, as_of_ms } => Action::Restock(Restock {
            as_of: as_of_ms.map(time),
            ..Restock::new(
                seats.iter().map(seat_change).collect(),
                lines.iter().map(line_change).collect(),
                if *add { RestockMode::Add } else { RestockMode::Set },
            )
        }),
    };
    (pool(plain.pool), action)
}

fn goods(stays: bool) -> Goods {
    if stays { Goods::Stay } else { Goods::Leave }
}

fn seat_change(ask: &SeatAsk) -> SeatChange {
    SeatChange {
        number: number(&seat_name(ask.seat)),
        section: ask.section.map(|name| format!("{name}").parse().unwrap()),
        row_number: None,
        seat_type: None,
        price: ask.price.map(|price| format!("{price}.00").parse().unwrap()),
        status: ask
            .on_sale
            .map(|on_sale| if on_sale { RestockStatus::Available } else { RestockStatus::Blocked }),
    }
}

fn line_change(ask: &LineAsk) -> LineChange {
    let expected_version = ask.version;
    LineChange { expected_version, ..LineChange::new(sku(&sku_name(ask.sku)), ask.quantity) }
}

/// The model's world in domain types.
pub fn items(model: &Model) -> Items {
    let mut items = Items::default();
    for (id, found) in &model.reservations {
        items.reservations.insert(reservation_id(*id), reservation(*id, found));
    }
    for ((event_number, name), found) in &model.seats {
        let event_id = pool(*event_number).event_id().unwrap();
        let key = SeatKey { event_id, number: number(&seat_name(*name)) };
        items.seats.insert(key, seat(model, found));
    }
    for ((pool_number, name), found) in &model.lines {
        let key = LineKey { pool: pool(*pool_number), sku: sku(&sku_name(*name)) };
        items.lines.insert(key, line(found));
    }
    items
}

fn reservation(id: u32, found: &ReservationModel) -> Reservation {
    Reservation {
        reservation_id: reservation_id(id),
        pool: pool(found.pool),
        source: "/tests".parse().unwrap(),
        user_id: user(&user_name(found.user)),
        status: match found.status {
            "ACTIVE" => ReservationStatus::Active,
            "CONFIRMED" => ReservationStatus::Confirmed,
            "CANCELLED" => ReservationStatus::Cancelled,
            _ => ReservationStatus::Expired,
        },
        version: found.version,
        seats: seat_numbers(&found.seats),
        lines: requests(&found.lines),
        goods: found.stays.map(goods),
        fulfilled_at: found.fulfilled_ms.map(time),
        booking_id: found.booking.map(|booked| booking(&booking_name(booked))),
        created_at: time(found.created_ms),
        expires_at: time(found.expires_ms),
        ended_at: found.ended_ms.map(time),
    }
}

fn seat(model: &Model, found: &SeatModel) -> Seat {
    let holder = found.held_by.map(|id| (id, &model.reservations[&id]));
    let occupancy = match (found.status, holder) {
        ("RESERVED", Some((id, holder))) => SeatState::Reserved {
            reservation_id: reservation_id(id),
            by: user(&user_name(holder.user)),
            until: time(holder.expires_ms),
        },
        ("BOOKED", Some((id, holder))) => SeatState::Booked {
            reservation_id: reservation_id(id),
            by: user(&user_name(holder.user)),
            booking_id: booking(&booking_name(holder.booking.unwrap())),
        },
        ("AVAILABLE", None) => SeatState::Available,
        ("BLOCKED", None) => SeatState::Blocked,
        wrong => panic!("the model has a seat {wrong:?}"),
    };
    Seat {
        details: SeatDetails {
            section: found.section.map(|name| format!("{name}").parse().unwrap()),
            row_number: None,
            seat_type: None,
            price: found.price.map(|price| format!("{price}.00").parse().unwrap()),
        },
        occupancy,
        withheld: found.withheld,
        version: found.version,
        created_at: time(found.created_ms),
        updated_at: time(found.updated_ms),
    }
}

fn line(found: &LineModel) -> StockLevel {
    StockLevel {
        available: found.available,
        reserved: found.reserved,
        committed: found.committed,
        as_of: found.as_of_ms.map(time),
        version: found.version,
        updated_at: time(found.updated_ms),
    }
}

/// The items that a verdict rests on, in domain types.
pub fn rests_on(expected: &Expected, pool_number: u8) -> Vec<ItemKey> {
    let pool = pool(pool_number);
    let key = |item: &Item| match item {
        Item::Reservation(id) => ItemKey::Reservation(reservation_id(*id)),
        Item::Seat(name) => {
            let (event_id, number) = (pool.event_id().unwrap(), number(&seat_name(*name)));
            ItemKey::Seat(SeatKey { event_id, number })
        }
        Item::Line(name) => {
            ItemKey::Line(LineKey { pool: pool.clone(), sku: sku(&sku_name(*name)) })
        }
    };
    expected.rests_on.iter().map(key).collect()
}

fn rejected_line(offence: &LineOffence) -> RejectedLine {
    match *offence {
        LineOffence::Quantity(name, requested, available) => {
            RejectedLine::Quantity { sku: sku(&sku_name(name)), requested, available }
        }
        LineOffence::Version(name, expected, actual) => {
            RejectedLine::Version { sku: sku(&sku_name(name)), expected, actual }
        }
    }
}

/// Whether the outcome is the expected one, except for the wording of its message.
pub fn compare(outcome: &Outcome, expected: &Expected, model: &Model) -> Result<(), String> {
    let same = match (outcome, &expected.what) {
        (Outcome::Rejected { rejection }, model::Outcome::Rejected { code, seats, lines }) => {
            word(rejection.code) == *code
                && rejection.seats == seat_numbers(seats)
                && rejection.lines == lines.iter().map(rejected_line).collect::<Vec<_>>()
                && !rejection.message.is_empty()
        }
        (
            Outcome::Restocked { restock, reason: None, reference: None },
            model::Outcome::Restocked { seats, lines, skipped },
        ) => {
            let summary = RestockSummary {
                seats_applied: seats.0,
                lines_applied: lines.0,
                seats_skipped: seats.1,
                lines_skipped: lines.1,
                skipped: skipped.clone(),
            };
            *restock == summary
        }
        (_, model::Outcome::Done(result_type, id)) => {
            outcome.result_type() == *result_type
                && outcome.reservation() == Some(&reservation(*id, &model.reservations[id]))
        }
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("expected {expected:?}\ngot {outcome:?}")) }
}

/// The contract's word for a code, from its JSON.
fn word(code: RejectionCode) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}
