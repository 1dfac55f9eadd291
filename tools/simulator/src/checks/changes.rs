//! What results say was changed: with it alone, a subscriber keeps a view of all seats and lines.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, ensure, listed::Listed, model::Model};
use inventory_worker::{
    adapters::memory::Tables,
    domain::{CommandKey, PoolId},
};

/// A seat or line, by pool and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    pool: PoolId,
    is_seat: bool,
    name: String,
}

impl Item {
    fn of(listed: &Listed, pool: &PoolId) -> Self {
        let (is_seat, name) = match listed {
            Listed::Seat { seat_number, .. } => (true, seat_number.clone()),
            Listed::Line { sku, .. } => (false, sku.clone()),
        };
        Self { pool: pool.clone(), is_seat, name }
    }
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
            let versions = self.items.entry(Item::of(listed, pool)).or_default();
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
            let seen = self.items.get(&Item::of(&listed, &pool));
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
            seats.chain(lines).map(|(pool, listed)| (Item::of(&listed, &pool), listed)).collect();
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
