//! The declarations of the worker's and the sweeper's settings.

use crate::config::Setting;

const RECEIVING: &str = "Receiving";
const DECIDING: &str = "Deciding and committing";
const LIMITS: &str = "Limits";
const STOPPING: &str = "Stopping";
const SWEEPING: &str = "Sweeping";

pub(super) static VISIBILITY: Setting = Setting::new(
    RECEIVING,
    "visibility-seconds",
    "INVENTORY_VISIBILITY_SECONDS",
    "SECONDS",
    "How long a received message is leased before another worker may have it",
)
.or("60");

pub(super) static HEARTBEAT: Setting = Setting::new(
    RECEIVING,
    "heartbeat-seconds",
    "INVENTORY_HEARTBEAT_SECONDS",
    "SECONDS",
    "How often the leases of messages at work are extended",
)
.or("20");

pub(super) static LEASE_MARGIN: Setting = Setting::new(
    RECEIVING,
    "lease-margin-seconds",
    "INVENTORY_LEASE_MARGIN_SECONDS",
    "SECONDS",
    "Nothing is committed with less than this left of a lease",
)
.or("2");

pub(super) static LONG_POLL: Setting = Setting::new(
    RECEIVING,
    "long-poll-seconds",
    "INVENTORY_LONG_POLL_SECONDS",
    "SECONDS",
    "How long a receive waits for a first message",
)
.or("20");

pub(super) static POLLERS: Setting = Setting::new(
    RECEIVING,
    "pollers",
    "INVENTORY_POLLERS",
    "COUNT",
    "Receives under way at once, each queue",
)
.or("4");

pub(super) static IN_FLIGHT_MESSAGES: Setting = Setting::new(
    RECEIVING,
    "in-flight-messages",
    "INVENTORY_IN_FLIGHT_MESSAGES",
    "COUNT",
    "The most messages held at once",
)
.or("2000");

pub(super) static IN_FLIGHT_MIB: Setting = Setting::new(
    RECEIVING,
    "in-flight-mib",
    "INVENTORY_IN_FLIGHT_MIB",
    "MIB",
    "The most mebibytes of messages held at once",
)
.or("120");

pub(super) static BATCH_MESSAGES: Setting = Setting::new(
    DECIDING,
    "batch-messages",
    "INVENTORY_BATCH_MESSAGES",
    "COUNT",
    "The most messages of a group that are decided and committed together",
)
.or("10");

pub(super) static LOCKS: Setting = Setting::new(
    DECIDING,
    "locks",
    "INVENTORY_LOCKS",
    "WHEN",
    "When locks are taken, where there is a Redis: always, or after-conflict (fewer calls where \
     groups seldom touch the same items)",
)
.or("always");

pub(super) static LOCK_TTL: Setting = Setting::new(
    DECIDING,
    "lock-seconds",
    "INVENTORY_LOCK_SECONDS",
    "SECONDS",
    "How long a lock lives unless it is released",
)
.or("30");

pub(super) static LOCK_WAIT: Setting = Setting::new(
    DECIDING,
    "lock-wait-seconds",
    "INVENTORY_LOCK_WAIT_SECONDS",
    "SECONDS",
    "How long a batch waits for its locks before it goes on without them",
)
.or("0.5");

pub(super) static LINGER: Setting = Setting::new(
    DECIDING,
    "linger-seconds",
    "INVENTORY_LINGER_SECONDS",
    "SECONDS",
    "How long a publish or delete with room for more waits for other groups that are about to bring \
     some",
)
.or("0.003");

pub(super) static CONFLICT_ATTEMPTS: Setting = Setting::new(
    DECIDING,
    "conflict-attempts",
    "INVENTORY_CONFLICT_ATTEMPTS",
    "COUNT",
    "How often a batch is decided again after conflicts, whole and then command by command",
)
.or("8");

pub(super) static ISOLATION_RECEIVES: Setting = Setting::new(
    DECIDING,
    "isolation-receives",
    "INVENTORY_ISOLATE_AFTER_RECEIVES",
    "COUNT",
    "A message at the head of its group that was received more often is handled alone",
)
.or("5");

pub(super) static MAX_ATTEMPTS: Setting = Setting::new(
    DECIDING,
    "max-attempts",
    "INVENTORY_MAX_ATTEMPTS",
    "COUNT",
    "Tries at a message alone, failures of the environment aside, before it is dead-lettered",
)
.or("5");

pub(super) static RESULT_BATCHES: Setting = Setting::new(
    DECIDING,
    "result-batches",
    "INVENTORY_RESULT_BATCHES",
    "HOW",
    "How the results of a batch of commands are published: single, or in-kind (as arrays; every \
     subscriber must take them)",
)
.or("single");

pub(super) static COMMIT_PARALLELISM: Setting = Setting::new(
    DECIDING,
    "commit-parallelism",
    "INVENTORY_COMMIT_PARALLELISM",
    "COUNT",
    "Transactions of one batch in flight at once, where they share no item",
)
.or("8");

