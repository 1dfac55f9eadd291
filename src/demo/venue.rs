//! The stock on sale: the seats and the lawn of an event, and a store.

use std::str::FromStr;

use crate::domain::{
    InvalidText, LineChange, OrderLine, PoolId, Restock, RestockMode, RestockStatus, SeatChange,
    SeatNumber,
};

/// The event's id.
pub const EVENT: u64 = 1;
/// Seats in each row.
pub const ROW_SEATS: usize = 20;
/// The row of boxes, reserved for the scripted scenes: buyers of the rush skip it.
pub const BOXES: &str = "X";
/// A seat that is off sale.
pub const BLOCKED: &str = "X-20";
/// Places on the lawn: general admission, counted and not numbered.
pub const LAWN: (&str, u64) = ("lawn", 60);
/// Parking permits, sold along with seats.
pub const PARKING: (&str, u64) = ("parking", 400);
/// The store's id.
pub const STORE: &str = "kiosk-7";
/// SKUs in the store: more than one transaction takes.
pub const STORE_SKUS: usize = 600;
/// The quantity on hand of each SKU.
pub const STORE_QUANTITY: u64 = 3;

/// A part of the venue.
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Its rows, the best first.
    pub rows: &'static [&'static str],
    /// The price of a seat.
    pub price: &'static str,
}

/// The sections, the best seats first.
pub const SECTIONS: [Section; 4] = [
    Section { name: "Stalls", rows: &["A", "B", "C", "D"], price: "120.00" },
    Section { name: "Circle", rows: &["E", "F", "G", "H"], price: "85.00" },
    Section { name: "Gallery", rows: &["J", "K", "L", "M"], price: "49.50" },
    Section { name: "Boxes", rows: &[BOXES], price: "240.00" },
];

/// Rows that the rush buys from, the best first, with their sections.
pub fn rush_rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |section: &'static Section| section.rows.iter().map(|row| (section.name, *row));
    SECTIONS.iter().flat_map(of).filter(|(_, row)| *row != BOXES)
}

/// The number of a seat, counted from 0 in its row.
#[must_use]
pub fn seat_name(row: &str, index: usize) -> String {
    format!("{row}-{}", index + 1)
}

/// Text as an identifier.
pub fn text<T: FromStr<Err = InvalidText>>(text: impl AsRef<str>) -> Result<T, InvalidText> {
    text.as_ref().parse()
}

/// The event.
#[must_use]
pub fn event() -> PoolId {
    PoolId::Event(EVENT)
}

/// The store.
pub fn store() -> Result<PoolId, InvalidText> {
    Ok(PoolId::Store(text(STORE)?))
}

/// The restock that puts the event on sale.
pub fn event_restock() -> Result<Restock, InvalidText> {
    let mut seats = Vec::new();
    for section in &SECTIONS {
        for row in section.rows {
            for index in 0..ROW_SEATS {
                let number: SeatNumber = text(seat_name(row, index))?;
                let is_blocked = number.as_str() == BLOCKED;
                seats.push(SeatChange {
                    number,
                    section: Some(text(section.name)?),
                    row_number: Some(text(row)?),
                    seat_type: None,
                    price: Some(text(section.price)?),
                    status: is_blocked.then_some(RestockStatus::Blocked),
                });
            }
        }
    }
    let lines = [LAWN, PARKING].map(|(sku, quantity)| line(sku, quantity).map(LineChange::from));
    let lines = lines.into_iter().collect::<Result<_, _>>()?;
    Ok(Restock::new(seats, lines, RestockMode::Set))
}

/// The restock that fills the store.
pub fn store_restock() -> Result<Restock, InvalidText> {
    let lines =
        (1..=STORE_SKUS).map(|number| line(&sku(number), STORE_QUANTITY).map(LineChange::from));
    let lines = lines.collect::<Result<_, _>>()?;
    Ok(Restock::new(Vec::new(), lines, RestockMode::Set))
}

/// A SKU of the store, counted from 1.
#[must_use]
pub fn sku(number: usize) -> String {
    format!("SKU-{number:04}")
}

/// A quantity of a SKU.
pub fn line(sku: &str, quantity: u64) -> Result<OrderLine, InvalidText> {
    Ok(OrderLine { sku: text(sku)?, quantity })
}
