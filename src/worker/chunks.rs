//! A restock that does not fit one transaction: an intent, parallel chunks, an outcome.
//!
//! The intent fixes the chunks' boundaries, so that a redelivery, or another release of the worker,
//! resumes with the chunks that have no marker. Each chunk is a transaction of its entries and its
//! marker: it is applied once, however many workers try. Chunks take no locks; version conditions
//! make them safe.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    WorkerContext,
    decided::{self, Decided, Leased},
    failure::Failure,
    loading,
    plan::{self, DecidedCommand},
};
use crate::{
    decide::{self, Change, DecideError, InapplicableLine, RestockEntries, State},
    domain::{
        Action, Changes, Command, CommandType, Outcome, PoolId, Rejection, Restock, RestockSummary,
        Timestamp,
    },
    ports::{
        CommitError, LedgerKey, LedgerRecord, LoadRequest, ReadStore, Transaction, Write, store,
    },
    retry::Policy,
};

/// The most entries of one transaction: its items minus the ledger entry or marker.
pub(super) const CHUNK_ENTRIES_MAX: usize = store::TRANSACTION_ITEMS_MAX - 1;

/// A restock that needs chunks.
#[derive(Clone, Copy)]
pub(super) struct Chunked<'a> {
    leased: &'a Leased<'a>,
    command: &'a Command,
    restock: &'a Restock,
}

impl<'a> Chunked<'a> {
    /// Wraps the command if it needs chunks.
    pub(super) fn of(leased: &'a Leased<'a>) -> Option<Self> {
        match &leased.command.action {
            Action::Restock(restock) if restock.entries() > CHUNK_ENTRIES_MAX => {
                Some(Self { leased, command: leased.command, restock })
            }
            _ => None,
        }
    }

    fn key(&self) -> LedgerKey {
        LedgerKey::Command(self.command.key.clone())
    }

    fn marker(&self, index: u32) -> LedgerKey {
        LedgerKey::Chunk(self.command.key.clone(), index)
    }

    /// The summary of a marker, if it has this content and belongs to the intent begun at `begun`.
    /// A marker of an earlier restock under the same identity, not yet deleted, does not count.
    fn summary_in(&self, record: LedgerRecord, begun: Timestamp) -> Option<RestockSummary> {
        match record {
            LedgerRecord::Chunk { digest, begun_at, summary, .. }
                if digest == self.command.digest && begun_at == begun =>
            {
                Some(summary)
            }
            _ => None,
        }
    }

    /// The end (exclusive) of each chunk.
    fn chunk_ends(&self) -> Vec<u32> {
        let entries = self.restock.entries();
        (CHUNK_ENTRIES_MAX..entries)
            .step_by(CHUNK_ENTRIES_MAX)
            .chain([entries])
            .filter_map(|end| u32::try_from(end).ok())
            .collect()
    }

    fn outcome_record(&self, outcome: Outcome, changes: Changes, now: Timestamp) -> LedgerRecord {
        LedgerRecord::Outcome {
            digest: self.command.digest,
            command_type: CommandType::Restock,
            pool: self.command.pool.clone(),
            outcome,
            changes,
            decided_at: now,
        }
    }

    fn check_lease(&self, context: &WorkerContext) -> Result<(), Failure> {
        decided::check_leases(context, std::slice::from_ref(self.leased))
    }
}

/// The state of a command in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LedgerStatus {
    /// No entry.
    Unknown,
    /// An intent without an outcome.
    Begun,
    /// An outcome.
    Decided,
}

/// Reads the command's state from the ledger.
pub(super) async fn ledger_status(
    store: &dyn ReadStore,
    command: &Command,
) -> Result<LedgerStatus, Failure> {
    let statuses = ledger_statuses(store, &[command]).await?;
    Ok(statuses.first().copied().unwrap_or(LedgerStatus::Unknown))
}

/// How many of the first commands have an outcome. None if the ledger cannot be read.
pub(super) async fn decided_before(store: &dyn ReadStore, commands: &[&Command]) -> usize {
    let statuses = ledger_statuses(store, commands).await.unwrap_or_default();
    statuses.iter().take_while(|status| **status == LedgerStatus::Decided).count()
}

