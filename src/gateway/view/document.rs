//! An event in columns, as JSON: what never changes in a sale, and what does.

use std::{io::Write as _, sync::Arc};

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde::{Serialize, Serializer, ser::Error as _};
use sha2::{Digest as _, Sha256};

use super::{PoolView, SeatEntry, layout::Column};
use crate::{
    domain::{SeatNumber, SeatStatus, Timestamp},
    message::to_json,
};

/// A document, encoded and compressed once and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Equal for equal content: 32 hexadecimal digits.
    pub tag: Arc<str>,
    /// Its text, as UTF-8; JSON but for the page.
    pub plain: Bytes,
    /// The same, compressed with gzip.
    pub gzip: Option<Bytes>,
}

impl Document {
    /// A text that seldom changes, compressed well.
    #[must_use]
    pub fn of_text(text: String) -> Self {
        Self::compressed(text, Compression::default())
    }

    fn compressed(text: String, compression: Compression) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let mut encoder = GzEncoder::new(Vec::new(), compression);
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).ok();
        Self { tag: tag.into(), plain: text.into(), gzip: gzip.map(Bytes::from) }
    }

    /// The layout of an event's seats.
    #[must_use]
    pub fn layout(view: &PoolView) -> Self {
        let layout = view.layout();
        Self::of_text(to_json(&LayoutBody {
            event_id: view.pool().event_id(),
            numbers: &layout.numbers,
            sections: &layout.sections,
            rows: &layout.rows,
            types: &layout.types,
            prices: &layout.prices,
        }))
    }

    /// The states of an event's seats at `now`, in the order of the layout with the tag `layout`.
    #[must_use]
    pub fn map(view: &PoolView, layout: &str, now: Timestamp) -> Self {
        // Made anew after each change, while somebody waits for it: the fastest level whose codes
        // fit the text. The one below makes 83 KB of a house of 20,000 seats at random.
        Self::compressed(to_json(&MapBody::of(view, layout, now)), Compression::new(2))
    }

    /// The JSON of [`Self::map`], without its tag and compressed form.
    #[must_use]
    pub fn map_json(view: &PoolView, layout: &str, now: Timestamp) -> Bytes {
        to_json(&MapBody::of(view, layout, now)).into()
    }
}

#[derive(Serialize)]
struct LayoutBody<'a> {
    event_id: Option<u64>,
    numbers: &'a [SeatNumber],
    sections: &'a Column,
    rows: &'a Column,
    types: &'a Column,
    prices: &'a Column,
}

#[derive(Serialize)]
struct MapBody<'a> {
    event_id: Option<u64>,
    /// The tag of the layout that has the seats' numbers.
    layout: &'a str,
    /// A letter a seat: A, R, B, or X for BLOCKED.
    status: Letters,
    /// `1` or `0` a seat.
    sellable: Letters,
    versions: Versions<'a>,
    holds: Holds,
}

/// A text of one ASCII character for each seat.
struct Letters(Vec<u8>);

impl Serialize for Letters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.0).map_err(S::Error::custom)?)
    }
}

struct Versions<'a>(&'a [SeatEntry]);

impl Serialize for Versions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|seat| seat.version))
    }
}

impl<'a> MapBody<'a> {
    fn of(view: &'a PoolView, layout: &'a str, now: Timestamp) -> Self {
        let seats = view.seats();
        Self {
            event_id: view.pool().event_id(),
            layout,
            status: Letters(seats.iter().map(SeatEntry::letter).collect()),
            sellable: Letters(seats.iter().map(|seat| sellable(seat, now)).collect()),
            versions: Versions(seats),
            holds: Holds::of(seats),
        }
    }
}

/// The ends of holds.
#[derive(Serialize)]
struct Holds {
    /// The earliest.
    from: Option<Timestamp>,
    /// Of each RESERVED seat, in the order of the seats, the end in seconds after `from`, rounded
    /// up.
    after: Vec<Option<i64>>,
}

impl Holds {
    fn of(seats: &[SeatEntry]) -> Self {
        let held = seats.iter().filter(|seat| seat.status == SeatStatus::Reserved);
        let ends: Vec<Option<Timestamp>> = held.map(SeatEntry::until).collect();
        let from = ends.iter().flatten().min().copied();
        let seconds = |until: Timestamp| {
            let passed = until.duration_since(from.unwrap_or(until));
            passed.as_secs().saturating_add(i64::from(passed.subsec_nanos() > 0))
        };
        Self { from, after: ends.into_iter().map(|until| until.map(seconds)).collect() }
    }
}

fn sellable(seat: &SeatEntry, now: Timestamp) -> u8 {
    if seat.is_sellable_at(now) { b'1' } else { b'0' }
}
