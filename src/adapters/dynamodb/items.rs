//! Items in the tables' form, converted to and from domain records.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    domain::Timestamp,
    ports::{PortError, Record, Table},
    retention::expires_second,
};

use super::{
    TableNames,
    attributes::{Item, Reader, Unreadable, integer, n},
    keys::{self, ItemKey},
};

pub(super) mod ledger;
pub(super) mod reservations;
pub(super) mod seats;
pub(super) mod stock;

/// The attribute DynamoDB deletes items by: seconds since 1970.
pub(super) const TTL: &str = "ttl";

/// The time to live of a record that ended or was decided at `from`. DynamoDB takes whole seconds.
pub(super) fn ttl(from: Timestamp) -> AttributeValue {
    n(expires_second(from))
}

/// Whether an item is past its time to live and counts as absent, whatever else it holds. DynamoDB
/// deletes such items "within a few days", and returns them until then.
pub(super) fn is_past(item: &Item, now: Timestamp) -> bool {
    item.get(TTL).and_then(integer::<i64>).is_some_and(|second| second <= now.as_second())
}

/// An item under construction.
pub(super) struct ItemBuilder(Item);

impl ItemBuilder {
    /// An item with its key.
    pub(super) fn new(key: &ItemKey) -> Self {
        let mut item = Item::with_capacity(16);
        key.write(&mut item);
        Self(item)
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, attribute: &'static str, value: AttributeValue) -> Self {
        self.0.insert(attribute.to_owned(), value);
        self
    }

    /// Adds an attribute if there is a value.
    pub(super) fn maybe(self, attribute: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.with(attribute, value),
            None => self,
        }
    }

    pub(super) fn build(self) -> Item {
        self.0
    }
}

/// The record an item holds, or `None` for a counter of attempts and for leases, which are no
/// records.
///
/// An unreadable item needs an operator: it is an error that names table, key and attribute, and
/// never counts as absent.
pub(super) fn read(
    tables: &TableNames,
    table: Table,
    item: &Item,
) -> Result<Option<Record>, PortError> {
    read_record(table, Reader(item)).map_err(|error| unreadable(tables, table, item, &error))
}

/// The error for an unreadable item.
pub(super) fn unreadable(
    tables: &TableNames,
    table: Table,
    item: &Item,
    error: &Unreadable,
) -> PortError {
    let (name, key) = (tables.name(table), keys::describe(table, item));
    let fix = "correct the item, or update the worker if a newer release wrote it";
    PortError::Unreadable(format!("table {name}, item with {key}: {error}; {fix}"))
}

fn read_record(table: Table, item: Reader<'_>) -> Result<Option<Record>, Unreadable> {
    Ok(Some(match table {
        Table::Seats => Record::Seat(keys::read_seat_key(item)?, seats::read(item)?),
        Table::Stock => Record::Line(keys::read_line_key(item)?, stock::read(item)?),
        Table::Reservations => Record::Reservation(reservations::read(item)?),
        Table::Ledger => {
            let Some(record) = ledger::read(item)? else { return Ok(None) };
            Record::Ledger(keys::read_ledger_key(item)?, record)
        }
    }))
}

#[cfg(test)]
mod tests;