/// Reads the states of commands, in their order.
async fn ledger_statuses(
    store: &dyn ReadStore,
    commands: &[&Command],
) -> Result<Vec<LedgerStatus>, Failure> {
    let key = |command: &&Command| LedgerKey::Command(command.key.clone());
    let ledger = commands.iter().map(key).collect();
    let loaded = store.load(&LoadRequest { ledger, ..LoadRequest::default() }).await?.ledger;
    let status = |command| match loaded.get(&key(command)).and_then(Option::as_ref) {
        None => LedgerStatus::Unknown,
        Some(LedgerRecord::Outcome { .. }) => LedgerStatus::Decided,
        Some(LedgerRecord::Intent { .. } | LedgerRecord::Chunk { .. }) => LedgerStatus::Begun,
    };
    Ok(commands.iter().map(status).collect())
}

/// Begins or resumes the restock and completes it.
pub(super) async fn commit(
    context: &Arc<WorkerContext>,
    chunked: &Chunked<'_>,
) -> Result<Decided, Failure> {
    let (chunk_ends, begun_at) = match begin(context, chunked).await? {
        IntentState::Known(decided) => return Ok(*decided),
        IntentState::Chunks { chunk_ends, begun_at } => (chunk_ends, begun_at),
    };
    let markers = load_markers(&*context.store, chunked, &chunk_ends, begun_at).await;
    let markers = context.note_load(markers)?;
    let starts = std::iter::once(0).chain(chunk_ends.iter().copied());
    let chunks = starts.zip(chunk_ends.iter().copied()).zip(0_u32..);
    let run = |((start, end), index)| {
        let known = markers.get(&index).cloned();
        let range = usize_of(start)..usize_of(end);
        async move {
            match known {
                Some(summary) => Ok(summary),
                None => apply_chunk(context, chunked, begun_at, index, range).await,
            }
        }
    };
    // In chunk order, so that the summary names skipped entries in the message's order.
    let summaries: Vec<RestockSummary> = stream::iter(chunks.map(run))
        .buffered(context.settings.restock_parallelism.max(1))
        .try_collect()
        .await?;
    finish(context, chunked, begun_at, sum(summaries)).await
}

