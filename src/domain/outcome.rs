//! Outcomes of commands: decided once and permanently.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Reason, Reference, Reservation, SeatNumber, SeatStatus, Sku, Timestamp};

/// The outcome of a command. Stored in the ledger in this form, under a format version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Seats and lines are held.
    Reserved {
        /// The reservation after the command, ACTIVE.
        reservation: Reservation,
    },
    /// The hold runs out later, or was long enough already.
    Extended {
        /// The reservation after the command, ACTIVE.
        reservation: Reservation,
    },
    /// Seats and lines were added to the hold, or released from it.
    Modified {
        /// The reservation after the command, ACTIVE.
        reservation: Reservation,
    },
    /// The hold became a sale.
    Confirmed {
        /// The reservation after the command, CONFIRMED.
        reservation: Reservation,
    },
    /// The sold goods left.
    Fulfilled {
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
        /// The command's reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// The command's reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
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
            Self::Extended { .. } => "inventory.extended.v1",
            Self::Modified { .. } => "inventory.modified.v1",
            Self::Confirmed { .. } => "inventory.confirmed.v1",
            Self::Fulfilled { .. } => "inventory.fulfilled.v1",
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
            | Self::Extended { reservation }
            | Self::Modified { reservation }
            | Self::Confirmed { reservation }
            | Self::Fulfilled { reservation }
            | Self::Cancelled { reservation, .. }
            | Self::Expired { reservation } => Some(reservation),
            Self::Restocked { .. } | Self::Rejected { .. } => None,
        }
    }

    /// As [`Self::reservation`], to be changed.
    #[must_use]
    pub fn reservation_mut(&mut self) -> Option<&mut Reservation> {
        match self {
            Self::Reserved { reservation }
            | Self::Extended { reservation }
            | Self::Modified { reservation }
            | Self::Confirmed { reservation }
            | Self::Fulfilled { reservation }
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

/// The seats and lines that a command changed. Kept with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Changes {
    /// Each of them, in its state after the command.
    Listed(Vec<ItemState>),
    /// Not listed: those of a chunked restock. Written as `null`.
    Omitted,
}

impl Changes {
    /// No changes.
    pub const NONE: Self = Self::Listed(Vec::new());
}

impl Default for Changes {
    fn default() -> Self {
        Self::NONE
    }
}

/// A seat or line in its state after a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ItemState {
    /// A seat.
    Seat {
        /// Its number within the event.
        seat_number: SeatNumber,
        /// Its version.
        version: u64,
        /// Its status.
        status: SeatStatus,
        /// When its hold runs out, if it is RESERVED.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserved_until: Option<Timestamp>,
    },
    /// A line.
    Line {
        /// Its SKU within the pool.
        sku: Sku,
        /// Its version.
        version: u64,
        /// What is physically there: available, reserved and committed.
        on_hand: i64,
        /// What may be sold. Below zero after a shortfall.
        available: i64,
        /// What ACTIVE reservations hold.
        reserved: i64,
    },
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
    /// Lines left unchanged, because a newer `as_of` was applied before, or in a chunked restock for
    /// anything that a small one is rejected for.
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
    pub lines: Vec<RejectedLine>,
}

impl Rejection {
    /// A rejection that names no seats or lines.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), seats: Vec::new(), lines: Vec::new() }
    }
}

/// A line that failed a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RejectedLine {
    /// The quantity is more than there is, or takes on hand beyond its bound.
    Quantity {
        /// Its SKU within the pool.
        sku: Sku,
        /// The requested quantity; below zero for stock to be removed.
        requested: i64,
        /// The available quantity, or for `NOT_RESERVED` what the reservation holds; 0 for a SKU
        /// that does not exist, below zero after a shortfall.
        available: i64,
    },
    /// The line is not at the expected version.
    Version {
        /// Its SKU within the pool.
        sku: Sku,
        /// The expected version; 0 for a SKU that must not exist.
        expected: u64,
        /// The line's version; 0 for a SKU that does not exist.
        actual: u64,
    },
}

impl RejectedLine {
    /// A line whose quantity failed the check.
    #[must_use]
    pub fn quantity(sku: &Sku, requested: u64, available: i64) -> Self {
        let requested = i64::try_from(requested).unwrap_or(i64::MAX);
        Self::Quantity { sku: sku.clone(), requested, available }
    }

    /// Its SKU within the pool.
    #[must_use]
    pub fn sku(&self) -> &Sku {
        match self {
            Self::Quantity { sku, .. } | Self::Version { sku, .. } => sku,
        }
    }
}

/// For people: `bolt (3 of 5)`, or `bolt (version 4, expected 3)`.
impl fmt::Display for RejectedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity { sku, requested, available } => {
                write!(f, "{sku} ({available} of {requested})")
            }
            Self::Version { sku, expected, actual } => {
                write!(f, "{sku} (version {actual}, expected {expected})")
            }
        }
    }
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
    /// It was decided after its `expirytime`.
    CommandExpired,
    /// A seat does not exist.
    SeatNotFound,
    /// A seat is RESERVED, BOOKED or BLOCKED.
    SeatsUnavailable,
    /// A SKU does not exist.
    SkuNotFound,
    /// Less is available than requested.
    InsufficientStock,
    /// A line is not at the expected version.
    VersionMismatch,
    /// The reservation does not hold what a modify removes.
    NotReserved,
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
    /// It is ACTIVE: not confirmed yet.
    ReservationActive,
    /// It is CONFIRMED.
    ReservationConfirmed,
    /// Its goods have left, by a fulfil or with the sale.
    ReservationFulfilled,
    /// It belongs to another user.
    NotOwner,
    /// Its hold has not run out yet.
    NotYetExpired,
}

impl RejectionCode {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::InvalidMessage,
        Self::UnsupportedType,
        Self::CommandIdReused,
        Self::CommandExpired,
        Self::SeatNotFound,
        Self::SeatsUnavailable,
        Self::SkuNotFound,
        Self::InsufficientStock,
        Self::VersionMismatch,
        Self::NotReserved,
        Self::LimitExceeded,
        Self::ReservationExists,
        Self::ReservationNotFound,
        Self::ReservationExpired,
        Self::ReservationCancelled,
        Self::ReservationActive,
        Self::ReservationConfirmed,
        Self::ReservationFulfilled,
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
            Self::CommandExpired => "COMMAND_EXPIRED",
            Self::SeatNotFound => "SEAT_NOT_FOUND",
            Self::SeatsUnavailable => "SEATS_UNAVAILABLE",
            Self::SkuNotFound => "SKU_NOT_FOUND",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::NotReserved => "NOT_RESERVED",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::ReservationExists => "RESERVATION_EXISTS",
            Self::ReservationNotFound => "RESERVATION_NOT_FOUND",
            Self::ReservationExpired => "RESERVATION_EXPIRED",
            Self::ReservationCancelled => "RESERVATION_CANCELLED",
            Self::ReservationActive => "RESERVATION_ACTIVE",
            Self::ReservationConfirmed => "RESERVATION_CONFIRMED",
            Self::ReservationFulfilled => "RESERVATION_FULFILLED",
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
