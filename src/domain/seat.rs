//! Numbered seats.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{BookingId, InvalidText, Label, ReservationId, Timestamp, UserId};

/// The state of a seat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Its descriptive fields.
    pub details: SeatDetails,
    /// Its status and owner.
    pub occupancy: SeatState,
    /// Whether a RESERVED or BOOKED seat becomes BLOCKED, not AVAILABLE, when it is released. Its
    /// hold cannot be taken over after it has run out.
    pub withheld: bool,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The descriptive fields of a seat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeatDetails {
    /// The section it is in.
    pub section: Option<Label>,
    /// Its row.
    pub row_number: Option<Label>,
    /// Its type.
    pub seat_type: Option<Label>,
    /// Its price.
    pub price: Option<Price>,
}

/// The status and owner of a seat: AVAILABLE, RESERVED, BOOKED or BLOCKED.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SeatState {
    /// On sale.
    Available,
    /// Held for a reservation until `until`; from then on a reserve may take it over.
    Reserved {
        /// The reservation that holds it.
        reservation_id: ReservationId,
        /// The user it is held for.
        by: UserId,
        /// When the hold runs out.
        until: Timestamp,
    },
    /// Sold.
    Booked {
        /// The reservation that was confirmed.
        reservation_id: ReservationId,
        /// The user it was sold to.
        by: UserId,
        /// The booking it belongs to.
        booking_id: BookingId,
    },
    /// Kept off sale.
    Blocked,
}

impl Seat {
    /// Whether a reserve may take the seat at `now`: AVAILABLE, or RESERVED by a hold that has run
    /// out and not withheld.
    #[must_use]
    pub fn is_available_at(&self, now: Timestamp) -> bool {
        (!self.withheld || injected_bug!(TakeWithheld)) && self.occupancy.is_available_at(now)
    }
}

/// The status of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SeatStatus {
    /// On sale.
    Available,
    /// Held for a reservation.
    Reserved,
    /// Sold.
    Booked,
    /// Kept off sale.
    Blocked,
}

impl SeatStatus {
    /// The contract's name of the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Reserved => "RESERVED",
            Self::Booked => "BOOKED",
            Self::Blocked => "BLOCKED",
        }
    }
}

impl fmt::Display for SeatStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SeatState {
    /// The status, without the owner.
    #[must_use]
    pub fn status(&self) -> SeatStatus {
        match self {
            Self::Available => SeatStatus::Available,
            Self::Reserved { .. } => SeatStatus::Reserved,
            Self::Booked { .. } => SeatStatus::Booked,
            Self::Blocked => SeatStatus::Blocked,
        }
    }

    /// The reservation that holds or booked the seat.
    #[must_use]
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Reserved { reservation_id, .. } | Self::Booked { reservation_id, .. } => {
                Some(*reservation_id)
            }
            Self::Available | Self::Blocked => None,
        }
    }

    /// AVAILABLE, or RESERVED by a hold that has run out.
    fn is_available_at(&self, now: Timestamp) -> bool {
        match self {
            Self::Available => true,
            Self::Reserved { until, .. } => *until <= now || injected_bug!(TakeHeldSeat),
            Self::Booked { .. } => false,
            Self::Blocked => injected_bug!(ReserveBlocked),
        }
    }
}

/// The status that a restock may give a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RestockStatus {
    /// Put on sale.
    Available,
    /// Taken off sale.
    Blocked,
}

impl From<RestockStatus> for SeatState {
    fn from(status: RestockStatus) -> Self {
        match status {
            RestockStatus::Available => Self::Available,
            RestockStatus::Blocked => Self::Blocked,
        }
    }
}

/// A price as decimal text, kept exactly as written ("49.50" stays "49.50").
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Price(Decimal);

/// Compares the text: 49.5 and 49.50 are different prices.
impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.0.serialize() == other.0.serialize()
    }
}

impl Eq for Price {}

impl std::hash::Hash for Price {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.serialize().hash(state);
    }
}

impl Price {
    /// The most digits before the point.
    pub const INTEGER_DIGITS_MAX: usize = 18;
    /// The most digits after the point.
    pub const FRACTION_DIGITS_MAX: usize = 9;
}

impl FromStr for Price {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let fits = digits(whole, Self::INTEGER_DIGITS_MAX)
            && digits(fraction, Self::FRACTION_DIGITS_MAX)
            && (whole == "0" || !whole.starts_with('0'));
        let wrong = || InvalidText {
            expected: "a decimal text such as \"49.50\", with at most 18 digits before and 9 \
                       after the point"
                .to_owned(),
        };
        if !fits {
            return Err(wrong());
        }
        Decimal::from_str_exact(text).map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Price {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<Price> for String {
    fn from(price: Price) -> Self {
        price.to_string()
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_kept_exactly() {
        for text in ["49.50", "0", "0.000000001", "999999999999999999.999999999"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
        for wrong in ["", ".5", "5.", "-1", "1e3", "01", "1,5", "1.0000000001"] {
            assert!(wrong.parse::<Price>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_hold_that_ran_out_never_blocks_a_sale() {
        let until: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let held = SeatState::Reserved {
            reservation_id: ReservationId(uuid::Uuid::nil()),
            by: "u".parse().unwrap(),
            until,
        };
        assert!(!held.is_available_at("2026-11-22T09:59:59.999Z".parse().unwrap()));
        assert!(held.is_available_at(until));
    }
}
