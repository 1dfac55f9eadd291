//! Bounds: an operator's limits, the end of a hold, and the maximum on hand of a line.

use jiff::SignedDuration;

use super::{DecideError, words};
use crate::domain::{
    ON_HAND_MAX, QUANTITY_MAX, RejectedLine, Rejection, RejectionCode, Reservation, StockLevel,
    Timestamp,
    command::{self, HOLD_SECONDS_DEFAULT},
    time,
};

/// An operator's limits. They apply when a command is decided, so a redelivery after a change of
/// configuration still finds the recorded outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest hold that a command may ask for, seconds.
    pub hold_seconds_max: u32,
    /// The longest hold in all, from the creation of the reservation, however often it is extended,
    /// seconds.
    pub hold_total_seconds_max: u32,
    /// The most seats and lines in one reservation.
    pub reserve_entries_max: usize,
    /// How far the `as_of` of a restock may be in the future, seconds.
    pub as_of_ahead_seconds_max: u32,
}

/// The default of [`Limits::as_of_ahead_seconds_max`]: the clocks of a producer and of a worker
/// differ by less.
pub const AS_OF_AHEAD_SECONDS_DEFAULT: u32 = 60;

impl Default for Limits {
    /// The contract's bounds.
    fn default() -> Self {
        Self {
            hold_seconds_max: command::HOLD_SECONDS_MAX,
            hold_total_seconds_max: command::HOLD_SECONDS_MAX,
            reserve_entries_max: command::RESERVE_ENTRIES_MAX,
            as_of_ahead_seconds_max: AS_OF_AHEAD_SECONDS_DEFAULT,
        }
    }
}

fn limit_exceeded(message: String) -> DecideError {
    Rejection::new(RejectionCode::LimitExceeded, message).into()
}

/// Rejects more seats and lines in one reservation than the operator allows.
pub(super) fn check_entries(entries: usize, limits: &Limits) -> Result<(), DecideError> {
    if entries <= limits.reserve_entries_max {
        return Ok(());
    }
    let max = limits.reserve_entries_max;
    Err(limit_exceeded(format!(
        "{entries} seats and lines: this deployment allows {max} in one reservation"
    )))
}

/// The end of a hold, rounded up to the whole second. Rejects a longer hold than `max` seconds, to
/// which the default hold is shortened.
pub(super) fn hold_end(
    hold_seconds: Option<u32>,
    max: u32,
    now: Timestamp,
) -> Result<Timestamp, DecideError> {
    match hold_seconds {
        Some(asked) if asked > max => {
            Err(limit_exceeded(format!("hold_seconds {asked}: this deployment allows {max}")))
        }
        asked => Ok(time::expiry(now, asked.unwrap_or(HOLD_SECONDS_DEFAULT.min(max)))),
    }
}

/// Rejects an extended hold that ends later than the operator's total from its creation allows.
pub(super) fn check_hold_total(
    reservation: &Reservation,
    end: Timestamp,
    limits: &Limits,
) -> Result<(), DecideError> {
    let max = limits.hold_total_seconds_max;
    if end <= time::expiry(reservation.created_at, max) || injected_bug!(IgnoreHoldTotal) {
        return Ok(());
    }
    Err(limit_exceeded(format!(
        "the hold would end at {end}: this deployment allows {max} seconds from its creation at {}",
        reservation.created_at
    )))
}

/// Rejects an `as_of` that is further in the future than the operator allows: it would silence
/// every count before it.
pub(super) fn check_as_of(
    as_of: Option<Timestamp>,
    limits: &Limits,
    now: Timestamp,
) -> Result<(), DecideError> {
    let ahead = limits.as_of_ahead_seconds_max;
    let latest = time::saturating_add(now, SignedDuration::from_secs(i64::from(ahead)));
    match as_of {
        Some(as_of) if as_of > latest && !injected_bug!(TakeFutureAsOf) => Err(limit_exceeded(
            format!("as_of {as_of} is in the future: this deployment allows {ahead} seconds"),
        )),
        _ => Ok(()),
    }
}

/// Whether one line of a reservation may hold the quantity.
pub(super) fn is_line_quantity(quantity: u64) -> bool {
    quantity <= QUANTITY_MAX
}

/// Whether the reservation's hold has run out.
pub(super) fn has_run_out(reservation: &Reservation, now: Timestamp) -> bool {
    now >= reservation.expires_at
}

/// The rejection of a command that would hold more of these lines in one reservation than the
/// contract allows.
pub(super) fn beyond_line_quantity(lines: Vec<RejectedLine>) -> Rejection {
    Rejection {
        code: RejectionCode::LimitExceeded,
        message: format!(
            "more than {QUANTITY_MAX} on {} of one reservation",
            words::counted(lines.len(), "line", "lines")
        ),
        seats: Vec::new(),
        lines,
    }
}

/// Whether the line has more on hand than the bound.
pub(super) fn is_beyond_on_hand_max(line: &StockLevel) -> bool {
    line.on_hand() > ON_HAND_MAX
}

/// The rejection of a command that would take these lines beyond the bound of on hand.
pub(super) fn beyond_on_hand_max(lines: Vec<RejectedLine>) -> Rejection {
    Rejection {
        code: RejectionCode::LimitExceeded,
        message: format!(
            "on hand would pass {ON_HAND_MAX} on {}",
            words::counted(lines.len(), "line", "lines")
        ),
        seats: Vec::new(),
        lines,
    }
}
