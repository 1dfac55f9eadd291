//! A seat has one owner, and goes the allowed ways only.

use inventory_worker::domain::{
    Action, Outcome, Reservation, ReservationStatus, RestockStatus, Seat, SeatKey, SeatState,
    SeatStatus,
};

use super::{Checked, Decided};

pub fn check(decided: &Decided) -> Checked {
    reservations_have_their_seats(decided)?;
    seats_go_the_allowed_ways(decided)?;
    only_what_is_held_or_sold_is_withheld(decided)
}

/// An ACTIVE reservation's seats are RESERVED by it, unless another took them over at or after its
/// end; a CONFIRMED one's are BOOKED by it.
fn reservations_have_their_seats(decided: &Decided) -> Checked {
    for reservation in decided.after.reservations.values() {
        for key in seats_of(reservation) {
            let seat = &decided.after.seats[&key];
            let is_own = is_own(reservation, seat);
            let holds = match reservation.status {
                ReservationStatus::Active => is_own || was_lost(decided, reservation, &key),
                ReservationStatus::Confirmed => {
                    is_own && seat.occupancy.status() == SeatStatus::Booked
                }
                ReservationStatus::Cancelled | ReservationStatus::Expired => !is_own,
            };
            if !holds {
                return Err(format!("{reservation:?} and its seat {key:?}: {seat:?}"));
            }
        }
    }
    Ok(())
}

/// Whether the seat was not the reservation's before the command, or was and its hold had run out.
fn was_lost(decided: &Decided, reservation: &Reservation, key: &SeatKey) -> bool {
    let before = decided.before.reservations.get(&reservation.reservation_id);
    before.is_some_and(|before| {
        let is_own = is_own(before, &decided.before.seats[key]);
        let was_in_it = before.seats.contains(&key.number);
        was_in_it && (!is_own || before.expires_at <= decided.now)
    })
}

fn is_own(reservation: &Reservation, seat: &Seat) -> bool {
    seat.occupancy.reservation_id() == Some(reservation.reservation_id)
}

fn seats_of(reservation: &Reservation) -> impl Iterator<Item = SeatKey> {
    let event_id = reservation.pool.event_id().unwrap_or_default();
    let key = move |number: &_| SeatKey { event_id, number: Clone::clone(number) };
    reservation.seats.iter().map(key)
}

/// The contract's ways, each by the commands that may go it.
fn seats_go_the_allowed_ways(decided: &Decided) -> Checked {
    for (key, old) in &decided.before.seats {
        let new = &decided.after.seats[key];
        if old.occupancy != new.occupancy && !is_allowed(decided, old, new) {
            return Err(format!("{key:?} went from {old:?} to {new:?}"));
        }
    }
    Ok(())
}

fn is_allowed(decided: &Decided, old: &Seat, new: &Seat) -> bool {
    use SeatState::{Available, Blocked, Booked, Reserved};

    let outcome = &decided.ran.verdict.outcome;
    let takes = matches!(outcome, Outcome::Reserved { .. } | Outcome::Modified { .. });
    let confirms = matches!(outcome, Outcome::Confirmed { .. });
    let is_late = matches!(&decided.ran.command.action, Action::Confirm(how) if how.allow_expired);
    let releases = |to: RestockStatus| match &decided.ran.command.action {
        Action::Cancel(cancel) => match to {
            RestockStatus::Available => cancel.seats_to == to && !old.withheld,
            RestockStatus::Blocked => cancel.seats_to == to || old.withheld,
        },
        Action::Expire(_) | Action::Modify(_) => old.withheld == (to == RestockStatus::Blocked),
        _ => false,
    };
    let refunds = matches!(&decided.ran.command.action, Action::Cancel(cancel) if cancel.refund);
    match (&old.occupancy, &new.occupancy) {
        (Available, Reserved { .. }) => takes,
        (Available, Booked { .. }) => confirms && is_late,
        (
            Reserved { reservation_id: held, until, .. },
            Reserved { reservation_id, until: end, .. },
        ) if held == reservation_id => {
            matches!(outcome, Outcome::Extended { .. }) && decided.now < *until && until < end
        }
        (Reserved { until, .. }, Reserved { .. }) => {
            takes && *until <= decided.now && !old.withheld
        }
        (Reserved { reservation_id: held, until, .. }, Booked { reservation_id: booked, .. })
            if held == booked =>
        {
            confirms && (decided.now < *until || is_late)
        }
        (Reserved { until, .. }, Booked { .. }) => {
            confirms && is_late && *until <= decided.now && !old.withheld
        }
        (Reserved { .. }, Available) => releases(RestockStatus::Available),
        (Reserved { .. }, Blocked) => releases(RestockStatus::Blocked),
        (Booked { .. }, Available) => refunds && releases(RestockStatus::Available),
        (Booked { .. }, Blocked) => refunds && releases(RestockStatus::Blocked),
        (Available, Blocked) | (Blocked, Available) => {
            matches!(outcome, Outcome::Restocked { .. })
        }
        _ => false,
    }
}

/// The mark is set and taken away by restocks, and goes with the release.
fn only_what_is_held_or_sold_is_withheld(decided: &Decided) -> Checked {
    let restocks = matches!(decided.ran.verdict.outcome, Outcome::Restocked { .. });
    for (key, new) in &decided.after.seats {
        let has_holder = new.occupancy.reservation_id().is_some();
        let was = decided.before.seats.get(key).is_some_and(|old| old.withheld);
        let may_change = restocks || !has_holder;
        if new.withheld && !has_holder || new.withheld != was && !may_change {
            return Err(format!("{key:?} was withheld: {was}, and is {new:?}"));
        }
    }
    Ok(())
}
