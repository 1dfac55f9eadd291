//! One seat, line or reservation: strongly consistent, and private fields for those who may read
//! them.

use super::{Moment, Shown, lines, seats};
use crate::checks::{
    Violation, ensure,
    model::{Model, Table},
};
use inventory_worker::{
    domain::{SeatState, Timestamp},
    gateway::queries::{LineAnswer, ReservationAnswer, SeatAnswer},
};

/// Checks a seat. `may_see`: whether its caller may know whose it is.
pub(crate) fn seat(
    model: &Model,
    shown: &mut Shown,
    moment: &Moment,
    may_see: bool,
    answer: &SeatAnswer,
) -> Result<(), Violation> {
    let is = seats::check(model, shown, moment, &answer.key, &(&answer.seat).into())?;
    let owner = match &is.occupancy {
        SeatState::Reserved { reservation_id, by, .. } => Some((*reservation_id, by, None)),
        SeatState::Booked { reservation_id, by, booking_id } => {
            Some((*reservation_id, by, Some(booking_id)))
        }
        SeatState::Available | SeatState::Blocked => None,
    };
    let is_shown = answer.seat.owner.as_ref();
    let is_shown =
        is_shown.map(|owner| (owner.reservation_id, &owner.user_id, owner.booking_id.as_ref()));
    ensure(is_shown == owner.filter(|_| may_see), "private", || {
        format!("{:?}: may see it is {may_see}, and {owner:?} is shown as {is_shown:?}", answer.key)
    })
}

/// Checks a line.
pub(crate) fn line(
    model: &Model,
    shown: &mut Shown,
    moment: &Moment,
    key: &inventory_worker::domain::LineKey,
    answer: &LineAnswer,
) -> Result<(), Violation> {
    lines::check(model, shown, moment, key, &answer.line)
}

/// Checks a reservation, for a caller who may see it.
pub(crate) fn reservation(
    model: &Model,
    moment: &Moment,
    answer: &ReservationAnswer,
) -> Result<(), Violation> {
    let is = &answer.reservation;
    let mut states = model.reservations.states(&is.reservation_id);
    let holds = states
        .any(|state| state.from <= moment.at && state.until >= moment.since && state.item == is);
    ensure(holds, "committed", || format!("{is:?} was not between {moment:?}"))
}

/// Checks that something was not there at some moment since then.
pub(crate) fn lacked<K: Ord + Clone + std::fmt::Debug, T>(
    table: &Table<K, T>,
    key: &K,
    since: Timestamp,
) -> Result<(), Violation> {
    let first = table.states(key).next().map(|state| state.from);
    ensure(first.is_none_or(|first| first >= since), "found", || {
        format!("{key:?} was not found, and has been there since {first:?}")
    })
}
