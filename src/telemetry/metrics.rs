//! The worker's metrics for Prometheus.
//!
//! A label takes its values from an enum, from constants or from the configuration; never from a
//! message. Metrics with such labels exist from the start, at 0, so that the first rejection is an
//! increase and not a new series.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::{
    Counter, CounterVec, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder, proto::MetricFamily,
};
use tokio::time::Instant;

use crate::{
    decide::Oversold,
    domain::{CommandType, Outcome, RejectionCode},
    ports::{CommitError, Consumed},
    worker::{Event, Observer},
};

mod build;
mod groups;
mod oldest;
mod requests;
mod views;

/// The metrics of one process, in their own registry, fed by the events of worker and sweeper, and by
/// the requests of the gateway.
pub struct Metrics {
    registry: Registry,
    commands: IntCounterVec,
    rejections: IntCounterVec,
    command_duration: HistogramVec,
    batch_size: Histogram,
    commands_per_message: Histogram,
    commands_per_message_sent: Histogram,
    load_attempts: IntCounterVec,
    commit_attempts: IntCounterVec,
    version_conflicts: IntCounter,
    lock_wait: Histogram,
    lock_fallbacks: IntCounter,
    messages_in_flight: IntGauge,
    oldest_message_age: oldest::OldestAges,
    lease_lost: IntCounter,
    dead_lettered: IntCounterVec,
    released: IntCounterVec,
    publish_attempts: IntCounterVec,
    publish_duration: Histogram,
    replays: IntCounter,
    sweeper_lag: Histogram,
    expired: IntCounter,
    expirations_deferred: IntCounterVec,
    holds_stuck: IntGauge,
    receive_paused: Counter,
    /// Until when [`Self::receive_paused`] has counted.
    paused_until: Mutex<Option<Instant>>,
    ready: IntGaugeVec,
    clock_ahead: Gauge,
    groups_unreadable: groups::UnreadableGroups,
    lines_oversold: IntCounter,
    lines_recovered: IntCounter,
    hints: IntCounterVec,
    dynamodb_capacity_units: CounterVec,
    restock_lines: IntCounter,
    request_duration: HistogramVec,
    request_errors: IntCounterVec,
    requests_in_flight: IntGaugeVec,
    requests_shed: IntCounterVec,
    streams: IntGaugeVec,
    view_age: Histogram,
    view_hits: IntCounter,
    view_misses: IntCounter,
    view_refills: IntCounterVec,
    view_snapshots: IntCounterVec,
    hints_received: IntCounterVec,
    stress_posted: IntCounter,
    stress_commands: IntCounterVec,
    stress_cpu: Histogram,
}

impl Metrics {
    /// The metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    ///
    /// A metric cannot be written in this format.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }

    /// Logs what this process did, once it has drained.
    pub fn log_totals(&self, ran: Duration) {
        let total = |name: &str| {
            let families = self.registry.gather();
            let family = families.iter().find(|family| family.name() == name);
            let counters = family.iter().flat_map(|family| family.get_metric());
            let sum: f64 = counters.map(|metric| metric.get_counter().get_value()).sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let sum = sum as u64;
            sum
        };
        tracing::info!(
            ran_s = ran.as_secs(),
            commands = total("inventory_commands_total"),
            rejected = total("inventory_rejections_total"),
            duplicates = total("inventory_duplicate_commands_total"),
            dead_lettered = total("inventory_dead_lettered_total"),
            released = total("inventory_messages_released_total"),
            leases_lost = total("inventory_leases_lost_total"),
            in_flight = self.messages_in_flight.get(),
            "drained, in all"
        );
    }

    /// How far this machine's clock is ahead of the services'; below zero, behind.
    pub fn clock_is_ahead(&self, seconds: f64) {
        self.clock_ahead.set(seconds);
    }

