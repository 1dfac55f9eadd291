//! Receives results from a queue that is subscribed to the topic.

use std::{convert::Infallible, sync::Arc, time::Duration};

use crate::{
    message::{DecodedResult, InvalidResult, decode_result, is_batch, split_batch},
    ports::{Entropy, PortError, Queue, ReceiptHandle, ReceiveRequest, queue::BATCH_ENTRIES_MAX},
};

/// The visibility timeout of a received result. It is deleted as soon as it is handled.
const VISIBILITY: Duration = Duration::from_secs(60);

/// The long poll of [`ResultSubscription::run`]: short, so that a program ends soon.
const LONG_POLL: Duration = Duration::from_secs(2);

/// The pause after a receive that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A queue of results, with raw message delivery.
pub struct ResultSubscription {
    queue: Arc<dyn Queue>,
    entropy: Arc<dyn Entropy>,
}

impl ResultSubscription {
    /// Reads results from this queue. `entropy` makes the ids of receives.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, entropy: Arc<dyn Entropy>) -> Self {
        Self { queue, entropy }
    }

    /// Receives once, handles the bodies in order, deletes them, and returns their number. Results
    /// that cannot be deleted are received again.
    ///
    /// # Errors
    ///
    /// The receive failed, or `handle` did; results that it did not handle are received again.
    pub async fn receive<E: From<PortError>>(
        &self,
        wait: Duration,
        mut handle: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<usize, E> {
        let request = ReceiveRequest {
            max: BATCH_ENTRIES_MAX,
            wait,
            visibility: VISIBILITY,
            attempt_id: self.entropy.uuid().to_string(),
        };
        let deliveries = self.queue.receive(&request).await?;
        let mut handled = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            for result in results_of(&delivery.body) {
                handle(result)?;
            }
            handled.push(delivery.receipt);
        }
        self.delete(&handled).await;
        Ok(handled.len())
    }

    /// Passes every result to `handle` for as long as it is polled. Repeats a failed receive.
    ///
    /// # Errors
    ///
    /// The queue refuses to be received from.
    pub async fn run(
        &self,
        mut handle: impl FnMut(Result<DecodedResult, InvalidResult>),
    ) -> Result<Infallible, PortError> {
        loop {
            let received = self.receive(LONG_POLL, |body| {
                handle(decode_result(body));
                Ok::<_, PortError>(())
            });
            match received.await {
                Ok(_) => {}
                Err(error @ PortError::Refused(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(queue = self.queue.name(), %error, "results not received");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn delete(&self, handled: &[ReceiptHandle]) {
        if handled.is_empty() {
            return;
        }
        let name = self.queue.name();
        match self.queue.delete(handled).await {
            Ok(answers) => {
                for error in answers.into_iter().filter_map(Result::err) {
                    tracing::warn!(queue = name, %error, "a result was not deleted");
                }
            }
            Err(error) => tracing::warn!(queue = name, %error, "results were not deleted"),
        }
    }
}

/// The results of a body: one, or those of an array. What is no array of results is one that cannot
/// be read.
fn results_of(body: &str) -> Vec<&str> {
    let split = is_batch(body).then(|| split_batch(body).ok()).flatten();
    split.unwrap_or_else(|| vec![body])
}
