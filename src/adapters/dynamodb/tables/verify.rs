//! Compares an existing table with the expected settings.

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndexDescription, KeySchemaElement,
        KeyType, PointInTimeRecoveryStatus, Projection, SseStatus, TableDescription,
        TimeToLiveStatus,
    },
};

use crate::ports::{PortError, Table};

use super::{
    super::{
        super::bootstrap::Difference,
        errors,
        items::{
            TTL,
            reservations::{EXPIRES_AT, EXPIRY_SHARD},
        },
        keys::{partition_key, sort_key},
    },
    EXPIRY_INDEX, EXPIRY_INDEX_INCLUDES, TableOptions, attribute_type, has_ttl,
};

/// Every difference. Options that were not requested are not checked.
pub(super) async fn differences(
    client: &Client,
    name: &str,
    table: Table,
    options: &TableOptions,
    description: &TableDescription,
) -> Result<Vec<Difference>, PortError> {
    let mut facts = described(table, options, description);
    if has_ttl(table) {
        let found = time_to_live(client, name).await?;
        facts.push(("time to live", format!("on, by {TTL}"), found));
    }
    if options.point_in_time_recovery {
        let found = backups(client, name).await?;
        facts.push(("point-in-time recovery", "on".to_owned(), on_off(found)));
    }
    Ok(facts
        .into_iter()
        .filter(|(_, expected, found)| expected != found)
        .map(|(what, expected, found)| Difference {
            resource: name.to_owned(),
            what: what.to_owned(),
            expected,
            found,
        })
        .collect())
}

/// A fact's name, its expected value, its actual value.
type Fact = (&'static str, String, String);

fn described(table: Table, options: &TableOptions, description: &TableDescription) -> Vec<Fact> {
    let types = description.attribute_definitions();
    let mut facts = vec![
        (
            "key",
            expected_keys(partition_key(table), sort_key(table)),
            found_keys(description.key_schema(), types),
        ),
        ("capacity", "on demand".to_owned(), capacity(description)),
    ];
    if table == Table::Reservations {
        let includes = format!("keys and {EXPIRY_INDEX_INCLUDES}");
        let expected = format!("{} with {includes}", expected_keys(EXPIRY_SHARD, Some(EXPIRES_AT)));
        let found = description
            .global_secondary_indexes()
            .iter()
            .find(|index| index.index_name() == Some(EXPIRY_INDEX))
            .map_or_else(|| "missing".to_owned(), |index| found_index(index, types));
        facts.push(("index expiry-index", expected, found));
    }
    if options.kms_encryption {
        let status = description.sse_description().and_then(|sse| sse.status());
        let on = matches!(status, Some(SseStatus::Enabled | SseStatus::Enabling));
        facts.push(("encryption under a KMS key", "on".to_owned(), on_off(on)));
    }
    if options.deletion_protection {
        let on = description.deletion_protection_enabled() == Some(true);
        facts.push(("deletion protection", "on".to_owned(), on_off(on)));
    }
    facts
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn expected_keys(partition: &str, sort: Option<&str>) -> String {
    let named = |name: &str| format!("{name} {}", attribute_type(name));
    match sort {
        Some(sort) => format!("{}, {}", named(partition), named(sort)),
        None => named(partition),
    }
}

fn found_keys(schema: &[KeySchemaElement], types: &[AttributeDefinition]) -> String {
    let of_kind = |kind: KeyType| schema.iter().filter(move |key| key.key_type == kind);
    let named: Vec<String> = of_kind(KeyType::Hash)
        .chain(of_kind(KeyType::Range))
        .map(|key| {
            let name = key.attribute_name();
            let kind = types.iter().find(|definition| definition.attribute_name() == name);
            format!("{name} {}", kind.map_or("?", |found| found.attribute_type().as_str()))
        })
        .collect();
    named.join(", ")
}

fn found_index(index: &GlobalSecondaryIndexDescription, types: &[AttributeDefinition]) -> String {
    let keys = found_keys(index.key_schema(), types);
    match index.projection() {
        Some(projection) => format!("{keys} with {}", found_projection(projection)),
        None => keys,
    }
}

fn found_projection(projection: &Projection) -> String {
    match projection.projection_type().map(|kind| kind.as_str()) {
        Some("INCLUDE") => format!("keys and {}", projection.non_key_attributes().join(", ")),
        Some("KEYS_ONLY") => "keys".to_owned(),
        Some("ALL") => "everything".to_owned(),
        other => other.unwrap_or("an unknown projection").to_owned(),
    }
}

/// DynamoDB omits the summary for a table that was never on demand.
fn capacity(description: &TableDescription) -> String {
    match description.billing_mode_summary().and_then(|summary| summary.billing_mode()) {
        Some(BillingMode::PayPerRequest) => "on demand".to_owned(),
        _ => "provisioned".to_owned(),
    }
}

async fn time_to_live(client: &Client, name: &str) -> Result<String, PortError> {
    let output = client
        .describe_time_to_live()
        .table_name(name)
        .send()
        .await
        .map_err(|error| errors::port(&format!("DescribeTimeToLive {name}"), &error))?;
    let Some(found) = output.time_to_live_description() else { return Ok(on_off(false)) };
    Ok(match found.time_to_live_status() {
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling) => {
            format!("on, by {}", found.attribute_name().unwrap_or("no attribute"))
        }
        _ => on_off(false),
    })
}

async fn backups(client: &Client, name: &str) -> Result<bool, PortError> {
    let output = client
        .describe_continuous_backups()
        .table_name(name)
        .send()
        .await
        .map_err(|error| errors::port(&format!("DescribeContinuousBackups {name}"), &error))?;
    let status = output
        .continuous_backups_description()
        .and_then(|found| found.point_in_time_recovery_description())
        .and_then(|found| found.point_in_time_recovery_status());
    Ok(status == Some(&PointInTimeRecoveryStatus::Enabled))
}
