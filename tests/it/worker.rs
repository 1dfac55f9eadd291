//! The worker on in-memory ports.

mod calls;
mod failures;
mod fixture;
mod lifecycle;
mod logs;
mod order;
mod restock;
mod retention;
mod sweeper;
mod traces;
