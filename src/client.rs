//! Posts commands and awaits their outcomes, for every producer in this crate.
//!
//! ```text
//! PreparedCommand ─► Client::request ─► Sender ─► queue ─► (the workers)
//!                      │ registers first                       │ results
//!                      ▼                                       ▼
//!                    Waiters ◄── Client::deliver ◄── ResultSubscription
//! PreparedCommand ─► LedgerWait, OutcomePoller ─► the ledger   (an outcome by its digest)
//! ```
//!
//! An outcome is awaited in one of two ways. By **result**: a queue that is subscribed to the topic
//! delivers every result, and the command's result wakes its waiter. A result does not show the
//! content of its command, so a client that awaits results chooses its own ids. By **ledger**: the
//! entry under the command's identity is polled, and its digest is compared; if the id was used
//! before for other content, that is reported in place of the other command's outcome.
//!
//! Depends only on ports. Bounded: a limited number of commands await their results at a time, each
//! until a deadline. A command unanswered by then may still take effect; a retry keeps the
//! identity, so that it takes effect once.

mod command;
mod ledger;
mod outcomes;
mod sender;
mod subscription;
mod waiters;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    domain::{Action, CommandKey, Digest, GroupId, PoolId},
    message::{DecodedResult, OutgoingCommand, Undecodable, result_id},
    ports::{Clock, Entropy, Queue},
};

pub use command::PreparedCommand;
pub use ledger::{DecidedOutcome, LedgerOutcome, LedgerPolling, LedgerWait, LedgerWaitError};
pub use outcomes::{OutcomePoller, PendingOutcome};
use sender::Sender;
pub use sender::{PendingPost, PostError, Posted};
pub use subscription::ResultSubscription;
pub use waiters::PendingResult;
use waiters::Waiters;

/// The ports a client works with.
pub struct ClientPorts {
    /// The queue of reserves, confirms and cancels.
    pub commands: Arc<dyn Queue>,
    /// The queue of restocks; it may be the same.
    pub restocks: Arc<dyn Queue>,
    /// The time that commands carry.
    pub clock: Arc<dyn Clock>,
    /// Makes deduplication ids of retries.
    pub entropy: Arc<dyn Entropy>,
}

/// A client's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Commands that may await their results at a time; others wait for a free slot. At least 1.
    pub in_flight: usize,
    /// How long a command may take from the post to its result.
    pub deadline: Duration,
}

/// Posts commands, and wakes the callers that await their results.
pub struct Client {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    commands: Sender,
    restocks: Sender,
    in_flight: Semaphore,
    deadline: Duration,
    waiters: Waiters,
}

/// An awaited result.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The result.
    pub result: DecodedResult,
    /// From the start of the call that sent the command to the receipt of the result.
    pub took: Duration,
}

/// A command without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Another request awaits the result of this identity.
    #[error("command {key}: its result is already awaited")]
    AlreadyAwaited {
        /// The command.
        key: CommandKey,
    },
    /// The queue did not accept it, or its answer was lost.
    #[error("command {key}: {error}")]
    NotPosted {
        /// The command.
        key: CommandKey,
        /// The cause.
        error: PostError,
    },
    /// It has no result yet. It may still take effect.
    #[error("command {key}: no result within {} s", within.as_secs())]
    DeadlinePassed {
        /// The command.
        key: CommandKey,
        /// [`ClientLimits::deadline`].
        within: Duration,
    },
}

impl Client {
    /// A client that sends nothing until [`Self::run`] is polled.
    #[must_use]
    pub fn new(ports: ClientPorts, limits: ClientLimits) -> Self {
        Self {
            clock: ports.clock,
            entropy: ports.entropy,
            commands: Sender::new(ports.commands, limits.in_flight),
            restocks: Sender::new(ports.restocks, limits.in_flight),
            in_flight: Semaphore::new(limits.in_flight.max(1)),
            deadline: limits.deadline,
            waiters: Waiters::default(),
        }
    }

    /// Sends posted commands for as long as it is polled.
    pub async fn run(&self) {
        tokio::join!(self.commands.run(), self.restocks.run());
    }

    /// The command as it will be posted, in its pool's group unless another is given.
    ///
    /// # Errors
    ///
    /// The worker would not accept it.
    pub fn prepare(
        &self,
        key: CommandKey,
        pool: PoolId,
        group: Option<GroupId>,
        action: Action,
    ) -> Result<PreparedCommand, Box<Undecodable>> {
        let time = self.clock.now();
        let command =
            OutgoingCommand { key, time, deadline: None, pool, action, traceparent: None };
        PreparedCommand::encode(&command, group)
    }

