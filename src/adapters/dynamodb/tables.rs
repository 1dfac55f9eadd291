//! Creates the tables, and reports how existing ones differ.
//!
//! Existing tables are never changed, so a run may be repeated on any account at any time.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::{create_table::CreateTableError, describe_table::DescribeTableError},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement,
        KeyType, PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType,
        SseSpecification, SseType, TableDescription, TableStatus, TimeToLiveSpecification,
    },
};
use futures::future;
use tokio::time::Instant;

use crate::ports::{PortError, Table};

use super::{
    super::bootstrap::Difference,
    TableNames, errors,
    items::{
        TTL,
        reservations::{EXPIRES_AT, EXPIRY_SHARD},
    },
    keys::{partition_key, sort_key},
};

mod verify;

/// The sparse index of reservations that may expire.
pub const EXPIRY_INDEX: &str = "expiry-index";

/// The attribute the index projects besides its keys.
const EXPIRY_INDEX_INCLUDES: &str = "pool";

/// The interval between DescribeTable calls while a table is being created.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Optional settings of the tables. On-demand capacity and time to live are always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Encryption under AWS's managed key in KMS. Without this DynamoDB still encrypts, under a key
    /// that it owns.
    pub kms_encryption: bool,
    /// Continuous backups.
    pub point_in_time_recovery: bool,
    /// Deletion protection: a table cannot be deleted before it is switched off.
    pub deletion_protection: bool,
    /// How long to wait until a table exists and is ACTIVE.
    pub ready_within: Duration,
}

impl Default for TableOptions {
    /// Every option on, for production tables.
    fn default() -> Self {
        Self {
            kms_encryption: true,
            point_in_time_recovery: true,
            deletion_protection: true,
            ready_within: Duration::from_secs(180),
        }
    }
}

impl TableOptions {
    /// No options, for emulators and tests, which may not support them.
    #[must_use]
    pub fn minimal() -> Self {
        Self {
            kms_encryption: false,
            point_in_time_recovery: false,
            deletion_protection: false,
            ready_within: Duration::from_secs(60),
        }
    }
}

/// What was done for a table, and how it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// The table's role.
    pub table: Table,
    /// The table's name in DynamoDB.
    pub name: String,
    /// Whether this call created it.
    pub created: bool,
    /// What differs; created tables are checked too, as an emulator may accept a setting and ignore
    /// it.
    pub differences: Vec<Difference>,
}

/// Why the tables could not be checked or created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnsureError {
    /// A call failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The table did not become usable in time.
    #[error("table {table} is {status} after {waited_seconds} s: wait and run it again")]
    NotReady {
        /// The table's name.
        table: String,
        /// The status DynamoDB reports.
        status: String,
        /// The time waited, in seconds.
        waited_seconds: u64,
    },
}

/// Creates the tables that are missing and reports on all four, in the order of [`Table::ALL`].
///
/// # Errors
///
/// A call that failed, or a table not ACTIVE in time. Differences are not errors.
pub async fn ensure_tables(
    client: &Client,
    names: &TableNames,
    options: &TableOptions,
) -> Result<Vec<TableReport>, EnsureError> {
    let each =
        Table::ALL.into_iter().map(|table| ensure(client, names.name(table), table, options));
    future::try_join_all(each).await
}

async fn ensure(
    client: &Client,
    name: &str,
    table: Table,
    options: &TableOptions,
) -> Result<TableReport, EnsureError> {
    let created = match describe(client, name).await? {
        Some(_) => false,
        None => create(client, name, table, options).await?,
    };
    let deadline = Instant::now() + options.ready_within;
    let mut description = wait_until_active(client, name, options, deadline).await?;
    if created {
        add_what_creation_leaves_out(client, name, table, options, deadline).await?;
        description = wait_until_active(client, name, options, deadline).await?;
    }
    let differences = verify::differences(client, name, table, options, &description).await?;
    Ok(TableReport { table, name: name.to_owned(), created, differences })
}

/// The type of a key attribute.
fn attribute_type(attribute: &str) -> ScalarAttributeType {
    match attribute {
        "event_id" | EXPIRY_SHARD | EXPIRES_AT => ScalarAttributeType::N,
        _ => ScalarAttributeType::S,
    }
}

/// Whether items of the table expire.
fn has_ttl(table: Table) -> bool {
    matches!(table, Table::Reservations | Table::Ledger)
}

async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>, PortError> {
    match client.describe_table().table_name(name).send().await {
        Ok(output) => Ok(output.table),
        Err(error) => match error.as_service_error() {
            Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(None),
            _ => Err(errors::port(&format!("DescribeTable {name}"), &error)),
        },
    }
}

