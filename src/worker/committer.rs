//! Lock, load, decide, commit: the commands of one batch become durable, in order.

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use tracing::debug;

use super::{
    WorkerContext, chunks,
    decided::{Decided, Leased, Ledger, check_leases, found_in_ledger},
    failure::Failure,
    loading,
    locking::{self, Names},
    plan::{self, DecidedCommand, PlannedTransaction},
    settings::LockMode,
    trace,
};
use crate::{
    decide::{self, DecideError, ItemKey, Limits, State},
    domain::{Command, Timestamp},
    ports::{CommitError, Expected, LedgerKey, LedgerRecord, Transaction},
    retry::{Backoff, Policy},
};

/// The progress of a batch. Decided commands are a prefix of the batch.
#[derive(Debug, Default)]
pub struct Progress {
    /// Outcomes, in the order of the commands.
    pub decided: Vec<Decided>,
    /// Why the next command has no outcome.
    pub failure: Option<Failure>,
}

/// Commits the commands in order, as many as possible.
pub async fn commit(context: &Arc<WorkerContext>, commands: &[Leased<'_>]) -> Progress {
    let mut progress = Progress::default();
    while let Some(rest) = commands.get(progress.decided.len()..).filter(|rest| !rest.is_empty()) {
        let result = match rest.first().and_then(chunks::Chunked::of) {
            Some(chunked) => chunks::commit(context, &chunked).await.map(|one| vec![one]),
            None => {
                let run = rest.iter().take_while(|leased| chunks::Chunked::of(leased).is_none());
                let run = rest.get(..run.count()).unwrap_or_default();
                let part = commit_run(context, run).await;
                progress.decided.extend(part.decided);
                part.failure.map_or(Ok(Vec::new()), Err)
            }
        };
        match result {
            Ok(decided) => progress.decided.extend(decided),
            Err(failure) => {
                progress.failure = Some(failure);
                break;
            }
        }
    }
    progress
}

/// Commits commands without a barrier between them.
async fn commit_run(context: &Arc<WorkerContext>, run: &[Leased<'_>]) -> Progress {
    let commands: Vec<&Command> = run.iter().map(|leased| leased.command).collect();
    let lock = async || {
        let _span = trace::step(trace::Step::Lock);
        locking::acquire(context, Names::of(&commands)).await
    };
    let mut held = match context.settings.lock_mode {
        LockMode::Always => Some(lock().await),
        LockMode::AfterConflict => None,
    };
    let mut attempts = Attempts::new(context, run.len());
    let mut undone: Vec<usize> = (0..run.len()).collect();
    let mut decided: Vec<Option<Decided>> = run.iter().map(|_| None).collect();
    let mut failure = None;
    while !undone.is_empty() {
        let places = undone.get(..attempts.width.min(undone.len())).unwrap_or_default();
        let batch: Vec<Leased<'_>> =
            places.iter().filter_map(|place| run.get(*place).copied()).collect();
        let Attempted { durable, stopped } = attempt(context, &batch).await;
        if !durable.is_empty() {
            attempts.progressed();
        }
        for (of_batch, one) in durable {
            let place = places.get(of_batch).and_then(|place| decided.get_mut(*place));
            if let Some(place) = place {
                *place = Some(one);
            }
        }
        undone.retain(|place| matches!(decided.get(*place), Some(None)));
        let Some(stopped) = stopped else { continue };
        if matches!(stopped, Stopped::Conflict(_)) && held.is_none() {
            held = Some(lock().await);
        }
        if let Err(final_failure) = attempts.again(context, stopped).await {
            failure = Some(final_failure);
            break;
        }
    }
    if let Some(held) = held {
        held.release().await;
    }
    // What is durable behind the first that is not is found in the ledger when it comes again.
    if injected_bug!(PublishPastGap) {
        return Progress { decided: decided.into_iter().flatten().collect(), failure };
    }
    Progress { decided: decided.into_iter().map_while(|one| one).collect(), failure }
}

/// Why an attempt ended before its batch was complete.
enum Stopped {
    /// The items contradict each other, possibly because they were read at different moments: load
    /// again.
    Torn(String),
    /// A version changed: load and decide again.
    Conflict(String),
    /// A command of the transaction can never be written.
    Invalid(String),
    /// A command of the batch depends on an item that cannot be read.
    Unreadable(String),
    /// Not to be retried here.
    Failed(Failure),
}

impl From<DecideError> for Stopped {
    fn from(error: DecideError) -> Self {
        Self::Torn(error.to_string())
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreadable(what) => Self::Unreadable(what),
            failure => Self::Failed(failure),
        }
    }
}

/// How many commands to try at once, and how often and how long.
struct Attempts {
    width: usize,
    backoff: Backoff,
    deadline: Instant,
}

impl Attempts {
    fn new(context: &WorkerContext, width: usize) -> Self {
        let policy = Policy::CONFLICT.attempts(context.settings.conflict_attempts);
        let deadline = Instant::now() + context.settings.handler_timeout;
        Self { width, backoff: policy.start(), deadline }
    }

    fn progressed(&mut self) {
        self.backoff.reset();
    }

    /// Halves the width, down to the single command that fails.
    fn narrow(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.width == 1 {
            return Err(failure);
        }
        self.width = self.width.div_ceil(2);
        Ok(())
    }

    /// Prepares the next attempt, or returns why there is none.
    async fn again(&mut self, context: &WorkerContext, stopped: Stopped) -> Result<(), Failure> {
        match stopped {
            Stopped::Failed(failure) => Err(failure),
            Stopped::Torn(what) => match self.backoff.wait(&*context.entropy).await {
                true => Ok(()),
                false => Err(Failure::Poison(what)),
            },
            Stopped::Conflict(what) => {
                debug!(error = what, "version conflict, deciding again");
                if Instant::now() >= self.deadline {
                    return Err(Failure::Contention(format!("conflicts for too long: {what}")));
                }
                if self.backoff.wait(&*context.entropy).await {
                    return Ok(());
                }
                if self.width == 1 {
                    return Err(Failure::Contention(format!("conflicts without end: {what}")));
                }
                // Command by command: a batch of many items meets more conflicts than each alone.
                self.width = 1;
                self.backoff.reset();
                Ok(())
            }
            Stopped::Invalid(what) => self.narrow(Failure::Poison(what)),
            Stopped::Unreadable(what) => self.narrow(Failure::Unreadable(what)),
        }
    }
}

/// What one pass over a batch did.
struct Attempted {
    /// The commands that became durable, with their places in the batch, in order.
    durable: Vec<(usize, Decided)>,
    /// Why the first of the others did not.
    stopped: Option<Stopped>,
}

/// One pass over a batch. Chains of transactions that share nothing are committed side by side: what
/// stops one does not stop the others.
async fn attempt(context: &WorkerContext, batch: &[Leased<'_>]) -> Attempted {
    let plan = match decide_batch(context, batch).await {
        Ok(plan) => plan,
        Err(failure) => return Attempted { durable: Vec::new(), stopped: Some(failure.into()) },
    };
    let committed = commit_chains(context, batch, plan.chains).await;
    let mut is_done = vec![false; plan.decided.len()];
    // A command that could not be decided ends the plan before it.
    let mut stopped = plan.stopped.map(|stopped| (plan.decided.len(), stopped));
    for CommittedChain { places, stopped: of_chain } in committed {
        for place in places {
            if let Some(is_done) = is_done.get_mut(place) {
                *is_done = true;
            }
        }
        if let Some((place, why)) = of_chain
            && stopped.as_ref().is_none_or(|(first, _)| place < *first)
        {
            stopped = Some((place, why));
        }
    }
    let decided = plan.decided.into_iter().enumerate().zip(is_done);
    let durable = decided.filter_map(|(decided, is_done)| is_done.then_some(decided)).collect();
    Attempted { durable, stopped: stopped.map(|(_, stopped)| stopped) }
}

/// What became of a chain.
struct CommittedChain {
    /// The places of the commands that became durable.
    places: Vec<usize>,
    /// The place of the first that did not, and why.
    stopped: Option<(usize, Stopped)>,
}

/// Commits chains side by side. What became of each, in their order.
async fn commit_chains(
    context: &WorkerContext,
    batch: &[Leased<'_>],
    mut chains: Vec<Vec<PlannedTransaction>>,
) -> Vec<CommittedChain> {
    // Nearly always there is one, and then nothing to be kept in order.
    if chains.len() == 1
        && let Some(only) = chains.pop()
    {
        return vec![commit_chain(context, batch, only).await];
    }
    let commits = chains.into_iter().map(|chain| commit_chain(context, batch, chain));
    stream::iter(commits).buffered(context.settings.commit_parallelism.max(1)).collect().await
}

/// Commits the transactions of a chain, one after the other.
async fn commit_chain(
    context: &WorkerContext,
    batch: &[Leased<'_>],
    chain: Vec<PlannedTransaction>,
) -> CommittedChain {
    let mut places = Vec::new();
    let mut left: Vec<usize> =
        chain.iter().flat_map(|planned| &planned.commands).copied().collect();
    for PlannedTransaction { transaction, commands, oversold } in chain {
        if let Some(transaction) = transaction {
            let undone: Vec<Leased<'_>> =
                left.iter().filter_map(|place| batch.get(*place).copied()).collect();
            if let Err(stopped) = commit_one(context, &undone, &transaction).await {
                let first = left.iter().min().copied().unwrap_or_default();
                return CommittedChain { places, stopped: Some((first, stopped)) };
            }
            context.note_oversold(oversold);
        }
        left.drain(..commands.len());
        places.extend(commands);
    }
    CommittedChain { places, stopped: None }
}

async fn commit_one(
    context: &WorkerContext,
    undone: &[Leased<'_>],
    transaction: &Transaction,
) -> Result<(), Stopped> {
    check_leases(context, undone)?;
    context.commit(transaction).await.map_err(|error| match error {
        CommitError::Conflict(what) => Stopped::Conflict(what),
        CommitError::Invalid(what) => Stopped::Invalid(what),
        CommitError::Port(error) => Failure::from(error).into(),
    })
}

struct Plan {
    /// Of the first commands of the batch, in order.
    decided: Vec<Decided>,
    chains: Vec<Vec<PlannedTransaction>>,
    stopped: Option<Stopped>,
}

async fn decide_batch(context: &WorkerContext, batch: &[Leased<'_>]) -> Result<Plan, Failure> {
    check_leases(context, batch)?;
    let span = trace::step(trace::Step::Load);
    let loaded = loading::load(&*context.store, batch).await;
    let (mut state, mut ledger) = context.note_load(loaded)?;
    drop(span);
    let limits = &context.settings.limits;
    let now = context.clock.now();
    let mut steps = Vec::with_capacity(batch.len());
    let mut decided = Vec::with_capacity(batch.len());
    let mut stopped = None;
    let weigh =
        |leased: &Leased<'_>| loading::items_touched_max(&state, leased.command).saturating_add(1);
    // What fits one transaction is one chain.
    let items_max = context.settings.transaction_items_max;
    let may_split = context.settings.commit_parallelism > 1
        && batch.iter().map(weigh).sum::<usize>() > items_max;
    for (place, Leased { command, .. }) in batch.iter().enumerate() {
        let later = batch.get(place + 1..).unwrap_or_default();
        let footprint = match may_split {
            true => loading::footprint(&state, command),
            false => BTreeSet::new(),
        };
        // A command that repeats in this batch must be found by then.
        let comes_again = later.iter().any(|leased| leased.command.key == command.key);
        match decide_one(limits, &mut state, &ledger, command, now) {
            Ok((one, step)) => {
                if let Some((key, record)) = step.ledger.as_ref().filter(|_| comes_again) {
                    ledger.insert(key.clone(), Some(record.clone()));
                }
                decided.push(one);
                steps.push(DecidedCommand { place, footprint, ..step });
            }
            Err(failure) => {
                stopped = Some(failure);
                break;
            }
        }
    }
    let chains = match may_split {
        true => plan::chains(steps, items_max),
        false => vec![plan::pack(steps, items_max)],
    };
    Ok(Plan { decided, chains, stopped })
}

fn decide_one(
    limits: &Limits,
    state: &mut State,
    ledger: &Ledger,
    command: &Command,
    now: Timestamp,
) -> Result<(Decided, DecidedCommand), Stopped> {
    let key = LedgerKey::Command(command.key.clone());
    let known = ledger.get(&key).and_then(Option::as_ref);
    if let Some(record) = known {
        return Ok((found_in_ledger(command, record, now)?, DecidedCommand::default()));
    }
    let verdict = decide::decide(state, command, limits, now)?;
    let (changes, oversold) = (state.take_changes(), state.take_oversold());
    let listed = decide::listed(&changes);
    let decided =
        Decided { outcome: verdict.outcome, changes: listed, decided_at: now, is_replay: false };
    let rejection = decided.outcome.rejection();
    let is_unrecorded = rejection.is_some_and(|rejection| rejection.code.is_unrecorded());
    if is_unrecorded && !injected_bug!(LedgerNotYetExpired) {
        return Ok((decided, DecidedCommand::default()));
    }
    let record = LedgerRecord::Outcome {
        digest: command.digest,
        command_type: command.action.command_type(),
        pool: command.pool.clone(),
        outcome: decided.outcome.clone(),
        changes: decided.changes.clone(),
        decided_at: now,
    };
    let checks = verdict
        .read_dependencies
        .into_iter()
        .map(|key| expected(state, &key).map(|expected| (key, expected)))
        .collect::<Result<_, DecideError>>()?;
    let ledger = Some((key, record));
    Ok((decided, DecidedCommand { changes, ledger, checks, oversold, ..DecidedCommand::default() }))
}

/// The version of the item in the state, or its absence, as a condition.
fn expected(state: &State, key: &ItemKey) -> Result<Expected, DecideError> {
    let version = match key {
        ItemKey::Reservation(id) => state.reservation(*id)?.map(|found| found.version),
        ItemKey::Seat(key) => state.seat(key)?.map(|found| found.version),
        ItemKey::Line(key) => state.line(key)?.map(|found| found.version),
    };
    Ok(version.map_or(Expected::Absent, Expected::Version))
}
