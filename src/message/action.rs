//! The action of a command: its `data`, apart from the pool.

use std::collections::BTreeSet;

use super::reader::{Array, FieldError, Node, Object};
use crate::domain::{
    Action, Cancel, CommandKey, CommandType, Confirm, Expire, Extend, Fulfil, Goods, Holdings,
    LineChange, Modify, OrderLine, PoolId, QUANTITY_MAX, Reason, Reserve, Restock, RestockMode,
    RestockStatus, SeatChange, SeatNumber, Sku, UserId,
    command::{HOLD_SECONDS_MAX, RESERVE_ENTRIES_MAX, RESTOCK_ENTRIES_MAX},
};

/// The largest version a line may be expected in: the last integer every JSON reader keeps exactly.
const VERSION_MAX: u64 = crate::domain::ids::EVENT_ID_MAX;

/// The values of `goods`.
pub(super) const GOODS: [(&str, Goods); 2] = [("leave", Goods::Leave), ("stay", Goods::Stay)];

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
        CommandType::Extend => read_extend(data).map(Action::Extend),
        CommandType::Modify => read_modify(data, pool).map(Action::Modify),
        CommandType::Confirm => read_confirm(data).map(Action::Confirm),
        CommandType::Fulfil => read_fulfil(data).map(Action::Fulfil),
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
    let lines = entries.lines.map_or(Ok(Vec::new()), |lines| read_lines(&lines))?;
    let hold_seconds = hold_seconds.given().map(read_hold_seconds).transpose()?;
    let reservation_id = match reservation_id.given() {
        Some(id) => id.text()?,
        None => key.default_reservation_id(),
    };
    Ok(Reserve { reservation_id, user_id, seats, lines, hold_seconds })
}

fn read_hold_seconds(node: Node<'_, '_>) -> Result<u32, FieldError> {
    let within = node.integer(1..=u64::from(HOLD_SECONDS_MAX))?;
    Ok(u32::try_from(within).unwrap_or(HOLD_SECONDS_MAX))
}

fn read_user(node: Node<'_, '_>) -> Result<Option<UserId>, FieldError> {
    node.given().map(|user| user.text()).transpose()
}

fn read_flag(node: Node<'_, '_>) -> Result<bool, FieldError> {
    node.given().map_or(Ok(false), |flag| flag.boolean())
}

fn read_extend(data: &Object<'_, '_>) -> Result<Extend, FieldError> {
    let [reservation_id, hold_seconds, user_id] =
        data.fields(["reservation_id", "hold_seconds", "user_id"]);
    Ok(Extend {
        reservation_id: reservation_id.text()?,
        hold_seconds: read_hold_seconds(hold_seconds)?,
        user_id: read_user(user_id)?,
    })
}

fn read_modify(data: &Object<'_, '_>, pool: &PoolId) -> Result<Modify, FieldError> {
    let [reservation_id, add, remove, user_id] =
        data.fields(["reservation_id", "add", "remove", "user_id"]);
    let reservation_id = reservation_id.text()?;
    let added = add.given().map_or(Ok(Holdings::default()), |add| read_holdings(add, pool))?;
    let removed =
        remove.given().map_or(Ok(Holdings::default()), |remove| read_holdings(remove, pool))?;
    let entries = added.entries().saturating_add(removed.entries());
    if !(1..=RESERVE_ENTRIES_MAX).contains(&entries) {
        return Err(data.fault(format_args!(
            "1 to {RESERVE_ENTRIES_MAX} seats and lines to add and remove in all"
        )));
    }
    if shares_a_name(&added, &removed) {
        return Err(remove.fault("seats and SKUs that are not in add"));
    }
    let user_id = read_user(user_id)?;
    Ok(Modify { reservation_id, add: added, remove: removed, user_id })
}

fn shares_a_name(one: &Holdings, other: &Holdings) -> bool {
    let seats: BTreeSet<_> = one.seats.iter().collect();
    let skus: BTreeSet<_> = one.lines.iter().map(|line| &line.sku).collect();
    other.seats.iter().any(|seat| seats.contains(seat))
        || other.lines.iter().any(|line| skus.contains(&line.sku))
}

/// Either may be empty: the sum is what counts.
fn read_holdings(node: Node<'_, '_>, pool: &PoolId) -> Result<Holdings, FieldError> {
    let data = node.object()?;
    let [seats, lines] = data.fields(["seats", "lines"]);
    let entries = Entries::read_any(seats, lines, pool)?;
    if entries.len() > RESERVE_ENTRIES_MAX {
        return Err(data.fault(format_args!("at most {RESERVE_ENTRIES_MAX} seats and lines")));
    }
    Ok(Holdings {
        seats: entries.seats.map_or(Ok(Vec::new()), |seats| read_seats(&seats))?,
        lines: entries.lines.map_or(Ok(Vec::new()), |lines| read_lines(&lines))?,
    })
}

