//! Messages, their groups and their leases.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::super::after;
use crate::{
    domain::{GroupId, Timestamp},
    ports::queue::MessageAttributes,
};

/// SQS: "FIFO queues scan the first 120,000 messages to determine available message groups."
const SCANNED_MAX: usize = 120_000;

/// SQS: "FIFO queues support a maximum of 120,000 in-flight messages … If this limit is reached,
/// Amazon SQS does not return an error": it delivers no more.
pub(super) const IN_FLIGHT_MAX: usize = 120_000;

/// A message in the queue.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) group: GroupId,
    pub(super) body: String,
    pub(super) attributes: MessageAttributes,
    /// When it was first sent.
    pub(super) sent_at: Timestamp,
    /// When it entered this queue. Retention counts from here: SQS resets it when a FIFO message is
    /// moved to a dead-letter queue.
    pub(super) enqueued_at: Timestamp,
    pub(super) receive_count: u32,
    /// The newest delivery. Every receive makes a new one; the receipts of older ones are void.
    pub(super) delivery: u64,
    /// When that delivery was made.
    pub(super) delivered_at: Timestamp,
    /// Whether the holder of that delivery's lease has changed it since.
    pub(super) lease_changed: bool,
    /// The end of the lease, if it is leased.
    pub(super) leased_until: Option<Timestamp>,
}

#[derive(Default)]
struct Group {
    /// Every message of the group, in flight or not.
    sequences: VecDeque<u64>,
    in_flight: usize,
}

impl Group {
    /// The message that the group can deliver next: none while one is in flight.
    fn ready_head(&self) -> Option<u64> {
        if self.in_flight > 0 { None } else { self.sequences.front().copied() }
    }
}

