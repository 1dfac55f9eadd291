//! Changes that a read found before anybody announced them.
//!
//! While hints are trusted, a read of the pool finds nothing new but what is announced within moments.
//! A change that is still not announced later comes from a worker that announces nothing: one that
//! is cut off from Redis, or has hints turned off.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Hint, PoolView};
use crate::domain::{SeatNumber, Sku};

/// How long an announcement may take.
const LATE: Duration = Duration::from_secs(2);

/// Changes of one read that are looked at: any of them tells as much as all.
const FOUND_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Seat(SeatNumber),
    Line(Sku),
}

/// Versions that were found, until they are announced.
#[derive(Default)]
pub(super) struct Unannounced {
    versions: BTreeMap<Entry, u64>,
    since: Option<Instant>,
}

impl Unannounced {
    /// Takes note of what a read found newer than what is kept.
    pub(super) fn find(&mut self, kept: &PoolView, read: &PoolView) {
        let seats = newer(&kept.layout.numbers, &kept.seats, &read.layout.numbers, &read.seats);
        let lines = newer(&kept.skus, &kept.lines, &read.skus, &read.lines);
        let seats = seats.map(|(number, version)| (Entry::Seat(number.clone()), version));
        let lines = lines.map(|(sku, version)| (Entry::Line(sku.clone()), version));
        let found: Vec<_> = seats.chain(lines).take(FOUND_MAX).collect();
        if self.versions.is_empty() && !found.is_empty() {
            self.since = Some(Instant::now());
            self.versions.extend(found);
        }
    }

    /// A change was announced.
    pub(super) fn announced(&mut self, hint: &Hint) {
        if self.versions.is_empty() {
            return;
        }
        let (entry, version) = match hint {
            Hint::Seat(number, entry) => (Entry::Seat(number.clone()), entry.version),
            Hint::Line(sku, entry) => (Entry::Line(sku.clone()), entry.version),
        };
        if self.versions.get(&entry).is_some_and(|found| *found <= version) {
            self.versions.remove(&entry);
        }
    }

    /// What is missing is known to be missing.
    pub(super) fn clear(&mut self) {
        self.versions.clear();
    }

    /// Whether a change should have been announced by now and was not.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        !self.versions.is_empty()
            && self.since.is_some_and(|since| now.duration_since(since) > LATE)
    }
}

/// The entries that both have and `read` has in a higher version. Both lists of keys ascend.
fn newer<'a, K: Ord, E: super::Versioned>(
    kept: &'a [K],
    old: &'a [E],
    read: &'a [K],
    fresh: &'a [E],
) -> impl Iterator<Item = (&'a K, u64)> {
    let mut old = kept.iter().zip(old).peekable();
    read.iter().zip(fresh).filter_map(move |(key, entry)| {
        while old.next_if(|(kept, _)| *kept < key).is_some() {}
        let (_, known) = old.next_if(|(kept, _)| *kept == key)?;
        (entry.version() > known.version()).then_some((key, entry.version()))
    })
}
