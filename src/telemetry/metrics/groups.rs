//! Groups that wait for an item that cannot be read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::IntGauge;
use tokio::time::Instant;

/// A group whose head comes again this long after its delay, or later, waits no more: the item was
/// corrected, or another worker has the group.
const GRACE: Duration = Duration::from_secs(120);

/// The most groups that are told apart; beyond, the gauge stays at this number.
const GROUPS_MAX: usize = 10_000;

/// The gauge, and until when each group is known to wait.
pub(super) struct UnreadableGroups {
    gauge: IntGauge,
    until: Mutex<BTreeMap<String, Instant>>,
}

impl UnreadableGroups {
    /// Reports through this gauge.
    pub(super) fn of(gauge: IntGauge) -> Self {
        Self { gauge, until: Mutex::default() }
    }

    /// A group was released for an unreadable item, until then.
    pub(super) fn waits(&self, group: &str, until: Instant) {
        let mut groups = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() < GROUPS_MAX || groups.contains_key(group) {
            groups.insert(group.to_owned(), until + GRACE);
        }
    }

    /// Sets the gauge.
    pub(super) fn show(&self, now: Instant) {
        let mut groups = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, until| *until > now);
        self.gauge.set(i64::try_from(groups.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_once_while_it_comes_again_and_no_longer() {
        let gauge = IntGauge::new("groups", "Groups").unwrap();
        let (groups, start) = (UnreadableGroups::of(gauge.clone()), Instant::now());
        let delay = Duration::from_secs(300);
        for round in 0..3 {
            let now = start + delay * round;
            groups.waits("event-1", now + delay);
            groups.waits("event-2", now + delay);
            groups.show(now);
            assert_eq!(gauge.get(), 2);
        }
        groups.waits("event-1", start + delay * 4);
        groups.show(start + delay * 3 + GRACE);
        assert_eq!(gauge.get(), 1, "event-2 was mended");
    }

    #[test]
    fn groups_beyond_the_bound_are_not_kept() {
        let gauge = IntGauge::new("groups", "Groups").unwrap();
        let (groups, now) = (UnreadableGroups::of(gauge.clone()), Instant::now());
        for group in 0..=GROUPS_MAX {
            groups.waits(&group.to_string(), now);
        }
        groups.show(now);
        assert_eq!(gauge.get(), 10_000);
    }
}
