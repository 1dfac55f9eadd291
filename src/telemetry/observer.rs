//! Everything that watches the worker of this process.

use std::sync::Arc;

use super::{Metrics, Traces};
use crate::worker::{Event, Observer, trace::Tracer};

/// Counts what happens and, where traces are exported, traces it.
pub struct TelemetryObserver {
    /// Records the events as metrics.
    pub metrics: Arc<Metrics>,
    /// Records them as spans, where traces are exported.
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
