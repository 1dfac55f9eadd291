//! Tests of the parts, without servers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod audit;
#[cfg(feature = "embedded")]
mod bulk;
#[cfg(feature = "embedded")]
mod cases;
mod container;
mod decide_properties;
mod decide_rules;
mod decoder_fuzz;
#[cfg(feature = "embedded")]
mod demo;
#[cfg(feature = "embedded")]
mod dlq;
mod documents;
mod manifests;
mod monitoring;
mod openapi;
#[cfg(feature = "embedded")]
mod producers;
#[cfg(feature = "embedded")]
mod reservations;
mod rights;
mod schemas;
#[cfg(feature = "embedded")]
mod storm;
#[cfg(feature = "embedded")]
mod subscriber;
#[cfg(feature = "embedded")]
mod worker;
mod world;