/// Creates the table; `false` if another process created it in the meantime.
async fn create(
    client: &Client,
    name: &str,
    table: Table,
    options: &TableOptions,
) -> Result<bool, PortError> {
    let definition = Definition::of(table).map_err(unbuildable)?;
    let mut call = client
        .create_table()
        .table_name(name)
        .set_key_schema(Some(definition.keys))
        .set_attribute_definitions(Some(definition.attributes))
        .set_global_secondary_indexes(definition.index.map(|index| vec![index]))
        .billing_mode(BillingMode::PayPerRequest);
    if options.kms_encryption {
        let encryption = SseSpecification::builder().enabled(true).sse_type(SseType::Kms).build();
        call = call.sse_specification(encryption);
    }
    if options.deletion_protection {
        call = call.deletion_protection_enabled(true);
    }
    match call.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(CreateTableError::ResourceInUseException(_)) => Ok(false),
            _ => Err(errors::port(&format!("CreateTable {name}"), &error)),
        },
    }
}

fn unbuildable(error: BuildError) -> PortError {
    PortError::Refused(error.to_string())
}

/// A table's keys and index in CreateTable's form.
struct Definition {
    keys: Vec<KeySchemaElement>,
    attributes: Vec<AttributeDefinition>,
    index: Option<GlobalSecondaryIndex>,
}

impl Definition {
    fn of(table: Table) -> Result<Self, BuildError> {
        let (partition, sort) = (partition_key(table), sort_key(table));
        let mut names = vec![partition];
        names.extend(sort);
        let mut index = None;
        if table == Table::Reservations {
            names.extend([EXPIRY_SHARD, EXPIRES_AT]);
            index = Some(expiry_index()?);
        }
        let attributes: Result<_, _> = names.into_iter().map(attribute).collect();
        Ok(Self { keys: key_schema(partition, sort)?, attributes: attributes?, index })
    }
}

fn attribute(name: &str) -> Result<AttributeDefinition, BuildError> {
    let kind = attribute_type(name);
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()
}

fn key_schema(partition: &str, sort: Option<&str>) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let mut keys = vec![element(partition, KeyType::Hash)?];
    if let Some(sort) = sort {
        keys.push(element(sort, KeyType::Range)?);
    }
    Ok(keys)
}

fn expiry_index() -> Result<GlobalSecondaryIndex, BuildError> {
    let projection = Projection::builder()
        .projection_type(ProjectionType::Include)
        .non_key_attributes(EXPIRY_INDEX_INCLUDES)
        .build();
    GlobalSecondaryIndex::builder()
        .index_name(EXPIRY_INDEX)
        .set_key_schema(Some(key_schema(EXPIRY_SHARD, Some(EXPIRES_AT))?))
        .projection(projection)
        .build()
}

async fn wait_until_active(
    client: &Client,
    name: &str,
    options: &TableOptions,
    deadline: Instant,
) -> Result<TableDescription, EnsureError> {
    loop {
        // DescribeTable is eventually consistent: it may not yet know a table just created.
        let status = match describe(client, name).await? {
            Some(description) if is_active(&description) => return Ok(description),
            Some(description) => {
                description.table_status.map_or("of no status", |status| match status {
                    TableStatus::Active => "ACTIVE with an index that is not",
                    TableStatus::Deleting => "being deleted",
                    _ => "not ACTIVE",
                })
            }
            None => "not there",
        };
        if Instant::now() >= deadline {
            return Err(EnsureError::NotReady {
                table: name.to_owned(),
                status: status.to_owned(),
                waited_seconds: options.ready_within.as_secs(),
            });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn is_active(description: &TableDescription) -> bool {
    description.table_status == Some(TableStatus::Active)
        && description
            .global_secondary_indexes()
            .iter()
            // An emulator may omit the status of an index.
            .all(|index| index.index_status.as_ref().is_none_or(|s| *s == IndexStatus::Active))
}

/// Sets time to live and continuous backups, which CreateTable cannot set.
async fn add_what_creation_leaves_out(
    client: &Client,
    name: &str,
    table: Table,
    options: &TableOptions,
    deadline: Instant,
) -> Result<(), EnsureError> {
    if has_ttl(table) {
        let on = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build();
        client
            .update_time_to_live()
            .table_name(name)
            .time_to_live_specification(on.map_err(unbuildable)?)
            .send()
            .await
            .map_err(|error| errors::port(&format!("UpdateTimeToLive {name}"), &error))?;
    }
    if options.point_in_time_recovery {
        turn_on_backups(client, name, deadline).await?;
    }
    Ok(())
}

async fn turn_on_backups(
    client: &Client,
    name: &str,
    deadline: Instant,
) -> Result<(), EnsureError> {
    let on = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .map_err(unbuildable)?;
    loop {
        let answer = client
            .update_continuous_backups()
            .table_name(name)
            .point_in_time_recovery_specification(on.clone())
            .send()
            .await;
        let Err(error) = answer else { return Ok(()) };
        // "Backups have not yet been enabled for this table": DynamoDB answers this for a moment
        // after creation.
        let too_soon = error
            .as_service_error()
            .is_some_and(|error| error.is_continuous_backups_unavailable_exception());
        if !too_soon || Instant::now() >= deadline {
            return Err(errors::port(&format!("UpdateContinuousBackups {name}"), &error).into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
