//! Callers of queries.

mod lists;
mod points;

use jiff::SignedDuration;

use super::{
    Door, Gateway, Situation, behind,
    log::{CallKind, CallSpan},
};
use crate::{
    checks::gateway::{Moment, map, seats::ShownSeat},
    history::Lacked,
    workload::visits::{Query, What, Who},
    world::World,
};
use inventory_worker::{
    domain::{PoolId, SeatStatus, Timestamp, time::saturating_add},
    gateway::{
        Caller, QueryError,
        queries::Freshness,
        view::{Found, Snapshot},
    },
    ports::Clock,
};
pub(super) use lists::at_rest;

/// How far a projection that hints keep current may be behind where workers neither stop nor stand
/// still: two seconds after a lost hint, and what it takes to notice.
const BEHIND_MAX: SignedDuration = SignedDuration::from_secs(5);

/// Asks for a seat, a line, a reservation, counts, a map or a list.
pub(super) async fn ask(world: &World, doors: &[Door], query: &Query) {
    if let What::Walk(walk) = &query.what {
        return lists::walk(world, doors, query, walk).await;
    }
    let Some(gateway) = behind(doors, query.gateway) else {
        return world.cover(Situation::NoGateway);
    };
    let reader = Reader::new(world, &gateway, query.who);
    let asked = async {
        match &query.what {
            What::Seat(key) => reader.seat(key).await,
            What::Line(key) => reader.line(key).await,
            What::Reservation(id) => reader.reservation(id).await,
            What::Availability(event_id) => {
                reader.availability(*event_id).await;
            }
            What::Map(event_id) => {
                reader.map(*event_id).await;
            }
            What::Walk(_) => {}
        }
    };
    tokio::select! {
        biased;
        () = asked => {}
        () = gateway.dead.cancelled() => world.cover(Situation::NoGateway),
    }
}

/// A caller at a gateway.
pub(super) struct Reader<'a> {
    world: &'a World,
    gateway: &'a Gateway,
    who: Who,
    caller: Caller,
    _query: CallSpan<'a>,
}

impl<'a> Reader<'a> {
    fn new(world: &'a World, gateway: &'a Gateway, who: Who) -> Self {
        let query = gateway.log.begin(CallKind::Query);
        Self { world, gateway, who, caller: who.caller(), _query: query }
    }

    fn trace(&self, line: std::fmt::Arguments<'_>) {
        self.gateway.injector.trace(line);
    }

    /// The moment of an answer, whose age and times are checked.
    fn moment(&self, freshness: &Freshness) -> Moment {
        let life = (self.gateway.life, self.gateway.settings.has_hints);
        let mut moment = Moment::new(life, self.world.clock.now(), freshness);
        self.world.history().judge(&moment, |_, _| moment.check(freshness.as_of));
        if moment.is_projected && self.check_age(&moment, freshness) {
            self.world.cover(Situation::KeptCurrent);
            if self.world.profile.has_steady_hints() {
                moment.since = moment.since.max(moment.at - BEHIND_MAX);
            }
        }
        moment
    }

    /// A projection that is too old answers only while it cannot be read again. Returns whether it is
    /// one that hints keep current.
    fn check_age(&self, moment: &Moment, freshness: &Freshness) -> bool {
        let view = &self.gateway.settings.view;
        if freshness.age > view.stale {
            let detail = format!("{moment:?} is older than {:?}", view.stale);
            self.world.history().fail("age", detail);
        }
        if freshness.age <= view.fresh {
            return false;
        }
        if self.is_reading(CallKind::Page, moment.at) {
            self.world.cover(Situation::Stale);
            return false;
        }
        let is_kept_current = moment.has_hints && freshness.age <= view.hinted;
        if !is_kept_current {
            let detail = format!("{moment:?} is old, and nothing is read");
            self.world.history().fail("age", detail);
        }
        is_kept_current
    }

    /// Whether the tables are being read, or were in the pause after a failure.
    fn is_reading(&self, kind: CallKind, at: Timestamp) -> bool {
        let retry = self.gateway.settings.view.retry_max;
        let retry = SignedDuration::try_from(retry).unwrap_or_default();
        let from = at - retry - SignedDuration::from_millis(5);
        self.gateway.log.calls_in(kind, from, at)
    }

