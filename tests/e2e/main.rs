//! The real binary against real servers, from outside: messages enter through SQS, results arrive
//! in a queue that is subscribed to the topic, and the tables are read directly.
//!
//! A scenario is an async function over a [`stack::Stack`]; `on_every_stack!` makes one test of it
//! for each server of SQS and SNS, in the modules `localstack` and `ministack` of its file. A test
//! that does not depend on the server is an ordinary test. Each test creates its own queues, topic
//! and tables with `bootstrap` ([`world::World`]), and ends with a clean `audit`.
//!
//! Faults are external too: processes are killed ([`process`]), and connections run through a proxy
//! that can hold or cut them ([`proxy`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[macro_use]
mod stack;

mod collector;
mod gateway;
mod messages;
mod process;
mod proxy;
mod results;
mod wait;
mod world;

mod admin;
mod audit;
mod batches;
mod bootstrap;
mod bulk;
mod clock;
mod commands;
mod configuration;
mod contention;
mod crashes;
mod dead_letters;
mod duplicates;
mod expiry;
#[cfg(feature = "embedded")]
mod faults;
mod holds;
mod lifecycle;
mod pages;
mod poison;
mod recipe;
mod redis;
mod restock;
mod rights;
mod send;
mod serve;
mod shutdown;
mod storm;
mod subscribers;
mod traces;
