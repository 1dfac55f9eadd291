//! An audit while the tables change.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::memory::MemoryStore,
    audit::Invariant,
    domain::{PoolId, SeatState},
    ports::{
        LoadRequest, Page, PageCursor, PortError, ReadSet, ReadStore, Record, ScanStore, Table,
    },
};

use super::{
    report,
    tables::{NOW, Tables, line_key, seat_key},
};
use crate::world::{at, reservation_id};

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Load,
    Scan(Table),
}

type Hook = Box<dyn FnMut(Call, &MemoryStore) -> Result<(), PortError> + Send>;

/// A store to which something happens before each read of the audit.
struct Moving {
    store: MemoryStore,
    before: Mutex<Hook>,
    each_call_takes: Duration,
}

impl Moving {
    fn new(
        tables: &Tables,
        before: impl FnMut(Call, &MemoryStore) -> Result<(), PortError> + Send + 'static,
    ) -> Self {
        let before = Mutex::new(Box::new(before) as Hook);
        Self { store: tables.store(), before, each_call_takes: Duration::ZERO }
    }

    /// Runs once, before the first such call after the first `Scan` of the table.
    fn once(
        tables: &Tables,
        after: Table,
        at: Call,
        change: impl Fn(&MemoryStore) + Send + 'static,
    ) -> Self {
        let (mut has_begun, mut is_done) = (false, false);
        Self::new(tables, move |call, store| {
            if has_begun && call == at && !is_done {
                is_done = true;
                change(store);
            }
            has_begun |= call == Call::Scan(after);
            Ok(())
        })
    }

    async fn called(&self, call: Call) -> Result<(), PortError> {
        tokio::time::sleep(self.each_call_takes).await;
        self.before.lock().unwrap()(call, &self.store)
    }
}

#[async_trait]
impl ReadStore for Moving {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        self.called(Call::Load).await?;
        self.store.load(wanted).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.store.ping().await
    }
}

#[async_trait]
impl ScanStore for Moving {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.called(Call::Scan(table)).await?;
        self.store.scan(table, from).await
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.store.seats(event_id, from, limit).await
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.store.lines(pool, from, limit).await
    }
}

/// The show as it was before its last command, which reserved and two of `x` at 10:30, and
/// that command's writes.
fn before_the_last_reserve() -> (Tables, Vec<Record>) {
    let after = Tables::of_a_show();
    let mut before = after.clone();
    before.items.reservations.remove(&reservation_id(1));
    for name in ["A-1", "A-2"] {
        before.seat(name).occupancy = SeatState::Available;
        before.seat(name).version = 1;
    }
    let line = before.line("x");
    (line.available, line.reserved) = (line.available + 2, line.reserved - 2);
    line.version -= 1;
    let is_its_own = |record: &Record| match record {
        Record::Seat(key, _) => *key == seat_key("A-1") || *key == seat_key("A-2"),
        Record::Line(key, _) => *key == line_key("x"),
        Record::Reservation(reservation) => reservation.reservation_id == reservation_id(1),
        Record::Ledger(..) => false,
    };
    let (mut written, last) = (
        after.records(),
        after.ledger.iter().find(|(_, record)| {
            matches!(record, inventory_worker::ports::LedgerRecord::Outcome {
            outcome: inventory_worker::domain::Outcome::Reserved { reservation }, .. }
            if reservation.reservation_id == reservation_id(1))
        }),
    );
    written.retain(is_its_own);
    let (key, record) = last.unwrap();
    before.ledger.remove(key);
    written.push(Record::Ledger(key.clone(), record.clone()));
    (before, written)
}

