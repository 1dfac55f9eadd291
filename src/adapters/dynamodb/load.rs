//! Loading: BatchGetItem, strongly consistent, until every key is answered.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{
    error::BuildError, operation::batch_get_item::BatchGetItemOutput, types::KeysAndAttributes,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::ports::{LoadRequest, PortError, ReadSet, Record, Table};

use super::{DynamoStore, attributes::Item, errors, items, keys::ItemKey};

/// DynamoDB: "as many as 100 items" in one BatchGetItem.
const BATCH_KEYS_MAX: usize = 100;

/// The most concurrent BatchGetItem calls of one load.
const BATCHES_IN_FLIGHT: usize = 16;

/// How many times in a row a batch may return with none of its keys answered.
const FRUITLESS_ROUNDS_MAX: u32 = 8;

/// The greatest wait before unanswered keys are requested again; doubles with each fruitless round.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// The upper bound of every wait.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Requested keys by table.
type Asked = BTreeMap<Table, Vec<Item>>;

impl DynamoStore {
    pub(super) async fn load_all(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let keys = keys(wanted);
        let batches: Vec<_> =
            keys.chunks(BATCH_KEYS_MAX).map(|chunk| self.load_batch(by_table(chunk))).collect();
        let answers: Vec<Vec<Record>> =
            stream::iter(batches).buffered(BATCHES_IN_FLIGHT).try_collect().await?;
        let mut loaded = all_absent(wanted);
        for record in answers.into_iter().flatten() {
            place(&mut loaded, record)?;
        }
        Ok(loaded)
    }

