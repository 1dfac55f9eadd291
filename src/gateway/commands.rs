//! Commands of callers: checked, posted, and answered once they are decided.
//!
//! ```text
//! register ─► ledger, if the caller gave a key ─► admission ─► post ─► await ─► compare digests
//! ```
//!
//! The waiter is registered before the post, so that no outcome is missed; where as many wait as
//! may, a command is posted without one, and its caller looks for the outcome. A caller that goes away
//! changes nothing: the command is posted or it is not, and a retry with the same key finds out.

mod admission;
mod awaited;
mod event;
mod group;
mod lookup;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::future::{Either, select};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Builder;

use self::{admission::Admission, awaited::AwaitedPools};
pub use self::{
    event::{BinaryEvent, EventAttributes},
    group::group_of,
    lookup::Recorded,
};
use crate::{
    client::{Client, LedgerOutcome, OutcomePoller, PostError, PreparedCommand},
    domain::{
        Action, Changes, Command, CommandId, CommandKey, CommandType, Digest, GroupId, Outcome,
        PoolId, Rejection, RejectionCode, ReservationId, Timestamp, time::saturating_add,
    },
    gateway::{
        Caller, Scope,
        observer::{NoopRequestObserver, RequestObserver, ShedReason},
    },
    message::{OutgoingCommand, ResultMessage, TraceContext, encode_result},
    ports::{Clock, Entropy, LedgerKey, LedgerRecord, LoadRequest, PortError, ReadStore},
};

/// How much later than its caller waits a reserve may be decided: the answer of a command that
/// was decided in time is still on its way.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// How long the post is waited for where the caller does not wait for an outcome.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// A command as a face builds it.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    /// Its identity: [`Commands::key`].
    pub key: CommandKey,
    /// Whether its id was made for this request, so that nothing is recorded under it yet.
    pub has_new_id: bool,
    /// The pool it names.
    pub pool: PoolId,
    /// The requested change.
    pub action: Action,
    /// How long the caller waits for the outcome; 0 for no longer than the post takes. A reserve is
    /// not decided later than a second after that. `None` for a caller that looks for the outcome
    /// when it likes: it does not wait either, and its reserve may be decided at any time.
    pub wait: Option<Duration>,
    /// Its message group; `None` for the gateway's own choice.
    pub group: Option<GroupId>,
    /// The caller's trace context, if any.
    pub traceparent: Option<TraceContext>,
}

/// A CloudEvents message in structured mode, as it came.
#[derive(Clone, Debug)]
pub struct EventRequest<'a> {
    /// The message.
    pub event: &'a str,
    /// As [`CommandRequest::has_new_id`]. An event without an id gets a new one.
    pub has_new_id: bool,
    /// As [`CommandRequest::wait`].
    pub wait: Option<Duration>,
    /// As [`CommandRequest::traceparent`].
    pub traceparent: Option<TraceContext>,
}

/// The answer about a command that was posted, or had been before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was decided.
    Decided(Box<Decided>),
    /// It has no outcome yet, and may still take effect.
    Pending {
        /// Its identity.
        key: CommandKey,
        /// The reservation it is about.
        reservation_id: Option<ReservationId>,
    },
}

