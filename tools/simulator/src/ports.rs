//! The ports as a simulated worker sees them: everything can go wrong.

mod locks;
mod queue;
mod store;
mod topic;

pub(super) use locks::FaultyLocks;
pub(super) use queue::FaultyQueue;
pub(super) use store::FaultyStore;
pub(super) use topic::FaultyTopic;
