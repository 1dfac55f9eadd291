//! Requests as commands. What a command alone can show beyond its fields (how many, none twice) is
//! checked where it is decoded, as for every command.

use std::collections::BTreeSet;

use super::{
    fields::{self, Violation},
    proto,
};
use crate::{
    domain::{
        Action, BookingId, Cancel, CommandKey, Confirm, Extend, Goods, GroupId, LineChange,
        OrderLine, PoolId, QUANTITY_MAX, ReservationId, Reserve, Restock, RestockMode,
        RestockStatus, SeatChange, SeatKey, ids::EVENT_ID_MAX,
    },
    gateway::{
        queries::{LIMIT_MAX, PageRequest, SeatFilter},
        streams::ResultsFilter,
    },
};

/// The most reservations of one call.
pub(super) const RESERVATIONS_MAX: usize = 50;

/// One change that a call requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requested {
    /// The pool it names.
    pub(super) pool: PoolId,
    /// The change.
    pub(super) action: Action,
    /// Its message group, if the caller chose one.
    pub(super) group: Option<GroupId>,
}

/// Changes of several reservations of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestedMany {
    /// The pool they name.
    pub(super) pool: PoolId,
    /// The reservations, none twice, and their changes.
    pub(super) actions: Vec<(ReservationId, Action)>,
    /// Their message group, if the caller chose one.
    pub(super) group: Option<GroupId>,
}

/// Which results are asked for.
pub(super) fn results(request: &proto::WatchResultsRequest) -> Result<ResultsFilter, Violation> {
    let pool = request.pool.as_ref().map(|pool| fields::pool(Some(pool))).transpose()?;
    let source = Some(&request.source).filter(|source| !source.is_empty());
    Ok(ResultsFilter { pool, source: fields::optional("source", source)? })
}

/// The default reservation is derived from the command's identity, as for every reserve.
pub(super) fn reserve(
    request: &proto::ReserveSeatsRequest,
    key: &CommandKey,
) -> Result<Requested, Violation> {
    let pool = fields::pool(request.pool.as_ref())?;
    let id = fields::optional("reservation_id", request.reservation_id.as_ref())?;
    let hold_seconds = request.hold_seconds.map(|hold| fields::hold_seconds("hold_seconds", hold));
    let action = Action::Reserve(Reserve {
        reservation_id: id.unwrap_or_else(|| key.default_reservation_id()),
        user_id: fields::text("user_id", &request.user_id)?,
        seats: fields::texts("seats", &request.seats)?,
        lines: fields::list("lines", &request.lines, order_line)?,
        hold_seconds: hold_seconds.transpose()?,
    });
    Ok(Requested { pool, action, group: fields::group(request.group.as_ref())? })
}

fn order_line(line: &proto::OrderLine) -> Result<OrderLine, Violation> {
    let quantity = fields::unsigned("quantity", line.quantity, 1..=QUANTITY_MAX)?;
    Ok(OrderLine { sku: fields::text("sku", &line.sku)?, quantity })
}

pub(super) fn extend(request: &proto::ExtendReservationRequest) -> Result<Requested, Violation> {
    let pool = fields::pool(request.pool.as_ref())?;
    let action = Action::Extend(Extend {
        reservation_id: fields::text("reservation_id", &request.reservation_id)?,
        hold_seconds: fields::hold_seconds("hold_seconds", request.hold_seconds)?,
        user_id: fields::optional("user_id", request.user_id.as_ref())?,
    });
    Ok(Requested { pool, action, group: fields::group(request.group.as_ref())? })
}

pub(super) fn confirm(
    request: &proto::ConfirmReservationsRequest,
) -> Result<RequestedMany, Violation> {
    let pool = fields::pool(request.pool.as_ref())?;
    let actions = reservations(&request.reservations, confirm_one)?;
    Ok(RequestedMany { pool, actions, group: fields::group(request.group.as_ref())? })
}

fn confirm_one(one: &proto::ReservationToConfirm) -> Result<(ReservationId, Action), Violation> {
    let reservation_id = fields::text("reservation_id", &one.reservation_id)?;
    let booking_id: BookingId = fields::text("booking_id", &one.booking_id)?;
    let goods = match fields::choice("goods", one.goods, "GOODS_LEAVE or GOODS_STAY")? {
        proto::Goods::Unspecified | proto::Goods::Leave => Goods::Leave,
        proto::Goods::Stay => Goods::Stay,
    };
    let user_id = fields::optional("user_id", one.user_id.as_ref())?;
    let allow_expired = one.allow_expired;
    let confirm = Confirm { reservation_id, booking_id, user_id, goods, allow_expired };
    Ok((reservation_id, Action::Confirm(confirm)))
}

pub(super) fn cancel(
    request: &proto::CancelReservationsRequest,
) -> Result<RequestedMany, Violation> {
    let pool = fields::pool(request.pool.as_ref())?;
    let actions = reservations(&request.reservations, cancel_one)?;
    Ok(RequestedMany { pool, actions, group: fields::group(request.group.as_ref())? })
}

