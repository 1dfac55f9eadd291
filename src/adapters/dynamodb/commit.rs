//! Commits: TransactWriteItems, or a conditional PutItem for a single write.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{
        AttributeValue, ConditionCheck, ConsumedCapacity, Put, ReturnConsumedCapacity,
        TransactWriteItem,
    },
};
use uuid::Uuid;

use crate::{
    domain::{CommandKey, Digest, Timestamp},
    ports::{
        Check, CommitError, Consumed, Expected, LedgerKey, LedgerRecord, PortError, Table,
        Transaction, Write, store::TRANSACTION_ITEMS_MAX,
    },
};

use super::{
    DynamoStore, TableNames,
    attributes::{Item, n, s},
    errors,
    items::{
        TTL,
        ledger::{self, BEGUN_AT, COMMITTED_AT, DIGEST, KIND, KIND_INTENT, KIND_OUTCOME},
        reservations, seats, stock,
    },
    keys::{self, ItemKey},
};

/// The attribute that every version condition tests.
const VERSION: &str = "version";

/// The call, as an error names it.
const TRANSACT: &str = "TransactWriteItems";

impl DynamoStore {
    pub(super) async fn commit_whole(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        match (transaction.writes.as_slice(), transaction.checks.as_slice()) {
            ([], []) => Ok(Consumed::default()),
            ([write], []) => self.put_one(plan(write)?).await,
            (writes, checks) => self.transact(writes, checks, token).await,
        }
    }

