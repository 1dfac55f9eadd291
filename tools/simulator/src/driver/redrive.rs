//! The target of a redrive: the dead letters' source queue, whose answers are sometimes lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fastrand::Rng;

use super::super::{
    fault::Fault,
    rng::{happens, stream},
    world::World,
};
use inventory_worker::{
    adapters::memory::StoredMessage,
    ports::{
        Backlog, BatchAnswer, Delivery, EntryError, OutgoingMessage, PortError, Queue, QueueLimits,
        ReceiptHandle, ReceiveRequest,
    },
};

/// A queue of commands to send to.
pub(super) struct RedriveTarget {
    world: Arc<World>,
    queue: usize,
    rng: Mutex<Rng>,
    /// Once set, no answer is lost.
    pub(super) is_sure: AtomicBool,
    /// Messages that the queue accepted, by group and body.
    taken: Mutex<BTreeMap<(String, String), usize>>,
}

impl RedriveTarget {
    pub(super) fn new(world: &Arc<World>, queue: usize) -> Self {
        let rng = Mutex::new(stream(world.seed, "way back"));
        let world = Arc::clone(world);
        Self { world, queue, rng, is_sure: AtomicBool::new(false), taken: Mutex::default() }
    }

    /// Checks that each dead letter is a message again.
    pub(super) fn check(&self, letters: &[StoredMessage]) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for letter in letters {
            let of = (letter.group.as_str().to_owned(), letter.body.clone());
            match taken.get_mut(&of).filter(|left| **left > 0) {
                Some(left) => *left -= 1,
                None => {
                    let detail = format!("dead letter {} was not sent back", letter.message_id);
                    self.world.history().fail("redrive", detail);
                }
            }
        }
    }

    fn is_lost(&self) -> bool {
        let rate = self.world.profile.rate(Fault::Lost);
        let rng = &mut self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_sure.load(Ordering::Relaxed) && happens(rng, rate)
    }

    fn sent_to<T>(&self) -> Result<T, PortError> {
        Err(PortError::Refused(format!("{} is sent to, and no more", self.name())))
    }
}

#[async_trait]
impl Queue for RedriveTarget {
    fn name(&self) -> &str {
        "commands"
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            let mut message = message.clone();
            if inventory_worker::injected_bug!(RedriveByContent) {
                message.deduplication_id = None;
            }
            if self.world.post(self.queue, &message) {
                let of = (message.group.as_str().to_owned(), message.body.clone());
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                *taken.entry(of).or_default() += 1;
            }
            answers.push(match self.is_lost() {
                true => Err(EntryError::Retryable("the answer is lost".to_owned())),
                false => Ok("sent".to_owned()),
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(answers)
    }

    async fn receive(&self, _: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.sent_to()
    }

    async fn change_visibility(
        &self,
        _: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.sent_to()
    }

    async fn delete(&self, _: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.sent_to()
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        match self.world.queues.get(self.queue) {
            Some(queue) => queue.limits().await,
            None => self.sent_to(),
        }
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.sent_to()
    }
}