    /// Checks an error. `lacked`: what was asked for, and since when it may have been missing.
    fn check_error(
        &self,
        error: &QueryError,
        (lacked, since): (&Lacked<'_>, Timestamp),
        is_allowed: bool,
    ) {
        let now = self.world.clock.now();
        let is_point = !matches!(lacked, Lacked::Pool(_));
        let (situation, is_so) = match error {
            QueryError::NoScope(_) => (Situation::NoRight, !is_allowed),
            QueryError::NotFound { .. } => {
                self.world.history().lacked(lacked, since);
                (Situation::NotFound, true)
            }
            QueryError::TooLarge { entries_max } => {
                let is_large = match lacked {
                    Lacked::Pool(pool) => self.world.history().entries(pool) > *entries_max,
                    _ => false,
                };
                (Situation::TooLarge, is_large)
            }
            QueryError::Unavailable(_) if is_point => {
                let failed = self.gateway.log.fails_in(CallKind::Point, now, now);
                (Situation::QueryFailed, failed)
            }
            QueryError::Unavailable(_) => {
                // So many others may wait for the first read of their pools that there is no room.
                let others = self.gateway.log.calls_now(CallKind::Query).saturating_sub(1);
                let is_full = others >= self.gateway.settings.view.pending_max;
                (Situation::QueryFailed, is_full || self.is_reading(CallKind::Page, now))
            }
            QueryError::Invalid { .. } => (Situation::ForeignCursor, false),
            // Simulated callers list less than a gateway reads at once.
            QueryError::Busy => (Situation::QueryFailed, false),
        };
        self.trace(format_args!("answers {lacked:?}: {error}"));
        self.world.cover(situation);
        if !is_so || is_allowed == matches!(error, QueryError::NoScope(_)) {
            let detail = format!("{:?} is told {error:?} of {lacked:?}", self.who);
            self.world.history().fail("unjustified", detail);
        }
    }

    /// Checks that a caller who may not read got no answer.
    fn check_allowed(&self, is_allowed: bool) {
        if !is_allowed {
            let detail = format!("{:?} reads what it may not", self.who);
            self.world.history().fail("private", detail);
        }
    }

    /// Asks for counts. Returns the moment of the answer, if there is one.
    async fn availability(&self, event_id: u64) -> Option<Moment> {
        let asked = self.world.clock.now();
        match self.gateway.queries.availability(&self.caller, event_id).await {
            Ok(answer) => {
                self.check_allowed(self.who.reads_public());
                let moment = self.moment(&answer.freshness);
                self.world.history().counted(&moment, event_id, &answer.availability);
                let counts = &answer.availability.counts;
                self.trace(format_args!("counts event {event_id}: {counts:?}"));
                Some(moment)
            }
            Err(error) => self.failed(&error, &PoolId::Event(event_id), asked),
        }
    }

    /// The pool was not there when it was last read, which may be some time ago.
    fn failed(&self, error: &QueryError, pool: &PoolId, asked: Timestamp) -> Option<Moment> {
        let view = &self.gateway.settings.view;
        let known = SignedDuration::try_from(view.absent + view.read_max).unwrap_or_default();
        let lacked = Lacked::Pool(pool);
        let since = asked - known - SignedDuration::from_millis(5);
        self.check_error(error, (&lacked, since), self.who.reads_public());
        None
    }

    /// Asks for a map, and reads it with its layout. Returns the moment of the answer, if there is
    /// one.
    async fn map(&self, event_id: u64) -> Option<Moment> {
        if !self.who.reads_public() {
            return None;
        }
        let pool = PoolId::Event(event_id);
        let snapshot = match self.gateway.queries.views().get(&pool).await {
            Ok(Found::View(snapshot)) => snapshot,
            Ok(Found::Absent | Found::TooLarge) => return None,
            Err(error) => return self.failed(&error.into(), &pool, self.world.clock.now()),
        };
        let freshness = Freshness {
            as_of: snapshot.as_of,
            age: snapshot.age,
            now: self.gateway.clock.now(),
            source: inventory_worker::gateway::queries::ViewSource::Memory,
        };
        let moment = self.moment(&freshness);
        match self.read_map(&snapshot, freshness.now) {
            Some(Ok(seats)) => {
                self.trace(format_args!("maps event {event_id}: {} seats", seats.len()));
                self.world.history().showed_seats(&moment, event_id, &seats);
                seats.iter().for_each(|seat| self.cover_seat(seat, freshness.now));
                let numbers = seats.into_iter().map(|seat| seat.number).collect();
                let all = Default::default();
                self.world.history().walked(&pool, Some(&all), &[(moment, numbers)]);
            }
            Some(Err(violation)) => {
                self.world.history().fail(violation.check, violation.detail);
            }
            None => self.world.history().fail("map", "is not encoded".to_owned()),
        }
        Some(moment)
    }

    /// The gateway encodes on another thread. The simulation waits for that thread, so that nothing
    /// else happens meanwhile and each run of a seed is the same.
    fn read_map(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Result<Vec<ShownSeat>, crate::checks::Violation>> {
        let layout = futures::executor::block_on(snapshot.layout()).ok()?;
        let map = futures::executor::block_on(snapshot.map(now)).ok()?;
        Some(map::read((&layout.tag, &layout.plain), &map.plain))
    }

    /// Counts what is special about a seat that is shown.
    fn cover_seat(&self, seat: &ShownSeat, now: Timestamp) {
        if seat.status == SeatStatus::Reserved && seat.until.is_some_and(|until| until <= now) {
            self.world.cover(match seat.is_sellable {
                true => Situation::HoldEnded,
                false => Situation::Withheld,
            });
        }
    }

    /// The time until which the gateway may know a pool as it was.
    fn settled_by(&self, at: Timestamp) -> Timestamp {
        let view = &self.gateway.settings.view;
        let fresh = if self.gateway.settings.has_hints { view.hinted } else { view.fresh };
        saturating_add(at, SignedDuration::try_from(fresh).unwrap_or_default())
    }
}
