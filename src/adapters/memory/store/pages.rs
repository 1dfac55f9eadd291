//! Reads tables page by page. A cursor is the key of the last record of its page.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use uuid::Uuid;

use super::{IndexEntry, Tables};
use crate::{
    domain::{CommandKey, LineKey, PoolId, ReservationId, SeatKey, ids::KEY_SEPARATOR},
    ports::{
        ExpiredHold, ExpiredPage, ExpiryQuery, LedgerKey, Page, PageCursor, PortError, Record,
        Table,
    },
};

/// A key that a cursor can encode.
trait Key: Ord + Clone {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

impl Key for SeatKey {
    fn write(&self) -> String {
        format!("{}{KEY_SEPARATOR}{}", self.event_id, self.number)
    }

    fn read(text: &str) -> Option<Self> {
        let (event_id, number) = text.split_once(KEY_SEPARATOR)?;
        Some(Self { event_id: event_id.parse().ok()?, number: number.parse().ok()? })
    }
}

impl Key for LineKey {
    fn write(&self) -> String {
        format!("{}{KEY_SEPARATOR}{}", self.pool, self.sku)
    }

    fn read(text: &str) -> Option<Self> {
        let (pool, sku) = text.split_once(KEY_SEPARATOR)?;
        Some(Self { pool: pool.parse().ok()?, sku: sku.parse().ok()? })
    }
}

impl Key for crate::domain::ReservationId {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Key for LedgerKey {
    fn write(&self) -> String {
        match self {
            Self::Command(key) => format!("{KEY_SEPARATOR}{}", key.joined()),
            Self::Chunk(key, number) => format!("{number}{KEY_SEPARATOR}{}", key.joined()),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (number, joined) = text.split_once(KEY_SEPARATOR)?;
        let (source, id) = joined.split_once(KEY_SEPARATOR)?;
        let key = CommandKey { source: source.parse().ok()?, id: id.parse().ok()? };
        match number {
            "" => Some(Self::Command(key)),
            number => Some(Self::Chunk(key, number.parse().ok()?)),
        }
    }
}

impl Tables {
    /// The next records of a table.
    pub(super) fn scan(&self, table: Table, request: PageRequest<'_>) -> Result<Page, PortError> {
        match table {
            Table::Seats => all(&self.seats, request, Record::Seat),
            Table::Stock => all(&self.lines, request, Record::Line),
            Table::Reservations => {
                let record = |_, reservation| Record::Reservation(reservation);
                all(&self.reservations, request, record)
            }
            Table::Ledger => all(&self.ledger, request, Record::Ledger),
        }
    }

    /// The next seats of an event.
    pub(super) fn seats_page(
        &self,
        event_id: u64,
        request: PageRequest<'_>,
    ) -> Result<Page, PortError> {
        // The least text there is; a space is the least character that a number may hold.
        let first = " ".parse().ok().map(|number| SeatKey { event_id, number });
        let ours = |key: &SeatKey| key.event_id == event_id;
        let after = request.after(|text| Some(SeatKey { event_id, number: text.parse().ok()? }))?;
        let range = Range { after, first, max: request.max };
        page(&self.seats, range, ours, |key| key.number.to_string(), Record::Seat)
    }

    /// The next lines of a pool.
    pub(super) fn lines_page(
        &self,
        pool: &PoolId,
        request: PageRequest<'_>,
    ) -> Result<Page, PortError> {
        let first = " ".parse().ok().map(|sku| LineKey { pool: pool.clone(), sku });
        let ours = |key: &LineKey| key.pool == *pool;
        let key = |text: &str| Some(LineKey { pool: pool.clone(), sku: text.parse().ok()? });
        let range = Range { after: request.after(key)?, first, max: request.max };
        page(&self.lines, range, ours, |key| key.sku.to_string(), Record::Line)
    }
}

impl Key for IndexEntry {
    fn write(&self) -> String {
        let (shard, expires_at, id) = self;
        format!("{shard}{KEY_SEPARATOR}{expires_at}{KEY_SEPARATOR}{id}")
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(KEY_SEPARATOR);
        let entry =
            (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(entry)
    }
}

impl Tables {
    /// The next holds of a shard that ended in the range.
    pub(super) fn expired_page(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        let ExpiryQuery { shard, ended, ref from, limit } = *query;
        let first = (shard, ended.from, ReservationId(Uuid::nil()));
        let last = (shard, ended.until, ReservationId(Uuid::max()));
        let start = match from {
            None => Included(first),
            Some(cursor) => {
                let wrong = || PortError::Refused("no cursor of this range".to_owned());
                let read = IndexEntry::read(&cursor.0).filter(|entry| *entry >= first);
                Excluded(read.filter(|entry| *entry <= last).ok_or_else(wrong)?)
            }
        };
        if limit == 0 || first > last {
            return Ok(ExpiredPage::default());
        }
        let mut found = self.expiry_index.range((start, Included(last))).peekable();
        let mut page = ExpiredPage::default();
        while let Some(entry) = found.next() {
            let (_, expires_at, reservation_id) = *entry;
            if let Some(reservation) = self.reservations.get(&reservation_id) {
                let pool = reservation.pool.clone();
                page.holds.push(ExpiredHold { reservation_id, pool, expires_at });
            }
            if page.holds.len() >= limit {
                page.next = found.peek().map(|_| PageCursor(entry.write()));
                break;
            }
        }
        Ok(page)
    }
}

/// The part of a table to return.
#[derive(Clone, Copy)]
pub(super) struct PageRequest<'a> {
    /// The cursor to continue from; `None` for the first page.
    pub(super) from: Option<&'a PageCursor>,
    /// The most records to return.
    pub(super) max: usize,
}

impl PageRequest<'_> {
    /// The same, with no more than so many records.
    pub(super) fn up_to(self, limit: usize) -> Self {
        Self { max: self.max.min(limit), ..self }
    }

    /// The key that the page comes after.
    fn after<K>(&self, key: impl Fn(&str) -> Option<K>) -> Result<Option<K>, PortError> {
        let wrong = || PortError::Refused("no cursor of this table".to_owned());
        self.from.map(|cursor| key(&cursor.0).ok_or_else(wrong)).transpose()
    }
}

/// The keys of a page.
struct Range<K> {
    after: Option<K>,
    /// The least, where it comes after none.
    first: Option<K>,
    max: usize,
}

fn all<K: Key, V: Clone>(
    table: &BTreeMap<K, V>,
    request: PageRequest<'_>,
    record: impl Fn(K, V) -> Record,
) -> Result<Page, PortError> {
    let range = Range { after: request.after(K::read)?, first: None, max: request.max };
    page(table, range, |_| true, K::write, record)
}

fn page<K: Ord + Clone, V: Clone>(
    table: &BTreeMap<K, V>,
    range: Range<K>,
    ours: impl Fn(&K) -> bool,
    cursor: impl Fn(&K) -> String,
    record: impl Fn(K, V) -> Record,
) -> Result<Page, PortError> {
    let start = match (range.after, range.first) {
        (Some(after), _) => Excluded(after),
        (None, Some(first)) => Included(first),
        (None, None) => Unbounded,
    };
    let mut found = table.range((start, Unbounded)).take_while(|(key, _)| ours(key)).peekable();
    let mut page = Page::default();
    while let Some((key, value)) = found.next() {
        page.records.push(record(key.clone(), value.clone()));
        if page.records.len() >= range.max {
            page.next = found.peek().map(|_| PageCursor(cursor(key)));
            break;
        }
    }
    Ok(page)
}
