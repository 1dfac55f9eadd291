//! The body of `/health`, on the admin port and on the gateway's.

use serde_json::{Value, json};

use crate::domain::Timestamp;

/// The service's name, over HTTP and gRPC.
pub const SERVICE: &str = "inventory-worker";

/// That the process answers, and what time it is there.
#[must_use]
pub fn health_body(now: Timestamp) -> Value {
    body("healthy", now)
}

/// That the process is about to stop.
#[must_use]
pub fn draining_body(now: Timestamp) -> Value {
    body("draining", now)
}

fn body(status: &str, now: Timestamp) -> Value {
    json!({ "status": status, "service": SERVICE, "timestamp": now.to_string() })
}
