//! The audit: it finds nothing in tables that commands left, and everything that they cannot leave.

mod live;
mod tables;
mod tampered;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use inventory_worker::{
    audit::{AuditOptions, AuditReport, audit},
    domain::Timestamp,
    ports::{ScanStore, Table},
};
use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{
    decide_properties::{history, play},
    world::at,
};
use tables::{NOW, Tables};

/// Waiting costs nothing while the clock is paused.
fn options() -> AuditOptions {
    AuditOptions { pause: Duration::from_secs(1), rereads_max: 3, ..AuditOptions::default() }
}

async fn report(store: &dyn ScanStore, now: Timestamp) -> AuditReport {
    audit(store, now, &options()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_world_made_by_commands_is_clean() {
    let tables = Tables::of_a_show();
    let report = report(&tables.store(), at(NOW)).await;
    let expected = AuditReport {
        seats: 8,
        lines: 3,
        reservations: 9,
        ledger_entries: 31,
        oversold_lines: 1,
        ..AuditReport::default()
    };
    assert_eq!(report, expected);
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn what_the_store_lets_go_after_ninety_days_is_not_missed() {
    let store = Tables::of_a_show().store();
    let later = at(NOW) + jiff::SignedDuration::from_hours(90 * 24);
    // An hour early by the audit's clock, then exactly on time, then much later.
    for hours in [-1, 0, 24 * 300] {
        let now = later + jiff::SignedDuration::from_hours(hours);
        store.expire_ttl(later);
        let report = report(&store, now).await;
        assert!(report.is_clean(), "{hours} h: {:#?}", report.violations);
        assert!(report.ledger_entries == 0 && report.reservations > 0, "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_tables_are_clean() {
    let report = report(&Tables::default().store(), at(NOW)).await;
    assert_eq!(report, AuditReport::default());
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_after_every_page() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reported);
    let options = AuditOptions {
        progress: Some(Arc::new(move |table, count| seen.lock().unwrap().push((table, count)))),
        ..options()
    };
    let store = Tables::of_a_show().store();
    audit(&store, at(NOW), &options).await.unwrap();
    let reported = reported.lock().unwrap();
    for (table, all) in [(Table::Seats, 8), (Table::Reservations, 9), (Table::Ledger, 31)] {
        let counts: Vec<u64> =
            reported.iter().filter(|(of, _)| *of == table).map(|(_, count)| *count).collect();
        assert!(counts.len() > 1 && counts.is_sorted(), "{table:?}: {counts:?}");
        assert_eq!(counts.last(), Some(&all), "{table:?}");
    }
}

#[test]
fn a_report_is_json_that_calls_invariants_by_their_names() {
    use inventory_worker::audit::{Invariant, Violation};
    let violation = Violation {
        invariant: Invariant::ReservedIsSum,
        subject: "line x of store#s".to_owned(),
        detail: "3 reserved, and ACTIVE reservations hold 2".to_owned(),
    };
    let report = AuditReport { lines: 1, violations: vec![violation], ..AuditReport::default() };
    let json = serde_json::to_value(report).unwrap();
    assert_eq!(json["lines"], 1);
    assert_eq!(json["violations"][0]["invariant"], "reserved_is_sum");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_commands_leave_is_clean(steps in history::histories()) {
        let mut tables = Tables::default();
        let mut now = at("10:00:00");
        play(&steps, |decided| {
            now = now.max(decided.now);
            tables.items = decided.after.clone();
            let outcome = &decided.ran.verdict.outcome;
            let is_unrecorded =
                outcome.rejection().is_some_and(|rejection| rejection.code.is_unrecorded());
            if !is_unrecorded {
                tables.enter_ran(&decided.ran, decided.now);
            }
            Ok(())
        })
        .map_err(TestCaseError::fail)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let report = runtime.block_on(report(&tables.store(), now));
        prop_assert!(report.is_clean() && report.unsettled.is_empty(), "{:#?}", report);
        prop_assert_eq!(report.reservations as usize, tables.items.reservations.len());
        prop_assert_eq!(report.ledger_entries as usize, tables.ledger.len());
    }
}
