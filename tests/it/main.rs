//! Behaviours of the parts, without servers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod decide_rules;
mod schemas;
#[cfg(feature = "embedded")]
mod worker;
mod world;
