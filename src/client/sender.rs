//! Messages out in full batches.

use std::sync::Arc;

use futures::future::join_all;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Instant,
};

use super::command::message_bytes;
use crate::ports::{
    EntryError, OutgoingMessage, PortError, Queue,
    queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
};

/// Calls under way at once, each queue.
const CALLS: usize = 8;

/// A queue, and the messages that are about to be sent to it: what is posted while all calls are
/// under way shares the next one.
pub(super) struct Sender {
    queue: Arc<dyn Queue>,
    outbox: mpsc::Sender<Outgoing>,
    inbox: Mutex<Inbox>,
}

/// What calls take their messages from.
struct Inbox {
    messages: mpsc::Receiver<Outgoing>,
    /// The one that did not fit the last call.
    held_over: Option<Outgoing>,
}

struct Outgoing {
    message: OutgoingMessage,
    answer: oneshot::Sender<Result<Posted, PostError>>,
}

impl Outgoing {
    fn bytes(&self) -> usize {
        message_bytes(&self.message.body, &self.message.attributes)
    }
}

/// A message that the queue took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The queue's id for it; that of the first message where it is a repetition.
    pub message_id: String,
    /// When the call that sent it began.
    pub sent_at: Instant,
}

/// A message that was not posted, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The call failed as a whole. [`PortError::Unavailable`]: the message may have been taken.
    #[error(transparent)]
    Call(#[from] PortError),
    /// The queue took others of the call, and not this one.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The client ended before it was sent.
    #[error("the client has stopped sending")]
    Stopped,
}

impl Sender {
    /// A sender that holds so many messages until they are sent, at least one.
    pub(super) fn new(queue: Arc<dyn Queue>, room: usize) -> Self {
        let (outbox, messages) = mpsc::channel(room.max(1));
        Self { queue, outbox, inbox: Mutex::new(Inbox { messages, held_over: None }) }
    }

    /// Hands over a message, and waits for the queue's answer. Of messages that are posted at the
    /// same time, also in one group, any may come first.
    ///
    /// # Errors
    ///
    /// The queue did not take it, or its answer was lost.
    pub(super) async fn post(&self, message: OutgoingMessage) -> Result<Posted, PostError> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { message, answer };
        self.outbox.send(outgoing).await.map_err(|_| PostError::Stopped)?;
        answered.await.unwrap_or(Err(PostError::Stopped))
    }

    /// Sends what is posted, for as long as it is polled.
    pub(super) async fn run(&self) {
        join_all((0..CALLS).map(|_| self.send_batches())).await;
    }

    async fn send_batches(&self) {
        while let Some(batch) = self.next_batch().await {
            let (messages, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|outgoing| (outgoing.message, outgoing.answer)).unzip();
            let sent_at = Instant::now();
            let sent = self.queue.send(&messages).await;
            let mut entries = match sent {
                Ok(entries) => entries.into_iter().map(|entry| entry.map_err(Into::into)).collect(),
                Err(error) => vec![Err(PostError::from(error)); messages.len()],
            }
            .into_iter();
            for answer in answers {
                let unanswered = || Err(EntryError::Retryable("no answer".to_owned()).into());
                let entry: Result<String, PostError> = entries.next().unwrap_or_else(unanswered);
                if let Err(error) = &entry {
                    tracing::warn!(queue = self.queue.name(), %error, "a message was not posted");
                }
                // A caller that has gone away needs no answer.
                let _ = answer.send(entry.map(|message_id| Posted { message_id, sent_at }));
            }
        }
    }

    /// The next message, and those behind it that fit the same call.
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
