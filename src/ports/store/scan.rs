//! Tables and partitions, page by page.

use async_trait::async_trait;

use super::{LedgerKey, LedgerRecord, ReadStore, Table};
use crate::{
    domain::{LineKey, PoolId, Reservation, Seat, SeatKey, StockLevel},
    ports::PortError,
};

/// One item of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A seat.
    Seat(SeatKey, Seat),
    /// A line.
    Line(LineKey, StockLevel),
    /// A reservation.
    Reservation(Reservation),
    /// A ledger entry. Entries of attempts, and leases, are omitted.
    Ledger(LedgerKey, LedgerRecord),
}

/// Where a scan continues: opaque, made by the adapter that reads it. Where a partition continues:
/// after this seat number or SKU, whether or not there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor(pub String);

/// A page of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The page's items; an empty page is not necessarily the last.
    pub records: Vec<Record>,
    /// Of [`ScanStore::scan`] alone: items that cannot be read, each named with its table, key and
    /// attribute. A partition that has one is an error.
    pub unreadable: Vec<String>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PageCursor>,
}

/// Reads whole tables and partitions, page by page.
#[async_trait]
pub trait ScanStore: ReadStore {
    /// Reads a table page by page, for audits, without items past their
    /// [retention](crate::retention). Strongly consistent per item. Items that cannot be read are
    /// named in [`Page::unreadable`], so that an audit goes on past them.
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError>;

    /// Every seat of an event, by seat number, page by page: up to `limit` at a time, and no more
    /// than the adapter reads at once. Strongly consistent per item.
    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError>;

    /// Every line of a pool, by SKU, in the same way.
    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError>;
}
