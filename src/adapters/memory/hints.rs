//! Hints in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

use super::after;
use crate::{
    domain::Timestamp,
    ports::{
        Clock, HintPublisher, HintSubscriber, HintSubscription, PortError,
        hints::{Frame, Received, TOPICS_MAX, Topic, Watched, decode, encode},
    },
};

/// Frames that a subscriber may be behind.
const BACKLOG_MAX: usize = 256;

/// Watches and subscriptions of this process, by the given clock. Frames pass as bytes, as they do
/// between processes.
pub struct MemoryHints {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: BTreeMap<Topic, Timestamp>,
    channels: BTreeMap<Topic, broadcast::Sender<Arc<[u8]>>>,
    failure: Option<PortError>,
}

impl MemoryHints {
    /// Nothing is watched, and nobody subscribes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// From now on every call fails and every subscription is lost, until it is called with `None`.
    pub fn fail(&self, failure: Option<PortError>) {
        let mut state = self.state();
        if failure.is_some() {
            state.channels.clear();
        }
        state.failure = failure;
    }

    /// Forgets every watch, as a Redis without persistence does when it restarts.
    pub fn forget_watches(&self) {
        self.state().watched.clear();
    }

    /// Hands bytes to whoever subscribes to the topic.
    pub fn publish_bytes(&self, topic: &Topic, bytes: &[u8]) {
        let state = self.state();
        if let Some(channel) = state.channels.get(topic) {
            // Nobody is there to receive it.
            let _ = channel.send(Arc::from(bytes));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, State>, PortError> {
        let state = self.state();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state),
        }
    }
}

#[async_trait]
impl HintPublisher for MemoryHints {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        let now = self.clock.now();
        let mut state = self.working()?;
        state.watched.retain(|_, until| *until > now);
        Ok(state.watched.keys().cloned().collect())
    }

    async fn publish(&self, topic: &Topic, frame: &Frame) -> Result<(), PortError> {
        drop(self.working()?);
        self.publish_bytes(topic, &encode(frame));
        Ok(())
    }
}

#[async_trait]
impl HintSubscriber for MemoryHints {
    async fn watch(&self, topics: &[Topic], lifetime: Duration) -> Result<Vec<Watched>, PortError> {
        let now = self.clock.now();
        let until = after(now, lifetime);
        let mut state = self.working()?;
        state.watched.retain(|_, until| *until > now);
        let mut answers = Vec::with_capacity(topics.len());
        for topic in topics {
            let is_full = state.watched.len() >= TOPICS_MAX;
            answers.push(match state.watched.get_mut(topic) {
                Some(end) => {
                    *end = until.max(*end);
                    Watched::Kept
                }
                None if is_full => Watched::Refused,
                None => {
                    state.watched.insert(topic.clone(), until);
                    Watched::Begun
                }
            });
        }
        Ok(answers)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Box<dyn HintSubscription>, PortError> {
        let mut state = self.working()?;
        state.channels.retain(|_, channel| channel.receiver_count() > 0);
        let channel = state.channels.entry(topic.clone());
        let channel = channel.or_insert_with(|| broadcast::Sender::new(BACKLOG_MAX));
        Ok(Box::new(Subscription(channel.subscribe())))
    }
}

struct Subscription(broadcast::Receiver<Arc<[u8]>>);

#[async_trait]
impl HintSubscription for Subscription {
    async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Ok(bytes) => decode(&bytes).map_or(Received::Undecodable, Received::Frame),
            Err(RecvError::Lagged(_)) => Received::Overflow,
            Err(RecvError::Closed) => Received::Lost,
        }
    }
}
