//! What a process says and checks when it starts.

use anyhow::Context as _;
use aws_config::SdkConfig;

use crate::{
    adapters::{redis::RedisUrl, sns::SnsTopic, sqs::SqsQueue},
    build_info,
    config::{AwsConfig, QueueRef},
    gateway::auth::AuthSettings,
    naming::{TableNames, is_queue_url},
    ports::{PortError, ReadStore},
};

/// What starts.
pub(super) enum Process<'a> {
    Worker { sweeps: bool, locks: Option<&'a RedisUrl> },
    Gateway { auth: &'a AuthSettings },
}

/// One line with what this process is and what it talks to.
pub(super) fn log(
    sdk: &SdkConfig,
    aws: &AwsConfig,
    view_redis: Option<&RedisUrl>,
    process: &Process<'_>,
) {
    let endpoint = |set: &Option<String>| set.clone().unwrap_or_else(|| "AWS".to_owned());
    let shown = |url: Option<&RedisUrl>| url.map_or("none".to_owned(), ToString::to_string);
    let queues: Vec<&str> = aws.queues.iter().map(QueueRef::as_str).collect();
    let TableNames { seats, stock, reservations, ledger } = &aws.tables;
    // What a gateway does not use is left out: the topic, the queue of expiries.
    let (worker, locks, auth) = match process {
        Process::Worker { sweeps, locks } => (Some(*sweeps), Some(shown(*locks)), None),
        Process::Gateway { auth } => (None, None, Some(auth.as_str())),
    };
    tracing::info!(
        version = build_info::VERSION,
        revision = build_info::REVISION,
        region = sdk.region().map(tracing::field::display),
        sqs = endpoint(&aws.endpoints.sqs),
        sns = worker.map(|_| endpoint(&aws.endpoints.sns)),
        dynamodb = endpoint(&aws.endpoints.dynamodb),
        queues = queues.join(","),
        expiries = worker.map(|_| aws.expiries.as_str()),
        tables = [seats, stock, reservations, ledger].map(String::as_str).join(","),
        topic = worker.map(|_| aws.topic.as_str()),
        redis = locks,
        view_redis = shown(view_redis),
        sweeper = worker,
        auth,
        "starting"
    );
}

/// What `bootstrap` creates where a queue is missing.
pub(super) const QUEUES: &str = "the queues of INVENTORY_QUEUES and their dead-letter queues";

/// Says of what does not exist that `bootstrap` creates it; another error is as it is.
pub(super) fn missing(error: PortError, what: &str) -> PortError {
    match error {
        PortError::Refused(text) if text.contains("does not exist in this account") => {
            PortError::Refused(format!("{text}. `inventory-worker bootstrap` creates {what}"))
        }
        error => error,
    }
}

/// A queue that is given by its name and does not exist, or may not be looked up, ends the start.
/// Where the service does not answer, the start goes on: readiness says so, and each call looks the
/// queue up again.
pub(super) async fn look_up_queue(queue: &SqsQueue) -> anyhow::Result<()> {
    match queue.url().await {
        Ok(_) => Ok(()),
        Err(error @ PortError::Refused(_)) => Err(missing(error, QUEUES).into()),
        Err(error) => {
            tracing::warn!(%error, "whether the queue exists is not known");
            Ok(())
        }
    }
}

/// A queue that is given by its URL and does not exist ends the start, as one given by its name
/// does when it is looked up. One that cannot be asked does not: readiness says so.
pub(super) async fn require_queue(queue: &SqsQueue, name_or_url: &str) -> anyhow::Result<()> {
    if !is_queue_url(name_or_url) {
        return Ok(());
    }
    let variables = "INVENTORY_QUEUES, INVENTORY_EXPIRIES_QUEUE";
    require("queue", name_or_url, queue.exists().await, variables)
}

/// A topic that is given by its ARN and does not exist ends the start. One that cannot be asked
/// does not: a publish will show.
pub(super) async fn require_topic(topic: &SnsTopic) -> anyhow::Result<()> {
    require("topic", topic.arn(), topic.exists().await, "INVENTORY_RESULTS_TOPIC")
}

/// What is known not to exist is an error that names the variables.
fn require(
    what: &str,
    address: &str,
    exists: Result<bool, PortError>,
    variables: &'static str,
) -> anyhow::Result<()> {
    match exists {
        Ok(true) => Ok(()),
        Ok(false) => {
            let missing = format!("{what} {address}: does not exist");
            Err(PortError::Refused(missing)).context(variables)
        }
        Err(error) => {
            tracing::warn!(%error, "whether the {what} exists is not known");
            Ok(())
        }
    }
}

/// What a start does where the tables exist, as far as it can tell, and may not be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfRefused {
    End,
    GoOn,
}

