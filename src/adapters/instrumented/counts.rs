//! The number of calls to each port.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// A kind of call to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `Queue::receive`
    Receive,
    /// `Queue::change_visibility`
    ChangeVisibility,
    /// `Queue::delete`
    Delete,
    /// `Queue::send`
    Send,
    /// `Queue::backlog` and `Queue::limits`
    Backlog,
    /// `Store::load` and `Store::leases`. Counts once, however many BatchGetItem calls the adapter
    /// makes.
    Load,
    /// `Store::commit` of more than a single write.
    Commit,
    /// `Store::commit` of a single write and no check, and `Store::replace_leases`: a PutItem.
    Put,
    /// `Store::record_attempt`, `Store::undo_attempt` and the notes of dead letters
    Attempt,
    /// `Store::expired`, `Store::seats` and `Store::lines`
    Query,
    /// `Store::scan`
    Scan,
    /// `Store::ping`
    Ping,
    /// `Publisher::publish`
    Publish,
    /// `Locks::acquire`
    Acquire,
    /// `Locks::release`
    Release,
}

impl Call {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Receive,
        Self::ChangeVisibility,
        Self::Delete,
        Self::Send,
        Self::Backlog,
        Self::Load,
        Self::Commit,
        Self::Put,
        Self::Attempt,
        Self::Query,
        Self::Scan,
        Self::Ping,
        Self::Publish,
        Self::Acquire,
        Self::Release,
    ];

    /// The service and the operation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "sqs.receive",
            Self::ChangeVisibility => "sqs.change_visibility",
            Self::Delete => "sqs.delete",
            Self::Send => "sqs.send",
            Self::Backlog => "sqs.backlog",
            Self::Load => "dynamodb.load",
            Self::Commit => "dynamodb.commit",
            Self::Put => "dynamodb.put",
            Self::Attempt => "dynamodb.attempt",
            Self::Query => "dynamodb.query",
            Self::Scan => "dynamodb.scan",
            Self::Ping => "dynamodb.ping",
            Self::Publish => "sns.publish",
            Self::Acquire => "redis.acquire",
            Self::Release => "redis.release",
        }
    }
}

/// Calls and the entries they carried, by kind. Many tasks count concurrently without a lock.
#[derive(Debug, Default)]
pub struct CallCounts([Count; Call::ALL.len()]);

#[derive(Debug, Default)]
struct Count {
    calls: AtomicU64,
    entries: AtomicU64,
}

impl CallCounts {
    fn of(&self, call: Call) -> Option<&Count> {
        self.0.get(call as usize)
    }

    /// Counts one call.
    pub(super) fn call(&self, call: Call) {
        if let Some(count) = self.of(call) {
            count.calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds the entries that a call carried.
    pub(super) fn carried(&self, call: Call, entries: usize) {
        if let Some(count) = self.of(call) {
            count.entries.fetch_add(entries as u64, Ordering::Relaxed);
        }
    }

    /// The number of calls of one kind.
    #[must_use]
    pub fn calls_of(&self, call: Call) -> u64 {
        self.of(call).map_or(0, |count| count.calls.load(Ordering::Relaxed))
    }

    /// The number of entries in calls of one kind: messages received, items loaded or written,
    /// names locked.
    #[must_use]
    pub fn entries_of(&self, call: Call) -> u64 {
        self.of(call).map_or(0, |count| count.entries.load(Ordering::Relaxed))
    }

    /// Calls by name, without kinds that were never called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        present(|call| self.calls_of(call))
    }

    /// Entries by name, without kinds that carried none.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<&'static str, u64> {
        present(|call| self.entries_of(call))
    }

    /// The total number of calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        Call::ALL.into_iter().map(|call| self.calls_of(call)).sum()
    }
}

fn present(count: impl Fn(Call) -> u64) -> BTreeMap<&'static str, u64> {
    Call::ALL
        .into_iter()
        .map(|call| (call.as_str(), count(call)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        let counts = CallCounts::default();
        for (number, call) in (1..).zip(Call::ALL) {
            counts.call(call);
            counts.carried(call, number);
        }
        assert_eq!(counts.calls().len(), Call::ALL.len());
        assert!(counts.calls().values().all(|calls| *calls == 1));
        for (number, call) in (1..).zip(Call::ALL) {
            assert_eq!(counts.entries_of(call), number);
        }
        assert_eq!(counts.total(), 15);
    }

    #[test]
    fn what_was_never_called_is_left_out() {
        let counts = CallCounts::default();
        counts.call(Call::Receive);
        assert_eq!(counts.calls(), BTreeMap::from([("sqs.receive", 1)]));
        assert_eq!(counts.entries(), BTreeMap::new());
    }
}
