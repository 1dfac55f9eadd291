//! The post: commands out in full batches, results back to whoever asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

use super::{Ports, Progress, Summary, tally::Tally};
use crate::{
    domain::{
        Action, CommandId, CommandKey, CommandType, GroupId, PoolId, ReservationId, Source,
        Timestamp,
    },
    message::{OutgoingCommand, default_group, encode_command},
    ports::{
        Clock, Entropy, OutgoingMessage, PortError, Queue, ReceiveRequest,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
};

/// Sends under way at once, each queue.
const SENDERS: usize = 8;

/// Results that were received are hidden for so long; they are deleted at once.
const VISIBILITY: Duration = Duration::from_secs(60);

/// How long a receive of results waits. Short, so that a storm ends soon.
const LONG_POLL: Duration = Duration::from_secs(2);

/// The pause after a receive that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Posts commands and reads results.
pub(super) struct LoadClient {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    source: Source,
    timeout: Duration,
    results: Arc<dyn Queue>,
    commands: SendQueue,
    restocks: SendQueue,
    under_way: Semaphore,
    waiting: Mutex<BTreeMap<CommandId, Waiting>>,
    tally: Mutex<Tally>,
}

/// A queue, and the messages that are about to be sent to it.
struct SendQueue {
    queue: Arc<dyn Queue>,
    post: mpsc::Sender<Outgoing>,
    inbox: tokio::sync::Mutex<Inbox>,
}

/// What senders take their messages from.
struct Inbox {
    messages: mpsc::Receiver<Outgoing>,
    /// The one that did not fit the last call.
    held_over: Option<Outgoing>,
}

struct Outgoing {
    id: CommandId,
    message: OutgoingMessage,
}

/// Somebody who waits for a result.
struct Waiting {
    tell: oneshot::Sender<Answer>,
    command_type: CommandType,
    sent: Instant,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The reservation, where the outcome has one.
    pub(super) reservation_id: Option<ReservationId>,
    /// Seats that stood in the way.
    pub(super) taken: Vec<String>,
    /// Whether it was rejected.
    pub(super) is_rejected: bool,
}

/// What a storm reads of a result.
#[derive(Deserialize)]
struct ResultBody {
    r#type: String,
    data: ResultData,
}

#[derive(Deserialize)]
struct ResultData {
    command: CommandRef,
    reservation: Option<ReservationRef>,
    rejection: Option<RejectionRef>,
}

#[derive(Deserialize)]
struct CommandRef {
    source: String,
    id: CommandId,
}

#[derive(Deserialize)]
struct ReservationRef {
    reservation_id: Uuid,
}

#[derive(Deserialize)]
struct RejectionRef {
    code: String,
    #[serde(default)]
    seats: Vec<String>,
}

impl SendQueue {
    fn new(queue: Arc<dyn Queue>, room: usize) -> Self {
        let (post, messages) = mpsc::channel(room.max(1));
        Self { queue, post, inbox: tokio::sync::Mutex::new(Inbox { messages, held_over: None }) }
    }
}

impl LoadClient {
    pub(super) fn new(ports: Ports, source: Source, in_flight: usize, timeout: Duration) -> Self {
        Self {
            clock: ports.clock,
            entropy: ports.entropy,
            source,
            timeout,
            results: ports.results,
            commands: SendQueue::new(ports.commands, in_flight),
            restocks: SendQueue::new(ports.restocks, in_flight),
            under_way: Semaphore::new(in_flight.max(1)),
            waiting: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// Sets senders to work.
    pub(super) fn start_posting(self: &Arc<Self>, tasks: &mut JoinSet<anyhow::Result<()>>) {
        for _ in 0..SENDERS {
            for is_restock in [false, true] {
                let client = Arc::clone(self);
                tasks.spawn(async move {
                    let outgoing = if is_restock { &client.restocks } else { &client.commands };
                    client.post(outgoing).await;
                    Ok(())
                });
            }
        }
    }

    /// From here on it counts.
    pub(super) fn begin(&self, whole: u64, unit: &'static str) {
        self.tally().begin(whole, unit);
    }

    pub(super) fn buyer_left(&self) {
        self.tally().buyer_left();
    }

    pub(super) fn progress(&self) -> Progress {
        self.tally().progress()
    }

    pub(super) fn close(
        &self,
        storm: &'static str,
        took: Duration,
        calls: BTreeMap<&'static str, u64>,
    ) -> Summary {
        self.tally().summary(storm, took.as_secs_f64(), calls)
    }

    /// Posts a command, once there is room, and waits for its outcome; `None` where it could not be
    /// sent, or none came in time.
    ///
    /// # Errors
    ///
    /// The senders are gone.
    pub(super) async fn ask(
        &self,
        pool: &PoolId,
        group: Option<GroupId>,
        action: impl FnOnce(&CommandKey) -> Action,
    ) -> anyhow::Result<Option<Answer>> {
        let _room = self.under_way.acquire().await?;
        let id: CommandId = self.entropy.uuid().to_string().parse()?;
        let key = CommandKey { source: self.source.clone(), id: id.clone() };
        let action = action(&key);
        let command_type = action.command_type();
        let message = message(key, pool, group, action, self.clock.now());
        let (tell, told) = oneshot::channel();
        let waiting = Waiting { tell, command_type, sent: Instant::now() };
        self.waiting().insert(id.clone(), waiting);
        let outgoing =
            if command_type == CommandType::Restock { &self.restocks } else { &self.commands };
        outgoing.post.send(Outgoing { id: id.clone(), message }).await?;
        match tokio::time::timeout(self.timeout, told).await {
            Ok(answer) => Ok(answer.ok()),
            Err(_) => {
                self.waiting().remove(&id);
                self.tally().unanswered();
                Ok(None)
            }
        }
    }

    /// Sends what is posted, as many at a time as there are, for as long as it is polled.
    async fn post(&self, outgoing: &SendQueue) {
        while let Some(messages) = collect(&outgoing.inbox).await {
            let (ids, messages): (Vec<CommandId>, Vec<OutgoingMessage>) =
                messages.into_iter().map(|letter| (letter.id, letter.message)).unzip();
            let now = Instant::now();
            for id in &ids {
                if let Some(waiting) = self.waiting().get_mut(id) {
                    waiting.sent = now;
                }
            }
            let taken: Vec<bool> = match outgoing.queue.send(&messages).await {
                Ok(answers) => answers
                    .into_iter()
                    .map(|answer| answer.inspect_err(|error| warn(&*outgoing.queue, error)).is_ok())
                    .collect(),
                Err(error) => {
                    warn(&*outgoing.queue, &error);
                    vec![false; ids.len()]
                }
            };
            for (place, id) in ids.iter().enumerate() {
                if taken.get(place).copied().unwrap_or(false) {
                    self.tally().sent();
                } else {
                    // Whoever waits is told by the end of the channel.
                    self.waiting().remove(id);
                    self.tally().not_sent();
                }
            }
        }
    }

    /// Reads results for as long as it is polled.
    ///
    /// # Errors
    ///
    /// The queue of results is gone.
    pub(super) async fn listen(&self) -> anyhow::Result<()> {
        loop {
            let request = ReceiveRequest {
                max: BATCH_ENTRIES_MAX,
                wait: LONG_POLL,
                visibility: VISIBILITY,
                attempt_id: self.entropy.uuid().to_string(),
            };
            let deliveries = match self.results.receive(&request).await {
                Ok(deliveries) => deliveries,
                Err(PortError::Refused(why)) => anyhow::bail!("results cannot be received: {why}"),
                Err(error) => {
                    warn(&*self.results, &error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            for delivery in &deliveries {
                self.take(&delivery.body);
            }
            let receipts: Vec<_> = deliveries.into_iter().map(|one| one.receipt).collect();
            // What is not deleted comes again, and is a stray then.
            if let Err(error) = self.results.delete(&receipts).await {
                warn(&*self.results, &error);
            }
        }
    }

    fn take(&self, body: &str) {
        let result: ResultBody = match serde_json::from_str(body) {
            Ok(result) => result,
            Err(error) => {
                tracing::warn!(%error, "a result cannot be read");
                return;
            }
        };
        let ResultData { command, reservation, rejection } = result.data;
        // A subscription may let others' results through.
        if command.source != self.source.as_str() {
            return;
        }
        let Some(waiting) = self.waiting().remove(&command.id) else {
            self.tally().stray();
            return;
        };
        let code = rejection.as_ref().map(|rejection| rejection.code.as_str());
        self.tally().answered(waiting.command_type, waiting.sent, &result.r#type, code);
        let answer = Answer {
            reservation_id: reservation.map(|found| ReservationId(found.reservation_id)),
            is_rejected: rejection.is_some(),
            taken: rejection.map(|rejection| rejection.seats).unwrap_or_default(),
        };
        // Whoever asked may have lost timeout.
        let _ = waiting.tell.send(answer);
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<CommandId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(queue: &dyn Queue, error: &dyn std::error::Error) {
    tracing::warn!(queue = queue.name(), %error, "a call of the storm failed");
}

/// The next letter, and those behind it that fit the same call.
async fn collect(inbox: &tokio::sync::Mutex<Inbox>) -> Option<Vec<Outgoing>> {
    let mut inbox = inbox.lock().await;
    let first = match inbox.held_over.take() {
        Some(letter) => letter,
        None => inbox.messages.recv().await?,
    };
    let mut bytes = first.message.body.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_ENTRIES_MAX {
        let Ok(next) = inbox.messages.try_recv() else { break };
        bytes += next.message.body.len();
        if bytes > MESSAGE_BYTES_MAX {
            inbox.held_over = Some(next);
            break;
        }
        batch.push(next);
    }
    Some(batch)
}

fn message(
    key: CommandKey,
    pool: &PoolId,
    group: Option<GroupId>,
    action: Action,
    time: Timestamp,
) -> OutgoingMessage {
    let group = group.unwrap_or_else(|| default_group(pool, &action));
    let command = OutgoingCommand { key, time, pool: pool.clone(), action, traceparent: None };
    OutgoingMessage {
        group,
        body: encode_command(&command),
        deduplication_id: None,
        attributes: BTreeMap::new(),
    }
}
