//! Posting commands, and waiting for outcomes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    time::Duration,
};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;

use super::{
    SendArgs, SendCommand,
    again::again,
    command_builder::{CommandBuilder, RoutedCommand, caller},
    skipped::skipped_names,
};
use crate::{
    adapters::{sqs, system::SystemClock},
    app,
    cli::{CliContext, ExitCode},
    client::{
        DecidedOutcome, LedgerOutcome, LedgerPolling, LedgerWait, LedgerWaitError, PreparedCommand,
        join_messages, joinable, message_bytes,
    },
    domain::{
        Changes, Outcome, Rejection, RejectionCode, Reservation, ReservationStatus, RestockSummary,
        Timestamp,
    },
    message::{self, ResultMessage},
    ports::{
        Clock, OutgoingMessage, Queue, ReadStore,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
    telemetry::{Traces, traces::ProducerSpan},
    terminal::{counted, progress},
};

/// How long the spans of what was sent may take to be exported.
const TRACES_FLUSH: Duration = Duration::from_secs(5);

/// How often the ledger is polled for outcomes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Posts, and with `--wait` waits for the outcomes. `arguments` is the whole command line, which is
/// shown where outcomes do not arrive.
///
/// # Errors
///
/// The configuration or a command is wrong, or a service is unreachable or refuses.
pub async fn run(
    args: SendArgs,
    arguments: &[OsString],
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    let delivery = args.command.as_ref().map_or(&args.delivery, SendCommand::delivery);
    let config = delivery.settings.load(&*context.environment)?;
    let traces = Traces::start(&config.traces)?;
    let builder = CommandBuilder {
        config: &config.aws,
        delivery,
        traces: traces.as_ref(),
        caller: caller(&*context.environment),
    };
    let commands = match (&args.command, &args.file) {
        (Some(command), _) => vec![builder.prepare(command)?],
        (None, Some(file)) => builder.read_file(file)?,
        (None, None) => bail!("nothing to send: name a command or --file"),
    };
    let sdk = app::aws().await?;
    let bar = progress::spinner(&context.errors)?;
    let client = sqs::client(&sdk);
    let endpoints = &config.aws.endpoints;
    let connect = async |name: &str| app::connect_queue(&client, endpoints, name).await;
    let mut done = 0;
    let messages = messages(&commands, args.batch.map_or(1, usize::from));
    let posted = post_all(connect, &messages, |command| {
        done += 1;
        bar.set_message(format!("{done} of {} posted", commands.len()));
        match delivery.wait {
            // The outcome is printed instead.
            Some(_) => Ok(()),
            None => bar.suspend(|| print_posted(&command.command, delivery.format.json, context)),
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
            let json = delivery.format.json;
            let report = |decided: &Reported<'_>| bar.suspend(|| print(decided, json, context));
            let waited = wait(&*store, &commands, within, &bar, report).await;
            bar.finish_and_clear();
            // A command of a file has its id there.
            let made = args.command.as_ref().and(commands.first());
            let made = made.map(|routed| &routed.command.command.key.id);
            let again = again(arguments, made);
            waited.map_err(|error| unwrapped(error, &again, json, context))
        }
    };
    bar.finish_and_clear();
    ended
}

fn print_posted(posted: &PreparedCommand, json: bool, context: &CliContext) -> std::io::Result<()> {
    let key = &posted.command.key;
    if json {
        let group = posted.group.as_str();
        return context.out.json(&serde_json::json!({
            "posted": { "source": key.source, "id": key.id, "group": group }
        }));
    }
    let kind = posted.command.action.command_type().as_str();
    context.out.line(&format!("posted  {kind}  {}  in group {}", key.id, posted.group))
}

/// Posts in the order given, across queues, and reports each command that is posted. Stops at one
/// that is not taken; of those behind it, other groups' commands in the same call may be posted.
async fn post_all<Q: Queue>(
    connect: impl AsyncFn(&str) -> anyhow::Result<Q>,
    messages: &[Message<'_>],
    mut posted: impl FnMut(&RoutedCommand) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut queues: BTreeMap<&str, Q> = BTreeMap::new();
    // All of them first: where one is missing, nothing is posted to another.
    for name in messages.iter().map(|message| message.queue) {
        if !queues.contains_key(name) {
            queues.insert(name, connect(name).await?);
        }
    }
    for batch in batches(messages) {
        let queue = batch.first().and_then(|first| queues.get(first.queue));
        send(queue.context("a queue for every command")?, batch, &mut posted).await?;
    }
    Ok(())
}

/// A message, and the commands in it.
struct Message<'a> {
    commands: &'a [RoutedCommand],
    queue: &'a str,
    message: OutgoingMessage,
}

/// The commands in messages, in order: up to `most` that follow one another share one, if they are
/// of one group and queue.
fn messages(commands: &[RoutedCommand], most: usize) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    let mut rest = commands;
    while let Some(first) = rest.first() {
        let queue = first.queue.as_str();
        let alone: Vec<_> = rest
            .iter()
            .take(most)
            .take_while(|routed| routed.queue == queue)
            .map(|routed| routed.command.message())
            .collect();
        let together = joinable(alone.iter(), most);
        let alone: Vec<_> = alone.iter().take(together).collect();
        let Some(message) = join_messages(&alone) else { break };
        let (commands, others) = rest.split_at_checked(together).unwrap_or((rest, &[]));
        messages.push(Message { commands, queue, message });
        rest = others;
    }
    messages
}

/// Messages that follow one another and may share a call: of one queue, within what a call takes,
/// and of different groups, because entries behind a failed one of the same call may be taken.
fn batches<'a, 'b>(messages: &'b [Message<'a>]) -> Vec<&'b [Message<'a>]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes, mut groups) = (0, 0, BTreeSet::new());
    for (place, message) in messages.iter().enumerate() {
        let batch = messages.get(start..place).unwrap_or_default();
        let (group, size) = (&message.message.group, message_bytes(&message.message));
        let is_over = batch.len() == BATCH_ENTRIES_MAX
            || bytes + size > MESSAGE_BYTES_MAX
            || groups.contains(group)
            || batch.first().is_some_and(|first| first.queue != message.queue);
        if is_over && !batch.is_empty() {
            batches.push(batch);
            (start, bytes) = (place, 0);
            groups.clear();
        }
        bytes += size;
        groups.insert(group);
    }
    batches.extend(messages.get(start..).filter(|batch| !batch.is_empty()));
    batches
}

