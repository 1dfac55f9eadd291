//! What results say was changed: with it alone, a subscriber keeps a view of all seats and lines.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Violation, ensure, model::Model};
use inventory_worker::{
    adapters::memory::Tables,
    domain::{
        CommandKey, ItemState, LineKey, PoolId, Seat, SeatKey, SeatState, StockLevel, Timestamp,
    },
};

/// A seat or line in the state a command left it in, as a result lists it. The simulation has its
/// own form, so that an error in the worker's cannot hide itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Listed {
    Seat {
        seat_number: String,
        version: u64,
        status: String,
        #[serde(default)]
        reserved_until: Option<Timestamp>,
    },
    Line {
        sku: String,
        version: u64,
        on_hand: i64,
        available: i64,
        reserved: i64,
    },
}

impl Listed {
    pub(super) fn seat(key: &SeatKey, seat: &Seat) -> Self {
        let (status, reserved_until) = match &seat.occupancy {
            SeatState::Available => ("AVAILABLE", None),
            SeatState::Reserved { until, .. } => ("RESERVED", Some(*until)),
            SeatState::Booked { .. } => ("BOOKED", None),
            SeatState::Blocked => ("BLOCKED", None),
        };
        Self::Seat {
            seat_number: key.number.to_string(),
            version: seat.version,
            status: status.to_owned(),
            reserved_until,
        }
    }

    pub(super) fn line(key: &LineKey, line: &StockLevel) -> Self {
        Self::Line {
            sku: key.sku.to_string(),
            version: line.version,
            on_hand: line.available + line.reserved + line.committed,
            available: line.available,
            reserved: line.reserved,
        }
    }

    fn version(&self) -> u64 {
        match self {
            Self::Seat { version, .. } | Self::Line { version, .. } => *version,
        }
    }

    fn item(&self, pool: &PoolId) -> Item {
        let (is_seat, name) = match self {
            Self::Seat { seat_number, .. } => (true, seat_number.clone()),
            Self::Line { sku, .. } => (false, sku.clone()),
        };
        Item { pool: pool.clone(), is_seat, name }
    }
}

impl From<&ItemState> for Listed {
    fn from(state: &ItemState) -> Self {
        match state {
            ItemState::Seat { seat_number, version, status, reserved_until } => Self::Seat {
                seat_number: seat_number.to_string(),
                version: *version,
                status: status.as_str().to_owned(),
                reserved_until: *reserved_until,
            },
            ItemState::Line { sku, version, on_hand, available, reserved } => Self::Line {
                sku: sku.to_string(),
                version: *version,
                on_hand: *on_hand,
                available: *available,
                reserved: *reserved,
            },
        }
    }
}

/// Whether both list the same, in any order.
pub(crate) fn is_same(one: &[Listed], other: &[Listed]) -> bool {
    let sorted = |all: &[Listed]| {
        let mut all = all.to_vec();
        all.sort();
        all
    };
    sorted(one) == sorted(other)
}

/// A seat or line, by pool and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    pool: PoolId,
    is_seat: bool,
    name: String,
}

/// What a subscriber knows of the seats and lines, from published results alone.
#[derive(Debug, Default)]
pub(crate) struct View {
    items: BTreeMap<Item, BTreeMap<u64, Listed>>,
    /// The commands whose results it had.
    told: BTreeSet<CommandKey>,
}

impl View {
    /// Adds the changes of a result.
    pub(crate) fn add(
        &mut self,
        command: &CommandKey,
        pool: &PoolId,
        changes: &[Listed],
    ) -> Result<(), Violation> {
        self.told.insert(command.clone());
        for listed in changes {
            let versions = self.items.entry(listed.item(pool)).or_default();
            let first = versions.entry(listed.version()).or_insert_with(|| listed.clone());
            ensure(first == listed, "changes", || {
                format!("{listed:?} of {pool} was {first:?} in another result")
            })?;
        }
        Ok(())
    }

    /// Forgets which results it had: their identities are free for other commands.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }

    /// Checks that the view is complete and ends as the tables are. It lacks only what chunked
    /// restocks changed, and what no result was published of.
    pub(crate) fn check(&self, tables: &Tables, model: &Model) -> Result<(), Violation> {
        let seats = model
            .seats
            .versions()
            .map(|(key, by, seat)| (PoolId::Event(key.event_id), by, Listed::seat(key, seat)));
        let lines = model
            .lines
            .versions()
            .map(|(key, by, line)| (key.pool.clone(), by, Listed::line(key, line)));
        for (pool, by, listed) in seats.chain(lines) {
            let is_told = |by: &CommandKey| self.told.contains(by) && !model.chunked.contains(by);
            let seen = self.items.get(&listed.item(&pool));
            let seen = seen.and_then(|versions| versions.get(&listed.version()));
            let holds = match seen {
                Some(seen) => *seen == listed,
                None => !by.is_some_and(is_told),
            };
            ensure(holds, "view", || {
                format!("{by:?} changed {pool} to {listed:?}, which results show as {seen:?}")
            })?;
        }
        let seats = tables
            .seats
            .iter()
            .map(|(key, seat)| (PoolId::Event(key.event_id), Listed::seat(key, seat)));
        let lines =
            tables.lines.iter().map(|(key, line)| (key.pool.clone(), Listed::line(key, line)));
        let is: BTreeMap<Item, Listed> =
            seats.chain(lines).map(|(pool, listed)| (listed.item(&pool), listed)).collect();
        for (item, versions) in &self.items {
            let Some((_, last)) = versions.last_key_value() else { continue };
            let holds = is.get(item).is_some_and(|is| last.version() < is.version() || last == is);
            ensure(holds, "view", || {
                format!("{item:?} is {:?}, which results show as {last:?}", is.get(item))
            })?;
        }
        Ok(())
    }
}
