//! Stopping in two steps: no more receives, and later no more work.

use tokio_util::sync::CancellationToken;

/// What tells the parts of a worker to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Receive no more; finish what is under way.
    pub receiving: CancellationToken,
    /// The grace is over: begin nothing more, release what is left.
    pub working: CancellationToken,
}
