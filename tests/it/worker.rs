//! The worker on in-memory ports.

mod calls;
mod dead_letters;
mod failures;
mod fixture;
mod last_chance;
mod lifecycle;
mod logs;
mod order;
mod progress;
mod restock;
mod retention;
mod sweeper;
mod traces;