    /// The metrics' current values.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.groups_unreadable.show(Instant::now());
        self.registry.gather()
    }

    /// 1 where a part is ready, 0 where it is not, by its name.
    pub(super) fn readiness(&self) -> IntGaugeVec {
        self.ready.clone()
    }

    /// Counts a time in which nothing was received. Several calls hang, and several breakers pause,
    /// at the same time: each moment counts once.
    fn paused(&self, from: Instant, to: Instant) {
        let mut until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let from = until.map_or(from, |until| until.max(from));
        if from < to {
            self.receive_paused.inc_by((to - from).as_secs_f64());
            *until = Some(to);
        }
    }

    /// What was decided so far, repetitions aside: carried out by command type, and rejected by code.
    /// What did not happen is left out.
    #[must_use]
    pub fn decided_by_type_and_code(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let completed = CommandType::ALL.map(|command| {
            let labels = [command.as_str(), build::outcome_of(command)];
            (command.as_str(), self.commands.with_label_values(&labels).get())
        });
        let rejected = RejectionCode::ALL
            .map(|code| (code.as_str(), self.rejections.with_label_values(&[code.as_str()]).get()));
        (happened(&completed), happened(&rejected))
    }

    fn decided(&self, command: Option<CommandType>, outcome: &Outcome, took: Duration) {
        let command = command.map_or("unknown", CommandType::as_str);
        self.commands.with_label_values(&[command, outcome_word(outcome)]).inc();
        self.command_duration.with_label_values(&[command]).observe(took.as_secs_f64());
        match outcome {
            Outcome::Rejected { rejection } => {
                self.rejections.with_label_values(&[rejection.code.as_str()]).inc();
            }
            Outcome::Restocked { restock, .. } => {
                self.restock_lines.inc_by(restock.lines_applied);
            }
            _ => {}
        }
    }

    fn commit(&self, result: &Result<Consumed, CommitError>) {
        let word = match result {
            Ok(consumed) => {
                self.consumed(consumed);
                "committed"
            }
            Err(CommitError::Conflict(_)) => {
                self.version_conflicts.inc();
                "conflict"
            }
            Err(CommitError::Invalid(_)) => "invalid",
            Err(CommitError::Port(_)) => "failed",
        };
        self.commit_attempts.with_label_values(&[word]).inc();
    }

    fn oversold(&self, crossed: Oversold) {
        self.lines_oversold.inc_by(crossed.below);
        self.lines_recovered.inc_by(crossed.back);
    }

    fn consumed(&self, consumed: &Consumed) {
        for (table, units) in &consumed.write_units {
            // A counter rejects negative values and NaN, and panics in debug builds.
            if units.is_finite() && *units > 0.0 {
                self.dynamodb_capacity_units.with_label_values(&[table.as_str()]).inc_by(*units);
            }
        }
    }
}

impl Observer for Metrics {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Received { queue, messages: _, oldest_age } => {
                self.oldest_message_age.received(queue, *oldest_age, Instant::now());
            }
            Event::InFlight(change) => self.messages_in_flight.add(*change),
            // Equals the messages in flight; only checkers use it.
            Event::LeasesHeld(_) => {}
            Event::Batch { messages, commands } => {
                #[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
                let (messages, commands) = (*messages as f64, *commands as f64);
                self.batch_size.observe(messages);
                self.commands_per_message.observe(commands / messages.max(1.0));
            }
            Event::Decided { replayed: true, .. } => self.replays.inc(),
            Event::Decided { command_type, outcome, replayed: false, took } => {
                self.decided(*command_type, outcome, *took);
            }
            Event::Load { is_loaded } => {
                let word = if *is_loaded { "loaded" } else { "failed" };
                self.load_attempts.with_label_values(&[word]).inc();
            }
            Event::Commit(result) => self.commit(result),
            Event::LockWaited(waited) => self.lock_wait.observe(waited.as_secs_f64()),
            Event::LockFallback => self.lock_fallbacks.inc(),
            Event::LeaseLost(messages) => self.lease_lost.inc_by(*messages as u64),
            Event::DeadLettered { reason } => {
                self.dead_lettered.with_label_values(&[*reason]).inc();
            }
            Event::Released { reason, messages } => {
                let messages = u64::try_from(*messages).unwrap_or(u64::MAX);
                self.released.with_label_values(&[*reason]).inc_by(messages);
            }
            Event::GroupUnreadable { group, delay } => {
                self.groups_unreadable.waits(group, Instant::now() + *delay);
            }
            Event::Published { took } => {
                self.publish_attempts.with_label_values(&["published"]).inc();
                self.publish_duration.observe(took.as_secs_f64());
            }
            Event::PublishFailed => {
                self.publish_attempts.with_label_values(&["failed"]).inc();
            }
            Event::Hints { outcome, hints } => {
                let hints = u64::try_from(*hints).unwrap_or(u64::MAX);
                self.hints.with_label_values(&[*outcome]).inc_by(hints);
            }
            Event::Paused(pause) => {
                let now = Instant::now();
                self.paused(now, now + *pause);
            }
            Event::CallFailed { took } => {
                let now = Instant::now();
                self.paused(now.checked_sub(*took).unwrap_or(now), now);
            }
            Event::Oversold(crossed) => self.oversold(*crossed),
            Event::SweeperLag(lag) => self.sweeper_lag.observe(lag.as_secs_f64()),
            Event::ExpiriesPosted(holds) => self.expired.inc_by(*holds as u64),
            Event::ExpiryDeferred { reason } => {
                self.expirations_deferred.with_label_values(&[*reason]).inc();
            }
            Event::HoldsStuck(holds) => {
                self.holds_stuck.set(i64::try_from(*holds).unwrap_or(i64::MAX))
            }
        }
    }
}

fn happened(counts: &[(&'static str, u64)]) -> BTreeMap<String, u64> {
    let happened = counts.iter().filter(|(_, count)| *count > 0);
    happened.map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The outcome of a command as one word, the same as in the result's type.
fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reserved { .. } => "reserved",
        Outcome::Extended { .. } => "extended",
        Outcome::Modified { .. } => "modified",
        Outcome::Confirmed { .. } => "confirmed",
        Outcome::Fulfilled { .. } => "fulfilled",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Expired { .. } => "expired",
        Outcome::Restocked { .. } => "restocked",
        Outcome::Rejected { .. } => "rejected",
    }
}

#[cfg(test)]
mod tests;
