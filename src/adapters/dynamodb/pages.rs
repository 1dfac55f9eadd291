//! Queries and scans, page by page.

use aws_sdk_dynamodb::types::AttributeValue;
use tracing::warn;

use crate::{
    domain::PoolId,
    ports::{Ended, ExpiredPage, ExpiryQuery, Page, PageCursor, PortError, Table},
};

use super::{
    DynamoStore,
    attributes::{Item, Reader, epoch_seconds, n, s},
    errors,
    items::{
        self,
        reservations::{EXPIRES_AT, EXPIRY_SHARD, read_expired},
    },
    keys::{partition_key, sort_key},
    tables::EXPIRY_INDEX,
};

impl DynamoStore {
    pub(super) async fn query_expired(
        &self,
        query: &ExpiryQuery,
    ) -> Result<ExpiredPage, PortError> {
        let ExpiryQuery { shard, ended, ref from, limit } = *query;
        let mut page = ExpiredPage::default();
        let mut start = match from {
            Some(cursor) => {
                Some(parse_expiry_cursor(shard, ended, cursor).ok_or_else(foreign_cursor)?)
            }
            None => None,
        };
        while page.holds.len() < limit {
            let left = i32::try_from(limit - page.holds.len()).unwrap_or(i32::MAX);
            let output = self
                .client
                .query()
                .table_name(self.tables.name(Table::Reservations))
                .index_name(EXPIRY_INDEX)
                .key_condition_expression(
                    "#shard = :shard AND #expires_at BETWEEN :from AND :until",
                )
                .expression_attribute_names("#shard", EXPIRY_SHARD)
                .expression_attribute_names("#expires_at", EXPIRES_AT)
                .expression_attribute_values(":shard", n(shard))
                .expression_attribute_values(":from", epoch_seconds(ended.from))
                .expression_attribute_values(":until", epoch_seconds(ended.until))
                .scan_index_forward(true)
                .limit(left)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| {
                    errors::port(&self.doing("Query expiry-index", &[Table::Reservations]), &error)
                })?;
            for item in output.items() {
                match read_expired(item) {
                    Ok(hold) => page.holds.push(hold),
                    // One damaged entry must not keep the other holds of its shard permanently.
                    Err(error) => {
                        let table = Table::Reservations;
                        let error = items::unreadable(&self.tables, table, item, &error);
                        warn!(%error, "a hold that ran out cannot be given back");
                    }
                }
            }
            start = next_start(output.last_evaluated_key);
            if start.is_none() {
                break;
            }
        }
        page.next = start.as_ref().map(expiry_cursor).transpose()?;
        Ok(page)
    }

    pub(super) async fn scan_page(
        &self,
        table: Table,
        from: Option<&PageCursor>,
    ) -> Result<Page, PortError> {
        let output = self
            .client
            .scan()
            .table_name(self.tables.name(table))
            .consistent_read(true)
            .limit(self.page_items)
            .set_exclusive_start_key(start_key(table, from)?)
            .send()
            .await
            .map_err(|error| errors::port(&self.doing("Scan", &[table]), &error))?;
        let mut page = Page::default();
        let now = self.clock.now();
        for item in output.items().iter().filter(|item| !items::is_past(item, now)) {
            match items::read(&self.tables, table, item) {
                Ok(record) => page.records.extend(record),
                Err(PortError::Unreadable(what)) => page.unreadable.push(what),
                Err(error) => return Err(error),
            }
        }
        let next = next_start(output.last_evaluated_key);
        page.next = next.map(|key| cursor(table, &key)).transpose()?;
        Ok(page)
    }

    pub(super) async fn seats_page(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.partition_page(Table::Seats, n(event_id), from, limit).await
    }

    pub(super) async fn lines_page(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.partition_page(Table::Stock, s(pool.to_string()), from, limit).await
    }

    async fn partition_page(
        &self,
        table: Table,
        partition: AttributeValue,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        let start = from.map(|after| key_after(table, &partition, after)).transpose()?;
        let limit =
            i32::try_from(limit.max(1)).map_or(self.page_items, |limit| limit.min(self.page_items));
        let output = self
            .client
            .query()
            .table_name(self.tables.name(table))
            .key_condition_expression("#partition = :partition")
            .expression_attribute_names("#partition", partition_key(table))
            .expression_attribute_values(":partition", partition)
            .consistent_read(true)
            .limit(limit)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| errors::port(&self.doing("Query", &[table]), &error))?;
        let mut page = Page::default();
        let now = self.clock.now();
        for item in output.items().iter().filter(|item| !items::is_past(item, now)) {
            page.records.extend(items::read(&self.tables, table, item)?);
        }
        let next = next_start(output.last_evaluated_key);
        page.next = next.map(|key| last_of(table, &key)).transpose()?;
        Ok(page)
    }
}

