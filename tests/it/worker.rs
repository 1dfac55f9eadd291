//! The worker on in-memory ports.

mod batches;
mod calls;
mod command_batches;
mod dead_letters;
mod expirytime;
mod failures;
pub mod fixture;
mod hints;
mod idle;
mod last_chance;
mod lifecycle;
mod logs;
mod order;
mod progress;
mod restock;
mod results;
mod retention;
mod sweeper;
mod traces;
