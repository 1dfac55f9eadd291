//! What the process tells about itself: logs on stderr, figures, and whether it is ready.

pub mod logs;
pub mod metrics;
pub mod readiness;

pub use metrics::Metrics;
pub use readiness::Readiness;