fn cancel_one(one: &proto::ReservationToCancel) -> Result<(ReservationId, Action), Violation> {
    let reservation_id = fields::text("reservation_id", &one.reservation_id)?;
    let seats_to = fields::seat_status("seats_to", one.seats_to)?;
    let cancel = Cancel {
        reservation_id,
        user_id: fields::optional("user_id", one.user_id.as_ref())?,
        reason: fields::optional_or_empty("reason", one.reason.as_ref())?,
        refund: one.refund,
        seats_to: seats_to.unwrap_or(RestockStatus::Available),
    };
    Ok((reservation_id, Action::Cancel(cancel)))
}

fn reservations<P>(
    entries: &[P],
    read: impl Fn(&P) -> Result<(ReservationId, Action), Violation>,
) -> Result<Vec<(ReservationId, Action)>, Violation> {
    let wrong = |expected: String| Violation::new("reservations", expected);
    if !(1..=RESERVATIONS_MAX).contains(&entries.len()) {
        return Err(wrong(format!("1 to {RESERVATIONS_MAX} reservations")));
    }
    let actions = fields::list("reservations", entries, read)?;
    let ids: BTreeSet<ReservationId> = actions.iter().map(|(id, _)| *id).collect();
    if ids.len() < actions.len() {
        return Err(wrong("each reservation once".to_owned()));
    }
    Ok(actions)
}

pub(super) fn restock(request: &proto::RestockRequest) -> Result<Requested, Violation> {
    let pool = fields::pool(request.pool.as_ref())?;
    let as_of = request.as_of.map(|at| fields::timestamp("as_of", at)).transpose()?;
    let action = Action::Restock(Restock {
        seats: fields::list("seats", &request.seats, seat_change)?,
        lines: fields::list("lines", &request.lines, line_change)?,
        mode: restock_mode(request)?,
        as_of,
        reason: fields::optional_or_empty("reason", request.reason.as_ref())?,
        reference: fields::optional("reference", request.reference.as_ref())?,
    });
    Ok(Requested { pool, action, group: fields::group(request.group.as_ref())? })
}

fn restock_mode(request: &proto::RestockRequest) -> Result<RestockMode, Violation> {
    let expected = "RESTOCK_MODE_SET or RESTOCK_MODE_ADD";
    match fields::choice("mode", request.mode, expected)? {
        proto::RestockMode::Set => Ok(RestockMode::Set),
        proto::RestockMode::Add => Ok(RestockMode::Add),
        proto::RestockMode::Unspecified if request.lines.is_empty() => Ok(RestockMode::Set),
        proto::RestockMode::Unspecified => Err(Violation::new("mode", expected)),
    }
}

fn seat_change(seat: &proto::SeatChange) -> Result<SeatChange, Violation> {
    Ok(SeatChange {
        number: fields::text("seat_number", &seat.seat_number)?,
        section: fields::optional("section", seat.section.as_ref())?,
        row_number: fields::optional("row_number", seat.row_number.as_ref())?,
        seat_type: fields::optional("seat_type", seat.seat_type.as_ref())?,
        price: fields::optional("price", seat.price.as_ref())?,
        status: fields::seat_status("status", seat.status)?,
    })
}

fn line_change(line: &proto::LineChange) -> Result<LineChange, Violation> {
    let expected = line.expected_version;
    let expected =
        expected.map(|version| fields::unsigned("expected_version", version, 0..=EVENT_ID_MAX));
    Ok(LineChange {
        sku: fields::text("sku", &line.sku)?,
        quantity: line.quantity,
        expected_version: expected.transpose()?,
    })
}

/// The event, the filter and the page of a list of seats that a reserve may take. A page larger than
/// the largest is cut to it.
pub(super) fn available_seats(
    request: &proto::GetAvailableSeatsRequest,
) -> Result<(u64, SeatFilter, PageRequest), Violation> {
    let event_id = fields::event_id("event_id", request.event_id)?;
    let section = fields::optional("section", request.section.as_ref())?;
    let filter = SeatFilter { sellable: Some(true), status: None, section };
    let size = u32::try_from(request.page_size);
    let size = size.map_err(|_| Violation::new("page_size", "an integer of at least 0"))?;
    let limit = (size > 0).then_some(size.min(LIMIT_MAX));
    let cursor = Some(request.page_token.clone()).filter(|token| !token.is_empty());
    Ok((event_id, filter, PageRequest { limit, cursor }))
}

pub(super) fn seat_key(request: &proto::GetSeatRequest) -> Result<SeatKey, Violation> {
    let event_id = fields::event_id("event_id", request.event_id)?;
    Ok(SeatKey { event_id, number: fields::text("seat_number", &request.seat_number)? })
}

#[cfg(test)]
mod tests;
