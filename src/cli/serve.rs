//! `serve`: the gateway.

use std::{sync::Arc, time::Duration};

use clap::Args;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    CliContext, ExitCode,
    run::{AWS_VARIABLES, TRACE_VARIABLES},
};
use crate::{
    app::{
        gateway::{self, Gateway, GatewayBackends},
        monitoring::{Monitoring, MonitoringConfig},
        signals::StopSignals,
    },
    config::{Flags, ServeConfig},
    ports::PortError,
    telemetry::Readiness,
};

/// The interval of readiness checks.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Arguments of `serve`.
#[derive(Args)]
#[command(after_help = format!("{AWS_VARIABLES}\n\n{TRACE_VARIABLES}"))]
pub struct ServeArgs {
    /// Every setting.
    #[command(flatten)]
    pub settings: Flags<ServeConfig>,
}

/// Answers until a signal, then drains.
///
/// # Errors
///
/// The configuration is wrong, a service is unreachable at the start, or a port is taken.
pub async fn run(args: ServeArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let mut signals = StopSignals::catch()?;
    let monitoring = MonitoringConfig {
        admin: config.admin,
        emf: config.emf.clone(),
        traces: config.traces.clone(),
    };
    let monitoring = Monitoring::start(&monitoring, ["queues", "store"]).await?;
    let bound = tokio::select! {
        biased;
        _ = signals.next() => None,
        bound = bind(&config, &monitoring) => Some(bound?),
    };
    if let Some((gateway, backends)) = bound {
        info!(
            http = %gateway.http_address(),
            grpc = %gateway.grpc_address(),
            tls = config.gateway.tls.is_some(),
            "the gateway answers"
        );
        let stop = CancellationToken::new();
        let draining = async {
            let signal = signals.next().await;
            info!(signal, "stopping: no more requests, finishing what is under way");
            monitoring.readiness.drain();
            stop.cancel();
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(draining, gateway.serve(stop.clone())) } => {}
            () = probe(&backends, &monitoring.readiness) => {}
        }
    }
    monitoring.stop(Instant::now()).await?;
    Ok(ExitCode::Done)
}

async fn bind(
    config: &ServeConfig,
    monitoring: &Monitoring,
) -> anyhow::Result<(Gateway, GatewayBackends)> {
    let backends = gateway::connect(&config.aws).await?;
    let observer = Arc::clone(&monitoring.metrics);
    let gateway = Gateway::bind(&config.gateway, &backends, observer).await?;
    Ok((gateway, backends))
}

/// Checks periodically whether queues and store answer, for as long as it is polled.
async fn probe(backends: &GatewayBackends, readiness: &Readiness) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reported = |answer: Result<(), PortError>| answer.map_err(|error| error.to_string());
        readiness.set("store", reported(backends.store.ping().await));
        let commands = backends.commands.backlog().await;
        let queues = match commands {
            Ok(_) => backends.restocks.backlog().await,
            failed => failed,
        };
        readiness.set("queues", reported(queues.map(drop)));
    }
}
