//! The storm's client: sends commands, receives results, and counts both.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Ports, Progress, StormSummary, counts::StormCounts};
use crate::{
    client::{Client, ClientLimits, ClientPorts, Reply, RequestError, ResultSubscription},
    domain::{Action, CommandId, CommandKey, GroupId, PoolId, Source},
    message::{DecodedResult, InvalidResult},
    ports::Entropy,
};

/// Posts commands, reads results, and counts.
pub(super) struct LoadClient {
    pub(super) entropy: Arc<dyn Entropy>,
    source: Source,
    client: Client,
    results: ResultSubscription,
    counts: Mutex<StormCounts>,
}

impl LoadClient {
    pub(super) fn new(ports: Ports, source: Source, limits: ClientLimits) -> Self {
        let Ports { commands, restocks, results, clock, entropy } = ports;
        let results = ResultSubscription::new(results, Arc::clone(&entropy));
        let ports = ClientPorts { commands, restocks, clock, entropy: Arc::clone(&entropy) };
        let client = Client::new(ports, limits);
        Self { entropy, source, client, results, counts: Mutex::default() }
    }

    /// Sends commands for as long as it is polled.
    pub(super) async fn send(&self) {
        self.client.run().await;
    }

    /// Starts counting.
    pub(super) fn begin(&self, whole: u64, unit: &'static str) {
        self.counts().begin(whole, unit);
    }

    pub(super) fn buyer_left(&self) {
        self.counts().buyer_left();
    }

    pub(super) fn progress(&self) -> Progress {
        self.counts().progress()
    }

    pub(super) fn close(
        &self,
        storm: &'static str,
        took: Duration,
        calls: BTreeMap<&'static str, u64>,
    ) -> StormSummary {
        self.counts().summary(storm, took.as_secs_f64(), calls)
    }

    /// Posts a command once fewer than the limit are in flight, and waits for its result; `None` if
    /// it could not be sent, or no result arrived in time.
    ///
    /// # Errors
    ///
    /// The worker would not accept the command.
    pub(super) async fn request(
        &self,
        pool: &PoolId,
        group: Option<GroupId>,
        action: impl FnOnce(&CommandKey) -> Action,
    ) -> anyhow::Result<Option<DecodedResult>> {
        let id: CommandId = self.entropy.uuid().to_string().parse()?;
        let key = CommandKey { source: self.source.clone(), id };
        let action = action(&key);
        let command_type = action.command_type();
        let command = self.client.prepare(key, pool.clone(), group, action)?;
        match self.client.request(&command).await {
            Ok(Reply { result, took }) => {
                self.counts().answered(command_type, took, &result);
                Ok(Some(result))
            }
            Err(RequestError::DeadlinePassed { .. }) => {
                self.counts().unanswered();
                Ok(None)
            }
            Err(RequestError::NotPosted { .. }) => {
                self.counts().not_sent();
                Ok(None)
            }
            Err(error @ RequestError::AlreadyAwaited { .. }) => Err(error.into()),
        }
    }

    /// Reads results for as long as it is polled.
    ///
    /// # Errors
    ///
    /// The queue of results refuses to be received from.
    pub(super) async fn listen(&self) -> anyhow::Result<()> {
        match self.results.run(|result| self.take(result)).await {
            Ok(never) => match never {},
            Err(error) => anyhow::bail!("results cannot be received: {error}"),
        }
    }

    fn take(&self, result: Result<DecodedResult, InvalidResult>) {
        match result {
            // The subscription's filter may let results of other sources through.
            Ok(result) if result.command.key.source != self.source => {}
            Ok(result) => {
                if self.client.deliver(result).is_some() {
                    self.counts().stray();
                }
            }
            Err(error) => tracing::warn!(%error, "a result cannot be read"),
        }
    }

    fn counts(&self) -> MutexGuard<'_, StormCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
