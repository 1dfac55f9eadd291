//! Answers of gateways, checked against what was committed.

use super::History;
use crate::checks::{
    Violation,
    gateway::{
        self, Moment, Shown, commands, counts, lines, points,
        seats::{self, ShownSeat},
        walk,
    },
    model::Model,
};
use inventory_worker::{
    domain::{CommandKey, Digest, LineKey, PoolId, SeatKey, Timestamp},
    gateway::{
        Decided,
        queries::{LineAnswer, LineInfo, ReservationAnswer, SeatAnswer, SeatFilter},
        view::Availability,
    },
    ports::{LedgerKey, LedgerRecord, Transaction, Write},
};

impl History {
    /// Notes when outcomes came into the ledger.
    pub(super) fn note_recorded(&mut self, transaction: &Transaction, now: Timestamp) {
        for write in &transaction.writes {
            let key = match write {
                Write::Ledger {
                    key: LedgerKey::Command(key),
                    record: LedgerRecord::Outcome { .. },
                }
                | Write::LedgerOverIntent { key, .. } => key,
                _ => continue,
            };
            self.recorded.insert(key.clone(), now);
        }
    }

    /// When the command's outcome came into the ledger.
    pub(crate) fn recorded_at(&self, key: &CommandKey) -> Option<Timestamp> {
        self.recorded.get(key).copied()
    }

    /// Every pool that has anything.
    pub(crate) fn pools(&self) -> std::collections::BTreeSet<PoolId> {
        let events = self.model.seats.keys().map(|key| PoolId::Event(key.event_id));
        events.chain(self.model.lines.keys().map(|key| key.pool.clone())).collect()
    }

    /// Fails if the check does.
    pub(crate) fn judge(
        &mut self,
        moment: &Moment,
        check: impl FnOnce(&Model, &mut Shown) -> Result<(), Violation>,
    ) {
        let checked = check(&self.model, &mut self.shown);
        self.check(checked.map_err(|Violation { check, detail }| {
            Violation::new(check, format!("{moment:?}: {detail}"))
        }));
    }

    pub(crate) fn answered(
        &mut self,
        key: Option<&CommandKey>,
        digest: Option<Digest>,
        decided: &Decided,
    ) {
        let checked = commands::decided(&self.model, key, digest, decided);
        self.check(checked);
    }

    pub(crate) fn showed_seat(&mut self, moment: &Moment, may_see: bool, answer: &SeatAnswer) {
        self.judge(moment, |model, shown| points::seat(model, shown, moment, may_see, answer));
    }

    pub(crate) fn showed_line(&mut self, moment: &Moment, key: &LineKey, answer: &LineAnswer) {
        self.judge(moment, |model, shown| points::line(model, shown, moment, key, answer));
    }

    pub(crate) fn showed_reservation(&mut self, moment: &Moment, answer: &ReservationAnswer) {
        self.judge(moment, |model, _| points::reservation(model, moment, answer));
    }

    pub(crate) fn showed_seats(&mut self, moment: &Moment, event_id: u64, seats: &[ShownSeat]) {
        self.judge(moment, |model, shown| {
            seats.iter().try_for_each(|seat| {
                let number = seat.number.parse();
                let number = number
                    .map_err(|_| Violation::new("committed", format!("no number: {seat:?}")))?;
                let key = SeatKey { event_id, number };
                seats::check(model, shown, moment, &key, seat).map(drop)
            })
        });
    }

    pub(crate) fn showed_lines(&mut self, moment: &Moment, pool: &PoolId, lines: &[LineInfo]) {
        self.judge(moment, |model, shown| {
            lines.iter().try_for_each(|line| {
                let key = LineKey { pool: pool.clone(), sku: line.sku.clone() };
                lines::check(model, shown, moment, &key, line)
            })
        });
    }

    pub(crate) fn counted(&mut self, moment: &Moment, event_id: u64, counts: &Availability) {
        self.judge(moment, |model, _| counts::check(model, moment, event_id, counts));
    }

    /// Checks a list that was read to its end: of seats if it has a filter. Returns whether
    /// anything changed meanwhile.
    pub(crate) fn walked(
        &mut self,
        pool: &PoolId,
        filter: Option<&SeatFilter>,
        pages: &walk::Pages,
    ) -> bool {
        let model = &self.model;
        let checked = match (filter, pool.event_id()) {
            (Some(filter), Some(event_id)) => walk::seats(model, event_id, filter, pages),
            _ => walk::lines(model, pool, pages),
        };
        let checked = checked.and_then(|has_changed| {
            walk::ascends(pages)?;
            Ok(has_changed)
        });
        match checked {
            Ok(has_changed) => has_changed,
            Err(Violation { check, detail }) => {
                let gateways: Vec<_> = pages.iter().map(|(moment, _)| moment.gateway).collect();
                self.fail(check, format!("{pool} of {gateways:?} with {filter:?}: {detail}"));
                true
            }
        }
    }

    /// A pool, seat, line or reservation was not found.
    pub(crate) fn lacked(&mut self, what: &Lacked<'_>, since: Timestamp) {
        let model = &self.model;
        let checked = match what {
            Lacked::Pool(pool) => gateway::was_absent(model, pool, since),
            Lacked::Seat(key) => points::lacked(&model.seats, key, since),
            Lacked::Line(key) => points::lacked(&model.lines, key, since),
            Lacked::Reservation(id) => points::lacked(&model.reservations, id, since),
        };
        self.check(checked);
    }

    /// The number of seats and lines of a pool.
    pub(crate) fn entries(&self, pool: &PoolId) -> usize {
        gateway::entries(&self.model, pool)
    }
}

/// What was not found.
#[derive(Debug)]
pub(crate) enum Lacked<'a> {
    Pool(&'a PoolId),
    Seat(&'a SeatKey),
    Line(&'a LineKey),
    Reservation(&'a inventory_worker::domain::ReservationId),
}
