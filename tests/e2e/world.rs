//! One test's queue, topic and tables.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::{MessageSystemAttributeName, SendMessageBatchRequestEntry};
use inventory_worker::{
    adapters::{
        dynamodb::{DynamoStore, TableNames},
        sns::{bootstrap as topics, subscription::subscribe},
        sqs::bootstrap::find,
        system::{Random, SystemClock},
    },
    domain::{LineKey, PoolId, Reservation, Seat, SeatKey},
    naming::dead_letter_queue_name,
    ports::{
        Entropy as _, LedgerKey, LedgerRecord, LoadRequest, ReadStore as _, Record, ScanStore as _,
        Table,
    },
};
use serde_json::Value;
use std::sync::Arc;

use crate::{
    process::{self, Worker},
    results::Results,
    stack::Stack,
    wait::until,
};

/// The event of every test about seats.
pub const EVENT: u64 = 42;
/// The store of every test about lines.
pub const STORE: &str = "store-1";

/// Queue, topic, tables, and a subscriber.
pub struct World {
    pub stack: Stack,
    /// The environment that a process of the binary starts with.
    pub environment: BTreeMap<String, String>,
    pub results: Results,
    pub tables: TableNames,
    pub store: DynamoStore,
    /// The prefix of all names here.
    pub name: String,
    queue_url: String,
    dead_letters_url: String,
    topic_arn: String,
}

/// A message found in the dead-letter queue.
#[derive(Debug)]
pub struct DeadLetter {
    pub body: String,
    pub group: String,
    pub attributes: BTreeMap<String, String>,
}

impl World {
    /// Unique names, created by `bootstrap`.
    pub async fn new(stack: Stack) -> Self {
        let name = unique();
        let environment = environment(&stack, &name);
        process::run(&environment, &["bootstrap"]).await.expect_code(0);
        let queue = format!("{name}-commands.fifo");
        let topic = format!("{name}-results.fifo");
        let topic_arn = topics::find(&stack.sns, &topic).await.unwrap().unwrap();
        let url = async |name: &str| find(&stack.sqs, name).await.unwrap().unwrap();
        let queue_url = url(&queue).await;
        let dead_letters_url = url(&dead_letter_queue_name(&queue)).await;
        let subscriber = format!("{name}-subscriber.fifo");
        let subscribed = subscribe(&stack.sns, &stack.sqs, &topic_arn, &subscriber, None).await;
        let results = Results::new(stack.sqs.clone(), subscribed.unwrap().queue_url);
        let tables = TableNames::prefixed(&format!("{name}-"));
        let client = stack.dynamodb.clone();
        let store = DynamoStore::new(
            client,
            tables.clone(),
            Arc::new(Random::new()),
            Arc::new(SystemClock),
        );
        Self {
            stack,
            environment,
            results,
            tables,
            store,
            name,
            queue_url,
            dead_letters_url,
            topic_arn,
        }
    }

    /// The environment with variables added or replaced.
    pub fn with(&self, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        let more = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        environment
    }

    /// The topic of results.
    pub fn topic_arn(&self) -> &str {
        &self.topic_arn
    }

    /// A worker with these further variables.
    pub async fn worker(&self, variables: &[(&str, &str)]) -> Worker {
        Worker::start(&self.with(variables)).await
    }

    /// Another subscriber of the topic, with a filter policy.
    pub async fn subscriber(&self, name: &str, filter: &Value) -> Results {
        let Stack { sns, sqs, .. } = &self.stack;
        let queue = format!("{}-{name}.fifo", self.name);
        let filter = filter.to_string();
        let subscribed = subscribe(sns, sqs, &self.topic_arn, &queue, Some(&filter)).await;
        Results::new(sqs.clone(), subscribed.unwrap().queue_url)
    }

    /// Posts messages into a group, in order, deduplicated by their content.
    pub async fn post(&self, group: &str, messages: &[Value]) {
        let messages = messages.iter().map(|message| (message.to_string(), None));
        self.post_entries(group, messages.collect()).await;
    }

