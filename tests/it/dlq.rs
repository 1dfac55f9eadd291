//! Dead letters listed, redriven and discarded, on in-memory queues under a paused clock.

mod fixture;
mod forget;
mod look;
mod redrive;
