//! The observers of this process's worker and gateway.

use std::sync::Arc;

use super::{Metrics, Traces};
use crate::{
    gateway::{
        limits::Lane,
        observer::{AnsweredRequest, RequestObserver, RequestTracer, ShedReason, StressOutcome},
    },
    worker::{Event, Observer, trace::Tracer},
};

/// Counts events and, if traces are exported, traces them.
pub struct TelemetryObserver {
    /// Records the events as metrics.
    pub metrics: Arc<Metrics>,
    /// Records the events as spans, if traces are exported.
    pub traces: Option<Arc<Traces>>,
}

impl Observer for TelemetryObserver {
    fn observe(&self, event: &Event<'_>) {
        self.metrics.observe(event);
    }

    fn tracer(&self) -> Option<&dyn Tracer> {
        self.traces.as_deref().map(|traces| traces as &dyn Tracer)
    }
}

impl RequestObserver for TelemetryObserver {
    fn answered(&self, request: &AnsweredRequest<'_>) {
        self.metrics.answered(request);
    }

    fn shed(&self, reason: ShedReason) {
        self.metrics.shed(reason);
    }

    fn in_flight(&self, lane: Lane, change: i64) {
        self.metrics.in_flight(lane, change);
    }

    fn stressed(&self, outcome: StressOutcome) {
        self.metrics.stressed(outcome);
    }

    fn tracer(&self) -> Option<&dyn RequestTracer> {
        self.traces.as_deref().map(|traces| traces as &dyn RequestTracer)
    }
}
