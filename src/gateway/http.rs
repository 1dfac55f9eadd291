//! The HTTP face.
//!
//! A request passes: connection (TLS, limits of its head) → lane (shed before it queues) → caller
//! (who, and at what rate) → handler. Handlers take an [`axum::Extension`] of [`super::Caller`].

mod parameters;
pub mod problem;
pub mod queries;

use parameters::Parameters;
pub use problem::Problem;
