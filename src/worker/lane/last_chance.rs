//! Copies messages before their queue drops or moves them by itself.
//!
//! A queue drops messages at the end of their retention, and moves those received too often to its
//! dead-letter queue without recording when they were first sent. The worker does both earlier,
//! with everything it knows of the message. The limits are the queue's own: an operator may have
//! set them lower.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::warn;

use super::{LaneContext, LeasedMessage};
use crate::{
    ports::{PortError, Queue, QueueLimits},
    worker::{QueuePair, dead_letters::Reason, failure::Failure},
};

/// How long before the end of its retention a message is copied: a day, to survive an outage at
/// that moment, or a quarter of a short retention.
const RETENTION_MARGIN: Duration = Duration::from_secs(86_400);

/// A message is copied when one in this many of the receives that its queue allows is left, so that
/// several workers in a row may crash before they reach it.
const RECEIVES_MARGIN: u32 = 100;

/// How long limits are cached, and how long until a queue that did not report them is asked again.
const KNOWN_FOR: Duration = Duration::from_secs(600);
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// The limits of a queue and of its dead-letter queue, read when first needed and refreshed
/// periodically.
pub(in crate::worker) struct KnownLimits {
    queue: Known,
    dead_letters: Known,
}

struct Known {
    queue: Arc<dyn Queue>,
    asked: Mutex<Option<(Instant, Result<QueueLimits, PortError>)>>,
}

impl KnownLimits {
    pub(in crate::worker) fn new(pair: &QueuePair) -> Arc<Self> {
        let known =
            |queue: &Arc<dyn Queue>| Known { queue: Arc::clone(queue), asked: Mutex::default() };
        let (queue, dead_letters) = (known(&pair.queue), known(&pair.dead_letters));
        Arc::new(Self { queue, dead_letters })
    }

    pub(super) async fn of_dead_letters(&self) -> Result<QueueLimits, PortError> {
        self.dead_letters.get().await
    }

    /// The queue's limits, if it reports them; otherwise a failing message is checked at a later
    /// receive.
    async fn of_queue(&self) -> Option<QueueLimits> {
        self.queue.get().await.ok()
    }
}

impl Known {
    async fn get(&self) -> Result<QueueLimits, PortError> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((since, answer)) = asked {
            let lasts = if answer.is_ok() { KNOWN_FOR } else { UNKNOWN_FOR };
            if since.elapsed() < lasts {
                return answer;
            }
        }
        let answer = self.queue.limits().await;
        if let Err(error) = &answer {
            warn!(queue = self.queue.name(), %error, "the queue's limits are not known");
        }
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), answer.clone()));
        answer
    }
}

impl LaneContext {
    /// Copies the first message to the dead-letter queue and deletes it if its queue would soon
    /// move it: the cause of the crashes or failures need not be the message, and without the copy
    /// the time it was first sent would be lost.
    pub(super) async fn hands_over_before_redrive(
        &self,
        waiting: &mut VecDeque<LeasedMessage>,
    ) -> bool {
        let Some(head) = waiting.front().filter(|head| head.delivery.receive_count > 1) else {
            return false;
        };
        let Some(receives_max) = self.limits.of_queue().await.and_then(|l| l.receives_max) else {
            return false;
        };
        let last = receives_max.saturating_sub((receives_max / RECEIVES_MARGIN).max(1));
        let receives = head.delivery.receive_count;
        if receives < last {
            return false;
        }
        let detail = format!("received {receives} times of {receives_max}");
        self.hands_over(waiting, Reason::Receives, &detail).await
    }

    /// The same for the first message that could not be finished, if its queue would drop it within
    /// a day.
    pub(super) async fn hands_over_before_retention(
        &self,
        failure: &Failure,
        left: &mut VecDeque<LeasedMessage>,
    ) -> bool {
        if matches!(failure, Failure::LeaseLost | Failure::Stopping | Failure::CopyFailed(_)) {
            return false;
        }
        let Some(head) = left.front() else { return false };
        let Some(QueueLimits { retention, .. }) = self.limits.of_queue().await else {
            return false;
        };
        let margin = RETENTION_MARGIN.min(retention / 4);
        let age = self.context.clock.now().duration_since(head.delivery.sent_at);
        if age < SignedDuration::try_from(retention - margin).unwrap_or(SignedDuration::MAX) {
            return false;
        }
        let detail = format!("no outcome after {} s: {failure}", age.as_secs());
        self.hands_over(left, Reason::Retention, &detail).await
    }

    async fn hands_over(
        &self,
        held: &mut VecDeque<LeasedMessage>,
        reason: Reason,
        detail: &str,
    ) -> bool {
        let Some(head) = held.front() else { return false };
        if !head.lease.is_held() {
            return false;
        }
        let settled = self.dead_letter_and_delete(head, reason, detail, self.outbox.expect()).await;
        match settled.failure {
            None => {
                held.pop_front();
                true
            }
            Some(failure) => {
                warn!(error = %failure, reason = reason.as_str(), "a last chance was missed");
                false
            }
        }
    }
}
