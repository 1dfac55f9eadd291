//! `inventory-worker`: reserves, confirms, cancels and restocks inventory from SQS FIFO queues.
//! Nothing is sold twice, nothing is lost.
//!
//! The map of the house; an arrow means "knows":
//!
//! ```text
//! domain ◄─ decide ◄──────────────┐
//!    ▲         ▲                  │
//!    ├──── message ◄──────────── worker, sweeper ◄── app ◄── cli, main
//!    └──── ports ◄──────────────┘                     │
//!            ▲                                        │
//!            └──────── adapters (AWS, Redis, memory) ◄┘
//! ```

pub mod domain;
pub mod ports;
