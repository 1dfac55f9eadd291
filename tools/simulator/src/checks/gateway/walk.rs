//! A list read page by page to its end: what did not change is in it exactly once.

use std::collections::BTreeMap;

use super::{Moment, seats};
use crate::checks::{
    Violation, ensure,
    model::{Model, Table},
};
use inventory_worker::{
    domain::{LineKey, PoolId, Seat, SeatKey, Timestamp},
    gateway::queries::SeatFilter,
};

/// The keys of each page, and the moment of its answer.
pub(crate) type Pages = [(Moment, Vec<String>)];

/// Within a page and from page to page, keys ascend.
pub(crate) fn ascends(pages: &Pages) -> Result<(), Violation> {
    let keys = || pages.iter().flat_map(|(_, keys)| keys);
    let wrong = keys().zip(keys().skip(1)).find(|(one, next)| one >= next);
    ensure(wrong.is_none(), "pages", || format!("keys do not ascend: {wrong:?}"))
}

/// The time from the oldest state that a page may show to the last answer, and what the answers
/// call now.
struct Window {
    since: Timestamp,
    until: Timestamp,
    nows: [Timestamp; 2],
}

impl Window {
    fn of(pages: &Pages) -> Option<Self> {
        let moments = || pages.iter().map(|(moment, _)| moment);
        let nows = || moments().map(|moment| moment.now);
        Some(Self {
            since: moments().map(|moment| moment.since).min()?,
            until: moments().map(|moment| moment.at).max()?,
            nows: [nows().min()?, nows().max()?],
        })
    }

    /// Whether the list must have the item, and whether it may.
    fn asks<K: Ord + Clone, T>(
        &self,
        table: &Table<K, T>,
        key: &K,
        is_wanted: impl Fn(&T, Timestamp) -> bool,
    ) -> (bool, bool) {
        let states: Vec<_> = table
            .states(key)
            .filter(|state| state.from <= self.until && state.until >= self.since)
            .collect();
        let always = |item: &T| self.nows.iter().all(|now| is_wanted(item, *now));
        let ever = |item: &T| self.nows.iter().any(|now| is_wanted(item, *now));
        let was_there = table.states(key).next().is_some_and(|first| first.from < self.since);
        let must = was_there && states.iter().all(|state| always(state.item));
        (must, states.iter().any(|state| ever(state.item)))
    }
}

/// Checks a list of seats that was read to its end. Returns whether anything changed meanwhile.
pub(crate) fn seats(
    model: &Model,
    event_id: u64,
    filter: &SeatFilter,
    pages: &Pages,
) -> Result<bool, Violation> {
    let wanted = |seat: &Seat, now: Timestamp| {
        let [section, ..] = seats::details(seat);
        let is_section = filter.section.as_ref().map(|section| section.as_str());
        filter.status.is_none_or(|status| status == seat.occupancy.status())
            && filter.sellable.is_none_or(|sellable| sellable == seats::is_sellable(seat, now))
            && is_section.is_none_or(|wanted| section.as_deref() == Some(wanted))
    };
    let keys = model.seats.keys().filter(|key: &&SeatKey| key.event_id == event_id);
    let keys = keys.map(|key| (key.number.to_string(), key));
    complete(&model.seats, keys.collect(), wanted, pages)
}

/// The same for a list of lines.
pub(crate) fn lines(model: &Model, pool: &PoolId, pages: &Pages) -> Result<bool, Violation> {
    let keys = model.lines.keys().filter(|key: &&LineKey| key.pool == *pool);
    let keys = keys.map(|key| (key.sku.to_string(), key));
    complete(&model.lines, keys.collect(), |_, _| true, pages)
}

fn complete<K: Ord + Clone, T>(
    table: &Table<K, T>,
    keys: BTreeMap<String, &K>,
    is_wanted: impl Fn(&T, Timestamp) -> bool + Copy,
    pages: &Pages,
) -> Result<bool, Violation> {
    let Some(window) = Window::of(pages) else { return Ok(false) };
    let mut has_changed = false;
    for (name, key) in keys {
        let (must, may) = window.asks(table, key, is_wanted);
        has_changed |= must != may;
        let times = pages.iter().flat_map(|(_, keys)| keys).filter(|other| **other == name).count();
        let holds = if must { times == 1 } else { times <= usize::from(may) };
        ensure(holds, "pages", || {
            let Window { since, until, .. } = window;
            format!(
                "{name} is {times} times in a list of {since} to {until}: must be {must}, may be {may}"
            )
        })?;
    }
    Ok(has_changed)
}
