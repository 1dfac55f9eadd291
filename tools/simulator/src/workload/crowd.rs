//! The commands that a history's trouble affects, in their own pool.

use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use uuid::Uuid;

use super::{Posting, USERS, key, new_line, new_seat, outgoing};
use crate::{
    fault::{Fault, POISON},
    rng::one_of,
    topology::EPOCH,
    trouble::{GROUP, How, POOL, QUEUE_BYTES_MAX, Trouble},
};
use inventory_worker::{
    domain::{
        Action, Cancel, LineKey, OrderLine, Reservation, ReservationId, ReservationStatus, Reserve,
        SeatKey, SeatNumber, SeatState, Sku, StockLevel, Timestamp, UserId,
    },
    message::{self, OutgoingCommand},
    ports::{Record, store::EXPIRY_SHARDS},
};

/// The quantity of a crowd's line, once it exists.
const PLENTY: i64 = 1_000_000;

/// The SKU that the trouble affects, and an unaffected one of the same pool.
pub(crate) const TROUBLED: &str = "troubled";
const SOUND: &str = "sound";

/// The records of the crowd's pool, and the commands that the crowd sends.
pub(super) fn draw(
    rng: &mut Rng,
    trouble: &Trouble,
    horizon: Duration,
) -> (Vec<Record>, Vec<Posting>) {
    let mut records = Vec::new();
    let holds = match trouble.kind {
        Fault::StuckHolds => holds(rng, trouble),
        _ => Vec::new(),
    };
    let now: Timestamp = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let reserved = holds.iter().map(|hold| hold.lines.len() as i64).sum();
    for (sku, reserved) in [(TROUBLED, reserved), (SOUND, 0)] {
        let key = line_key(sku);
        let line = StockLevel { reserved, ..new_line(PLENTY, now) };
        records.push(Record::Line(key, line));
    }
    for hold in holds {
        records.extend(hold.seats.iter().map(|number| held_seat(&hold, number)));
        records.push(Record::Reservation(hold));
    }
    let number = match trouble.kind {
        Fault::StuckHolds => 0,
        _ => trouble.size,
    };
    let postings = (0..number).map(|number| posting(rng, trouble, horizon, number)).collect();
    (records, postings)
}

pub(crate) fn line_key(sku: &str) -> LineKey {
    LineKey { pool: POOL, sku: sku_of(sku) }
}

/// The seat of the crowd's event that the hold with this number has.
fn seat_number(number: usize) -> SeatNumber {
    format!("S-{number}").parse().unwrap_or_else(|_| unreachable!("a seat's number is plain"))
}

fn sku_of(sku: &str) -> Sku {
    sku.parse().unwrap_or_else(|_| unreachable!("a SKU is plain"))
}

fn user(rng: &mut Rng) -> UserId {
    let name = one_of(rng, &USERS).copied().unwrap_or("ada");
    name.parse().unwrap_or_else(|_| unreachable!("a user's name is plain"))
}

/// Expired holds of a line or a seat that the trouble affects.
fn holds(rng: &mut Rng, trouble: &Trouble) -> Vec<Reservation> {
    let epoch: Timestamp = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let hold = |number: usize| {
        let ended_s = rng.i64(5..=3_600);
        let by_seat = trouble.how == How::DamagedSeat;
        let lines = match by_seat {
            true => Vec::new(),
            false => vec![OrderLine { sku: sku_of(TROUBLED), quantity: 1 }],
        };
        let bits = rng.u128(..);
        // The last 32 bits determine the shard.
        let shards = u128::from(EXPIRY_SHARDS);
        let bits = if trouble.is_one_shard { bits / shards * shards } else { bits };
        Reservation {
            reservation_id: ReservationId(Uuid::from_u128(bits)),
            pool: POOL,
            source: key("/crowd", "hold").source,
            user_id: user(rng),
            status: ReservationStatus::Active,
            version: 1,
            seats: if by_seat { vec![seat_number(number)] } else { Vec::new() },
            lines,
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: epoch - SignedDuration::from_secs(ended_s + 600),
            expires_at: epoch - SignedDuration::from_secs(ended_s),
            ended_at: None,
        }
    };
    (0..trouble.size).map(hold).collect()
}

fn held_seat(hold: &Reservation, number: &SeatNumber) -> Record {
    let key = SeatKey { event_id: POOL.event_id().unwrap_or_default(), number: number.clone() };
    let occupancy = SeatState::Reserved {
        reservation_id: hold.reservation_id,
        by: hold.user_id.clone(),
        until: hold.expires_at,
    };
    Record::Seat(key, new_seat(occupancy, hold.created_at))
}

fn posting(rng: &mut Rng, trouble: &Trouble, horizon: Duration, number: usize) -> Posting {
    let group = format!("{GROUP}/{}", number % trouble.groups.max(1));
    let group = group.parse().unwrap_or_else(|_| unreachable!("a group's name is short and plain"));
    let prefix = if trouble.kind == Fault::Poison { POISON } else { "crowd-" };
    let key = key("/crowd", &format!("{prefix}{number}"));
    let action = match trouble.kind {
        Fault::Flood => Action::Cancel(Cancel::new(ReservationId(Uuid::from_u128(rng.u128(..))))),
        kind => {
            let is_troubled = matches!(kind, Fault::Damaged | Fault::ThrottledItems);
            let sku = sku_of(if is_troubled { TROUBLED } else { SOUND });
            Action::Reserve(Reserve {
                reservation_id: key.default_reservation_id(),
                user_id: user(rng),
                seats: Vec::new(),
                lines: vec![OrderLine { sku, quantity: 1 }],
                // Beyond the end of the history: the crowd has no expiries.
                hold_seconds: Some(14_400),
            })
        }
    };
    let (time, deadline, traceparent) = (Timestamp::UNIX_EPOCH, None, None);
    let command = OutgoingCommand { key, time, deadline, pool: POOL, action, traceparent };
    let mut body = message::encode_command(&command);
    if matches!(trouble.kind, Fault::SmallQueue | Fault::LongOutage) {
        body = "{\"not\": json".to_owned();
    }
    if trouble.kind == Fault::SmallQueue {
        // So close to the limit that attributes fit only partly or not at all.
        let room = QUEUE_BYTES_MAX - rng.usize(0..=300);
        body.push_str(&" ".repeat(room.saturating_sub(body.len())));
    }
    let span = match trouble.kind {
        Fault::ThrottledItems | Fault::SmallQueue | Fault::LongOutage => horizon,
        _ => Duration::from_secs(3),
    };
    let at = span.mul_f64(rng.f64());
    Posting { at, queue: 0, message: outgoing(group, body) }
}
