//! The running service: worker, sweeper and admin port, from start to drained.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Backends, signals::StopSignals, worker_group::WorkerGroup};
use crate::{
    adapters::system::SystemClock,
    admin::{Admin, AdminServer},
    config::{AdminConfig, EmfConfig, TraceConfig},
    ports::PortError,
    sweeper,
    telemetry::{Metrics, Readiness, TelemetryObserver, Traces, emf},
    worker::{Observer, Settings},
};

/// The interval of readiness checks.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The timeout for exporting the last spans, if the grace leaves more, and if it is over: a
/// collector that hangs does not hold up a stopping worker.
const TRACES_FLUSH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// What the service runs, besides the backends.
pub struct Service {
    /// The worker's settings.
    pub worker: Settings,
    /// The sweeper's settings; `None` leaves expired holds to other processes.
    pub sweeper: Option<sweeper::Settings>,
    /// The admin port's configuration.
    pub admin: AdminConfig,
    /// Whether metrics are written to the log, and under which namespace.
    pub emf: EmfConfig,
    /// Whether and where traces are exported.
    pub traces: TraceConfig,
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
        let metrics = Arc::new(Metrics::new()?);
        let traces = Traces::start(&self.traces)?.map(Arc::new);
        let readiness = Readiness::of(["queues", "store"]);
        let admin = Admin {
            metrics: Arc::clone(&metrics),
            readiness: readiness.clone(),
            clock: Arc::new(SystemClock),
        };
        let address = self.admin.address();
        let server = AdminServer::bind(address, admin)
            .await
            .with_context(|| format!("the admin port {address} (ADMIN_PORT)"))?;
        info!(address = %server.address(), "admin port");
        let serving_ends = CancellationToken::new();
        let serving = tokio::spawn(server.serve(serving_ends.clone()));
        let writing = self.emf.namespace.clone().map(|namespace| {
            let clock = Arc::new(SystemClock);
            tokio::spawn(emf::run(namespace, Arc::clone(&metrics), clock, serving_ends.clone()))
        });
        let connected = tokio::select! {
            biased;
            _ = signals.next() => None,
            connected = connect => Some(connected?),
        };
        let worked = match connected {
            Some(backends) => {
                let watch = TelemetryObserver { metrics, traces: traces.clone() };
                self.work(&backends, Arc::new(watch), readiness, signals).await
            }
            None => Ok(Instant::now()),
        };
        if let Some(traces) = traces {
            let grace_ends = worked.as_ref().map_or_else(|_| Instant::now(), |ends| *ends);
            let left = grace_ends.saturating_duration_since(Instant::now());
            traces.flush(left.clamp(TRACES_FLUSH.0, TRACES_FLUSH.1)).await;
        }
        serving_ends.cancel();
        serving.await.context("the admin port's task")?;
        if let Some(writing) = writing {
            writing.await.context("the task that writes metrics")?;
        }
        worked.map(|_| ())
    }

    /// Works until a stop signal, then drains. Returns when the grace ends.
    async fn work(
        self,
        backends: &Backends,
        observer: Arc<dyn Observer>,
        readiness: Readiness,
        mut signals: StopSignals,
    ) -> anyhow::Result<Instant> {
        let mut probing = JoinSet::new();
        probing.spawn(probe(backends.clone(), readiness.clone()));
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
        Ok(grace_ends)
    }
}

/// Checks periodically whether queues and store answer.
async fn probe(backends: Backends, readiness: Readiness) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reported = |answer: Result<(), PortError>| answer.map_err(|error| error.to_string());
        readiness.set("store", reported(backends.store.ping().await));
        let mut queues = Ok(());
        for source in &backends.sources {
            if let Err(error) = source.queue.backlog().await {
                queues = Err(error);
                break;
            }
        }
        readiness.set("queues", reported(queues));
    }
}
