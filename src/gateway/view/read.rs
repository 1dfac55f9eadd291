//! Reads a pool from the tables.

use std::sync::Arc;

use super::{LineEntry, PoolView, SeatEntry, SeatLayout};
use crate::{
    domain::{PoolId, SeatDetails, SeatNumber, Sku},
    ports::{Page, PageCursor, PortError, Record, ScanStore},
};

/// What the tables have of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Neither seats nor lines.
    Nothing,
    /// Seats, lines or both.
    View(Arc<PoolView>),
    /// More seats and lines than were to be read.
    TooLarge,
}

/// Reads a pool page by page: the seats of an event, and the lines of either kind of pool. Stops
/// where there are more than `entries_max`.
///
/// # Errors
///
/// The tables cannot be read.
pub async fn read_pool(
    store: &dyn ScanStore,
    pool: &PoolId,
    entries_max: usize,
) -> Result<Content, PortError> {
    let mut builder = Builder { entries_max, ..Builder::default() };
    let read = match pool.event_id() {
        Some(_) => builder.read(store, pool, Part::Seats).await?,
        None => true,
    };
    if !(read && builder.read(store, pool, Part::Lines).await?) {
        return Ok(Content::TooLarge);
    }
    Ok(builder.build(pool))
}

/// One of the two partitions of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Seats; a store has none.
    Seats,
    /// Lines.
    Lines,
}

/// The next page of a part of a pool, of up to `limit` entries.
///
/// # Errors
///
/// The table cannot be read, or the cursor is no seat number or SKU ([`PortError::Refused`]).
pub async fn page(
    store: &dyn ScanStore,
    pool: &PoolId,
    part: Part,
    from: Option<&PageCursor>,
    limit: usize,
) -> Result<Page, PortError> {
    match (part, pool) {
        (Part::Seats, PoolId::Event(event_id)) => store.seats(*event_id, from, limit).await,
        (Part::Seats, PoolId::Store(_)) => Ok(Page::default()),
        (Part::Lines, pool) => store.lines(pool, from, limit).await,
    }
}

/// Whether the pool has a seat or a line.
///
/// # Errors
///
/// The tables cannot be read.
pub(super) async fn exists(store: &dyn ScanStore, pool: &PoolId) -> Result<bool, PortError> {
    for part in [Part::Seats, Part::Lines] {
        if !page(store, pool, part, None, 1).await?.records.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Default)]
struct Builder {
    seats: Vec<(SeatNumber, SeatDetails, SeatEntry)>,
    lines: Vec<(Sku, LineEntry)>,
    entries_max: usize,
}

impl Builder {
    /// Whether all of it fits.
    async fn read(
        &mut self,
        store: &dyn ScanStore,
        pool: &PoolId,
        part: Part,
    ) -> Result<bool, PortError> {
        let mut from = None;
        loop {
            let found = page(store, pool, part, from.as_ref(), usize::MAX).await?;
            found.records.into_iter().for_each(|record| self.push(record));
            if self.seats.len().saturating_add(self.lines.len()) > self.entries_max {
                return Ok(false);
            }
            from = found.next;
            if from.is_none() || injected_bug!(FirstPageOnly) {
                return Ok(true);
            }
        }
    }

    fn push(&mut self, record: Record) {
        match record {
            Record::Seat(key, seat) => {
                let entry = SeatEntry::from(&seat);
                self.seats.push((key.number, seat.details, entry));
            }
            Record::Line(key, line) => self.lines.push((key.sku, LineEntry::from(&line))),
            Record::Reservation(_) | Record::Ledger(..) => {}
        }
    }

    fn build(self, pool: &PoolId) -> Content {
        match assemble(pool, self.seats, self.lines) {
            Some(view) => Content::View(Arc::new(view)),
            None => Content::Nothing,
        }
    }
}

/// A projection of these seats and lines, in any order; `None` of none.
pub(super) fn assemble(
    pool: &PoolId,
    mut seats_read: Vec<(SeatNumber, SeatDetails, SeatEntry)>,
    mut lines_read: Vec<(Sku, LineEntry)>,
) -> Option<PoolView> {
    if seats_read.is_empty() && lines_read.is_empty() {
        return None;
    }
    // Tables list by key; of a key listed twice, the higher version counts.
    seats_read.sort_by(|(a, _, x), (b, _, y)| a.cmp(b).then(y.version.cmp(&x.version)));
    seats_read.dedup_by(|(later, ..), (first, ..)| later == first);
    lines_read.sort_by(|(a, x), (b, y)| a.cmp(b).then(y.version.cmp(&x.version)));
    lines_read.dedup_by(|(later, _), (first, _)| later == first);
    let mut layout = SeatLayout::default();
    let mut seats = Vec::with_capacity(seats_read.len());
    for (number, details, entry) in seats_read {
        layout.push(number, &details);
        seats.push(entry);
    }
    layout.finish();
    let (skus, lines) = lines_read.into_iter().unzip();
    Some(PoolView {
        pool: pool.clone(),
        generation: 1,
        layout_generation: 1,
        layout: Arc::new(layout),
        seats,
        skus: Arc::new(skus),
        lines,
    })
}
