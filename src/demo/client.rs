//! Connects the demo to the worker: sends commands to the queues, and reads results from the topic.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    expectations::{Expectations, ExpectedOutcomes},
    venue::text,
};
use crate::{
    adapters::memory::MemoryQueue,
    app::embedded::Embedded,
    client::{
        Client, ClientLimits, ClientPorts, PreparedCommand, Reply, RequestError, ResultSubscription,
    },
    domain::{Action, CommandKey, GroupId, PoolId, ReservationId},
    message::{DecodedResult, InvalidResult},
    ports::{OutgoingMessage, Queue},
};

/// The `source` of the demo's commands.
const SOURCE: &str = "/demo/box-office";

/// The longest wait for a result; the worker's own retries end long before.
const DEADLINE: Duration = Duration::from_secs(30);

/// Commands that await their results at a time. With more, the times would measure the length of
/// the queue rather than the speed of the worker.
const IN_FLIGHT: usize = 32;

/// The interval between two checks of a condition.
const POLL: Duration = Duration::from_millis(10);

/// Posts commands, reads results, and compares them with the expected ones.
pub struct DemoClient {
    /// The backends in use.
    pub embedded: Arc<Embedded>,
    client: Client,
    results: Arc<MemoryQueue>,
    subscription: ResultSubscription,
    expectations: Mutex<Expectations>,
}

/// An awaited result.
pub struct CheckedResult {
    /// The result.
    pub result: DecodedResult,
    /// Whether it is one of the expected results.
    pub is_expected: bool,
}

/// A command to be posted.
pub struct ScriptedCommand {
    /// Its id, unique in the demo unless a scene reuses it.
    pub id: String,
    /// The pool it names.
    pub pool: PoolId,
    /// The requested action.
    pub action: Action,
    /// Its group; `None` for the pool's.
    pub group: Option<GroupId>,
    /// Its possible outcomes.
    pub expected: ExpectedOutcomes,
}

impl DemoClient {
    /// A client on these backends.
    #[must_use]
    pub fn new(embedded: Arc<Embedded>) -> Self {
        let results = embedded.subscribe("demo-results.fifo");
        let (clock, entropy) = (&embedded.backends.clock, &embedded.backends.entropy);
        let queue: Arc<dyn Queue> = results.clone();
        let ports = ClientPorts {
            commands: embedded.commands().clone(),
            restocks: embedded.restocks().clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
        };
        let limits = ClientLimits { in_flight: IN_FLIGHT, deadline: DEADLINE };
        Self {
            client: Client::new(ports, limits),
            subscription: ResultSubscription::new(queue, Arc::clone(entropy)),
            embedded,
            results,
            expectations: Mutex::default(),
        }
    }

    /// The expectations, and the results so far.
    pub fn expectations(&self) -> MutexGuard<'_, Expectations> {
        self.expectations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity of the demo's command with that id.
    pub fn key(id: &str) -> anyhow::Result<CommandKey> {
        Ok(CommandKey { source: text(SOURCE)?, id: text(id)? })
    }

    /// Sends commands for as long as it is polled.
    pub async fn send(&self) {
        self.client.run().await;
    }

    /// Posts a command and waits for its result. `None` if none arrives; the expectations then miss
    /// an outcome.
    pub async fn request(&self, command: ScriptedCommand) -> anyhow::Result<Option<CheckedResult>> {
        let expected = command.expected;
        let command = self.prepare(command)?;
        self.expectations().expect(&command.command.key, expected);
        match self.client.request(&command).await {
            Ok(Reply { result, took }) => {
                self.expectations().took(took);
                Ok(Some(self.checked(result)))
            }
            Err(RequestError::DeadlinePassed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Posts a command again, as a producer does that lost the answer to its first post and retries
    /// after the queue's deduplication interval.
    pub async fn repeat(&self, command: ScriptedCommand) -> anyhow::Result<()> {
        self.client.post_again(&self.prepare(command)?).await?;
        let mut expectations = self.expectations();
        expectations.messages += 1;
        expectations.repeated += 1;
        Ok(())
    }

    /// Posts any text. Waits for the result of the command of that id, if one is expected.
    pub async fn post_text(
        &self,
        group: &GroupId,
        body: String,
        answer: Option<(&str, ExpectedOutcomes)>,
    ) -> anyhow::Result<Option<CheckedResult>> {
        let (group, attributes) = (group.clone(), BTreeMap::new());
        let message = OutgoingMessage { group, body, deduplication_id: None, attributes };
        let Some((id, expected)) = answer else {
            self.embedded.commands().push(&message)?;
            let mut expectations = self.expectations();
            expectations.messages += 1;
            expectations.unreadable += 1;
            return Ok(None);
        };
        let key = Self::key(id)?;
        let pending = self.client.register(&key, None)?;
        self.expectations().expect(&key, expected);
        self.embedded.commands().push(&message)?;
        let result = self.client.result_of(&key, pending).await;
        Ok(result.ok().map(|result| self.checked(result)))
    }

    /// Reads results for as long as it is polled.
    pub async fn listen(&self) -> anyhow::Result<Infallible> {
        Ok(self.subscription.run(|result| self.take(result)).await?)
    }

    fn take(&self, result: Result<DecodedResult, InvalidResult>) {
        match result {
            Err(error) => {
                self.expectations().problems.push(format!("a result cannot be read: {error}"));
            }
            Ok(result) => {
                let is_repetition = !self.expectations().record(&result);
                if !is_repetition {
                    // An expiry's result has no waiter.
                    let _ = self.client.deliver(result);
                }
            }
        }
    }

    fn checked(&self, result: DecodedResult) -> CheckedResult {
        let is_expected = self.expectations().was_expected(&result);
        CheckedResult { result, is_expected }
    }

    /// Whether no command is in flight and no result is unread.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.embedded.is_idle() && self.results.depth() == 0
    }

    /// Waits until that hold has expired.
    pub async fn until_expired(&self, reservation_id: ReservationId) {
        self.until(|| self.expectations().has_expired(reservation_id)).await;
    }

    /// Waits for a condition, at most as long as for a result.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }

    fn prepare(&self, command: ScriptedCommand) -> anyhow::Result<PreparedCommand> {
        let ScriptedCommand { id, pool, action, group, expected: _ } = command;
        Ok(self.client.prepare(Self::key(&id)?, pool, group, action)?)
    }
}
