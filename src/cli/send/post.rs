//! PreparedCommand, and waiting for outcomes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::{
    SendArgs, SendCommand,
    command_builder::{CommandBuilder, PreparedCommand, caller},
};
use crate::{
    adapters::{
        sqs::{self, SqsQueue},
        system::SystemClock,
    },
    app,
    cli::{CliContext, ExitCode},
    domain::{
        Command, Outcome, Rejection, RejectionCode, Reservation, ReservationStatus, Timestamp,
    },
    message::{self, ResultMessage},
    ports::{
        Clock, LedgerKey, LedgerRecord, LoadRequest, OutgoingMessage, Queue, ReadStore,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
    telemetry::{Traces, traces::Sending},
    terminal::progress,
};

/// How long the spans of what was sent may take to be exported.
const TRACES_FLUSH: Duration = Duration::from_secs(5);

/// How often the ledger is asked for outcomes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Posts, and waits for the outcome where asked to.
///
/// # Errors
///
/// Where the configuration or a command is wrong, or a service is unreachable or refuses.
pub async fn run(args: SendArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let delivery = args.command.as_ref().map_or(&args.delivery, SendCommand::delivery);
    let config = delivery.settings.load(&*context.environment)?;
    let traces = Traces::start(&config.traces)?;
    let counter = CommandBuilder {
        config: &config.aws,
        delivery,
        traces: traces.as_ref(),
        caller: caller(&*context.environment),
    };
    let postings = match (&args.command, &args.file) {
        (Some(command), _) => vec![counter.posting_of(command)?],
        (None, Some(file)) => counter.read_file(file)?,
        (None, None) => bail!("nothing to send: name a command or --file"),
    };
    let sdk = app::aws().await;
    let bar = progress::spinner(&context.errors)?;
    let connect = async |name: &str| {
        let queue = SqsQueue::connect(sqs::client(&sdk), name).await;
        queue.with_context(|| format!("queue {name} (`bootstrap` creates it)"))
    };
    let mut done = 0;
    let posted = post_all(connect, &postings, |posting| {
        done += 1;
        bar.set_message(format!("{done} of {} posted", postings.len()));
        match delivery.wait {
            // The outcome tells.
            Some(_) => Ok(()),
            None => bar.suspend(|| told_posted(posting, delivery.json, context)),
        }
    });
    let posted = posted.await;
    if let Some(traces) = &traces {
        traces.flush(TRACES_FLUSH).await;
    }
    let ended = match (posted, delivery.wait) {
        (Err(error), _) => Err(error),
        (Ok(()), None) => Ok(ExitCode::Done),
        (Ok(()), Some(seconds)) => {
            let store = app::store(&sdk, &config.aws);
            let within = Duration::from_secs(u64::from(seconds));
            wait(&*store, &postings, within, delivery.json, context, &bar).await
        }
    };
    bar.finish_and_clear();
    ended
}

fn told_posted(posting: &PreparedCommand, json: bool, context: &CliContext) -> std::io::Result<()> {
    let key = &posting.command.key;
    if json {
        let group = posting.group.as_str();
        return context.out.json(&serde_json::json!({
            "posted": { "source": key.source, "id": key.id, "group": group }
        }));
    }
    let kind = posting.command.action.command_type().as_str();
    context.out.line(&format!("posted  {kind}  {}  in group {}", key.id, posting.group))
}

/// Posts in the order given, whatever the queues, and tells of each that is posted. Where one is
/// not, neither is anything that follows it, but for commands of other groups in the same call.
async fn post_all<Q: Queue>(
    connect: impl AsyncFn(&str) -> anyhow::Result<Q>,
    postings: &[PreparedCommand],
    mut posted: impl FnMut(&PreparedCommand) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut queues: BTreeMap<&str, Q> = BTreeMap::new();
    // All of them first: where one is missing, nothing is posted to another.
    for name in postings.iter().map(|posting| posting.queue.as_str()) {
        if !queues.contains_key(name) {
            queues.insert(name, connect(name).await?);
        }
    }
    for batch in batches(postings) {
        let queue = batch.first().and_then(|first| queues.get(first.queue.as_str()));
        send(queue.context("a queue for every command")?, batch, &mut posted).await?;
    }
    Ok(())
}

/// Postings that follow one another and may share a call: of one queue, within what a call takes,
/// and of different groups, for in a call what comes after a failed entry may be in the queue
/// before it.
fn batches(postings: &[PreparedCommand]) -> Vec<&[PreparedCommand]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes, mut groups) = (0, 0, BTreeSet::new());
    for (place, posting) in postings.iter().enumerate() {
        let batch = postings.get(start..place).unwrap_or_default();
        let is_over = batch.len() == BATCH_ENTRIES_MAX
            || bytes + posting.bytes() > MESSAGE_BYTES_MAX
            || groups.contains(&posting.group)
            || batch.first().is_some_and(|first| first.queue != posting.queue);
        if is_over && !batch.is_empty() {
            batches.push(batch);
            (start, bytes) = (place, 0);
            groups.clear();
        }
        bytes += posting.bytes();
        groups.insert(&posting.group);
    }
    batches.extend(postings.get(start..).filter(|batch| !batch.is_empty()));
    batches
}

