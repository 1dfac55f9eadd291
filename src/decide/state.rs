//! The items a batch names, as loaded, overlaid with the changes of its commands.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

use super::DecideError;
use crate::domain::{
    Changes, ItemState, LineKey, Reservation, ReservationId, Seat, SeatKey, SeatState, StockLevel,
};

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKey {
    /// A reservation.
    Reservation(ReservationId),
    /// A seat.
    Seat(SeatKey),
    /// A line.
    Line(LineKey),
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reservation(id) => write!(f, "reservation {id}"),
            Self::Seat(key) => write!(f, "seat {} of event#{}", key.number, key.event_id),
            Self::Line(key) => write!(f, "line {} of {}", key.sku, key.pool),
        }
    }
}

/// An item after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A reservation.
    Reservation(Reservation),
    /// A seat.
    Seat(SeatKey, Seat),
    /// A line.
    Line(LineKey, StockLevel),
}

impl Change {
    /// The changed item.
    #[must_use]
    pub fn key(&self) -> ItemKey {
        match self {
            Self::Reservation(reservation) => ItemKey::Reservation(reservation.reservation_id),
            Self::Seat(key, _) => ItemKey::Seat(key.clone()),
            Self::Line(key, _) => ItemKey::Line(key.clone()),
        }
    }

    /// The item's new version.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Reservation(reservation) => reservation.version,
            Self::Seat(_, seat) => seat.version,
            Self::Line(_, line) => line.version,
        }
    }
}

/// The changed seats and lines, in order, as a result lists them.
#[must_use]
pub fn listed(changes: &[Change]) -> Changes {
    let states = changes.iter().filter_map(|change| match change {
        Change::Reservation(_) => None,
        Change::Seat(key, seat) => Some(ItemState::Seat {
            seat_number: key.number.clone(),
            version: seat.version,
            status: seat.occupancy.status(),
            reserved_until: match seat.occupancy {
                SeatState::Reserved { until, .. } => Some(until),
                _ => None,
            },
        }),
        Change::Line(key, line) => Some(ItemState::Line {
            sku: key.sku.clone(),
            version: line.version,
            on_hand: line.on_hand(),
            available: line.available,
            reserved: line.reserved,
        }),
    });
    Changes::Listed(states.collect())
}

/// Lines whose available crossed zero, counted per direction so that one does not hide the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oversold {
    /// Lines that went below zero.
    pub below: u64,
    /// Lines that returned from below zero.
    pub back: u64,
}

impl AddAssign for Oversold {
    fn add_assign(&mut self, more: Self) {
        self.below += more.below;
        self.back += more.back;
    }
}

/// Items by key, `None` for an item known not to exist.
///
/// Every change is recorded; [`State::take_changes`] separates the changes of one command from
/// those of the next.
#[derive(Clone, Debug, Default)]
pub struct State {
    reservations: BTreeMap<ReservationId, Option<Reservation>>,
    seats: BTreeMap<SeatKey, Option<Seat>>,
    lines: BTreeMap<LineKey, Option<StockLevel>>,
    changes: Vec<Change>,
    oversold: Oversold,
}

impl State {
    /// A state of the loaded items.
    #[must_use]
    pub fn new(
        reservations: BTreeMap<ReservationId, Option<Reservation>>,
        seats: BTreeMap<SeatKey, Option<Seat>>,
        lines: BTreeMap<LineKey, Option<StockLevel>>,
    ) -> Self {
        Self { reservations, seats, lines, ..Self::default() }
    }

    /// The reservation, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`DecideError::NotLoaded`], here and below: an item counts as absent only if it was loaded
    /// as absent.
    pub fn reservation(&self, id: ReservationId) -> Result<Option<&Reservation>, DecideError> {
        match self.reservations.get(&id) {
            Some(found) => Ok(found.as_ref()),
            None => Err(DecideError::NotLoaded(ItemKey::Reservation(id))),
        }
    }

    /// The seat, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`DecideError::NotLoaded`]
    pub fn seat(&self, key: &SeatKey) -> Result<Option<&Seat>, DecideError> {
        match self.seats.get(key) {
            Some(found) => Ok(found.as_ref()),
            None => Err(DecideError::NotLoaded(ItemKey::Seat(key.clone()))),
        }
    }

    /// The line, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`DecideError::NotLoaded`]
    pub fn line(&self, key: &LineKey) -> Result<Option<&StockLevel>, DecideError> {
        match self.lines.get(key) {
            Some(found) => Ok(found.as_ref()),
            None => Err(DecideError::NotLoaded(ItemKey::Line(key.clone()))),
        }
    }

    /// Applies changes, in order.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes.iter().filter(|_| !injected_bug!(IgnoreBatch)) {
            match change.clone() {
                Change::Reservation(reservation) => {
                    self.reservations.insert(reservation.reservation_id, Some(reservation));
                }
                Change::Seat(key, seat) => {
                    self.seats.insert(key, Some(seat));
                }
                Change::Line(key, line) => {
                    let is_short = line.available < 0;
                    let before = self.lines.insert(key, Some(line)).flatten();
                    let was_short = before.is_some_and(|line| line.available < 0);
                    self.oversold += Oversold {
                        below: u64::from(is_short && !was_short),
                        back: u64::from(was_short && !is_short),
                    };
                }
            }
        }
        self.changes.extend(changes);
    }

    /// Lines that went below zero and lines that returned, since the last call.
    pub fn take_oversold(&mut self) -> Oversold {
        std::mem::take(&mut self.oversold)
    }

    /// The changes since the last call, each item at most once per command.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}
