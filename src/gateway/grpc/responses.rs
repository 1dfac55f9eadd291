//! Domain values as protobuf messages.

use std::sync::Arc;

use super::proto;
use crate::{
    domain::{
        CommandKey, Goods, OrderLine, PoolId, RejectedLine, Rejection, RejectionCode, Reservation,
        ReservationStatus, RestockSummary, SeatStatus, Timestamp,
    },
    gateway::queries::SeatInfo,
};

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    // Nanoseconds of a protobuf time count forward, before 1970 too.
    if nanos < 0 {
        seconds = seconds.saturating_sub(1);
        nanos = nanos.saturating_add(1_000_000_000);
    }
    prost_types::Timestamp { seconds, nanos }
}

/// An integer of the domain, all far below the bound.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn pool(pool: &PoolId) -> proto::Pool {
    proto::Pool {
        pool: Some(match pool {
            PoolId::Event(id) => proto::pool::Pool::EventId(integer(*id)),
            PoolId::Store(id) => proto::pool::Pool::StoreId(id.to_string()),
        }),
    }
}

pub(super) fn seat_status(status: SeatStatus) -> proto::SeatStatus {
    match status {
        SeatStatus::Available => proto::SeatStatus::Available,
        SeatStatus::Reserved => proto::SeatStatus::Reserved,
        SeatStatus::Booked => proto::SeatStatus::Booked,
        SeatStatus::Blocked => proto::SeatStatus::Blocked,
    }
}

/// A seat; whose it is where the query tells.
pub(super) fn seat(event_id: u64, seat: SeatInfo) -> proto::Seat {
    let text = |text: Option<Arc<str>>| text.map(|text| text.to_string());
    let owner = seat.owner.as_ref();
    proto::Seat {
        event_id: integer(event_id),
        seat_number: seat.seat_number.to_string(),
        section: text(seat.section),
        row_number: text(seat.row_number),
        seat_type: text(seat.seat_type),
        price: text(seat.price),
        status: seat_status(seat.status).into(),
        sellable: seat.sellable,
        reserved_until: seat.reserved_until.map(timestamp),
        version: integer(seat.version),
        reservation_id: owner.map(|owner| owner.reservation_id.to_string()),
        user_id: owner.map(|owner| owner.user_id.to_string()),
        booking_id: owner.and_then(|owner| owner.booking_id.as_ref()).map(ToString::to_string),
    }
}

pub(super) fn reservation(reservation: &Reservation) -> proto::Reservation {
    let status = match reservation.status {
        ReservationStatus::Active => proto::ReservationStatus::Active,
        ReservationStatus::Confirmed => proto::ReservationStatus::Confirmed,
        ReservationStatus::Cancelled => proto::ReservationStatus::Cancelled,
        ReservationStatus::Expired => proto::ReservationStatus::Expired,
    };
    let goods = match reservation.goods {
        None => proto::Goods::Unspecified,
        Some(Goods::Leave) => proto::Goods::Leave,
        Some(Goods::Stay) => proto::Goods::Stay,
    };
    proto::Reservation {
        reservation_id: reservation.reservation_id.to_string(),
        pool: Some(pool(&reservation.pool)),
        user_id: reservation.user_id.to_string(),
        status: status.into(),
        version: integer(reservation.version),
        seats: reservation.seats.iter().map(ToString::to_string).collect(),
        lines: reservation.lines.iter().map(order_line).collect(),
        booking_id: reservation.booking_id.as_ref().map(ToString::to_string),
        goods: goods.into(),
        fulfilled_at: reservation.fulfilled_at.map(timestamp),
        created_at: Some(timestamp(reservation.created_at)),
        expires_at: Some(timestamp(reservation.expires_at)),
        ended_at: reservation.ended_at.map(timestamp),
        source: reservation.source.to_string(),
    }
}

fn order_line(line: &OrderLine) -> proto::OrderLine {
    proto::OrderLine { sku: line.sku.to_string(), quantity: integer(line.quantity) }
}

