//! Reservations: seats and lines held for one user.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    BookingId, InvalidText, PoolId, ReservationId, SeatNumber, Sku, Source, Timestamp, UserId,
};

/// Seats and/or lines held for one user until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reservation {
    /// The reservation's id.
    pub reservation_id: ReservationId,
    /// The pool of the seats and lines.
    pub pool: PoolId,
    /// The `source` of the command that made it.
    pub source: Source,
    /// The user it is for.
    pub user_id: UserId,
    /// Its current status.
    pub status: ReservationStatus,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// The seats it holds or held, in the order requested. Another reservation may since have taken
    /// them over.
    pub seats: Vec<SeatNumber>,
    /// The lines it holds or held, in the order requested.
    pub lines: Vec<OrderLine>,
    /// The booking id of the confirm; `None` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
    /// Whether the goods of its lines left when it was confirmed; `None` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goods: Option<Goods>,
    /// When goods that had stayed left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the hold runs out, a whole second.
    pub expires_at: Timestamp,
    /// When it became CANCELLED or EXPIRED. A CONFIRMED reservation has one if it had expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Reservation {
    /// Whether its lines are sold and still there: `committed`.
    #[must_use]
    pub fn has_committed_goods(&self) -> bool {
        self.status == ReservationStatus::Confirmed
            && self.goods == Some(Goods::Stay)
            && self.fulfilled_at.is_none()
    }

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

/// Whether sold goods leave with the sale.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Goods {
    /// They leave when they are sold.
    #[default]
    Leave,
    /// They stay, as `committed`, until `inventory.fulfil.v1`.
    Stay,
}

impl Goods {
    /// The contract's name of the value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Stay => "stay",
        }
    }
}

impl FromStr for Goods {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let found = [Self::Leave, Self::Stay].into_iter().find(|goods| goods.as_str() == text);
        found.ok_or_else(|| InvalidText { expected: "leave or stay".to_owned() })
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
