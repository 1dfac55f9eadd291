//! The action of a command: its `data`, apart from the pool.

use super::reader::{Array, FieldError, Node, Object};
use crate::domain::{
    Action, Cancel, CommandKey, CommandType, Confirm, Expire, OrderLine, PoolId, QUANTITY_MAX,
    Reason, Reserve, Restock, RestockMode, RestockStatus, SeatChange, SeatNumber, Sku,
    command::{HOLD_SECONDS_MAX, RESERVE_ENTRIES_MAX, RESTOCK_ENTRIES_MAX},
};

const MODES: [(&str, RestockMode); 2] = [("set", RestockMode::Set), ("add", RestockMode::Add)];

const STATUSES: [(&str, RestockStatus); 2] =
    [("AVAILABLE", RestockStatus::Available), ("BLOCKED", RestockStatus::Blocked)];

/// Reads the `data` of a command of the given type.
pub(super) fn read(
    command_type: CommandType,
    data: &Object<'_, '_>,
    pool: &PoolId,
    key: &CommandKey,
) -> Result<Action, FieldError> {
    match command_type {
        CommandType::Reserve => read_reserve(data, pool, key).map(Action::Reserve),
        CommandType::Confirm => read_confirm(data).map(Action::Confirm),
        CommandType::Cancel => read_cancel(data).map(Action::Cancel),
        CommandType::Restock => read_restock(data, pool).map(Action::Restock),
        CommandType::Expire => read_expire(data).map(Action::Expire),
    }
}

fn read_reserve(
    data: &Object<'_, '_>,
    pool: &PoolId,
    key: &CommandKey,
) -> Result<Reserve, FieldError> {
    let [user_id, seats, lines, hold_seconds, reservation_id] =
        data.fields(["user_id", "seats", "lines", "hold_seconds", "reservation_id"]);
    let user_id = user_id.text()?;
    let entries = Entries::read(data, seats, lines, pool, RESERVE_ENTRIES_MAX)?;
    let seats = entries.seats.map_or(Ok(Vec::new()), |seats| read_seats(&seats))?;
    let lines = entries.lines.map_or(Ok(Vec::new()), |lines| read_lines(&lines, 1))?;
    let hold_seconds = match hold_seconds.given() {
        Some(seconds) => {
            let within = seconds.integer(1..=u64::from(HOLD_SECONDS_MAX))?;
            Some(u32::try_from(within).unwrap_or(HOLD_SECONDS_MAX))
        }
        None => None,
    };
    let reservation_id = match reservation_id.given() {
        Some(id) => id.text()?,
        None => key.default_reservation_id(),
    };
    Ok(Reserve { reservation_id, user_id, seats, lines, hold_seconds })
}

fn read_confirm(data: &Object<'_, '_>) -> Result<Confirm, FieldError> {
    let [reservation_id, booking_id, user_id] =
        data.fields(["reservation_id", "booking_id", "user_id"]);
    Ok(Confirm {
        reservation_id: reservation_id.text()?,
        booking_id: booking_id.text()?,
        user_id: user_id.given().map(|user| user.text()).transpose()?,
    })
}

fn read_cancel(data: &Object<'_, '_>) -> Result<Cancel, FieldError> {
    let [reservation_id, user_id, reason, refund] =
        data.fields(["reservation_id", "user_id", "reason", "refund"]);
    Ok(Cancel {
        reservation_id: reservation_id.text()?,
        user_id: user_id.given().map(|user| user.text()).transpose()?,
        reason: read_reason(reason)?,
        refund: refund.given().map_or(Ok(false), |refund| refund.boolean())?,
    })
}

/// A reason has an upper bound only: an empty reason counts as `None`.
fn read_reason(node: Node<'_, '_>) -> Result<Option<Reason>, FieldError> {
    match node.given() {
        None => Ok(None),
        Some(reason) if reason.str().as_deref() == Some("") => Ok(None),
        Some(reason) => reason.text().map(Some),
    }
}

