//! The gateway: answers callers over HTTP and gRPC. There is one write path, the queue; the gateway
//! posts to it as any producer does, and answers once the outcome is in the ledger.
//!
//! ```text
//! HTTP ─┐                       ┌─► commands ─► client ─► queue ─► (the workers)
//!       ├─► caller ─► admission ┤                 └─ ledger ◄─────────┘
//! gRPC ─┘                       └─► queries ─► tables
//! ```
//!
//! `http` and `grpc` are thin faces on the same [`commands`] and queries; each maps errors in one
//! file. Knows [`crate::client`], [`crate::message`], [`crate::domain`] and ports, never the worker
//! or an adapter.

pub mod auth;
pub mod caller;
#[cfg(test)]
pub(crate) mod certificates;
pub mod commands;
pub mod grpc;
pub mod guard;
pub mod hints;
pub mod http;
pub mod limits;
pub mod observer;
pub mod overview;
pub mod page;
pub mod queries;
pub mod server;
pub mod streams;
pub mod stress;
pub mod view;

pub use caller::{Caller, Scope, Scopes};
pub use commands::{
    Answer, CommandError, CommandParts, CommandRequest, CommandSettings, Commands, Decided,
    EventError, EventRequest, Recorded,
};
pub use overview::{Overview, OverviewParts};
pub use queries::{Queries, QueryError, QuerySettings};
pub use stress::{Stress, StressParts};
