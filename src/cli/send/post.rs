//! Posting, and waiting for outcomes.

use std::{collections::BTreeMap, io::Read as _, path::Path, time::Duration};

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::{DeliveryArgs, SendArgs, SendCommand};
use crate::{
    adapters::{
        sqs::{self, SqsQueue},
        system::{Random, SystemClock},
    },
    app,
    cli::{ExitCode, Shell},
    config::AwsConfig,
    domain::{
        Action, Command, CommandKey, GroupId, Outcome, Rejection, RejectionCode, Reservation,
        ReservationStatus, Timestamp,
    },
    message::{self, OutgoingCommand, ResultMessage},
    ports::{
        Clock, Entropy, LedgerKey, LedgerRecord, OutgoingMessage, Queue, Store, Wanted,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
};

/// How often the ledger is asked for outcomes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A command on its way, checked as the worker will check it.
struct Posting {
    command: Command,
    group: GroupId,
    body: String,
}

/// Posts, and waits for the outcome where asked to.
///
/// # Errors
///
/// Where the configuration or a command is wrong, or a service is unreachable or refuses.
pub async fn run(args: SendArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    let delivery = args.command.as_ref().map_or(&args.delivery, SendCommand::delivery);
    let config = delivery.settings.load(&*shell.environment)?;
    let postings = match (&args.command, &args.file) {
        (Some(command), _) => vec![posting_of(command)?],
        (None, Some(file)) => read_file(file)?,
        (None, None) => bail!("nothing to send: name a command or --file"),
    };
    let sdk = app::aws().await;
    let mut by_queue: BTreeMap<String, Vec<&Posting>> = BTreeMap::new();
    for posting in &postings {
        by_queue.entry(queue_for(&config, delivery, posting)).or_default().push(posting);
    }
    for (name, postings) in by_queue {
        let queue = SqsQueue::connect(sqs::client(&sdk), &name)
            .await
            .with_context(|| format!("queue {name} (`bootstrap` creates it)"))?;
        post(&queue, &postings).await?;
    }
    match delivery.wait {
        Some(seconds) => {
            let store = app::store(&sdk, &config);
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

fn posting_of(command: &SendCommand) -> anyhow::Result<Posting> {
    let address = command.address();
    let pool = address.pool().context("name a pool: --event or --store")?;
    let id = match &address.id {
        Some(id) => id.clone(),
        None => Random::new().uuid().to_string().parse()?,
    };
    let key = CommandKey { source: address.source.clone(), id };
    let action = command.action(key.default_reservation_id());
    let group = address.group.clone().unwrap_or_else(|| message::default_group(&pool, &action));
    let time = SystemClock.now();
    let outgoing = OutgoingCommand { key, time, pool, action, traceparent: None };
    checked(message::encode_command(&outgoing), Some(group))
}

/// Reads the body as the worker will.
fn checked(body: String, group: Option<GroupId>) -> anyhow::Result<Posting> {
    let command = match message::decode(&body) {
        Ok(decoded) => decoded.command,
        Err(refused) => bail!("{}: {}", refused.rejection.code.as_str(), refused.rejection.message),
    };
    let group = group.unwrap_or_else(|| message::default_group(&command.pool, &command.action));
    Ok(Posting { command, group, body })
}

/// Every line, or none where one of them is wrong.
fn read_file(path: &Path) -> anyhow::Result<Vec<Posting>> {
    let shown = path.display();
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| format!("{shown}"))?
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            checked(line.to_owned(), None)
                .with_context(|| format!("{shown}, line {}: nothing was sent", index + 1))
        })
        .collect()
}

/// Restocks go to the second queue where there is one, so that they never delay a sale.
fn queue_for(config: &AwsConfig, delivery: &DeliveryArgs, posting: &Posting) -> String {
    let is_restock = matches!(posting.command.action, Action::Restock(_));
    let second = config.queues.get(1).filter(|_| is_restock);
    let default = second.or(config.queues.first()).map(|queue| queue.as_str().to_owned());
    delivery.queue.clone().or(default).unwrap_or_default()
}

async fn post(queue: &dyn Queue, postings: &[&Posting]) -> anyhow::Result<()> {
    let mut batch: Vec<OutgoingMessage> = Vec::new();
    let mut bytes = 0;
    for posting in postings {
        let is_full =
            batch.len() == BATCH_ENTRIES_MAX || bytes + posting.body.len() > MESSAGE_BYTES_MAX;
        if is_full {
            send(queue, &std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += posting.body.len();
        batch.push(OutgoingMessage {
            group: posting.group.clone(),
            body: posting.body.clone(),
            deduplication_id: None,
            attributes: BTreeMap::new(),
        });
    }
    send(queue, &batch).await
}

async fn send(queue: &dyn Queue, batch: &[OutgoingMessage]) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    for answer in queue.send(batch).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_wrong_line_says_which_and_sends_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","data":{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}"#;
        std::fs::write(file.path(), format!("{good}\n\n{{}}\n")).unwrap();
        let error = read_file(file.path()).err().unwrap();
        assert!(format!("{error:#}").contains("line 3"), "{error:#}");
        std::fs::write(file.path(), format!("{good}\n{good}\n")).unwrap();
        assert_eq!(read_file(file.path()).unwrap().len(), 2);
    }
}
