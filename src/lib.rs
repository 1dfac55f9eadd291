//! `inventory-worker`: reserves, confirms, cancels and restocks inventory from SQS FIFO queues. No
//! item is sold twice, no message is lost.
//!
//! The modules; an arrow points from a module to the one it depends on.
//!
//! ```text
//! domain ◄─ decide ◄──────────────┐
//!    ▲         ▲                  │
//!    ├──── message ◄──────────── worker, sweeper ◄── app ◄── cli, main
//!    └──── ports ◄──────────────┘                     │
//!            ▲                                        │
//!            └──────── adapters (AWS, Redis, memory) ◄┘
//! ```

/// Whether an injected bug is active: `false` without the feature `injected-bugs`.
#[cfg(not(feature = "injected-bugs"))]
#[macro_export]
macro_rules! injected_bug {
    ($bug:ident) => {
        false
    };
}

/// Whether an injected bug is active in this thread.
#[cfg(feature = "injected-bugs")]
#[macro_export]
macro_rules! injected_bug {
    ($bug:ident) => {
        $crate::injected::is_active($crate::injected::Bug::$bug)
    };
}

pub mod adapters;
pub mod admin;
pub mod app;
pub mod audit;
pub mod build_info;
pub mod bulk;
pub mod cli;
pub mod client;
pub mod config;
pub mod decide;
#[cfg(feature = "embedded")]
pub mod demo;
pub mod dlq;
pub mod domain;
pub mod forget;
pub mod gateway;
#[cfg(feature = "injected-bugs")]
pub mod injected;
pub mod message;
pub mod naming;
pub mod ports;
pub mod report;
pub mod retention;
pub mod retry;
pub mod storm;
pub mod sweeper;
pub mod telemetry;
pub mod terminal;
pub mod worker;
