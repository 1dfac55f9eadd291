//! Posts the commands of a file.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    chunks::{Chunks, Identity, RowCounts, Unit, UnitCommand},
    reader::{FileError, Place, Rows},
};
use crate::{
    client::{LedgerOutcome, OutcomePoller, PostError, Sender},
    domain::{GroupId, Outcome, Rejection},
    message::BATCH_COMMANDS_MAX,
    ports::{
        Clock, Entropy, EntryError, LedgerKey, LoadRequest, OutgoingMessage, PortError, Queue,
        ReadStore, queue::MessageAttributes,
    },
    retry::Policy,
};

/// The most messages in flight, each of a group of its own.
const UNITS_MAX: usize = 64;

/// The most bytes of the messages in flight.
const UNITS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most rejections that are kept to be shown.
const REJECTED_SHOWN_MAX: usize = 20;

/// Attempts at a call, after those of the client library.
const CALLS: Policy = Policy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    multiplier: 2.0,
    attempts: 8,
    total: None,
};

/// The ports of an import.
#[derive(Clone)]
pub struct ImportPorts {
    /// The queue of restocks.
    pub queue: Arc<dyn Queue>,
    /// The ledger.
    pub store: Arc<dyn ReadStore>,
    /// The time that commands carry, and from which the ends of holds are counted.
    pub clock: Arc<dyn Clock>,
    /// Jitters repetitions.
    pub entropy: Arc<dyn Entropy>,
}

/// A command that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedCommand {
    /// The line of its first row.
    pub place: Place,
    /// Why.
    pub rejection: Rejection,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// What the rows became.
    pub rows: RowCounts,
    /// Commands that the rows became.
    pub commands: u64,
    /// Commands of these that had an outcome before and were not posted.
    pub known: u64,
    /// Seats that restocks created, updated or found so. Like all below, of the commands whose
    /// outcome is known: with a wait all, without one those that had an outcome before.
    pub seats_applied: u64,
    /// Lines that restocks set or found so.
    pub lines_applied: u64,
    /// Seats that were left as they are, because they are held or sold.
    pub seats_skipped: u64,
    /// Lines that were left as they are.
    pub lines_skipped: u64,
    /// Holds made, those of bookings included.
    pub reserved: u64,
    /// Bookings confirmed.
    pub confirmed: u64,
    /// Commands that were rejected.
    pub rejected: u64,
    /// The first of them.
    pub first_rejected: Vec<RejectedCommand>,
    /// Commands that were waited for in vain.
    pub unanswered: u64,
}

impl ImportSummary {
    fn count(&mut self, place: Place, outcome: &LedgerOutcome) {
        let LedgerOutcome::Decided(decided) = outcome else { return };
        match &decided.outcome {
            Outcome::Restocked { restock, .. } => {
                self.seats_applied += restock.seats_applied;
                self.lines_applied += restock.lines_applied;
                self.seats_skipped += restock.seats_skipped;
                self.lines_skipped += restock.lines_skipped;
            }
            Outcome::Reserved { .. } => self.reserved += 1,
            Outcome::Confirmed { .. } => self.confirmed += 1,
            Outcome::Rejected { rejection } => {
                self.rejected += 1;
                if self.first_rejected.len() < REJECTED_SHOWN_MAX {
                    let rejection = rejection.clone();
                    self.first_rejected.push(RejectedCommand { place, rejection });
                }
            }
            // No import posts what comes to these.
            Outcome::Extended { .. }
            | Outcome::Modified { .. }
            | Outcome::Fulfilled { .. }
            | Outcome::Cancelled { .. }
            | Outcome::Expired { .. } => {}
        }
    }
}

/// An import that stopped. What was posted takes effect; the same import again goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read any more.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not the file that was checked.
    #[error("the file changed while it was read")]
    Changed,
    /// A message was not taken.
    #[error("line {}: not posted: {error}", place.line)]
    NotPosted {
        /// The line of the message's first row.
        place: Place,
        /// The cause.
        error: PostError,
    },
    /// The ledger cannot be read.
    #[error("the ledger: {0}")]
    Ledger(#[from] PortError),
}

