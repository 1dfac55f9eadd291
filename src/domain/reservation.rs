//! Reservations: seats and lines held for one user.

use serde::{Deserialize, Serialize};

use super::{BookingId, PoolId, ReservationId, SeatNumber, Sku, Timestamp, UserId};

/// Seats and/or lines held for one user until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    /// The reservation's id.
    pub reservation_id: ReservationId,
    /// The pool of the seats and lines.
    pub pool: PoolId,
    /// The user it is for.
    pub user_id: UserId,
    /// Its current status.
    pub status: ReservationStatus,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// The seats it was made for, in the order requested. Another reservation may since have taken
    /// them over.
    pub seats: Vec<SeatNumber>,
    /// The lines it was made for, in the order requested.
    pub lines: Vec<OrderLine>,
    /// The booking id of the confirm; `None` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the hold runs out, a whole second.
    pub expires_at: Timestamp,
    /// When it became CANCELLED or EXPIRED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Reservation {
    /// When its retention begins: when it was CANCELLED or EXPIRED. `None` while it is held, and
    /// for a sale, which is kept permanently.
    #[must_use]
    pub fn given_back_at(&self) -> Option<Timestamp> {
        match self.status {
            ReservationStatus::Cancelled | ReservationStatus::Expired => self.ended_at,
            ReservationStatus::Active | ReservationStatus::Confirmed => None,
        }
    }
}

/// The status of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReservationStatus {
    /// Held.
    Active,
    /// Sold.
    Confirmed,
    /// Released by a cancel.
    Cancelled,
    /// Released after its hold ran out.
    Expired,
}

impl ReservationStatus {
    /// The contract's name of the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Confirmed => "CONFIRMED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A requested quantity of one SKU, 1…[`super::QUANTITY_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderLine {
    /// The SKU, unique within its pool.
    pub sku: Sku,
    /// The quantity, whole units.
    pub quantity: u64,
}
