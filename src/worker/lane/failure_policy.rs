//! What happens to messages that a lane could not finish.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tracing::{field::display, info, warn};

use super::{
    super::{
        circuit_breaker::FailureScope, events::Event, failure::Failure, parsing::ParsedMessage,
    },
    LaneContext,
    entry::{self, LeasedEntry},
    isolation::DEAD_LETTER_DELAY,
    redelivery_backoff::redelivery_backoff,
};
use crate::ports::{ReceiptHandle, queue::BATCH_ENTRIES_MAX};

/// The longest delay between attempts at a poison message.
const POISON_DELAY_MAX: Duration = Duration::from_secs(30);

/// The first delay of a message that depends on an unreadable item; it doubles with each receive,
/// up to the maximum.
const UNREADABLE_DELAY: Duration = Duration::from_secs(10);
const UNREADABLE_DELAY_MAX: Duration = Duration::from_secs(300);

/// The same for a message whose items are throttled, whose pool alone does not answer, or of which no
/// copy can be made for the dead letters.
const BUSY_DELAY: Duration = Duration::from_secs(1);
const BUSY_DELAY_MAX: Duration = Duration::from_secs(30);

/// The same for a message with too many conflicts, from the second receive on.
const CONTENTION_DELAY_MAX: Duration = Duration::from_secs(10);

/// Doubles `first` with each receive after the first, up to `most`.
fn growing(receive_count: u32, first: Duration, most: Duration) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(most)
}

/// What the log says of the first entry that is left.
struct Head<'a> {
    parsed: Option<&'a ParsedMessage>,
    message_id: Option<&'a str>,
    group: Option<&'a str>,
    receive_count: u32,
}

impl<'a> Head<'a> {
    fn of(held: Option<&'a LeasedEntry>) -> Self {
        let delivery = held.map(LeasedEntry::delivery);
        Self {
            parsed: held.map(LeasedEntry::parsed),
            message_id: held.map(LeasedEntry::id),
            group: delivery.map(|delivery| delivery.group.as_str()),
            receive_count: delivery.map_or(0, |delivery| delivery.receive_count),
        }
    }

    /// Logs the failure. Returns how long to hide the message.
    fn delay(&self, failure: &Failure) -> Duration {
        let Self { parsed, message_id, group, receive_count } = *self;
        let command = parsed.and_then(ParsedMessage::key).map(display);
        let pool = parsed.and_then(ParsedMessage::pool).map(display);
        let trace_id = parsed.and_then(ParsedMessage::trace_id);
        macro_rules! told {
            ($level:ident, $what:expr, $said:literal) => {
                $level!(group, error = $what, command, pool, trace_id, $said)
            };
        }
        match failure {
            Failure::Unavailable(what) | Failure::Throttled(what) => {
                told!(info, what, "a group waits for its pool");
                growing(receive_count, BUSY_DELAY, BUSY_DELAY_MAX)
            }
            // The message was not tried, so it proves nothing about the pool.
            Failure::PoolFailing => growing(receive_count, BUSY_DELAY, BUSY_DELAY_MAX),
            Failure::CopyFailed(what) => {
                // An outage of the queue, as a rule: receives that others caused must not make the
                // group wait for long after it.
                told!(warn, what, "a group waits for a copy to the dead letters");
                growing(receive_count, BUSY_DELAY, BUSY_DELAY_MAX)
            }
            Failure::Contention(what) => {
                told!(info, what, "too many conflicts, released to be tried again");
                match receive_count {
                    0 | 1 => Duration::ZERO,
                    count => growing(count - 1, BUSY_DELAY, CONTENTION_DELAY_MAX),
                }
            }
            Failure::Unreadable(what) => {
                told!(warn, what, "a group waits for an item that cannot be read");
                growing(receive_count, UNREADABLE_DELAY, UNREADABLE_DELAY_MAX)
            }
            Failure::Poison(what) => {
                warn!(
                    message_id,
                    receive_count,
                    error = what,
                    command,
                    pool,
                    trace_id,
                    "a message could not be handled"
                );
                POISON_DELAY_MAX.min(Duration::from_secs(1 << receive_count.min(5)))
            }
            Failure::DeadLetterDeferred(what) => {
                told!(info, what, "dead-lettering deferred");
                DEAD_LETTER_DELAY
            }
            Failure::LeaseLost => {
                info!(group, "a lease was lost, its batch dropped");
                Duration::ZERO
            }
            Failure::Stopping => Duration::ZERO,
        }
    }
}

impl LaneContext {
    /// The one place that turns a failure into an action on the messages that are left. The work
    /// that failed began at `begun`.
    pub(super) async fn handle_failure(
        &self,
        failure: Failure,
        left: &[LeasedEntry],
        begun: Instant,
    ) {
        let head = Head::of(left.first());
        let delay = match &failure {
            Failure::Unavailable(what) | Failure::Throttled(what) => {
                self.delay_of_outage((&failure, what), &head, begun)
            }
            Failure::CopyFailed(what) => {
                self.queue_breaker.record_failure(what, head.parsed.and_then(ParsedMessage::pool));
                head.delay(&failure)
            }
            failure => head.delay(failure),
        };
        let is_no_ones = matches!(failure, Failure::LeaseLost | Failure::Stopping);
        let delay =
            if is_no_ones { delay } else { delay.max(redelivery_backoff(head.receive_count)) };
        if let (Failure::Unreadable(_), Some(group)) = (&failure, head.group) {
            self.context.observer.observe(&Event::GroupUnreadable { group, delay });
        }
        self.note_released(failure.class(), entry::messages(left).count());
        self.release(left, delay).await;
    }

    /// A dependency failed, for all or for the pool of the head alone.
    fn delay_of_outage(
        &self,
        (failure, what): (&Failure, &str),
        head: &Head<'_>,
        begun: Instant,
    ) -> Duration {
        let of_pool = head.parsed.and_then(ParsedMessage::pool);
        of_pool.inspect(|pool| self.troubled.failed_now(pool));
        let scope = self.breaker.record_failure(what, of_pool);
        if scope == FailureScope::All {
            self.context.observer.observe(&Event::CallFailed { took: begun.elapsed() });
        }
        match (scope, failure) {
            // The breaker's pause delays it already.
            (FailureScope::All, Failure::Unavailable(_)) => Duration::ZERO,
            _ => head.delay(failure),
        }
    }

    pub(super) fn note_released(&self, reason: &'static str, messages: usize) {
        self.context.observer.observe(&Event::Released { reason, messages });
    }

    /// Releases the messages still leased, in order: the first after the delay, which holds back
    /// its group, and the others at once.
    pub(super) async fn release(&self, left: &[LeasedEntry], delay: Duration) {
        join_all(entry::messages(left).map(|held| held.lease().stop_extending())).await;
        let held = entry::messages(left).filter(|held| held.lease().is_held());
        let changes: Vec<(ReceiptHandle, Duration)> = held
            .enumerate()
            .map(|(index, held)| {
                let delay = if index == 0 { delay } else { Duration::ZERO };
                (held.lease().receipt().clone(), delay)
            })
            .collect();
        for changes in changes.chunks(BATCH_ENTRIES_MAX) {
            match self.queues.queue.change_visibility(changes).await {
                Ok(answers) => {
                    for error in answers.into_iter().filter_map(Result::err) {
                        info!(queue = self.queues.queue.name(), %error, "not released");
                    }
                }
                Err(error) => {
                    warn!(queue = self.queues.queue.name(), %error, "not released");
                }
            }
        }
    }
}
