//! Whoever is not to blame goes on, and what is stuck takes little of a worker's room.
//!
//! In a history of the class [`Class::Progress`](super::profile::Class) one kind of trouble is in
//! force and no call fails otherwise. A message is to blame if it is of the trouble's pool, and so
//! is every message behind one that is to blame in its queue and group. All others must have their
//! result, or their copy among the dead letters where they cannot be read, within [`WITHIN`] of
//! being sent; holds that are not of that pool must be given back within [`WITHIN`] of their end.
//! Where the topic is away nobody can have a result, and the time counts from its return.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;

use super::trouble;
use inventory_worker::{
    domain::{Command, GroupId, Timestamp},
    worker::{Event, Observer},
};

/// Whoever is not to blame is done with after this.
pub(super) const WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// The same, and a little longer, as waiting is measured.
pub(super) const fn within() -> Duration {
    Duration::from_secs(WITHIN.as_secs().unsigned_abs() + 3)
}

/// A hold of which nothing is stuck is given back so long after its end, or after the calm began.
pub(super) const HOLD_WITHIN: SignedDuration = SignedDuration::from_secs(180);

/// How many looks in a row must show it before a worker's room counts as held.
const LOOKS: usize = 20;

/// What is stuck may hold an eighth of a worker's room; and one batch is always under way.
fn share(room: usize) -> i64 {
    let share = (room / 8).max(1).saturating_add(10);
    i64::try_from(share).unwrap_or(i64::MAX)
}

/// The messages that are not to blame and not done with.
#[derive(Default)]
pub(super) struct Waiting {
    open: BTreeMap<(usize, u64), Timestamp>,
    to_blame: BTreeSet<(usize, GroupId)>,
}

impl Waiting {
    pub(super) fn sent(
        &mut self,
        at: (usize, u64),
        group: &GroupId,
        command: Option<&Command>,
        now: Timestamp,
    ) {
        if trouble::is_of_pool(group, command) {
            self.to_blame.insert((at.0, group.clone()));
        }
        if !self.to_blame.contains(&(at.0, group.clone())) {
            self.open.insert(at, now);
        }
    }

    pub(super) fn done(&mut self, at: (usize, u64)) {
        self.open.remove(&at);
    }

    /// The first that has waited for too long, and for how long, where time counts from `since`.
    pub(super) fn overdue(
        &self,
        now: Timestamp,
        since: Timestamp,
    ) -> Option<((usize, u64), SignedDuration)> {
        let waited = |sent: &Timestamp| now.duration_since((*sent).max(since));
        let (at, sent) = self.open.iter().find(|(_, sent)| waited(sent) > WITHIN)?;
        Some((*at, waited(sent)))
    }
}

/// What one life of a worker holds, as it tells whoever watches it.
pub(super) struct Gauge {
    room: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_flight: i64,
    leases: i64,
    /// The most in flight that ever was.
    peak: i64,
    /// The least in flight since the last look.
    low: i64,
    /// The least between the last looks.
    lows: VecDeque<i64>,
    /// At how many looks in a row there were more leases than messages in flight.
    leaking: usize,
}

impl Gauge {
    /// `room`: the most messages that the worker may have in flight.
    pub(super) fn new(room: usize) -> Self {
        Self { room, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now and then: what must not be, if anything. `is_shared`: only a share of the room may be
    /// held for long.
    pub(super) fn look(&self, is_shared: bool) -> Option<String> {
        let mut state = self.state();
        let low = state.low;
        state.low = state.in_flight;
        state.lows.push_back(low);
        if state.lows.len() > LOOKS {
            state.lows.pop_front();
        }
        state.leaking = if state.leases > state.in_flight { state.leaking + 1 } else { 0 };
        let room = i64::try_from(self.room.max(10)).unwrap_or(i64::MAX);
        if state.peak > room {
            return Some(format!("{} messages in flight, at most {room} may be", state.peak));
        }
        if state.leaking >= LOOKS {
            let (leases, messages) = (state.leases, state.in_flight);
            return Some(format!("{leases} leases are kept for {messages} messages in flight"));
        }
        let least = state.lows.iter().min().copied().unwrap_or(0);
        let is_full = state.lows.len() == LOOKS && least > share(self.room);
        (is_shared && is_full).then(|| {
            format!(
                "never less than {least} messages were in flight for {LOOKS} s, where what is stuck \
                 may hold {} of {}",
                share(self.room),
                self.room
            )
        })
    }

    /// Whether nothing is held.
    pub(super) fn is_at_rest(&self) -> bool {
        let state = self.state();
        state.in_flight == 0 && state.leases == 0
    }

    /// What is held, in words.
    pub(super) fn held(&self) -> String {
        let state = self.state();
        format!("{} messages in flight, {} leases", state.in_flight, state.leases)
    }
}

impl Observer for Gauge {
    fn observe(&self, event: &Event<'_>) {
        let mut state = self.state();
        match event {
            Event::InFlight(change) => {
                state.in_flight += change;
                state.peak = state.peak.max(state.in_flight);
                state.low = state.low.min(state.in_flight);
            }
            Event::LeasesHeld(change) => state.leases += change,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    #[test]
    fn whoever_is_not_to_blame_waits_no_longer_than_the_bound() {
        let mut waiting = Waiting::default();
        let (crowd, sale) = ("event-9/1".parse().unwrap(), "event-1".parse().unwrap());
        waiting.sent((0, 1), &crowd, None, at(0));
        waiting.sent((0, 2), &sale, None, at(0));
        waiting.sent((0, 3), &sale, None, at(10));
        assert_eq!(waiting.overdue(at(60), at(0)), None);
        assert_eq!(waiting.overdue(at(61), at(0)).map(|(at, _)| at), Some((0, 2)));
        assert_eq!(waiting.overdue(at(61), at(5)), None, "the topic came back at 5");
        waiting.done((0, 2));
        assert_eq!(waiting.overdue(at(70), at(0)), None);
        assert_eq!(waiting.overdue(at(71), at(0)).map(|(at, _)| at), Some((0, 3)));
        waiting.done((0, 3));
        assert_eq!(waiting.overdue(at(9_999), at(0)), None, "the crowd may wait");
    }

    #[test]
    fn room_that_is_held_for_long_is_found_and_room_that_is_used_is_not() {
        let full = Gauge::new(100);
        full.observe(&Event::InFlight(90));
        let looks: Vec<bool> = (0..=LOOKS).map(|_| full.look(true).is_some()).collect();
        assert_eq!(looks.iter().position(|is_found| *is_found), Some(LOOKS));
        assert_eq!(full.look(false), None, "no share where there is no trouble");
        let busy = Gauge::new(100);
        for _ in 0..3 * LOOKS {
            busy.observe(&Event::InFlight(90));
            assert_eq!(busy.look(true), None);
            busy.observe(&Event::InFlight(-90));
        }
        busy.observe(&Event::InFlight(101));
        assert!(busy.look(true).is_some(), "more than there is room for");
    }

    #[test]
    fn a_lease_that_is_never_forgotten_is_found() {
        let gauge = Gauge::new(100);
        gauge.observe(&Event::LeasesHeld(1));
        let looks: Vec<bool> = (0..LOOKS).map(|_| gauge.look(false).is_some()).collect();
        assert_eq!(looks.iter().position(|is_found| *is_found), Some(LOOKS - 1));
        assert!(!gauge.is_at_rest());
        gauge.observe(&Event::LeasesHeld(-1));
        assert!(gauge.is_at_rest());
    }
}
