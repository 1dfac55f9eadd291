//! Every kind of violation, alone, is found under its name.

mod ledger;
mod lines;
mod reservations;
mod seats;

use std::collections::BTreeSet;

use inventory_worker::{
    audit::{AuditOptions, Invariant, audit},
    domain::{
        Changes, CommandType, Digest, Goods, Outcome, Rejection, RejectionCode, ReservationStatus,
        SeatState,
    },
    ports::{LedgerKey, LedgerRecord},
};
use jiff::SignedDuration;

use super::{
    options, report,
    tables::{EVENT, NOW, Tables, key, line_key, seat_key},
};
use crate::world::{at, booking, event, numbers, quantities, reservation_id, store, user};

/// A change, and exactly what the audit must report: invariant and subject.
struct Tampered {
    what: &'static str,
    bend: fn(&mut Tables),
    found: Vec<(Invariant, String)>,
}

fn tampered(what: &'static str, found: &[(Invariant, &str)], bend: fn(&mut Tables)) -> Tampered {
    let found = found.iter().map(|(invariant, subject)| (*invariant, (*subject).to_owned()));
    Tampered { what, bend, found: found.collect() }
}

fn seat(number: &str) -> String {
    format!("seat {number} of event#{EVENT}")
}

fn line(name: &str) -> String {
    format!("line {name} of event#{EVENT}")
}

fn reservation(id: u32) -> String {
    format!("reservation {}", reservation_id(id))
}

fn command(id: &str) -> String {
    format!("command /tests {id}")
}

fn held(id: u32, by: &str, until: &str) -> SeatState {
    SeatState::Reserved { reservation_id: reservation_id(id), by: user(by), until: at(until) }
}

fn booked(id: u32, by: &str, with: &str) -> SeatState {
    SeatState::Booked {
        reservation_id: reservation_id(id),
        by: user(by),
        booking_id: booking(with),
    }
}

fn everything() -> Vec<Tampered> {
    let all = [
        seats::all(),
        reservations::of_their_seats(),
        reservations::of_their_sale(),
        reservations::of_their_form(),
        lines::all(),
        ledger::of_the_census(),
        ledger::of_outcomes(),
        ledger::of_changes(),
        ledger::of_restocks(),
    ];
    all.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn each_violation_is_found_by_its_name_and_nothing_else_is() {
    let all = everything();
    let (mut met, mut wrong) = (BTreeSet::new(), Vec::new());
    for Tampered { what, bend, mut found } in all {
        let mut tables = Tables::of_a_show();
        bend(&mut tables);
        let report = report(&tables.store(), at(NOW)).await;
        let mut named: Vec<(Invariant, String)> = report
            .violations
            .iter()
            .map(|violation| (violation.invariant, violation.subject.clone()))
            .collect();
        named.sort();
        found.sort();
        if named != found {
            wrong.push(format!("{what}: {:#?}\nexpected {found:#?}", report.violations));
        }
        assert_eq!(report.unsettled, [], "{what}");
        assert!(!report.is_clean(), "{what}");
        met.extend(found.into_iter().map(|(invariant, _)| invariant));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(met, Invariant::ALL.into_iter().collect(), "every invariant is tested");
}

/// By a clock that is ahead, a hold may have expired earlier by that much.
#[tokio::test(start_paused = true)]
async fn a_seat_may_have_been_taken_over_once_its_hold_may_have_run_out() {
    let mut tables = Tables::of_a_show();
    tables.seat("A-2").occupancy = SeatState::Available;
    let end = at("10:40:00");
    let skew = SignedDuration::try_from(options().clock_skew).unwrap();
    // Read again after a pause, it must still be too early.
    let early = SignedDuration::try_from(options().pause).unwrap() + SignedDuration::from_millis(1);
    assert!(!report(&tables.store(), end - skew - early).await.is_clean());
    assert!(report(&tables.store(), end - skew).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_ledger_is_not_looked_for_in_it() {
    let mut tables = Tables::of_a_show();
    tables.ledger.clear();
    let now = at(NOW) + SignedDuration::from_hours(24 * 91);
    assert!(report(&tables.store(), now).await.is_clean());
    let made_once = |report: inventory_worker::audit::AuditReport| {
        report.violations.iter().filter(|found| found.invariant == Invariant::MadeOnce).count()
    };
    let now = at(NOW) + SignedDuration::from_hours(24 * 80);
    assert_eq!(made_once(report(&tables.store(), now).await), 9);
}

#[tokio::test(start_paused = true)]
async fn beyond_a_number_violations_are_counted_and_not_listed() {
    let mut tables = Tables::of_a_show();
    for name in ["A-1", "A-2", "A-3", "A-7", "A-8"] {
        tables.seat(name).version = 0;
    }
    let options = AuditOptions { listed_max: 2, ..options() };
    let report = audit(&tables.store(), at(NOW), &options).await.unwrap();
    assert_eq!((report.violations.len(), report.violations_omitted), (2, 3));
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_report_names_no_user() {
    for Tampered { bend, .. } in everything() {
        let mut tables = Tables::of_a_show();
        bend(&mut tables);
        let report = report(&tables.store(), at(NOW)).await;
        let text = serde_json::to_string(&report).unwrap();
        for name in ["ann", "ben", "cid", "dee", "eve", "fay", "gil", "hal", "ida"] {
            let is_named = text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
            assert!(!is_named, "{text}");
        }
    }
}
