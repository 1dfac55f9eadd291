//! Outcomes of commands: decided once and permanently.

use serde::{Deserialize, Serialize};

use super::{Reason, Reservation, SeatNumber, Sku};

/// The outcome of a command. Stored in the ledger in this form, under a format version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Seats and lines are held.
    Reserved {
        /// The reservation after the command, ACTIVE.
        reservation: Reservation,
    },
    /// The hold became a sale.
    Confirmed {
        /// The reservation after the command, CONFIRMED.
        reservation: Reservation,
    },
    /// The hold or sale was released.
    Cancelled {
        /// The reservation after the command, CANCELLED.
        reservation: Reservation,
        /// The reason that the command gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The hold ran out.
    Expired {
        /// The reservation after the command, EXPIRED.
        reservation: Reservation,
    },
    /// Seats and lines were created or updated.
    Restocked {
        /// The numbers applied and skipped.
        restock: RestockSummary,
    },
    /// Nothing was changed.
    Rejected {
        /// The failed check.
        rejection: Rejection,
    },
}

impl Outcome {
    /// The CloudEvents `type` of the result that carries the outcome.
    #[must_use]
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::Reserved { .. } => "inventory.reserved.v1",
            Self::Confirmed { .. } => "inventory.confirmed.v1",
            Self::Cancelled { .. } => "inventory.cancelled.v1",
            Self::Expired { .. } => "inventory.expired.v1",
            Self::Restocked { .. } => "inventory.restocked.v1",
            Self::Rejected { .. } => "inventory.rejected.v1",
        }
    }

    /// The reservation that it is about; `None` for a restock or a rejection.
    #[must_use]
    pub fn reservation(&self) -> Option<&Reservation> {
        match self {
            Self::Reserved { reservation }
            | Self::Confirmed { reservation }
            | Self::Cancelled { reservation, .. }
            | Self::Expired { reservation } => Some(reservation),
            Self::Restocked { .. } | Self::Rejected { .. } => None,
        }
    }

    /// The rejection; `None` for other outcomes.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected { rejection } => Some(rejection),
            _ => None,
        }
    }
}

/// The effects of a restock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RestockSummary {
    /// Seats created or updated.
    pub seats_applied: u64,
    /// Lines set or added to.
    pub lines_applied: u64,
    /// Seats left unchanged because they are RESERVED or BOOKED.
    pub seats_skipped: u64,
    /// Lines left unchanged, because a newer `as_of` was applied before, or in a chunked restock on
    /// hand would exceed its bound.
    pub lines_skipped: u64,
    /// The first [`Self::SKIPPED_MAX`] names of those skipped: seat numbers, then SKUs.
    pub skipped: Vec<String>,
}

impl RestockSummary {
    /// The most names in `skipped`.
    pub const SKIPPED_MAX: usize = 500;
}

/// The reason for a command's rejection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rejection {
    /// For programs.
    pub code: RejectionCode,
    /// For people.
    pub message: String,
    /// Every seat that failed the check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<SeatNumber>,
    /// Every line that failed the check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineShortfall>,
}

impl Rejection {
    /// A rejection that names no seats or lines.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), seats: Vec::new(), lines: Vec::new() }
    }
}

/// A line that failed a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineShortfall {
    /// The line's SKU.
    pub sku: Sku,
    /// The requested quantity.
    pub requested: u64,
    /// The available quantity; 0 for a SKU that does not exist, below zero after a shortfall.
    pub available: i64,
}

/// The code of a rejection, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionCode {
    /// Not JSON, not CloudEvents, or breaks the schema.
    InvalidMessage,
    /// A `type` this version does not know.
    UnsupportedType,
    /// The same identity with different content.
    CommandIdReused,
    /// A seat does not exist.
    SeatNotFound,
    /// A seat is RESERVED, BOOKED or BLOCKED.
    SeatsUnavailable,
    /// A SKU does not exist.
    SkuNotFound,
    /// Less is available than requested.
    InsufficientStock,
    /// Exceeds an operator's limit or the bound of on hand.
    LimitExceeded,
    /// Another command made the reservation.
    ReservationExists,
    /// There is no such reservation in this pool.
    ReservationNotFound,
    /// It is EXPIRED, its hold has run out, or one of its seats was taken over.
    ReservationExpired,
    /// It is CANCELLED.
    ReservationCancelled,
    /// It is CONFIRMED.
    ReservationConfirmed,
    /// It belongs to another user.
    NotOwner,
    /// Its hold has not run out yet.
    NotYetExpired,
}

impl RejectionCode {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::InvalidMessage,
        Self::UnsupportedType,
        Self::CommandIdReused,
        Self::SeatNotFound,
        Self::SeatsUnavailable,
        Self::SkuNotFound,
        Self::InsufficientStock,
        Self::LimitExceeded,
        Self::ReservationExists,
        Self::ReservationNotFound,
        Self::ReservationExpired,
        Self::ReservationCancelled,
        Self::ReservationConfirmed,
        Self::NotOwner,
        Self::NotYetExpired,
    ];

    /// The contract's name of the code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidMessage => "INVALID_MESSAGE",
            Self::UnsupportedType => "UNSUPPORTED_TYPE",
            Self::CommandIdReused => "COMMAND_ID_REUSED",
            Self::SeatNotFound => "SEAT_NOT_FOUND",
            Self::SeatsUnavailable => "SEATS_UNAVAILABLE",
            Self::SkuNotFound => "SKU_NOT_FOUND",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::ReservationExists => "RESERVATION_EXISTS",
            Self::ReservationNotFound => "RESERVATION_NOT_FOUND",
            Self::ReservationExpired => "RESERVATION_EXPIRED",
            Self::ReservationCancelled => "RESERVATION_CANCELLED",
            Self::ReservationConfirmed => "RESERVATION_CONFIRMED",
            Self::NotOwner => "NOT_OWNER",
            Self::NotYetExpired => "NOT_YET_EXPIRED",
        }
    }

    /// Whether it answers a message rather than being the command's outcome: such a rejection never
    /// enters the ledger, and a later message under the same identity is decided afresh.
    #[must_use]
    pub fn is_unrecorded(self) -> bool {
        matches!(
            self,
            Self::InvalidMessage
                | Self::UnsupportedType
                | Self::CommandIdReused
                | Self::NotYetExpired
        )
    }
}
