//! How a gateway ends: told to whoever balances load, and with an answer for whoever waits.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::gateway::{Commands, Stress, grpc::Serving, streams::Streams};

/// The last part of the grace, in which nobody waits for an outcome any more: for the answers.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How a gateway ends.
pub(super) struct Drain {
    pub(super) commands: Arc<Commands>,
    pub(super) stress: Option<Arc<Stress>>,
    pub(super) serving: Serving,
    pub(super) streams: Streams,
    pub(super) draining: CancellationToken,
    pub(super) delay: Duration,
    pub(super) grace: Duration,
}

impl Drain {
    /// From `stop` to the end of what `served` ends with: the servers, which end after `closing`.
    pub(super) async fn run(
        &self,
        stop: &CancellationToken,
        closing: &CancellationToken,
        served: &CancellationToken,
    ) {
        stop.cancelled().await;
        self.draining.cancel();
        if let Some(stress) = &self.stress {
            stress.stop();
        }
        self.serving.stop().await;
        sleep(self.delay).await;
        let cut_off = Instant::now() + self.grace;
        closing.cancel();
        self.streams.drain();
        self.serving.end_watches().await;
        let last_answers = LAST_ANSWERS.min(self.grace / 2);
        if timeout_at(cut_off - last_answers, served.cancelled()).await.is_err() {
            self.commands.end_waits();
            served.cancelled().await;
        }
        // A command may be accepted that its caller does not see posted.
        if timeout_at(cut_off, self.commands.flushed()).await.is_err() {
            warn!("commands were accepted and could not be posted");
        }
    }
}
