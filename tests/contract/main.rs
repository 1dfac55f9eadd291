//! Every adapter of a port keeps the port's contract.
//!
//! A rule is an async function over a harness, in the file of its port: `queue.rs`, `store.rs`,
//! `locks.rs`, `hints.rs`, `publisher.rs`, `activity.rs`, `snapshots.rs`. Each adapter is tested against all of them in its own file (such as
//! `on_memory.rs`), which implements the port's harness and calls the port's macro once. The macro
//! makes one test of every rule (the tables have five ports with a suite each: `store_contracts!`
//! calls them all):
//!
//! ```ignore
//! struct LocalStack { … }
//! #[async_trait]
//! impl Backend for LocalStack { … }       // its name, how to wait, what it is known to get wrong
//! #[async_trait]
//! impl QueueHarness for LocalStack { … }  // a fresh queue
//!
//! mod queue {
//!     queue_contract! {
//!         #[tokio::test]
//!         #[ignore = "needs the stack: make test"]
//!         on super::LocalStack::from_env().await
//!     }
//! }
//! ```
//!
//! A rule that a backend is known to break is named in its [`harness::Backend::quirks`] with the
//! reason. It is then skipped, and reported on stderr even if the test runner hides the output of
//! passing tests. AWS and the in-memory ports have no quirks. A rule that needs more time than
//! [`harness::Backend::patience`] allows is skipped in the same way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[macro_use]
mod harness;

#[macro_use]
mod activity;
#[macro_use]
mod hints;
#[macro_use]
mod locks;
#[macro_use]
mod publisher;
#[macro_use]
mod queue;
#[macro_use]
mod snapshots;
#[macro_use]
mod store;

mod aws_bootstrap;
mod aws_wire;
mod emulators;
mod on_localstack;
mod on_ministack;
mod sns_faults;
mod sqs_faults;
mod sqs_memory;

#[cfg(feature = "embedded")]
mod dynamodb_faults;
#[cfg(feature = "embedded")]
mod dynamodb_tables;
#[cfg(feature = "embedded")]
mod on_dynoxide;
#[cfg(feature = "embedded")]
mod on_memory;
mod on_redis;

/// The name of every rule of every port.
fn every_rule() -> Vec<&'static str> {
    let suites = [
        queue::RULES,
        hints::RULES,
        locks::RULES,
        publisher::RULES,
        activity::RULES,
        snapshots::RULES,
    ];
    suites.into_iter().chain(store::RULES).flatten().copied().collect()
}
