//! `serve`: the gateway.

use std::sync::Arc;

use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    CliContext, ExitCode,
    run::{AWS_VARIABLES, TRACE_VARIABLES},
};
use crate::{
    app::{
        gateway::{self, Gateway, GatewayBackends},
        monitoring::{self, Monitoring},
        signals::StopSignals,
    },
    config::{Flags, GatewayConfig, ServeConfig},
    gateway::{auth::AuthSettings, observer::RequestTracer},
};

/// Arguments of `serve`.
#[derive(Args)]
#[command(after_long_help = format!("{AWS_VARIABLES}\n\n{TRACE_VARIABLES}"))]
pub struct ServeArgs {
    /// Every setting.
    #[command(flatten)]
    pub settings: Flags<ServeConfig>,
}

/// Answers until a signal, then drains.
///
/// # Errors
///
/// The configuration is wrong, a queue or table is missing, or a port is taken.
pub async fn run(args: ServeArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let mut signals = StopSignals::catch()?;
    let monitoring = Monitoring::start(&config.monitoring, &monitoring::READER_PARTS).await?;
    let bound = tokio::select! {
        biased;
        _ = signals.next() => None,
        bound = bind(&config, &monitoring) => Some(bound?),
    };
    if let Some((gateway, backends)) = bound {
        warn_if_open(&config.gateway);
        info!(
            http = %gateway.http_address(),
            grpc = %gateway.grpc_address(),
            tls = config.gateway.tls.is_some(),
            "the gateway answers"
        );
        let GatewayBackends { commands, restocks, store, .. } = backends;
        let readiness = monitoring.readiness.clone();
        let probing = monitoring::probe(vec![commands, restocks], store, readiness);
        let stop = CancellationToken::new();
        let draining = async {
            let signal = signals.next().await;
            info!(signal, "stopping: no more requests, finishing what is under way");
            monitoring.readiness.drain();
            stop.cancel();
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(draining, gateway.serve(stop.clone())) } => {}
            () = probing => {}
        }
    }
    monitoring.stop(Instant::now()).await?;
    Ok(ExitCode::Done)
}

/// Says what it means that callers are not authenticated.
fn warn_if_open(config: &GatewayConfig) {
    if config.auth == AuthSettings::None {
        warn!(
            host = %config.host,
            "callers are not authenticated (INVENTORY_AUTH=none): whoever reaches this address may \
             do everything, under any source"
        );
    }
}

async fn bind(
    config: &ServeConfig,
    monitoring: &Monitoring,
) -> anyhow::Result<(Gateway, GatewayBackends)> {
    let backends = gateway::connect(config).await?;
    let observer = Arc::clone(&monitoring.metrics);
    let tracer = monitoring.traces.clone().map(|traces| traces as Arc<dyn RequestTracer>);
    let gateway = Gateway::bind(&config.gateway, &backends, observer, tracer).await?;
    Ok((gateway, backends))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::LogFormat, telemetry::logs::tests::logged};

    #[test]
    fn a_gateway_that_authenticates_nobody_says_so_once() {
        let said = |auth| {
            let config = GatewayConfig { auth, ..GatewayConfig::default() };
            logged("info", LogFormat::Json, false, || warn_if_open(&config))
        };
        let line: serde_json::Value = serde_json::from_str(&said(AuthSettings::None)).unwrap();
        assert_eq!((&line["level"], &line["host"]), (&"WARN".into(), &"127.0.0.1".into()));
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("INVENTORY_AUTH=none"), "{message}");
        assert_eq!(said(AuthSettings::Mtls), "");
    }
}
