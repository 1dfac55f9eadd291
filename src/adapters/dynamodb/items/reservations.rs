//! Reservations.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    domain::{OrderLine, Reservation, ReservationStatus},
    ports::{ExpiredHold, store::expiry_shard},
};

use super::{
    super::{
        attributes::{self, Item, Reader, Unreadable, epoch_seconds, integer, n, parsed, s},
        keys::{self, ItemKey},
    },
    ItemBuilder, TTL,
};

/// The key of the sparse index of reservations that may expire: the index holds items that have
/// this attribute.
pub(in super::super) const EXPIRY_SHARD: &str = "expiry_shard";
/// The sort key of the index: seconds since 1970, a number that keeps nanoseconds.
pub(in super::super) const EXPIRES_AT: &str = "expires_at";

const EVERY_STATUS: [ReservationStatus; 4] = [
    ReservationStatus::Active,
    ReservationStatus::Confirmed,
    ReservationStatus::Cancelled,
    ReservationStatus::Expired,
];

pub(in super::super) fn write(reservation: &Reservation) -> Item {
    let id = reservation.reservation_id;
    let status = reservation.status;
    let active = status == ReservationStatus::Active;
    let seats = reservation.seats.iter().map(|seat| s(seat.as_str())).collect();
    ItemBuilder::new(&ItemKey::Reservation(id))
        .with("pool", s(reservation.pool.to_string()))
        .with("source", s(reservation.source.as_str()))
        .with("user_id", s(reservation.user_id.as_str()))
        .with("status", s(status.as_str()))
        .with("version", n(reservation.version))
        .with("seats", AttributeValue::L(seats))
        .with("lines", AttributeValue::L(reservation.lines.iter().map(write_line).collect()))
        .maybe("booking_id", reservation.booking_id.as_ref().map(|id| s(id.as_str())))
        .maybe("goods", reservation.goods.map(|goods| s(goods.as_str())))
        .maybe("fulfilled_at", reservation.fulfilled_at.map(|at| s(at.to_string())))
        .with("created_at", s(reservation.created_at.to_string()))
        .with(EXPIRES_AT, epoch_seconds(reservation.expires_at))
        .maybe("ended_at", reservation.ended_at.map(|at| s(at.to_string())))
        .maybe(EXPIRY_SHARD, active.then(|| n(expiry_shard(id))))
        // A confirmed reservation is a sale and is kept permanently.
        .maybe(TTL, reservation.given_back_at().map(super::ttl))
        .build()
}

fn write_line(line: &OrderLine) -> AttributeValue {
    AttributeValue::M(Item::from([
        ("sku".to_owned(), s(line.sku.as_str())),
        ("quantity".to_owned(), n(line.quantity)),
    ]))
}

pub(super) fn read(item: Reader<'_>) -> Result<Reservation, Unreadable> {
    let status = item.text("status")?;
    let status =
        EVERY_STATUS.into_iter().find(|known| known.as_str() == status).ok_or(Unreadable {
            attribute: "status",
            expected: "ACTIVE, CONFIRMED, CANCELLED or EXPIRED",
        })?;
    Ok(Reservation {
        reservation_id: keys::read_reservation_id(item)?,
        pool: item.parsed("pool", "event#<integer> or store#<store id> (S)")?,
        source: item.parsed("source", "the source of a command (S)")?,
        user_id: item.parsed("user_id", "a user id (S)")?,
        status,
        version: item.integer("version")?,
        seats: item.list("seats", "a list of seat numbers (L of S)", parsed)?,
        lines: item.list("lines", "a list of maps {sku, quantity} (L of M)", read_line)?,
        booking_id: item.optional("booking_id", "a booking id (S)")?,
        goods: item.optional("goods", "leave or stay (S)")?,
        fulfilled_at: item.optional_time("fulfilled_at")?,
        created_at: item.time("created_at")?,
        expires_at: item.epoch_seconds(EXPIRES_AT)?,
        ended_at: item.optional_time("ended_at")?,
    })
}

fn read_line(value: &AttributeValue) -> Option<OrderLine> {
    let map = value.as_m().ok()?;
    Some(OrderLine {
        sku: attributes::parsed(map.get("sku")?)?,
        quantity: integer(map.get("quantity")?)?,
    })
}

/// The expiry index's entry for a reservation.
pub(in super::super) fn read_expired(item: &Item) -> Result<ExpiredHold, Unreadable> {
    let item = Reader(item);
    Ok(ExpiredHold {
        reservation_id: keys::read_reservation_id(item)?,
        pool: item.parsed("pool", "event#<integer> or store#<store id> (S)")?,
        expires_at: item.epoch_seconds(EXPIRES_AT)?,
    })
}
