//! SQS and SNS on a running server, and the harnesses over one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{
    config::{Credentials, Region},
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use inventory_worker::{
    adapters::{
        aws::behavior_version,
        sns::{self, SnsTopic, bootstrap::ensure_topic, subscription::subscribe},
        sqs::{
            self, SqsQueue,
            bootstrap::{ensure_queues, find},
        },
        system::Random,
    },
    domain::Timestamp,
    naming::dead_letter_queue_name,
    ports::{
        Backlog, BatchAnswer, Delivery, Entropy, OutgoingMessage, PortError, Publisher, Queue,
        ReceiptHandle, ReceiveRequest,
    },
};

use crate::{
    harness::{Backend, Quirk},
    publisher::{Filter, PublisherHarness},
    queue::QueueHarness,
};

/// A server that was started beforehand. Each test creates its own queues and topics there.
pub struct Emulator {
    name: &'static str,
    quirks: &'static [Quirk],
    /// Whether a message delivered by a topic has a sequence number.
    numbers_published: bool,
    pub sqs: aws_sdk_sqs::Client,
    pub sns: aws_sdk_sns::Client,
}

impl Emulator {
    /// The server whose URL is in the environment variable.
    pub fn from_env(name: &'static str, variable: &str, quirks: &'static [Quirk]) -> Self {
        let endpoint = std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "{variable} is not set: it is the URL of a running {name}; \
                 `localstack/stack up` starts one and `localstack/stack env` prints the variable"
            )
        });
        let credentials = Credentials::new("test", "test", None, None, "test");
        let shared = aws_config::SdkConfig::builder()
            .behavior_version(behavior_version())
            .endpoint_url(endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(credentials))
            .build();
        Self {
            name,
            quirks,
            numbers_published: true,
            sqs: sqs::client(&shared),
            sns: sns::client(&shared),
        }
    }

    /// The same server, whose topics deliver messages without a sequence number.
    pub fn without_numbers(self) -> Self {
        Self { numbers_published: false, ..self }
    }

    /// The name of a queue created by `bootstrap`.
    pub async fn bootstrapped(&self) -> String {
        let name = unique("commands");
        ensure_queues(&self.sqs, std::slice::from_ref(&name)).await.unwrap();
        name
    }

    async fn subscriber(&self, url: &str) -> Arc<dyn Queue> {
        let queue = self.connect(url).await;
        match self.numbers_published {
            true => queue,
            false => Arc::new(Unnumbered { queue, sqs: self.sqs.clone(), url: url.to_owned() }),
        }
    }

    async fn connect(&self, name: &str) -> Arc<dyn Queue> {
        Arc::new(SqsQueue::connect(self.sqs.clone(), name).await.unwrap())
    }
}

/// A name that no other test uses, in this run or another.
pub fn unique(what: &str) -> String {
    format!("test-{what}-{}.fifo", Random::new().uuid())
}

#[async_trait]
impl Backend for Emulator {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quirks(&self) -> &'static [Quirk] {
        self.quirks
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl QueueHarness for Emulator {
    async fn queue(&self) -> Arc<dyn Queue> {
        self.connect(&self.bootstrapped().await).await
    }

    async fn queue_with_dead_letters(&self, max_receives: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        let name = self.bootstrapped().await;
        let url = find(&self.sqs, &name).await.unwrap().unwrap();
        let policy = QueueAttributeName::RedrivePolicy;
        let found = self.sqs.get_queue_attributes().queue_url(&url).attribute_names(policy.clone());
        let found = found.send().await.unwrap().attributes.unwrap().remove(&policy).unwrap();
        let mut wanted: serde_json::Value = serde_json::from_str(&found).unwrap();
        wanted["maxReceiveCount"] = max_receives.into();
        let change = self.sqs.set_queue_attributes().queue_url(&url);
        change.attributes(policy, wanted.to_string()).send().await.unwrap();
        (self.connect(&name).await, self.connect(&dead_letter_queue_name(&name)).await)
    }
}

#[async_trait]
impl PublisherHarness for Emulator {
    async fn topic(&self, filters: &[Filter]) -> (Arc<dyn Publisher>, Vec<Arc<dyn Queue>>) {
        let (arn, _) = ensure_topic(&self.sns, &unique("results")).await.unwrap();
        let mut queues = Vec::new();
        for filter in filters {
            let policy = serde_json::to_string(filter).unwrap();
            let policy = (!filter.is_empty()).then_some(policy.as_str());
            let name = unique("subscriber");
            let subscribed = subscribe(&self.sns, &self.sqs, &arn, &name, policy).await;
            let url = subscribed.unwrap().queue_url;
            queues.push(self.subscriber(&url).await);
        }
        (Arc::new(SnsTopic::connect(self.sns.clone(), &arn).await.unwrap()), queues)
    }
}

/// A subscribed queue whose messages have no sequence number. The adapter rightly refuses them, so
/// this one reads the parts that the rules of publishers check: order, body, group and attributes.
struct Unnumbered {
    queue: Arc<dyn Queue>,
    sqs: aws_sdk_sqs::Client,
    url: String,
}

#[async_trait]
impl Queue for Unnumbered {
    fn name(&self) -> &str {
        self.queue.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        let output = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(request.max).unwrap())
            .wait_time_seconds(i32::try_from(request.wait.as_secs()).unwrap())
            .visibility_timeout(i32::try_from(request.visibility.as_secs()).unwrap())
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        Ok(output.messages.into_iter().flatten().map(unnumbered).collect())
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.queue.change_visibility(changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.queue.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        self.queue.send(messages).await
    }

    async fn limits(&self) -> Result<inventory_worker::ports::QueueLimits, PortError> {
        self.queue.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.queue.backlog().await
    }
}

fn unnumbered(message: Message) -> Delivery {
    let group = &message.attributes.unwrap()[&MessageSystemAttributeName::MessageGroupId];
    let attributes = message.message_attributes.into_iter().flatten();
    Delivery {
        message_id: message.message_id.unwrap(),
        receipt: ReceiptHandle(message.receipt_handle.unwrap()),
        group: group.parse().unwrap(),
        sequence: "0".to_owned(),
        sent_at: Timestamp::UNIX_EPOCH,
        receive_count: 1,
        body: message.body.unwrap(),
        attributes: attributes
            .map(|(name, value)| (name, value.string_value.unwrap().into()))
            .collect(),
    }
}
