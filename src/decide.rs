//! The state machine: decides a command on a given state, at a given time.
//!
//! Pure and synchronous. A command is decided on a [`State`]: the items it names as loaded,
//! overlaid with the changes of the commands decided before it. All checks of a command precede its
//! first change, so a rejected command leaves the state unchanged.

mod bounds;
mod cancel;
mod confirm;
mod expire;
mod extend;
mod fulfil;
mod holdings;
mod modify;
mod reserve;
mod restock;
mod state;
mod words;

use crate::domain::{
    Action, Command, Outcome, PoolId, Rejection, RejectionCode, Reservation, ReservationId,
    ReservationStatus, Restock, Timestamp, UserId,
};

pub use bounds::{AS_OF_AHEAD_SECONDS_DEFAULT, Limits};
pub use restock::{AppliedEntries, InapplicableLine, RestockEntries, apply_entries, restocked};
pub use state::{Change, ItemKey, Oversold, State, listed};

/// The decision on a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Unchanged items that the verdict depends on, if it depends on several items: they were read at
    /// different moments, so the commit must check their versions.
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

/// The reason why a command has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// A rule forbids it. This is an outcome: [`decide`] returns it as a [`Verdict`].
    #[error("{}", .0.message)]
    Rejected(Rejection),
    /// The state lacks an item that the command depends on.
    #[error("not loaded: {0}")]
    NotLoaded(ItemKey),
    /// The items contradict each other in a way that no command can produce.
    #[error("inconsistent: {0}")]
    Inconsistent(String),
}

impl From<Rejection> for DecideError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Decides one command and applies its changes to the state.
///
/// # Errors
/// [`DecideError::NotLoaded`] and [`DecideError::Inconsistent`], with the state unchanged.
pub fn decide(
    state: &mut State,
    command: &Command,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    if let Err(rejection) = check_deadline(command, now) {
        return Ok(rejection.into());
    }
    let pool = &command.pool;
    let decided = match &command.action {
        Action::Reserve(reserve) => reserve::decide(state, command, reserve, limits, now),
        Action::Extend(extend) => extend::decide(state, pool, extend, limits, now),
        Action::Modify(modify) => modify::decide(state, pool, modify, limits, now),
        Action::Confirm(confirm) => confirm::decide(state, pool, confirm, now),
        Action::Fulfil(fulfil) => fulfil::decide(state, pool, fulfil, now),
        Action::Cancel(cancel) => cancel::decide(state, pool, cancel, now),
        Action::Expire(expire) => expire::decide(state, pool, expire, now),
        Action::Restock(restock) => restock::decide(state, pool, restock, limits, now),
    };
    match decided {
        Err(DecideError::Rejected(rejection)) => Ok(rejection.into()),
        decided => decided,
    }
}

/// Rejects a command that is decided after its `expirytime`.
fn check_deadline(command: &Command, now: Timestamp) -> Result<(), Rejection> {
    match command.deadline {
        Some(deadline) if now > deadline && !injected_bug!(DecideExpiredCommand) => {
            let message = format!("the command was to be decided by its expirytime, {deadline}");
            Err(Rejection::new(RejectionCode::CommandExpired, message))
        }
        _ => Ok(()),
    }
}

/// Checks what forbids a whole restock, before its first chunk: `expirytime` and `as_of`.
///
/// # Errors
/// [`DecideError::Rejected`]
pub fn check_before(
    command: &Command,
    restock: &Restock,
    limits: &Limits,
    now: Timestamp,
) -> Result<(), DecideError> {
    check_deadline(command, now)?;
    bounds::check_as_of(restock.as_of, limits, now)
}

/// Finds the reservation by id. Rejects one that is not in the pool or that belongs to a user other
/// than the one named.
fn find_owned(
    state: &State,
    pool: &PoolId,
    id: ReservationId,
    user_id: Option<&UserId>,
) -> Result<Reservation, DecideError> {
    let is_here = |found: &&Reservation| found.pool == *pool || injected_bug!(IgnorePool);
    let Some(found) = state.reservation(id)?.filter(is_here) else {
        return Err(Rejection::new(
            RejectionCode::ReservationNotFound,
            format!("there is no reservation {id} in {pool}"),
        )
        .into());
    };
    let is_another = user_id.is_some_and(|user_id| *user_id != found.user_id);
    if is_another && !injected_bug!(IgnoreOwner) {
        return Err(Rejection::new(
            RejectionCode::NotOwner,
            format!("reservation {id} is another user's"),
        )
        .into());
    }
    Ok(found.clone())
}

/// The rejection for a reservation whose status or expiry forbids the command.
fn status_rejection(reservation: &Reservation) -> Rejection {
    let code = match reservation.status {
        // An ACTIVE reservation forbids these commands only after it has run out.
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

/// Finds the reservation like [`find_owned`], and rejects one that is not ACTIVE or has run out.
fn find_held(
    state: &State,
    pool: &PoolId,
    id: ReservationId,
    user_id: Option<&UserId>,
    now: Timestamp,
) -> Result<Reservation, DecideError> {
    let reservation = find_owned(state, pool, id, user_id)?;
    let has_run_out = bounds::has_run_out(&reservation, now) && !injected_bug!(ExtendAfterEnd);
    match reservation.status == ReservationStatus::Active && !has_run_out {
        true => Ok(reservation),
        false => Err(status_rejection(&reservation).into()),
    }
}
