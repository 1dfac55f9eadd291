//! The ports with an injected bug in them.
//!
//! A worker's bug shows in its calls: it writes too little, takes a failure for a success, or
//! publishes in the wrong order. So most bugs need no change in the worker: these ports stand
//! between the worker and its faulty ports, and make the calls that a worker with the bug would
//! make. Without an active bug they pass every call on.

mod queue;
mod store;
mod topic;
mod unconditional;

use std::sync::Arc;

use super::Ports;
use crate::injector::Injector;

pub(crate) use unconditional::commit;

impl Ports {
    pub(super) fn with_injected_bug(self, injector: &Arc<Injector>) -> Self {
        let Self { store, topic, locks, queues } = self;
        Self {
            store: Arc::new(store::BuggyStore::new(store, Arc::clone(injector))),
            topic: Arc::new(topic::BuggyTopic::new(topic, Arc::clone(injector))),
            locks,
            queues: queues.into_iter().map(|pair| queue::queue_pair(pair, injector)).collect(),
        }
    }
}