/// Messages by their sequence, with indexes that find the next to deliver without scanning.
#[derive(Default)]
pub(super) struct Messages {
    by_sequence: BTreeMap<u64, Message>,
    groups: BTreeMap<GroupId, Group>,
    /// The first message of each group that is not locked.
    ready: BTreeSet<u64>,
    /// Ends of leases.
    leases: BTreeSet<(Timestamp, u64)>,
    last_sequence: u64,
    /// The last sequence that SQS scans for groups, and how many messages it scans.
    scanned_to: u64,
    scanned: usize,
    /// Whether something happened since the last check that a waiting receive must know: a message
    /// became ready, or a lease ends sooner than any did.
    pub(super) news: bool,
}

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.by_sequence.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.leases.len()
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Message> {
        self.by_sequence.get(&sequence)
    }

    pub(super) fn get_mut(&mut self, sequence: u64) -> Option<&mut Message> {
        self.by_sequence.get_mut(&sequence)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.by_sequence.iter().map(|(sequence, message)| (*sequence, message))
    }

    /// When the next lease ends.
    pub(super) fn next_lease_end(&self) -> Option<Timestamp> {
        self.leases.first().map(|(until, _)| *until)
    }

    /// The first message that can be delivered: the oldest of those that head an unlocked group, as
    /// far as SQS scans.
    pub(super) fn next_ready(&self) -> Option<u64> {
        self.ready.first().copied().filter(|head| *head <= self.scanned_to)
    }

    /// The first `max` messages of the message's group, in order.
    pub(super) fn first_of_group(&self, sequence: u64, max: usize) -> Vec<u64> {
        let group = self.get(sequence).and_then(|message| self.groups.get(&message.group));
        group.map(|g| g.sequences.iter().take(max).copied().collect()).unwrap_or_default()
    }

    /// Appends a message to its group and gives it its sequence.
    pub(super) fn push(&mut self, message: Message) -> u64 {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        self.change_group(&message.group, |group| group.sequences.push_back(sequence));
        self.by_sequence.insert(sequence, message);
        if self.scanned < SCANNED_MAX {
            self.scanned += 1;
            self.scanned_to = sequence;
        }
        sequence
    }

    /// Removes a message, leased or not.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Message> {
        let message = self.by_sequence.remove(&sequence)?;
        let leased = message.leased_until;
        if let Some(until) = leased {
            self.leases.remove(&(until, sequence));
        }
        self.change_group(&message.group, |group| {
            if let Ok(place) = group.sequences.binary_search(&sequence) {
                group.sequences.remove(place);
            }
            if leased.is_some() {
                group.in_flight = group.in_flight.saturating_sub(1);
            }
        });
        if sequence <= self.scanned_to {
            self.scanned = self.scanned.saturating_sub(1);
            if let Some((next, _)) = self.by_sequence.range(self.scanned_to + 1..).next() {
                self.scanned_to = *next;
                self.scanned += 1;
            }
        }
        Some(message)
    }

    /// Makes the message's lease end at `until`, and locks its group.
    pub(super) fn lease(&mut self, sequence: u64, until: Timestamp) {
        let Some(message) = self.by_sequence.get_mut(&sequence) else { return };
        let group = message.group.clone();
        if self.leases.first().is_none_or(|(first, _)| until < *first) {
            self.news = true;
        }
        self.leases.insert((until, sequence));
        match message.leased_until.replace(until) {
            Some(before) if before != until => {
                self.leases.remove(&(before, sequence));
            }
            Some(_) => {}
            None => self.change_group(&group, |group| group.in_flight += 1),
        }
    }

    /// Ends the message's lease: it returns to its place in the group.
    pub(super) fn release(&mut self, sequence: u64) {
        let Some(message) = self.by_sequence.get_mut(&sequence) else { return };
        let Some(until) = message.leased_until.take() else { return };
        let group = message.group.clone();
        self.leases.remove(&(until, sequence));
        self.change_group(&group, |group| group.in_flight = group.in_flight.saturating_sub(1));
    }

    /// Ends the leases that have expired, and drops messages past their retention.
    pub(super) fn settle(&mut self, now: Timestamp, retention: Duration) {
        while let Some((until, sequence)) = self.leases.first().copied() {
            if until > now {
                break;
            }
            self.release(sequence);
        }
        while let Some((sequence, message)) = self.by_sequence.first_key_value() {
            if after(message.enqueued_at, retention) > now {
                break;
            }
            let sequence = *sequence;
            self.remove(sequence);
        }
    }

    /// Ends every lease.
    pub(super) fn release_all(&mut self) {
        while let Some((_, sequence)) = self.leases.first().copied() {
            self.release(sequence);
        }
    }

    /// Changes a group and keeps `ready` in step with it.
    fn change_group(&mut self, id: &GroupId, change: impl FnOnce(&mut Group)) {
        if !self.groups.contains_key(id) {
            self.groups.insert(id.clone(), Group::default());
        }
        let Some(group) = self.groups.get_mut(id) else { return };
        let before = group.ready_head();
        change(group);
        let now = group.ready_head();
        if group.sequences.is_empty() {
            self.groups.remove(id);
        }
        if before == now {
            return;
        }
        if let Some(head) = before {
            self.ready.remove(&head);
        }
        if let Some(head) = now {
            self.ready.insert(head);
            self.news = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(group: &str) -> Message {
        Message {
            id: String::new(),
            group: group.parse().unwrap(),
            body: String::new(),
            attributes: BTreeMap::new(),
            sent_at: Timestamp::UNIX_EPOCH,
            enqueued_at: Timestamp::UNIX_EPOCH,
            receive_count: 0,
            delivery: 0,
            delivered_at: Timestamp::UNIX_EPOCH,
            lease_changed: false,
            leased_until: None,
        }
    }

    #[test]
    fn groups_behind_a_backlog_of_120_000_are_not_seen() {
        let mut messages = Messages::default();
        for _ in 0..SCANNED_MAX {
            messages.push(message("hot"));
        }
        let behind = messages.push(message("other"));
        messages.lease(1, Timestamp::MAX);
        assert_eq!(messages.next_ready(), None);
        messages.remove(2);
        assert_eq!(messages.next_ready(), Some(behind));
    }

    #[test]
    fn nothing_is_left_of_what_was_removed() {
        let mut messages = Messages::default();
        let all: Vec<u64> =
            (0..9).map(|n| messages.push(message(["a", "b", "c"][n % 3]))).collect();
        for sequence in &all[..5] {
            messages.lease(*sequence, Timestamp::MAX);
        }
        for sequence in all {
            messages.remove(sequence);
        }
        assert_eq!((messages.len(), messages.in_flight(), messages.scanned), (0, 0, 0));
        assert!(messages.groups.is_empty() && messages.ready.is_empty());
    }
}
