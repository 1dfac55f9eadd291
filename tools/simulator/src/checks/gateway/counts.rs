//! Counts by reason, section and type, within what may be in the projection.

use super::{Moment, seats};
use crate::checks::{Violation, ensure, model::Model};
use inventory_worker::{
    domain::{Seat, SeatKey, SeatState, Timestamp},
    gateway::view::{Availability, Counts},
};

/// A counter, and whether it counts a seat at some time.
type Counter = (&'static str, fn(&Counts) -> u64, fn(&Seat, Timestamp) -> bool);

const COUNTERS: [Counter; 7] = [
    ("total", |counts| counts.total, |_, _| true),
    ("sellable", |counts| counts.sellable, seats::is_sellable),
    (
        "available",
        |counts| counts.available,
        |seat, _| matches!(seat.occupancy, SeatState::Available),
    ),
    (
        "held",
        |counts| counts.held,
        |seat, now| {
            matches!(seat.occupancy, SeatState::Reserved { .. }) && !seats::is_sellable(seat, now)
        },
    ),
    (
        "hold_ended",
        |counts| counts.hold_ended,
        |seat, now| {
            matches!(seat.occupancy, SeatState::Reserved { .. }) && seats::is_sellable(seat, now)
        },
    ),
    (
        "booked",
        |counts| counts.booked,
        |seat, _| matches!(seat.occupancy, SeatState::Booked { .. }),
    ),
    ("blocked", |counts| counts.blocked, |seat, _| matches!(seat.occupancy, SeatState::Blocked)),
];

/// Checks the counts of an event's seats.
pub(crate) fn check(
    model: &Model,
    moment: &Moment,
    event_id: u64,
    shown: &Availability,
) -> Result<(), Violation> {
    let keys = model.seats.keys().filter(|key| key.event_id == event_id);
    let possible: Vec<Possible<'_>> = keys.map(|key| Possible::new(model, moment, key)).collect();
    within(&possible, moment.now, &shown.counts, None)?;
    for group in &shown.groups {
        let name = [group.section.as_deref(), group.seat_type.as_deref()];
        within(&possible, moment.now, &group.counts, Some(name))?;
    }
    for (name, count, _) in COUNTERS {
        let sum: u64 = shown.groups.iter().map(|group| count(&group.counts)).sum();
        ensure(sum == count(&shown.counts), "counts", || {
            format!("{name} is {} in all, and {sum} in its groups", count(&shown.counts))
        })?;
    }
    Ok(())
}

/// What the projection may have of a seat.
struct Possible<'a> {
    states: Vec<&'a Seat>,
    /// Whether it may have nothing.
    may_lack: bool,
}

impl<'a> Possible<'a> {
    fn new(model: &'a Model, moment: &Moment, key: &SeatKey) -> Self {
        let states = model.seats.states(key);
        let states = states.filter(|state| state.from <= moment.at && state.until >= moment.since);
        let states = states.map(|state| state.item).collect();
        Self { states, may_lack: seats::may_lack(model, moment, key) }
    }

    fn all(&self, is_so: impl Fn(&Seat) -> bool) -> bool {
        !self.may_lack && self.states.iter().all(|seat| is_so(seat))
    }

    fn any(&self, is_so: impl Fn(&Seat) -> bool) -> bool {
        self.states.iter().any(|seat| is_so(seat))
    }
}

/// Each counter counts at least what it must, and at most what it may.
fn within(
    possible: &[Possible<'_>],
    now: Timestamp,
    counts: &Counts,
    group: Option<[Option<&str>; 2]>,
) -> Result<(), Violation> {
    let is_in = |seat: &Seat| {
        let [section, _, kind, _] = seats::details(seat);
        group.is_none_or(|group| group == [section.as_deref(), kind.as_deref()])
    };
    for (name, count, counts_it) in COUNTERS {
        let must = possible
            .iter()
            .filter(|seat| seat.all(is_in) && seat.all(|seat| counts_it(seat, now)))
            .count();
        let may = possible
            .iter()
            .filter(|seat| seat.any(is_in) && seat.any(|seat| counts_it(seat, now)))
            .count();
        let is = count(counts);
        let holds = (must as u64..=may as u64).contains(&is);
        ensure(holds, "counts", || {
            format!("{name} of {group:?} is {is} at {now}, and must be from {must} to {may}")
        })?;
    }
    Ok(())
}
