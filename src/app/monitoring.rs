//! What every process that runs for long has: an admin port, metrics and traces.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use jiff::SignedDuration;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use crate::{
    adapters::{aws, system::SystemClock},
    admin::{Admin, AdminServer},
    config::MonitoringConfig,
    ports::{CommitStore, PortError, Queue, ReadStore},
    telemetry::{Metrics, Readiness, Traces, emf},
};

/// The timeout for exporting the last spans, if the grace leaves more, and if it is over: a
/// collector that hangs does not hold up a stopping process.
const TRACES_FLUSH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The interval of readiness checks.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The interval of checks whether the tables may be written, once they may: each costs a few write
/// units.
const PROBE_WRITES_EVERY: Duration = Duration::from_secs(60);

/// The parts that [`probe`] checks: all that a process needs that only reads tables.
pub const READER_PARTS: [&str; 2] = ["queues", "store"];

/// The parts of a worker: also that the tables may be written, which [`probe_writes`] checks.
pub const WORKER_PARTS: [&str; 3] = ["queues", "store", "writes"];

/// A clock that differs by more is logged, and an alert: twice the sweeper's margin for clocks that
/// differ, and more than an answer takes that is slow.
const CLOCK_TOLERANCE_S: f64 = 5.0;

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
    watching: AbortOnDropHandle<()>,
}

impl Monitoring {
    /// Answers at the admin port from now on. Not ready until each of these parts is.
    ///
    /// # Errors
    ///
    /// The admin port is in use, or the exporter of traces cannot be made.
    pub async fn start(config: &MonitoringConfig, parts: &[&str]) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new()?);
        let traces = Traces::start(&config.traces)?.map(Arc::new);
        let readiness = Readiness::of(parts.iter().copied()).reported_to(&metrics);
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
        let watching = watch_clock(Arc::clone(&metrics), aws::clock_ahead);
        let watching = AbortOnDropHandle::new(tokio::spawn(watching));
        Ok(Self { metrics, readiness, traces, stop, serving, writing, watching })
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
        drop(self.watching);
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

/// Checks periodically whether the tables may be written, for as long as it is polled.
pub async fn probe_writes(store: Arc<dyn CommitStore>, readiness: Readiness) {
    loop {
        let answer = store.check_writes().await;
        let pause = if answer.is_ok() { PROBE_WRITES_EVERY } else { PROBE_EVERY };
        readiness.set("writes", reported(answer));
        tokio::time::sleep(pause).await;
    }
}

/// Reports how far this machine's clock is ahead of the services', and logs each minute while that
/// is more than clocks may differ.
async fn watch_clock(metrics: Arc<Metrics>, ahead: fn() -> Option<SignedDuration>) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let mut logged: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let Some(ahead_s) = ahead().map(|ahead| ahead.as_secs_f64()) else { continue };
        metrics.clock_is_ahead(ahead_s);
        let is_due = logged.is_none_or(|at| at.elapsed() >= PROBE_WRITES_EVERY);
        if ahead_s.abs() <= CLOCK_TOLERANCE_S {
            logged = None;
        } else if is_due {
            logged = Some(Instant::now());
            warn!(
                ahead_s,
                "this machine's clock differs from the services': holds end at wrong times"
            );
        }
    }
}

fn reported(answer: Result<(), PortError>) -> Result<(), String> {
    answer.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use uuid::Uuid;

    use super::*;
    use crate::ports::{CommitError, Consumed, Transaction};

    /// Tables that a role may read and not write.
    struct ReadOnly;

    #[async_trait]
    impl CommitStore for ReadOnly {
        async fn commit(&self, _: &Transaction, _: Uuid) -> Result<Consumed, CommitError> {
            Ok(self.check_writes().await.map(|()| Consumed::default())?)
        }

        async fn check_writes(&self) -> Result<(), PortError> {
            Err(PortError::Refused("TransactWriteItems: AccessDeniedException".to_owned()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_ahead_is_a_metric() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let half_an_hour = || Some(SignedDuration::from_mins(30));
        let watching = watch_clock(Arc::clone(&metrics), half_an_hour);
        tokio::time::timeout(Duration::from_secs(30), watching).await.unwrap_err();
        assert!(metrics.encode().unwrap().contains("inventory_clock_ahead_seconds 1800\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_may_not_write_is_not_ready() {
        let readiness = Readiness::of(WORKER_PARTS);
        for part in READER_PARTS {
            readiness.set(part, Ok(()));
        }
        let probing = probe_writes(Arc::new(ReadOnly), readiness.clone());
        tokio::time::timeout(Duration::from_secs(60), probing).await.unwrap_err();
        let report = readiness.report();
        assert!(!report.is_ready());
        let reason = report.parts["writes"].as_ref().unwrap_err();
        assert!(reason.contains("AccessDeniedException"), "{reason}");
    }
}
