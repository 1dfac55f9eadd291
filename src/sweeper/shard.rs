//! What a sweeper knows of a shard: how far it has looked. Of bounded size, whatever the shard holds.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::schedule::{self, Look, before};
use crate::{
    domain::Timestamp,
    ports::{Ended, ExpiredHold, PageCursor, PortError},
};

/// How long before the last look the next one begins: the index lags behind the table.
const OVERLAP: Duration = Duration::from_secs(60);

/// No look at what ended lately goes back further: what is older is found by the look at all.
const LATELY_MAX: Duration = Duration::from_secs(600);

/// How often a look at all holds begins.
const ALL_EVERY: Duration = Duration::from_secs(60);

/// The most holds that one look at all names as stuck, each in a line of its own.
const NAMED_MAX: u64 = 20;

/// Which holds a look goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What ended since the last look, less the overlap. Never delayed by what is stuck.
    Lately,
    /// All that ended before, from the oldest on: what was missed, and what is to be posted again.
    All,
}

/// One of the shards of the index.
pub(super) struct Shard {
    pub(super) number: u32,
    pub(super) lately: Walk,
    pub(super) all: Walk,
    /// How many were stuck at the last whole look at all.
    pub(super) stuck: u64,
    /// The end of the oldest that was not, then.
    waiting_since: Option<Timestamp>,
}

impl Shard {
    pub(super) fn new(number: u32) -> Self {
        let (lately, all) = (Walk::new(Scope::Lately), Walk::new(Scope::All));
        Self { number, lately, all, stuck: 0, waiting_since: None }
    }

    pub(super) fn walk(&mut self, scope: Scope) -> &mut Walk {
        match scope {
            Scope::Lately => &mut self.lately,
            Scope::All => &mut self.all,
        }
    }

    /// Takes in what a whole look found. Gives how far past its end and the margin the oldest hold
    /// was, stuck ones aside: one that needs a person does not hide how the others fare.
    pub(super) fn note(&mut self, scope: Scope, seen: &Seen) -> Duration {
        if scope == Scope::All {
            self.stuck = seen.stuck;
            self.waiting_since = seen.waiting_since;
        }
        let is_waiting = |since: &Timestamp| {
            *since > before(seen.look.at, schedule::STUCK_AFTER) && *since <= seen.look.until
        };
        let oldest = seen.waiting_since.into_iter().chain(self.waiting_since).filter(is_waiting);
        oldest.min().map_or(Duration::ZERO, |since| {
            Duration::try_from(seen.look.until.duration_since(since)).unwrap_or(Duration::ZERO)
        })
    }
}

/// A look at a shard, page by page and tick by tick, and the one before it.
pub(super) struct Walk {
    scope: Scope,
    /// The last look that posted all that was due.
    done: Option<Look>,
    begun: Option<Instant>,
    under_way: Option<UnderWay>,
}

/// What a look that is not yet at its end found so far.
struct UnderWay {
    ended: Ended,
    from: Option<PageCursor>,
    is_all_posted: bool,
    seen: Seen,
}

/// What a look found.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) look: Look,
    stuck: u64,
    newly_stuck: u64,
    waiting_since: Option<Timestamp>,
}

/// A page to be read: its range, where in it, and as of when.
pub(super) struct NextPage {
    pub(super) ended: Ended,
    pub(super) from: Option<PageCursor>,
    pub(super) look: Look,
}

impl Walk {
    fn new(scope: Scope) -> Self {
        Self { scope, done: None, begun: None, under_way: None }
    }

    /// What to read next: of the look under way, or of one that begins now. `None` while none is
    /// due.
    pub(super) fn next_page(&mut self, now: Timestamp, margin: Duration) -> Option<NextPage> {
        let is_due =
            self.scope == Scope::Lately || self.begun.is_none_or(|at| at.elapsed() >= ALL_EVERY);
        if self.under_way.is_none() && is_due {
            self.begun = Some(Instant::now());
            self.under_way = Some(UnderWay::begin(self.scope, Look::new(now, margin), self.done));
        }
        self.under_way.as_ref().map(|under_way| NextPage {
            ended: under_way.ended,
            from: under_way.from.clone(),
            look: under_way.seen.look,
        })
    }

    /// Those of a page whose expiry is due; notes and reports what is stuck.
    pub(super) fn due(&mut self, holds: Vec<ExpiredHold>) -> Vec<ExpiredHold> {
        let (scope, done) = (self.scope, self.done);
        let Some(UnderWay { seen, .. }) = &mut self.under_way else { return Vec::new() };
        for hold in &holds {
            seen.note(scope, hold, done);
        }
        let look = seen.look;
        holds.into_iter().filter(|hold| look.finds_due(hold, done)).collect()
    }

    /// The page is done with; whether all of it was posted. At the end of the look, what it found.
    pub(super) fn turn(&mut self, next: Option<PageCursor>, is_all_posted: bool) -> Option<Seen> {
        let mut under_way = self.under_way.take()?;
        under_way.is_all_posted &= is_all_posted;
        if next.is_some() {
            under_way.from = next;
            self.under_way = Some(under_way);
            return None;
        }
        // What was not posted is due until a look posts it: the queue drops what it has had.
        if under_way.is_all_posted {
            self.done = Some(under_way.seen.look);
        }
        under_way.seen.report();
        Some(under_way.seen)
    }

    /// A page could not be read or posted. A cursor that is refused is of no more use.
    pub(super) fn failed(&mut self, error: &PortError) {
        if self.scope == Scope::Lately || matches!(error, PortError::Refused(_)) {
            self.under_way = None;
        }
    }
}

impl UnderWay {
    fn begin(scope: Scope, look: Look, done: Option<Look>) -> Self {
        let until = look.until;
        let ended = match scope {
            Scope::Lately => {
                let since = done.map_or(until, |done| done.until.min(until));
                let from = before(since, OVERLAP).max(before(until, LATELY_MAX));
                Ended { from, until }
            }
            Scope::All => Ended::by(before(until, OVERLAP)),
        };
        let seen = Seen { look, stuck: 0, newly_stuck: 0, waiting_since: None };
        Self { ended, from: None, is_all_posted: true, seen }
    }
}

impl Seen {
    fn note(&mut self, scope: Scope, hold: &ExpiredHold, earlier: Option<Look>) {
        if !schedule::is_stuck(hold, self.look.at) {
            self.waiting_since.get_or_insert(hold.expires_at);
            return;
        }
        if scope == Scope::Lately {
            return;
        }
        self.stuck += 1;
        if !self.look.finds_newly_stuck(hold, earlier) {
            return;
        }
        self.newly_stuck += 1;
        if self.newly_stuck <= NAMED_MAX {
            warn!(
                reservation = %hold.reservation_id,
                pool = %hold.pool,
                age_s = schedule::age(hold, self.look.at).as_secs(),
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