/// A table that is missing ends the start. Tables that do not answer are waited for: readiness says
/// so.
pub(super) async fn require_tables(
    store: &dyn ReadStore,
    if_refused: IfRefused,
) -> anyhow::Result<()> {
    let refused = match store.ping().await {
        Err(PortError::Refused(text)) => text,
        Ok(()) | Err(_) => return Ok(()),
    };
    // DynamoDB's code of a table that is not there.
    if refused.contains("ResourceNotFoundException") {
        return Err(PortError::Refused(refused))
            .context("tables (`bootstrap` creates what is missing; DYNAMODB_TABLE_… names them)");
    }
    match if_refused {
        IfRefused::End => Err(PortError::Refused(refused)).context("tables"),
        IfRefused::GoOn => {
            tracing::warn!(error = refused, "whether the tables exist is not known");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::ports::{LoadRequest, ReadSet};

    struct Answering(Result<(), PortError>);

    #[async_trait]
    impl ReadStore for Answering {
        async fn load(&self, _: &LoadRequest) -> Result<ReadSet, PortError> {
            panic!("a start loads nothing");
        }

        async fn ping(&self) -> Result<(), PortError> {
            self.0.clone()
        }
    }

    async fn started(answer: Result<(), PortError>, if_refused: IfRefused) -> Result<(), String> {
        let started = require_tables(&Answering(answer), if_refused).await;
        started.map_err(|error| format!("{error:#}"))
    }

    fn refused(code: &str) -> Result<(), PortError> {
        Err(PortError::Refused(format!("BatchGetItem on inventory-seats: {code}: no message")))
    }

    #[tokio::test]
    async fn that_bootstrap_creates_the_tables_is_said_only_of_one_that_is_missing() {
        for if_refused in [IfRefused::End, IfRefused::GoOn] {
            let missing = started(refused("ResourceNotFoundException"), if_refused).await;
            let missing = missing.unwrap_err();
            assert!(missing.contains("`bootstrap` creates"), "{missing}");
            assert!(missing.contains("inventory-seats"), "{missing}");
        }
        let denied = started(refused("AccessDeniedException"), IfRefused::End).await.unwrap_err();
        assert!(denied.contains("AccessDeniedException"), "{denied}");
        assert!(!denied.contains("bootstrap"), "{denied}");
    }

    #[tokio::test]
    async fn a_process_that_may_not_ask_for_the_tables_starts() {
        assert_eq!(started(refused("AccessDeniedException"), IfRefused::GoOn).await, Ok(()));
    }

    #[tokio::test]
    async fn tables_that_do_not_answer_are_waited_for() {
        for if_refused in [IfRefused::End, IfRefused::GoOn] {
            let silent = Err(PortError::Unavailable("no answer".to_owned()));
            assert_eq!(started(silent, if_refused).await, Ok(()));
            assert_eq!(started(Ok(()), if_refused).await, Ok(()));
        }
    }

    #[test]
    fn that_bootstrap_creates_a_queue_is_said_only_of_one_that_is_missing() {
        let absent = "queue a.fifo: does not exist in this account and region; create it";
        let hinted = missing(PortError::Refused(absent.to_owned()), "the queues").to_string();
        assert!(hinted.ends_with("`inventory-worker bootstrap` creates the queues"), "{hinted}");
        let denied = PortError::Refused("GetQueueUrl of a.fifo: AccessDenied: no".to_owned());
        assert_eq!(missing(denied.clone(), "the queues"), denied);
    }
}
