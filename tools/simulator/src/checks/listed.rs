//! A changed seat or line as a result lists it.

use serde::Deserialize;

use inventory_worker::domain::{
    ItemState, LineKey, Seat, SeatKey, SeatState, StockLevel, Timestamp,
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

    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Seat { version, .. } | Self::Line { version, .. } => *version,
        }
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
