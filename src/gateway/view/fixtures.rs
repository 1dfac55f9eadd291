//! Pools for tests, and tables that fail, wait and count.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    adapters::memory::{MemoryStore, TokioClock},
    domain::{
        LineKey, PoolId, ReservationId, Seat, SeatDetails, SeatKey, SeatState, StockLevel,
        Timestamp,
    },
    ports::{
        CommitStore, Expected, LoadRequest, Page, PageCursor, PortError, ReadSet, ReadStore,
        ScanStore, Table, Transaction, Write,
    },
};

pub(crate) const EVENT: u64 = 42;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When the clocks of tests start.
pub(crate) fn epoch() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

pub(crate) fn event() -> PoolId {
    PoolId::Event(EVENT)
}

pub(crate) fn shop() -> PoolId {
    PoolId::Store("store-1".parse().unwrap())
}

/// A seat of section `section`, row `1`, with a price.
pub(crate) fn seat(section: &str, version: u64, occupancy: SeatState) -> Seat {
    Seat {
        details: SeatDetails {
            section: Some(section.parse().unwrap()),
            row_number: Some("1".parse().unwrap()),
            seat_type: None,
            price: Some("49.50".parse().unwrap()),
        },
        occupancy,
        withheld: false,
        version,
        created_at: epoch(),
        updated_at: epoch(),
    }
}

pub(crate) fn held(until: &str) -> SeatState {
    SeatState::Reserved {
        reservation_id: ReservationId(Uuid::from_u128(7)),
        by: "user-7".parse().unwrap(),
        until: at(until),
    }
}

pub(crate) fn booked() -> SeatState {
    SeatState::Booked {
        reservation_id: ReservationId(Uuid::from_u128(8)),
        by: "user-8".parse().unwrap(),
        booking_id: "booking-8".parse().unwrap(),
    }
}

pub(crate) fn line(version: u64, available: i64) -> StockLevel {
    let (reserved, committed) = (2, 1);
    StockLevel { available, reserved, committed, as_of: None, version, updated_at: epoch() }
}

/// Tables in memory, ten records a page, that fail, wait and count.
pub(crate) struct Tables {
    pub(crate) memory: MemoryStore,
    /// Pages read.
    pub(crate) pages: AtomicUsize,
    /// Seats and lines read.
    entries: AtomicUsize,
    /// Of how many entries pages were asked for, since [`Self::take_limits`].
    limits: Mutex<Vec<usize>>,
    /// The reads under way, and the most at a time.
    under_way: Mutex<(usize, usize)>,
    failure: Mutex<Option<PortError>>,
    gate: Semaphore,
}

impl Tables {
    pub(crate) fn new(clock: &Arc<TokioClock>) -> Arc<Self> {
        let clock: Arc<TokioClock> = Arc::clone(clock);
        Arc::new(Self {
            memory: MemoryStore::new(clock).with_page_size(10),
            pages: AtomicUsize::new(0),
            entries: AtomicUsize::new(0),
            limits: Mutex::default(),
            under_way: Mutex::default(),
            failure: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub(crate) fn fail(&self, failure: Option<PortError>) {
        *self.failure.lock().unwrap() = failure;
    }

    /// No page is answered until as many have been let through.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_through(&self, pages: usize) {
        self.gate.add_permits(pages);
    }

    pub(crate) fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    pub(crate) fn most_at_a_time(&self) -> usize {
        self.under_way.lock().unwrap().1
    }

    /// Seats and lines of all pages.
    pub(crate) fn entries_read(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn take_limits(&self) -> Vec<usize> {
        std::mem::take(&mut *self.limits.lock().unwrap())
    }

    fn count(&self, page: Result<Page, PortError>) -> Result<Page, PortError> {
        let read = page.as_ref().map_or(0, |page| page.records.len());
        self.entries.fetch_add(read, Ordering::Relaxed);
        page
    }

    async fn enter(&self) -> Result<(), PortError> {
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        self.gate.acquire().await.unwrap().forget();
        tokio::task::yield_now().await;
        self.under_way.lock().unwrap().0 -= 1;
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.failure.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    /// Writes a seat, whatever is there.
    pub(crate) async fn put_seat(&self, number: &str, seat: Seat) {
        let key = SeatKey { event_id: EVENT, number: number.parse().unwrap() };
        let before = self.memory.inspect(|tables| tables.seats.get(&key).map(|seat| seat.version));
        let expected = before.map_or(Expected::Absent, Expected::Version);
        self.write(Write::Seat { key, expected, seat }).await;
    }

    /// Writes a line, whatever is there.
    pub(crate) async fn put_line(&self, pool: &PoolId, sku: &str, line: StockLevel) {
        let key = LineKey { pool: pool.clone(), sku: sku.parse().unwrap() };
        let before = self.memory.inspect(|tables| tables.lines.get(&key).map(|line| line.version));
        let expected = before.map_or(Expected::Absent, Expected::Version);
        self.write(Write::Line { key, expected, line }).await;
    }

    pub(crate) async fn write(&self, write: Write) {
        let transaction = Transaction { writes: vec![write], checks: Vec::new() };
        self.memory.commit(&transaction, Uuid::from_u128(1)).await.unwrap();
    }

    /// Event 42: A-1 available, A-2 held until 10:10, A-3 booked, B-1 blocked, and 21 seats
    /// C-10 to C-30 available; in store-1, two lines.
    pub(crate) async fn fill(&self) {
        self.put_seat("A-1", seat("A", 1, SeatState::Available)).await;
        self.put_seat("A-2", seat("A", 4, held("2026-11-22T10:10:00Z"))).await;
        self.put_seat("A-3", seat("A", 3, booked())).await;
        self.put_seat("B-1", seat("B", 2, SeatState::Blocked)).await;
        for number in 10..=30 {
            self.put_seat(&format!("C-{number}"), seat("C", 1, SeatState::Available)).await;
        }
        for sku in ["apple", "bread"] {
            self.put_line(&shop(), sku, line(5, 10)).await;
        }
    }
}

#[async_trait]
impl ReadStore for Tables {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        self.enter().await?;
        self.memory.load(wanted).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.memory.ping().await
    }
}

#[async_trait]
impl ScanStore for Tables {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.memory.scan(table, from).await
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.limits.lock().unwrap().push(limit);
        // One entry tells whether there is any: a look, which nothing holds up.
        if limit > 1 {
            self.enter().await?;
        }
        self.count(self.memory.seats(event_id, from, limit).await)
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.limits.lock().unwrap().push(limit);
        // One entry tells whether there is any: a look, which nothing holds up.
        if limit > 1 {
            self.enter().await?;
        }
        self.count(self.memory.lines(pool, from, limit).await)
    }
}
