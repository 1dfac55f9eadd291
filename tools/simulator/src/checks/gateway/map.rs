//! The map of an event, read back from its columns, apart from the code that writes them.

use jiff::SignedDuration;
use serde::Deserialize;

use super::seats::ShownSeat;
use crate::checks::Violation;
use inventory_worker::domain::{SeatStatus, Timestamp};

#[derive(Deserialize)]
struct Layout {
    numbers: Vec<String>,
    sections: Column,
    rows: Column,
    types: Column,
    prices: Column,
}

#[derive(Deserialize)]
struct Column {
    values: Vec<String>,
    of: Vec<Option<usize>>,
}

impl Column {
    fn get(&self, index: usize) -> Option<String> {
        self.values.get((*self.of.get(index)?)?).cloned()
    }
}

#[derive(Deserialize)]
struct Map {
    layout: String,
    status: String,
    sellable: String,
    versions: Vec<u64>,
    holds: Holds,
}

#[derive(Deserialize)]
struct Holds {
    from: Option<Timestamp>,
    after: Vec<Option<i64>>,
}

/// The seats of a map and of the layout with this tag.
pub(crate) fn read(layout: (&str, &[u8]), map: &[u8]) -> Result<Vec<ShownSeat>, Violation> {
    let (tag, layout) = layout;
    let wrong = |what: &str| Violation::new("map", what.to_owned());
    let unreadable = |error: serde_json::Error| wrong(&error.to_string());
    let layout: Layout = serde_json::from_slice(layout).map_err(unreadable)?;
    let map: Map = serde_json::from_slice(map).map_err(unreadable)?;
    let count = layout.numbers.len();
    let lengths = [map.status.len(), map.sellable.len(), map.versions.len()];
    if map.layout != tag || lengths != [count; 3] {
        return Err(wrong("it is of another layout"));
    }
    let mut after = map.holds.after.iter();
    let mut seats = Vec::new();
    let columns = map.status.chars().zip(map.sellable.chars()).zip(map.versions);
    for (index, (number, ((letter, sellable), version))) in
        layout.numbers.iter().zip(columns).enumerate()
    {
        let status = match letter {
            'A' => SeatStatus::Available,
            'R' => SeatStatus::Reserved,
            'B' => SeatStatus::Booked,
            'X' => SeatStatus::Blocked,
            _ => return Err(wrong("a status of no letter")),
        };
        let mut until = None;
        if status == SeatStatus::Reserved {
            let seconds = after.next().ok_or_else(|| wrong("a held seat without an end"))?;
            let end = |from: Timestamp| Some(from + SignedDuration::from_secs((*seconds)?));
            until = map.holds.from.and_then(end);
        }
        let details = [&layout.sections, &layout.rows, &layout.types, &layout.prices]
            .map(|column| column.get(index));
        let (number, is_sellable) = (number.clone(), sellable == '1');
        seats.push(ShownSeat { number, version, status, until, is_sellable, details });
    }
    Ok(seats)
}
