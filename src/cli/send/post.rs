//! Posting, and waiting for outcomes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use tokio::time::Instant;

use super::{
    SendArgs, SendCommand,
    counter::{Counter, Posting, caller},
};
use crate::{
    adapters::{
        sqs::{self, SqsQueue},
        system::SystemClock,
    },
    app,
    cli::{ExitCode, Shell},
    domain::{
        Command, Outcome, Rejection, RejectionCode, Reservation, ReservationStatus, Timestamp,
    },
    message::{self, ResultMessage},
    ports::{
        Clock, LedgerKey, LedgerRecord, OutgoingMessage, Queue, Store, Wanted,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
    telemetry::Traces,
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
pub async fn run(args: SendArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    let delivery = args.command.as_ref().map_or(&args.delivery, SendCommand::delivery);
    let config = delivery.settings.load(&*shell.environment)?;
    let traces = Traces::start(&config.traces)?;
    let counter = Counter {
        config: &config.aws,
        delivery,
        traces: traces.as_ref(),
        caller: caller(&*shell.environment),
    };
    let postings = match (&args.command, &args.file) {
        (Some(command), _) => vec![counter.posting_of(command)?],
        (None, Some(file)) => counter.read_file(file)?,
        (None, None) => bail!("nothing to send: name a command or --file"),
    };
    let sdk = app::aws().await;
    let posted = post_all(&sdk, &postings).await;
    if let Some(traces) = &traces {
        traces.flush(TRACES_FLUSH).await;
    }
    posted?;
    match delivery.wait {
        Some(seconds) => {
            let store = app::store(&sdk, &config.aws);
            let within = Duration::from_secs(u64::from(seconds));
            wait(&*store, &postings, within, delivery.json, shell).await
        }
        None => {
            for posting in &postings {
                told_posted(posting, delivery.json, shell)?;
            }
            Ok(ExitCode::Done)
        }
    }
}

fn told_posted(posting: &Posting, json: bool, shell: &Shell) -> std::io::Result<()> {
    let key = &posting.command.key;
    if json {
        let group = posting.group.as_str();
        return shell.out.json(&serde_json::json!({
            "posted": { "source": key.source, "id": key.id, "group": group }
        }));
    }
    let kind = posting.command.action.command_type().as_str();
    shell.out.line(&format!("posted  {kind}  {}  in group {}", key.id, posting.group))
}

async fn post_all(sdk: &SdkConfig, postings: &[Posting]) -> anyhow::Result<()> {
    let mut by_queue: BTreeMap<&str, Vec<&Posting>> = BTreeMap::new();
    for posting in postings {
        by_queue.entry(&posting.queue).or_default().push(posting);
    }
    for (name, postings) in by_queue {
        let queue = SqsQueue::connect(sqs::client(sdk), name)
            .await
            .with_context(|| format!("queue {name} (`bootstrap` creates it)"))?;
        post(&queue, &postings).await?;
    }
    Ok(())
}

async fn post(queue: &dyn Queue, postings: &[&Posting]) -> anyhow::Result<()> {
    let mut batch: Vec<&Posting> = Vec::new();
    let mut bytes = 0;
    for posting in postings {
        let is_full =
            batch.len() == BATCH_ENTRIES_MAX || bytes + posting.bytes() > MESSAGE_BYTES_MAX;
        if is_full {
            send(queue, &std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += posting.bytes();
        batch.push(posting);
    }
    send(queue, &batch).await
}

async fn send(queue: &dyn Queue, batch: &[&Posting]) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let messages: Vec<OutgoingMessage> = batch.iter().map(|posting| posting.message()).collect();
    let spans = || batch.iter().map(|posting| posting.span.as_ref());
    let answers = match queue.send(&messages).await {
        Ok(answers) => answers,
        Err(error) => {
            spans().flatten().for_each(|span| span.failed(&error.to_string()));
            return Err(error.into());
        }
    };
    for (span, answer) in spans().zip(&answers) {
        match (span, answer) {
            (None, _) => {}
            (Some(span), Ok(_)) => span.sent(),
            (Some(span), Err(error)) => span.failed(&error.to_string()),
        }
    }
    for answer in answers {
        answer.context("a command was not taken by the queue: send it again")?;
    }
    Ok(())
}

/// Reads outcomes from the ledger as they come.
async fn wait(
    store: &dyn Store,
    postings: &[Posting],
    within: Duration,
    json: bool,
    shell: &Shell,
) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + within;
    let mut left: Vec<&Posting> = postings.iter().collect();
    let mut code = ExitCode::Done;
    while !left.is_empty() {
        let mut still = Vec::new();
        for posting in left {
            match outcome(store, &posting.command).await? {
                Some((outcome, decided_at)) => {
                    if outcome.rejection().is_some() {
                        code = ExitCode::Rejected;
                    }
                    print(posting, &outcome, decided_at, json, shell)?;
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
    store: &dyn Store,
    command: &Command,
) -> anyhow::Result<Option<(Outcome, Timestamp)>> {
    let key = LedgerKey::Command(command.key.clone());
    let wanted = Wanted { ledger: [key.clone()].into(), ..Wanted::default() };
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
    posting: &Posting,
    outcome: &Outcome,
    decided_at: Timestamp,
    json: bool,
    shell: &Shell,
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
        return shell.out.line(&result.body);
    }
    let style = shell.out.style();
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
    shell.out.line(&format!("{}  {}", command.key.id, line.trim_end()))
}

/// Until when a hold lasts, or which booking it became.
fn until_or_for(reservation: &Reservation) -> String {
    match (reservation.status, &reservation.booking_id) {
        (ReservationStatus::Active, _) => format!("held until {}", reservation.expires_at),
        (ReservationStatus::Confirmed, Some(booking_id)) => format!("booking {booking_id}"),
        _ => String::new(),
    }
}
