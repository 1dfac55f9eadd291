//! Seats that an answer shows.

use super::{Moment, Shown, TICK};
use crate::checks::{Violation, ensure, model::Model};
use inventory_worker::{
    domain::{Label, Seat, SeatDetails, SeatKey, SeatState, SeatStatus, Timestamp},
    gateway::queries::SeatInfo,
};

/// Section, row, type and price.
pub(crate) type Details = [Option<String>; 4];

/// A seat as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownSeat {
    pub(crate) number: String,
    pub(crate) version: u64,
    pub(crate) status: SeatStatus,
    pub(crate) until: Option<Timestamp>,
    pub(crate) is_sellable: bool,
    pub(crate) details: Details,
}

impl From<&SeatInfo> for ShownSeat {
    fn from(info: &SeatInfo) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            number: info.seat_number.to_string(),
            version: info.version,
            status: info.status,
            until: info.reserved_until,
            is_sellable: info.sellable,
            details: [&info.section, &info.row_number, &info.seat_type, &info.price].map(text),
        }
    }
}

/// The end of its hold.
fn until(seat: &Seat) -> Option<Timestamp> {
    match seat.occupancy {
        SeatState::Reserved { until, .. } => Some(until),
        _ => None,
    }
}

fn status(seat: &Seat) -> SeatStatus {
    match seat.occupancy {
        SeatState::Available => SeatStatus::Available,
        SeatState::Reserved { .. } => SeatStatus::Reserved,
        SeatState::Booked { .. } => SeatStatus::Booked,
        SeatState::Blocked => SeatStatus::Blocked,
    }
}

/// The contract: a reserve may take what is AVAILABLE, or RESERVED by a hold that ran out and not
/// withheld.
pub(crate) fn is_sellable(seat: &Seat, now: Timestamp) -> bool {
    match seat.occupancy {
        SeatState::Available => true,
        SeatState::Reserved { until, .. } => until <= now && !seat.withheld,
        SeatState::Booked { .. } | SeatState::Blocked => false,
    }
}

pub(crate) fn details(seat: &Seat) -> Details {
    let SeatDetails { section, row_number, seat_type, price } = &seat.details;
    let [section, row, kind] = [section, row_number, seat_type]
        .map(|label| label.as_ref().map(|label: &Label| label.as_str().to_owned()));
    [section, row, kind, price.as_ref().map(ToString::to_string)]
}

/// Checks a seat that an answer shows. Returns it as it was committed.
pub(crate) fn check<'a>(
    model: &'a Model,
    shown: &mut Shown,
    moment: &Moment,
    key: &SeatKey,
    seat: &ShownSeat,
) -> Result<&'a Seat, Violation> {
    let states = || model.seats.states(key).filter(|state| state.from <= moment.at);
    let found = states().find(|state| state.item.version == seat.version);
    let Some(state) = found else {
        return Err(Violation::new("committed", format!("{seat:?} of {key:?} never was")));
    };
    let is = state.item;
    let is_committed = seat.status == status(is) && seat.until == until(is);
    ensure(is_committed, "committed", || format!("{seat:?} of {key:?} was {is:?}"))?;
    // Descriptions come with a read, and hints change the rest.
    let described = |other: &Seat| details(other) == seat.details;
    let is_described = described(is)
        || moment.has_hints
            && states().any(|state| state.until >= moment.since && described(state.item));
    ensure(is_described, "committed", || format!("{seat:?} of {key:?} was {is:?}"))?;
    ensure(state.until >= moment.since, "age", || {
        let (at, since) = (moment.at, moment.since);
        format!("{seat:?} of {key:?} was replaced at {}, and is shown at {at} as of {since}", {
            state.until
        })
    })?;
    ensure(seat.is_sellable == is_sellable(is, moment.now), "sellable", || {
        format!("{seat:?} of {key:?} is {is:?} at {}", moment.now)
    })?;
    shown.seat(moment, key, seat.version)?;
    Ok(is)
}

/// Whether the states of a seat allow that an answer does not have it.
pub(crate) fn may_lack(model: &Model, moment: &Moment, key: &SeatKey) -> bool {
    model.seats.states(key).next().is_none_or(|first| first.from + TICK > moment.since)
}
