//! Hints on their way from workers to gateways: lost, doubled, reordered, and long after their
//! commit, as from a worker that stood still.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fastrand::Rng;

use crate::{
    fault::Fault,
    injector::Injector,
    rng::{happens, stream},
};
use inventory_worker::ports::{
    HintPublisher, HintSubscriber, HintSubscription, PortError,
    hints::{Frame, Received, Topic, Watched, encode},
};

/// What one worker announces. Apart from its other calls, so that these meet the same faults with
/// and without it.
pub(crate) struct FaultyPublisher {
    injector: Arc<Injector>,
    rng: Mutex<Rng>,
}

impl FaultyPublisher {
    pub(crate) fn new(injector: &Arc<Injector>) -> Self {
        let (worker, life) = injector.life();
        let rng = stream(injector.world.seed, &format!("hints of {worker}.{life}"));
        Self { injector: Arc::clone(injector), rng: Mutex::new(rng) }
    }

    /// How long after the call the frame arrives, each time that it does.
    fn arrivals(&self) -> Vec<Duration> {
        let world = &self.injector.world;
        let rng = &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let on = |rng: &mut Rng, fault| {
            let does = !world.is_fault_free() && happens(rng, world.profile.rate(fault));
            world.count(does.then_some(fault));
            does
        };
        let mut arrivals = Vec::new();
        if !on(rng, Fault::HintLost) {
            arrivals.push(0);
        }
        if on(rng, Fault::HintTwice) {
            arrivals.push(rng.u64(0..=2_000));
        }
        for arrival in &mut arrivals {
            if on(rng, Fault::HintLate) {
                *arrival = rng.u64(20..=30_000);
            }
        }
        arrivals.into_iter().map(Duration::from_millis).collect()
    }
}

#[async_trait]
impl HintPublisher for FaultyPublisher {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        self.injector.pass().await;
        self.injector.world.hints.watched().await
    }

    async fn publish(&self, topic: &Topic, frame: &Frame) -> Result<(), PortError> {
        let world = &self.injector.world;
        let takes = self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(0..=10);
        tokio::time::sleep(Duration::from_millis(takes)).await;
        self.injector.pass().await;
        for after in self.arrivals() {
            if after.is_zero() {
                world.hints.publish(topic, frame).await?;
                continue;
            }
            let (hints, topic) = (Arc::clone(&world.hints), topic.clone());
            let bytes = encode(frame);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                hints.publish_bytes(&topic, &bytes);
            });
        }
        Ok(())
    }
}

/// What one gateway hears.
pub(crate) struct PausedSubscriber(pub(crate) Arc<Injector>);

#[async_trait]
impl HintSubscriber for PausedSubscriber {
    async fn watch(&self, topics: &[Topic], lifetime: Duration) -> Result<Vec<Watched>, PortError> {
        self.0.pass().await;
        self.0.world.hints.watch(topics, lifetime).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Box<dyn HintSubscription>, PortError> {
        self.0.pass().await;
        let inner = self.0.world.hints.subscribe(topic).await?;
        Ok(Box::new(PausedSubscription { injector: Arc::clone(&self.0), inner }))
    }
}

struct PausedSubscription {
    injector: Arc<Injector>,
    inner: Box<dyn HintSubscription>,
}

#[async_trait]
impl HintSubscription for PausedSubscription {
    async fn next(&mut self) -> Received {
        self.injector.pass().await;
        self.inner.next().await
    }
}
