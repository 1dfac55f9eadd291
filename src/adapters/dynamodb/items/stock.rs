//! Lines of stock.

use crate::domain::{LineKey, StockLevel};

use super::{
    super::{
        attributes::{Item, Reader, Unreadable, n, s},
        keys::ItemKey,
    },
    ItemBuilder,
};

pub(in super::super) fn write(key: &LineKey, line: &StockLevel) -> Item {
    ItemBuilder::new(&ItemKey::Line(key.clone()))
        .with("on_hand", n(line.on_hand()))
        .with("available", n(line.available))
        .with("reserved", n(line.reserved))
        .with("committed", n(line.committed))
        .maybe("as_of", line.as_of.map(|at| s(at.to_string())))
        .with("version", n(line.version))
        .with("updated_at", s(line.updated_at.to_string()))
        .build()
}

pub(super) fn read(item: Reader<'_>) -> Result<StockLevel, Unreadable> {
    let line = StockLevel {
        available: item.integer("available")?,
        reserved: item.integer("reserved")?,
        committed: item.integer("committed")?,
        as_of: item.optional_time("as_of")?,
        version: item.integer("version")?,
        updated_at: item.time("updated_at")?,
    };
    // This store never writes such a line: one of the numbers was changed by hand, and it is
    // unknown which.
    if item.integer::<i64>("on_hand")? != line.on_hand() {
        return Err(Unreadable {
            attribute: "on_hand",
            expected: "available + reserved + committed",
        });
    }
    Ok(line)
}