    /// Puts a single write, for half the write units of a transaction of one.
    ///
    /// PutItem has no token, so the SDK's repetition after a lost answer fails the condition that
    /// its own first send made false. Nothing is written twice; the caller sees a conflict, loads
    /// again, and finds its own write in place.
    async fn put_one(&self, planned: Planned) -> Result<Consumed, CommitError> {
        let Planned { table, item, condition } = planned;
        let terms = condition.terms(table, self.clock.now());
        let output = self
            .client
            .put_item()
            .table_name(self.tables.name(table))
            .set_item(Some(item))
            .condition_expression(terms.expression)
            .set_expression_attribute_names(Some(terms.names))
            .set_expression_attribute_values(terms.values)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| errors::put(&self.doing("PutItem", [&table]), &error))?;
        Ok(consumed(&self.tables, output.consumed_capacity()))
    }

    pub(super) async fn put_outcome(
        &self,
        key: &CommandKey,
        record: &LedgerRecord,
    ) -> Result<(), CommitError> {
        if !matches!(record, LedgerRecord::Outcome { .. }) {
            return Err(CommitError::Invalid("the new record is no outcome".to_owned()));
        }
        let item = ledger::write(&LedgerKey::Command(key.clone()), record).map_err(unwritable)?;
        let condition = Condition::Entry(KIND_OUTCOME, record.digest(), record.decided_at());
        self.put_one(Planned { table: Table::Ledger, item, condition }).await.map(drop)
    }

    async fn transact(
        &self,
        writes: &[Write],
        checks: &[Check],
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let size = writes.len().saturating_add(checks.len());
        if size > TRANSACTION_ITEMS_MAX {
            return Err(CommitError::Invalid(format!(
                "a transaction of {size} items: DynamoDB takes {TRANSACTION_ITEMS_MAX}"
            )));
        }
        let mut items = Vec::with_capacity(size);
        let mut tables = BTreeSet::new();
        for write in writes {
            let planned = plan(write)?;
            tables.insert(planned.table);
            items.push(self.put_item(planned)?);
        }
        for check in checks {
            let (key, expected) = checked(check);
            tables.insert(key.table());
            items.push(self.check_item(&key, expected).map_err(unbuildable)?);
        }
        let output = self
            .client
            .transact_write_items()
            .client_request_token(token.to_string())
            .set_transact_items(Some(items))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| errors::transaction(&self.doing(TRANSACT, &tables), &error))?;
        Ok(consumed(&self.tables, output.consumed_capacity()))
    }

    /// Puts an item with a key that no item can have to every table, under the condition that it
    /// exists: nothing is written, and what DynamoDB refuses is the caller or a table.
    pub(super) async fn write_nothing(&self) -> Result<(), PortError> {
        let put = |table| {
            let key = Names::from([("#key".to_owned(), keys::partition_key(table).to_owned())]);
            let put = Put::builder()
                .table_name(self.tables.name(table))
                .set_item(Some(keys::absent_key(table)))
                .condition_expression("attribute_exists(#key)")
                .set_expression_attribute_names(Some(key));
            put.build().map(|put| TransactWriteItem::builder().put(put).build())
        };
        let puts: Result<Vec<_>, BuildError> = Table::ALL.into_iter().map(put).collect();
        let puts = puts.map_err(|error| PortError::Refused(error.to_string()))?;
        let call = self.client.transact_write_items().set_transact_items(Some(puts));
        let doing = || self.doing(TRANSACT, &Table::ALL);
        match call.send().await.map_err(|error| errors::transaction(&doing(), &error)) {
            // The condition, or another worker that asks the same: either way it may write.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Port(error)) => Err(error),
            Err(CommitError::Invalid(what)) => Err(PortError::Refused(what)),
        }
    }

    fn put_item(&self, planned: Planned) -> Result<TransactWriteItem, CommitError> {
        let Planned { table, item, condition } = planned;
        let terms = condition.terms(table, self.clock.now());
        let put = Put::builder()
            .table_name(self.tables.name(table))
            .set_item(Some(item))
            .condition_expression(terms.expression)
            .set_expression_attribute_names(Some(terms.names))
            .set_expression_attribute_values(terms.values)
            .build()
            .map_err(unbuildable)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn check_item(
        &self,
        key: &ItemKey,
        expected: Expected,
    ) -> Result<TransactWriteItem, BuildError> {
        let table = key.table();
        let terms = Condition::from(expected).terms(table, self.clock.now());
        let check = ConditionCheck::builder()
            .table_name(self.tables.name(table))
            .set_key(Some(key.attributes()))
            .condition_expression(terms.expression)
            .set_expression_attribute_names(Some(terms.names))
            .set_expression_attribute_values(terms.values)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}

/// The item of a check, and what is expected of it.
fn checked(check: &Check) -> (ItemKey, Expected) {
    match check {
        Check::Reservation { reservation_id, expected } => {
            (ItemKey::Reservation(*reservation_id), *expected)
        }
        Check::Seat { key, expected } => (ItemKey::Seat(key.clone()), *expected),
        Check::Line { key, expected } => (ItemKey::Line(key.clone()), *expected),
    }
}

fn unbuildable(error: BuildError) -> CommitError {
    CommitError::Invalid(error.to_string())
}

fn unwritable(error: ledger::Unwritable) -> CommitError {
    CommitError::Invalid(error.to_string())
}

/// A write in DynamoDB's form.
struct Planned {
    table: Table,
    item: Item,
    condition: Condition,
}

fn plan(write: &Write) -> Result<Planned, CommitError> {
    let (table, item, condition) = match write {
        Write::Seat { key, expected, seat } => {
            (Table::Seats, seats::write(key, seat), (*expected).into())
        }
        Write::Line { key, expected, line } => {
            (Table::Stock, stock::write(key, line), (*expected).into())
        }
        Write::Reservation { expected, reservation } => {
            (Table::Reservations, reservations::write(reservation), (*expected).into())
        }
        Write::Ledger { key, record } => {
            let condition = match record {
                LedgerRecord::Chunk { begun_at, .. } => Condition::NoMarkerSince(*begun_at),
                LedgerRecord::Outcome { .. } | LedgerRecord::Intent { .. } => Condition::Absent,
            };
            (Table::Ledger, ledger::write(key, record).map_err(unwritable)?, condition)
        }
        Write::LedgerOverIntent { key, begun_at, record } => {
            let key = LedgerKey::Command(key.clone());
            let item = ledger::write(&key, record).map_err(unwritable)?;
            (Table::Ledger, item, Condition::Entry(KIND_INTENT, record.digest(), *begun_at))
        }
    };
    Ok(Planned { table, item, condition })
}

/// The condition on an item.
#[derive(Clone, Copy)]
enum Condition {
    Absent,
    Version(u64),
    /// The ledger's entry of that kind, with that digest and time.
    Entry(&'static str, Digest, Timestamp),
    /// Absent, or the marker of an intent that began earlier.
    NoMarkerSince(Timestamp),
}

impl From<Expected> for Condition {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Absent => Self::Absent,
            Expected::Version(version) => Self::Version(version),
        }
    }
}

