//! What the process tells about itself: logs on stderr, figures, traces, and whether it is ready.

pub mod emf;
pub mod logs;
pub mod metrics;
pub mod observer;
pub mod readiness;
pub mod traces;

pub use metrics::Metrics;
pub use observer::TelemetryObserver;
pub use readiness::Readiness;
pub use traces::Traces;
