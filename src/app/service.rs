//! The running service: worker, sweeper and admin port, from start to drained.

use std::{future::Future, sync::Arc};

use tokio::{task::JoinSet, time::Instant};
use tracing::info;

use super::{
    Backends,
    monitoring::{self, Monitoring},
    signals::StopSignals,
    worker_group::WorkerGroup,
};
use crate::{
    config::MonitoringConfig,
    sweeper,
    telemetry::{ActivityReport, TelemetryObserver},
    worker::{Observer, Settings},
};

/// What the service runs, besides the backends.
pub struct Service {
    /// The worker's settings.
    pub worker: Settings,
    /// The sweeper's settings; `None` leaves expired holds to other processes.
    pub sweeper: Option<sweeper::Settings>,
    /// Admin port, metrics and traces.
    pub monitoring: MonitoringConfig,
}

impl Service {
    /// Connects, works until a stop signal, drains. The admin port answers from before the first
    /// connection until after the last message.
    ///
    /// # Errors
    /// The admin port is in use, the backends cannot be reached, or the worker ended unexpectedly.
    pub async fn run(
        self,
        connect: impl Future<Output = anyhow::Result<Backends>>,
        mut signals: StopSignals,
    ) -> anyhow::Result<()> {
        let monitoring = Monitoring::start(&self.monitoring, &monitoring::WORKER_PARTS).await?;
        let connected = tokio::select! {
            biased;
            _ = signals.next() => None,
            connected = connect => Some(connected?),
        };
        let worked = match connected {
            Some(backends) => self.work(&backends, &monitoring, signals).await,
            None => Ok(Instant::now()),
        };
        let grace_ends = worked.as_ref().map_or_else(|_| Instant::now(), |ends| *ends);
        monitoring.stop(grace_ends).await?;
        worked.map(|_| ())
    }

    /// Works until a stop signal, then drains. Returns when the grace ends.
    async fn work(
        self,
        backends: &Backends,
        monitoring: &Monitoring,
        mut signals: StopSignals,
    ) -> anyhow::Result<Instant> {
        let Monitoring { metrics, readiness, traces, .. } = monitoring;
        let watch = TelemetryObserver { metrics: Arc::clone(metrics), traces: traces.clone() };
        let observer: Arc<dyn Observer> = Arc::new(watch);
        let began = Instant::now();
        // Nothing waits for these; they end with this call.
        let mut background = JoinSet::new();
        let queues = backends.sources.iter().map(|source| Arc::clone(&source.queue)).collect();
        background.spawn(monitoring::probe(queues, backends.store.clone(), readiness.clone()));
        background.spawn(monitoring::probe_writes(backends.store.clone(), readiness.clone()));
        if let Some(board) = &backends.activity {
            let report = ActivityReport {
                board: Arc::clone(board),
                metrics: Arc::clone(metrics),
                clock: Arc::clone(&backends.clock),
                worker: backends.entropy.uuid(),
            };
            background.spawn(async move { report.run().await });
        }
        let grace = self.worker.grace;
        let mut group = WorkerGroup::start(backends, self.worker, self.sweeper, &observer);
        tokio::select! {
            biased;
            signal = signals.next() => {
                info!(signal, "stopping: no more receives, finishing what is under way");
            }
            error = group.ended_early() => return Err(error),
        }
        let grace_ends = Instant::now() + grace;
        readiness.drain();
        group.drain().await;
        metrics.log_totals(began.elapsed());
        Ok(grace_ends)
    }
}