/// What became of one message: its commands that had an outcome before, and the outcomes.
struct UnitReport {
    group: GroupId,
    bytes: usize,
    known: u64,
    outcomes: Vec<(Place, Option<LedgerOutcome>)>,
}

/// Posts the commands of files.
pub struct Importer {
    ports: ImportPorts,
    sender: Sender,
    poller: OutcomePoller,
    wait: Option<Duration>,
}

/// Messages in flight.
#[derive(Default)]
struct InFlight {
    groups: BTreeSet<GroupId>,
    bytes: usize,
}

impl InFlight {
    fn has_room(&self, unit: &Unit) -> bool {
        self.groups.len() < UNITS_MAX
            && self.bytes < UNITS_BYTES_MAX
            && !self.groups.contains(&unit.group)
    }
}

impl Importer {
    /// With `wait`, each command's outcome is waited for that long, before the next message of its
    /// pool is posted.
    #[must_use]
    pub fn new(ports: ImportPorts, wait: Option<Duration>) -> Self {
        let sender = Sender::new(Arc::clone(&ports.queue), UNITS_MAX, 1);
        let poller = OutcomePoller::new(Arc::clone(&ports.store), UNITS_MAX * BATCH_COMMANDS_MAX);
        Self { ports, sender, poller, wait }
    }

    /// Posts the commands of a file that was checked. `progress` is called with the bytes read.
    ///
    /// # Errors
    ///
    /// [`ImportError`].
    pub async fn run(
        &self,
        rows: Rows,
        identity: Identity,
        progress: impl FnMut(u64),
    ) -> Result<ImportSummary, ImportError> {
        tokio::select! {
            biased;
            done = self.post_all(rows, identity, progress) => done,
            () = self.sender.run() => Err(PortError::Unavailable("no sender".to_owned()).into()),
            () = self.poller.run() => Err(PortError::Unavailable("no poller".to_owned()).into()),
        }
    }

    async fn post_all(
        &self,
        mut rows: Rows,
        identity: Identity,
        mut progress: impl FnMut(u64),
    ) -> Result<ImportSummary, ImportError> {
        let checked = identity.content.clone();
        let source = identity.source.clone();
        let mut chunks = Chunks::new(identity, Arc::clone(&self.ports.clock));
        let (mut summary, mut in_flight) = (ImportSummary::default(), InFlight::default());
        let mut calls = FuturesUnordered::new();
        loop {
            let next = rows.next_row()?;
            let is_end = next.is_none();
            let units = match next {
                Some((place, row)) => row.and_then(|row| chunks.push(place, row)),
                None => chunks.finish(),
            };
            for unit in units.map_err(|_| ImportError::Changed)? {
                while !in_flight.has_room(&unit) {
                    let Some(report) = calls.next().await else { break };
                    settle(&mut summary, &mut in_flight, report?);
                }
                in_flight.bytes += unit.bytes();
                in_flight.groups.insert(unit.group.clone());
                summary.commands += u64::try_from(unit.commands.len()).unwrap_or_default();
                calls.push(self.post(unit));
                // Begins the call, and lets the sender run.
                while let Some(Some(report)) = calls.next().now_or_never() {
                    settle(&mut summary, &mut in_flight, report?);
                }
                tokio::task::yield_now().await;
                progress(rows.bytes());
            }
            if is_end {
                break;
            }
        }
        while let Some(report) = calls.next().await {
            settle(&mut summary, &mut in_flight, report?);
        }
        summary.rows = chunks.counts();
        match Identity::of(source, rows.digest()).content == checked {
            true => Ok(summary),
            false => Err(ImportError::Changed),
        }
    }