    /// Requests the keys until each is answered. BatchGetItem leaves keys out when its answer would
    /// pass 16 MB or a partition is throttled; a key left out is not absent.
    async fn load_batch(&self, mut asked: Asked) -> Result<Vec<Record>, PortError> {
        let mut records = Vec::with_capacity(count(&asked));
        let mut fruitless = 0;
        loop {
            let output = self.batch_get(&asked).await?;
            self.read_answers(&output, &mut records)?;
            let left = self.unanswered(output)?;
            if left.is_empty() {
                return Ok(records);
            }
            fruitless = if count(&left) < count(&asked) { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS_ROUNDS_MAX {
                let keys = count(&left);
                let doing = self.doing("BatchGetItem", left.keys());
                let text = format!("{doing}: {keys} keys unprocessed {fruitless} times");
                return Err(PortError::Throttled(text));
            }
            tokio::time::sleep(wait(fruitless, self.entropy.fraction())).await;
            asked = left;
        }
    }

    async fn batch_get(&self, asked: &Asked) -> Result<BatchGetItemOutput, PortError> {
        let mut call = self.client.batch_get_item();
        for (table, keys) in asked {
            let keys = consistent(keys.clone())
                .map_err(|error| PortError::Refused(format!("BatchGetItem: {error}")))?;
            call = call.request_items(self.tables.name(*table), keys);
        }
        let output = call.send().await;
        output.map_err(|error| errors::port(&self.doing("BatchGetItem", asked.keys()), &error))
    }

    fn read_answers(
        &self,
        output: &BatchGetItemOutput,
        records: &mut Vec<Record>,
    ) -> Result<(), PortError> {
        let now = self.clock.now();
        for (name, found) in output.responses().into_iter().flatten() {
            let table = self.answering(name)?;
            for item in found.iter().filter(|item| !items::is_past(item, now)) {
                records.extend(items::read(&self.tables, table, item)?);
            }
        }
        Ok(())
    }

    fn unanswered(&self, output: BatchGetItemOutput) -> Result<Asked, PortError> {
        let mut left = Asked::new();
        for (name, keys) in output.unprocessed_keys.into_iter().flatten() {
            if !keys.keys.is_empty() {
                left.insert(self.answering(&name)?, keys.keys);
            }
        }
        Ok(left)
    }

    fn answering(&self, name: &str) -> Result<Table, PortError> {
        self.tables.table(name).ok_or_else(|| {
            PortError::Unavailable(format!("BatchGetItem: an answer for table {name}, not asked"))
        })
    }

    /// Reads one item, of any kind.
    pub(super) async fn get_one(&self, table: Table, key: Item) -> Result<Option<Item>, PortError> {
        let mut output = self.batch_get(&Asked::from([(table, vec![key])])).await?;
        let found = output.responses.take().into_iter().flatten().flat_map(|(_, items)| items);
        let found = found.into_iter().next();
        self.all_answered(output)?;
        Ok(found)
    }

    /// Reads one key that no item can have from every table, in one call. A table that is refused
    /// is named.
    pub(super) async fn touch_every_table(&self) -> Result<(), PortError> {
        let refused = match self.touch(&Table::ALL).await {
            Err(refused @ PortError::Refused(_)) => refused,
            answer => return answer,
        };
        // BatchGetItem does not say which table it refuses.
        for table in Table::ALL {
            self.touch(&[table]).await?;
        }
        Err(refused)
    }

    async fn touch(&self, tables: &[Table]) -> Result<(), PortError> {
        let asked = tables.iter().map(|table| (*table, vec![super::keys::absent_key(*table)]));
        let output = self.batch_get(&asked.collect()).await?;
        self.all_answered(output)
    }

    /// Keys left out mean throttling: nothing is known about their items.
    fn all_answered(&self, output: BatchGetItemOutput) -> Result<(), PortError> {
        let left = self.unanswered(output)?;
        if left.is_empty() {
            return Ok(());
        }
        let doing = self.doing("BatchGetItem", left.keys());
        Err(PortError::Throttled(format!("{doing}: keys unprocessed")))
    }
}

fn consistent(keys: Vec<Item>) -> Result<KeysAndAttributes, BuildError> {
    KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()
}

/// Every wanted key once; the request holds sets.
fn keys(wanted: &LoadRequest) -> Vec<ItemKey> {
    let ledger = wanted.ledger.iter().cloned().map(ItemKey::Ledger);
    let reservations = wanted.reservations.iter().copied().map(ItemKey::Reservation);
    let seats = wanted.seats.iter().cloned().map(ItemKey::Seat);
    let lines = wanted.lines.iter().cloned().map(ItemKey::Line);
    ledger.chain(reservations).chain(seats).chain(lines).collect()
}

fn by_table(keys: &[ItemKey]) -> Asked {
    let mut asked = Asked::new();
    for key in keys {
        asked.entry(key.table()).or_default().push(key.attributes());
    }
    asked
}

fn count(asked: &Asked) -> usize {
    asked.values().map(Vec::len).sum()
}

fn all_absent(wanted: &LoadRequest) -> ReadSet {
    ReadSet {
        ledger: wanted.ledger.iter().map(|key| (key.clone(), None)).collect(),
        reservations: wanted.reservations.iter().map(|id| (*id, None)).collect(),
        seats: wanted.seats.iter().map(|key| (key.clone(), None)).collect(),
        lines: wanted.lines.iter().map(|key| (key.clone(), None)).collect(),
    }
}

/// Puts a record where it was requested. A record that was not requested means that the answer
/// belongs to another request, so nothing in it can be trusted.
fn place(loaded: &mut ReadSet, record: Record) -> Result<(), PortError> {
    let placed = match record {
        Record::Seat(key, seat) => loaded.seats.get_mut(&key).map(|slot| *slot = Some(seat)),
        Record::Line(key, line) => loaded.lines.get_mut(&key).map(|slot| *slot = Some(line)),
        Record::Reservation(reservation) => loaded
            .reservations
            .get_mut(&reservation.reservation_id)
            .map(|slot| *slot = Some(reservation)),
        Record::Ledger(key, entry) => loaded.ledger.get_mut(&key).map(|slot| *slot = Some(entry)),
    };
    placed.ok_or_else(|| {
        PortError::Unavailable("BatchGetItem: an answer for an item not asked for".to_owned())
    })
}

/// Full jitter: a random wait up to a bound that doubles.
fn wait(fruitless: u32, fraction: f64) -> Duration {
    let bound = FIRST_WAIT.saturating_mul(1u32.checked_shl(fruitless).unwrap_or(u32::MAX));
    bound.min(WAIT_MAX).mul_f64(fraction.clamp(0.0, 1.0))
}