    /// Posts a command, and waits for the queue's answer.
    ///
    /// # Errors
    ///
    /// The queue did not accept it, or its answer was lost.
    pub async fn post(&self, command: &PreparedCommand) -> Result<Posted, PostError> {
        self.sender_of(command).post(command.message()).await
    }

    fn sender_of(&self, command: &PreparedCommand) -> &Sender {
        match command.command.action {
            Action::Restock(_) => &self.restocks,
            _ => &self.commands,
        }
    }

    /// Posts a command again, past the queue's own deduplication, as a producer does after losing
    /// the answer to its first post. It is the same command, so it takes effect once.
    ///
    /// # Errors
    ///
    /// As for [`Self::post`].
    pub async fn post_again(&self, command: &PreparedCommand) -> Result<Posted, PostError> {
        self.post(&command.retry(&*self.entropy)).await
    }

    /// Accepts a command to be posted as by [`Self::post_again`], whether or not the queue's answer
    /// is awaited.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`]: as many wait to be sent as may await their results.
    pub fn accept_again(&self, command: &PreparedCommand) -> Result<PendingPost, PostError> {
        let message = command.retry(&*self.entropy).message();
        self.sender_of(command).accept(message)
    }

    /// Waits until the queues have answered for everything that was posted. [`Self::run`] is polled
    /// meanwhile, and nothing more is posted.
    pub async fn flushed(&self) {
        tokio::join!(self.commands.flushed(), self.restocks.flushed());
    }

    /// Registers for the result of a command that is about to be posted.
    ///
    /// `digest` is of the command's content, if it has one: a `COMMAND_ID_REUSED` that answers
    /// other content under the same identity is then ignored.
    ///
    /// # Errors
    ///
    /// [`RequestError::AlreadyAwaited`].
    pub fn register(
        &self,
        key: &CommandKey,
        digest: Option<Digest>,
    ) -> Result<PendingResult<'_>, RequestError> {
        let pending = self.waiters.register(key, digest);
        pending.ok_or_else(|| RequestError::AlreadyAwaited { key: key.clone() })
    }

    /// Posts a command once, as soon as fewer than [`ClientLimits::in_flight`] await their results,
    /// and waits for its result. The waiter is registered before the post.
    ///
    /// # Errors
    ///
    /// The command could not be posted, or no result arrived by the deadline.
    pub async fn request(&self, command: &PreparedCommand) -> Result<Reply, RequestError> {
        let key = &command.command.key;
        let not_posted = |error| RequestError::NotPosted { key: key.clone(), error };
        let _permit = self.in_flight.acquire().await.map_err(|_| not_posted(PostError::Stopped))?;
        let pending = self.register(key, Some(command.command.digest))?;
        let deadline = Instant::now() + self.deadline;
        let answered = timeout_at(deadline, async {
            let posted = self.post(command).await.map_err(not_posted)?;
            // The registry lives as long as the client, and drops no waiter without a result.
            let (result, at) = pending.result().await.ok_or_else(|| self.late(key))?;
            Ok(Reply { result, took: at.saturating_duration_since(posted.sent_at) })
        });
        answered.await.unwrap_or_else(|_| Err(self.late(key)))
    }

    /// Waits for the result of a command that was posted elsewhere, until the deadline from now.
    ///
    /// # Errors
    ///
    /// [`RequestError::DeadlinePassed`].
    pub async fn result_of(
        &self,
        key: &CommandKey,
        pending: PendingResult<'_>,
    ) -> Result<DecodedResult, RequestError> {
        let answered = timeout_at(Instant::now() + self.deadline, pending.result()).await;
        answered.ok().flatten().map(|(result, _)| result).ok_or_else(|| self.late(key))
    }

    /// Passes a result to the request that awaits it. Returns it if none does: a repetition, a
    /// result that arrived too late, or one of another producer's command.
    pub fn deliver(&self, result: DecodedResult) -> Option<DecodedResult> {
        self.waiters.deliver(result, Instant::now())
    }

    fn late(&self, key: &CommandKey) -> RequestError {
        RequestError::DeadlinePassed { key: key.clone(), within: self.deadline }
    }
}

/// Whether a result may answer a command of that content: the id of a `COMMAND_ID_REUSED` carries
/// the content that it answers.
fn may_answer(result: &DecodedResult, digest: Option<Digest>) -> bool {
    use crate::domain::RejectionCode::CommandIdReused;
    let rejection = result.rejection();
    let is_reuse = rejection.is_some_and(|rejection| rejection.code == CommandIdReused);
    let Some(digest) = digest.filter(|_| is_reuse) else { return true };
    result.id == result_id(&result.command.key, rejection, digest, result.time)
}

#[cfg(test)]
mod tests;
