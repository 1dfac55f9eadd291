//! Queues, topic and tables, and what the AWS client library reads by itself.

use std::collections::BTreeSet;

use super::{ConfigError, ConfigIssue, Reader, Section, Setting, parse};
use crate::{
    naming::{self, TableNames},
    worker::QueueKind,
};

const NAMES: &str = "Queues, topic and tables";
const CLIENT: &str = "AWS client";

pub(super) static PREFIX: Setting = Setting::new(
    NAMES,
    "prefix",
    "INVENTORY_PREFIX",
    "PREFIX",
    "The prefix of every name below that is not set itself: staging- names staging-commands.fifo, \
     staging-seats and the rest",
)
.or(naming::PREFIX);

pub(super) static QUEUES: Setting = Setting::new(
    NAMES,
    "queues",
    "INVENTORY_QUEUES",
    "QUEUES",
    "Command queues: names or URLs, comma-separated",
)
.or(naming::QUEUES)
.prefixed()
.common();

pub(super) static EXPIRIES: Setting = Setting::new(
    NAMES,
    "expiries-queue",
    "INVENTORY_EXPIRIES_QUEUE",
    "QUEUE",
    "Where the sweeper posts, the one queue that takes the workers' own sources; consumed by those \
     who have it among their queues",
)
.or(naming::EXPIRIES_QUEUE)
.prefixed();

static TOPIC: Setting = Setting::new(
    NAMES,
    "results-topic",
    "INVENTORY_RESULTS_TOPIC",
    "TOPIC",
    "The topic of results: a name or an ARN",
)
.or(naming::RESULTS_TOPIC)
.prefixed()
.common();

static SEATS: Setting =
    Setting::new(NAMES, "table-seats", "DYNAMODB_TABLE_SEATS", "TABLE", "The table of seats")
        .or(naming::SEATS_TABLE)
        .prefixed();

static STOCK: Setting =
    Setting::new(NAMES, "table-stock", "DYNAMODB_TABLE_STOCK", "TABLE", "The table of lines")
        .or(naming::STOCK_TABLE)
        .prefixed();

static RESERVATIONS: Setting = Setting::new(
    NAMES,
    "table-reservations",
    "DYNAMODB_TABLE_RESERVATIONS",
    "TABLE",
    "The table of reservations",
)
.or(naming::RESERVATIONS_TABLE)
.prefixed();

static LEDGER: Setting =
    Setting::new(NAMES, "table-ledger", "DYNAMODB_TABLE_LEDGER", "TABLE", "The table of outcomes")
        .or(naming::LEDGER_TABLE)
        .prefixed();

static REGION: Setting = Setting::variable(
    CLIENT,
    "AWS_REGION",
    "REGION",
    "The region; unset, the client library looks in its profile",
);

static ENDPOINT: Setting = Setting::variable(
    CLIENT,
    "AWS_ENDPOINT_URL",
    "URL",
    "Where every service is, for emulators; unset, AWS itself",
)
.masked(parse::shown_url);

static ENDPOINT_SQS: Setting =
    Setting::variable(CLIENT, "AWS_ENDPOINT_URL_SQS", "URL", "Where SQS is")
        .masked(parse::shown_url);

static ENDPOINT_SNS: Setting =
    Setting::variable(CLIENT, "AWS_ENDPOINT_URL_SNS", "URL", "Where SNS is")
        .masked(parse::shown_url);

static ENDPOINT_DYNAMODB: Setting =
    Setting::variable(CLIENT, "AWS_ENDPOINT_URL_DYNAMODB", "URL", "Where DynamoDB is")
        .masked(parse::shown_url);

/// A FIFO queue's name, in the account and region of the credentials, or its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueRef(String);

impl QueueRef {
    /// The name or URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_dead_letters(&self) -> bool {
        naming::queue_of_dead_letters(&self.0).is_some()
    }

    fn is_url(&self) -> bool {
        naming::is_queue_url(&self.0)
    }

    /// The queue's name, the last part of its URL.
    #[must_use]
    pub fn name(&self) -> &str {
        naming::queue_name(&self.0)
    }
}