    /// Posts one text under the given deduplication id.
    pub async fn post_as(&self, group: &str, deduplication_id: &str, body: &str) {
        let entry = (body.to_owned(), Some(deduplication_id.to_owned()));
        self.post_entries(group, vec![entry]).await;
    }

    /// Posts texts into a group, in order, each deduplicated by its own id or by its content.
    pub async fn post_entries(&self, group: &str, messages: Vec<(String, Option<String>)>) {
        for messages in messages.chunks(10) {
            let entries = messages.iter().enumerate().map(|(index, (body, deduplication_id))| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_group_id(group)
                    .set_message_deduplication_id(deduplication_id.clone())
                    .message_body(body)
                    .build()
                    .unwrap()
            });
            let sending = self.stack.sqs.send_message_batch().queue_url(&self.queue_url);
            let sent = sending.set_entries(Some(entries.collect())).send().await.unwrap();
            assert_eq!(sent.failed, [], "messages are taken");
        }
    }

    /// Waits until the queue is empty: no message visible or leased.
    pub async fn drained(&self) {
        let is_drained = async || self.is_drained().await.then_some(());
        until("the queue is empty", is_drained).await;
    }

    /// Whether the queue is empty: no message visible or leased.
    pub async fn is_drained(&self) -> bool {
        self.queued().await == (0, 0)
    }

    /// How many messages of the queue are visible, and how many are leased.
    pub async fn queued(&self) -> (u64, u64) {
        use aws_sdk_sqs::types::QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible,
        };
        let asked = self.stack.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let answer = asked.attribute_names("All".into()).send().await.unwrap();
        let counts = answer.attributes.unwrap();
        let of = |name| counts.get(&name).map_or(0, |count| count.parse().unwrap());
        (of(ApproximateNumberOfMessages), of(ApproximateNumberOfMessagesNotVisible))
    }

    /// Waits for that many dead letters, and leaves them in the queue.
    pub async fn dead_letters(&self, count: usize) -> Vec<DeadLetter> {
        // They stay in the queue and visible: if the first of them were hidden, those of its group
        // that are copied a moment later would be too.
        let mut found = BTreeMap::new();
        until("the dead letters", async || {
            let output = self
                .stack
                .sqs
                .receive_message()
                .queue_url(&self.dead_letters_url)
                .max_number_of_messages(10)
                .visibility_timeout(0)
                .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
                .message_attribute_names("All")
                .send()
                .await
                .unwrap();
            found.extend(output.messages.into_iter().flatten().map(|message| {
                let letter = DeadLetter {
                    body: message.body.unwrap(),
                    group: message.attributes.unwrap()[&MessageSystemAttributeName::MessageGroupId]
                        .clone(),
                    attributes: (message.message_attributes.into_iter().flatten())
                        .map(|(name, value)| (name, value.string_value.unwrap()))
                        .collect(),
                };
                (message.message_id.unwrap(), letter)
            }));
            (found.len() >= count).then_some(())
        })
        .await;
        assert_eq!(found.len(), count, "{found:#?}");
        found.into_values().collect()
    }

    /// The bodies of all dead letters, each once; removes them.
    pub async fn take_dead_letters(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        loop {
            let receiving = self.stack.sqs.receive_message().queue_url(&self.dead_letters_url);
            let output = receiving.max_number_of_messages(10).wait_time_seconds(1).send().await;
            let messages = output.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return found;
            }
            for message in messages {
                let deleting = self.stack.sqs.delete_message().queue_url(&self.dead_letters_url);
                deleting.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
                found.insert(message.body.unwrap());
            }
        }
    }

    /// A seat of the event, from the table.
    pub async fn seat(&self, number: &str) -> Seat {
        let key = SeatKey { event_id: EVENT, number: number.parse().unwrap() };
        let wanted = LoadRequest { seats: [key.clone()].into(), ..LoadRequest::default() };
        self.store.load(&wanted).await.unwrap().seats[&key].clone().expect("the seat exists")
    }

    /// Available and reserved of a line of the store.
    pub async fn line(&self, sku: &str) -> (i64, i64) {
        let pool = PoolId::Store(STORE.parse().unwrap());
        let key = LineKey { pool, sku: sku.parse().unwrap() };
        let wanted = LoadRequest { lines: [key.clone()].into(), ..LoadRequest::default() };
        let line = self.store.load(&wanted).await.unwrap().lines[&key].clone();
        line.map(|line| (line.available, line.reserved)).expect("the line exists")
    }

    /// The ledger's record under a key.
    pub async fn ledger(&self, key: LedgerKey) -> Option<LedgerRecord> {
        let wanted = LoadRequest { ledger: [key.clone()].into(), ..LoadRequest::default() };
        self.store.load(&wanted).await.unwrap().ledger[&key].clone()
    }

    /// Everything in a table.
    pub async fn scan(&self, table: Table) -> Vec<Record> {
        let mut records = Vec::new();
        let mut from = None;
        loop {
            let page = self.store.scan(table, from.as_ref()).await.unwrap();
            records.extend(page.records);
            from = page.next;
            if from.is_none() {
                return records;
            }
        }
    }

    /// Every reservation.
    pub async fn reservations(&self) -> Vec<Reservation> {
        let records = self.scan(Table::Reservations).await.into_iter();
        records
            .filter_map(|record| match record {
                Record::Reservation(reservation) => Some(reservation),
                _ => None,
            })
            .collect()
    }

    /// Runs `audit`, which must find nothing wrong, and returns its report.
    pub async fn audit(&self) -> Value {
        let report = process::run(&self.environment, &["audit", "--json"]).await.expect_code(0);
        let report = report.json();
        for list in ["violations", "unsettled"] {
            assert_eq!(report[list], serde_json::json!([]), "{list}");
        }
        report
    }
}

