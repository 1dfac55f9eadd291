//! The worker on in-memory ports.

mod calls;
mod failures;
mod fixture;
mod order;
mod restock;
