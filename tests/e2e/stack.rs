//! The servers, which were started beforehand.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
use inventory_worker::adapters::{aws::behavior_version, dynamodb, sns, sqs};

/// The provider of SQS and SNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// LocalStack. It releases a whole group as soon as one message of it is released, so it keeps
    /// no order after a failure in the middle of a batch.
    LocalStack,
    /// MiniStack.
    MiniStack,
}

/// Servers of SQS, SNS, DynamoDB and Redis.
#[derive(Clone)]
pub struct Stack {
    /// The provider of SQS and SNS.
    pub broker: Broker,
    /// The endpoint of SQS and SNS.
    pub endpoint: String,
    /// The endpoint of DynamoDB.
    pub dynamodb_endpoint: String,
    /// The URL of Redis.
    pub redis_url: String,
    pub sqs: aws_sdk_sqs::Client,
    pub sns: aws_sdk_sns::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
}

impl Stack {
    /// The servers that the environment names.
    pub fn of(broker: Broker) -> Self {
        let endpoint = variable(match broker {
            Broker::LocalStack => "INVENTORY_TEST_LOCALSTACK",
            Broker::MiniStack => "INVENTORY_TEST_MINISTACK",
        });
        let dynamodb_endpoint = variable("INVENTORY_TEST_DYNAMODB");
        let messaging = shared(&endpoint);
        let options = dynamodb::ClientOptions::default();
        Self {
            broker,
            sqs: sqs::client(&messaging),
            sns: sns::client(&messaging),
            dynamodb: dynamodb::client(&shared(&dynamodb_endpoint), &options),
            redis_url: variable("INVENTORY_TEST_REDIS"),
            endpoint,
            dynamodb_endpoint,
        }
    }

    /// The same, with DynamoDB at that endpoint.
    pub fn with_dynamodb(mut self, endpoint: &str) -> Self {
        let options = dynamodb::ClientOptions::default();
        self.dynamodb = dynamodb::client(&shared(endpoint), &options);
        self.dynamodb_endpoint = endpoint.to_owned();
        self
    }

    /// The variables that point a process at the servers.
    pub fn environment(&self) -> BTreeMap<String, String> {
        [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb_endpoint),
            ("REDIS_URL", &self.redis_url),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: `localstack/stack up all` starts the servers and \
             `localstack/stack env` prints the variables"
        )
    })
}

fn shared(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(behavior_version())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Makes a test of each scenario on each server of SQS and SNS.
macro_rules! on_every_stack {
    ($($scenario:ident)*) => {
        on_every_stack! { @on localstack LocalStack $($scenario)* }
        on_every_stack! { @on ministack MiniStack $($scenario)* }
    };
    (@on $module:ident $broker:ident $($scenario:ident)*) => {
        mod $module {
            use crate::stack::{Broker, Stack};

            $(
                #[tokio::test]
                #[ignore = "needs the stack: make test"]
                async fn $scenario() {
                    super::$scenario(Stack::of(Broker::$broker)).await;
                }
            )*
        }
    };
}
