//! Shutdown in two steps: first receives end, later all work.

use tokio_util::sync::CancellationToken;

/// The signals that stop the parts of a worker.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Stop receiving; finish what is in flight.
    pub receiving: CancellationToken,
    /// The grace has passed: begin nothing more, release what is left.
    pub working: CancellationToken,
}