    /// Posts those commands of a message that have no outcome, and waits if it is to.
    async fn post(&self, unit: Unit) -> Result<UnitReport, ImportError> {
        let (group, bytes) = (unit.group.clone(), unit.bytes());
        let mut outcomes = Vec::new();
        let mut unit = unit;
        let known = self.known(&unit).await?;
        let mut decided = known.into_iter();
        unit.commands.retain(|command| match decided.next().flatten() {
            Some(outcome) => {
                outcomes.push((command.place, Some(outcome)));
                false
            }
            None => true,
        });
        let known = u64::try_from(outcomes.len()).unwrap_or_default();
        if let Some(first) = unit.commands.first() {
            let place = first.place;
            let waits: Vec<_> = match self.wait {
                Some(_) => unit.commands.iter().map(|command| self.register(command)).collect(),
                None => Vec::new(),
            };
            let message = OutgoingMessage {
                group: group.clone(),
                body: unit.body(),
                deduplication_id: None,
                attributes: MessageAttributes::new(),
            };
            self.send(message).await.map_err(|error| ImportError::NotPosted { place, error })?;
            outcomes.extend(join_all(waits).await);
        }
        Ok(UnitReport { group, bytes, known, outcomes })
    }

    /// Waits for an outcome from now on; registered before the command is posted.
    fn register(
        &self,
        command: &UnitCommand,
    ) -> impl Future<Output = (Place, Option<LedgerOutcome>)> + use<'_> {
        let place = command.place;
        let pending = self.poller.register(&command.key, command.digest);
        let deadline = Instant::now() + self.wait.unwrap_or_default();
        async move {
            let Some(mut pending) = pending else { return (place, None) };
            (place, timeout_at(deadline, pending.outcome()).await.ok())
        }
    }

    /// The outcomes that the ledger has of the commands of a message.
    async fn known(&self, unit: &Unit) -> Result<Vec<Option<LedgerOutcome>>, PortError> {
        let key = |command: &UnitCommand| LedgerKey::Command(command.key.clone());
        let ledger = unit.commands.iter().map(key).collect();
        let wanted = LoadRequest { ledger, ..LoadRequest::default() };
        let mut backoff = CALLS.start();
        let read = loop {
            match self.ports.store.load(&wanted).await {
                Ok(read) => break read,
                Err(error) => match backoff.next_delay(&*self.ports.entropy) {
                    Some(delay) if may_be_repeated(&error) => sleep(delay).await,
                    _ => return Err(error),
                },
            }
        };
        let outcome = |command: &UnitCommand| {
            let record = read.ledger.get(&key(command)).and_then(Option::as_ref);
            record.and_then(|record| LedgerOutcome::of(command.digest, record))
        };
        Ok(unit.commands.iter().map(outcome).collect())
    }

    async fn send(&self, message: OutgoingMessage) -> Result<(), PostError> {
        let mut backoff = CALLS.start();
        loop {
            let error = match self.sender.post(message.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let again = match &error {
                PostError::Call(error) => may_be_repeated(error),
                PostError::Entry(error) => matches!(error, EntryError::Retryable(_)),
                PostError::Full | PostError::Stopped => false,
            };
            match backoff.next_delay(&*self.ports.entropy) {
                Some(delay) if again => sleep(delay).await,
                _ => return Err(error),
            }
        }
    }
}

fn may_be_repeated(error: &PortError) -> bool {
    matches!(error, PortError::Throttled(_) | PortError::Unavailable(_))
}

fn settle(summary: &mut ImportSummary, in_flight: &mut InFlight, report: UnitReport) {
    let UnitReport { group, bytes, known, outcomes } = report;
    in_flight.groups.remove(&group);
    in_flight.bytes = in_flight.bytes.saturating_sub(bytes);
    summary.known += known;
    for (place, outcome) in outcomes {
        match outcome {
            Some(outcome) => summary.count(place, &outcome),
            None => summary.unanswered += 1,
        }
    }
}
