//! A sweeper's progress in a shard. Bounded in size, whatever the shard holds.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::warn;

use super::{
    Settings,
    schedule::{self, Sweep, before},
};
use crate::{
    domain::{Timestamp, time},
    ports::{Ended, ExpiredHold, PageCursor, PortError},
};

/// How long before the last sweep the next one begins: the index lags behind the table.
const OVERLAP: Duration = Duration::from_secs(60);

/// The recent sweep goes back no further: the full sweep finds what is older.
const LATELY_MAX: Duration = Duration::from_secs(600);

/// The interval between full sweeps.
pub(super) const ALL_EVERY: Duration = Duration::from_secs(60);

/// The interval between full sweeps of a shard that other pods have.
pub(super) const ALL_OF_OTHERS_EVERY: Duration = Duration::from_secs(300);

/// The most holds that one full sweep logs as stuck, each in its own line.
const NAMED_MAX: u64 = 20;

/// The holds that a sweep covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Holds that ended since the last sweep, minus the overlap. Stuck holds never delay it.
    Recent,
    /// All holds that have ended, oldest first: those missed, and those to be posted again.
    All,
}

/// A shard of the index.
pub(super) struct Shard {
    pub(super) number: u32,
    pub(super) recent: ShardSweep,
    pub(super) all: ShardSweep,
    /// How many holds were stuck at the last complete full sweep.
    pub(super) stuck: u64,
    /// The end of the oldest hold that was not stuck at that sweep.
    waiting_since: Option<Timestamp>,
    /// The interval between full sweeps.
    pub(super) full_every: Duration,
    /// When the shard is due again; `None`: at once.
    due_at: Option<Instant>,
    /// Whether the last recent sweep, if any, found no hold that had ended: the next one reads
    /// ahead.
    is_quiet: bool,
}

impl Shard {
    pub(super) fn new(number: u32) -> Self {
        let (recent, all) = (ShardSweep::new(Scope::Recent), ShardSweep::new(Scope::All));
        Self {
            number,
            recent,
            all,
            stuck: 0,
            waiting_since: None,
            full_every: ALL_EVERY,
            due_at: None,
            is_quiet: true,
        }
    }

    pub(super) fn is_due(&self, tick: Instant) -> bool {
        self.due_at.is_none_or(|at| at <= tick)
    }

    /// Sets when the shard is due again, after a sweep at this tick. Returns how long after it.
    pub(super) fn rest(&mut self, tick: Instant, settings: &Settings) -> Duration {
        let is_complete = self.recent.under_way.is_none() && self.all.under_way.is_none();
        let found = self.recent.found.as_ref().filter(|seen| is_complete && seen.is_quiet());
        self.is_quiet = found.is_some();
        let rest = match found {
            Some(seen) if !seen.ahead.is_zero() => {
                let looked = self.recent.begun.unwrap_or(tick);
                let next = seen.next_end.map(|end| end.duration_since(seen.sweep.until));
                let next = next.and_then(|until| Duration::try_from(until).ok());
                let next = next.map(|until| (looked + until).saturating_duration_since(tick));
                next.unwrap_or(seen.ahead).min(seen.ahead).max(settings.interval)
            }
            _ => settings.interval,
        };
        let rest = rest.saturating_mul(if crate::injected_bug!(RestForever) { 10_000 } else { 1 });
        self.due_at = Some(tick + rest);
        rest
    }

    /// The next page of the current sweep, or of one that begins now. `None` while no sweep is due.
    pub(super) fn next_page(
        &mut self,
        scope: Scope,
        now: Timestamp,
        settings: &Settings,
    ) -> Option<NextPage> {
        let reads_ahead =
            scope == Scope::Recent && self.is_quiet && settings.idle > settings.interval;
        let ahead = if reads_ahead { settings.idle } else { Duration::ZERO };
        let every = self.full_every;
        let sweep = Sweep::new(now, settings.margin);
        self.sweep_of(scope).next_page(sweep, every, ahead)
    }

    /// Records that a page could not be read or posted.
    pub(super) fn failed(&mut self, scope: Scope, error: &PortError) {
        self.sweep_of(scope).failed(error);
    }

    pub(super) fn sweep_of(&mut self, scope: Scope) -> &mut ShardSweep {
        match scope {
            Scope::Recent => &mut self.recent,
            Scope::All => &mut self.all,
        }
    }

    /// Records the result of a complete sweep. Returns how far the oldest hold that is not stuck
    /// was past its end plus the margin: a stuck hold does not hide the lag of the others.
    pub(super) fn note(&mut self, scope: Scope, seen: &Seen) -> Duration {
        if scope == Scope::All {
            self.stuck = seen.stuck;
            self.waiting_since = seen.waiting_since;
        }
        let is_waiting = |since: &Timestamp| {
            *since > before(seen.sweep.at, schedule::STUCK_AFTER) && *since <= seen.sweep.until
        };
        let oldest = seen.waiting_since.into_iter().chain(self.waiting_since).filter(is_waiting);
        oldest.min().map_or(Duration::ZERO, |since| {
            Duration::try_from(seen.sweep.until.duration_since(since)).unwrap_or(Duration::ZERO)
        })
    }
}

/// A sweep of a shard over pages and ticks, and the sweep before it.
pub(super) struct ShardSweep {
    scope: Scope,
    /// The last sweep that posted everything that was due.
    done: Option<Sweep>,
    begun: Option<Instant>,
    under_way: Option<UnderWay>,
    /// The findings of the last complete sweep.
    found: Option<Seen>,
}

