//! What the process tells about itself: logs on stderr, figures, and whether it is ready.

pub mod logs;
pub mod metrics;
mod observe;
pub mod readiness;

pub use metrics::Metrics;
pub use readiness::Readiness;