fn read_confirm(data: &Object<'_, '_>) -> Result<Confirm, FieldError> {
    let [reservation_id, booking_id, user_id, goods, allow_expired] =
        data.fields(["reservation_id", "booking_id", "user_id", "goods", "allow_expired"]);
    Ok(Confirm {
        reservation_id: reservation_id.text()?,
        booking_id: booking_id.text()?,
        user_id: read_user(user_id)?,
        goods: goods.given().map_or(Ok(Goods::Leave), |goods| goods.word(&GOODS))?,
        allow_expired: read_flag(allow_expired)?,
    })
}

fn read_fulfil(data: &Object<'_, '_>) -> Result<Fulfil, FieldError> {
    let [reservation_id, user_id] = data.fields(["reservation_id", "user_id"]);
    Ok(Fulfil { reservation_id: reservation_id.text()?, user_id: read_user(user_id)? })
}

fn read_cancel(data: &Object<'_, '_>) -> Result<Cancel, FieldError> {
    let [reservation_id, user_id, reason, refund, seats_to] =
        data.fields(["reservation_id", "user_id", "reason", "refund", "seats_to"]);
    let seats_to = seats_to.given().map(|status| status.word(&STATUSES)).transpose()?;
    Ok(Cancel {
        reservation_id: reservation_id.text()?,
        user_id: read_user(user_id)?,
        reason: read_reason(reason)?,
        refund: read_flag(refund)?,
        seats_to: seats_to.unwrap_or(RestockStatus::Available),
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
    let [seats, lines, mode, as_of, reason, reference] =
        data.fields(["seats", "lines", "mode", "as_of", "reason", "reference"]);
    let entries = Entries::read(data, seats, lines, pool, RESTOCK_ENTRIES_MAX)?;
    let seats = entries.seats.map_or(Ok(Vec::new()), |seats| read_changes(&seats))?;
    let mode = match mode.given() {
        None if entries.lines.as_ref().is_none_or(|lines| lines.len() == 0) => RestockMode::Set,
        _ => mode.word(&MODES)?,
    };
    let lines = entries.lines.map_or(Ok(Vec::new()), |lines| read_line_changes(&lines, mode))?;
    let as_of = as_of.given().map(|at| at.timestamp()).transpose()?;
    let reason = read_reason(reason)?;
    let reference = reference.given().map(|reference| reference.text()).transpose()?;
    Ok(Restock { seats, lines, mode, as_of, reason, reference })
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
        let read = Self::read_any(seats, lines, pool)?;
        if !(1..=max).contains(&read.len()) {
            return Err(data.fault(format_args!("1 to {max} seats and lines in all")));
        }
        Ok(read)
    }

    /// However many there are.
    fn read_any(
        seats: Node<'v, 'p>,
        lines: Node<'v, 'p>,
        pool: &PoolId,
    ) -> Result<Self, FieldError> {
        let array = |node: Node<'v, 'p>| node.given().map(|node| node.array()).transpose();
        let read = Self { seats: array(seats)?, lines: array(lines)? };
        if read.seats.as_ref().is_some_and(|seats| seats.len() > 0) && pool.event_id().is_none() {
            return Err(seats.fault("no seats, which belong to events"));
        }
        Ok(read)
    }

    fn len(&self) -> usize {
        let count = |array: &Option<Array<'_, '_>>| array.as_ref().map_or(0, Array::len);
        count(&self.seats).saturating_add(count(&self.lines))
    }
}

fn read_seats(seats: &Array<'_, '_>) -> Result<Vec<SeatNumber>, FieldError> {
    let read = seats.read(|seat| seat.text::<SeatNumber>())?;
    seats.unique(&read, None, SeatNumber::as_str)?;
    Ok(read)
}

fn read_lines(lines: &Array<'_, '_>) -> Result<Vec<OrderLine>, FieldError> {
    let read = lines.read(|line| {
        let line = line.object()?;
        let [sku, quantity] = line.fields(["sku", "quantity"]);
        let sku: Sku = sku.text()?;
        Ok(OrderLine { sku, quantity: quantity.integer(1..=QUANTITY_MAX)? })
    })?;
    lines.unique(&read, Some("sku"), |line| line.sku.as_str())?;
    Ok(read)
}

fn read_line_changes(
    lines: &Array<'_, '_>,
    mode: RestockMode,
) -> Result<Vec<LineChange>, FieldError> {
    let max = i64::try_from(QUANTITY_MAX).unwrap_or(i64::MAX);
    let min = match mode {
        RestockMode::Set => 0,
        RestockMode::Add => -max,
    };
    let read = lines.read(|line| {
        let line = line.object()?;
        let [sku, quantity, expected_version] =
            line.fields(["sku", "quantity", "expected_version"]);
        let sku: Sku = sku.text()?;
        let quantity = quantity.signed(min..=max)?;
        let expected_version =
            expected_version.given().map(|node| node.integer(0..=VERSION_MAX)).transpose()?;
        Ok(LineChange { sku, quantity, expected_version })
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
