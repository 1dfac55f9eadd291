//! The view: a projection of a pool in memory, of committed states only.
//!
//! A pool is a layout (seat numbers, sections, rows, types, prices), which changes with restocks
//! alone, and beside it one packed entry a seat or line. An entry is replaced by one of a higher
//! version only, so that pages read at different moments, and hints in any order, make one
//! projection in which nothing goes back.

pub mod cache;
pub mod counts;
pub mod document;
pub mod entry;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod layout;
mod memo;
mod packed;
pub mod read;
mod slots;
mod unannounced;
mod watched;

use std::sync::Arc;

pub use cache::{Found, Snapshot, Trust, ViewCache, ViewSettings, ViewStats, Watch};
pub use counts::{Availability, Counts, Group};
pub use document::Document;
pub use entry::{LineEntry, Reason, SeatEntry};
pub use layout::SeatLayout;
pub(super) use memo::apart;
pub use read::{Content, read_pool};

use crate::domain::{PoolId, SeatNumber, Sku, Timestamp};

/// A change that was committed, as a worker announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A seat of the pool.
    Seat(SeatNumber, SeatEntry),
    /// A line of the pool.
    Line(Sku, LineEntry),
}

/// What a hint did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The entry is replaced.
    Changed,
    /// The entry has this version or a higher one.
    Known,
    /// There is no such entry: the pool must be read again.
    Unknown,
}

/// The projection of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    pool: PoolId,
    generation: u64,
    layout_generation: u64,
    layout: Arc<SeatLayout>,
    seats: Vec<SeatEntry>,
    skus: Arc<Vec<Sku>>,
    lines: Vec<LineEntry>,
}

impl PoolView {
    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// Goes up at each change of an entry or of the layout.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The layout of its seats.
    #[must_use]
    pub fn layout(&self) -> &SeatLayout {
        &self.layout
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_layout(&self) -> Arc<SeatLayout> {
        Arc::clone(&self.layout)
    }

    /// Goes up at each change of the layout.
    #[must_use]
    pub fn layout_generation(&self) -> u64 {
        self.layout_generation
    }

    /// The entries of its seats, in the layout's order.
    #[must_use]
    pub fn seats(&self) -> &[SeatEntry] {
        &self.seats
    }

    /// Its lines, by SKU.
    pub fn lines(&self) -> impl Iterator<Item = (&Sku, &LineEntry)> {
        self.skus.iter().zip(&self.lines)
    }

    /// The lines after a SKU, by SKU; all without one.
    pub fn lines_after(&self, sku: Option<&str>) -> impl Iterator<Item = (&Sku, &LineEntry)> {
        let first = sku.map_or(0, |sku| self.skus.partition_point(|one| one.as_str() <= sku));
        self.lines().skip(first)
    }

    /// Seats and lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len().saturating_add(self.lines.len())
    }

    /// Whether it has neither seats nor lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the first hold after `now` ends that makes its seat sellable: until then, what is
    /// computed at `now` stays right.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.seats.iter().filter_map(|seat| seat.sellable_after(now)).min()
    }

    /// Whether it has the same layout as another, and no seat in an older version.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let mut both = self.seats.iter().zip(&other.seats);
        self.layout == other.layout && both.all(|(seat, other)| seat.version >= other.version)
    }

    /// This projection after the pool was read again. Each entry that both have keeps the higher
    /// version; what was not read is gone.
    #[must_use]
    pub fn refreshed(&self, read: &Self) -> Self {
        let mut fresh = read.clone();
        keep_newer(&self.layout.numbers, &self.seats, &fresh.layout.numbers, &mut fresh.seats);
        keep_newer(&self.skus, &self.lines, &fresh.skus, &mut fresh.lines);
        let same_layout = self.layout == fresh.layout;
        if same_layout {
            fresh.layout = Arc::clone(&self.layout);
        }
        let same = same_layout
            && self.seats == fresh.seats
            && self.skus == fresh.skus
            && self.lines == fresh.lines;
        fresh.layout_generation = self.layout_generation.saturating_add(u64::from(!same_layout));
        fresh.generation = self.generation.saturating_add(u64::from(!same));
        fresh
    }

    /// Applies a hint: the entry is replaced where its version is lower.
    pub fn apply(&mut self, hint: &Hint) -> Applied {
        let applied = match hint {
            Hint::Seat(number, entry) => {
                replace(&self.layout.numbers, &mut self.seats, number, *entry)
            }
            Hint::Line(sku, entry) => replace(&self.skus, &mut self.lines, sku, *entry),
        };
        self.generation = self.generation.saturating_add(u64::from(applied == Applied::Changed));
        applied
    }
}

/// An entry with a version.
trait Versioned: Copy {
    fn version(&self) -> u64;
}

impl Versioned for SeatEntry {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for LineEntry {
    fn version(&self) -> u64 {
        self.version
    }
}

/// Puts what is kept in the place of what was read, where the version kept is higher. Both lists of
/// keys ascend.
fn keep_newer<K: Ord, E: Versioned>(kept: &[K], old: &[E], read: &[K], fresh: &mut [E]) {
    let mut old = kept.iter().zip(old).peekable();
    for (key, entry) in read.iter().zip(fresh) {
        while old.next_if(|(kept, _)| *kept < key).is_some() {}
        let same = old.next_if(|(kept, _)| *kept == key).filter(|_| !injected_bug!(ReadGoesBack));
        if let Some((_, newer)) = same.filter(|(_, kept)| kept.version() > entry.version()) {
            *entry = *newer;
        }
    }
}

fn replace<K: Ord, E: Versioned>(keys: &[K], entries: &mut [E], key: &K, entry: E) -> Applied {
    let found = keys.binary_search(key).ok().and_then(|index| entries.get_mut(index));
    match found {
        None => Applied::Unknown,
        Some(known) if known.version() >= entry.version() && !injected_bug!(HintGoesBack) => {
            Applied::Known
        }
        Some(known) => {
            *known = entry;
            Applied::Changed
        }
    }
}

#[cfg(test)]
mod tests;
