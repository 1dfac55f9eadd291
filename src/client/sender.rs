//! Sends commands. Those of one group that arrive while a call has others of it share the next
//! message, so that a group goes as fast as its queue takes messages, times the commands in each.
//!
//! ```text
//! post, accept ─► Groups: what waits, in the order of arrival ─► calls, 8 at a time ─► queue
//!                    ▲                                             │
//!                    └── a group's next, once its call is over ◄───┘
//! ```
//!
//! One call at a time has messages of a group: its commands come to the queue in the order of their
//! arrival. Nothing waits for others to come: what finds its group idle is sent at once, alone.

mod groups;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::{
    sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use self::groups::{Groups, Joined, Outgoing};
use crate::{
    domain::GroupId,
    message::BATCH_COMMANDS_MAX,
    ports::{BatchAnswer, EntryError, OutgoingMessage, PortError, Queue},
};

/// Concurrent calls per queue.
const CALLS: usize = 8;

/// Watches what is sent. Never waited for.
pub trait PostObserver: Send + Sync {
    /// The queue accepted a message of that many commands.
    fn posted(&self, commands: usize);
}

/// Measures nothing.
pub(super) struct NoopPostObserver;

impl PostObserver for NoopPostObserver {
    fn posted(&self, _: usize) {}
}

/// A queue, and the commands to be sent to it.
pub struct Sender {
    queue: Arc<dyn Queue>,
    groups: Mutex<Groups>,
    ready: Notify,
    room: Arc<Semaphore>,
    unanswered: TaskTracker,
    observer: Arc<dyn PostObserver>,
}

/// A call under way. Its groups' next commands are ready once it is dropped.
struct Call<'a> {
    sender: &'a Sender,
    groups: Vec<GroupId>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.sender.lock().finish(&self.groups);
        self.sender.ready.notify_one();
    }
}

/// A message that the queue accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The queue's id for its message, which may be of several commands; for a repetition, the id of
    /// the first message.
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
    /// The queue accepted other messages of the call, but not this one, whose other commands fail
    /// with it.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// As many commands wait to be sent as may, in all or in its group.
    #[error("too many commands wait to be sent")]
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
    /// A sender that holds up to `room` commands, at least one, until the queue has answered, and
    /// puts up to `commands_per_message` of a group, 1…[`BATCH_COMMANDS_MAX`], into a message.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, room: usize, commands_per_message: usize) -> Self {
        Self {
            queue,
            groups: Mutex::new(Groups::new(commands_per_message.clamp(1, BATCH_COMMANDS_MAX))),
            ready: Notify::new(),
            room: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))),
            unanswered: TaskTracker::new(),
            observer: Arc::new(NoopPostObserver),
        }
    }

    /// The same, watched.
    pub(super) fn observed(self, observer: Arc<dyn PostObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Sends a command, and waits for the queue's answer.
    ///
    /// # Errors
    ///
    /// The queue did not accept it, or its answer was lost.
    pub async fn post(&self, message: OutgoingMessage) -> Result<Posted, PostError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_: AcquireError| PostError::Stopped)?;
        let pending = self.push(&mut self.lock(), message, room);
        pending.answer().await
    }

    /// Accepts a command, to be sent whether or not the queue's answer is awaited.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`].
    pub(super) fn accept(&self, message: OutgoingMessage) -> Result<PendingPost, PostError> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|error| match error {
            TryAcquireError::NoPermits => PostError::Full,
            TryAcquireError::Closed => PostError::Stopped,
        })?;
        let mut groups = self.lock();
        match groups.is_full(&message.group) {
            true => Err(PostError::Full),
            false => Ok(self.push(&mut groups, message, room)),
        }
    }

    fn push(
        &self,
        groups: &mut Groups,
        message: OutgoingMessage,
        room: OwnedSemaphorePermit,
    ) -> PendingPost {
        let (answer, answered) = oneshot::channel();
        let unanswered = self.unanswered.token();
        groups.push(Outgoing { message, answer, unanswered, room, is_alone: false });
        self.ready.notify_one();
        PendingPost(answered)
    }

    /// Waits until the queue has answered for every command. No more may be posted meanwhile.
    pub(super) async fn flushed(&self) {
        self.unanswered.close();
        self.unanswered.wait().await;
    }

    /// Sends posted commands for as long as it is polled.
    pub async fn run(&self) {
        join_all((0..CALLS).map(|_| self.make_calls())).await;
    }

    async fn make_calls(&self) {
        loop {
            match self.next_call() {
                Some((call, messages)) => self.make(call, messages).await,
                None => self.ready.notified().await,
            }
        }
    }

    fn next_call(&self) -> Option<(Call<'_>, Vec<Joined>)> {
        let (messages, are_more_ready) = {
            let mut groups = self.lock();
            (groups.next_call(), groups.is_ready())
        };
        if are_more_ready {
            self.ready.notify_one();
        }
        let groups = messages.iter().filter_map(|joined| joined.0.first());
        let groups: Vec<_> = groups.map(|first| first.message.group.clone()).collect();
        // The call locks the groups when it ends.
        (!messages.is_empty()).then(|| (Call { sender: self, groups }, messages))
    }

    async fn make(&self, _call: Call<'_>, messages: Vec<Joined>) {
        let outgoing: Vec<_> = messages.iter().filter_map(Joined::message).collect();
        let sent_at = Instant::now();
        let sent = self.queue.send(&outgoing).await;
        self.settle(messages, sent, sent_at);
    }

    /// Answers each command with what came of its message.
    fn settle(
        &self,
        messages: Vec<Joined>,
        sent: Result<BatchAnswer<String>, PortError>,
        sent_at: Instant,
    ) {
        let mut entries = match sent {
            Ok(entries) => entries.into_iter().map(|entry| entry.map_err(Into::into)).collect(),
            Err(error) => vec![Err(PostError::from(error)); messages.len()],
        }
        .into_iter();
        for joined in messages {
            let unanswered = || Err(EntryError::Retryable("no answer".to_owned()).into());
            let entry: Result<String, PostError> = entries.next().unwrap_or_else(unanswered);
            let commands = joined.0.len();
            match &entry {
                Ok(_) => self.observer.posted(commands),
                Err(error) => {
                    tracing::warn!(
                        queue = self.queue.name(),
                        commands,
                        %error,
                        "a message was not posted"
                    );
                }
            }
            // One command may be the cause, or their sum.
            if commands > 1 && matches!(&entry, Err(PostError::Entry(EntryError::Refused(_)))) {
                self.lock().put_back_apart(joined);
                continue;
            }
            for (place, outgoing) in joined.0.into_iter().enumerate() {
                let entry = match place > 0 && injected_bug!(TellFirstAlone) {
                    true => Ok(String::new()),
                    false => entry.clone(),
                };
                let entry = entry.map(|message_id| Posted { message_id, sent_at });
                let Outgoing { answer, unanswered, room, .. } = outgoing;
                // A caller that has dropped its receiver needs no answer.
                let _ = answer.send(entry);
                drop((unanswered, room));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        // Nothing panics while it is held.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