/// A command's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The command's identity.
    pub key: CommandKey,
    /// Its CloudEvents `type`.
    pub command_type: &'static str,
    /// The digest of its content.
    pub digest: Digest,
    /// The pool it names.
    pub pool: PoolId,
    /// The outcome.
    pub outcome: Outcome,
    /// The seats and lines it changed.
    pub changes: Changes,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// A command that was not posted, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It cannot be read: `INVALID_MESSAGE` or `UNSUPPORTED_TYPE`.
    #[error("{}: {}", .0.code.as_str(), .0.message)]
    Invalid(Rejection),
    /// The caller lacks a scope.
    #[error("the scope {0} is required")]
    NoScope(Scope),
    /// The source belongs to another caller.
    #[error("source: expected one of the caller's own sources")]
    ForeignSource,
    /// Reserves are refused while the queue is behind.
    #[error("the queue is behind: commands wait for {} s", age.as_secs())]
    Behind {
        /// The age of the oldest command on the same pool without an outcome.
        age: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// More commands wait to be posted than one process, or one group, may hold.
    #[error("too many commands wait to be posted")]
    Full,
    /// The queue did not accept the command, or its answer was lost. It may still take effect; a
    /// retry keeps the identity.
    #[error("the command could not be posted: {reason}")]
    NotPosted {
        /// Its identity.
        key: CommandKey,
        /// The cause, without what the service said.
        reason: &'static str,
    },
    /// The ledger cannot be read. A command that was posted may still take effect.
    #[error("the ledger cannot be read")]
    Unreadable {
        /// Its identity.
        key: CommandKey,
    },
}

/// An event that was not posted, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct EventError {
    /// Its identity, where source and id could be read.
    pub key: Option<Box<CommandKey>>,
    /// The cause.
    pub error: CommandError,
}

impl EventError {
    fn new(key: Option<CommandKey>, error: CommandError) -> Self {
        Self { key: key.map(Box::new), error }
    }
}

/// The ports and parts that commands need.
pub struct CommandParts {
    /// Posts to the queues. Polled by [`Commands::run`].
    pub client: Client,
    /// Awaits outcomes. Polled by [`Commands::run`].
    pub outcomes: OutcomePoller,
    /// The ledger.
    pub store: Arc<dyn ReadStore>,
    /// The time that commands carry.
    pub clock: Arc<dyn Clock>,
    /// Ids and deduplication ids.
    pub entropy: Arc<dyn Entropy>,
}

/// How commands are posted and admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// The message groups that the reserves of one pool are spread over, at least 1.
    pub groups: u16,
    /// Reserves on a pool are refused while the oldest command on it waits for longer.
    pub queue_age_max: Duration,
}

/// Posts commands of callers, and awaits their outcomes.
pub struct Commands {
    parts: CommandParts,
    settings: CommandSettings,
    admission: Admission,
    waits_end: CancellationToken,
    awaited: AwaitedPools,
    observer: Arc<dyn RequestObserver>,
}

impl Commands {
    /// Commands on these ports. Nothing is posted until [`Self::run`] is polled.
    #[must_use]
    pub fn new(parts: CommandParts, settings: CommandSettings) -> Self {
        let admission = Admission::new(settings.queue_age_max);
        let (awaited, waits_end) = (AwaitedPools::default(), CancellationToken::new());
        let observer = Arc::new(NoopRequestObserver);
        Self { parts, settings, admission, awaited, waits_end, observer }
    }