pub(super) static RESTOCK_PARALLELISM: Setting = Setting::new(
    DECIDING,
    "restock-parallelism",
    "INVENTORY_RESTOCK_PARALLELISM",
    "COUNT",
    "Chunks of one large restock in flight at once",
)
.or("8");

pub(super) static MAX_HOLD: Setting = Setting::new(
    LIMITS,
    "max-hold-seconds",
    "INVENTORY_MAX_HOLD_SECONDS",
    "SECONDS",
    "The longest hold that a reserve or extend may ask for",
)
.or("14400");

pub(super) static MAX_HOLD_TOTAL: Setting = Setting::new(
    LIMITS,
    "max-hold-total-seconds",
    "INVENTORY_MAX_HOLD_TOTAL_SECONDS",
    "SECONDS",
    "The longest hold in all, from the creation of the reservation, however often it is extended",
)
.or("14400");

pub(super) static MAX_AS_OF_AHEAD: Setting = Setting::new(
    LIMITS,
    "max-as-of-ahead-seconds",
    "INVENTORY_MAX_AS_OF_AHEAD_SECONDS",
    "SECONDS",
    "How far the as_of of a restock may be in the future",
)
.or("60");

pub(super) static MAX_ENTRIES: Setting = Setting::new(
    LIMITS,
    "max-entries-per-reservation",
    "INVENTORY_MAX_ENTRIES_PER_RESERVATION",
    "COUNT",
    "The most seats and lines in one reservation",
)
.or("97");

pub(super) static HANDLER_TIMEOUT: Setting = Setting::new(
    DECIDING,
    "handler-timeout-seconds",
    "INVENTORY_HANDLER_TIMEOUT_SECONDS",
    "SECONDS",
    "No further attempt at a batch is begun after this: it is released and comes again",
)
.or("20");

pub(super) static GRACE: Setting = Setting::new(
    STOPPING,
    "grace-seconds",
    "INVENTORY_GRACE_SECONDS",
    "SECONDS",
    "From the signal to stop to the exit; give the container five seconds more",
)
.or("25");

pub(super) static FLUSH: Setting = Setting::new(
    STOPPING,
    "flush-seconds",
    "INVENTORY_FLUSH_SECONDS",
    "SECONDS",
    "What publishing, deleting and releasing get at the end of the grace",
)
.or("3");

pub(super) static SWEEPER_INTERVAL: Setting = Setting::new(
    SWEEPING,
    "sweeper-interval-seconds",
    "INVENTORY_SWEEPER_INTERVAL_SECONDS",
    "SECONDS",
    "Between two looks for holds that ran out",
)
.or("1");

pub(super) static SWEEPER_IDLE: Setting = Setting::new(
    SWEEPING,
    "sweeper-idle-seconds",
    "INVENTORY_SWEEPER_IDLE_SECONDS",
    "SECONDS",
    "The longest rest of a shard of the index in which nothing is due; a hold shorter than this, \
     less the margin, may be found that much later",
)
.or("5");

pub(super) static SWEEPER_MARGIN: Setting = Setting::new(
    SWEEPING,
    "sweeper-margin-seconds",
    "INVENTORY_SWEEPER_MARGIN_SECONDS",
    "SECONDS",
    "How long after its end a hold is expired, for clocks that differ between workers",
)
.or("2");

pub(super) static NO_SWEEPER: Setting = Setting::new(
    SWEEPING,
    "no-sweeper",
    "INVENTORY_NO_SWEEPER",
    "BOOL",
    "Leave expired holds to other workers",
)
.switch();

/// The worker's settings, in the order of `--help`.
pub(super) static WORKER: [&Setting; 25] = [
    &VISIBILITY,
    &HEARTBEAT,
    &LEASE_MARGIN,
    &LONG_POLL,
    &POLLERS,
    &IN_FLIGHT_MESSAGES,
    &IN_FLIGHT_MIB,
    &BATCH_MESSAGES,
    &LOCKS,
    &LOCK_TTL,
    &LOCK_WAIT,
    &CONFLICT_ATTEMPTS,
    &ISOLATION_RECEIVES,
    &MAX_ATTEMPTS,
    &LINGER,
    &RESULT_BATCHES,
    &COMMIT_PARALLELISM,
    &RESTOCK_PARALLELISM,
    &HANDLER_TIMEOUT,
    &GRACE,
    &FLUSH,
    &MAX_HOLD,
    &MAX_HOLD_TOTAL,
    &MAX_AS_OF_AHEAD,
    &MAX_ENTRIES,
];

/// The sweeper's settings, in the order of `--help`.
pub(super) static SWEEPER: [&Setting; 3] = [&SWEEPER_INTERVAL, &SWEEPER_IDLE, &SWEEPER_MARGIN];
