//! A worker and a sweeper running in this process.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Backends;
use crate::{
    sweeper,
    worker::{self, Observer, Settings, Shutdown},
};

/// A worker and its sweeper, as tasks. Dropping it aborts both.
pub struct WorkerGroup {
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl WorkerGroup {
    /// Starts them; without settings for a sweeper, expired holds are left to other processes.
    #[must_use]
    pub fn start(
        backends: &Backends,
        worker: Settings,
        sweeper: Option<sweeper::Settings>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let shutdown = Shutdown::default();
        let mut tasks = JoinSet::new();
        let sweeper = sweeper.and_then(|settings| backends.sweeper(settings, Arc::clone(observer)));
        if let Some(sweeper) = sweeper {
            let stopped = shutdown.receiving.clone();
            tasks.spawn(async move { sweeper.run(stopped).await });
        }
        let context = backends.worker_context(worker, Arc::clone(observer), shutdown.clone());
        tasks.spawn(worker::run(context, backends.sources.clone()));
        Self { shutdown, tasks }
    }

    /// Returns only if one of them ends before it is stopped.
    pub async fn ended_early(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Err(error)) => anyhow::Error::new(error).context("the worker ended"),
            Some(Ok(())) => anyhow::anyhow!("the worker ended without being asked to stop"),
            None => std::future::pending().await,
        }
    }

    /// Receives no more, finishes in-flight work within the grace, releases the rest.
    pub async fn drain(mut self) {
        self.shutdown.receiving.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part ended before its time");
            }
        }
    }
}
