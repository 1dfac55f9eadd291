//! The HTTP face.
//!
//! A request passes: connection (TLS, limits of its head) → lane (shed before it queues) → caller
//! (who, and at what rate) → handler. Handlers take an [`axum::Extension`] of [`super::Caller`].

pub mod commands;
mod parameters;
pub mod problem;

use std::sync::Arc;

use axum::Router;

use self::parameters::Parameters;
pub use self::problem::Problem;
use super::Commands;
use crate::ports::Clock;

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpState {
    /// Posts commands, and awaits their outcomes.
    pub commands: Arc<Commands>,
    /// The time in answers.
    pub clock: Arc<dyn Clock>,
}

/// Every route.
pub fn router(state: HttpState) -> Router {
    commands::routes().with_state(state.commands)
}
