//! The SDK's client, with pinned behaviour.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
};

use super::super::aws::{ClockSkew, behavior_version};

/// How long the client waits and how often the SDK repeats a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long one attempt may take, connecting included.
    pub attempt_timeout: Duration,
    /// The most attempts at one call, the first included. Transport faults, server errors and
    /// throttling are repeated; nothing else is.
    pub max_attempts: u32,
    /// The greatest wait before the second attempt; doubles from there. Jittered.
    pub initial_backoff: Duration,
    /// The greatest wait between two attempts.
    pub max_backoff: Duration,
}

impl Default for ClientOptions {
    /// Two seconds per attempt: far above DynamoDB's usual milliseconds, far below a lease. Three
    /// attempts, 25 ms apart at first, as AWS's SDKs use for DynamoDB.
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(2),
            max_attempts: 3,
            initial_backoff: Duration::from_millis(25),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl ClientOptions {
    /// The longest a call can take, including all attempts and waits.
    #[must_use]
    pub fn operation_timeout(&self) -> Duration {
        self.attempt_timeout.saturating_add(self.max_backoff).saturating_mul(self.max_attempts)
    }
}

/// A client with the default chain's credentials, region and endpoint.
#[must_use]
pub fn client(shared: &SdkConfig, options: &ClientOptions) -> Client {
    Client::from_conf(configure(Builder::from(shared), options).interceptor(ClockSkew).build())
}

/// Adds behaviour, retries and timeouts to a configuration that has the rest.
#[must_use]
pub fn configure(builder: Builder, options: &ClientOptions) -> Builder {
    let retries = RetryConfig::standard()
        .with_max_attempts(options.max_attempts.max(1))
        .with_initial_backoff(options.initial_backoff)
        .with_max_backoff(options.max_backoff);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.attempt_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .operation_timeout(options.operation_timeout())
        .build();
    builder.behavior_version(behavior_version()).retry_config(retries).timeout_config(timeouts)
}
