//! A queue that loses answers and fails entry by entry.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    injector::{Call, Effect, EntryFate, Injector, merge, never, passed},
    topology::{Place, Port},
};
use inventory_worker::{
    adapters::memory::MemoryQueue,
    ports::{
        Backlog, BatchAnswer, Delivery, EntryError, OutgoingMessage, PortError, Queue, QueueLimits,
        ReceiptHandle, ReceiveRequest,
    },
};

/// A queue, as one worker sees it.
pub(super) struct FaultyQueue {
    injector: Arc<Injector>,
    inner: Arc<MemoryQueue>,
    place: Place,
    /// The last receive that leased messages and lost its answer, and when it began.
    lost: Mutex<Option<(String, Instant)>>,
}

impl FaultyQueue {
    pub(super) fn new(injector: Arc<Injector>, inner: Arc<MemoryQueue>, place: Place) -> Self {
        Self { injector, inner, place, lost: Mutex::default() }
    }

    /// Checks that a receive that leased messages and failed is repeated under its attempt id,
    /// which returns them again. Works only if receives are sequential.
    fn check_attempt(&self, request: &ReceiveRequest) {
        let Injector { world, worker, .. } = &*self.injector;
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        let has_one = world.profile.settings.get(*worker).is_some_and(|it| it.pollers == 1);
        let Some((attempt_id, begun)) = lost.filter(|_| has_one) else { return };
        if begun.elapsed() < request.visibility && attempt_id != request.attempt_id {
            let detail = format!("worker {worker} receives from {} under a new one", self.place);
            world.history().fail("attempt-id", detail);
        }
    }

    fn check_release(&self, changes: &[(ReceiptHandle, Duration)]) {
        let Place::Commands(queue) = self.place else { return };
        let delay = |(receipt, by): &(ReceiptHandle, Duration)| {
            let sequence = receipt.0.split('.').nth(1)?.parse().ok()?;
            Some((sequence, !by.is_zero()))
        };
        let delays: Vec<(u64, bool)> = changes.iter().filter_map(delay).collect();
        self.injector.world.history().released(queue, &delays);
    }

    fn index(&self) -> usize {
        match self.place {
            Place::Commands(index) | Place::DeadLetters(index) => index,
        }
    }
}

fn call(name: &'static str) -> Call {
    Call::new(Port::Queue, name)
}

#[async_trait]
impl Queue for FaultyQueue {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.check_attempt(request);
        let begun = Instant::now();
        let brought = Mutex::new(false);
        let work = async {
            let received = self.inner.receive(request).await?;
            self.injector.world.note_redriven();
            *brought.lock().unwrap_or_else(PoisonError::into_inner) = !received.is_empty();
            let mut line = String::new();
            for delivery in &received {
                let _ = write!(line, " {}x{}", delivery.sequence, delivery.receive_count);
            }
            if let Place::Commands(queue) = self.place {
                let mut history = self.injector.world.history();
                for delivery in &received {
                    history.received(queue, delivery, self.injector.life());
                }
            }
            if !received.is_empty() {
                self.injector.trace(format_args!("received {}:{line}", self.place));
            }
            Ok(received)
        };
        // Counts as quick: most receives return nothing.
        let result = self.injector.around(call("receive"), self.place, work, never).await;
        let has_leased = brought.into_inner().unwrap_or_else(PoisonError::into_inner);
        if has_leased && matches!(result, Err(PortError::Unavailable(_))) {
            let lost = Some((request.attempt_id.clone(), begun));
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = lost;
        }
        result
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.check_release(changes);
        let work = async {
            match self.injector.entries(changes.len()) {
                None => self.inner.change_visibility(changes).await,
                Some(fates) => {
                    let entries = passed(&fates, changes);
                    let answers = match entries.is_empty() {
                        true => Vec::new(),
                        false => self.inner.change_visibility(&entries).await?,
                    };
                    Ok(merge(&fates, answers))
                }
            }
        };
        let late = || {
            let (inner, changes) = (Arc::clone(&self.inner), changes.to_vec());
            let effect: Effect = Box::pin(async move {
                let _ = inner.change_visibility(&changes).await;
            });
            Some(effect)
        };
        let args = Receipts(changes.iter().map(|(receipt, by)| (receipt, Some(*by))).collect());
        let args = args.to_string();
        self.injector.around(call("visibility"), args, work, late).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        let (world, index) = (&self.injector.world, self.index());
        let work = async {
            match self.injector.entries(receipts.len()) {
                None => world.delete(index, receipts).await,
                Some(fates) => {
                    let entries = passed(&fates, receipts);
                    let answers = match entries.is_empty() {
                        true => Vec::new(),
                        false => world.delete(index, &entries).await?,
                    };
                    Ok(merge(&fates, answers))
                }
            }
        };
        let late = || {
            let (world, receipts) = (Arc::clone(world), receipts.to_vec());
            let effect: Effect = Box::pin(async move {
                let _ = world.delete(index, &receipts).await;
            });
            Some(effect)
        };
        let args = Receipts(receipts.iter().map(|receipt| (receipt, None)).collect()).to_string();
        self.injector.around(call("delete"), args, work, late).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        let (world, place) = (&self.injector.world, self.place);
        let work = async {
            let mut fates = self.injector.entries(messages.len());
            let too_long: Vec<bool> =
                messages.iter().map(|message| world.is_too_long(message)).collect();
            if too_long.contains(&true) {
                let fates = fates.get_or_insert_with(|| vec![EntryFate::Fine; messages.len()]);
                for (fate, _) in fates.iter_mut().zip(&too_long).filter(|(_, is)| **is) {
                    *fate = EntryFate::Fails;
                }
            }
            let Some(fates) = fates else { return world.send(place, messages).await };
            let entries = passed(&fates, messages);
            let answers = match entries.is_empty() {
                true => Vec::new(),
                false => world.send(place, &entries).await?,
            };
            let mut answers = merge(&fates, answers);
            for (answer, _) in answers.iter_mut().zip(&too_long).filter(|(_, is)| **is) {
                *answer = Err(EntryError::Refused("longer than the queue takes".to_owned()));
            }
            Ok(answers)
        };
        let late = || {
            let (world, messages) = (Arc::clone(world), messages.to_vec());
            let effect: Effect = Box::pin(async move {
                let _ = world.send(place, &messages).await;
            });
            Some(effect)
        };
        let args = format!("{} to {place}", messages.len());
        self.injector.around(call("send"), args, work, late).await
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        let work = async {
            let limits = self.inner.limits().await?;
            Ok(self.injector.world.limited(limits))
        };
        self.injector.around(call("limits"), self.place, work, never).await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.injector.around(call("backlog"), self.place, self.inner.backlog(), never).await
    }
}

/// Receipts by sequence and delivery, without the queue's tag.
struct Receipts<'a>(Vec<(&'a ReceiptHandle, Option<Duration>)>);

impl std::fmt::Display for Receipts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (receipt, by)) in self.0.iter().enumerate() {
            let name = receipt.0.split_once('.').map_or("", |(_, name)| name);
            let space = if index == 0 { "" } else { " " };
            match by {
                Some(by) => write!(f, "{space}{name}+{}ms", by.as_millis())?,
                None => write!(f, "{space}{name}")?,
            }
        }
        Ok(())
    }
}
