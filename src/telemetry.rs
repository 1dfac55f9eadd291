//! What the process tells about itself: logs on stderr, figures at `/metrics`.

pub mod logs;
pub mod metrics;

pub use metrics::Metrics;
