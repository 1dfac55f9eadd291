//! The store on DynamoDB.
//!
//! Responsibilities of each part:
//!
//! - [`client`]: the SDK's client with pinned behaviour, time limits and few retries.
//! - `keys`, `items`: conversion of keys and items to and from DynamoDB's form, by hand: every
//!   attribute is named once, and an unreadable item is an error that names the attribute.
//! - `load`: BatchGetItem, strongly consistent, until every key is answered.
//! - `commit`: TransactWriteItems and conditional PutItem.
//! - `attempts`: the counters of attempts.
//! - `leases`: who shares a task.
//! - `pages`: queries and scans.
//! - [`tables`]: creates the tables and reports how existing ones differ.
//! - `errors`: the meaning of the SDK's errors to a caller.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use uuid::Uuid;

use super::aws::at;
use crate::{
    domain::{CommandKey, PoolId, Timestamp},
    ports::{
        Attempt, AttemptStore, Clock, CommitError, CommitStore, Consumed, Entropy, ExpiredPage,
        ExpiryIndex, ExpiryQuery, Lease, LeaseStore, Leases, LedgerRecord, LoadRequest,
        OutcomeEditor, Page, PageCursor, PortError, ReadSet, ReadStore, ScanStore, Table,
        Transaction,
    },
};

mod attempts;
mod attributes;
pub mod client;
mod commit;
mod errors;
mod items;
mod keys;
mod leases;
mod load;
mod pages;
pub mod tables;

pub use client::{ClientOptions, client};
pub use tables::{EnsureError, TableOptions, TableReport, ensure_tables};

pub use crate::naming::TableNames;

/// The most items of a page: about as many of the smallest as fit in 1 MB, where DynamoDB ends one.
/// Emulators that are not told read all that is left of a table for each page.
const PAGE_ITEMS: i32 = 8_000;

/// The four tables on DynamoDB.
///
/// Transport faults and throttling are retried by the SDK inside each call ([`ClientOptions`]);
/// conflicts are not retried here.
pub struct DynamoStore {
    client: Client,
    tables: TableNames,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    page_items: i32,
    endpoint: Option<String>,
}

impl DynamoStore {
    /// A store on tables that exist. `entropy` jitters repetitions of unanswered reads; `clock`
    /// determines what is past its retention, which DynamoDB deletes days later.
    #[must_use]
    pub fn new(
        client: Client,
        tables: TableNames,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { client, tables, entropy, clock, page_items: PAGE_ITEMS, endpoint: None }
    }

    /// Errors name this endpoint: a URL without credentials.
    #[must_use]
    pub fn at(self, endpoint: Option<String>) -> Self {
        Self { endpoint, ..self }
    }

    /// A call on tables, for errors.
    fn doing<'a>(&self, call: &str, tables: impl IntoIterator<Item = &'a Table>) -> String {
        let names: Vec<_> = tables.into_iter().map(|table| self.tables.name(*table)).collect();
        format!("{call} on {}{}", names.join(", "), at(self.endpoint.as_deref()))
    }

    /// Reads pages of at most this many items.
    #[must_use]
    pub fn with_page_items(mut self, items: u16) -> Self {
        self.page_items = i32::from(items.max(1));
        self
    }
}

impl std::fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoStore").field("tables", &self.tables).finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadStore for DynamoStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        self.load_all(wanted).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.touch_every_table().await
    }
}

#[async_trait]
impl ScanStore for DynamoStore {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.scan_page(table, from).await
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.seats_page(event_id, from, limit).await
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.lines_page(pool, from, limit).await
    }
}

#[async_trait]
impl ExpiryIndex for DynamoStore {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        self.query_expired(query).await
    }
}

#[async_trait]
impl CommitStore for DynamoStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        self.commit_whole(transaction, token).await
    }

    async fn check_writes(&self) -> Result<(), PortError> {
        self.write_nothing().await
    }
}

#[async_trait]
impl OutcomeEditor for DynamoStore {
    async fn replace_outcome(
        &self,
        key: &CommandKey,
        record: &LedgerRecord,
    ) -> Result<(), CommitError> {
        self.put_outcome(key, record).await
    }
}

#[async_trait]
impl AttemptStore for DynamoStore {
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        self.count_attempt(message_id, now).await
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        self.uncount_attempt(message_id).await
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        self.put_dead_letter_note(message_id, now).await
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        self.find_dead_letter_note(message_id).await
    }
}

#[async_trait]
impl LeaseStore for DynamoStore {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        self.read_leases(task).await
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        self.put_leases(task, version, held).await
    }
}
