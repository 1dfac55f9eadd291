//! What happens to messages that a lane could not finish.

use std::time::Duration;

use tracing::{info, warn};

use super::{
    super::{failure::Failure, reading::Read},
    Held, Lanes,
};
use crate::{
    planted::{self, Bug},
    ports::{Receipt, queue::BATCH_ENTRIES_MAX},
};

/// The longest a poisonous message is hidden between attempts.
const POISON_DELAY_MAX: Duration = Duration::from_secs(30);

/// How long a message is hidden that rests on an item that cannot be read.
const UNREADABLE_DELAY: Duration = Duration::from_secs(10);

impl Lanes {
    /// The one place that turns a failure into what happens to the messages that are left.
    pub(super) async fn give_up(&self, failure: Failure, left: &[Held]) {
        let head = left.first().map(|held| &held.delivery);
        let delay = match &failure {
            Failure::Environment(what) => {
                self.gate.failed(what);
                if planted::on(Bug::DropOnOutage) {
                    self.delete(left, &mut self.outbox.expect()).await;
                }
                Duration::ZERO
            }
            Failure::Contention(what) => {
                let read = head.map(Read::of);
                let read = read.as_ref();
                info!(
                    group = head.map(|delivery| delivery.group.as_str()),
                    what,
                    command = read.and_then(Read::key).map(display),
                    pool = read.and_then(Read::pool).map(display),
                    trace_id = read.and_then(Read::trace_id),
                    "too many conflicts, released to be tried again"
                );
                Duration::ZERO
            }
            Failure::Unreadable(what) => {
                let read = head.map(Read::of);
                let read = read.as_ref();
                warn!(
                    group = head.map(|delivery| delivery.group.as_str()),
                    what,
                    command = read.and_then(Read::key).map(display),
                    pool = read.and_then(Read::pool).map(display),
                    trace_id = read.and_then(Read::trace_id),
                    "a group waits for an item that cannot be read"
                );
                UNREADABLE_DELAY
            }
            Failure::Poison(what) => {
                let receive_count = head.map_or(0, |delivery| delivery.receive_count);
                let read = head.map(Read::of);
                let read = read.as_ref();
                warn!(
                    message_id = head.map(|delivery| delivery.message_id.as_str()),
                    receive_count,
                    what,
                    command = read.and_then(Read::key).map(display),
                    pool = read.and_then(Read::pool).map(display),
                    trace_id = read.and_then(Read::trace_id),
                    "a message could not be handled"
                );
                POISON_DELAY_MAX.min(Duration::from_secs(1 << receive_count.min(5)))
            }
            Failure::LeaseLost => {
                let group = head.map(|delivery| delivery.group.as_str());
                info!(group, "a lease was lost, its batch dropped");
                Duration::ZERO
            }
            Failure::Stopping => Duration::ZERO,
        };
        self.release(left, delay).await;
    }

    /// Releases what is still ours, in order: the first after the delay, which holds back the
    /// others of its group, and those at once.
    pub(super) async fn release(&self, left: &[Held], delay: Duration) {
        let held: Vec<&Held> = left.iter().filter(|held| held.lease.is_held()).collect();
        let changes: Vec<(Receipt, Duration)> = held
            .iter()
            .enumerate()
            .map(|(index, held)| {
                let delay = if index == 0 { delay } else { Duration::ZERO };
                (held.lease.receipt().clone(), delay)
            })
            .collect();
        for changes in changes.chunks(BATCH_ENTRIES_MAX) {
            match self.source.queue.change_visibility(changes).await {
                Ok(answers) => {
                    for error in answers.into_iter().filter_map(Result::err) {
                        info!(queue = self.source.queue.name(), %error, "not released");
                    }
                }
                Err(error) => {
                    warn!(queue = self.source.queue.name(), %error, "not released");
                }
            }
        }
    }
}
