//! The observers of this process's worker.

use std::sync::Arc;

use super::{Metrics, Traces};
use crate::worker::{Event, Observer, trace::Tracer};

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