#[tokio::test(start_paused = true)]
async fn a_reserve_at_any_moment_of_the_audit_is_no_violation() {
    for moment in 0.. {
        let (before, written) = before_the_last_reserve();
        let mut calls = 0;
        let is_done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let done = std::sync::Arc::clone(&is_done);
        let store = Moving::new(&before, move |_, store| {
            if calls == moment {
                store.insert(written.clone());
                done.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            calls += 1;
            Ok(())
        });
        let report = report(&store, at(NOW)).await;
        assert!(report.is_clean(), "before call {moment}: {:#?}", report.violations);
        assert_eq!(report.unsettled, [], "before call {moment}");
        if !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(moment > 20, "{moment}");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_is_set_right_before_it_is_read_again_is_not_reported() {
    let mut wrong = Tables::of_a_show();
    let right = wrong.seat("A-1").clone();
    wrong.seat("A-1").occupancy = SeatState::Available;
    wrong.seat("A-1").version += 1;
    let mended = inventory_worker::domain::Seat { version: right.version + 2, ..right };
    // The first load after the scan of reservations is of their seats; the next reads again.
    let mut loads = 0;
    let store = Moving::new(&wrong, move |call, store| {
        loads += u32::from(call == Call::Load);
        if call == Call::Scan(Table::Reservations) {
            loads = 0;
        }
        if loads == 2 {
            store.insert([Record::Seat(seat_key("A-1"), mended.clone())]);
        }
        Ok(())
    });
    let report = report(&store, at(NOW)).await;
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert_eq!(report.unsettled, []);
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_stays_wrong_and_keeps_changing_is_not_settled() {
    let mut wrong = Tables::of_a_show();
    wrong.seat("A-3").occupancy = SeatState::Available;
    let mut seat = wrong.seat("A-3").clone();
    let store = Moving::new(&wrong, move |_, store| {
        seat.version += 1;
        store.insert([Record::Seat(seat_key("A-3"), seat.clone())]);
        Ok(())
    });
    let report = report(&store, at(NOW)).await;
    assert!(report.is_clean(), "{:#?}", report.violations);
    let unsettled: Vec<Invariant> =
        report.unsettled.iter().map(|violation| violation.invariant).collect();
    assert_eq!(unsettled, [Invariant::ConfirmedReservationOwns]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_changes_during_every_scan_is_not_settled() {
    let mut wrong = Tables::of_a_show();
    wrong.line("x").reserved = 5;
    let mut line = wrong.line("x").clone();
    let store = Moving::new(&wrong, move |_, store| {
        line.version += 1;
        store.insert([Record::Line(line_key("x"), line.clone())]);
        Ok(())
    });
    let report = report(&store, at(NOW)).await;
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert_eq!(report.unsettled.len(), 1);
    assert_eq!(report.unsettled[0].invariant, Invariant::ReservedIsSum);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_has_come_to_rest_is_judged() {
    let mut wrong = Tables::of_a_show();
    wrong.line("x").reserved = 5;
    let mut line = wrong.line("x").clone();
    let mut scans = 0;
    let store = Moving::new(&wrong, move |call, store| {
        // The audit's first scan and the first repeated one.
        scans += u32::from(call == Call::Scan(Table::Reservations));
        if scans <= 4 {
            line.version += 1;
            store.insert([Record::Line(line_key("x"), line.clone())]);
        }
        Ok(())
    });
    let report = report(&store, at(NOW)).await;
    assert_eq!(report.unsettled, []);
    assert_eq!(report.violations.len(), 1);
    assert_eq!(report.violations[0].invariant, Invariant::ReservedIsSum);
    assert_eq!(report.violations[0].detail, "5 reserved, and reservations have 2");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_runs_out_during_a_long_audit_may_be_taken_over() {
    let mut tables = Tables::of_a_show();
    tables.seat("A-2").occupancy = SeatState::Available;
    let mut store = Moving::new(&tables, |_, _| Ok(()));
    assert!(!report(&store, at(NOW)).await.is_clean());
    // The seats alone take more than ten minutes.
    store.each_call_takes = Duration::from_secs(240);
    assert!(report(&store, at(NOW)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_cannot_read_everything_says_nothing() {
    let tables = Tables::of_a_show();
    for failing in [Call::Load, Call::Scan(Table::Seats), Call::Scan(Table::Ledger)] {
        let store = Moving::new(&tables, move |call, _| {
            if call == failing {
                return Err(PortError::Throttled("slow down".to_owned()));
            }
            Ok(())
        });
        let answer = inventory_worker::audit::audit(&store, at(NOW), &super::options()).await;
        assert_eq!(answer, Err(PortError::Throttled("slow down".to_owned())), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_reaches_the_ledger_late_is_not_missed() {
    let mut tables = Tables::of_a_show();
    let all = tables.records();
    tables.ledger.clear();
    let store = Moving::once(&tables, Table::Ledger, Call::Scan(Table::Reservations), move |s| {
        s.insert(all.clone());
    });
    let report = report(&store, at(NOW)).await;
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert_eq!(report.unsettled, []);
}
