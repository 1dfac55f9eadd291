//! Permits for the messages a worker has in flight, by count and by bytes, over all its queues.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{circuit_breaker::HalfOpenPermit, settings::Settings};
use crate::{
    message,
    ports::{Delivery, queue},
};

/// The limits on messages in flight, over all queues of the worker.
pub(super) struct InFlightLimits {
    messages: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// The most that one receive may bring, KiB.
const RECEIVE_KIB_MAX: u32 = (queue::BATCH_ENTRIES_MAX * queue::MESSAGE_BYTES_MAX / 1024) as u32;

impl InFlightLimits {
    pub(super) fn new(settings: &Settings) -> Self {
        let messages = settings.messages_in_flight_max.max(queue::BATCH_ENTRIES_MAX);
        let kibibytes = (settings.bytes_in_flight_max / 1024).max(RECEIVE_KIB_MAX as usize);
        Self {
            messages: Arc::new(Semaphore::new(messages.min(Semaphore::MAX_PERMITS))),
            kibibytes: Arc::new(Semaphore::new(kibibytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Reserves permits for the largest possible receive. `None` once the semaphores are closed,
    /// which never happens.
    pub(super) async fn reserve(&self) -> Option<Permits> {
        let entries = u32::try_from(queue::BATCH_ENTRIES_MAX).ok()?;
        let messages = Arc::clone(&self.messages).acquire_many_owned(entries).await.ok()?;
        let kibibytes =
            Arc::clone(&self.kibibytes).acquire_many_owned(RECEIVE_KIB_MAX).await.ok()?;
        Some(Permits { messages, kibibytes })
    }
}

/// Permits for messages, returned on drop.
pub(super) struct Permits {
    messages: OwnedSemaphorePermit,
    kibibytes: OwnedSemaphorePermit,
}

impl Permits {
    /// Splits off the permits for these messages: the memory they use, including the parsed
    /// command, but no more per message than was reserved.
    fn split_for<'a>(
        &mut self,
        deliveries: impl IntoIterator<Item = &'a Delivery, IntoIter: Clone>,
    ) -> Option<Self> {
        let deliveries = deliveries.into_iter();
        let held = |delivery: &Delivery| {
            message::held_bytes_max(delivery.body.len()).min(queue::MESSAGE_BYTES_MAX)
        };
        let kibibytes = deliveries.clone().map(|delivery| held(delivery).div_ceil(1024)).sum();
        Some(Self {
            messages: self.messages.split(deliveries.count())?,
            kibibytes: self.kibibytes.split(kibibytes)?,
        })
    }
}

/// The permits a lane holds while it works on its messages.
pub(super) struct BatchPermits {
    in_flight: Option<Permits>,
    _half_open: [Option<HalfOpenPermit>; 2],
}

impl BatchPermits {
    /// Takes from a receive's permits what a group's batch needs.
    pub(super) fn new(
        received: &mut Permits,
        deliveries: &[Delivery],
        half_open: [Option<HalfOpenPermit>; 2],
    ) -> Self {
        Self { in_flight: received.split_for(deliveries), _half_open: half_open }
    }

    /// Returns the permits of released messages.
    pub(super) fn give_back<'a>(&mut self, released: impl Iterator<Item = &'a Delivery> + Clone) {
        if let Some(permits) = &mut self.in_flight {
            drop(permits.split_for(released));
        }
    }
}
