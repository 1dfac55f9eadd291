//! The gateway's view, and what it hears from workers.

use std::time::Duration;

use super::Metrics;
use crate::gateway::observer::{
    HintOutcome, RefillReason, ShedReason, SnapshotOutcome, ViewObserver,
};

impl ViewObserver for Metrics {
    fn asked(&self, is_hit: bool) {
        if is_hit { self.view_hits.inc() } else { self.view_misses.inc() }
    }

    fn aged(&self, age: Duration) {
        self.view_age.observe(age.as_secs_f64());
    }

    fn refill(&self, reason: RefillReason) {
        self.view_refills.with_label_values(&[reason.as_str()]).inc();
    }

    fn snapshot(&self, outcome: SnapshotOutcome) {
        self.view_snapshots.with_label_values(&[outcome.as_str()]).inc();
    }

    fn list_refused(&self) {
        self.requests_shed.with_label_values(&[ShedReason::LargeLists.as_str()]).inc();
    }

    fn hint(&self, outcome: HintOutcome) {
        self.hints_received.with_label_values(&[outcome.as_str()]).inc();
    }
}
