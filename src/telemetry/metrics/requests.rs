//! The gateway's requests.

use super::Metrics;
use crate::gateway::{
    limits::Lane,
    observer::{AnsweredRequest, RequestObserver, ShedReason, StressOutcome},
};

impl RequestObserver for Metrics {
    fn answered(&self, request: &AnsweredRequest<'_>) {
        let AnsweredRequest { protocol, operation, code, took } = request;
        let labels = [protocol.as_str(), operation, &code.to_string()];
        self.request_duration.with_label_values(&labels).observe(took.as_secs_f64());
    }

    fn shed(&self, reason: ShedReason) {
        self.requests_shed.with_label_values(&[reason.as_str()]).inc();
    }

    fn in_flight(&self, lane: Lane, change: i64) {
        self.requests_in_flight.with_label_values(&[lane.as_str()]).add(change);
    }

    fn stressed(&self, outcome: StressOutcome) {
        self.stress_commands.with_label_values(&[outcome.as_str()]).inc();
    }
}
