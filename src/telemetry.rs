//! What the process tells about itself: logs on stderr, figures, traces, and whether it is ready.

pub mod emf;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod traces;
pub mod watch;

pub use metrics::Metrics;
pub use readiness::Readiness;
pub use traces::Traces;
pub use watch::Watch;
