//! The audit: reads every table and checks the invariants between their items.
//!
//! Independent of [`crate::decide`]: it derives the rules of state from the contract alone. It
//! reads page by page; its memory grows with the lines that ACTIVE reservations hold and with the
//! records that fail a check, not with the tables.
//!
//! It may run while workers do. Items are read one after the other, so a concurrent change can make
//! them seem to disagree: a record that fails a check is read again after a pause, and reported
//! only if it fails in the same way while none of the items involved has a new version. A record
//! that keeps changing is reported separately, as not settled.
//!
//! ```text
//! seats, reservations, stock, ledger ─► examine ─► failing ─► settle ─► violations, unsettled
//!               │ sums of ACTIVE lines ────► lines ──┘ (settled by scanning once more)
//!               └ reservations ∓ outcomes ─► reconcile ─┘
//! ```

mod examine;
mod finding;
mod ledger;
mod lines;
mod reconcile;
mod report;
mod reservations;
mod seats;

use std::{fmt, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::{
    domain::{ReservationStatus, Timestamp, time::saturating_add},
    ports::{Page, PageCursor, PortError, Record, ScanStore, Table},
    retention::LEDGER_SAFE,
};
use finding::CheckedRecord;
use lines::Sums;
use reconcile::Reconciliation;

pub use report::{AuditReport, Invariant, Violation};

/// Called with the number of records of a table read so far.
pub type ProgressCallback = Arc<dyn Fn(Table, u64) + Send + Sync>;

/// The options of an audit.
#[derive(Clone)]
pub struct AuditOptions {
    /// The maximum difference between the workers' clocks: a hold's seats may already have been
    /// taken over this long before its end.
    pub clock_skew: Duration,
    /// The pause before a failing record is read again.
    pub pause: Duration,
    /// The most times a failing record is read again before it is reported as not settled.
    pub rereads_max: u32,
    /// The most violations to list, and separately the most unsettled records; further ones are
    /// counted.
    pub listed_max: usize,
    /// Called after every page.
    pub progress: Option<ProgressCallback>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            clock_skew: Duration::from_secs(2),
            pause: Duration::from_millis(500),
            rereads_max: 5,
            listed_max: 1_000,
            progress: None,
        }
    }
}

impl fmt::Debug for AuditOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditOptions")
            .field("clock_skew", &self.clock_skew)
            .field("pause", &self.pause)
            .field("rereads_max", &self.rereads_max)
            .field("listed_max", &self.listed_max)
            .finish_non_exhaustive()
    }
}

/// Checks every invariant that the tables can show. `now` is the time at the start; the ledger is
/// not expected to cover later items.
///
/// # Errors
/// [`PortError`] if a table could not be read: an incomplete audit proves nothing. A single item that
/// cannot be read is no error: it is in the report.
pub async fn audit(
    store: &dyn ScanStore,
    now: Timestamp,
    options: &AuditOptions,
) -> Result<AuditReport, PortError> {
    let started = Instant::now();
    let mut audit =
        Audit { store, options, began_at: now, started, report: AuditReport::default() };
    let mut sums = Sums::default();
    let mut reconcile = Reconciliation::new(audit.period());

    audit.read(Table::Seats, |_| ()).await?;
    audit
        .read(Table::Reservations, |record| {
            if let Record::Reservation(reservation) = record {
                sums.add(reservation);
                reconcile.add_reservation(reservation);
            }
        })
        .await?;
    let mut unequal = lines::Unequal::default();
    audit.read(Table::Stock, |record| unequal.compare(record, &mut sums)).await?;
    unequal.missing(sums);
    audit.read(Table::Ledger, |record| reconcile.add_record(record)).await?;

    // A sum, or a list of outcomes, without an item that cannot be read is wrong by that item.
    if audit.report.unreadable.is_empty() {
        lines::settle(&mut audit, unequal).await?;
        reconcile::settle(&mut audit, reconcile).await?;
    } else {
        audit.report.not_checked = vec![
            "sums of lines against reservations",
            "reservations against their outcomes",
            "records that name an unreadable item",
        ];
    }
    Ok(audit.report)
}

/// A running audit.
struct Audit<'a> {
    store: &'a dyn ScanStore,
    options: &'a AuditOptions,
    began_at: Timestamp,
    started: Instant,
    report: AuditReport,
}

/// The period in which a reservation and the outcomes that name it must both exist, exclusive and
/// inclusive.
#[derive(Clone, Copy, Debug)]
struct Period {
    after: Timestamp,
    until: Timestamp,
}

impl Period {
    fn contains(self, at: Timestamp) -> bool {
        self.after < at && at <= self.until
    }
}

impl Audit<'_> {
    fn period(&self) -> Period {
        Period { after: self.kept_since(), until: self.began_at }
    }

    /// Items written after this time still exist. Older items are not checked: the store may
    /// already delete them, as its clock may be ahead of this audit's.
    fn kept_since(&self) -> Timestamp {
        saturating_add(self.began_at, -LEDGER_SAFE)
    }

    /// The current time: `began_at` plus the elapsed time.
    fn now(&self) -> Timestamp {
        saturating_add(self.began_at, signed(self.started.elapsed()))
    }

    /// Whether a hold with this end may have been taken over by now, by any worker's clock.
    fn may_have_run_out(&self, expires_at: Timestamp) -> bool {
        expires_at <= saturating_add(self.now(), signed(self.options.clock_skew))
    }

    /// Reads a table, passes every record to `see`, and settles failing records page by page.
    async fn read(&mut self, table: Table, mut see: impl FnMut(&Record)) -> Result<(), PortError> {
        let mut pages = Pages::of(table);
        while let Some(page) = pages.next(self.store).await? {
            for record in &page.records {
                see(record);
                self.report.count(record);
            }
            for what in page.unreadable {
                self.report.cannot_be_read(what, self.options.listed_max);
            }
            if let Some(progress) = &self.options.progress {
                progress(table, self.report.records(table));
            }
            let examined = examine::examine(self, page.records).await?;
            let failing: Vec<CheckedRecord> =
                examined.into_iter().filter(|record| !record.findings.is_empty()).collect();
            examine::settle(self, failing).await?;
        }
        Ok(())
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Reads a table page by page.
struct Pages {
    table: Table,
    next: Next,
}

enum Next {
    First,
    From(PageCursor),
    End,
}

impl Pages {
    fn of(table: Table) -> Self {
        Self { table, next: Next::First }
    }

    async fn next(&mut self, store: &dyn ScanStore) -> Result<Option<Page>, PortError> {
        let mut page = match &self.next {
            Next::First => store.scan(self.table, None).await?,
            Next::From(cursor) => store.scan(self.table, Some(cursor)).await?,
            Next::End => return Ok(None),
        };
        self.next = page.next.take().map_or(Next::End, Next::From);
        Ok(Some(page))
    }
}