fn usize_of(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

enum IntentState {
    Known(Box<Decided>),
    Chunks { chunk_ends: Vec<u32>, begun_at: Timestamp },
}

/// Finds the outcome or the intent, or writes the intent.
async fn begin(context: &WorkerContext, chunked: &Chunked<'_>) -> Result<IntentState, Failure> {
    let mut backoff = Policy::CONFLICT.attempts(context.settings.conflict_attempts).start();
    loop {
        chunked.check_lease(context)?;
        let wanted = LoadRequest { ledger: [chunked.key()].into(), ..LoadRequest::default() };
        let loaded = context.store.load(&wanted).await.map_err(Failure::from);
        let mut loaded = context.note_load(loaded)?;
        let now = context.clock.now();
        match loaded.ledger.remove(&chunked.key()).flatten() {
            Some(LedgerRecord::Intent { digest, chunk_ends, decided_at: begun_at })
                if digest == chunked.command.digest =>
            {
                return Ok(IntentState::Chunks { chunk_ends, begun_at });
            }
            Some(record) => {
                return decided::found_in_ledger(chunked.command, &record, now)
                    .map(|decided| IntentState::Known(Box::new(decided)));
            }
            None => {}
        }
        let first = first_entry(context, chunked, now)?;
        let entry =
            single(Write::Ledger { key: chunked.key(), record: first.record(chunked, now) });
        chunked.check_lease(context)?;
        match commit_once(context, &entry).await? {
            Applied::Yes => return Ok(first.into_state(now)),
            Applied::Conflict(what) => {
                if !backoff.wait(&*context.entropy).await {
                    return Err(Failure::Contention(format!("conflicts without end: {what}")));
                }
            }
        }
    }
}

/// The first ledger entry of a restock.
enum FirstEntry {
    Intent { chunk_ends: Vec<u32> },
    Rejected(Rejection),
}

impl FirstEntry {
    fn record(&self, chunked: &Chunked<'_>, now: Timestamp) -> LedgerRecord {
        match self {
            Self::Intent { chunk_ends } => LedgerRecord::Intent {
                digest: chunked.command.digest,
                chunk_ends: chunk_ends.clone(),
                decided_at: now,
            },
            Self::Rejected(rejection) => {
                let outcome = Outcome::Rejected { rejection: rejection.clone() };
                chunked.outcome_record(outcome, Changes::NONE, now)
            }
        }
    }

    fn into_state(self, now: Timestamp) -> IntentState {
        match self {
            Self::Intent { chunk_ends } => IntentState::Chunks { chunk_ends, begun_at: now },
            Self::Rejected(rejection) => {
                let decided = Decided::unrecorded(Outcome::Rejected { rejection }, now);
                IntentState::Known(Box::new(decided))
            }
        }
    }
}

/// Checks what forbids the whole restock before its first chunk.
fn first_entry(
    context: &WorkerContext,
    chunked: &Chunked<'_>,
    now: Timestamp,
) -> Result<FirstEntry, Failure> {
    let limits = &context.settings.limits;
    match decide::check_before(chunked.command, chunked.restock, limits, now) {
        Ok(()) => Ok(FirstEntry::Intent { chunk_ends: chunked.chunk_ends() }),
        Err(DecideError::Rejected(rejection)) => Ok(FirstEntry::Rejected(rejection)),
        Err(error) => Err(error.into()),
    }
}

async fn load_markers(
    store: &dyn ReadStore,
    chunked: &Chunked<'_>,
    chunk_ends: &[u32],
    begun_at: Timestamp,
) -> Result<BTreeMap<u32, RestockSummary>, Failure> {
    let keys = (0_u32..).zip(chunk_ends).map(|(index, _)| chunked.marker(index));
    let wanted = LoadRequest { ledger: keys.collect(), ..LoadRequest::default() };
    let loaded = store.load(&wanted).await?;
    Ok(loaded
        .ledger
        .into_iter()
        .filter_map(|(key, record)| match key {
            LedgerKey::Chunk(_, index) => Some((index, chunked.summary_in(record?, begun_at)?)),
            LedgerKey::Command(_) => None,
        })
        .collect())
}

/// Applies one chunk under its marker, or finds that another worker has.
async fn apply_chunk(
    context: &WorkerContext,
    chunked: &Chunked<'_>,
    begun_at: Timestamp,
    index: u32,
    range: Range<usize>,
) -> Result<RestockSummary, Failure> {
    let mut backoff = Policy::CONFLICT.attempts(context.settings.conflict_attempts).start();
    loop {
        chunked.check_lease(context)?;
        let loaded = load_chunk(&*context.store, chunked, begun_at, index, range.clone()).await;
        let (mut state, marker) = context.note_load(loaded)?;
        if let Some(summary) = marker {
            return Ok(summary);
        }
        let now = context.clock.now();
        let entries = RestockEntries {
            pool: &chunked.command.pool,
            restock: chunked.restock,
            range: range.clone(),
            inapplicable: InapplicableLine::Skip,
        };
        let summary = decide::apply_entries(&mut state, &entries, now)?.summary;
        let record = LedgerRecord::Chunk {
            digest: chunked.command.digest,
            begun_at,
            summary: summary.clone(),
            decided_at: now,
        };
        let transaction = chunk_transaction(chunked.marker(index), record, state.take_changes());
        chunked.check_lease(context)?;
        match commit_once(context, &transaction).await? {
            Applied::Yes => {
                context.note_oversold(state.take_oversold());
                return Ok(summary);
            }
            Applied::Conflict(what) => {
                if !backoff.wait(&*context.entropy).await {
                    return Err(Failure::Contention(format!("conflicts without end: {what}")));
                }
            }
        }
    }
}

async fn load_chunk(
    store: &dyn ReadStore,
    chunked: &Chunked<'_>,
    begun_at: Timestamp,
    index: u32,
    range: Range<usize>,
) -> Result<(State, Option<RestockSummary>), Failure> {
    let mut wanted =
        LoadRequest { ledger: [chunked.marker(index)].into(), ..LoadRequest::default() };
    name_entries(&mut wanted, &chunked.command.pool, chunked.restock, range);
    let mut loaded = store.load(&wanted).await?;
    let marker = loaded.ledger.remove(&chunked.marker(index)).flatten();
    let marker = marker.and_then(|record| chunked.summary_in(record, begun_at));
    Ok((State::new(loaded.reservations, loaded.seats, loaded.lines), marker))
}

fn name_entries(wanted: &mut LoadRequest, pool: &PoolId, restock: &Restock, range: Range<usize>) {
    let seats = restock.seats.iter().map(|seat| &seat.number);
    let width = range.len();
    loading::name_seats(wanted, pool, seats.clone().skip(range.start).take(width));
    let first = range.start.saturating_sub(seats.len());
    let end = range.end.saturating_sub(seats.len());
    let lines = restock.lines.iter().skip(first).take(end.saturating_sub(first));
    loading::name_lines(wanted, pool, lines.map(|line| &line.sku));
}

fn chunk_transaction(key: LedgerKey, record: LedgerRecord, changes: Vec<Change>) -> Transaction {
    let ledger = Some((key, record));
    let step = DecidedCommand { changes, ledger, ..DecidedCommand::default() };
    let packed = plan::pack(vec![step], store::TRANSACTION_ITEMS_MAX);
    packed.into_iter().find_map(|packed| packed.transaction).unwrap_or_default()
}

fn single(write: Write) -> Transaction {
    Transaction { writes: vec![write], checks: Vec::new() }
}

enum Applied {
    Yes,
    Conflict(String),
}

async fn commit_once(
    context: &WorkerContext,
    transaction: &Transaction,
) -> Result<Applied, Failure> {
    match context.commit(transaction).await {
        Ok(()) => Ok(Applied::Yes),
        Err(CommitError::Conflict(what)) => Ok(Applied::Conflict(what)),
        Err(CommitError::Invalid(what)) => Err(Failure::Poison(what)),
        Err(CommitError::Port(error)) => Err(error.into()),
    }
}

fn sum(parts: Vec<RestockSummary>) -> RestockSummary {
    let mut total = RestockSummary::default();
    for part in parts {
        total.seats_applied = total.seats_applied.saturating_add(part.seats_applied);
        total.lines_applied = total.lines_applied.saturating_add(part.lines_applied);
        total.seats_skipped = total.seats_skipped.saturating_add(part.seats_skipped);
        total.lines_skipped = total.lines_skipped.saturating_add(part.lines_skipped);
        let room = RestockSummary::SKIPPED_MAX.saturating_sub(total.skipped.len());
        total.skipped.extend(part.skipped.into_iter().take(room));
    }
    total
}

/// Replaces the intent with the outcome, or finds that another worker has.
async fn finish(
    context: &WorkerContext,
    chunked: &Chunked<'_>,
    begun_at: Timestamp,
    restock: RestockSummary,
) -> Result<Decided, Failure> {
    chunked.check_lease(context)?;
    let now = context.clock.now();
    let outcome = decide::restocked(chunked.restock, restock);
    let changes = Changes::Omitted;
    let record = chunked.outcome_record(outcome.clone(), changes.clone(), now);
    let write = Write::LedgerOverIntent { key: chunked.command.key.clone(), begun_at, record };
    match commit_once(context, &single(write)).await? {
        Applied::Yes => Ok(Decided { outcome, changes, decided_at: now, is_replay: false }),
        Applied::Conflict(what) => match begin(context, chunked).await? {
            IntentState::Known(decided) => Ok(*decided),
            IntentState::Chunks { .. } => {
                Err(Failure::Contention(format!("outcome not written: {what}")))
            }
        },
    }
}
