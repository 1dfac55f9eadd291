//! The name, the help and the buckets of each metric.

use std::sync::Mutex;

use prometheus::{
    Counter, CounterVec, Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec,
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

use super::{Metrics, groups::UnreadableGroups, oldest::OldestAges};
use crate::{
    build_info,
    domain::{CommandType, RejectionCode},
    gateway::{
        observer::{HintOutcome, RefillReason, ShedReason, SnapshotOutcome, StressOutcome},
        streams::StreamKind,
    },
    ports::Table,
    worker::{Deferral, dead_letters::Reason, failure::Failure, hints},
};

const PREFIX: &str = "inventory";

/// Seconds, for network calls, up to the length of a lease.
const CALL_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Seconds, for locks: from one call to Redis to the longest useful wait.
const LOCK_SECONDS: [f64; 11] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Commands: a message holds 1…100.
const COMMANDS_JOINED: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 100.0];

/// Messages: a receive returns 1…10.
const BATCH_MESSAGES: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];

/// Seconds past the end of a hold and its margin.
const LAG_SECONDS: [f64; 12] = [0.0, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

/// Seconds, for projections: fresh to 2 s, to 30 s with hints, and to 60 s without the tables.
const AGE_SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Percent of a process' cores.
const CPU_PERCENT: [f64; 11] = [5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

/// What a failed request is counted by.
const OF_REQUEST: [&str; 2] = ["protocol", "operation"];

/// The results of a load.
const LOAD_RESULTS: [&str; 2] = ["loaded", "failed"];

/// The results of a publish.
const PUBLISH_RESULTS: [&str; 2] = ["published", "failed"];

/// The results of a commit.
const COMMIT_RESULTS: [&str; 4] = ["committed", "conflict", "invalid", "failed"];

const COMMANDS: &str = "Commands decided, duplicates aside, by command type and outcome";
const REJECTIONS: &str = "Commands and messages rejected, by code";
const DURATION: &str = "From the receipt of a command's message to its durable outcome, by type";
const BATCH: &str = "Messages of one group handled as one batch";
const LOADS: &str = "Loads of what a batch names from the tables, by what came of them";
const PUBLISHES: &str = "Batches of results published, by what came of it";
const READY: &str = "1 where a part of the process can work, 0 where it cannot, by part";
const CLOCK: &str = "Seconds that this machine's clock is ahead of the services' by the Date of their \
     answers; below zero, behind";
const GROUPS_UNREADABLE: &str = "Groups that wait for an item that cannot be read";
const COMMITS: &str = "Transactions sent, by what came of them";
const CONFLICTS: &str = "Transactions that met another's change and were to be decided again";
const LOCK_WAIT: &str = "From asking for a batch's locks to having them or going without";
const DEGRADED: &str = "Batches that went on without locks they wanted";
const IN_FLIGHT: &str = "Messages received and not yet deleted or released";
const OLDEST: &str =
    "Age of the oldest message received in the last two minutes, 0 where none was, by queue";
const REQUESTS: &str = "From a request's head to its answer's, by protocol, operation and status";
const REQUESTS_IN_FLIGHT: &str = "Requests being answered by the gateway, by lane";
const REQUESTS_SHED: &str = "Requests refused at once, by reason";
const STREAMS: &str = "Streams that the gateway serves, by kind";
const STRESS_POSTED: &str = "Commands of storms at /stress/restock that the queue took";
const STRESSED: &str = "Commands of storms at /stress/restock, by what became of them";
const STRESS_CPU: &str =
    "Percent of its cores that this process uses while a storm runs, each second of it";
const LEASE_LOST: &str = "Messages dropped because their lease was lost: another delivery has them";
const RELEASED: &str =
    "Messages given back to their queue without an outcome, to be received again, by reason";
const DEAD: &str = "Messages copied to a dead-letter queue, by reason";
const PUBLISH: &str = "Publishing the results of a batch, repetitions included";
const REPLAYS: &str = "Commands found decided already, whose outcome was published again";
const SWEEPER_LAG: &str = "How far past its end and the sweeper's margin the oldest hold in a shard was, at each look, \
     stuck ones aside";
const EXPIRED: &str = "Expiries that the sweeper enqueued";
const DEFERRED: &str =
    "Expiries that could not be handled and were dropped, to be posted again, by reason";
const JOINED: &str = "Commands of a message, on average over a group's batch";
const SENT_TOGETHER: &str = "Commands of a message that the gateway sent";
const STUCK: &str = "Holds still there ten minutes after their end, in all shards as this process last \
                     looked them through: the same ones in every pod, so take the maximum, not the sum";
const PAUSES: &str =
    "How long nothing was received because a dependency was unavailable or its calls hung, in sum";
const WENT_BELOW: &str = "Lines taken below zero available";
const CAME_BACK: &str = "Lines brought back from below zero available";
const HINTS: &str = "Hints about commits for the views of gateways, by what became of them";
const CAPACITY: &str = "Write capacity units consumed, as the store said, by table";
const RESTOCKED: &str = "Lines applied by restocks";
const REQUEST_ERRORS: &str =
    "Requests that the gateway could not answer, by protocol and operation";
const VIEW_AGE: &str = "From the read that an answer from the view rests on to the answer";
const VIEW_HITS: &str = "Queries answered from the view without a read";
const VIEW_MISSES: &str = "Queries that waited for a read";
const VIEW_SNAPSHOTS: &str = "Looks for a pool that another gateway has read, by outcome";
const VIEW_REFILLS: &str = "Reads of pools into the view, by reason";
const HINTS_RECEIVED: &str = "What came, or did not come, from workers about pools in the view";
const BUILD: &str = "1, labelled with what was built";

impl Metrics {
    /// All metrics at 0.
    ///
    /// # Errors
    ///
    /// A metric's name is invalid or duplicate; never with the names here.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            commands: counters(r, "commands_total", COMMANDS, &["type", "outcome"])?,
            rejections: counters(r, "rejections_total", REJECTIONS, &["code"])?,
            command_duration: histograms(r, "command_duration_seconds", DURATION, &["type"])?,
            batch_size: histogram(r, "batch_size", BATCH, &BATCH_MESSAGES)?,
            commands_per_message: histogram(r, "commands_per_message", JOINED, &COMMANDS_JOINED)?,
            commands_per_message_sent: {
                histogram(r, "commands_per_message_sent", SENT_TOGETHER, &COMMANDS_JOINED)?
            },
            load_attempts: counters(r, "load_attempts_total", LOADS, &["result"])?,
            commit_attempts: counters(r, "commit_attempts_total", COMMITS, &["result"])?,
            version_conflicts: counter(r, "version_conflicts_total", CONFLICTS)?,
            lock_wait: histogram(r, "lock_wait_seconds", LOCK_WAIT, &LOCK_SECONDS)?,
            lock_fallbacks: counter(r, "lock_fallbacks_total", DEGRADED)?,
            messages_in_flight: gauge(r, "messages_in_flight", IN_FLIGHT)?,
            oldest_message_age: {
                let opts = opts("oldest_message_age_seconds", OLDEST);
                OldestAges::of(register(r, GaugeVec::new(opts, &["queue"])?)?)
            },
            lease_lost: counter(r, "leases_lost_total", LEASE_LOST)?,
            dead_lettered: counters(r, "dead_lettered_total", DEAD, &["reason"])?,
            released: counters(r, "messages_released_total", RELEASED, &["reason"])?,
            publish_attempts: counters(r, "publish_attempts_total", PUBLISHES, &["result"])?,
            publish_duration: histogram(r, "publish_duration_seconds", PUBLISH, &CALL_SECONDS)?,
            replays: counter(r, "duplicate_commands_total", REPLAYS)?,
            sweeper_lag: histogram(r, "sweeper_lag_seconds", SWEEPER_LAG, &LAG_SECONDS)?,
            expired: counter(r, "expirations_enqueued_total", EXPIRED)?,
            expirations_deferred: counters(r, "expirations_deferred_total", DEFERRED, &["reason"])?,
            holds_stuck: gauge(r, "holds_stuck", STUCK)?,
            receive_paused: {
                let opts = opts("receive_paused_seconds_total", PAUSES);
                register(r, Counter::with_opts(opts)?)?
            },
            paused_until: Mutex::new(None),
            ready: gauges(r, "ready", READY, "part")?,
            clock_ahead: register(r, Gauge::with_opts(opts("clock_ahead_seconds", CLOCK))?)?,
            groups_unreadable: {
                UnreadableGroups::of(gauge(r, "groups_unreadable", GROUPS_UNREADABLE)?)
            },
            lines_oversold: counter(r, "lines_oversold_total", WENT_BELOW)?,
            lines_recovered: counter(r, "lines_recovered_total", CAME_BACK)?,
            hints: counters(r, "hints_total", HINTS, &["outcome"])?,
            dynamodb_capacity_units: {
                let opts = opts("dynamodb_capacity_units_total", CAPACITY);
                register(r, CounterVec::new(opts, &["table"])?)?
            },
            restock_lines: counter(r, "restock_lines_total", RESTOCKED)?,
            request_duration: {
                let labels = ["protocol", "operation", "code"];
                histograms(r, "request_duration_seconds", REQUESTS, &labels)?
            },
            request_errors: counters(r, "request_errors_total", REQUEST_ERRORS, &OF_REQUEST)?,
            requests_in_flight: gauges(r, "requests_in_flight", REQUESTS_IN_FLIGHT, "lane")?,
            requests_shed: counters(r, "requests_shed_total", REQUESTS_SHED, &["reason"])?,
            streams: gauges(r, "streams", STREAMS, "kind")?,
            view_age: histogram(r, "view_age_seconds", VIEW_AGE, &AGE_SECONDS)?,
            view_hits: counter(r, "view_hits_total", VIEW_HITS)?,
            view_misses: counter(r, "view_misses_total", VIEW_MISSES)?,
            view_snapshots: counters(r, "view_snapshots_total", VIEW_SNAPSHOTS, &["outcome"])?,
            view_refills: counters(r, "view_refills_total", VIEW_REFILLS, &["reason"])?,
            hints_received: counters(r, "hints_received_total", HINTS_RECEIVED, &["outcome"])?,
            stress_posted: counter(r, "stress_posted_total", STRESS_POSTED)?,
            stress_commands: counters(r, "stress_commands_total", STRESSED, &["outcome"])?,
            stress_cpu: histogram(r, "stress_cpu_percent", STRESS_CPU, &CPU_PERCENT)?,
            registry,
        };
        metrics.begin()?;
        Ok(metrics)
    }

    /// Metrics whose labels are known from the start exist from the start.
    fn begin(&self) -> Result<(), Error> {
        for command in CommandType::ALL {
            for outcome in [outcome_of(command), "rejected"] {
                self.commands.with_label_values(&[command.as_str(), outcome]);
            }
            self.command_duration.with_label_values(&[command.as_str()]);
        }
        self.commands.with_label_values(&["unknown", "rejected"]);
        self.command_duration.with_label_values(&["unknown"]);
        for code in RejectionCode::ALL {
            self.rejections.with_label_values(&[code.as_str()]);
        }
        for result in LOAD_RESULTS {
            self.load_attempts.with_label_values(&[result]);
        }
        for result in PUBLISH_RESULTS {
            self.publish_attempts.with_label_values(&[result]);
        }
        for result in COMMIT_RESULTS {
            self.commit_attempts.with_label_values(&[result]);
        }
        for reason in Reason::ALL {
            self.dead_lettered.with_label_values(&[reason.as_str()]);
        }
        for class in Failure::CLASSES {
            self.released.with_label_values(&[class]);
        }
        for reason in Deferral::ALL {
            self.expirations_deferred.with_label_values(&[reason.as_str()]);
        }
        for outcome in hints::OUTCOMES {
            self.hints.with_label_values(&[outcome]);
        }
        for table in Table::ALL {
            self.dynamodb_capacity_units.with_label_values(&[table.as_str()]);
        }
        for reason in RefillReason::ALL {
            self.view_refills.with_label_values(&[reason.as_str()]);
        }
        for outcome in SnapshotOutcome::ALL {
            self.view_snapshots.with_label_values(&[outcome.as_str()]);
        }
        for outcome in HintOutcome::ALL {
            self.hints_received.with_label_values(&[outcome.as_str()]);
        }
        for reason in ShedReason::ALL {
            self.requests_shed.with_label_values(&[reason.as_str()]);
        }
        for kind in StreamKind::ALL {
            self.streams.with_label_values(&[kind.as_str()]);
        }
        for outcome in StressOutcome::ALL {
            self.stress_commands.with_label_values(&[outcome.as_str()]);
        }
        let build = IntGaugeVec::new(opts("build_info", BUILD), &["version", "revision"])?;
        build.with_label_values(&[build_info::VERSION, build_info::REVISION]).set(1);
        register(&self.registry, build).map(drop)
    }
}

/// The outcome of such a command if it is not rejected.
pub(super) fn outcome_of(command: CommandType) -> &'static str {
    match command {
        CommandType::Reserve => "reserved",
        CommandType::Extend => "extended",
        CommandType::Modify => "modified",
        CommandType::Confirm => "confirmed",
        CommandType::Fulfil => "fulfilled",
        CommandType::Cancel => "cancelled",
        CommandType::Expire => "expired",
        CommandType::Restock => "restocked",
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

fn histogram_opts(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace(PREFIX).buckets(buckets.to_vec())
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    register(registry, IntCounter::with_opts(opts(name, help))?)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, Error> {
    register(registry, IntCounterVec::new(opts(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, Error> {
    register(registry, IntGauge::with_opts(opts(name, help))?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &'static str,
) -> Result<IntGaugeVec, Error> {
    register(registry, IntGaugeVec::new(opts(name, help), &[label])?)
}

/// Seconds of calls, by labels.
fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<HistogramVec, Error> {
    register(registry, HistogramVec::new(histogram_opts(name, help, &CALL_SECONDS), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, Error> {
    register(registry, Histogram::with_opts(histogram_opts(name, help, buckets))?)
}
