//! Translates between a history's plain numbers and domain types.

use inventory_worker::domain::{
    Action, Cancel, Confirm, Expire, Goods, LineChange, LineKey, OrderLine, Outcome, PoolId,
    RejectedLine, RejectionCode, Reservation, ReservationStatus, Reserve, Restock, RestockMode,
    RestockStatus, RestockSummary, Seat, SeatChange, SeatDetails, SeatKey, SeatState, StockLevel,
    Timestamp,
};

use super::{
    history::{Ask, Plain, RESERVATIONS, SEATS, SKUS},
    model::{Expected, LineModel, Model, ReservationModel, SeatModel},
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

pub fn command(plain: &Plain) -> (PoolId, Action) {
    let owner = |user_number: Option<u8>| user_number.map(|name| user(&user_name(name)));
    let action = match &plain.ask {
        Ask::Reserve { id, user: by, seats, lines, hold_s } => Action::Reserve(Reserve {
            reservation_id: reservation_id(*id),
            user_id: user(&user_name(*by)),
            seats: seats.iter().map(|seat| number(&seat_name(*seat))).collect(),
            lines: requests(lines),
            hold_seconds: *hold_s,
        }),
        Ask::Confirm { id, booking: booked, user } => Action::Confirm(Confirm {
            reservation_id: reservation_id(*id),
            booking_id: booking(&booking_name(*booked)),
            user_id: owner(*user),
            ..Confirm::new(reservation_id(*id), booking(&booking_name(*booked)))
        }),
        Ask::Cancel { id, user, refund } => Action::Cancel(Cancel {
            reservation_id: reservation_id(*id),
            user_id: owner(*user),
            reason: None,
            refund: *refund,
            ..Cancel::new(reservation_id(*id))
        }),
        Ask::Expire { id } => Action::Expire(Expire { reservation_id: reservation_id(*id) }),
        Ask::Restock { seats, add, lines, as_of_ms } => Action::Restock(Restock {
            seats: seats
                .iter()
                .map(|ask| SeatChange {
                    number: number(&seat_name(ask.seat)),
                    section: ask.section.map(|name| format!("{name}").parse().unwrap()),
                    row_number: None,
                    seat_type: None,
                    price: ask.price.map(|price| format!("{price}.00").parse().unwrap()),
                    status: ask.on_sale.map(|on_sale| {
                        if on_sale { RestockStatus::Available } else { RestockStatus::Blocked }
                    }),
                })
                .collect(),
            lines: requests(lines).into_iter().map(LineChange::from).collect(),
            mode: if *add { RestockMode::Add } else { RestockMode::Set },
            as_of: as_of_ms.map(time),
            reason: None,
            reference: None,
        }),
    };
    (pool(plain.pool), action)
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
        seats: found.seats.iter().map(|seat| number(&seat_name(*seat))).collect(),
        lines: requests(&found.lines),
        goods: found.booking.map(|_| Goods::Leave),
        fulfilled_at: None,
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
        withheld: false,
        version: found.version,
        created_at: time(found.created_ms),
        updated_at: time(found.updated_ms),
    }
}

fn line(found: &LineModel) -> StockLevel {
    StockLevel {
        available: found.available,
        reserved: found.reserved,
        committed: 0,
        as_of: found.as_of_ms.map(time),
        version: found.version,
        updated_at: time(found.updated_ms),
    }
}

/// Whether the outcome is the expected one, except for the wording of its message.
pub fn compare(outcome: &Outcome, expected: &Expected, model: &Model) -> Result<(), String> {
    let differs = || Err(format!("expected {expected:?}\ngot {outcome:?}"));
    match (outcome, expected) {
        (Outcome::Rejected { rejection }, Expected::Rejected { code, seats, lines, .. }) => {
            let seats: Vec<_> = seats.iter().map(|seat| number(&seat_name(*seat))).collect();
            let shortfall =
                |(name, requested, available): &(u8, i64, i64)| RejectedLine::Quantity {
                    sku: sku(&sku_name(*name)),
                    requested: *requested,
                    available: *available,
                };
            let lines: Vec<_> = lines.iter().map(shortfall).collect();
            let same = word(rejection.code) == *code
                && rejection.seats == seats
                && rejection.lines == lines
                && !rejection.message.is_empty();
            if same { Ok(()) } else { differs() }
        }
        (Outcome::Restocked { restock, .. }, Expected::Restocked { seats, lines, skipped }) => {
            let summary = RestockSummary {
                seats_applied: seats.0,
                lines_applied: lines.0,
                seats_skipped: seats.1,
                lines_skipped: lines.1,
                skipped: skipped.clone(),
            };
            if *restock == summary { Ok(()) } else { differs() }
        }
        (
            Outcome::Reserved { reservation: found }
            | Outcome::Confirmed { reservation: found }
            | Outcome::Cancelled { reservation: found, .. }
            | Outcome::Expired { reservation: found },
            Expected::Done(result_type, id),
        ) => {
            let same = outcome.result_type() == *result_type
                && *found == reservation(*id, &model.reservations[id]);
            if same { Ok(()) } else { differs() }
        }
        _ => differs(),
    }
}

/// The contract's word for a code, from its JSON.
fn word(code: RejectionCode) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}