    /// The same, what is refused watched.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn RequestObserver>) -> Self {
        Self { observer, ..self }
    }

    /// The pools whose commands' outcomes are awaited, or were a moment ago.
    #[must_use]
    pub fn awaited_pools(&self) -> Vec<PoolId> {
        self.awaited.pools()
    }

    /// Commands are said to be decided: those whose outcomes are awaited are read at once.
    pub fn wake<'a>(&self, keys: impl Iterator<Item = &'a CommandKey>) {
        self.parts.outcomes.wake(keys);
    }

    /// Posts commands and polls for outcomes, for as long as it is polled.
    pub async fn run(&self) {
        tokio::join!(self.parts.client.run(), self.parts.outcomes.run());
    }

    /// Nobody waits for an outcome from here on: whoever does is answered that it is pending.
    pub fn end_waits(&self) {
        self.waits_end.cancel();
    }

    /// Waits until everything that was accepted is posted. [`Self::run`] is polled meanwhile, and
    /// no more commands are submitted.
    pub async fn flushed(&self) {
        self.parts.client.flushed().await;
    }

    /// The time that commands carry.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// How long the oldest command has been in the queue without an outcome; `None` where none is
    /// awaited. Restocks do not count, as they may be long.
    #[must_use]
    pub fn oldest_age(&self) -> Option<Duration> {
        self.parts.outcomes.oldest()
    }

    /// The identity of a command: the caller's idempotency key under its default source, or a new
    /// UUIDv7.
    ///
    /// # Errors
    ///
    /// The caller's subject cannot be a part of a source.
    pub fn key(&self, caller: &Caller, id: Option<CommandId>) -> Result<CommandKey, CommandError> {
        let invalid = |message: String| {
            CommandError::Invalid(Rejection::new(RejectionCode::InvalidMessage, message))
        };
        let source =
            caller.default_source().map_err(|wrong| invalid(format!("source: {wrong}")))?;
        let id = match id {
            Some(id) => id,
            None => self.new_id().map_err(|wrong| invalid(format!("id: {wrong}")))?,
        };
        Ok(CommandKey { source, id })
    }

    /// A new UUIDv7 (RFC 9562, section 5.7): ids of one gateway sort by time.
    fn new_id(&self) -> Result<CommandId, crate::domain::InvalidText> {
        let millis = u64::try_from(self.parts.clock.now().as_millisecond()).unwrap_or(0);
        let mut random = [0; 10];
        let bytes = self.parts.entropy.uuid().into_bytes();
        // Bytes 6 and 8 hold a UUIDv4's version and variant.
        let from = bytes.iter().enumerate().filter(|(place, _)| !matches!(place, 6 | 8));
        random.iter_mut().zip(from).for_each(|(to, (_, byte))| *to = *byte);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string().parse()
    }

    /// Posts a command, and waits until it is decided or the caller's time is over.
    ///
    /// # Errors
    ///
    /// It was not posted, as far as is known.
    pub async fn submit(
        &self,
        caller: &Caller,
        request: CommandRequest,
    ) -> Result<Answer, CommandError> {
        let time = self.parts.clock.now();
        let CommandRequest { key, has_new_id, pool, action, wait, group, traceparent } = request;
        let is_reserve = matches!(action, Action::Reserve(_)) && !injected_bug!(ForgetDeadline);
        let deadline = wait.filter(|_| is_reserve).map(|wait| deadline(time, wait));
        let outgoing = OutgoingCommand { key, time, deadline, pool, action, traceparent: None };
        let prepared = PreparedCommand::encode(&outgoing, None)
            .map_err(|undecodable| CommandError::Invalid(undecodable.rejection))?;
        let prepared = self.in_group(prepared, group).with_trace(traceparent.as_ref());
        self.post_and_wait(caller, &prepared, has_new_id, wait).await
    }

    /// Posts an event as it came, with what it lacks: `source`, `id`, `time`, and for a reserve whose
    /// caller waits, `expirytime`.
    ///
    /// # Errors
    ///
    /// It was not posted, as far as is known. Names the command as soon as its identity is known.
    pub async fn submit_event(
        &self,
        caller: &Caller,
        request: EventRequest<'_>,
    ) -> Result<Answer, EventError> {
        let EventRequest { event, has_new_id, wait, traceparent } = request;
        let time = self.parts.clock.now();
        let deadline = wait.map(|wait| deadline(time, wait));
        let completed = event::complete(event, time, deadline, || self.key(caller, None))?;
        let prepared = PreparedCommand::from_body(completed.body).map_err(|undecodable| {
            EventError::new(undecodable.key, CommandError::Invalid(undecodable.rejection))
        })?;
        let prepared = self.in_group(prepared, completed.group).with_trace(traceparent.as_ref());
        let has_new_id = has_new_id || completed.has_new_id;
        let answer = self.post_and_wait(caller, &prepared, has_new_id, wait).await;
        answer.map_err(|error| EventError::new(Some(prepared.command.key.clone()), error))
    }

    /// In the group that was asked for, or else in the gateway's choice.
    fn in_group(&self, prepared: PreparedCommand, group: Option<GroupId>) -> PreparedCommand {
        let Command { pool, action, .. } = &prepared.command;
        let group = group.unwrap_or_else(|| group_of(pool, action, self.settings.groups));
        PreparedCommand { group, ..prepared }
    }

    async fn post_and_wait(
        &self,
        caller: &Caller,
        prepared: &PreparedCommand,
        has_new_id: bool,
        wait: Option<Duration>,
    ) -> Result<Answer, CommandError> {
        let command = &prepared.command;
        check_rights(caller, command)?;
        let (asked_at, wait) = (Instant::now(), wait.unwrap_or_default());
        let answer_by = asked_at + if wait.is_zero() { POST_TIMEOUT } else { wait };
        // Where as many wait as may, it is posted all the same, and answered as pending.
        let mut pending = self.parts.outcomes.register(&command.key, command.digest);
        if injected_bug!(CountUnposted) {
            self.parts.outcomes.queued(&command.key, &command.pool);
        }
        self.awaited.note(&command.pool);
        if !has_new_id && let Some(recorded) = self.recorded(command, answer_by).await? {
            return Ok(recorded);
        }
        if matches!(command.action, Action::Reserve(_)) {
            let oldest = self.parts.outcomes.oldest_of(&command.pool);
            let admitted = self.admission.admit(&command.pool, oldest);
            admitted.inspect_err(|_| self.observer.shed(ShedReason::QueueBehind))?;
        }
        let posted = self.parts.client.accept_again(prepared);
        let posted = posted.map_err(|error| not_posted(&command.key, &error))?;
        // One that nobody waits for stays registered until the queue has it, and so shows its wait.
        let outcome = pin!(async {
            match &mut pending {
                Some(pending) => self.within(asked_at + wait, pending.outcome()).await,
                None => None,
            }
        });
        let posted = pin!(self.within(answer_by, posted.answer()));
        // The workers may be faster than the queue's answer.
        let (posted, outcome) = match select(outcome, posted).await {
            Either::Left((Some(outcome), _)) => return Ok(answer(command, outcome)),
            Either::Left((None, posted)) => (posted.await, None),
            Either::Right((posted, outcome)) => (posted, Some(outcome)),
        };
        // It is posted still, and whether the queue has it is not known yet.
        let Some(posted) = posted else { return Ok(pending_answer(command)) };
        posted.map_err(|error| not_posted(&command.key, &error))?;
        if !matches!(command.action, Action::Restock(_)) {
            self.parts.outcomes.queued(&command.key, &command.pool);
        }
        let Some(outcome) = outcome else { return Ok(pending_answer(command)) };
        let outcome = outcome.await;
        Ok(outcome.map_or_else(|| pending_answer(command), |outcome| answer(command, outcome)))
    }

    /// What is waited for; `None` where it takes too long, or nobody waits any more.
    async fn within<T>(&self, deadline: Instant, awaited: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            awaited = timeout_at(deadline, awaited) => awaited.ok(),
            () = self.waits_end.cancelled() => None,
        }
    }

    /// The outcome of an earlier delivery of the command, if there is one.
    async fn recorded(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<Option<Answer>, CommandError> {
        let read = timeout_at(deadline, self.record(&command.key)).await;
        let record = read.map_err(|_| CommandError::Unreadable { key: command.key.clone() })??;
        let outcome = record.and_then(|record| LedgerOutcome::of(command.digest, &record));
        Ok(outcome.map(|outcome| answer(command, outcome)))
    }

    /// The ledger's entry under a command's identity.
    async fn record(&self, key: &CommandKey) -> Result<Option<LedgerRecord>, CommandError> {
        let entry = LedgerKey::Command(key.clone());
        let wanted = LoadRequest { ledger: [entry.clone()].into(), ..LoadRequest::default() };
        let read = self.parts.store.load(&wanted).await;
        let mut read = read.map_err(|error| unreadable(key, &error))?;
        Ok(read.ledger.remove(&entry).flatten())
    }
}

