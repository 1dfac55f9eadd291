//! Reservations: seats and lines held for one user.

use serde::{Deserialize, Serialize};

use super::{BookingId, PoolId, ReservationId, SeatNumber, Sku, Timestamp, UserId};

/// Seats and/or lines held for one user until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub reservation_id: ReservationId,
    /// What the seats and lines belong to.
    pub pool: PoolId,
    /// Whom it is for.
    pub user_id: UserId,
    /// How it stands.
    pub status: ReservationStatus,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// The seats it was made for, in the order asked for. May since have been taken over.
    pub seats: Vec<SeatNumber>,
    /// The lines it was made for, in the order asked for.
    pub lines: Vec<OrderLine>,
    /// The booking it was confirmed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the hold runs out, a whole second.
    pub expires_at: Timestamp,
    /// When it was CANCELLED or EXPIRED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Reservation {
    /// When it was given back: it is kept for a while from then on. `None` while it is held, and
    /// for a sale, which is kept for good.
    #[must_use]
    pub fn given_back_at(&self) -> Option<Timestamp> {
        match self.status {
            ReservationStatus::Cancelled | ReservationStatus::Expired => self.ended_at,
            ReservationStatus::Active | ReservationStatus::Confirmed => None,
        }
    }
}

/// How a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReservationStatus {
    /// Held.
    Active,
    /// Sold.
    Confirmed,
    /// Given back.
    Cancelled,
    /// Ran out.
    Expired,
}

impl ReservationStatus {
    /// The contract's word for the state.
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

/// A quantity of one SKU asked for, 1…[`super::QUANTITY_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: u64,
}
