//! Permits for the messages that a worker has in flight: counted and in bytes, over all its queues.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{circuit_breaker::HalfOpenPermit, settings::Settings};
use crate::{
    message,
    ports::{Delivery, queue},
};

/// How much may be in flight, over all queues of the worker.
pub(super) struct InFlightLimits {
    messages: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// What one receive may bring, KiB.
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

    /// Permits for whatever one receive may bring. `None` once the semaphores are closed, which they
    /// never are.
    pub(super) async fn reserve(&self) -> Option<Permits> {
        let entries = u32::try_from(queue::BATCH_ENTRIES_MAX).ok()?;
        let messages = Arc::clone(&self.messages).acquire_many_owned(entries).await.ok()?;
        let kibibytes =
            Arc::clone(&self.kibibytes).acquire_many_owned(RECEIVE_KIB_MAX).await.ok()?;
        Some(Permits { messages, kibibytes })
    }
}

/// Permits for messages, given back when dropped.
pub(super) struct Permits {
    messages: OwnedSemaphorePermit,
    kibibytes: OwnedSemaphorePermit,
}

impl Permits {
    /// The part that these messages take: what they take of memory, with the command in them, but
    /// no more of each than was set aside.
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

/// What a lane holds for as long as it is at work on its messages.
pub(super) struct BatchPermits {
    in_flight: Option<Permits>,
    _half_open: [Option<HalfOpenPermit>; 2],
}

impl BatchPermits {
    /// Takes the part of a receive's permits that a group's batch needs.
    pub(super) fn new(
        received: &mut Permits,
        deliveries: &[Delivery],
        half_open: [Option<HalfOpenPermit>; 2],
    ) -> Self {
        Self { in_flight: received.split_for(deliveries), _half_open: half_open }
    }

    /// Gives back the part of messages that are released.
    pub(super) fn give_back<'a>(&mut self, released: impl Iterator<Item = &'a Delivery> + Clone) {
        if let Some(permits) = &mut self.in_flight {
            drop(permits.split_for(released));
        }
    }
}
