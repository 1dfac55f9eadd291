//! Names shared by all parts of a simulation: start time, queues, ports and workers.

use std::fmt;

use inventory_worker::worker::QueueKind;

/// The start of every history, by the server's clock.
pub(super) const EPOCH: &str = "2026-11-22T10:00:00Z";

/// The queues, each with a dead-letter queue.
pub(super) const QUEUES: [(&str, QueueKind); 3] = [
    ("inventory-commands.fifo", QueueKind::Commands),
    ("inventory-restock.fifo", QueueKind::Commands),
    ("inventory-expiries.fifo", QueueKind::Expiries),
];

/// A queue of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Commands(usize),
    DeadLetters(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands(index) => write!(f, "c{index}"),
            Self::DeadLetters(index) => write!(f, "dead{index}"),
        }
    }
}

/// The ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    Store,
    Queue,
    Topic,
    Locks,
}

impl Port {
    pub(super) const ALL: [Self; 4] = [Self::Store, Self::Queue, Self::Topic, Self::Locks];
}

/// A worker or gateway, and how often it was restarted.
pub(super) type Incarnation = (usize, u32);

/// The number of the first gateway, above those of all workers.
pub(super) const FIRST_GATEWAY: usize = 100;

/// The name of an incarnation in the trace: `w0.2` for a worker, `g0.2` for a gateway.
pub(super) struct Named(pub(super) Incarnation);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, life) = self.0;
        match number.checked_sub(FIRST_GATEWAY) {
            Some(gateway) => write!(f, "g{gateway}.{life}"),
            None => write!(f, "w{number}.{life}"),
        }
    }
}
