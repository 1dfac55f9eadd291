//! Unaffected messages make progress, and stuck ones take little of a worker's room.
//!
//! In a history of the class [`Class::Progress`](super::profile::Class) one kind of trouble is in
//! force and no call fails otherwise. A message is affected if it belongs to the trouble's pool,
//! and so is every message behind an affected one in its queue and group. All others must have
//! their result, or their dead-letter copy if unreadable, within [`WITHIN`] of being sent; holds of
//! other pools must be given back within [`WITHIN`] of their end. While the topic is unavailable
//! there are no results, and the time counts from its return.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;

use super::{history::Spot, trouble};
use inventory_worker::{
    domain::{Command, GroupId, Timestamp},
    worker::{Event, Observer},
};

/// An unaffected message has its result after at most this time.
pub(super) const WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// The same, plus the resolution of the measurement.
pub(super) const fn within() -> Duration {
    Duration::from_secs(WITHIN.as_secs().unsigned_abs() + 3)
}

/// A hold that is not stuck is given back within this time after its end, or after the start of the
/// fault-free phase.
pub(super) const HOLD_WITHIN: SignedDuration = SignedDuration::from_secs(180);

/// The number of consecutive checks after which a worker's room counts as held.
const LOOKS: usize = 20;

/// Stuck messages may hold an eighth of a worker's room, and one batch is always in flight.
fn share(room: usize) -> i64 {
    let share = (room / 8).max(1).saturating_add(10);
    i64::try_from(share).unwrap_or(i64::MAX)
}

/// The unaffected messages that have no result yet.
#[derive(Default)]
pub(super) struct UnaffectedMessages {
    open: BTreeMap<Spot, Timestamp>,
    affected_groups: BTreeSet<(usize, GroupId)>,
}

impl UnaffectedMessages {
    pub(super) fn sent(
        &mut self,
        at: Spot,
        group: &GroupId,
        command: Option<&Command>,
        now: Timestamp,
    ) {
        if trouble::is_of_pool(group, command) {
            self.affected_groups.insert((at.0, group.clone()));
        }
        if !self.affected_groups.contains(&(at.0, group.clone())) {
            self.open.insert(at, now);
        }
    }

    pub(super) fn done(&mut self, at: Spot) {
        self.open.remove(&at);
    }

    /// The first message that has waited too long, and for how long, counting from `since`.
    pub(super) fn overdue(
        &self,
        now: Timestamp,
        since: Timestamp,
    ) -> Option<(Spot, SignedDuration)> {
        let waited = |sent: &Timestamp| now.duration_since((*sent).max(since));
        let (at, sent) = self.open.iter().find(|(_, sent)| waited(sent) > WITHIN)?;
        Some((*at, waited(sent)))
    }
}

/// The load of one incarnation of a worker, from its own events.
pub(super) struct Gauge {
    room: usize,
    levels: Mutex<Levels>,
}

#[derive(Default)]
struct Levels {
    in_flight: i64,
    leases: i64,
    /// The highest number in flight so far.
    peak: i64,
    /// The lowest number in flight since the last check.
    low: i64,
    /// The lowest numbers between the last checks.
    lows: VecDeque<i64>,
    /// The number of consecutive checks with more leases than messages in flight.
    leaking: usize,
}

impl Gauge {
    /// `room`: the most messages that the worker may have in flight.
    pub(super) fn new(room: usize) -> Self {
        Self { room, levels: Mutex::default() }
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The violation, if any. `is_shared`: only a share of the room may be held for long.
    pub(super) fn check(&self, is_shared: bool) -> Option<String> {
        let mut levels = self.levels();
        let low = levels.low;
        levels.low = levels.in_flight;
        levels.lows.push_back(low);
        if levels.lows.len() > LOOKS {
            levels.lows.pop_front();
        }
        levels.leaking = if levels.leases > levels.in_flight { levels.leaking + 1 } else { 0 };
        let room = i64::try_from(self.room.max(10)).unwrap_or(i64::MAX);
        if levels.peak > room {
            return Some(format!("{} messages in flight, at most {room} may be", levels.peak));
        }
        if levels.leaking >= LOOKS {
            let (leases, messages) = (levels.leases, levels.in_flight);
            return Some(format!("{leases} leases are kept for {messages} messages in flight"));
        }
        let least = levels.lows.iter().min().copied().unwrap_or(0);
        let is_full = levels.lows.len() == LOOKS && least > share(self.room);
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
        let levels = self.levels();
        levels.in_flight == 0 && levels.leases == 0
    }

    /// A description of what is held.
    pub(super) fn held(&self) -> String {
        let levels = self.levels();
        format!("{} messages in flight, {} leases", levels.in_flight, levels.leases)
    }
}

impl Observer for Gauge {
    fn observe(&self, event: &Event<'_>) {
        let mut levels = self.levels();
        match event {
            Event::InFlight(change) => {
                levels.in_flight += change;
                levels.peak = levels.peak.max(levels.in_flight);
                levels.low = levels.low.min(levels.in_flight);
            }
            Event::LeasesHeld(change) => levels.leases += change,
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
    fn an_unaffected_message_waits_no_longer_than_the_bound() {
        let mut unaffected = UnaffectedMessages::default();
        let (crowd, sale) = ("event-9/1".parse().unwrap(), "event-1".parse().unwrap());
        unaffected.sent((0, 1, 0), &crowd, None, at(0));
        unaffected.sent((0, 2, 0), &sale, None, at(0));
        unaffected.sent((0, 3, 0), &sale, None, at(10));
        assert_eq!(unaffected.overdue(at(60), at(0)), None);
        assert_eq!(unaffected.overdue(at(61), at(0)).map(|(at, _)| at), Some((0, 2, 0)));
        assert_eq!(unaffected.overdue(at(61), at(5)), None, "the topic came back at 5");
        unaffected.done((0, 2, 0));
        assert_eq!(unaffected.overdue(at(70), at(0)), None);
        assert_eq!(unaffected.overdue(at(71), at(0)).map(|(at, _)| at), Some((0, 3, 0)));
        unaffected.done((0, 3, 0));
        assert_eq!(unaffected.overdue(at(9_999), at(0)), None, "the crowd may wait");
    }

    #[test]
    fn room_that_is_held_for_long_is_found_and_room_that_is_used_is_not() {
        let full = Gauge::new(100);
        full.observe(&Event::InFlight(90));
        let looks: Vec<bool> = (0..=LOOKS).map(|_| full.check(true).is_some()).collect();
        assert_eq!(looks.iter().position(|is_found| *is_found), Some(LOOKS));
        assert_eq!(full.check(false), None, "no share where there is no trouble");
        let busy = Gauge::new(100);
        for _ in 0..3 * LOOKS {
            busy.observe(&Event::InFlight(90));
            assert_eq!(busy.check(true), None);
            busy.observe(&Event::InFlight(-90));
        }
        busy.observe(&Event::InFlight(101));
        assert!(busy.check(true).is_some(), "more than there is room for");
    }

    #[test]
    fn a_lease_that_is_never_forgotten_is_found() {
        let gauge = Gauge::new(100);
        gauge.observe(&Event::LeasesHeld(1));
        let looks: Vec<bool> = (0..LOOKS).map(|_| gauge.check(false).is_some()).collect();
        assert_eq!(looks.iter().position(|is_found| *is_found), Some(LOOKS - 1));
        assert!(!gauge.is_at_rest());
        gauge.observe(&Event::LeasesHeld(-1));
        assert!(gauge.is_at_rest());
    }
}
