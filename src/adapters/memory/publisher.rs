//! A FIFO topic in memory that keeps SNS's rules.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{MemoryQueue, dedup::Deduplication};
use crate::ports::{
    BatchAnswer, Clock, EntryError, OutgoingMessage, PortError, Publication, Publisher,
    publisher::{PUBLISH_BYTES_MAX, PUBLISH_ENTRIES_MAX},
    queue::{AttributeContent, MessageAttribute},
};

/// How many publications a live view may lag before it misses some.
const LIVE_VIEW_LAG_MAX: usize = 1_024;

/// A FIFO topic, `FifoThroughputScope=MessageGroup`: ids are deduplicated within their group for
/// five minutes. Delivers at once, by raw delivery, to the subscribed queues.
pub struct MemoryTopic {
    clock: Arc<dyn Clock>,
    record_max: usize,
    live: broadcast::Sender<Arc<Publication>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Deduplication<()>,
    record: VecDeque<Arc<Publication>>,
    subscriptions: Vec<Subscription>,
    undelivered: u64,
}

struct Subscription {
    queue: Arc<MemoryQueue>,
    filter: FilterPolicy,
}

/// A filter policy on message attributes by exact strings: an attribute named here must be present
/// with one of the values, or as an array that has one. An empty policy passes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterPolicy(pub BTreeMap<String, Vec<String>>);

impl FilterPolicy {
    /// Whether the publication passes.
    #[must_use]
    pub fn accepts(&self, publication: &Publication) -> bool {
        self.0.iter().all(|(name, texts)| {
            let Some(value) = publication.attributes.get(name.as_str()) else { return false };
            match publication.data_type(name) {
                "String.Array" => {
                    let values: Vec<String> = serde_json::from_str(value).unwrap_or_default();
                    values.iter().any(|value| texts.contains(value))
                }
                _ => texts.contains(value),
            }
        })
    }
}

impl MemoryTopic {
    /// A topic without subscribers that keeps a record of every publication.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (live, _) = broadcast::channel(LIVE_VIEW_LAG_MAX);
        Self { clock, record_max: usize::MAX, live, state: Mutex::default() }
    }

    /// The same topic with a record of only the last `max` publications, for long runs.
    #[must_use]
    pub fn with_record_of(mut self, max: usize) -> Self {
        self.record_max = max;
        self
    }

    /// Delivers publications that pass the filter to the queue from now on.
    pub fn subscribe(&self, queue: Arc<MemoryQueue>, filter: FilterPolicy) {
        self.state().subscriptions.push(Subscription { queue, filter });
    }

    /// Streams every publication from now on. A view that lags more than 1,024 behind misses some
    /// and is notified of it.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Publication>> {
        self.live.subscribe()
    }

    /// The recorded publications, the oldest first, without repetitions.
    #[must_use]
    pub fn published(&self) -> Vec<Arc<Publication>> {
        self.state().record.iter().cloned().collect()
    }

    /// How many deliveries the subscribed queues refused.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.state().undelivered
    }

    /// Forgets what was published within the deduplication interval.
    pub fn forget_deduplication(&self) {
        self.state().seen.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_one(&self, state: &mut State, publication: &Publication) -> Result<(), EntryError> {
        let now = self.clock.now();
        if publication.body.is_empty() {
            return Err(EntryError::Refused("the message is empty".to_owned()));
        }
        let mut buffer = uuid::Uuid::encode_buffer();
        let id: &str = publication.id.hyphenated().encode_lower(&mut buffer);
        if state.seen.find(&publication.group, id, now).is_some() {
            return Ok(());
        }
        state.seen.remember(&publication.group, id, now, ());
        for subscription in &state.subscriptions {
            if subscription.filter.accepts(publication)
                && subscription.queue.push(&raw_delivery(publication, id)).is_err()
            {
                // SNS: a raw delivery that the queue does not accept is discarded as a client-side
                // error.
                state.undelivered = state.undelivered.saturating_add(1);
            }
        }
        if self.record_max == 0 && self.live.receiver_count() == 0 {
            return Ok(());
        }
        let publication = Arc::new(publication.clone());
        // Without a live view, sending fails and nothing is lost.
        let _ = self.live.send(Arc::clone(&publication));
        if state.record.len() >= self.record_max {
            state.record.pop_front();
        }
        if self.record_max > 0 {
            state.record.push_back(publication);
        }
        Ok(())
    }
}

/// The message as the queue receives it: SNS passes on body, attributes, group and deduplication
/// id.
fn raw_delivery(publication: &Publication, id: &str) -> OutgoingMessage {
    let attributes = publication.attributes.iter();
    OutgoingMessage {
        group: publication.group.clone(),
        body: publication.body.clone(),
        deduplication_id: Some(id.to_owned()),
        attributes: attributes
            .map(|(name, value)| {
                let data_type = publication.data_type(name).to_owned();
                let value = AttributeContent::Text(value.clone());
                ((*name).to_owned(), MessageAttribute { data_type, value })
            })
            .collect(),
    }
}

#[async_trait]
impl Publisher for MemoryTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        if batch.is_empty() || batch.len() > PUBLISH_ENTRIES_MAX {
            return Err(PortError::Refused(format!(
                "{} entries in a batch, allowed is 1 to {PUBLISH_ENTRIES_MAX}",
                batch.len()
            )));
        }
        let bytes: usize = batch.iter().map(Publication::bytes).sum();
        if bytes > PUBLISH_BYTES_MAX {
            return Err(PortError::Refused(format!(
                "{bytes} bytes in a batch, at most {PUBLISH_BYTES_MAX} are taken \
                 (BatchRequestTooLong)"
            )));
        }
        let mut state = self.state();
        Ok(batch.iter().map(|publication| self.publish_one(&mut state, publication)).collect())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{adapters::memory::TokioClock, domain::Timestamp};

    fn publication(number: u128) -> Publication {
        Publication {
            id: Uuid::from_u128(number),
            group: "g".parse().unwrap(),
            body: "{}".to_owned(),
            attributes: BTreeMap::new(),
            is_batch: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_sees_what_is_published_once_and_the_record_keeps_the_last() {
        let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
        let topic = MemoryTopic::new(clock).with_record_of(2);
        let mut view = topic.watch();
        for number in [1, 2, 2, 3] {
            topic.publish(&[publication(number)]).await.unwrap();
        }
        let seen: Vec<u128> =
            std::iter::from_fn(|| view.try_recv().ok()).map(|seen| seen.id.as_u128()).collect();
        assert_eq!(seen, [1, 2, 3]);
        let kept: Vec<u128> = topic.published().iter().map(|kept| kept.id.as_u128()).collect();
        assert_eq!(kept, [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_queue_refuses_is_counted() {
        let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
        let topic = MemoryTopic::new(clock.clone());
        let queue = Arc::new(MemoryQueue::new("results.fifo", clock));
        topic.subscribe(Arc::clone(&queue), FilterPolicy::default());
        let mut wrong = publication(1);
        wrong.body = "\u{1}".to_owned();
        assert_eq!(topic.publish(&[wrong]).await.unwrap(), [Ok(())]);
        assert_eq!((topic.undelivered(), queue.depth()), (1, 0));
    }
}
