//! When the expiry of a hold is due. Pure, and stateless per hold: a hold is due when its step has
//! changed since the shard was last swept, however many holds there are.

use std::time::Duration;

use jiff::SignedDuration;

use crate::{
    domain::{Timestamp, time},
    ports::ExpiredHold,
};

/// An expiry is posted again if its hold still exists after this time, then at twice the age, ...
const REPOST_AFTER: Duration = Duration::from_secs(10);

/// ... and then at this interval.
const REPOST_AFTER_MAX: Duration = Duration::from_secs(6 * 3_600);

/// A hold that still exists this long after its end counts as stuck: an item it depends on needs an
/// operator.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(600);

/// How far past its end the hold is.
pub(super) fn age(hold: &ExpiredHold, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(hold.expires_at)).unwrap_or(Duration::ZERO)
}

pub(super) fn is_stuck(hold: &ExpiredHold, now: Timestamp) -> bool {
    age(hold, now) >= STUCK_AFTER
}

/// How many times an expiry should have been posted: after [`REPOST_AFTER`], then at twice the age
/// each time, then every [`REPOST_AFTER_MAX`]. A backlog hardly grows from it, and a hold that
/// cannot be expired costs about fifteen commands a day.
pub(super) fn step(hold: &ExpiredHold, now: Timestamp) -> u64 {
    let (age, first) = (age(hold, now).as_secs(), REPOST_AFTER.as_secs());
    let most = REPOST_AFTER_MAX.as_secs();
    let doublings = |age: u64| (age / first).checked_ilog2().map_or(0, |log| u64::from(log) + 1);
    doublings(age.min(most)) + age.saturating_sub(most) / most
}

/// One sweep of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sweep {
    /// When the sweep began.
    pub(super) at: Timestamp,
    /// The latest end of holds that it covered.
    pub(super) until: Timestamp,
}

impl Sweep {
    pub(super) fn new(at: Timestamp, margin: Duration) -> Self {
        let until = before(at, margin);
        let is_early = injected_bug!(SweepEarly);
        Self {
            at,
            until: if is_early {
                time::saturating_add(at, at.duration_since(until))
            } else {
                until
            },
        }
    }

    /// Whether the hold is due, given an earlier sweep that posted everything due then.
    pub(super) fn finds_due(self, hold: &ExpiredHold, earlier: Option<Self>) -> bool {
        earlier.is_none_or(|earlier| {
            hold.expires_at > earlier.until || step(hold, self.at) > step(hold, earlier.at)
        })
    }

    /// Whether the hold has become stuck since an earlier sweep.
    pub(super) fn finds_newly_stuck(self, hold: &ExpiredHold, earlier: Option<Self>) -> bool {
        is_stuck(hold, self.at) && !earlier.is_some_and(|earlier| is_stuck(hold, earlier.at))
    }
}

/// The time `by` before `at`.
pub(super) fn before(at: Timestamp, by: Duration) -> Timestamp {
    time::saturating_add(at, -SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ReservationId;

    fn hold() -> ExpiredHold {
        ExpiredHold {
            reservation_id: ReservationId(Uuid::nil()),
            pool: "event#1".parse().unwrap(),
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The ages at which a hold is posted if it is checked at this interval.
    fn posted(every: usize, until: i64) -> Vec<i64> {
        let mut earlier = None;
        let mut posted = Vec::new();
        for age in (2..until).step_by(every) {
            let sweep = Sweep::new(at(age), Duration::from_secs(2));
            if sweep.finds_due(&hold(), earlier) {
                posted.push(age);
            }
            earlier = Some(sweep);
        }
        posted
    }

    #[test]
    fn an_expiry_is_posted_ever_more_seldom_and_never_given_up() {
        let first_days =
            [2, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 43_200, 64_800];
        assert_eq!(posted(1, 86_400), first_days);
        assert_eq!(posted(1, 5 * 86_400).len(), 15 + 4 * 4);
    }

    #[test]
    fn however_seldom_a_shard_is_looked_at_no_step_is_posted_twice_and_the_last_is_posted() {
        for every in [7, 60, 1_000, 30_000] {
            let posted = posted(every, 86_400);
            assert!(posted.len() <= 15, "{every}: {posted:?}");
            let steps: Vec<u64> = posted.iter().map(|age| step(&hold(), at(*age))).collect();
            assert!(steps.is_sorted_by(|one, next| one < next), "{every}: {steps:?}");
        }
    }

    #[test]
    fn a_hold_becomes_stuck_once() {
        let sweep = |age| Sweep::new(at(age), Duration::from_secs(2));
        assert!(!sweep(599).finds_newly_stuck(&hold(), None));
        assert!(sweep(600).finds_newly_stuck(&hold(), Some(sweep(540))));
        assert!(!sweep(660).finds_newly_stuck(&hold(), Some(sweep(600))));
        assert!(sweep(9_000).finds_newly_stuck(&hold(), None), "by a process that never looked");
    }
}