async fn send(
    queue: &dyn Queue,
    batch: &[PreparedCommand],
    posted: &mut impl FnMut(&PreparedCommand) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let messages: Vec<OutgoingMessage> = batch.iter().map(PreparedCommand::message).collect();
    let answers = match queue.send(&messages).await {
        Ok(answers) => answers,
        Err(error) => {
            let spans = batch.iter().filter_map(|posting| posting.span.as_ref());
            spans.for_each(|span| span.failed(&error.to_string()));
            return Err(error.into());
        }
    };
    let mut refused = Ok(());
    for (posting, answer) in batch.iter().zip(answers) {
        match answer {
            Ok(_) => {
                posting.span.iter().for_each(Sending::sent);
                posted(posting)?;
            }
            Err(error) => {
                posting.span.iter().for_each(|span| span.failed(&error.to_string()));
                let what = || {
                    format!(
                        "command {}, not taken by queue {}; nothing after it was posted, but for \
                         commands of other groups in the same call. Send all of it again: what \
                         was posted takes effect once",
                        posting.command.key.id, posting.queue
                    )
                };
                refused = refused.and(Err(error).with_context(what));
            }
        }
    }
    refused
}

/// Reads outcomes from the ledger as they come.
async fn wait(
    store: &dyn ReadStore,
    postings: &[PreparedCommand],
    within: Duration,
    json: bool,
    context: &CliContext,
    bar: &ProgressBar,
) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + within;
    let mut left: Vec<&PreparedCommand> = postings.iter().collect();
    let mut code = ExitCode::Done;
    while !left.is_empty() {
        bar.set_message(format!("{} without an outcome yet", left.len()));
        let mut still = Vec::new();
        for posting in left {
            match outcome(store, &posting.command).await? {
                Some((outcome, decided_at)) => {
                    if outcome.rejection().is_some() {
                        code = ExitCode::Rejected;
                    }
                    bar.suspend(|| print(posting, &outcome, decided_at, json, context))?;
                }
                None => still.push(posting),
            }
        }
        left = still;
        if !left.is_empty() {
            if Instant::now() >= deadline {
                bail!("{} commands without an outcome after {} s", left.len(), within.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(code)
}

async fn outcome(
    store: &dyn ReadStore,
    command: &Command,
) -> anyhow::Result<Option<(Outcome, Timestamp)>> {
    let key = LedgerKey::Command(command.key.clone());
    let wanted = LoadRequest { ledger: [key.clone()].into(), ..LoadRequest::default() };
    let mut loaded = store.load(&wanted).await?;
    let Some(record) = loaded.ledger.remove(&key).flatten() else { return Ok(None) };
    if record.digest() != command.digest {
        let what = "another command came under the same source and id before";
        let rejection = Rejection::new(RejectionCode::CommandIdReused, what);
        return Ok(Some((Outcome::Rejected { rejection }, SystemClock.now())));
    }
    match record {
        LedgerRecord::Outcome { outcome, decided_at, .. } => Ok(Some((outcome, decided_at))),
        LedgerRecord::Intent { .. } | LedgerRecord::Chunk { .. } => Ok(None),
    }
}

fn print(
    posting: &PreparedCommand,
    outcome: &Outcome,
    decided_at: Timestamp,
    json: bool,
    context: &CliContext,
) -> std::io::Result<()> {
    let command = &posting.command;
    if json {
        let result = message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command.action.command_type().as_str(),
            sequence: None,
            group: &posting.group,
            pool: Some(&command.pool),
            outcome,
            decided_at,
            message_digest: command.digest,
            traceparent: None,
        });
        return context.out.line(&result.body);
    }
    let style = context.out.style();
    let line = match outcome {
        Outcome::Rejected { rejection } => {
            let named = rejection.seats.iter().map(ToString::to_string);
            let short = rejection
                .lines
                .iter()
                .map(|line| format!("{} ({} of {})", line.sku, line.available, line.requested));
            let offenders: Vec<String> = named.chain(short).collect();
            let code = style.bad(rejection.code.as_str());
            format!("{code}  {}  {}", rejection.message, offenders.join(", "))
        }
        Outcome::Restocked { restock } => format!(
            "{}  {} seats and {} lines, {} and {} left alone",
            style.good("restocked"),
            restock.seats_applied,
            restock.lines_applied,
            restock.seats_skipped,
            restock.lines_skipped
        ),
        Outcome::Reserved { reservation }
        | Outcome::Confirmed { reservation }
        | Outcome::Cancelled { reservation, .. }
        | Outcome::Expired { reservation } => format!(
            "{}  {}  {}",
            style.good(reservation.status.as_str()),
            reservation.reservation_id,
            until_or_for(reservation)
        ),
    };
    context.out.line(&format!("{}  {}", command.key.id, line.trim_end()))
}

/// Until when a hold lasts, or which booking it became.
fn until_or_for(reservation: &Reservation) -> String {
    match (reservation.status, &reservation.booking_id) {
        (ReservationStatus::Active, _) => format!("held until {}", reservation.expires_at),
        (ReservationStatus::Confirmed, Some(booking_id)) => format!("booking {booking_id}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
