//! A topic that a worker with an injected bug publishes to.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::injector::Injector;
use inventory_worker::ports::{BatchAnswer, PortError, Publication, Publisher};

/// The topic, as a worker with an injected bug uses it.
pub(super) struct BuggyTopic {
    inner: Arc<dyn Publisher>,
    injector: Arc<Injector>,
}

impl BuggyTopic {
    pub(super) fn new(inner: Arc<dyn Publisher>, injector: Arc<Injector>) -> Self {
        Self { inner, injector }
    }
}

#[async_trait]
impl Publisher for BuggyTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        let mut batch = batch.to_vec();
        if inventory_worker::injected_bug!(FreshResultId) {
            let id = || self.injector.with_rng(|rng| Uuid::from_u128(rng.u128(..)));
            batch.iter_mut().for_each(|publication| publication.id = id());
        }
        if inventory_worker::injected_bug!(ReverseOrder) {
            batch.reverse();
        }
        if inventory_worker::injected_bug!(DeleteBeforePublish) {
            let (inner, answers) = (Arc::clone(&self.inner), vec![Ok(()); batch.len()]);
            // A call of a crashed worker goes no further: the results are lost.
            tokio::spawn(async move { inner.publish(&batch).await });
            return Ok(answers);
        }
        let mut answers = self.inner.publish(&batch).await?;
        if inventory_worker::injected_bug!(ReverseOrder) {
            answers.reverse();
        }
        if inventory_worker::injected_bug!(IgnoreFailedPublish) {
            answers.fill(Ok(()));
        }
        Ok(answers)
    }
}
