//! What the SDK's errors mean to a caller. Classified once, here.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{RequestId, put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::CancellationReason,
};

use crate::ports::{CommitError, PortError};

/// What a failed call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A condition did not hold, or someone else is at work on the item.
    Conflict,
    /// The request itself will never be taken.
    Invalid,
    /// Asked for less; nothing was done.
    Throttled,
    /// Not known whether it was done.
    Unavailable,
    /// Needs a person; nothing was done.
    Refused,
}

/// The meaning of a service error's code, or of its HTTP status where the code is not known.
///
/// Source: DynamoDB's API reference, "Common errors" and the errors of each operation.
fn meaning(code: &str, status: u16) -> Meaning {
    match code {
        // `TransactionInProgressException`: an earlier sending of this very transaction is still
        // being worked on, so it may yet be applied. Deciding again is safe all the same: if it
        // is applied, the next attempt finds its ledger entry, or meets its condition.
        "ConditionalCheckFailedException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException" => Meaning::Conflict,
        "ValidationException"
        | "ItemCollectionSizeLimitExceededException"
        | "IdempotentParameterMismatchException"
        | "SerializationException"
        | "RequestEntityTooLarge" => Meaning::Invalid,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "LimitExceededException" => Meaning::Throttled,
        "InternalServerError" | "InternalFailure" | "ServiceUnavailable" | "RequestTimeout" => {
            Meaning::Unavailable
        }
        _ => match status {
            429 => Meaning::Throttled,
            413 => Meaning::Invalid,
            // A server error without a code of ours, or an answer that is no answer.
            408 | 500.. | ..400 => Meaning::Unavailable,
            400..=499 => Meaning::Refused,
        },
    }
}

/// The meaning of one item's share in a cancelled transaction; `None` where it had none.
fn cancellation(code: &str) -> Option<Meaning> {
    match code {
        "None" => None,
        "ConditionalCheckFailed" | "TransactionConflict" => Some(Meaning::Conflict),
        "ValidationError" | "ItemCollectionSizeLimitExceeded" | "DuplicateItem" => {
            Some(Meaning::Invalid)
        }
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Some(Meaning::Throttled),
        "AccessDenied" => Some(Meaning::Refused),
        _ => Some(Meaning::Unavailable),
    }
}

/// What a cancelled transaction comes to. A conflict only where all that stood in the way is one:
/// otherwise deciding again would meet the same again.
fn cancelled(reasons: &[CancellationReason]) -> Meaning {
    let all: Vec<Meaning> =
        reasons.iter().filter_map(|reason| cancellation(reason.code().unwrap_or("None"))).collect();
    let worst = [Meaning::Invalid, Meaning::Refused, Meaning::Throttled, Meaning::Unavailable];
    match worst.into_iter().find(|meaning| all.contains(meaning)) {
        Some(meaning) => meaning,
        // No reason at all says nothing about the items.
        None if all.is_empty() => Meaning::Unavailable,
        None => Meaning::Conflict,
    }
}

/// A failed call that no condition is part of.
pub(super) fn port<E>(doing: &str, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let text = describe(doing, error);
    match classify(error) {
        Meaning::Throttled => PortError::Throttled(text),
        // Reads and counters meet no transaction for long.
        Meaning::Unavailable | Meaning::Conflict => PortError::Unavailable(text),
        Meaning::Refused | Meaning::Invalid => PortError::Refused(text),
    }
}

/// A failed transaction.
pub(super) fn transaction(error: &SdkError<TransactWriteItemsError>) -> CommitError {
    let doing = "TransactWriteItems";
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled_by)) => {
            let reasons = cancelled_by.cancellation_reasons();
            commit(cancelled(reasons), summary(doing, reasons))
        }
        _ => commit(classify(error), describe(doing, error)),
    }
}

/// A failed conditional put.
pub(super) fn put(error: &SdkError<PutItemError>) -> CommitError {
    commit(classify(error), describe("PutItem", error))
}

fn commit(meaning: Meaning, text: String) -> CommitError {
    match meaning {
        Meaning::Conflict => CommitError::Conflict(text),
        Meaning::Invalid => CommitError::Invalid(text),
        Meaning::Throttled => PortError::Throttled(text).into(),
        Meaning::Unavailable => PortError::Unavailable(text).into(),
        Meaning::Refused => PortError::Refused(text).into(),
    }
}

fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Meaning {
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            meaning(code, service.raw().status().as_u16())
        }
        // Never sent: a setting is wrong or missing.
        SdkError::ConstructionFailure(_) => Meaning::Refused,
        // Timed out, cut off, or an answer that cannot be read: it may have been done.
        _ => Meaning::Unavailable,
    }
}

/// A sentence for the log: the call, the code, what the service says, and the request's id, which
/// AWS asks for.
fn describe<E>(doing: &str, error: &SdkError<E>) -> String
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

/// An error and what caused it, without the SDK's debug form, which holds the whole answer.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Which items of a transaction stood in the way, by position, and why. Never their content.
fn summary(doing: &str, reasons: &[CancellationReason]) -> String {
    let named: Vec<String> = reasons
        .iter()
        .enumerate()
        .filter_map(|(at, reason)| match reason.code() {
            None | Some("None") => None,
            Some(code) => Some(format!("item {at}: {code}")),
        })
        .collect();
    match named.is_empty() {
        true => format!("{doing}: cancelled without a reason"),
        false => format!("{doing}: cancelled by {}", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[&str]) -> Vec<CancellationReason> {
        codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect()
    }

    #[test]
    fn a_cancelled_transaction_is_a_conflict_only_where_nothing_worse_stood_in_the_way() {
        for (codes, expected) in [
            (&["None", "ConditionalCheckFailed"][..], Meaning::Conflict),
            (&["TransactionConflict", "ConditionalCheckFailed", "None"], Meaning::Conflict),
            (&["ConditionalCheckFailed", "ThrottlingError"], Meaning::Throttled),
            (&["ProvisionedThroughputExceeded", "None"], Meaning::Throttled),
            (&["ThrottlingError", "ValidationError"], Meaning::Invalid),
            (&["ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"], Meaning::Invalid),
            (&["AccessDenied", "ThrottlingError"], Meaning::Refused),
            (&["SomethingNew", "ConditionalCheckFailed"], Meaning::Unavailable),
            (&["None", "None"], Meaning::Unavailable),
            (&[], Meaning::Unavailable),
        ] {
            assert_eq!(cancelled(&reasons(codes)), expected, "{codes:?}");
        }
    }

    #[test]
    fn an_error_code_that_is_not_known_goes_by_its_http_status() {
        assert_eq!(meaning("SomethingNew", 400), Meaning::Refused);
        assert_eq!(meaning("SomethingNew", 503), Meaning::Unavailable);
        assert_eq!(meaning("", 200), Meaning::Unavailable);
        assert_eq!(meaning("", 429), Meaning::Throttled);
    }

    #[test]
    fn the_summary_names_positions_and_no_content() {
        let text = summary("TransactWriteItems", &reasons(&["None", "ConditionalCheckFailed"]));
        assert_eq!(text, "TransactWriteItems: cancelled by item 1: ConditionalCheckFailed");
    }
}
