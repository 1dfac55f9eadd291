//! The names of the metrics in CloudWatch. docs/operations/reference.md has the same table.

/// Commands decided.
pub(super) const COMMANDS: &str = "Commands";

/// Restocks that took effect: part of [`COMMANDS`].
pub(super) const UPDATED: &str = "InventoryUpdated";

/// Restocks that were rejected: part of [`COMMANDS`].
pub(super) const UPDATE_ERROR: &str = "UpdateError";

/// Commands of storms whose outcome is known, or will not be.
pub(super) const STRESSED: &str = "StressCommands";

/// Commands of storms that have their outcome: part of [`STRESSED`].
pub(super) const STRESS_DECIDED: &str = "RestockCompleted";

/// Whether a part can work.
pub(super) const READY: &str = "Ready";

const COUNT: &str = "Count";
const SECONDS: &str = "Seconds";
const PERCENT: &str = "Percent";

/// The name in Prometheus, the name in CloudWatch, and the unit. `build_info` is left out: each
/// line has the version.
const NAMES: [(&str, &str, &str); 46] = [
    ("inventory_batch_size", "BatchSize", COUNT),
    ("inventory_clock_ahead_seconds", "ClockAhead", SECONDS),
    ("inventory_command_duration_seconds", "CommandDuration", SECONDS),
    ("inventory_commands_per_message", "CommandsPerMessage", COUNT),
    ("inventory_commands_per_message_sent", "CommandsPerMessageSent", COUNT),
    ("inventory_commands_total", COMMANDS, COUNT),
    ("inventory_commit_attempts_total", "CommitAttempts", COUNT),
    ("inventory_dead_lettered_total", "DeadLettered", COUNT),
    ("inventory_duplicate_commands_total", "DuplicateCommands", COUNT),
    ("inventory_dynamodb_capacity_units_total", "DynamodbCapacityUnits", COUNT),
    ("inventory_expirations_deferred_total", "ExpirationsDeferred", COUNT),
    ("inventory_expirations_enqueued_total", "ExpirationsEnqueued", COUNT),
    ("inventory_groups_unreadable", "GroupsUnreadable", COUNT),
    ("inventory_hints_received_total", "HintsReceived", COUNT),
    ("inventory_hints_total", "Hints", COUNT),
    ("inventory_holds_stuck", "HoldsStuck", COUNT),
    ("inventory_leases_lost_total", "LeasesLost", COUNT),
    ("inventory_lines_oversold_total", "LinesOversold", COUNT),
    ("inventory_lines_recovered_total", "LinesRecovered", COUNT),
    ("inventory_load_attempts_total", "LoadAttempts", COUNT),
    ("inventory_lock_fallbacks_total", "LockFallbacks", COUNT),
    ("inventory_lock_wait_seconds", "LockWait", SECONDS),
    ("inventory_messages_in_flight", "MessagesInFlight", COUNT),
    ("inventory_messages_released_total", "MessagesReleased", COUNT),
    ("inventory_oldest_message_age_seconds", "OldestMessageAge", SECONDS),
    ("inventory_publish_attempts_total", "PublishAttempts", COUNT),
    ("inventory_publish_duration_seconds", "PublishDuration", SECONDS),
    ("inventory_ready", READY, COUNT),
    ("inventory_receive_paused_seconds_total", "ReceivePaused", SECONDS),
    ("inventory_rejections_total", "Rejections", COUNT),
    ("inventory_request_duration_seconds", "QueryDuration", SECONDS),
    ("inventory_request_errors_total", "QueryError", COUNT),
    ("inventory_requests_in_flight", "RequestsInFlight", COUNT),
    ("inventory_requests_shed_total", "RequestsShed", COUNT),
    ("inventory_restock_lines_total", "RestockLines", COUNT),
    ("inventory_streams", "Streams", COUNT),
    ("inventory_stress_commands_total", STRESSED, COUNT),
    ("inventory_stress_cpu_percent", "RestockCPU", PERCENT),
    ("inventory_stress_posted_total", "RestockIterations", COUNT),
    ("inventory_sweeper_lag_seconds", "SweeperLag", SECONDS),
    ("inventory_version_conflicts_total", "VersionConflicts", COUNT),
    ("inventory_view_age_seconds", "ViewAge", SECONDS),
    ("inventory_view_hits_total", "CacheHit", COUNT),
    ("inventory_view_misses_total", "CacheMiss", COUNT),
    ("inventory_view_refills_total", "ViewRefills", COUNT),
    ("inventory_view_snapshots_total", "ViewSnapshots", COUNT),
];

/// A metric's name and unit in CloudWatch.
pub(super) fn of(prometheus: &str) -> Option<(&'static str, &'static str)> {
    let found = NAMES.iter().find(|(name, ..)| *name == prometheus);
    found.map(|(_, name, unit)| (*name, *unit))
}

/// A label's name as a dimension: `type` is `Type`.
pub(super) fn dimension(label: &str) -> String {
    let mut letters = label.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
