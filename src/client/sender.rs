//! Sends messages in full batches.

use std::sync::Arc;

use futures::future::join_all;
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::Instant,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::command::message_bytes;
use crate::ports::{
    EntryError, OutgoingMessage, PortError, Queue,
    queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
};

/// Concurrent calls per queue.
const CALLS: usize = 8;

/// A queue, and the messages to be sent to it: messages posted while all calls are in progress
/// share the next call.
pub(super) struct Sender {
    queue: Arc<dyn Queue>,
    outbox: mpsc::Sender<Outgoing>,
    inbox: Mutex<Inbox>,
    unanswered: TaskTracker,
}

/// The source of each call's messages.
struct Inbox {
    messages: mpsc::Receiver<Outgoing>,
    /// The message that did not fit the last call.
    held_over: Option<Outgoing>,
}

struct Outgoing {
    message: OutgoingMessage,
    answer: oneshot::Sender<Result<Posted, PostError>>,
    unanswered: TaskTrackerToken,
}

impl Outgoing {
    fn bytes(&self) -> usize {
        message_bytes(&self.message.body, &self.message.attributes)
    }
}

/// A message that the queue accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The queue's id for it; for a repetition, the id of the first message.
    pub message_id: String,
    /// When the call that sent it started.
    pub sent_at: Instant,
}

/// A message that, as far as is known, was not posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The call failed as a whole. [`PortError::Unavailable`]: the queue may have accepted the
    /// message.
    #[error(transparent)]
    Call(#[from] PortError),
    /// The queue accepted other messages of the call, but not this one.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// As many messages wait to be sent as may.
    #[error("too many messages wait to be sent")]
    Full,
    /// The client ended before it was sent.
    #[error("the client has stopped sending")]
    Stopped,
}

/// A message that is sent, whether or not this is awaited.
pub struct PendingPost(oneshot::Receiver<Result<Posted, PostError>>);

impl PendingPost {
    /// Waits for the queue's answer.
    ///
    /// # Errors
    ///
    /// The queue did not accept it, or its answer was lost.
    pub async fn answer(self) -> Result<Posted, PostError> {
        self.0.await.unwrap_or(Err(PostError::Stopped))
    }
}

impl Sender {
    /// A sender that holds up to `room` messages, at least one, until they are sent.
    pub(super) fn new(queue: Arc<dyn Queue>, room: usize) -> Self {
        let (outbox, messages) = mpsc::channel(room.max(1));
        let inbox = Mutex::new(Inbox { messages, held_over: None });
        Self { queue, outbox, inbox, unanswered: TaskTracker::new() }
    }

    /// Sends a message, and waits for the queue's answer. Messages posted at the same time, even in
    /// one group, may be sent in any order.
    ///
    /// # Errors
    ///
    /// The queue did not accept it, or its answer was lost.
    pub(super) async fn post(&self, message: OutgoingMessage) -> Result<Posted, PostError> {
        let (outgoing, answered) = self.outgoing(message);
        self.outbox.send(outgoing).await.map_err(|_| PostError::Stopped)?;
        answered.answer().await
    }

    /// Accepts a message, to be sent whether or not the queue's answer is awaited.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`].
    pub(super) fn accept(&self, message: OutgoingMessage) -> Result<PendingPost, PostError> {
        let (outgoing, answered) = self.outgoing(message);
        self.outbox.try_send(outgoing).map_err(|error| match error {
            TrySendError::Full(_) => PostError::Full,
            TrySendError::Closed(_) => PostError::Stopped,
        })?;
        Ok(answered)
    }

    fn outgoing(&self, message: OutgoingMessage) -> (Outgoing, PendingPost) {
        let (answer, answered) = oneshot::channel();
        let unanswered = self.unanswered.token();
        (Outgoing { message, answer, unanswered }, PendingPost(answered))
    }

    /// Waits until the queue has answered for every message. No more may be posted meanwhile.
    pub(super) async fn flushed(&self) {
        self.unanswered.close();
        self.unanswered.wait().await;
    }

    /// Sends posted messages for as long as it is polled.
    pub(super) async fn run(&self) {
        join_all((0..CALLS).map(|_| self.send_batches())).await;
    }

    async fn send_batches(&self) {
        while let Some(batch) = self.next_batch().await {
            let (messages, answers): (Vec<_>, Vec<_>) = batch
                .into_iter()
                .map(|outgoing| (outgoing.message, (outgoing.answer, outgoing.unanswered)))
                .unzip();
            let sent_at = Instant::now();
            let sent = self.queue.send(&messages).await;
            let mut entries = match sent {
                Ok(entries) => entries.into_iter().map(|entry| entry.map_err(Into::into)).collect(),
                Err(error) => vec![Err(PostError::from(error)); messages.len()],
            }
            .into_iter();
            for (answer, _unanswered) in answers {
                let unanswered = || Err(EntryError::Retryable("no answer".to_owned()).into());
                let entry: Result<String, PostError> = entries.next().unwrap_or_else(unanswered);
                if let Err(error) = &entry {
                    tracing::warn!(queue = self.queue.name(), %error, "a message was not posted");
                }
                // A caller that has dropped its receiver needs no answer.
                let _ = answer.send(entry.map(|message_id| Posted { message_id, sent_at }));
            }
        }
    }

    /// The next message, and those after it that fit the same call.
    async fn next_batch(&self) -> Option<Vec<Outgoing>> {
        let mut inbox = self.inbox.lock().await;
        let first = match inbox.held_over.take() {
            Some(outgoing) => outgoing,
            None => inbox.messages.recv().await?,
        };
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_ENTRIES_MAX {
            let Ok(next) = inbox.messages.try_recv() else { break };
            bytes += next.bytes();
            if bytes > MESSAGE_BYTES_MAX {
                inbox.held_over = Some(next);
                break;
            }
            batch.push(next);
        }
        Some(batch)
    }
}
