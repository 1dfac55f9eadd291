//! How the worker works: leases, locks, retries, bounds, shutdown and the sweeper.

use std::time::Duration;

use super::{AwsConfig, Reader, Section, Setting, aws, parse};
use crate::ports::queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX};

mod relations;
mod settings;

use settings as set;

const MIB: usize = 1024 * 1024;

/// SQS FIFO: at most 120,000 messages of a queue in flight.
const IN_FLIGHT_MESSAGES_MAX: usize = 120_000;

/// When locks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockUse {
    /// Before every batch.
    Always,
    /// Once a batch met a conflict: fewer calls where groups seldom touch the same items.
    AfterConflict,
}

/// How the worker works. Pure values; `Default` is what `run` does with nothing set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// `INVENTORY_VISIBILITY_SECONDS`: how long a received message is leased, whole seconds.
    pub visibility: Duration,
    /// `INVENTORY_HEARTBEAT_SECONDS`: how often leases of messages at work are extended.
    pub heartbeat: Duration,
    /// `INVENTORY_LEASE_MARGIN_SECONDS`: a commit is not begun with less than this left of a lease.
    pub lease_margin: Duration,
    /// `INVENTORY_LONG_POLL_SECONDS`: how long a receive waits for a message, whole seconds.
    pub long_poll: Duration,
    /// `INVENTORY_POLLERS`: receives under way at once, each queue.
    pub pollers: usize,
    /// `INVENTORY_IN_FLIGHT_MESSAGES`: the most messages held by the worker.
    pub in_flight_messages: usize,
    /// `INVENTORY_IN_FLIGHT_MIB`: the most bytes of messages held by the worker.
    pub in_flight_bytes: usize,
    /// `INVENTORY_LOCKS`: when locks are taken, where there is a Redis.
    pub locks: LockUse,
    /// `INVENTORY_LOCK_SECONDS`: how long a lock lives.
    pub lock_ttl: Duration,
    /// `INVENTORY_LOCK_WAIT_SECONDS`: how long a batch waits for its locks before it goes without.
    pub lock_wait: Duration,
    /// `INVENTORY_CONFLICT_ATTEMPTS`: tries at committing a batch before it is tried command by
    /// command.
    pub conflict_attempts: u32,
    /// `INVENTORY_ISOLATION_RECEIVES`: a head message received more often is handled alone.
    pub isolation_receives: u32,
    /// `INVENTORY_MAX_ATTEMPTS`: tries at a message alone before it is dead-lettered.
    pub max_attempts: u32,
    /// `INVENTORY_RESTOCK_PARALLELISM`: chunks of one restock in flight.
    pub restock_parallelism: usize,
    /// `INVENTORY_HANDLER_SECONDS`: no further attempt at a batch is begun after this.
    pub handler_timeout: Duration,
    /// `INVENTORY_FLUSH_SECONDS`: what publishing, deleting and releasing get at the end.
    pub flush: Duration,
    /// `INVENTORY_GRACE_SECONDS`: from the signal to stop to the exit.
    pub grace: Duration,
    /// `INVENTORY_SWEEPER_INTERVAL_SECONDS`: between two looks at the expiry index.
    pub sweeper_interval: Duration,
    /// `INVENTORY_SWEEPER_MARGIN_SECONDS`: how long past its end a hold is expired, for clocks that
    /// differ between workers.
    pub sweeper_margin: Duration,
}

impl Section for WorkerConfig {
    fn settings() -> Vec<&'static Setting> {
        set::ALL.to_vec()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let config = Self::read_each(reader);
        config.check_leases(reader);
        config.check_shutdown(reader);
        config
    }
}

impl WorkerConfig {
    fn read_each(reader: &mut Reader<'_>) -> Self {
        let mut whole_seconds = |setting, range| {
            reader.value(setting, Duration::ZERO, |text| parse::whole_seconds(text, range))
        };
        // SQS: a visibility timeout is 0…43,200 whole seconds, a long poll 0…20. Below ten seconds
        // no lease survives one slow call.
        let visibility = whole_seconds(&set::VISIBILITY, 10..=43_200);
        let long_poll = whole_seconds(&set::LONG_POLL, 0..=20);
        let mut seconds = |setting, range_ms| {
            reader.value(setting, Duration::ZERO, |text| parse::seconds(text, range_ms))
        };
        let heartbeat = seconds(&set::HEARTBEAT, 1_000..=21_600_000);
        let lease_margin = seconds(&set::LEASE_MARGIN, 100..=3_600_000);
        let lock_ttl = seconds(&set::LOCK_TTL, 1_000..=3_600_000);
        let lock_wait = seconds(&set::LOCK_WAIT, 0..=60_000);
        let handler_timeout = seconds(&set::HANDLER, 1_000..=3_600_000);
        let flush = seconds(&set::FLUSH, 100..=600_000);
        let grace = seconds(&set::GRACE, 1_000..=7_200_000);
        let sweeper_interval = seconds(&set::SWEEPER_INTERVAL, 100..=3_600_000);
        let sweeper_margin = seconds(&set::SWEEPER_MARGIN, 0..=600_000);
        let mut count = |setting, range, what| {
            reader.value(setting, 1, |text| parse::whole::<usize>(text, range, what))
        };
        // A receive takes permits for all it may bring, before it is sent: fewer permits than one
        // receive needs would wait for ever.
        let least_mib = BATCH_ENTRIES_MAX.saturating_mul(MESSAGE_BYTES_MAX) / MIB;
        let in_flight_messages =
            count(&set::IN_FLIGHT_MESSAGES, BATCH_ENTRIES_MAX..=IN_FLIGHT_MESSAGES_MAX, "messages");
        let in_flight_mib = count(&set::IN_FLIGHT_MIB, least_mib..=65_536, "MiB");
        let pollers = count(&set::POLLERS, 1..=64, "pollers");
        let restock_parallelism = count(&set::RESTOCK_PARALLELISM, 1..=64, "chunks");
        let mut attempts =
            |setting| reader.value(setting, 1, |text| parse::whole::<u32>(text, 1..=100, "times"));
        let conflict_attempts = attempts(&set::CONFLICT_ATTEMPTS);
        let isolation_receives = attempts(&set::ISOLATION_RECEIVES);
        let max_attempts = attempts(&set::MAX_ATTEMPTS);
        let words = [("always", LockUse::Always), ("after-conflict", LockUse::AfterConflict)];
        let locks = reader.value(&set::LOCKS, LockUse::Always, |text| parse::one_of(text, &words));
        Self {
            visibility,
            heartbeat,
            lease_margin,
            long_poll,
            pollers,
            in_flight_messages,
            in_flight_bytes: in_flight_mib.saturating_mul(MIB),
            locks,
            lock_ttl,
            lock_wait,
            conflict_attempts,
            isolation_receives,
            max_attempts,
            restock_parallelism,
            handler_timeout,
            flush,
            grace,
            sweeper_interval,
            sweeper_margin,
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        super::reader::defaults()
    }
}
