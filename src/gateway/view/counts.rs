//! Counts, always counted from the projection: counters that are kept drift.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{PoolView, Reason, SeatEntry};
use crate::domain::Timestamp;

/// How many seats there are, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Those that a reserve may take: available and hold ended.
    pub sellable: u64,
    /// AVAILABLE.
    pub available: u64,
    /// Held; also withheld seats whose hold ran out.
    pub held: u64,
    /// Held until their hold ran out; not yet given back.
    pub hold_ended: u64,
    /// BOOKED.
    pub booked: u64,
    /// BLOCKED.
    pub blocked: u64,
}

impl Counts {
    /// Counts one seat.
    pub fn add(&mut self, seat: &SeatEntry, now: Timestamp) {
        let reason = seat.reason_at(now);
        let counter = match reason {
            Reason::Available => &mut self.available,
            Reason::Held => &mut self.held,
            Reason::HoldEnded => &mut self.hold_ended,
            Reason::Booked => &mut self.booked,
            Reason::Blocked => &mut self.blocked,
        };
        *counter = counter.saturating_add(1);
        self.total = self.total.saturating_add(1);
        let is_sellable = matches!(reason, Reason::Available | Reason::HoldEnded)
            || reason == Reason::Blocked && injected_bug!(CountBlocked);
        self.sellable = self.sellable.saturating_add(u64::from(is_sellable));
    }
}

/// The counts of the seats of one section and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The section; `None` for seats without.
    pub section: Option<Arc<str>>,
    /// The type; `None` for seats without.
    pub seat_type: Option<Arc<str>>,
    /// Their counts.
    pub counts: Counts,
}

/// The counts of an event's seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// Of all seats.
    pub counts: Counts,
    /// By section and type, in byte order.
    pub groups: Vec<Group>,
}

type Text<'a> = Option<&'a Arc<str>>;

impl Availability {
    /// Counts the seats of a projection as they are at `now`.
    #[must_use]
    pub fn of(view: &PoolView, now: Timestamp) -> Self {
        let mut counts = Counts::default();
        let mut groups = BTreeMap::<(Text<'_>, Text<'_>), Counts>::new();
        let layout = view.layout();
        for (position, seat) in view.seats().iter().enumerate() {
            counts.add(seat, now);
            let key = (layout.sections.get(position), layout.types.get(position));
            groups.entry(key).or_default().add(seat, now);
        }
        let groups = groups.into_iter().map(|((section, seat_type), counts)| Group {
            section: section.cloned(),
            seat_type: seat_type.cloned(),
            counts,
        });
        Self { counts, groups: groups.collect() }
    }
}