impl Decided {
    /// The result as subscribers of the topic get it, without the command's sequence number and
    /// trace.
    #[must_use]
    pub fn result_body(&self) -> String {
        let group = group::of_pool(&self.pool);
        encode_result(&ResultMessage {
            key: &self.key,
            command_type: self.command_type,
            sequence: None,
            group: &group,
            pool: Some(&self.pool),
            outcome: &self.outcome,
            changes: &self.changes,
            decided_at: self.decided_at,
            message_digest: self.digest,
            traceparent: None,
        })
        .body
    }
}

/// The reservation that a command is about; `None` for a restock.
#[must_use]
pub fn reservation_of(action: &Action) -> Option<ReservationId> {
    match action {
        Action::Reserve(reserve) => Some(reserve.reservation_id),
        Action::Extend(extend) => Some(extend.reservation_id),
        Action::Modify(modify) => Some(modify.reservation_id),
        Action::Confirm(confirm) => Some(confirm.reservation_id),
        Action::Fulfil(fulfil) => Some(fulfil.reservation_id),
        Action::Cancel(cancel) => Some(cancel.reservation_id),
        Action::Expire(expire) => Some(expire.reservation_id),
        Action::Restock(_) => None,
    }
}

/// Checks the caller's scope and the command's source. An expire is the sweeper's alone.
fn check_rights(caller: &Caller, command: &Command) -> Result<(), CommandError> {
    let scope = match command.action {
        Action::Expire(_) if !injected_bug!(PostExpire) => {
            let message =
                format!("type: expected a command other than {}", CommandType::Expire.as_str());
            return Err(CommandError::Invalid(Rejection::new(
                RejectionCode::UnsupportedType,
                message,
            )));
        }
        Action::Restock(_) => Scope::Restock,
        _ => Scope::Command,
    };
    if !caller.scopes.has(scope) {
        return Err(CommandError::NoScope(scope));
    }
    if !caller.may_use(&command.key.source) && !injected_bug!(TakeForeignSource) {
        return Err(CommandError::ForeignSource);
    }
    Ok(())
}

