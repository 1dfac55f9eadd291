//! Leases on shares of a task, one item a task in the ledger's table, under a key no command can
//! have.

use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::AttributeValue};

use crate::{
    domain::Timestamp,
    ports::{Lease, Leases, PortError, Table},
};

use super::{
    DynamoStore,
    attributes::{Item, Reader, Unreadable, n, parsed, s},
    errors, items,
    items::{
        TTL,
        ledger::{KIND, KIND_LEASES},
    },
    keys::{leases_text, partition_key},
};

const HELD: &str = "held";
const HOLDER: &str = "holder";
const UNTIL: &str = "until";
const VERSION: &str = "version";

impl DynamoStore {
    /// Uses BatchGetItem, like every load, so it needs no further permission. The time to live
    /// only removes what nobody renews: until then the item counts.
    pub(super) async fn read_leases(&self, task: &str) -> Result<Leases, PortError> {
        let Some(item) = self.get_one(Table::Ledger, key(task)).await? else {
            return Ok(Leases::default());
        };
        leases(Reader(&item))
            .map_err(|error| items::unreadable(&self.tables, Table::Ledger, &item, &error))
    }

    pub(super) async fn put_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        let lease = |lease: &Lease| {
            let (holder, until) = (s(lease.holder.to_string()), s(lease.until.to_string()));
            AttributeValue::M(Item::from([(HOLDER.to_owned(), holder), (UNTIL.to_owned(), until)]))
        };
        let mut item = key(task);
        item.insert(KIND.to_owned(), s(KIND_LEASES));
        item.insert(VERSION.to_owned(), n(version.saturating_add(1)));
        item.insert(HELD.to_owned(), AttributeValue::L(held.iter().map(lease).collect()));
        item.insert(TTL.to_owned(), items::ttl(self.clock.now()));
        let put = self.client.put_item().table_name(self.tables.name(Table::Ledger));
        let put = put.set_item(Some(item)).expression_attribute_names("#version", VERSION);
        let put = match version {
            0 => put.condition_expression("attribute_not_exists(#version)"),
            version => put
                .condition_expression("#version = :version")
                .expression_attribute_values(":version", n(version)),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(errors::port(&self.doing("PutItem", &[Table::Ledger]), &error)),
            },
        }
    }
}

fn key(task: &str) -> Item {
    Item::from([(partition_key(Table::Ledger).to_owned(), s(leases_text(task)))])
}

fn leases(item: Reader<'_>) -> Result<Leases, Unreadable> {
    let lease = |value: &AttributeValue| {
        let lease = value.as_m().ok()?;
        let until: Timestamp = parsed(lease.get(UNTIL)?)?;
        Some(Lease { holder: parsed(lease.get(HOLDER)?)?, until })
    };
    let held = item.list(HELD, "a list of a holder (UUID) and its end (RFC 3339) each", lease)?;
    Ok(Leases { version: item.integer(VERSION)?, held })
}
