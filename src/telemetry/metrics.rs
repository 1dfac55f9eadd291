//! The worker's figures, in Prometheus' terms.
//!
//! A label takes its values from an enum, from constants or from the configuration; never from a
//! message. Figures that have such values from the start are there from the start, at 0, so that
//! the first rejection is a rise and not a series out of nowhere.

use std::time::Duration;

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Registry, TextEncoder,
};

use crate::{
    domain::{CommandType, Outcome, RejectionCode},
    ports::{CommitError, Consumed, PortError, Table},
};

mod build;

/// The figures of one process, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    commands: IntCounterVec,
    rejections: IntCounterVec,
    command_duration: HistogramVec,
    batch_size: Histogram,
    commit_attempts: IntCounterVec,
    version_conflicts: IntCounter,
    lock_wait: Histogram,
    lock_degraded: IntCounter,
    messages_in_flight: IntGauge,
    oldest_message_age: GaugeVec,
    lease_lost: IntCounter,
    dead_lettered: IntCounterVec,
    publish_duration: Histogram,
    replays: IntCounter,
    sweeper_lag: Gauge,
    expired: IntCounter,
    oversold_lines: IntGauge,
    store_capacity_units: CounterVec,
    restock_lines: IntCounter,
}

impl Metrics {
    /// The figures in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    ///
    /// Where a figure cannot be written in it.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// A command was decided and its outcome is durable; a rejection is counted by its code too.
    pub fn decided(&self, command: CommandType, outcome: &Outcome) {
        self.outcome(command, outcome_word(outcome));
        if let Outcome::Rejected { rejection } = outcome {
            self.rejected(rejection.code);
        }
    }

    /// A command came to `outcome`, one of a fixed set of words.
    pub fn outcome(&self, command: CommandType, outcome: &'static str) {
        self.commands.with_label_values(&[command.as_str(), outcome]).inc();
    }

    /// A command or message was rejected.
    pub fn rejected(&self, code: RejectionCode) {
        self.rejections.with_label_values(&[code.as_str()]).inc();
    }

    /// A command was durable this long after its message was received.
    pub fn command_took(&self, command: CommandType, took: Duration) {
        self.command_duration.with_label_values(&[command.as_str()]).observe(took.as_secs_f64());
    }

    /// A batch of this many messages of one group begins.
    #[expect(clippy::cast_precision_loss, reason = "a batch is at most ten messages")]
    pub fn batch(&self, messages: usize) {
        self.batch_size.observe(messages as f64);
    }

    /// A transaction was sent: counts it, its conflict and the capacity it consumed.
    pub fn commit(&self, result: &Result<Consumed, CommitError>) {
        let word = match result {
            Ok(consumed) => {
                for (table, units) in &consumed.write_units {
                    self.capacity(*table, *units);
                }
                "committed"
            }
            Err(CommitError::Conflict(_)) => {
                self.version_conflicts.inc();
                "conflict"
            }
            Err(CommitError::Invalid(_)) => "invalid",
            Err(CommitError::Port(PortError::Throttled(_))) => "throttled",
            Err(CommitError::Port(PortError::Unavailable(_))) => "unavailable",
            Err(CommitError::Port(PortError::Refused(_))) => "refused",
        };
        self.commit_attempts.with_label_values(&[word]).inc();
    }

    fn capacity(&self, table: Table, units: f64) {
        // A counter refuses what is negative or no number, by panicking in debug builds.
        if units.is_finite() && units > 0.0 {
            self.store_capacity_units.with_label_values(&[table.as_str()]).inc_by(units);
        }
    }

    /// Locks were had, or given up, after this long.
    pub fn lock_waited(&self, waited: Duration) {
        self.lock_wait.observe(waited.as_secs_f64());
    }

    /// A batch goes on without locks it wanted.
    pub fn lock_degraded(&self) {
        self.lock_degraded.inc();
    }

    /// Messages came into the worker's hands (above zero) or left them.
    pub fn in_flight(&self, change: i64) {
        self.messages_in_flight.add(change);
    }

    /// The oldest message of a configured queue is this old.
    pub fn oldest_message(&self, queue: &str, age: Duration) {
        self.oldest_message_age.with_label_values(&[queue]).set(age.as_secs_f64());
    }

    /// Leases were lost, and their messages dropped.
    pub fn lease_lost(&self, leases: usize) {
        self.lease_lost.inc_by(leases as u64);
    }

    /// A message was copied to a dead-letter queue for one of a fixed set of reasons.
    pub fn dead_lettered(&self, reason: &'static str) {
        self.dead_lettered.with_label_values(&[reason]).inc();
    }

    /// A call that publishes results took this long.
    pub fn published(&self, took: Duration) {
        self.publish_duration.observe(took.as_secs_f64());
    }

    /// A command was found decided already.
    pub fn replayed(&self) {
        self.replays.inc();
    }

    /// The last sweep found holds overdue by up to this, beyond the skew margin; zero where none.
    pub fn sweeper_lag(&self, lag: Duration) {
        self.sweeper_lag.set(lag.as_secs_f64());
    }

    /// The sweeper posted this many expiries.
    pub fn expired(&self, holds: usize) {
        self.expired.inc_by(holds as u64);
    }

    /// Lines went below zero available (+1 each) or came back (-1 each).
    pub fn oversold(&self, change: i64) {
        self.oversold_lines.add(change);
    }

    /// A restock applied this many lines.
    pub fn restocked(&self, lines: u64) {
        self.restock_lines.inc_by(lines);
    }
}

/// The last word but one of the result's type: `reserved`, `rejected`, …
fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reserved { .. } => "reserved",
        Outcome::Confirmed { .. } => "confirmed",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Expired { .. } => "expired",
        Outcome::Restocked { .. } => "restocked",
        Outcome::Rejected { .. } => "rejected",
    }
}

#[cfg(test)]
mod tests;
