//! The gRPC face: `inventory.v1.InventoryService`, `grpc.health.v1` and reflection.
//!
//! A request passes: connection (TLS, limits of its head) → lane (shed before it queues) → caller
//! (who, and at what rate) → call. Calls take the [`Caller`] from the request's extensions; without
//! one they are answered UNAUTHENTICATED. Health and reflection need none.

mod calls;
mod deadline;
mod fields;
mod health;
mod metadata;
pub mod proto;
mod requests;
mod responses;
mod results;
mod service;
pub mod status;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use tonic::service::Routes;

pub use fields::Violation;
pub use health::Serving;
use proto::inventory_service_server::InventoryServiceServer;

use crate::{
    domain::{CommandId, CommandKey},
    gateway::{
        Answer, Caller, CommandError, CommandRequest, Commands, Queries,
        limits::CallerRate,
        observer::RequestObserver,
        streams::{Changes, Results},
    },
    ports::Clock,
};

/// The largest message that is read, bytes.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What the face asks of [`Commands`].
#[async_trait]
pub trait CommandPort: Send + Sync {
    /// See [`Commands::key`].
    ///
    /// # Errors
    ///
    /// As there.
    fn key(&self, caller: &Caller, id: Option<CommandId>) -> Result<CommandKey, CommandError>;

    /// See [`Commands::submit`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn submit(
        &self,
        caller: &Caller,
        request: CommandRequest,
    ) -> Result<Answer, CommandError>;
}

#[async_trait]
impl CommandPort for Commands {
    fn key(&self, caller: &Caller, id: Option<CommandId>) -> Result<CommandKey, CommandError> {
        Self::key(self, caller, id)
    }

    async fn submit(
        &self,
        caller: &Caller,
        request: CommandRequest,
    ) -> Result<Answer, CommandError> {
        Self::submit(self, caller, request).await
    }
}

/// What the calls work with.
#[derive(Clone)]
pub struct Face {
    /// Posts commands, and awaits their outcomes.
    pub commands: Arc<dyn CommandPort>,
    /// Counts the commands of a call that has several; the guard counts calls.
    pub rate: Arc<CallerRate>,
    /// Measures what is refused.
    pub observer: Arc<dyn RequestObserver>,
    /// Looks things up.
    pub queries: Arc<Queries>,
    /// Streams what changes.
    pub changes: Changes,
    /// Streams results.
    pub results: Results,
    /// The time in answers.
    pub clock: Arc<dyn Clock>,
    /// Whether the server takes calls.
    pub serving: Serving,
}

/// The services, to be served over HTTP/2.
pub fn router(face: Face) -> axum::Router {
    let health = face.serving.server().max_decoding_message_size(MESSAGE_BYTES_MAX);
    let service = InventoryServiceServer::new(face).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Clients in Python ask in the older version.
    let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) else {
        unreachable!("the build wrote the descriptors")
    };
    Routes::new(service)
        .add_service(health)
        .add_service(v1.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(v1alpha.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .prepare()
        .into_axum_router()
}

#[cfg(test)]
mod tests;
