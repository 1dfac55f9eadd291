//! `seats`: an event's house, drawn in the terminal.

mod draw;
mod natural;

use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{CliContext, ExitCode, OutputFormat, parsers::whole, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    config::{AwsConfig, Flags},
    domain::{PoolId, Timestamp, ids::EVENT_ID_MAX},
    gateway::{
        queries::SeatInfo,
        view::{Availability, Content, PoolView, read_pool},
    },
    ports::{Clock, ScanStore},
    terminal::progress,
};

/// Arguments of `seats`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct SeatsArgs {
    /// The event's id
    #[arg(value_name = "EVENT", value_parser = whole::<u64>(0..=EVENT_ID_MAX))]
    pub event: u64,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads an event's seats from the tables, and draws them.
///
/// # Errors
///
/// There are no seats, the configuration is wrong, or the tables cannot be read.
pub async fn run(args: SeatsArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let store: Arc<dyn ScanStore> = app::store(&app::aws().await?, &config);
    show(&*store, &SystemClock, args.event, args.format, context).await
}

async fn show(
    store: &dyn ScanStore,
    clock: &dyn Clock,
    event_id: u64,
    format: OutputFormat,
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    let as_of = clock.now();
    let bar = progress::spinner(&context.errors)?;
    bar.set_message("reading seats");
    let content = read_pool(store, &PoolId::Event(event_id), usize::MAX).await;
    bar.finish_and_clear();
    let view = match content? {
        Content::View(view) if !view.layout().is_empty() => view,
        _ => bail!("event {event_id} has no seats"),
    };
    let now = clock.now();
    let availability = Availability::of(&view, now);
    let house =
        House { event_id, seats: seats(&view, now), availability: &availability, as_of, now };
    format.print(context, &house, || {
        context.out.write(&draw::house(&view, &availability, now, context.out.style()))
    })?;
    Ok(ExitCode::Done)
}

fn seats(view: &PoolView, now: Timestamp) -> Vec<SeatInfo> {
    let seats = view.seats().iter().enumerate();
    seats
        .filter_map(|(position, entry)| {
            Some(SeatInfo::packed(view.layout().place(position)?, entry, now))
        })
        .collect()
}

/// What `--json` prints.
#[derive(Serialize)]
struct House<'a> {
    event_id: u64,
    seats: Vec<SeatInfo>,
    #[serde(flatten)]
    availability: &'a Availability,
    as_of: Timestamp,
    now: Timestamp,
}

#[cfg(test)]
mod tests;
