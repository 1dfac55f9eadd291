//! The entries of batch calls: builds them, and classifies their failures.

use aws_sdk_sqs::{
    error::BuildError,
    primitives::Blob,
    types::{BatchResultErrorEntry, MessageAttributeValue},
};

use super::super::aws::{FailedEntry, bare};
use crate::ports::{
    EntryError, PortError,
    queue::{AttributeContent, MessageAttribute, MessageAttributes},
};

/// The entries of a request, or the SDK's error about a missing field.
pub(super) fn built<T>(
    doing: &str,
    entries: impl Iterator<Item = Result<T, BuildError>>,
) -> Result<Vec<T>, PortError> {
    entries
        .collect::<Result<_, _>>()
        .map_err(|error| PortError::Refused(format!("{doing}: {error}")))
}

/// Message attributes in SQS's form; `None` if there are none.
pub(super) fn attributes<M>(attributes: &MessageAttributes) -> Result<Option<M>, BuildError>
where
    M: FromIterator<(String, MessageAttributeValue)>,
{
    if attributes.is_empty() {
        return Ok(None);
    }
    let value = |attribute: &MessageAttribute| {
        let builder = MessageAttributeValue::builder().data_type(&attribute.data_type);
        match &attribute.value {
            AttributeContent::Text(text) => builder.string_value(text),
            AttributeContent::Binary(bytes) => builder.binary_value(Blob::new(bytes.clone())),
        }
        .build()
    };
    let values = attributes.iter().map(|(name, attribute)| Ok((name.clone(), value(attribute)?)));
    values.collect::<Result<M, _>>().map(Some)
}

/// Classifies the failures of a call that adds messages.
pub(super) fn of_messages(
    failed: Vec<BatchResultErrorEntry>,
) -> impl Iterator<Item = (String, EntryError)> {
    failed.into_iter().map(|entry| {
        let error = view(&entry).error();
        (entry.id, error)
    })
}

/// Classifies the failures of a call on leases.
pub(super) fn of_leases(
    failed: Vec<BatchResultErrorEntry>,
) -> impl Iterator<Item = (String, EntryError)> {
    failed.into_iter().map(|entry| {
        let view = view(&entry);
        let error = if is_lease_lost(&view) { EntryError::LeaseLost } else { view.error() };
        (entry.id, error)
    })
}

fn view(entry: &BatchResultErrorEntry) -> FailedEntry<'_> {
    FailedEntry {
        code: &entry.code,
        message: entry.message.as_deref(),
        sender_fault: entry.sender_fault,
    }
}

/// Whether the service no longer accepts the receipt handle.
///
/// SQS reports this in three ways: `ReceiptHandleIsInvalid`; `MessageNotInflight` for a message
/// that is visible again; and `InvalidParameterValue` with "Value … for parameter ReceiptHandle is
/// invalid. Reason: The receipt handle has expired" (or "… Message does not exist or is not
/// available for visibility timeout change").
fn is_lease_lost(entry: &FailedEntry<'_>) -> bool {
    match bare(entry.code) {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        "InvalidParameterValue" | "InvalidParameterValueException" => {
            let text = entry.message.unwrap_or_default().to_ascii_lowercase();
            text.contains("receipthandle") || text.contains("receipt handle")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> EntryError {
        let entry = BatchResultErrorEntry::builder()
            .id("0")
            .code(code)
            .message(message)
            .sender_fault(true)
            .build()
            .unwrap();
        of_leases(vec![entry]).next().unwrap().1
    }

    #[test]
    fn every_way_to_say_that_a_receipt_handle_is_void_is_a_lost_lease() {
        let expired = "Value AQEB… for parameter ReceiptHandle is invalid. Reason: The receipt \
                       handle has expired.";
        for (code, message) in [
            ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
            ("AWS.SimpleQueueService.MessageNotInflight", ""),
            ("MessageNotInflight", ""),
            ("InvalidParameterValue", expired),
            ("InvalidParameterValue", "The receipt handle has expired."),
        ] {
            assert_eq!(error(code, message), EntryError::LeaseLost, "{code}: {message}");
        }
    }

    #[test]
    fn a_wrong_visibility_timeout_is_no_lost_lease() {
        let message = "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Total \
                       VisibilityTimeout for the message is beyond the limit [43200 seconds].";
        assert!(matches!(error("InvalidParameterValue", message), EntryError::Refused(_)));
    }
}
