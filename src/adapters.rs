//! The adapters: AWS, Redis, and in-memory stand-ins that keep the same contracts.

pub mod aws;
pub mod bootstrap;
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod instrumented;
#[cfg(feature = "embedded")]
pub mod memory;
pub mod noop_locks;
pub mod redis;
pub mod sns;
pub mod sqs;
pub mod system;
