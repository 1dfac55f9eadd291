//! Logs on stderr, metrics, traces, and readiness.

mod activity;
pub mod emf;
mod health;
pub mod logs;
pub mod metrics;
pub mod observer;
pub mod readiness;
pub mod traces;

pub use activity::ActivityReport;
pub use health::{SERVICE, draining_body, health_body};
pub use metrics::Metrics;
pub use observer::TelemetryObserver;
pub use readiness::Readiness;
pub use traces::Traces;
