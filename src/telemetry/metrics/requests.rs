//! The gateway's requests.

use super::Metrics;
use crate::{
    client::PostObserver,
    gateway::{
        limits::Lane,
        observer::{
            AnsweredRequest, Protocol, RequestCode, RequestObserver, ShedReason, StressOutcome,
        },
        streams::StreamKind,
    },
};

impl RequestObserver for Metrics {
    fn answered(&self, request: &AnsweredRequest<'_>) {
        let AnsweredRequest { protocol, operation, code, took } = request;
        let labels = [protocol.as_str(), operation, &code.to_string()];
        self.request_duration.with_label_values(&labels).observe(took.as_secs_f64());
        if is_failure(*protocol, *code) {
            self.request_errors.with_label_values(&[protocol.as_str(), operation]).inc();
        }
    }

    fn shed(&self, reason: ShedReason) {
        self.requests_shed.with_label_values(&[reason.as_str()]).inc();
    }

    fn in_flight(&self, lane: Lane, change: i64) {
        self.requests_in_flight.with_label_values(&[lane.as_str()]).add(change);
    }

    fn streams(&self, kind: StreamKind, change: i64) {
        self.streams.with_label_values(&[kind.as_str()]).add(change);
    }

    fn stress_posted(&self) {
        self.stress_posted.inc();
    }

    fn stressed(&self, outcome: StressOutcome) {
        self.stress_commands.with_label_values(&[outcome.as_str()]).inc();
    }

    fn stress_cpu(&self, percent: f64) {
        self.stress_cpu.observe(percent);
    }
}

impl PostObserver for Metrics {
    fn posted(&self, commands: usize) {
        // A message holds 100 at the most.
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        self.commands_per_message_sent.observe(f64::from(commands));
    }
}

/// Whether the status is a failure of the service: not of the caller, nor a refusal.
fn is_failure(protocol: Protocol, code: RequestCode) -> bool {
    /// UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS.
    const GRPC: [u16; 4] = [2, 13, 14, 15];
    match (protocol, code) {
        (_, RequestCode::ClientClosed) => false,
        (Protocol::Http, RequestCode::Status(code)) => code >= 500,
        (Protocol::Grpc, RequestCode::Status(code)) => GRPC.contains(&code),
    }
}
