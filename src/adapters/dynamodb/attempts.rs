//! Counters of attempts, kept in the ledger's table under keys no command can have.
//!
//! Each change carries its own id and is refused if the item already has that id, so the SDK's
//! repetition after a lost answer counts once. Without that, a slow network would dead-letter
//! messages.

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use crate::{
    domain::Timestamp,
    ports::{Attempt, PortError, Table},
};

use super::{
    DynamoStore,
    attributes::{Item, Reader, n, s},
    errors, items,
    items::{
        TTL,
        ledger::{KIND, KIND_ATTEMPTS},
    },
    keys::{attempts_text, partition_key},
};

const ATTEMPTS: &str = "attempts";
/// The id of the last change.
const CHANGE: &str = "change";
/// When a copy of the message was recorded as being in the dead-letter queue.
const COPIED_AT: &str = "copied_at";
/// When the last attempt was counted.
const COUNTED_AT: &str = "counted_at";
/// When the attempt before the last was counted.
const COUNTED_BEFORE: &str = "counted_before";

impl DynamoStore {
    pub(super) async fn count_attempt(
        &self,
        message_id: &str,
        now: Timestamp,
    ) -> Result<Attempt, PortError> {
        let answer = self
            .record_attempts(message_id, now)
            .update_expression(
                "ADD #attempts :one SET #change = :change, #kind = :kind, #ttl = :ttl, \
                 #before = if_not_exists(#at, :now), #at = :now",
            )
            .condition_expression("attribute_not_exists(#change) OR #change <> :change")
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => self.read_attempt(message_id, output.attributes()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(counted)) => {
                    self.read_attempt(message_id, counted.item())
                }
                _ => Err(errors::port(&self.doing("UpdateItem", &[Table::Ledger]), &error)),
            },
        }
    }

    pub(super) async fn uncount_attempt(&self, message_id: &str) -> Result<(), PortError> {
        let answer = self
            .update_attempts(message_id)
            .update_expression("ADD #attempts :minus_one SET #change = :change")
            .condition_expression("#attempts > :zero AND #change <> :change")
            .expression_attribute_values(":minus_one", n(-1))
            .expression_attribute_values(":zero", n(0))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                // Nothing to undo, or undone by the first send of this same call.
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(errors::port(&self.doing("UpdateItem", &[Table::Ledger]), &error)),
            },
        }
    }

    pub(super) async fn put_dead_letter_note(
        &self,
        message_id: &str,
        now: Timestamp,
    ) -> Result<(), PortError> {
        self.record_attempts(message_id, now)
            .update_expression(
                "ADD #attempts :zero SET #change = :change, #kind = :kind, #ttl = :ttl, \
                 #copied = :now, #before = if_not_exists(#before, :now), \
                 #at = if_not_exists(#at, :now)",
            )
            .expression_attribute_names("#copied", COPIED_AT)
            .expression_attribute_values(":zero", n(0))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| errors::port(&self.doing("UpdateItem", &[Table::Ledger]), &error))
    }

    /// Uses BatchGetItem, like every load, so it needs no further permission.
    pub(super) async fn find_dead_letter_note(&self, message_id: &str) -> Result<bool, PortError> {
        let key = (partition_key(Table::Ledger).to_owned(), s(attempts_text(message_id)));
        let item = self.get_one(Table::Ledger, Item::from([key])).await?;
        Ok(item.is_some_and(|item| item.contains_key(COPIED_AT)))
    }

    fn update_attempts(&self, message_id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(self.tables.name(Table::Ledger))
            .key(partition_key(Table::Ledger), s(attempts_text(message_id)))
            .expression_attribute_names("#attempts", ATTEMPTS)
            .expression_attribute_names("#change", CHANGE)
            .expression_attribute_values(":change", s(self.entropy.uuid().to_string()))
    }

    /// An update that keeps the item for a time from `now` on, and says when it was counted.
    fn record_attempts(&self, message_id: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        self.update_attempts(message_id)
            .expression_attribute_names("#kind", KIND)
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_names("#at", COUNTED_AT)
            .expression_attribute_names("#before", COUNTED_BEFORE)
            .expression_attribute_values(":kind", s(KIND_ATTEMPTS))
            .expression_attribute_values(":ttl", items::ttl(now))
            .expression_attribute_values(":now", s(now.to_string()))
    }

    fn read_attempt(&self, message_id: &str, item: Option<&Item>) -> Result<Attempt, PortError> {
        let Some(item) = item else {
            let text = format!("UpdateItem: no count of the attempts at message {message_id}");
            return Err(PortError::Unavailable(text));
        };
        let read = || {
            let reader = Reader(item);
            let (count, before) = (reader.integer(ATTEMPTS)?, reader.time(COUNTED_BEFORE)?);
            Ok(Attempt { count, before })
        };
        read().map_err(|error| items::unreadable(&self.tables, Table::Ledger, item, &error))
    }
}