fn deadline(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = wait.saturating_add(DEADLINE_MARGIN);
    saturating_add(now, jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::MAX))
}

fn answer(command: &Command, outcome: LedgerOutcome) -> Answer {
    let (outcome, changes, decided_at) = match outcome {
        LedgerOutcome::Decided(decided) => (decided.outcome, decided.changes, decided.decided_at),
        LedgerOutcome::IdReused => {
            let message =
                "the id was used before for other content: use a new id for a new command";
            let rejection = Rejection::new(RejectionCode::CommandIdReused, message);
            (Outcome::Rejected { rejection }, Changes::NONE, Timestamp::UNIX_EPOCH)
        }
    };
    Answer::Decided(Box::new(Decided {
        key: command.key.clone(),
        command_type: command.action.command_type().as_str(),
        digest: command.digest,
        pool: command.pool.clone(),
        outcome,
        changes,
        decided_at,
    }))
}

fn pending_answer(command: &Command) -> Answer {
    let reservation_id = reservation_of(&command.action);
    Answer::Pending { key: command.key.clone(), reservation_id }
}

fn not_posted(key: &CommandKey, error: &PostError) -> CommandError {
    tracing::warn!(%error, "a command could not be posted");
    let reason = match error {
        PostError::Full => return CommandError::Full,
        PostError::Call(PortError::Throttled(_)) => "the queue throttles",
        PostError::Call(PortError::Refused(_)) | PostError::Entry(_) => "the queue refused it",
        PostError::Call(_) => "the queue does not answer",
        PostError::Stopped => "the gateway is stopping",
    };
    CommandError::NotPosted { key: key.clone(), reason }
}

fn unreadable(key: &CommandKey, error: &PortError) -> CommandError {
    tracing::warn!(%error, "the ledger cannot be read");
    CommandError::Unreadable { key: key.clone() }
}

#[cfg(test)]
pub(in crate::gateway) mod tests;