async fn send(
    queue: &dyn Queue,
    batch: &[Message<'_>],
    posted: &mut impl FnMut(&RoutedCommand) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let spans = |message: &Message<'_>, report: &dyn Fn(&ProducerSpan)| {
        message.commands.iter().filter_map(|routed| routed.span.as_ref()).for_each(report);
    };
    let messages: Vec<OutgoingMessage> =
        batch.iter().map(|message| message.message.clone()).collect();
    let answers = match queue.send(&messages).await {
        Ok(answers) => answers,
        Err(error) => {
            let failed = |span: &ProducerSpan| span.failed(&error.to_string());
            batch.iter().for_each(|message| spans(message, &failed));
            return Err(error.into());
        }
    };
    let mut refused = Ok(());
    for (message, answer) in batch.iter().zip(answers) {
        match answer {
            Ok(_) => {
                spans(message, &ProducerSpan::sent);
                message.commands.iter().try_for_each(&mut *posted)?;
            }
            Err(error) => {
                spans(message, &|span| span.failed(&error.to_string()));
                let what = || {
                    format!(
                        "{}, not taken by queue {}; nothing after it was posted, but for \
                         commands of other groups in the same call. Send all of it again: what \
                         was posted takes effect once",
                        named(message.commands),
                        message.queue
                    )
                };
                refused = refused.and(Err(error).with_context(what));
            }
        }
    }
    refused
}

/// The commands of a message, by the first.
fn named(commands: &[RoutedCommand]) -> String {
    let Some(first) = commands.first() else { return String::new() };
    let id = &first.command.command.key.id;
    match commands.len() - 1 {
        0 => format!("command {id}"),
        more => format!("command {id} and {more} more of its message"),
    }
}

/// A command, its outcome, and the names of what a restock skipped, for people.
struct Reported<'a> {
    prepared: &'a PreparedCommand,
    decided: &'a DecidedOutcome,
    skipped: &'a [String],
}