/// A condition in DynamoDB's language. Every name is a placeholder: the list of reserved words is
/// long and grows.
struct Terms {
    expression: &'static str,
    names: Names,
    values: Option<Item>,
}

/// Placeholders and the attributes they stand for.
#[expect(
    clippy::disallowed_types,
    reason = "the SDK's own type; never iterated where order matters"
)]
type Names = std::collections::HashMap<String, String>;

impl Condition {
    fn terms(self, table: Table, now: Timestamp) -> Terms {
        let name = |short: &str, long: &str| (short.to_owned(), long.to_owned());
        let value = |short: &str, value: AttributeValue| (short.to_owned(), value);
        let key = || name("#key", keys::partition_key(table));
        let (ttl, now) = (|| name("#ttl", TTL), value(":now", n(now.as_second())));
        match self {
            // An item without a time to live either exists or does not.
            Self::Absent if matches!(table, Table::Seats | Table::Stock) => Terms {
                expression: "attribute_not_exists(#key)",
                names: Names::from([key()]),
                values: None,
            },
            Self::Absent => Terms {
                expression: "attribute_not_exists(#key) OR #ttl <= :now",
                names: Names::from([key(), ttl()]),
                values: Some(Item::from([now])),
            },
            // As text, times of one form sort correctly except for fractions of the same second;
            // two intents of a key are months apart.
            Self::NoMarkerSince(begun_at) => Terms {
                expression: "attribute_not_exists(#key) OR #ttl <= :now OR #begun_at < :begun_at",
                names: Names::from([key(), ttl(), name("#begun_at", BEGUN_AT)]),
                values: Some(Item::from([now, value(":begun_at", s(begun_at.to_string()))])),
            },
            Self::Version(version) => Terms {
                expression: "#version = :version",
                names: Names::from([name("#version", VERSION)]),
                values: Some(Item::from([value(":version", n(version))])),
            },
            Self::Entry(kind, digest, decided_at) => Terms {
                expression: "#kind = :kind AND #digest = :digest AND #decided_at = :decided_at",
                names: Names::from([
                    name("#kind", KIND),
                    name("#digest", DIGEST),
                    name("#decided_at", COMMITTED_AT),
                ]),
                values: Some(Item::from([
                    value(":kind", s(kind)),
                    value(":digest", s(digest.to_string())),
                    value(":decided_at", s(decided_at.to_string())),
                ])),
            },
        }
    }
}

/// The capacity consumed according to the answer. A repetition under a token that was already
/// applied consumes read units, which are not counted here.
fn consumed<'a>(
    tables: &TableNames,
    capacities: impl IntoIterator<Item = &'a ConsumedCapacity>,
) -> Consumed {
    let mut sum = Consumed::default();
    for capacity in capacities {
        let units = match (capacity.write_capacity_units(), capacity.read_capacity_units()) {
            (Some(written), _) => Some(written),
            (None, Some(_)) => None,
            (None, None) => capacity.capacity_units(),
        };
        let table = capacity.table_name().and_then(|name| tables.table(name));
        if let (Some(table), Some(units)) = (table, units) {
            *sum.write_units.entry(table).or_default() += units;
        }
    }
    sum
}
