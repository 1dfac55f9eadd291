//! The HTTP face.
//!
//! A request passes: connection (TLS, limits of its head) → lane (shed before it queues) → caller
//! (who, and at what rate) → handler. Handlers take an [`axum::Extension`] of [`super::Caller`].

pub mod layers;
pub mod problem;

pub use problem::Problem;
