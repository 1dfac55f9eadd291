//! Shared by the AWS adapters: the SDK clients' behaviour, the meaning of their errors (`errors`),
//! and reading the answer to a batch.

use std::time::Duration;

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};

use crate::ports::{BatchAnswer, EntryError};
use errors::ErrorClass;

pub(super) mod errors;
mod skew;

pub(super) use errors::{bare, port_error};
pub(super) use skew::ClockSkew;
pub use skew::clock_ahead;

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

/// Timeouts for calls whose attempts may take up to `attempt`.
pub(super) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(ATTEMPT_TIMEOUT)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .build()
}

/// Where a call goes, for errors: ` at http://localhost:4566`, or nothing for AWS itself.
pub(super) fn at(endpoint: Option<&str>) -> String {
    endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default()
}

/// Whether an entry failed for a missing permission, key or resource: an operator has to fix it,
/// and the entry is not at fault. Sources: the errors of SNS Publish and of SQS SendMessage.
fn is_setting(code: &str) -> bool {
    let families = ["KMS", "Kms", "AccessDenied", "AuthorizationError"];
    families.iter().any(|family| code.starts_with(family) || bare(code).starts_with(family))
        || matches!(
            bare(code),
            "EndpointDisabled" | "NotFound" | "NonExistentQueue" | "QueueDoesNotExist"
        )
}

/// An entry that failed, from the answer to a batch.
pub(super) struct FailedEntry<'a> {
    pub code: &'a str,
    pub message: Option<&'a str>,
    /// Whether the service attributes the failure to the request.
    pub sender_fault: bool,
}

impl FailedEntry<'_> {
    /// What the failure means to the caller, apart from leases.
    pub fn error(&self) -> EntryError {
        let text = format!("{}: {}", self.code, self.message.unwrap_or("no message"));
        let class = ErrorClass::of_code(self.code);
        let is_temporary = matches!(class, Some(ErrorClass::Throttled | ErrorClass::Unavailable));
        if is_temporary || is_setting(self.code) || !self.sender_fault {
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
/// with contradictory answers, counts as failed.
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