/// A name that no other test uses, in this run or another.
pub fn unique() -> String {
    let uuid = Random::new().uuid().simple().to_string();
    format!("e2e-{}", &uuid[..12])
}

/// The variables that point a process at the servers and at resources of this name, with short
/// waits.
pub fn environment(stack: &Stack, name: &str) -> BTreeMap<String, String> {
    let mut environment = stack.environment();
    let named = |rest: &str| format!("{name}-{rest}");
    environment.extend(
        [
            ("INVENTORY_QUEUES", format!("{0}-commands.fifo,{0}-expiries.fifo", name)),
            ("INVENTORY_EXPIRIES_QUEUE", named("expiries.fifo")),
            ("INVENTORY_RESULTS_TOPIC", named("results.fifo")),
            ("DYNAMODB_TABLE_SEATS", named("seats")),
            ("DYNAMODB_TABLE_STOCK", named("stock")),
            ("DYNAMODB_TABLE_RESERVATIONS", named("reservations")),
            ("DYNAMODB_TABLE_LEDGER", named("ledger")),
            // The emulator of DynamoDB has no KMS and no backups.
            ("INVENTORY_MINIMAL_TABLES", "true".to_owned()),
            ("INVENTORY_LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", "info,inventory_worker=debug".to_owned()),
            ("ADMIN_HOST", "127.0.0.1".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("INVENTORY_POLLERS", "2".to_owned()),
            ("INVENTORY_LONG_POLL_SECONDS", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    environment
}

/// Short leases: a killed worker's messages are delivered again within seconds.
pub const SHORT_LEASES: [(&str, &str); 5] = [
    ("INVENTORY_VISIBILITY_SECONDS", "4"),
    ("INVENTORY_HEARTBEAT_SECONDS", "1"),
    ("INVENTORY_LEASE_MARGIN_SECONDS", "0.5"),
    ("INVENTORY_LOCK_SECONDS", "2"),
    ("INVENTORY_HANDLER_TIMEOUT_SECONDS", "10"),
];
