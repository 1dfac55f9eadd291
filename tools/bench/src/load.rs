//! Commands to process, and the seats they reserve.

use std::collections::BTreeMap;

use uuid::Uuid;

use inventory_worker::{
    domain::{
        Action, CommandKey, GroupId, InvalidText, Label, LineChange, PoolId, Price, Reservation,
        ReservationId, ReservationStatus, Reserve, Restock, RestockMode, Seat, SeatDetails,
        SeatKey, SeatNumber, SeatState, Timestamp,
    },
    message::{self, OutgoingCommand},
    ports::{OutgoingMessage, Record},
};

/// The event on sale.
pub(super) const EVENT: u64 = 1;

/// The producer's `source`.
pub(super) const SOURCE: &str = "/services/booking";

/// The number of a seat, with a section and a row as in a real venue.
pub(super) fn seat_number(number: usize) -> Result<SeatNumber, InvalidText> {
    format!("S{:02}-R{:03}-{:03}", number / 10_000, number / 50 % 200, number % 50).parse()
}

/// A seat of the event.
pub(super) fn seat_key(number: usize) -> Result<SeatKey, InvalidText> {
    Ok(SeatKey { event_id: EVENT, number: seat_number(number)? })
}

/// A seat on sale.
pub(super) fn seat(number: usize, now: Timestamp) -> Result<Seat, InvalidText> {
    let label = |text: String| text.parse::<Label>().map(Some);
    let details = SeatDetails {
        section: label(format!("S{:02}", number / 10_000))?,
        row_number: label(format!("R{:03}", number / 50 % 200))?,
        seat_type: label("STANDARD".to_owned())?,
        price: "49.50".parse::<Price>().ok(),
    };
    let occupancy = SeatState::Available;
    let (version, created_at, updated_at) = (1, now, now);
    Ok(Seat { details, occupancy, withheld: false, version, created_at, updated_at })
}

/// The first seats of the event, on sale.
pub(super) fn seats(count: usize, now: Timestamp) -> Result<Vec<Record>, InvalidText> {
    (0..count).map(|number| Ok(Record::Seat(seat_key(number)?, seat(number, now)?))).collect()
}

/// A command's identity.
pub(super) fn command_key(number: usize) -> Result<CommandKey, InvalidText> {
    let id = Uuid::from_u128(0x018f_6d1e_7c1b_7d6e_9a35_0000_0000_0000 + number as u128);
    Ok(CommandKey { source: SOURCE.parse()?, id: id.to_string().parse()? })
}

/// A reserve of one seat, of the same number as the command.
pub(super) fn reserve(number: usize) -> Result<Action, InvalidText> {
    Ok(Action::Reserve(Reserve {
        reservation_id: command_key(number)?.default_reservation_id(),
        user_id: format!("user-{number}").parse()?,
        seats: vec![seat_number(number)?],
        lines: Vec::new(),
        hold_seconds: None,
    }))
}

/// A message with that command.
pub(super) fn message(
    number: usize,
    group: &GroupId,
    pool: PoolId,
    action: Action,
    now: Timestamp,
) -> Result<OutgoingMessage, InvalidText> {
    let key = command_key(number)?;
    let command =
        OutgoingCommand { key, time: now, deadline: None, pool, action, traceparent: None };
    let body = message::encode_command(&command);
    Ok(OutgoingMessage {
        group: group.clone(),
        body,
        deduplication_id: None,
        attributes: BTreeMap::new(),
    })
}

/// A reserve of one seat, as a message.
pub(super) fn reserve_message(
    number: usize,
    group: &GroupId,
    now: Timestamp,
) -> Result<OutgoingMessage, InvalidText> {
    message(number, group, PoolId::Event(EVENT), reserve(number)?, now)
}

/// A restock of a store, as a message.
pub(super) fn restock_message(skus: usize, now: Timestamp) -> Result<OutgoingMessage, InvalidText> {
    let lines: Result<Vec<LineChange>, InvalidText> = (0..skus)
        .map(|number| Ok(LineChange::new(format!("sku-{number:05}").parse()?, 100)))
        .collect();
    let restock = Restock::new(Vec::new(), lines?, RestockMode::Set);
    let action = Action::Restock(Restock { as_of: Some(now), ..restock });
    let pool = PoolId::Store("store-1".parse()?);
    message(0, &message::default_group(&pool, &action), pool, action, now)
}

/// A hold on a seat of the same number: the reservation and the seat.
pub(super) fn hold(
    number: usize,
    since: Timestamp,
    until: Timestamp,
) -> Result<[Record; 2], InvalidText> {
    let Action::Reserve(reserve) = reserve(number)? else {
        return Err(InvalidText { expected: "a reserve".to_owned() });
    };
    let id: ReservationId = reserve.reservation_id;
    let occupancy = SeatState::Reserved { reservation_id: id, by: reserve.user_id.clone(), until };
    let seat = Seat { occupancy, version: 2, ..seat(number, since)? };
    let reservation = Reservation {
        reservation_id: id,
        pool: PoolId::Event(EVENT),
        source: SOURCE.parse()?,
        user_id: reserve.user_id,
        status: ReservationStatus::Active,
        version: 1,
        seats: reserve.seats,
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: since,
        expires_at: until,
        ended_at: None,
    };
    Ok([Record::Seat(seat_key(number)?, seat), Record::Reservation(reservation)])
}
