//! What must hold between the worker's settings.

use super::{AwsConfig, BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX, Reader, WorkerConfig, aws, set};

impl WorkerConfig {
    /// Leases outlive what is done under them, and locks do not outlive leases.
    pub(super) fn check_leases(&self, reader: &mut Reader<'_>) {
        let two_beats = self.heartbeat.saturating_mul(2);
        reader.relation(
            &[&set::VISIBILITY, &set::HEARTBEAT, &set::LEASE_MARGIN],
            self.visibility > two_beats.saturating_add(self.lease_margin),
            "visibility > 2 × heartbeat + lease margin, so that one failed extension costs no lease",
            "Raise the visibility or lower the heartbeat",
        );
        reader.relation(
            &[&set::LOCK_TTL, &set::VISIBILITY],
            self.lock_ttl < self.visibility,
            "lock < visibility, so that what a dead worker had locked is free when its messages \
             come again",
            "Lower the lock's life or raise the visibility",
        );
        reader.relation(
            &[&set::LOCK_WAIT, &set::LOCK_TTL],
            self.lock_wait < self.lock_ttl,
            "lock wait < lock: after that the lock has run out by itself",
            "Lower the wait; a batch that goes without locks is slower, never wrong",
        );
        reader.relation(
            &[&set::LOCK_WAIT, &set::HANDLER],
            self.lock_wait < self.handler_timeout,
            "lock wait < handler, so that a batch gets time to commit",
            "Lower the wait or raise the handler's time",
        );
    }

    /// What is under way at the signal to stop ends within the grace.
    pub(super) fn check_shutdown(&self, reader: &mut Reader<'_>) {
        reader.relation(
            &[&set::GRACE, &set::HANDLER, &set::FLUSH],
            self.grace > self.handler_timeout.saturating_add(self.flush),
            "grace > handler + flush, so that what is running can finish",
            "Raise the grace (and the container's, to five seconds more) or lower the others",
        );
        reader.relation(
            &[&set::GRACE, &set::LONG_POLL, &set::FLUSH],
            self.grace > self.long_poll.saturating_add(self.flush),
            "grace > long poll + flush: a receive is never dropped half-way, and what it brings is \
             released",
            "Raise the grace (and the container's, to five seconds more) or lower the long poll",
        );
    }

    /// Every poller can have a receive under way at once.
    pub(in crate::config) fn check_room_for_pollers(
        &self,
        reader: &mut Reader<'_>,
        aws: &AwsConfig,
    ) {
        let receives = self.pollers.saturating_mul(aws.queues.len());
        let messages = receives.saturating_mul(BATCH_ENTRIES_MAX);
        reader.relation(
            &[&set::IN_FLIGHT_MESSAGES, &set::POLLERS, &aws::QUEUES],
            self.in_flight_messages >= messages,
            &format!("at least {messages} messages in flight: 10 for each poller of each queue"),
            "Raise the messages in flight or lower the pollers",
        );
        let bytes = messages.saturating_mul(MESSAGE_BYTES_MAX);
        reader.relation(
            &[&set::IN_FLIGHT_MIB, &set::POLLERS, &aws::QUEUES],
            self.in_flight_bytes >= bytes,
            &format!(
                "at least {} MiB in flight: ten messages of 1 MiB for each poller of each queue",
                bytes / super::MIB
            ),
            "Raise the MiB in flight or lower the pollers",
        );
    }
}