/// Reports outcomes as they enter the ledger.
async fn wait(
    store: &dyn ReadStore,
    commands: &[RoutedCommand],
    within: Duration,
    bar: &ProgressBar,
    mut report: impl FnMut(&Reported<'_>) -> std::io::Result<()>,
) -> Result<ExitCode, NotWaited> {
    let awaited = commands.iter().map(|routed| &routed.command.command);
    let polling = LedgerPolling { interval: POLL_INTERVAL, within };
    let mut wait = LedgerWait::new(store, awaited, polling);
    let mut code = ExitCode::Done;
    while wait.pending() > 0 {
        bar.set_message(format!("{} without an outcome yet", wait.pending()));
        for (place, outcome) in wait.next().await? {
            let decided = match outcome {
                LedgerOutcome::Decided(decided) => *decided,
                LedgerOutcome::IdReused => id_reused(SystemClock.now()),
            };
            if decided.outcome.rejection().is_some() {
                code = ExitCode::Rejected;
            }
            if let Some(routed) = commands.get(place) {
                let prepared = &routed.command;
                let skipped = match &decided.outcome {
                    Outcome::Restocked { restock, .. } => {
                        skipped_names(store, &prepared.command.pool, restock).await
                    }
                    _ => Vec::new(),
                };
                report(&Reported { prepared, decided: &decided, skipped: &skipped })?;
            }
        }
    }
    Ok(code)
}

/// Why outcomes were not waited for to the end.
#[derive(Debug, thiserror::Error)]
enum NotWaited {
    #[error(transparent)]
    Wait(#[from] LedgerWaitError),
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// The error that ends the command. A failed read decides the exit code, as the port reports it.
/// Commands without an outcome are named, with the line that waits for them once more.
fn unwrapped(error: NotWaited, again: &str, json: bool, context: &CliContext) -> anyhow::Error {
    let error = match error {
        NotWaited::Output(error) => return error.into(),
        NotWaited::Wait(error) => error,
    };
    if let Err(error) = print_pending(&error, again, json, context) {
        return error.into();
    }
    match error {
        LedgerWaitError::Read { error, .. } => {
            let what = "the commands are posted; their outcomes cannot be read";
            anyhow::Error::new(error).context(format!("{what}. Again:\n  {again}\n"))
        }
        error @ LedgerWaitError::DeadlinePassed { .. } => anyhow::anyhow!(
            "{error}. Is a worker running? `inventory-worker health --ready` beside it says so. \
             What is posted waits in its queue. The same line again waits on, and takes effect \
             once:\n  {again}"
        ),
    }
}

/// A line for each command without an outcome.
fn print_pending(
    error: &LedgerWaitError,
    again: &str,
    json: bool,
    context: &CliContext,
) -> std::io::Result<()> {
    let (pending, what) = match error {
        LedgerWaitError::DeadlinePassed { pending, .. } => (pending, "no outcome yet"),
        LedgerWaitError::Read { pending, .. } => (pending, "the outcome is not known"),
    };
    for key in pending {
        if !json {
            context.out.line(&format!("{}  {what}", key.id))?;
            continue;
        }
        let pending = serde_json::json!({ "source": key.source, "id": key.id });
        context.out.json(&match error {
            LedgerWaitError::DeadlinePassed { within, .. } => serde_json::json!({
                "pending": pending, "waited_seconds": within.as_secs(), "again": again
            }),
            LedgerWaitError::Read { error, .. } => serde_json::json!({
                "pending": pending, "error": error.to_string(), "again": again
            }),
        })?;
    }
    Ok(())
}

/// The outcome that the worker publishes; the ledger keeps the first command's.
fn id_reused(decided_at: Timestamp) -> DecidedOutcome {
    let message = "another command came under the same source and id before";
    let rejection = Rejection::new(RejectionCode::CommandIdReused, message);
    let outcome = Outcome::Rejected { rejection };
    DecidedOutcome { outcome, changes: Changes::NONE, decided_at }
}

fn print(reported: &Reported<'_>, json: bool, context: &CliContext) -> std::io::Result<()> {
    let Reported { prepared, decided, skipped } = reported;
    let command = &prepared.command;
    let DecidedOutcome { outcome, changes, decided_at } = decided;
    if json {
        let result = message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command.action.command_type().as_str(),
            sequence: None,
            group: &prepared.group,
            pool: Some(&command.pool),
            outcome,
            changes,
            decided_at: *decided_at,
            message_digest: command.digest,
            traceparent: None,
        });
        return context.out.line(&result.body);
    }
    let style = context.out.style();
    let line = match outcome {
        Outcome::Rejected { rejection } => {
            let named = rejection.seats.iter().map(ToString::to_string);
            let lines = rejection.lines.iter().map(ToString::to_string);
            let offenders: Vec<String> = named.chain(lines).collect();
            let code = style.bad(rejection.code.as_str());
            format!("{code}\n  {}{}", rejection.message, listed(&offenders))
        }
        Outcome::Restocked { restock, .. } => {
            format!("{}  {}", style.good("restocked"), restocked(restock, skipped))
        }
        Outcome::Reserved { reservation }
        | Outcome::Extended { reservation }
        | Outcome::Modified { reservation }
        | Outcome::Confirmed { reservation }
        | Outcome::Fulfilled { reservation }
        | Outcome::Cancelled { reservation, .. }
        | Outcome::Expired { reservation } => {
            let status = style.good(reservation.status.as_str());
            let about = format!("{status}  {}", until_or_for(reservation));
            format!("{}\n  reservation {}", about.trim_end(), reservation.reservation_id)
        }
    };
    context.out.line(&format!("{}  {line}", command.key.id))
}

/// The most names after a sentence: with more, a command has a list of them in `--json`.
pub(super) const NAMES_MAX: usize = 10;

/// The names after a sentence that counts them.
pub(in crate::cli) fn listed(names: &[String]) -> String {
    let shown = names.get(..names.len().min(NAMES_MAX)).unwrap_or_default().join(", ");
    match names.len() {
        0 => String::new(),
        many if many > NAMES_MAX => format!(": {shown} and {} more", many - NAMES_MAX),
        _ => format!(": {shown}"),
    }
}

/// What a restock did: `6 seats`, `1 line; 1 seat left unchanged: A-1 (BOOKED)`.
fn restocked(restock: &RestockSummary, skipped: &[String]) -> String {
    let of = |seats: u64, lines: u64| {
        let both = [(seats, "seat"), (lines, "line")];
        let some = both.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some.map(|(count, noun)| counted(count, noun)).collect();
        (!words.is_empty()).then(|| words.join(" and "))
    };
    let applied = of(restock.seats_applied, restock.lines_applied);
    let applied = applied.unwrap_or_else(|| "nothing".to_owned());
    match of(restock.seats_skipped, restock.lines_skipped) {
        None => applied,
        Some(count) => format!("{applied}; {count} left unchanged{}", listed(skipped)),
    }
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
