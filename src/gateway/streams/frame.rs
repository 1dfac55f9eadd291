//! What a feed tells: numbered deltas, and the state after the last of them.

use std::{fmt, ops::Range, sync::Arc};

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::OnceCell;

use super::sse;
use crate::{
    domain::Timestamp,
    gateway::view::{Document, PoolView, SeatEntry, apart},
    message::to_json,
    ports::PortError,
};

/// Bytes that a seat's update and its text take about.
const UPDATE_BYTES: usize = size_of::<SeatUpdate>();

/// The place of a frame: which feed, and how many frames it told before. `<epoch>-<n>`, the epoch in
/// 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameId {
    /// Another each time that a feed starts.
    pub(super) epoch: u64,
    /// From 0, the state that the feed began with.
    pub(super) number: u64,
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.number)
    }
}

impl FrameId {
    /// `None` for what no feed wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        let id = Self { epoch: u64::from_str_radix(epoch, 16).ok()?, number: number.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }
}

/// A seat that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatUpdate {
    /// Its index in the layout.
    pub position: u32,
    /// What it is now.
    pub entry: SeatEntry,
    /// Whether a reserve may take it now.
    pub sellable: bool,
}

/// Changes that are told together, encoded once.
#[derive(Debug)]
pub struct Frame {
    pub(super) id: FrameId,
    /// When they were found.
    pub now: Timestamp,
    /// When the read began that the view comes from.
    pub as_of: Timestamp,
    /// The seats, by position.
    pub seats: Vec<SeatUpdate>,
    text: Bytes,
    data: Range<usize>,
}

#[derive(Serialize)]
struct DeltaBody<'a> {
    now: Timestamp,
    as_of: Timestamp,
    layout: &'a str,
    seats: Vec<(u32, u64, char, u8, Option<Timestamp>)>,
}

impl Frame {
    /// The changes that led to a state.
    pub(super) fn new(state: &State, as_of: Timestamp, seats: Vec<SeatUpdate>) -> Self {
        let (id, now) = (state.id, state.now);
        let row = |seat: &SeatUpdate| {
            let SeatUpdate { position, entry, sellable } = seat;
            (
                *position,
                entry.version,
                char::from(entry.letter()),
                u8::from(*sellable),
                entry.until(),
            )
        };
        let layout = &state.layout;
        let body = DeltaBody { now, as_of, layout, seats: seats.iter().map(row).collect() };
        let mut text = sse::head("delta", Some(&id.to_string()));
        let begin = text.len();
        text.push_str(&to_json(&body));
        let data = begin..text.len();
        text.push_str(sse::END);
        Self { id, now, as_of, seats, text: text.into(), data }
    }

    /// By which a reader returns that has it.
    #[must_use]
    pub fn token(&self) -> String {
        self.id.to_string()
    }

    /// As a server-sent event; shared.
    pub(super) fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// Its data in JSON.
    pub(super) fn data(&self) -> &[u8] {
        self.text.get(self.data.clone()).unwrap_or_default()
    }

    /// The memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.seats.len().saturating_mul(UPDATE_BYTES).saturating_add(self.text.len())
    }
}

/// What has been told after a frame.
pub(super) struct State {
    pub(super) id: FrameId,
    pub(super) view: Arc<PoolView>,
    /// The tag of its layout.
    pub(super) layout: Arc<str>,
    /// The instant at which `sellable` was told.
    pub(super) now: Timestamp,
    map: OnceCell<Bytes>,
}

impl State {
    pub(super) fn new(id: FrameId, view: Arc<PoolView>, layout: Arc<str>, now: Timestamp) -> Self {
        Self { id, view, layout, now, map: OnceCell::new() }
    }

    /// The map in JSON, encoded once: one reader encodes it, and the others wait.
    pub(super) async fn map(&self) -> Result<Bytes, PortError> {
        let encode = || {
            let (view, layout, now) = (Arc::clone(&self.view), Arc::clone(&self.layout), self.now);
            apart(move || Document::map_json(&view, &layout, now))
        };
        self.map.get_or_try_init(encode).await.cloned()
    }

    /// The seats that are otherwise in `view`, which has the same layout, at `now`.
    pub(super) fn changes(&self, view: &PoolView, now: Timestamp) -> Vec<SeatUpdate> {
        let both = self.view.seats().iter().zip(view.seats());
        let changes = (0_u32..).zip(both).filter_map(|(position, (told, entry))| {
            let sellable = entry.is_sellable_at(now);
            let is_changed = entry != told || sellable != told.is_sellable_at(self.now);
            is_changed.then_some(SeatUpdate { position, entry: *entry, sellable })
        });
        changes.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_no_other_way() {
        let id = FrameId { epoch: 0x2a, number: 7 };
        assert_eq!(id.to_string(), "000000000000002a-7");
        assert_eq!(FrameId::parse("000000000000002a-7"), Some(id));
        for other in ["", "-", "2a-7", "000000000000002A-7", "000000000000002a-07", "7", "x-1"] {
            assert_eq!(FrameId::parse(other), None, "{other:?}");
        }
    }
}