impl std::str::FromStr for QueueRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let queue = Self(text.to_owned());
        let is_url = queue.is_url();
        let name = if is_url { queue.name() } else { text };
        if (is_url && !parse::is_plain_url(text)) || naming::check_queue_name(name).is_err() {
            return Err(
                "names of FIFO queues (letters, digits, - and _, at most 80 with the .fifo \
                        at the end) or their URLs, separated by commas"
                    .to_owned(),
            );
        }
        Ok(queue)
    }
}

/// A FIFO topic's name, in the account and region of the credentials, or its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRef(String);

impl TopicRef {
    /// The name or ARN as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TopicRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let name = match parts.as_slice() {
            ["arn", partition, "sns", region, account, name]
                if [partition, region, account].iter().all(|part| !part.is_empty()) =>
            {
                *name
            }
            _ => text,
        };
        if naming::check_topic_name(name).is_err() {
            return Err("the name of a FIFO topic (letters, digits, - and _, with .fifo at the \
                        end) or its ARN"
                .to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Queues, topic and tables. Region, endpoints and credentials are left to the client library,
/// which reads the same variables; they are checked and shown here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsConfig {
    /// `INVENTORY_PREFIX`
    pub prefix: String,
    /// `INVENTORY_QUEUES`: at least one, none twice.
    pub queues: Vec<QueueRef>,
    /// `INVENTORY_EXPIRIES_QUEUE`, among the queues or not.
    pub expiries: QueueRef,
    /// `INVENTORY_RESULTS_TOPIC`
    pub topic: TopicRef,
    /// The tables, all different.
    pub tables: TableNames,
    /// `AWS_ENDPOINT_URL` and those of each service, as far as they are set.
    pub endpoints: Endpoints,
}

/// Where the environment says that services are, for logs and errors; `None` is AWS, or what a
/// profile says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// SQS.
    pub sqs: Option<String>,
    /// SNS.
    pub sns: Option<String>,
    /// DynamoDB.
    pub dynamodb: Option<String>,
}

impl Section for AwsConfig {
    fn settings() -> Vec<&'static Setting> {
        vec![
            &PREFIX,
            &QUEUES,
            &EXPIRIES,
            &TOPIC,
            &SEATS,
            &STOCK,
            &RESERVATIONS,
            &LEDGER,
            &REGION,
            &ENDPOINT,
            &ENDPOINT_SQS,
            &ENDPOINT_SNS,
            &ENDPOINT_DYNAMODB,
        ]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let prefix = reader.value(&PREFIX, naming::PREFIX.to_owned(), prefix);
        reader.prefix_names(&prefix);
        let mut config = Self {
            prefix,
            endpoints: Endpoints::default(),
            queues: reader.value(&QUEUES, Vec::new(), queues),
            expiries: reader.value(&EXPIRIES, QueueRef(String::new()), expiries),
            topic: reader.value(&TOPIC, TopicRef(String::new()), str::parse),
            tables: TableNames {
                seats: reader.value(&SEATS, String::new(), table),
                stock: reader.value(&STOCK, String::new(), table),
                reservations: reader.value(&RESERVATIONS, String::new(), table),
                ledger: reader.value(&LEDGER, String::new(), table),
            },
        };
        reader.optional(&REGION, region);
        let mut endpoint = |setting| {
            reader.optional(setting, |text| match parse::is_plain_url(text) {
                true => Ok(text.to_owned()),
                false => Err("an http:// or https:// URL without user and password".to_owned()),
            })
        };
        let every = endpoint(&ENDPOINT);
        let mut one = |setting| endpoint(setting).or_else(|| every.clone());
        config.endpoints = Endpoints {
            sqs: one(&ENDPOINT_SQS),
            sns: one(&ENDPOINT_SNS),
            dynamodb: one(&ENDPOINT_DYNAMODB),
        };
        let TableNames { seats, stock, reservations, ledger } = &config.tables;
        let distinct: BTreeSet<&String> = [seats, stock, reservations, ledger].into();
        reader.relation(
            &[&SEATS, &STOCK, &RESERVATIONS, &LEDGER],
            distinct.len() == 4,
            "four different tables",
            "Give each its own name",
        );
        config
    }
}

