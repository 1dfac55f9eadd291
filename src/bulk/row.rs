//! Rows of a file.

use crate::domain::{
    BookingId, Goods, LineChange, OrderLine, PoolId, ReservationId, SeatChange, SeatNumber,
    Timestamp, UserId,
};

/// One row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A seat to create or update.
    Seat(u64, SeatChange),
    /// A line and what is on hand of it.
    Line(PoolId, LineChange),
    /// A hold, or a booking.
    Reservation(PoolId, ReservationRow),
}

impl Row {
    /// The pool it belongs to.
    #[must_use]
    pub fn pool(&self) -> PoolId {
        match self {
            Self::Seat(event_id, _) => PoolId::Event(*event_id),
            Self::Line(pool, _) | Self::Reservation(pool, _) => pool.clone(),
        }
    }
}

/// A hold until `expires_at`, or with a `booking_id` a sale. Seats and lines: 1 to 97 together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRow {
    /// Its id; `None` for one that is made of the file's content and the row's line.
    pub reservation_id: Option<ReservationId>,
    /// The user it is for.
    pub user_id: UserId,
    /// The seats it holds.
    pub seats: Vec<SeatNumber>,
    /// The lines it holds.
    pub lines: Vec<OrderLine>,
    /// When the hold runs out; `None` only for a booking.
    pub expires_at: Option<Timestamp>,
    /// The booking it became.
    pub booking_id: Option<BookingId>,
    /// Of a booking: whether the goods of its lines are still there.
    pub goods: Goods,
}

/// What is wrong with a row: the field, and what it must hold. Never the value found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}")]
pub struct RowError {
    /// The field, or `row` for the row as a whole.
    pub field: &'static str,
    /// What is expected, and the way to it.
    pub expected: String,
}

impl RowError {
    /// A field that breaks a rule.
    pub fn new(field: &'static str, expected: impl Into<String>) -> Self {
        Self { field, expected: expected.into() }
    }
}