/// The `command_id` and `command_source` of an answer.
pub(super) fn identity(key: &CommandKey) -> (String, String) {
    (key.id.to_string(), key.source.to_string())
}

pub(super) fn restock(restock: RestockSummary, key: &CommandKey) -> proto::RestockResponse {
    let (command_id, command_source) = identity(key);
    proto::RestockResponse {
        seats_applied: integer(restock.seats_applied),
        lines_applied: integer(restock.lines_applied),
        seats_skipped: integer(restock.seats_skipped),
        lines_skipped: integer(restock.lines_skipped),
        skipped: restock.skipped,
        command_id,
        command_source,
    }
}

/// A rejection that names seats and lines of at most `name_bytes` bytes, and counts the others.
pub(super) fn rejection(rejection: &Rejection, name_bytes: usize) -> proto::Rejection {
    let mut left = name_bytes;
    let mut fits = |name: &str| {
        left = left.saturating_sub(name.len().saturating_add(ENTRY_BYTES));
        left > 0
    };
    let seats = rejection.seats.iter().take_while(|seat| fits(seat.as_str()));
    let seats: Vec<String> = seats.map(ToString::to_string).collect();
    let lines = rejection.lines.iter().take_while(|line| fits(line.sku().as_str()));
    let lines: Vec<_> = lines.map(rejected_line).collect();
    let all = rejection.seats.len().saturating_add(rejection.lines.len());
    let omitted = all.saturating_sub(seats.len()).saturating_sub(lines.len());
    proto::Rejection {
        code: rejection_code(rejection.code).into(),
        message: rejection.message.clone(),
        seats,
        lines,
        omitted: i32::try_from(omitted).unwrap_or(i32::MAX),
    }
}

/// What a name takes beside its own bytes, at most: two numbers, tags and lengths.
const ENTRY_BYTES: usize = 32;

fn rejected_line(line: &RejectedLine) -> proto::RejectedLine {
    use proto::rejected_line::Check;
    let check = match line {
        RejectedLine::Quantity { requested, available, .. } => {
            let (requested, available) = (*requested, *available);
            Check::Quantity(proto::RejectedQuantity { requested, available })
        }
        RejectedLine::Version { expected, actual, .. } => {
            let (expected, actual) = (integer(*expected), integer(*actual));
            Check::Version(proto::RejectedVersion { expected, actual })
        }
    };
    proto::RejectedLine { sku: line.sku().to_string(), check: Some(check) }
}

fn rejection_code(code: RejectionCode) -> proto::RejectionCode {
    use proto::RejectionCode as Proto;
    match code {
        RejectionCode::InvalidMessage => Proto::InvalidMessage,
        RejectionCode::UnsupportedType => Proto::UnsupportedType,
        RejectionCode::CommandIdReused => Proto::CommandIdReused,
        RejectionCode::CommandExpired => Proto::CommandExpired,
        RejectionCode::SeatNotFound => Proto::SeatNotFound,
        RejectionCode::SeatsUnavailable => Proto::SeatsUnavailable,
        RejectionCode::SkuNotFound => Proto::SkuNotFound,
        RejectionCode::InsufficientStock => Proto::InsufficientStock,
        RejectionCode::VersionMismatch => Proto::VersionMismatch,
        RejectionCode::NotReserved => Proto::NotReserved,
        RejectionCode::LimitExceeded => Proto::LimitExceeded,
        RejectionCode::ReservationExists => Proto::ReservationExists,
        RejectionCode::ReservationNotFound => Proto::ReservationNotFound,
        RejectionCode::ReservationExpired => Proto::ReservationExpired,
        RejectionCode::ReservationCancelled => Proto::ReservationCancelled,
        RejectionCode::ReservationActive => Proto::ReservationActive,
        RejectionCode::ReservationConfirmed => Proto::ReservationConfirmed,
        RejectionCode::ReservationFulfilled => Proto::ReservationFulfilled,
        RejectionCode::NotOwner => Proto::NotOwner,
        RejectionCode::NotYetExpired => Proto::NotYetExpired,
    }
}

#[cfg(test)]
mod tests;
