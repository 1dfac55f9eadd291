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
    /// Splits off permits.
    fn split(&mut self, messages: usize, kibibytes: usize) -> Option<Self> {
        Some(Self {
            messages: self.messages.split(messages)?,
            kibibytes: self.kibibytes.split(kibibytes)?,
        })
    }
}

/// The KiB that a message takes with its parsed commands: no more than was reserved for it.
pub(super) fn kibibytes_of(body: &str) -> usize {
    message::held_bytes_max(body).min(queue::MESSAGE_BYTES_MAX).div_ceil(1024)
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
        let kibibytes = deliveries.iter().map(|delivery| kibibytes_of(&delivery.body)).sum();
        let in_flight = received.split(deliveries.len(), kibibytes);
        Self { in_flight, _half_open: half_open }
    }

    /// Returns the permits of as many released messages.
    pub(super) fn give_back(&mut self, messages: usize, kibibytes: usize) {
        if let Some(permits) = &mut self.in_flight {
            drop(permits.split(messages, kibibytes));
        }
    }
}
