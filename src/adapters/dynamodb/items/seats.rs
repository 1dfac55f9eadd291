//! Seats.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{Seat, SeatDetails, SeatKey, SeatState};

use super::{
    super::{
        attributes::{Item, Reader, Unreadable, n, s},
        keys::ItemKey,
    },
    ItemBuilder,
};

pub(in super::super) fn write(key: &SeatKey, seat: &Seat) -> Item {
    let details = &seat.details;
    let label = |label: &Option<crate::domain::Label>| label.as_ref().map(|text| s(text.as_str()));
    let builder = ItemBuilder::new(&ItemKey::Seat(key.clone()))
        .maybe("section", label(&details.section))
        .maybe("row_number", label(&details.row_number))
        .maybe("seat_type", label(&details.seat_type))
        // A string: a number would lose the zero of "49.50".
        .maybe("price", details.price.map(|price| s(price.to_string())))
        .with("status", s(seat.occupancy.status().as_str()))
        .maybe("withheld", seat.withheld.then_some(AttributeValue::Bool(true)))
        .with("version", n(seat.version))
        .with("created_at", s(seat.created_at.to_string()))
        .with("updated_at", s(seat.updated_at.to_string()));
    match &seat.occupancy {
        SeatState::Available | SeatState::Blocked => builder,
        SeatState::Reserved { reservation_id, by, until } => builder
            .with("reservation_id", s(reservation_id.to_string()))
            .with("reserved_by", s(by.as_str()))
            .with("reserved_until", s(until.to_string())),
        SeatState::Booked { reservation_id, by, booking_id } => builder
            .with("reservation_id", s(reservation_id.to_string()))
            .with("reserved_by", s(by.as_str()))
            .with("booking_id", s(booking_id.as_str())),
    }
    .build()
}

pub(super) fn read(item: Reader<'_>) -> Result<Seat, Unreadable> {
    const LABEL: &str = "a label (S)";
    Ok(Seat {
        details: SeatDetails {
            section: item.optional("section", LABEL)?,
            row_number: item.optional("row_number", LABEL)?,
            seat_type: item.optional("seat_type", LABEL)?,
            price: item.optional("price", "a decimal text such as \"49.50\" (S)")?,
        },
        occupancy: read_occupancy(item)?,
        withheld: item.flag("withheld")?,
        version: item.integer("version")?,
        created_at: item.time("created_at")?,
        updated_at: item.time("updated_at")?,
    })
}

fn read_occupancy(item: Reader<'_>) -> Result<SeatState, Unreadable> {
    let reservation_id = || item.parsed("reservation_id", "a UUID (S)");
    let by = || item.parsed("reserved_by", "a user id (S)");
    match item.text("status")? {
        "AVAILABLE" => Ok(SeatState::Available),
        "BLOCKED" => Ok(SeatState::Blocked),
        "RESERVED" => Ok(SeatState::Reserved {
            reservation_id: reservation_id()?,
            by: by()?,
            until: item.time("reserved_until")?,
        }),
        "BOOKED" => Ok(SeatState::Booked {
            reservation_id: reservation_id()?,
            by: by()?,
            booking_id: item.parsed("booking_id", "a booking id (S)")?,
        }),
        _ => Err(Unreadable {
            attribute: "status",
            expected: "AVAILABLE, RESERVED, BOOKED or BLOCKED",
        }),
    }
}
