//! The messages received under each attempt id.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{super::after, messages::Messages};
use crate::domain::Timestamp;

/// SQS: "You can use ReceiveRequestAttemptId only for 5 minutes after a ReceiveMessage action."
const INTERVAL: Duration = Duration::from_secs(300);

/// How a receive must treat its attempt id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Receive: the id is new, or the leases it once gave have expired.
    Fresh,
    /// Return these messages again.
    Replay(Vec<u64>),
    /// Refuse. SQS: "It is possible to retry the ReceiveMessage action with the same
    /// ReceiveRequestAttemptId if none of the messages have been modified (deleted or had their
    /// visibility changes)"; if one has, it answers "The receiveRequestAttemptId is not valid
    /// anymore since the receive call is not retryable".
    Void,
}

/// The receives of the last five minutes that returned messages.
#[derive(Default)]
pub(super) struct Attempts {
    by_id: BTreeMap<String, Given>,
    oldest_first: VecDeque<(Timestamp, String)>,
}

struct Given {
    until: Timestamp,
    delivery: u64,
    sequences: Vec<u64>,
}

impl Attempts {
    /// How a receive under `id` must proceed.
    pub(super) fn look_up(&mut self, id: &str, messages: &Messages, now: Timestamp) -> Attempt {
        self.forget_old(now);
        let Some(given) = self.by_id.get(id) else { return Attempt::Fresh };
        let mut all_leased = true;
        for sequence in &given.sequences {
            match messages.get(*sequence) {
                Some(message) if message.delivery == given.delivery && !message.lease_changed => {
                    all_leased &= message.leased_until.is_some();
                }
                _ => return Attempt::Void,
            }
        }
        if all_leased { Attempt::Replay(given.sequences.clone()) } else { Attempt::Fresh }
    }

    /// Stores the messages of a receive.
    pub(super) fn remember(
        &mut self,
        id: &str,
        delivery: u64,
        sequences: Vec<u64>,
        now: Timestamp,
    ) {
        let until = after(now, INTERVAL);
        self.by_id.insert(id.to_owned(), Given { until, delivery, sequences });
        self.oldest_first.push_back((until, id.to_owned()));
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.oldest_first.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, id)) = self.oldest_first.pop_front() else { return };
            // A later receive under the same id may have taken its place.
            if self.by_id.get(&id).is_some_and(|given| given.until <= now) {
                self.by_id.remove(&id);
            }
        }
    }
}
