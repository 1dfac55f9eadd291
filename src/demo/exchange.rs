//! Between the demo and the worker: commands go into the queues, results come out of the topic.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::{
    tally::{Expected, ResultView, Tally},
    theatre::text,
};
use crate::{
    adapters::memory::MemoryQueue,
    app::embedded::Embedded,
    domain::{Action, CommandKey, GroupId, PoolId},
    message::{OutgoingCommand, default_group, encode_command},
    ports::{OutgoingMessage, Queue as _, ReceiveRequest, queue::BATCH_ENTRIES_MAX},
};

/// The `source` of the demo's commands.
const SOURCE: &str = "/demo/box-office";

/// The longest wait for a result; the worker's own retries end long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// Commands that wait for their results at a time, as a shop's waiting room lets so many in: more
/// would measure how long the queue is and not how fast it is worked off.
const WAITING_ROOM: usize = 32;

/// Posts commands, reads results, keeps the books.
pub struct Exchange {
    /// The backends in use.
    pub embedded: Embedded,
    results: Arc<MemoryQueue>,
    waiting_room: Semaphore,
    tally: Mutex<Tally>,
    waiting: Mutex<BTreeMap<CommandKey, oneshot::Sender<Reply>>>,
}

/// What a command came to.
pub struct Reply {
    /// The result.
    pub result: ResultView,
    /// Whether it is one of those expected.
    pub is_expected: bool,
}

/// A command to be posted.
pub struct Ask {
    /// Its id, unique in the demo unless that is the point.
    pub id: String,
    /// The pool it names.
    pub pool: PoolId,
    /// What it asks for.
    pub action: Action,
    /// Its group; one a pool without.
    pub group: Option<GroupId>,
    /// What it may come to.
    pub expected: Expected,
}

impl Exchange {
    /// On these backends.
    #[must_use]
    pub fn new(embedded: Embedded) -> Self {
        let results = embedded.subscribe("demo-results.fifo");
        Self {
            embedded,
            results,
            waiting_room: Semaphore::new(WAITING_ROOM),
            tally: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// The books.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity of the demo's command with that id.
    pub fn key(id: &str) -> anyhow::Result<CommandKey> {
        Ok(CommandKey { source: text(SOURCE)?, id: text(id)? })
    }

    /// Posts a command, once there is room, and waits for its result. `None` where none came: the books have it.
    pub async fn ask(&self, ask: Ask) -> anyhow::Result<Option<Reply>> {
        let key = Self::key(&ask.id)?;
        let _admitted = self.waiting_room.acquire().await?;
        let (tell, told) = oneshot::channel();
        self.waiting().insert(key.clone(), tell);
        self.tally().ask(&key, ask.expected, Instant::now());
        let queue = Arc::clone(self.embedded.queue_for(&ask.action));
        queue.push(&self.message(key, ask, None))?;
        Ok(tokio::time::timeout(PATIENCE, told).await.ok().and_then(Result::ok))
    }

    /// Posts a command once more, as a producer does that lost the answer to its first send and
    /// tries again after the queue has forgotten.
    pub fn repeat(&self, ask: Ask) -> anyhow::Result<()> {
        let key = Self::key(&ask.id)?;
        let deduplication_id = Some(format!("{}-again", ask.id));
        let queue = Arc::clone(self.embedded.queue_for(&ask.action));
        queue.push(&self.message(key, ask, deduplication_id))?;
        let mut tally = self.tally();
        tally.messages += 1;
        tally.repeated += 1;
        Ok(())
    }

    /// Posts any text. Waits for the result of the command of that id, where one is expected.
    pub async fn post_text(
        &self,
        group: &GroupId,
        body: String,
        answer: Option<(&str, Expected)>,
    ) -> anyhow::Result<Option<Reply>> {
        let told = match answer {
            Some((id, expected)) => {
                let key = Self::key(id)?;
                let (tell, told) = oneshot::channel();
                self.waiting().insert(key.clone(), tell);
                self.tally().ask(&key, expected, Instant::now());
                Some(told)
            }
            None => {
                let mut tally = self.tally();
                tally.messages += 1;
                tally.unreadable += 1;
                None
            }
        };
        let group = group.clone();
        let attributes = BTreeMap::new();
        let message = OutgoingMessage { group, body, deduplication_id: None, attributes };
        self.embedded.commands().push(&message)?;
        match told {
            Some(told) => Ok(tokio::time::timeout(PATIENCE, told).await.ok().and_then(Result::ok)),
            None => Ok(None),
        }
    }

    /// Reads results for as long as it is polled.
    pub async fn listen(&self) -> anyhow::Result<()> {
        loop {
            let request = ReceiveRequest {
                max: BATCH_ENTRIES_MAX,
                wait: Duration::from_secs(1),
                visibility: Duration::from_secs(60),
                attempt_id: self.embedded.backends.entropy.uuid().to_string(),
            };
            let deliveries = self.results.receive(&request).await?;
            let at = Instant::now();
            for delivery in &deliveries {
                self.take(&delivery.body, at);
            }
            let receipts: Vec<_> = deliveries.into_iter().map(|one| one.receipt).collect();
            if !receipts.is_empty() {
                self.results.delete(&receipts).await?;
            }
        }
    }

    fn take(&self, body: &str, at: Instant) {
        let result: ResultView = match serde_json::from_str(body) {
            Ok(result) => result,
            Err(error) => {
                self.tally().problems.push(format!("a result cannot be read: {error}"));
                return;
            }
        };
        let Some(is_expected) = self.tally().answer(&result, at) else { return };
        let waiting = self.waiting().remove(&result.key());
        if let Some(tell) = waiting {
            // Whoever asked may have lost patience.
            let _ = tell.send(Reply { result, is_expected });
        }
    }

    /// Whether nothing is under way: no command, and no result unread.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.embedded.is_idle() && self.results.depth() == 0
    }

    /// Waits until that hold has expired.
    pub async fn until_expired(&self, reservation_id: Uuid) {
        self.until(|| self.tally().has_expired(reservation_id)).await;
    }

    /// Waits for a condition, as long as for a result.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn message(&self, key: CommandKey, ask: Ask, id: Option<String>) -> OutgoingMessage {
        let group = ask.group.unwrap_or_else(|| default_group(&ask.pool, &ask.action));
        let time = self.embedded.backends.clock.now();
        let (pool, action) = (ask.pool, ask.action);
        let command = OutgoingCommand { key, time, pool, action, traceparent: None };
        OutgoingMessage {
            group,
            body: encode_command(&command),
            deduplication_id: id,
            attributes: BTreeMap::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<CommandKey, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
