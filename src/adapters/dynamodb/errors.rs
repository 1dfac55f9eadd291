//! The meaning of the errors of conditional writes. For those of every other call see
//! [`aws::errors`](super::super::aws::errors).

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::CancellationReason,
};

use super::super::aws::errors::{ErrorClass, describe};
use crate::ports::CommitError;

pub(super) use super::super::aws::errors::port_error as port;

/// The class of one item's reason in a cancelled transaction; `None` where it has none.
fn cancellation(code: &str) -> Option<ErrorClass> {
    match code {
        "None" => None,
        "ConditionalCheckFailed" | "TransactionConflict" => Some(ErrorClass::Conflict),
        "ValidationError" | "ItemCollectionSizeLimitExceeded" | "DuplicateItem" => {
            Some(ErrorClass::Invalid)
        }
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Some(ErrorClass::Throttled),
        "AccessDenied" => Some(ErrorClass::Refused),
        _ => Some(ErrorClass::Unavailable),
    }
}

/// The class of a cancelled transaction. A conflict only if every reason is one: otherwise the next
/// attempt would fail for the same reason.
fn cancelled(reasons: &[CancellationReason]) -> ErrorClass {
    let all: Vec<ErrorClass> =
        reasons.iter().filter_map(|reason| cancellation(reason.code().unwrap_or("None"))).collect();
    let worst =
        [ErrorClass::Invalid, ErrorClass::Refused, ErrorClass::Throttled, ErrorClass::Unavailable];
    match worst.into_iter().find(|class| all.contains(class)) {
        Some(class) => class,
        // Without a reason nothing is known about the items.
        None if all.is_empty() => ErrorClass::Unavailable,
        None => ErrorClass::Conflict,
    }
}

/// The error of a failed transaction.
pub(super) fn transaction(doing: &str, error: &SdkError<TransactWriteItemsError>) -> CommitError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled_by)) => {
            let reasons = cancelled_by.cancellation_reasons();
            commit(cancelled(reasons), summary(doing, reasons))
        }
        _ => commit(ErrorClass::of(error), describe(doing, error)),
    }
}

/// The error of a failed conditional put.
pub(super) fn put(doing: &str, error: &SdkError<PutItemError>) -> CommitError {
    commit(ErrorClass::of(error), describe(doing, error))
}

fn commit(class: ErrorClass, text: String) -> CommitError {
    match class {
        ErrorClass::Conflict => CommitError::Conflict(text),
        ErrorClass::Invalid => CommitError::Invalid(text),
        ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Refused => {
            class.port_error(text).into()
        }
    }
}

/// Which items of a transaction failed, by position, and why. Never includes their content.
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
            (&["None", "ConditionalCheckFailed"][..], ErrorClass::Conflict),
            (&["TransactionConflict", "ConditionalCheckFailed", "None"], ErrorClass::Conflict),
            (&["ConditionalCheckFailed", "ThrottlingError"], ErrorClass::Throttled),
            (&["ProvisionedThroughputExceeded", "None"], ErrorClass::Throttled),
            (&["ThrottlingError", "ValidationError"], ErrorClass::Invalid),
            (&["ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"], ErrorClass::Invalid),
            (&["AccessDenied", "ThrottlingError"], ErrorClass::Refused),
            (&["SomethingNew", "ConditionalCheckFailed"], ErrorClass::Unavailable),
            (&["None", "None"], ErrorClass::Unavailable),
            (&[], ErrorClass::Unavailable),
        ] {
            assert_eq!(cancelled(&reasons(codes)), expected, "{codes:?}");
        }
    }

    #[test]
    fn the_summary_names_positions_and_no_content() {
        let text = summary("TransactWriteItems", &reasons(&["None", "ConditionalCheckFailed"]));
        assert_eq!(text, "TransactWriteItems: cancelled by item 1: ConditionalCheckFailed");
    }
}