/// The findings so far of an unfinished sweep.
struct UnderWay {
    ended: Ended,
    from: Option<PageCursor>,
    seen: Seen,
}

/// The findings of a complete sweep.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) sweep: Sweep,
    stuck: u64,
    newly_stuck: u64,
    waiting_since: Option<Timestamp>,
    /// How far the sweep read beyond the holds that it covers.
    ahead: Duration,
    /// The first end of a hold beyond them.
    next_end: Option<Timestamp>,
    is_all_posted: bool,
}

/// The page to read next: its range, its cursor, and the time it is read as of.
pub(super) struct NextPage {
    pub(super) ended: Ended,
    pub(super) from: Option<PageCursor>,
    pub(super) sweep: Sweep,
}

impl ShardSweep {
    fn new(scope: Scope) -> Self {
        Self { scope, done: None, begun: None, under_way: None, found: None }
    }

    fn next_page(&mut self, sweep: Sweep, every: Duration, ahead: Duration) -> Option<NextPage> {
        let is_due =
            self.scope == Scope::Recent || self.begun.is_none_or(|at| at.elapsed() >= every);
        if self.under_way.is_none() && is_due {
            self.begun = Some(Instant::now());
            self.under_way = Some(UnderWay::begin(self.scope, sweep, self.done).reading(ahead));
        }
        self.under_way.as_ref().map(|under_way| NextPage {
            ended: under_way.ended,
            from: under_way.from.clone(),
            sweep: under_way.seen.sweep,
        })
    }

    /// The holds of a page whose expiry is due; records and logs those that are stuck.
    pub(super) fn due(&mut self, mut holds: Vec<ExpiredHold>) -> Vec<ExpiredHold> {
        let (scope, done) = (self.scope, self.done);
        let Some(UnderWay { seen, .. }) = &mut self.under_way else { return Vec::new() };
        let covered = holds.partition_point(|hold| hold.expires_at <= seen.sweep.until);
        let beyond = holds.split_off(covered);
        seen.next_end = seen.next_end.or(beyond.first().map(|hold| hold.expires_at));
        for hold in &holds {
            seen.note(scope, hold, done);
        }
        let sweep = seen.sweep;
        holds.into_iter().filter(|hold| sweep.finds_due(hold, done)).collect()
    }

    /// Completes the page; `is_all_posted` covers all its holds. Returns the findings at the end of
    /// the sweep.
    pub(super) fn turn(&mut self, next: Option<PageCursor>, is_all_posted: bool) -> Option<Seen> {
        let mut under_way = self.under_way.take()?;
        under_way.seen.is_all_posted &= is_all_posted;
        if next.is_some() && under_way.seen.next_end.is_none() {
            under_way.from = next;
            self.under_way = Some(under_way);
            return None;
        }
        // Holds not posted stay due until a sweep posts them: the queue drops duplicates.
        if under_way.seen.is_all_posted {
            self.done = Some(under_way.seen.sweep);
        }
        under_way.seen.report();
        self.found = Some(under_way.seen.clone());
        Some(under_way.seen)
    }

    /// Records that a page could not be read or posted. A refused cursor is discarded.
    fn failed(&mut self, error: &PortError) {
        if self.scope == Scope::Recent || matches!(error, PortError::Refused(_)) {
            self.under_way = None;
        }
    }
}

impl UnderWay {
    fn begin(scope: Scope, sweep: Sweep, done: Option<Sweep>) -> Self {
        let until = sweep.until;
        let ended = match scope {
            Scope::Recent => {
                let since = done.map_or(until, |done| done.until.min(until));
                let from = before(since, OVERLAP).max(before(until, LATELY_MAX));
                Ended { from, until }
            }
            Scope::All => Ended::by(before(until, OVERLAP)),
        };
        let seen = Seen {
            sweep,
            stuck: 0,
            newly_stuck: 0,
            waiting_since: None,
            ahead: Duration::ZERO,
            next_end: None,
            is_all_posted: true,
        };
        Self { ended, from: None, seen }
    }

    /// The same, reading that far beyond the holds that it covers.
    fn reading(mut self, ahead: Duration) -> Self {
        let by = SignedDuration::try_from(ahead).unwrap_or_default();
        self.ended.until = time::saturating_add(self.ended.until, by);
        self.seen.ahead = ahead;
        self
    }
}

impl Seen {
    /// Whether no hold was found that had ended and may yet be given back.
    fn is_quiet(&self) -> bool {
        self.is_all_posted && self.waiting_since.is_none()
    }

    fn note(&mut self, scope: Scope, hold: &ExpiredHold, earlier: Option<Sweep>) {
        if !schedule::is_stuck(hold, self.sweep.at) {
            self.waiting_since.get_or_insert(hold.expires_at);
            return;
        }
        if scope == Scope::Recent {
            return;
        }
        self.stuck += 1;
        if !self.sweep.finds_newly_stuck(hold, earlier) {
            return;
        }
        self.newly_stuck += 1;
        if self.newly_stuck <= NAMED_MAX {
            warn!(
                reservation = %hold.reservation_id,
                pool = %hold.pool,
                age_s = schedule::age(hold, self.sweep.at).as_secs(),
                "a hold is stuck: it ended and cannot be expired"
            );
        }
    }

    fn report(&self) {
        let more = self.newly_stuck.saturating_sub(NAMED_MAX);
        if more > 0 {
            warn!(more, "more holds are stuck");
        }
    }
}