impl AwsConfig {
    /// What a queue is for. One may be given by its name and the other by its URL.
    #[must_use]
    pub fn kind_of(&self, queue: &QueueRef) -> QueueKind {
        let is_same = match (queue.is_url(), self.expiries.is_url()) {
            (true, true) => queue == &self.expiries,
            _ => queue.name() == self.expiries.name(),
        };
        if is_same { QueueKind::Expiries } else { QueueKind::Commands }
    }

    /// The queue that producers send commands to, and that of restocks: the second, where there is
    /// one, so that restocks never delay a sale. `None` if there is no queue but that of expiries.
    #[must_use]
    pub fn producer_queues(&self) -> Option<(&QueueRef, &QueueRef)> {
        let is_producers = |queue: &&QueueRef| self.kind_of(queue) == QueueKind::Commands;
        let mut queues = self.queues.iter().filter(is_producers);
        let commands = queues.next()?;
        Some((commands, queues.next().unwrap_or(commands)))
    }

    /// Every queue that is consumed or posted to, each once.
    #[must_use]
    pub fn every_queue(&self) -> Vec<&QueueRef> {
        let is_consumed =
            self.queues.iter().any(|queue| self.kind_of(queue) == QueueKind::Expiries);
        let expiries = (!is_consumed).then_some(&self.expiries);
        self.queues.iter().chain(expiries).collect()
    }
}

impl Default for AwsConfig {
    fn default() -> Self {
        super::reader::defaults()
    }
}

fn queues(text: &str) -> Result<Vec<QueueRef>, String> {
    let queues = parse::list(text).map(str::parse).collect::<Result<Vec<QueueRef>, _>>()?;
    let names: BTreeSet<&QueueRef> = queues.iter().collect();
    if queues.is_empty() || names.len() < queues.len() {
        return Err("at least one queue, none twice".to_owned());
    }
    if queues.iter().any(QueueRef::is_dead_letters) {
        return Err("no dead-letter queue: what is in one is sent back by a person".to_owned());
    }
    Ok(queues)
}

fn expiries(text: &str) -> Result<QueueRef, String> {
    let wrong = "one FIFO queue that is no dead-letter queue: its name (letters, digits, - and _, \
                 at most 80 with the .fifo at the end) or its URL";
    text.parse::<QueueRef>()
        .ok()
        .filter(|queue| !queue.is_dead_letters())
        .ok_or_else(|| wrong.to_owned())
}

fn region(text: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(()),
        false => Err("a region such as eu-central-1".to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    match naming::is_prefix(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "2 to {} characters of a-z A-Z 0-9 - _, the first a letter or digit, the last - or _, \
             such as staging-",
            naming::PREFIX_MAX
        )),
    }
}

fn table(text: &str) -> Result<String, String> {
    match naming::is_table_name(text) {
        true => Ok(text.to_owned()),
        false => Err("3 to 255 characters of a-z A-Z 0-9 _ - .".to_owned()),
    }
}

/// What is wrong where no queue is left for commands.
pub const NO_PRODUCER_QUEUE: &str = "no queue but that of expiries (INVENTORY_QUEUES)";

/// The error of a process without a region.
#[must_use]
pub fn missing_region() -> ConfigError {
    ConfigError(vec![ConfigIssue {
        settings: vec![&REGION],
        found: "AWS_REGION is not set, and neither the profile nor the machine has a region"
            .to_owned(),
        expected: "a region such as eu-central-1".to_owned(),
        fix: "Set AWS_REGION".to_owned(),
    }])
}
