//! The state machine: what a command comes to, on a given state, at a given time.
//!
//! Pure and synchronous. A command is decided on a [`State`]: the items it names as they were
//! loaded, with the changes of the commands decided before it laid over. All checks of a command
//! come before its first change, so a rejected command leaves the state as it was.

mod cancel;
mod confirm;
mod expire;
mod holdings;
mod reserve;
mod restock;
mod state;

use crate::domain::{
    Action, Command, Outcome, Rejection, RejectionCode, Reservation, ReservationId,
    ReservationStatus, Timestamp, UserId, command,
};

pub use restock::{OverBound, apply_entries};
pub use state::{Change, ItemKey, Oversold, State};

/// What an operator allows, part of the decision: a redelivery after a change of configuration
/// still finds the outcome it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest hold, seconds.
    pub hold_seconds_max: u32,
    /// The most seats and lines in one reservation.
    pub reserve_entries_max: usize,
}

impl Default for Limits {
    /// The contract's own bounds.
    fn default() -> Self {
        Self {
            hold_seconds_max: command::HOLD_SECONDS_MAX,
            reserve_entries_max: command::RESERVE_ENTRIES_MAX,
        }
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Items that the verdict rests on without changing them, where it rests on several: they were
    /// not read at one moment, so their versions are to be checked on commit.
    pub read_dependencies: Vec<ItemKey>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, read_dependencies: Vec::new() }
    }
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Outcome::Rejected { rejection }.into()
    }
}

/// Why a command could not be decided. Neither is an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The state lacks an item that the command rests on.
    #[error("not loaded: {0}")]
    NotLoaded(ItemKey),
    /// The items contradict each other, as no command could have left them.
    #[error("inconsistent: {0}")]
    Inconsistent(String),
}

/// Decides one command and lays its changes over the state.
///
/// # Errors
/// [`DecideError`], with the state unchanged.
pub fn decide(
    state: &mut State,
    command: &Command,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    match &command.action {
        Action::Reserve(reserve) => reserve::decide(state, &command.pool, reserve, limits, now),
        Action::Confirm(confirm) => confirm::decide(state, &command.pool, confirm, now),
        Action::Cancel(cancel) => cancel::decide(state, &command.pool, cancel, now),
        Action::Expire(expire) => expire::decide(state, &command.pool, expire, now),
        Action::Restock(restock) => restock::decide(state, &command.pool, restock, now),
    }
}

/// The reservation, if there is one in the pool and it is the user's, where one is named.
fn find_owned(
    state: &State,
    pool: &crate::domain::PoolId,
    id: ReservationId,
    user_id: Option<&UserId>,
) -> Result<Result<Reservation, Rejection>, DecideError> {
    let is_here = |found: &&Reservation| found.pool == *pool || injected_bug!(IgnorePool);
    let Some(found) = state.reservation(id)?.filter(is_here) else {
        return Ok(Err(Rejection::new(
            RejectionCode::ReservationNotFound,
            format!("there is no reservation {id} in {pool}"),
        )));
    };
    let is_another = user_id.is_some_and(|user_id| *user_id != found.user_id);
    if is_another && !injected_bug!(IgnoreOwner) {
        return Ok(Err(Rejection::new(
            RejectionCode::NotOwner,
            format!("reservation {id} is another user's"),
        )));
    }
    Ok(Ok(found.clone()))
}

/// The rejection that names the status that stood in the way.
fn status_rejection(reservation: &Reservation) -> Rejection {
    let code = match reservation.status {
        // An ACTIVE reservation stands in the way only once it has run out.
        ReservationStatus::Active | ReservationStatus::Expired => RejectionCode::ReservationExpired,
        ReservationStatus::Confirmed => RejectionCode::ReservationConfirmed,
        ReservationStatus::Cancelled => RejectionCode::ReservationCancelled,
    };
    let id = reservation.reservation_id;
    let message = match reservation.status {
        ReservationStatus::Active => {
            format!("the hold of reservation {id} ran out at {}", reservation.expires_at)
        }
        status => format!("reservation {id} is {}", status.as_str()),
    };
    Rejection::new(code, message)
}