/// The start key of the next page. DynamoDB leaves it out after the last page; an empty one means
/// the same.
fn next_start(last: Option<Item>) -> Option<Item> {
    last.filter(|key| !key.is_empty())
}

fn foreign_cursor() -> PortError {
    PortError::Refused("the cursor is not of this listing: begin again without one".to_owned())
}

/// The key of a partition after which a page begins.
fn key_after(
    table: Table,
    partition: &AttributeValue,
    after: &PageCursor,
) -> Result<Item, PortError> {
    let name = sort_key(table).filter(|_| !after.0.is_empty()).ok_or_else(foreign_cursor)?;
    Ok(Item::from([
        (partition_key(table).to_owned(), partition.clone()),
        (name.to_owned(), s(&after.0)),
    ]))
}

/// The seat number or SKU at which a page ends.
fn last_of(table: Table, key: &Item) -> Result<PageCursor, PortError> {
    match sort_key(table).and_then(|name| key.get(name)) {
        Some(AttributeValue::S(text)) => Ok(PageCursor(text.clone())),
        _ => Err(PortError::Unavailable("the page ends in a key of another form".to_owned())),
    }
}

/// A cursor of a scan is a JSON list of the table's name and the key attributes as strings.
fn cursor(table: Table, key: &Item) -> Result<PageCursor, PortError> {
    let strange = || PortError::Unavailable("the page ends in a key of another form".to_owned());
    let mut parts = vec![table.as_str()];
    for name in [Some(partition_key(table)), sort_key(table)].into_iter().flatten() {
        let part = match key.get(name) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text,
            _ => return Err(strange()),
        };
        parts.push(part);
    }
    serde_json::to_string(&parts).map(PageCursor).map_err(|_| strange())
}

/// The key of an index entry consists of the index's key and the table's. A cursor is a JSON list
/// of both as strings.
fn expiry_cursor(key: &Item) -> Result<PageCursor, PortError> {
    let strange = || PortError::Unavailable("the page ends in a key of another form".to_owned());
    let part = |name: &str| match key.get(name) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => Ok(text.as_str()),
        _ => Err(strange()),
    };
    let parts = [part(EXPIRY_SHARD)?, part(EXPIRES_AT)?, part(partition_key(Table::Reservations))?];
    serde_json::to_string(&parts).map(PageCursor).map_err(|_| strange())
}

fn parse_expiry_cursor(shard: u32, ended: Ended, cursor: &PageCursor) -> Option<Item> {
    let [of_shard, expires_at, id]: [String; 3] = serde_json::from_str(&cursor.0).ok()?;
    let at = Reader(&Item::from([(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.clone()))]))
        .epoch_seconds(EXPIRES_AT)
        .ok()?;
    let is_of_range = of_shard.parse() == Ok(shard) && (ended.from..=ended.until).contains(&at);
    is_of_range.then(|| {
        Item::from([
            (EXPIRY_SHARD.to_owned(), n(shard)),
            (EXPIRES_AT.to_owned(), AttributeValue::N(expires_at)),
            (partition_key(Table::Reservations).to_owned(), s(id)),
        ])
    })
}

fn start_key(table: Table, from: Option<&PageCursor>) -> Result<Option<Item>, PortError> {
    from.map(|cursor| parse_cursor(table, cursor).ok_or_else(foreign_cursor)).transpose()
}

fn parse_cursor(table: Table, cursor: &PageCursor) -> Option<Item> {
    let parts: Vec<String> = serde_json::from_str(&cursor.0).ok()?;
    let mut parts = parts.into_iter();
    if parts.next()? != table.as_str() {
        return None;
    }
    let partition = parts.next()?;
    let partition = match table {
        Table::Seats => n(partition.parse::<u64>().ok()?),
        Table::Stock | Table::Reservations | Table::Ledger => s(partition),
    };
    let mut key = Item::from([(partition_key(table).to_owned(), partition)]);
    if let Some(name) = sort_key(table) {
        key.insert(name.to_owned(), s(parts.next()?));
    }
    parts.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::dynamodb::keys;

    #[test]
    fn a_cursor_leads_back_to_the_key_it_was_made_of_and_to_no_other_table() {
        for table in Table::ALL {
            let key = keys::absent_key(table);
            let written = cursor(table, &key).unwrap();
            assert_eq!(parse_cursor(table, &written), Some(key));
            for other in Table::ALL.into_iter().filter(|other| *other != table) {
                assert_eq!(parse_cursor(other, &written), None, "{other:?}");
            }
        }
    }

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        for wrong in ["", "[]", "7", r#"["seats"]"#, r#"["seats","x","A"]"#, r#"["seats","1"]"#] {
            assert_eq!(parse_cursor(Table::Seats, &PageCursor(wrong.to_owned())), None, "{wrong}");
        }
        let long = PageCursor(r#"["ledger","a","b"]"#.to_owned());
        assert_eq!(parse_cursor(Table::Ledger, &long), None);
    }
}
