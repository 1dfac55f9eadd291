//! Bounds: an operator's limits, the end of a hold, and the maximum on hand of a line.

use super::DecideError;
use crate::domain::{
    LineShortfall, ON_HAND_MAX, Rejection, RejectionCode, Reservation, Reserve, StockLevel,
    Timestamp,
    command::{self, HOLD_SECONDS_DEFAULT},
    time,
};

/// An operator's limits. They apply when a command is decided, so a redelivery after a change of
/// configuration still finds the recorded outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest hold, seconds.
    pub hold_seconds_max: u32,
    /// The most seats and lines in one reservation.
    pub reserve_entries_max: usize,
}

impl Default for Limits {
    /// The contract's bounds.
    fn default() -> Self {
        Self {
            hold_seconds_max: command::HOLD_SECONDS_MAX,
            reserve_entries_max: command::RESERVE_ENTRIES_MAX,
        }
    }
}

/// The end of the hold, rounded up to the whole second. Rejects more seats and lines, or a longer
/// hold, than the operator allows. The default hold is shortened to the operator's limit.
pub(super) fn hold_end(
    reserve: &Reserve,
    limits: &Limits,
    now: Timestamp,
) -> Result<Timestamp, DecideError> {
    let entries = reserve.seats.len().saturating_add(reserve.lines.len());
    let too_much = |what: String| Err(Rejection::new(RejectionCode::LimitExceeded, what).into());
    if entries > limits.reserve_entries_max {
        return too_much(format!(
            "{entries} seats and lines: this deployment allows {} in one reservation",
            limits.reserve_entries_max
        ));
    }
    let seconds = match reserve.hold_seconds {
        Some(asked) if asked > limits.hold_seconds_max => {
            return too_much(format!(
                "hold_seconds {asked}: this deployment allows {}",
                limits.hold_seconds_max
            ));
        }
        Some(asked) => asked,
        None => HOLD_SECONDS_DEFAULT.min(limits.hold_seconds_max),
    };
    Ok(time::expiry(now, seconds))
}

/// Whether the reservation's hold has run out.
pub(super) fn has_run_out(reservation: &Reservation, now: Timestamp) -> bool {
    now >= reservation.expires_at
}

/// Whether the line has more on hand than the bound.
pub(super) fn is_beyond_on_hand_max(line: &StockLevel) -> bool {
    line.on_hand() > ON_HAND_MAX
}

/// The rejection of a command that would take these lines beyond the bound of on hand.
pub(super) fn beyond_on_hand_max(lines: Vec<LineShortfall>) -> Rejection {
    Rejection {
        code: RejectionCode::LimitExceeded,
        message: format!("on hand would pass {ON_HAND_MAX} on {} lines", lines.len()),
        seats: Vec::new(),
        lines,
    }
}
