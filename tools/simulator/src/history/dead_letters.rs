//! Copies to the dead-letter queues: which messages may have one.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{History, Spot, all_of, message::TrackedMessage};
use crate::{profile::REDRIVE_AFTER, topology::Incarnation};
use inventory_worker::{
    domain::{RejectionCode, Timestamp},
    ports::{LedgerKey, LedgerRecord, OutgoingMessage, queue::text_attribute},
    worker::dead_letters,
};

/// The reason for messages isolated for the maximum number of attempts.
const POISON_REASON: &str = "POISON";

/// The longest time two workers may process one message without knowing of each other.
const CROSSING_MAX: SignedDuration = SignedDuration::from_secs(60);

impl History {
    /// Records a copy to a dead-letter queue: allowed only for unreadable or poison messages.
    pub(super) fn dead_lettered(&mut self, copy: &OutgoingMessage, now: Timestamp) {
        let attribute =
            |name: &str| text_attribute(&copy.attributes, name).unwrap_or_default().to_owned();
        let id = self.original(copy);
        let reason = attribute(dead_letters::REASON);
        let attempts = self.attempts.get(&id).cloned().unwrap_or_default();
        // A message that was in flight at every crash counts as its cause.
        let lives: BTreeSet<Incarnation> = attempts.iter().copied().collect();
        let crashes = lives.iter().filter(|life| self.crashed.contains(life)).count();
        let attempts_max = self.attempts_max.iter().min().copied().unwrap_or(0) as usize;
        let Some(message) = self.by_id.get(&id).and_then(|at| self.messages.get_mut(at)) else {
            return self.fail("dead-letters", format!("a copy of {id:?}, which was never sent"));
        };
        message.is_dead = true;
        message.copies += 1;
        // A copy without room for its reason.
        let reason = match reason.is_empty() {
            true if message.command.is_some() => POISON_REASON.to_owned(),
            true => RejectionCode::InvalidMessage.as_str().to_owned(),
            false => reason,
        };
        let copies = message.copies;
        message.is_handed_over |= matches!(reason.as_str(), "RECEIVES" | "RETENTION");
        // An unreadable message with the maximum number of attempts is abandoned without its
        // result.
        message.is_abandoned |=
            message.is_handed_over || reason == POISON_REASON || attempts.len() > attempts_max;
        let is_collateral = message.is_abandoned && !message.is_poison();
        let is_whole = message.body == copy.body
            && message.group == copy.group
            && text_attribute(&message.attributes, dead_letters::FIRST_SENT_AT)
                .is_none_or(|first| first == attribute(dead_letters::FIRST_SENT_AT));
        let is_deserved = match reason.as_str() {
            POISON_REASON => message.is_poison() || crashes >= attempts_max,
            reason => message.is_deserved(reason, self.redrive_after, now),
        };
        // A command in the ledger is never abandoned; another worker's transaction may cross the
        // copy.
        let known = message.command.as_ref().and_then(|command| {
            let record = self.model.ledger.get(&LedgerKey::Command(command.key.clone()))?;
            if record.digest() != command.digest {
                return None;
            }
            match record {
                LedgerRecord::Outcome { decided_at, .. }
                | LedgerRecord::Intent { decided_at, .. } => Some(*decided_at),
                LedgerRecord::Chunk { .. } => None,
            }
        });
        let is_begun = reason == POISON_REASON
            && known.is_some_and(|at| now.duration_since(at) > CROSSING_MAX);
        let is_command = message.command.is_some();
        self.dead += 1;
        self.collateral_dead_letters += u64::from(is_collateral);
        if let (Some(unaffected), Some(at)) = (&mut self.unaffected, self.by_id.get(&id)) {
            unaffected.done(*at);
        }
        if self.is_one_copy && copies > 1 {
            self.fail("copies", format!("{copies} copies of {id} went to the dead letters"));
        }
        if !is_whole {
            self.fail("dead-letters", format!("the copy of {id} is not the whole message"));
        }
        if is_begun {
            self.fail("dead-letters", format!("message {id}, which has begun, is given up"));
        }
        if !is_deserved {
            self.fail(
                "dead-letters",
                format!(
                    "{reason}: message {id} (command: {is_command}) must not be dead-lettered; it has \
                     {} attempts counted, {crashes} of which ended in a crash",
                    attempts.len()
                ),
            );
        }
    }

    /// The id of the copied message: from the copy's attributes, or, if there was no room for that,
    /// from its deduplication id or its content.
    fn original(&self, copy: &OutgoingMessage) -> String {
        if let Some(id) = text_attribute(&copy.attributes, dead_letters::ORIGINAL_MESSAGE_ID) {
            return id.to_owned();
        }
        let by_dedup = copy.deduplication_id.clone().filter(|id| self.by_id.contains_key(id));
        by_dedup.unwrap_or_else(|| {
            let is_it = |message: &TrackedMessage| {
                !message.is_dead && message.group == copy.group && message.body == copy.body
            };
            let of = |at: &Spot| self.messages.get(at).is_some_and(is_it);
            let found = self.by_id.iter().find(|(_, at)| of(at));
            found.map(|(id, _)| id.clone()).unwrap_or_default()
        })
    }

    /// Records the messages that the queue itself moved to its dead-letter queue, given all of
    /// them. Returns whether any is new.
    pub(crate) fn redriven<'a>(&mut self, ids: impl Iterator<Item = &'a str>) -> bool {
        let mut is_new = false;
        for id in ids {
            let Some((queue, sequence)) = self.by_message.get(id).copied() else { continue };
            let mut is_known = true;
            for (_, message) in self.messages.range_mut(all_of(queue, sequence)) {
                is_known &= message.is_redriven;
                message.is_dead = true;
                message.is_redriven = true;
            }
            if is_known {
                continue;
            }
            is_new = true;
            if !self.may_redrive {
                self.fail("redriven", format!("{id} was received {REDRIVE_AFTER} times"));
            }
        }
        is_new
    }
}
