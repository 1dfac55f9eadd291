//! A FIFO queue that a topic delivers to, for a service that consumes results.

use aws_sdk_sns::Client as SnsClient;
use aws_sdk_sqs::{Client as SqsClient, types::QueueAttributeName};
use serde_json::json;

use super::super::aws::port_error;
use crate::{adapters::sqs::bootstrap::find, ports::PortError};

/// A queue that a topic delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The queue's URL.
    pub queue_url: String,
    /// The subscription's ARN.
    pub arn: String,
}

/// A temporary subscription: [`Self::end`], which must be called, removes what it created.
pub struct Temporary {
    sns: SnsClient,
    sqs: SqsClient,
    made: Subscription,
}

impl Temporary {
    /// Like [`subscribe`], with a new queue. On failure, what was created is removed again.
    ///
    /// # Errors
    ///
    /// SQS or SNS gives no answer, or refuses.
    pub async fn begin(
        sns: SnsClient,
        sqs: SqsClient,
        topic_arn: &str,
        queue: &str,
        filter: Option<&str>,
    ) -> Result<Self, PortError> {
        let made = match subscribe(&sns, &sqs, topic_arn, queue, filter).await {
            Ok(made) => made,
            Err(error) => {
                if let Ok(Some(url)) = find(&sqs, queue).await
                    && sqs.delete_queue().queue_url(&url).send().await.is_err()
                {
                    tracing::warn!(queue, "a queue is left that was to be removed");
                }
                return Err(error);
            }
        };
        Ok(Self { sns, sqs, made })
    }

    /// The queue's URL.
    #[must_use]
    pub fn queue_url(&self) -> &str {
        &self.made.queue_url
    }

    /// Ends the subscription and deletes its queue; tries each even if the other fails.
    ///
    /// # Errors
    ///
    /// SQS or SNS gives no answer, or refuses: remove what is left by hand.
    pub async fn end(self) -> Result<(), PortError> {
        let Self { sns, sqs, made } = self;
        let ended = sns.unsubscribe().subscription_arn(&made.arn).send().await;
        let deleted = sqs.delete_queue().queue_url(&made.queue_url).send().await;
        ended.map_err(|error| port_error(&format!("Unsubscribe of {}", made.arn), &error))?;
        deleted
            .map_err(|error| port_error(&format!("DeleteQueue of {}", made.queue_url), &error))?;
        Ok(())
    }
}

/// Creates a FIFO queue if it is missing, lets the topic send to it, and subscribes it with raw
/// delivery, so that a message's body is the result itself. `filter` is a filter policy on message
/// attributes, as JSON.
///
/// Replaces the queue's access policy with the one made here: use a queue that the subscriber owns.
/// An existing subscription is left unchanged.
///
/// # Errors
///
/// SQS or SNS gives no answer, or refuses.
pub async fn subscribe(
    sns: &SnsClient,
    sqs: &SqsClient,
    topic_arn: &str,
    queue: &str,
    filter: Option<&str>,
) -> Result<Subscription, PortError> {
    let url = match find(sqs, queue).await? {
        Some(url) => url,
        None => create(sqs, queue).await?,
    };
    let arn = queue_arn(sqs, queue, &url).await?;
    sqs.set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::Policy, policy(topic_arn, &arn))
        .send()
        .await
        .map_err(|error| port_error(&format!("SetQueueAttributes of {queue}"), &error))?;
    let mut call = sns
        .subscribe()
        .topic_arn(topic_arn)
        .protocol("sqs")
        .endpoint(&arn)
        .attributes("RawMessageDelivery", "true")
        .return_subscription_arn(true);
    if let Some(filter) = filter {
        call = call.attributes("FilterPolicy", filter);
    }
    let doing = format!("Subscribe of {queue} to {topic_arn}");
    let arn = call
        .send()
        .await
        .map_err(|error| port_error(&doing, &error))?
        .subscription_arn
        .ok_or_else(|| PortError::Unavailable(format!("{doing}: the answer lacks the ARN")))?;
    Ok(Subscription { queue_url: url, arn })
}

async fn create(sqs: &SqsClient, queue: &str) -> Result<String, PortError> {
    let doing = format!("CreateQueue of {queue}");
    sqs.create_queue()
        .queue_name(queue)
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::DeduplicationScope, "messageGroup")
        .attributes(QueueAttributeName::FifoThroughputLimit, "perMessageGroupId")
        .attributes(QueueAttributeName::SqsManagedSseEnabled, "true")
        .send()
        .await
        .map_err(|error| port_error(&doing, &error))?
        .queue_url
        .ok_or_else(|| PortError::Unavailable(format!("{doing}: the answer lacks the queue's URL")))
}

async fn queue_arn(sqs: &SqsClient, queue: &str, url: &str) -> Result<String, PortError> {
    let doing = format!("GetQueueAttributes of {queue}");
    sqs.get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|error| port_error(&doing, &error))?
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn))
        .ok_or_else(|| PortError::Unavailable(format!("{doing}: the answer lacks the queue's ARN")))
}

fn policy(topic_arn: &str, queue_arn: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "results",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
        }],
    })
    .to_string()
}
