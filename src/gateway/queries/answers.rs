//! What queries answer.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    domain::{
        BookingId, Reservation, ReservationId, Seat, SeatKey, SeatNumber, SeatState, SeatStatus,
        Sku, Timestamp, UserId,
    },
    gateway::view::{Availability, Document, LineEntry, SeatEntry, Snapshot, layout::SeatPlace},
};

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewSource {
    /// The view in memory.
    Memory,
    /// The tables.
    Store,
}

impl ViewSource {
    /// The value of the header `View-Source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
        }
    }
}

/// How old an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Every change that was committed before this is in the answer.
    pub as_of: Timestamp,
    /// How long ago that is.
    pub age: Duration,
    /// The time of the answer, at which `sellable` is right.
    pub now: Timestamp,
    /// Where the answer comes from.
    pub source: ViewSource,
}

impl Freshness {
    pub(super) fn of(snapshot: &Snapshot, now: Timestamp) -> Self {
        let Snapshot { as_of, age, .. } = *snapshot;
        Self { as_of, age, now, source: ViewSource::Memory }
    }

    /// Read from the tables, from `begun` on, when it was `now`.
    pub(super) fn read(now: Timestamp, begun: Instant) -> Self {
        let age = if injected_bug!(ForgetReadTime) { Duration::ZERO } else { begun.elapsed() };
        Self { as_of: now, age, now, source: ViewSource::Store }
    }
}

/// A seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatInfo {
    /// Its number within the event.
    pub seat_number: SeatNumber,
    /// The section it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<Arc<str>>,
    /// Its row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_number: Option<Arc<str>>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat_type: Option<Arc<str>>,
    /// Its price, a decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Arc<str>>,
    /// Its status, as stored.
    pub status: SeatStatus,
    /// Whether a reserve may take it now: AVAILABLE, or RESERVED by a hold that ran out.
    pub sellable: bool,
    /// When its hold runs out, if it is RESERVED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_until: Option<Timestamp>,
    /// Goes up by one at each change.
    pub version: u64,
    /// Whose it is: for a point read with [`crate::gateway::Scope::ReadPrivate`] alone.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub owner: Option<SeatOwner>,
}

/// Whose a seat is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatOwner {
    /// The reservation that holds or booked it.
    pub reservation_id: ReservationId,
    /// The user it is held for or was sold to.
    pub user_id: UserId,
    /// The booking it belongs to, if it is BOOKED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
}

impl SeatInfo {
    /// A seat of a projection, as it is at `now`.
    #[must_use]
    pub fn packed(place: SeatPlace<'_>, entry: &SeatEntry, now: Timestamp) -> Self {
        Self {
            seat_number: place.number.clone(),
            section: place.section.cloned(),
            row_number: place.row_number.cloned(),
            seat_type: place.seat_type.cloned(),
            price: place.price.cloned(),
            status: entry.status,
            sellable: entry.is_sellable_at(now),
            reserved_until: entry.until(),
            version: entry.version,
            owner: None,
        }
    }

    /// The public fields of a stored seat, as it is at `now`.
    #[must_use]
    pub fn stored(number: &SeatNumber, seat: &Seat, now: Timestamp) -> Self {
        let label = |label: &Option<crate::domain::Label>| {
            label.as_ref().map(|label| Arc::from(label.as_str()))
        };
        let reserved_until = match seat.occupancy {
            SeatState::Reserved { until, .. } => Some(until),
            SeatState::Available | SeatState::Booked { .. } | SeatState::Blocked => None,
        };
        Self {
            seat_number: number.clone(),
            section: label(&seat.details.section),
            row_number: label(&seat.details.row_number),
            seat_type: label(&seat.details.seat_type),
            price: seat.details.price.map(|price| price.to_string().into()),
            status: seat.occupancy.status(),
            sellable: seat.is_available_at(now),
            reserved_until,
            version: seat.version,
            owner: None,
        }
    }
}

impl SeatOwner {
    /// The owner of a seat that has one.
    #[must_use]
    pub fn of(seat: &Seat) -> Option<Self> {
        let (reservation_id, user_id, booking_id) = match &seat.occupancy {
            SeatState::Reserved { reservation_id, by, .. } => (*reservation_id, by, None),
            SeatState::Booked { reservation_id, by, booking_id } => {
                (*reservation_id, by, Some(booking_id.clone()))
            }
            SeatState::Available | SeatState::Blocked => return None,
        };
        Some(Self { reservation_id, user_id: user_id.clone(), booking_id })
    }
}

/// One seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatAnswer {
    /// Its key.
    pub key: SeatKey,
    /// The seat.
    pub seat: SeatInfo,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// A page of an event's seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// By seat number, in byte order. May be empty before the last page.
    pub seats: Vec<SeatInfo>,
    /// For the next page; `None` after the last.
    pub next_cursor: Option<String>,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// One reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationAnswer {
    /// The reservation.
    pub reservation: Reservation,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// A line of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineInfo {
    /// The SKU, unique within its pool.
    pub sku: Sku,
    /// What is physically there: available, reserved and committed.
    pub quantity: i64,
    /// What may be sold. Below zero after a shortfall.
    pub available: i64,
    /// What ACTIVE reservations hold.
    pub reserved: i64,
    /// What is sold and still there.
    pub committed: i64,
    /// Goes up by one at each change.
    pub version: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl LineInfo {
    /// A line as it is.
    #[must_use]
    pub fn new(sku: &Sku, line: &LineEntry) -> Self {
        Self {
            sku: sku.clone(),
            quantity: line.on_hand(),
            available: line.available,
            reserved: line.reserved,
            committed: line.committed,
            version: line.version,
            updated_at: line.updated_at,
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAnswer {
    /// The line.
    pub line: LineInfo,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// A page of a pool's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// By SKU, in byte order. May be empty before the last page.
    pub lines: Vec<LineInfo>,
    /// For the next page; `None` after the last.
    pub next_cursor: Option<String>,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// The counts of an event's seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityAnswer {
    /// The event.
    pub event_id: u64,
    /// The counts.
    pub availability: Arc<Availability>,
    /// How old the answer is.
    pub freshness: Freshness,
}

/// The layout or the map of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAnswer {
    /// The document.
    pub document: Document,
    /// How old the answer is.
    pub freshness: Freshness,
}
