//! `run`: the worker.

use clap::Args;

use super::{CliContext, ExitCode};
use crate::{
    app::{self, service::Service, signals::StopSignals},
    config::{Config, Flags},
};

/// Arguments of `run`.
#[derive(Args)]
#[command(after_long_help = format!("{AWS_VARIABLES}\n\n{TRACE_VARIABLES}"))]
pub struct RunArgs {
    /// Every setting.
    #[command(flatten)]
    pub settings: Flags<Config>,
}

/// The variables that the AWS client library reads by itself.
pub(super) const AWS_VARIABLES: &str = "\
The AWS client reads AWS_REGION, the usual credentials (variables, profile, container, instance), \
and for emulators AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL_SNS and \
AWS_ENDPOINT_URL_DYNAMODB.";

/// The variables of traces, among them those that OpenTelemetry's SDK reads by itself.
pub(super) const TRACE_VARIABLES: &str = "\
Traces are exported over OTLP (http/protobuf) where OTEL_EXPORTER_OTLP_ENDPOINT or \
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set and OTEL_SDK_DISABLED is not true. OpenTelemetry's SDK \
reads the usual variables besides: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, \
OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_* and others.";

/// Consumes until a signal, then drains.
///
/// # Errors
///
/// The configuration is wrong, a service is unreachable at the start, or a port is taken.
pub async fn run(args: RunArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let signals = StopSignals::catch()?;
    let service = Service {
        worker: config.worker.clone(),
        sweeper: (!config.no_sweeper).then(|| config.sweeper.clone()),
        monitoring: config.monitoring.clone(),
    };
    service.run(app::connect(&config, !config.no_sweeper), signals).await?;
    Ok(ExitCode::Done)
}