fn read_expire(data: &Object<'_, '_>) -> Result<Expire, FieldError> {
    let [reservation_id] = data.fields(["reservation_id"]);
    Ok(Expire { reservation_id: reservation_id.text()? })
}

fn read_restock(data: &Object<'_, '_>, pool: &PoolId) -> Result<Restock, FieldError> {
    let [seats, lines, mode, as_of] = data.fields(["seats", "lines", "mode", "as_of"]);
    let entries = Entries::read(data, seats, lines, pool, RESTOCK_ENTRIES_MAX)?;
    let seats = entries.seats.map_or(Ok(Vec::new()), |seats| read_changes(&seats))?;
    let lines = entries.lines.map_or(Ok(Vec::new()), |lines| read_lines(&lines, 0))?;
    let mode = match mode.given() {
        None if lines.is_empty() => RestockMode::Set,
        _ => mode.word(&MODES)?,
    };
    let as_of = as_of.given().map(|at| at.timestamp()).transpose()?;
    Ok(Restock { seats, lines, mode, as_of })
}

/// The arrays of a command that names seats and lines, before their entries are read.
struct Entries<'v, 'p> {
    seats: Option<Array<'v, 'p>>,
    lines: Option<Array<'v, 'p>>,
}

impl<'v, 'p> Entries<'v, 'p> {
    /// Checks the number of entries and that only an event has seats. An empty array has no effect
    /// and is always valid.
    fn read(
        data: &Object<'_, '_>,
        seats: Node<'v, 'p>,
        lines: Node<'v, 'p>,
        pool: &PoolId,
        max: usize,
    ) -> Result<Self, FieldError> {
        let array = |node: Node<'v, 'p>| node.given().map(|node| node.array()).transpose();
        let read = Self { seats: array(seats)?, lines: array(lines)? };
        let count = |array: &Option<Array<'_, '_>>| array.as_ref().map_or(0, Array::len);
        if count(&read.seats) > 0 && pool.event_id().is_none() {
            return Err(seats.fault("no seats, which belong to events"));
        }
        if !(1..=max).contains(&count(&read.seats).saturating_add(count(&read.lines))) {
            return Err(data.fault(format_args!("1 to {max} seats and lines in all")));
        }
        Ok(read)
    }
}

fn read_seats(seats: &Array<'_, '_>) -> Result<Vec<SeatNumber>, FieldError> {
    let read = seats.read(|seat| seat.text::<SeatNumber>())?;
    seats.unique(&read, None, SeatNumber::as_str)?;
    Ok(read)
}

fn read_lines(lines: &Array<'_, '_>, min: u64) -> Result<Vec<OrderLine>, FieldError> {
    let read = lines.read(|line| {
        let line = line.object()?;
        let [sku, quantity] = line.fields(["sku", "quantity"]);
        let sku: Sku = sku.text()?;
        Ok(OrderLine { sku, quantity: quantity.integer(min..=QUANTITY_MAX)? })
    })?;
    lines.unique(&read, Some("sku"), |line| line.sku.as_str())?;
    Ok(read)
}

fn read_changes(seats: &Array<'_, '_>) -> Result<Vec<SeatChange>, FieldError> {
    let read = seats.read(|seat| {
        let seat = seat.object()?;
        let [number, section, row_number, seat_type, price, status] =
            seat.fields(["seat_number", "section", "row_number", "seat_type", "price", "status"]);
        let label = |label: Node<'_, '_>| label.given().map(|label| label.text()).transpose();
        Ok(SeatChange {
            number: number.text()?,
            section: label(section)?,
            row_number: label(row_number)?,
            seat_type: label(seat_type)?,
            price: price.given().map(|price| price.text()).transpose()?,
            status: status.given().map(|status| status.word(&STATUSES)).transpose()?,
        })
    })?;
    seats.unique(&read, Some("seat_number"), |seat| seat.number.as_str())?;
    Ok(read)
}
