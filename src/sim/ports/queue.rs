//! A queue that loses answers and fails entry by entry.

use std::{fmt::Write, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    adapters::memory::MemoryQueue,
    ports::{
        Backlog, BatchAnswer, Delivery, OutgoingMessage, PortError, Queue, QueueLimits, Receipt,
        ReceiveRequest,
    },
    sim::{
        history::Place,
        injector::{Call, Effect, Injector, Port, merge, never, passed},
    },
};

/// A queue, as one worker sees it.
pub(in crate::sim) struct FaultyQueue {
    pub(in crate::sim) injector: Arc<Injector>,
    pub(in crate::sim) inner: Arc<MemoryQueue>,
    pub(in crate::sim) place: Place,
}

impl FaultyQueue {
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
        let work = async {
            let received = self.inner.receive(request).await?;
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
        // Quick to the eye: most receives bring nothing.
        self.injector.around(call("receive"), self.place, work, never).await
    }

    async fn change_visibility(
        &self,
        changes: &[(Receipt, Duration)],
    ) -> Result<BatchAnswer, PortError> {
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

    async fn delete(&self, receipts: &[Receipt]) -> Result<BatchAnswer, PortError> {
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
            match self.injector.entries(messages.len()) {
                None => world.send(place, messages).await,
                Some(fates) => {
                    let entries = passed(&fates, messages);
                    let answers = match entries.is_empty() {
                        true => Vec::new(),
                        false => world.send(place, &entries).await?,
                    };
                    Ok(merge(&fates, answers))
                }
            }
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
        self.injector.around(call("limits"), self.place, self.inner.limits(), never).await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.injector.around(call("backlog"), self.place, self.inner.backlog(), never).await
    }
}

/// Receipts by sequence and delivery, without the queue's tag.
struct Receipts<'a>(Vec<(&'a Receipt, Option<Duration>)>);

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
