//! What every process that runs for long has: an admin port, metrics and traces.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    adapters::system::SystemClock,
    admin::{Admin, AdminServer},
    config::MonitoringConfig,
    ports::{PortError, Queue, ReadStore},
    telemetry::{Metrics, Readiness, Traces, emf},
};

/// The timeout for exporting the last spans, if the grace leaves more, and if it is over: a
/// collector that hangs does not hold up a stopping process.
const TRACES_FLUSH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The interval of readiness checks.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The parts that [`probe`] checks.
const PARTS: [&str; 2] = ["queues", "store"];

/// The admin port, answering, and what feeds it.
pub struct Monitoring {
    /// The process' metrics.
    pub metrics: Arc<Metrics>,
    /// The parts that the process waits for.
    pub readiness: Readiness,
    /// Where traces go, if they are exported.
    pub traces: Option<Arc<Traces>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    writing: Option<JoinHandle<()>>,
}

impl Monitoring {
    /// Answers at the admin port from now on. Not ready until queues and store answer.
    ///
    /// # Errors
    ///
    /// The admin port is in use, or the exporter of traces cannot be made.
    pub async fn start(config: &MonitoringConfig) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new()?);
        let traces = Traces::start(&config.traces)?.map(Arc::new);
        let readiness = Readiness::of(PARTS);
        let admin = Admin {
            metrics: Arc::clone(&metrics),
            readiness: readiness.clone(),
            clock: Arc::new(SystemClock),
        };
        let address = config.admin.address();
        let server = AdminServer::bind(address, admin)
            .await
            .with_context(|| format!("the admin port {address} (ADMIN_PORT)"))?;
        info!(address = %server.address(), "admin port");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));
        let writing = config.emf.namespace.clone().map(|namespace| {
            let clock = Arc::new(SystemClock);
            tokio::spawn(emf::run(namespace, Arc::clone(&metrics), clock, stop.clone()))
        });
        Ok(Self { metrics, readiness, traces, stop, serving, writing })
    }

    /// Exports the last spans, until the grace ends, and closes the admin port.
    ///
    /// # Errors
    ///
    /// A task of it panicked.
    pub async fn stop(self, grace_ends: Instant) -> anyhow::Result<()> {
        if let Some(traces) = &self.traces {
            let left = grace_ends.saturating_duration_since(Instant::now());
            traces.flush(left.clamp(TRACES_FLUSH.0, TRACES_FLUSH.1)).await;
        }
        self.stop.cancel();
        self.serving.await.context("the admin port's task")?;
        if let Some(writing) = self.writing {
            writing.await.context("the task that writes metrics")?;
        }
        Ok(())
    }
}

/// Checks periodically whether queues and store answer, for as long as it is polled.
pub async fn probe(queues: Vec<Arc<dyn Queue>>, store: Arc<dyn ReadStore>, readiness: Readiness) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reported = |answer: Result<(), PortError>| answer.map_err(|error| error.to_string());
        readiness.set("store", reported(store.ping().await));
        let mut answer = Ok(());
        for queue in &queues {
            if let Err(error) = queue.backlog().await {
                answer = Err(error);
                break;
            }
        }
        readiness.set("queues", reported(answer));
    }
}
