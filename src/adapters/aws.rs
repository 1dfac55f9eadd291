//! What the adapters of SQS and SNS share: how the SDK's clients behave, what their errors mean,
//! and how the answer to a batch is read.

use std::time::Duration;

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::ports::{BatchAnswer, EntryError, PortError};

/// How long one attempt at a call may take, connecting included. All attempts together stay below
/// the heartbeat, so that a hanging call never costs a lease by itself.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most attempts at one call, the first included. The SDK repeats transport faults, server
/// errors and throttling, with jittered exponential backoff; nothing else is repeated.
pub const ATTEMPTS_MAX: u32 = 3;

/// The behaviour of the SDK's clients, pinned: an update of the SDK must not change it silently.
#[must_use]
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

pub(super) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX)
}

/// Time limits for calls whose attempts may take that long.
pub(super) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(ATTEMPT_TIMEOUT)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .build()
}

/// An error's code without the name space that some protocols and servers put before it:
/// `AWS.SimpleQueueService.MessageNotInflight`, `com.amazonaws.sqs#MessageNotInflight`.
pub(super) fn bare(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

fn is_throttling(code: &str) -> bool {
    matches!(
        bare(code),
        "KMSThrottling"
            | "KMSThrottlingException"
            | "KmsThrottled"
            // SQS: too many messages in flight (120,000 on a FIFO queue).
            | "OverLimit"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "Throttled"
            | "ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
    )
}

fn is_server_fault(code: &str) -> bool {
    matches!(
        bare(code),
        "InternalError"
            | "InternalErrorException"
            | "InternalFailure"
            | "InternalServerError"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
    )
}

/// Whether an entry failed for want of rights, keys or resources: no fault of the entry, and a
/// person will mend it. Sources: the errors of SNS Publish and of SQS SendMessage.
fn is_setting(code: &str) -> bool {
    let families = ["KMS", "Kms", "AccessDenied", "AuthorizationError"];
    families.iter().any(|family| code.starts_with(family) || bare(code).starts_with(family))
        || matches!(
            bare(code),
            "EndpointDisabled" | "NotFound" | "NonExistentQueue" | "QueueDoesNotExist"
        )
}

/// A call that failed as a whole. `doing` names the call and the resource.
pub(super) fn port_error<E>(doing: &str, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let text = describe(doing, error);
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            match service.raw().status().as_u16() {
                _ if is_throttling(code) => PortError::Throttled(text),
                429 => PortError::Throttled(text),
                _ if is_server_fault(code) => PortError::Unavailable(text),
                // A refusal is an answer of 4xx; anything else is no answer to rely on.
                400..=407 | 409..=499 => PortError::Refused(text),
                _ => PortError::Unavailable(text),
            }
        }
        // Never sent: a setting is wrong or missing.
        SdkError::ConstructionFailure(_) => PortError::Refused(text),
        // Timed out, cut off, or an answer that cannot be read: it may have been done.
        _ => PortError::Unavailable(text),
    }
}

/// A sentence for the log: the call, the code and what the service says.
fn describe<E>(doing: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.as_service_error() {
        Some(service) => {
            let code = service.code().unwrap_or("an error without a code");
            let message = service.message().unwrap_or("no message");
            format!("{doing}: {code}: {message}")
        }
        None => format!("{doing}: {}", chain(error)),
    }
}

/// An error and its causes. Not the SDK's own rendering, which adds the whole answer to an answer
/// it cannot read, messages and all.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// What the answer to a batch says of one entry that failed.
pub(super) struct FailedEntry<'a> {
    /// Why.
    pub code: &'a str,
    /// Why, in words.
    pub message: Option<&'a str>,
    /// Whether the service blames the request.
    pub sender_fault: bool,
}

impl FailedEntry<'_> {
    /// What the failure means to the caller, apart from leases.
    pub fn error(&self) -> EntryError {
        let text = format!("{}: {}", self.code, self.message.unwrap_or("no message"));
        let passing = is_throttling(self.code) || is_server_fault(self.code);
        if passing || is_setting(self.code) || !self.sender_fault {
            EntryError::Retryable(text)
        } else {
            EntryError::Refused(text)
        }
    }
}

/// The id of an entry in a request: its position.
pub(super) fn entry_id(position: usize) -> String {
    position.to_string()
}

/// Puts the answers of a batch in the order of its `len` entries. An entry without an answer, or
/// with contradicting ones, has not succeeded.
pub(super) fn in_order<T>(
    len: usize,
    successful: impl IntoIterator<Item = (String, T)>,
    failed: impl IntoIterator<Item = (String, EntryError)>,
) -> BatchAnswer<T> {
    let silent = || EntryError::Retryable("the service gave no answer for this entry".to_owned());
    let mut answers: BatchAnswer<T> = (0..len).map(|_| Err(silent())).collect();
    let successful = successful.into_iter().map(|(id, value)| (id, Ok(value)));
    let failed = failed.into_iter().map(|(id, error)| (id, Err(error)));
    for (id, answer) in successful.chain(failed) {
        if let Some(place) = id.parse().ok().and_then(|at: usize| answers.get_mut(at)) {
            *place = answer;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed<'a>(code: &'a str, sender_fault: bool) -> FailedEntry<'a> {
        FailedEntry { code, message: None, sender_fault }
    }

    #[test]
    fn an_entry_without_an_answer_has_not_succeeded() {
        let answers = in_order(3, [("2".to_owned(), 'c'), ("7".to_owned(), 'x')], []);
        assert!(matches!(answers[0], Err(EntryError::Retryable(_))));
        assert!(matches!(answers[1], Err(EntryError::Retryable(_))));
        assert_eq!(answers[2], Ok('c'));
        assert_eq!(answers.len(), 3);
    }

    #[test]
    fn an_entry_that_is_said_to_have_succeeded_and_failed_has_failed() {
        let answers =
            in_order(1, [("0".to_owned(), ())], [("0".to_owned(), EntryError::LeaseLost)]);
        assert_eq!(answers, [Err(EntryError::LeaseLost)]);
    }

    #[test]
    fn only_what_is_wrong_with_the_entry_itself_is_refused() {
        for (code, sender_fault) in [
            ("InternalError", false),
            ("SomethingNew", false),
            ("RequestThrottled", true),
            ("AWS.SimpleQueueService.OverLimit", true),
            ("KMSAccessDenied", true),
            ("KMS.DisabledException", true),
            ("AuthorizationError", true),
        ] {
            let error = failed(code, sender_fault).error();
            assert!(matches!(error, EntryError::Retryable(_)), "{code}: {error}");
        }
        for code in ["InvalidMessageContents", "InvalidParameterValue", "SomethingNew"] {
            let error = failed(code, true).error();
            assert!(matches!(error, EntryError::Refused(_)), "{code}: {error}");
        }
    }
}
