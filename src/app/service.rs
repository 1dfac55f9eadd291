//! The running service: worker, sweeper and admin port, from start to drained.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Backends;
use crate::{
    admin::{Admin, AdminServer},
    config::AdminConfig,
    ports::PortError,
    sweeper,
    telemetry::{Metrics, Readiness},
    worker::{self, Observer, Settings, Stop},
};

/// How often the parts are asked whether they can work.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// What is served, beside the backends.
pub struct Service {
    /// How the worker works.
    pub worker: Settings,
    /// How the sweeper works; `None` leaves expired holds to others.
    pub sweeper: Option<sweeper::Settings>,
    /// Where the admin port is.
    pub admin: AdminConfig,
}

impl Service {
    /// Connects, then works until told to stop, then drains. The admin port answers from before
    /// the first connection to after the last message.
    ///
    /// # Errors
    /// The admin port is taken, or the backends cannot be had.
    pub async fn run(
        self,
        connect: impl Future<Output = anyhow::Result<Backends>>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let metrics = Arc::new(Metrics::new()?);
        let readiness = Readiness::of(["queues", "store"]);
        let mut background = JoinSet::new();
        let admin_stop = CancellationToken::new();
        let clock = Arc::new(crate::adapters::system::SystemClock);
        let admin = Admin { metrics: Arc::clone(&metrics), readiness: readiness.clone(), clock };
        let address = self.admin.address();
        let server = AdminServer::bind(address, admin)
            .await
            .with_context(|| format!("the admin port {address} (ADMIN_PORT)"))?;
        info!(address = %server.address(), "admin port");
        let serving = tokio::spawn(server.serve(admin_stop.clone()));
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            connected = connect => Some(connected?),
        };
        if let Some(backends) = connected {
            background.spawn(probe(backends.clone(), readiness.clone()));
            let stopping = Stop { receiving: stop, ..Stop::default() };
            let draining = stopping.receiving.clone();
            background.spawn(async move {
                draining.cancelled().await;
                info!("stopping: no more receives, finishing what is under way");
                readiness.drain();
            });
            self.work(backends, metrics, stopping, &mut background).await;
        }
        admin_stop.cancel();
        serving.await.context("the admin port's task")?;
        Ok(())
    }

    async fn work(
        self,
        backends: Backends,
        observer: Arc<dyn Observer>,
        stop: Stop,
        background: &mut JoinSet<()>,
    ) {
        let sweeper =
            self.sweeper.and_then(|settings| backends.sweeper(settings, Arc::clone(&observer)));
        if let Some(sweeper) = sweeper {
            let stop = stop.receiving.clone();
            background.spawn(async move { sweeper.run(stop).await });
        }
        let tools = backends.tools(self.worker, observer, stop);
        worker::run(tools, backends.sources).await;
    }
}

/// Asks queues and store whether they answer, now and then.
async fn probe(backends: Backends, readiness: Readiness) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let told = |answer: Result<(), PortError>| answer.map_err(|error| error.to_string());
        readiness.set("store", told(backends.store.ping().await));
        let mut queues = Ok(());
        for source in &backends.sources {
            if let Err(error) = source.queue.backlog().await {
                queues = Err(error);
                break;
            }
        }
        readiness.set("queues", told(queues));
    }
}

/// Cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// The process cannot listen for signals.
pub fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}
