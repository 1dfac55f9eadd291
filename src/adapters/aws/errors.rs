//! The meaning of an AWS service's error: one classification for SQS, SNS and DynamoDB.

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId as _,
};

use crate::ports::PortError;

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapters) enum ErrorClass {
    /// A condition did not hold, or another transaction is changing the item.
    Conflict,
    /// The service will never accept this request.
    Invalid,
    /// The caller exceeds a limit; nothing was done.
    Throttled,
    /// It is unknown whether the request took effect.
    Unavailable,
    /// A setting or a permission is wrong; nothing was done.
    Refused,
}

impl ErrorClass {
    /// The class of a service error's code; `None` for an unknown code.
    ///
    /// Sources: the "Common errors" of each service's API reference, and the errors of each
    /// operation that is called.
    pub(in crate::adapters) fn of_code(code: &str) -> Option<Self> {
        Some(match bare(code) {
            // `TransactionInProgressException`: DynamoDB still processes an earlier send of this
            // very transaction, so it may yet be applied. Deciding again is safe: if it is applied,
            // the next attempt finds its ledger entry, or fails on its condition.
            "ConditionalCheckFailedException"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "ReplicatedWriteConflictException" => Self::Conflict,
            "ValidationException"
            | "ItemCollectionSizeLimitExceededException"
            | "IdempotentParameterMismatchException"
            | "SerializationException"
            | "RequestEntityTooLarge" => Self::Invalid,
            "KMSThrottling"
            | "KMSThrottlingException"
            | "KmsThrottled"
            | "LimitExceededException"
            // SQS: too many messages in flight (120,000 on a FIFO queue).
            | "OverLimit"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "Throttled"
            | "ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException" => Self::Throttled,
            "InternalError"
            | "InternalErrorException"
            | "InternalFailure"
            | "InternalServerError"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => Self::Unavailable,
            _ => return None,
        })
    }

    /// The class of a service error, by its code or otherwise by the HTTP status of the answer.
    pub(in crate::adapters) fn of_answer(code: &str, status: u16) -> Self {
        Self::of_code(code).unwrap_or(match status {
            429 => Self::Throttled,
            413 => Self::Invalid,
            // A server error, or a status that no error has.
            408 | 500.. | ..400 => Self::Unavailable,
            400..=499 => Self::Refused,
        })
    }

    /// The class of a failed call.
    pub(in crate::adapters) fn of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or_default();
                Self::of_answer(code, service.raw().status().as_u16())
            }
            // The request was never sent.
            SdkError::ConstructionFailure(_) => Self::Refused,
            // It timed out or was cut off, or the answer cannot be read: it may have taken effect.
            _ => Self::Unavailable,
        }
    }

    /// The error of a port for a call that has no conditions.
    pub(in crate::adapters) fn port_error(self, text: String) -> PortError {
        match self {
            Self::Throttled => PortError::Throttled(text),
            // Reads and counters conflict with a transaction only briefly.
            Self::Unavailable | Self::Conflict => PortError::Unavailable(text),
            Self::Refused | Self::Invalid => PortError::Refused(text),
        }
    }
}

/// An error's code without the namespace that some protocols and servers put before it:
/// `AWS.SimpleQueueService.MessageNotInflight`, `com.amazonaws.sqs#MessageNotInflight`.
pub(in crate::adapters) fn bare(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

/// A call that failed as a whole. `doing` names the call and the resource.
pub(in crate::adapters) fn port_error<E>(doing: &str, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    ErrorClass::of(error).port_error(describe(doing, error))
}

/// A sentence for the log: the call, the code, the service's message, and the request's id, which
/// AWS support asks for.
pub(in crate::adapters) fn describe<E>(doing: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(service) = error.as_service_error() else {
        return format!("{doing}: {}", causes(error));
    };
    let code = service.code().unwrap_or("an error without a code");
    let message = service.message().unwrap_or("no message");
    match service.meta().request_id() {
        Some(id) => format!("{doing}: {code}: {message} (request {id})"),
        None => format!("{doing}: {code}: {message}"),
    }
}

/// An error and its causes. The SDK's debug form is not used: it holds the whole answer, including
/// messages.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_that_is_not_known_goes_by_its_http_status() {
        assert_eq!(ErrorClass::of_answer("SomethingNew", 400), ErrorClass::Refused);
        assert_eq!(ErrorClass::of_answer("SomethingNew", 503), ErrorClass::Unavailable);
        assert_eq!(ErrorClass::of_answer("", 200), ErrorClass::Unavailable);
        assert_eq!(ErrorClass::of_answer("", 429), ErrorClass::Throttled);
    }

    #[test]
    fn a_code_means_the_same_with_a_namespace_before_it() {
        for code in ["OverLimit", "AWS.SimpleQueueService.OverLimit", "com.amazonaws.sqs#OverLimit"]
        {
            assert_eq!(ErrorClass::of_answer(code, 403), ErrorClass::Throttled, "{code}");
        }
    }
}
