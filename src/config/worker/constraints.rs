//! What must hold between the worker's settings.

use super::{AwsConfig, BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX, MIB, Reader, aws, settings, worker};

/// Leases outlive what is done under them, locks do not outlive leases, and what is under way at
/// the signal to stop ends within the grace.
pub(super) fn check(settings: &worker::Settings, reader: &mut Reader<'_>) {
    let two_beats = settings.heartbeat.saturating_mul(2);
    reader.relation(
        &[&settings::VISIBILITY, &settings::HEARTBEAT, &settings::LEASE_MARGIN],
        settings.visibility > two_beats.saturating_add(settings.lease_margin),
        "visibility > 2 × heartbeat + lease margin, so that one failed extension costs no lease",
        "Raise the visibility or lower the heartbeat",
    );
    reader.relation(
        &[
            &settings::VISIBILITY,
            &settings::LONG_POLL,
            &settings::HEARTBEAT,
            &settings::LEASE_MARGIN,
        ],
        settings.visibility > settings.long_poll + settings.heartbeat + settings.lease_margin,
        "visibility > long poll + heartbeat + lease margin: a lease is counted from the beginning \
         of its receive, and what is left of it after a whole long poll must reach to the next \
         heartbeat",
        "Raise the visibility or lower the long poll",
    );
    reader.relation(
        &[&settings::LOCK_TTL, &settings::VISIBILITY],
        settings.lock_ttl < settings.visibility,
        "lock < visibility, so that what a dead worker had locked is free when its messages come \
         again",
        "Lower the lock's life or raise the visibility",
    );
    reader.relation(
        &[&settings::LOCK_WAIT, &settings::LOCK_TTL],
        settings.lock_wait < settings.lock_ttl,
        "lock wait < lock: after that the lock has run out by itself",
        "Lower the wait; a batch that goes without locks is slower, never wrong",
    );
    reader.relation(
        &[&settings::LOCK_WAIT, &settings::HANDLER_TIMEOUT],
        settings.lock_wait < settings.handler_timeout,
        "lock wait < handler timeout, so that a batch gets time to commit",
        "Lower the wait; a batch that goes without locks is slower, never wrong",
    );
    reader.relation(
        &[&settings::GRACE, &settings::LONG_POLL, &settings::FLUSH],
        settings.grace > settings.long_poll.saturating_add(settings.flush),
        "grace > long poll + flush: a receive under way at the signal to stop is never dropped half-way, \
         and what it brings is released",
        "Raise the grace (and the container's, to five seconds more) or lower the long poll",
    );
    reader.relation(
        &[&settings::GRACE, &settings::HANDLER_TIMEOUT, &settings::FLUSH],
        settings.grace > settings.handler_timeout.saturating_add(settings.flush),
        "grace > handler timeout + flush, so that what is under way at the signal to stop ends in \
         good order",
        "Raise the grace (and the container's, to five seconds more) or lower the others",
    );
}

/// Every poller can have a receive under way at once.
pub(in crate::config) fn check_room_for_pollers(
    settings: &worker::Settings,
    aws: &AwsConfig,
    reader: &mut Reader<'_>,
) {
    let receives = settings.pollers.saturating_mul(aws.queues.len());
    let messages = receives.saturating_mul(BATCH_ENTRIES_MAX);
    reader.relation(
        &[&settings::IN_FLIGHT_MESSAGES, &settings::POLLERS, &aws::QUEUES],
        settings.messages_in_flight_max >= messages,
        &format!("at least {messages} messages in flight: 10 for each poller of each queue"),
        "Raise the messages in flight or lower the pollers",
    );
    let mib = messages.saturating_mul(MESSAGE_BYTES_MAX) / MIB;
    reader.relation(
        &[&settings::IN_FLIGHT_MIB, &settings::POLLERS, &aws::QUEUES],
        settings.bytes_in_flight_max / MIB >= mib,
        &format!("at least {mib} MiB in flight: ten messages of 1 MiB for each poller of a queue"),
        "Raise the MiB in flight or lower the pollers",
    );
}
