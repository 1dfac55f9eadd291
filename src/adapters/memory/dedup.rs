//! The ids sent within the deduplication interval, by group.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::after;
use crate::domain::{GroupId, Timestamp};

/// SQS and SNS: "Within the 5-minute deduplication interval".
pub(super) const INTERVAL: Duration = Duration::from_secs(300);

/// Remembers ids within their group for [`INTERVAL`], whatever happens to what they named. The
/// interval runs from the first send; repetitions do not prolong it.
pub(super) struct Deduplication<V> {
    groups: BTreeMap<GroupId, BTreeMap<Arc<str>, V>>,
    oldest_first: VecDeque<(Timestamp, GroupId, Arc<str>)>,
}

impl<V> Default for Deduplication<V> {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), oldest_first: VecDeque::new() }
    }
}

impl<V> Deduplication<V> {
    /// The value kept under the id, if it was sent within the interval.
    pub(super) fn find(&mut self, group: &GroupId, id: &str, now: Timestamp) -> Option<&V> {
        self.forget_old(now);
        self.groups.get(group)?.get(id)
    }

    /// Stores an id that was not found.
    pub(super) fn remember(&mut self, group: &GroupId, id: &str, now: Timestamp, value: V) {
        let id: Arc<str> = Arc::from(id);
        self.groups.entry(group.clone()).or_default().insert(Arc::clone(&id), value);
        self.oldest_first.push_back((after(now, INTERVAL), group.clone(), id));
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.oldest_first.clear();
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some((until, group, id)) = self.oldest_first.front() {
            if *until > now {
                return;
            }
            if let Some(ids) = self.groups.get_mut(group) {
                ids.remove(id);
                if ids.is_empty() {
                    self.groups.remove(group);
                }
            }
            self.oldest_first.pop_front();
        }
    }
}
