//! Every kind of violation, planted alone, is found by its name.

use std::collections::BTreeSet;

use inventory_worker::{
    audit::{AuditOptions, Invariant, audit},
    domain::{
        CommandType, Digest, Occupancy, Outcome, Rejection, RejectionCode, ReservationStatus,
    },
    ports::{LedgerKey, LedgerRecord},
};
use jiff::SignedDuration;

use super::{
    options, report,
    tables::{EVENT, NOW, Tables, key, line_key, seat_key},
};
use crate::world::{at, booking, event, numbers, quantities, reservation_id, store, user};

/// What is bent, and exactly what the audit is to say of it: invariant and subject.
struct Planted {
    what: &'static str,
    bend: fn(&mut Tables),
    found: Vec<(Invariant, String)>,
}

fn planted(what: &'static str, found: &[(Invariant, &str)], bend: fn(&mut Tables)) -> Planted {
    let found = found.iter().map(|(invariant, subject)| (*invariant, (*subject).to_owned()));
    Planted { what, bend, found: found.collect() }
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

fn held(id: u32, by: &str, until: &str) -> Occupancy {
    Occupancy::Reserved { reservation_id: reservation_id(id), by: user(by), until: at(until) }
}

fn booked(id: u32, by: &str, with: &str) -> Occupancy {
    Occupancy::Booked {
        reservation_id: reservation_id(id),
        by: user(by),
        booking_id: booking(with),
    }
}

fn of_seats() -> Vec<Planted> {
    use Invariant::*;
    vec![
        planted("a seat without a version", &[(SeatVersion, &seat("A-7"))], |tables| {
            tables.seat("A-7").version = 0;
        }),
        planted("a seat held since it was made", &[(SeatVersion, &seat("A-1"))], |tables| {
            tables.seat("A-1").version = 1;
        }),
        planted("a seat held by what never was", &[(ReservedSeatIsHeld, &seat("A-7"))], |tables| {
            tables.seat("A-7").occupancy = held(9, "ann", "10:40:00");
            tables.seat("A-7").version = 2;
        }),
        planted("a seat left to a cancelled hold", &[(ReservedSeatIsHeld, &seat("A-4"))], |t| {
            t.seat("A-4").occupancy = held(3, "cid", "10:10:00");
        }),
        planted("a seat left to an expired hold", &[(ReservedSeatIsHeld, &seat("A-4"))], |t| {
            t.seat("A-4").occupancy = held(4, "dee", "10:16:00");
        }),
        planted(
            "a seat left reserved by a confirm",
            &[(ReservedSeatIsHeld, &seat("A-3")), (ConfirmedReservationOwns, &reservation(2))],
            |tables| tables.seat("A-3").occupancy = held(2, "ben", "10:10:00"),
        ),
        planted("a seat booked by what never was", &[(BookedSeatIsSold, &seat("A-7"))], |t| {
            t.seat("A-7").occupancy = booked(9, "ann", "b");
            t.seat("A-7").version = 2;
        }),
        planted("a seat still booked after a refund", &[(BookedSeatIsSold, &seat("A-5"))], |t| {
            t.seat("A-5").occupancy = booked(6, "fay", "b-6");
        }),
        planted(
            "a seat booked before its confirm",
            &[
                (BookedSeatIsSold, &seat("A-1")),
                (SeatAgrees, &seat("A-1")),
                (ActiveReservationHolds, &reservation(1)),
            ],
            |tables| tables.seat("A-1").occupancy = booked(1, "ann", "b-1"),
        ),
        planted("a seat held and not named", &[(SeatIsNamed, &seat("A-7"))], |tables| {
            tables.seat("A-7").occupancy = held(1, "ann", "10:40:00");
            tables.seat("A-7").version = 2;
        }),
        planted("a seat held from another event", &[(SeatIsNamed, "seat A-1 of event#43")], |t| {
            let mut key = seat_key("A-1");
            key.event_id = 43;
            let seat = t.seat("A-1").clone();
            t.items.seats.insert(key, seat);
        }),
        planted("a seat held for another user", &[(SeatAgrees, &seat("A-1"))], |tables| {
            tables.seat("A-1").occupancy = held(1, "ben", "10:40:00");
        }),
        planted("a seat held for longer", &[(SeatAgrees, &seat("A-1"))], |tables| {
            tables.seat("A-1").occupancy = held(1, "ann", "10:40:01");
        }),
        planted("a seat sold to another user", &[(SeatAgrees, &seat("A-3"))], |tables| {
            tables.seat("A-3").occupancy = booked(2, "ann", "b-2");
        }),
        planted("a seat of another booking", &[(SeatAgrees, &seat("A-3"))], |tables| {
            tables.seat("A-3").occupancy = booked(2, "ben", "b-other");
        }),
    ]
}

fn of_reservations() -> Vec<Planted> {
    use Invariant::*;
    vec![
        planted(
            "a seat put on sale while it is held",
            &[(ActiveReservationHolds, &reservation(1))],
            |tables| tables.seat("A-2").occupancy = Occupancy::Available,
        ),
        planted(
            "a seat taken over before its hold ran out",
            &[(ActiveReservationHolds, &reservation(1)), (SeatIsNamed, &seat("A-2"))],
            |tables| tables.seat("A-2").occupancy = held(5, "eve", "10:10:00"),
        ),
        planted(
            "a seat that vanished while it was held",
            &[(ActiveReservationHolds, &reservation(1))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-2"))),
        ),
        planted(
            "a seat that vanished after its hold ran out",
            &[(ActiveReservationHolds, &reservation(5))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-5"))),
        ),
        planted(
            "a sold seat put on sale",
            &[(ConfirmedReservationOwns, &reservation(2))],
            |tables| tables.seat("A-3").occupancy = Occupancy::Available,
        ),
        planted(
            "a sold seat that vanished",
            &[(ConfirmedReservationOwns, &reservation(2))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-3"))),
        ),
        planted(
            "a confirmation undone by half",
            &[
                (BookedSeatIsSold, &seat("A-3")),
                (SeatAgrees, &seat("A-3")),
                (ReservedIsSum, &line("x")),
                (OutcomeAgrees, &command("command-5")),
            ],
            |tables| {
                let reservation = tables.reservation(2);
                reservation.status = ReservationStatus::Active;
                reservation.version = 1;
                reservation.booking_id = None;
            },
        ),
        planted("a version too many", &[(ReservationWellFormed, &reservation(1))], |tables| {
            tables.reservation(1).version = 2
        }),
        planted(
            "an ACTIVE reservation that ended",
            &[
                (ReservationWellFormed, &reservation(1)),
                (EndedOnce, &reservation(1)),
                (OutcomeAgrees, &command("command-14")),
            ],
            |tables| tables.reservation(1).ended_at = Some(at("10:29:00")),
        ),
        planted(
            "a hold that ends within a second",
            &[
                (ReservationWellFormed, &reservation(5)),
                (SeatAgrees, &seat("A-6")),
                (OutcomeAgrees, &command("command-4")),
            ],
            |tables| {
                let expires_at = at("10:10:00.500");
                tables.reservation(5).expires_at = expires_at;
            },
        ),
        planted(
            "a reservation of nothing",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).seats.clear(),
        ),
        planted(
            "a seat named twice",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).seats = numbers(&["A-4", "A-4"]),
        ),
        planted(
            "a quantity of none",
            &[
                (ReservationWellFormed, &reservation(4)),
                (OutcomeAgrees, &command("command-8")),
                (OutcomeAgrees, &command("command-12")),
            ],
            |tables| tables.reservation(4).lines = quantities(&[("y", 0)]),
        ),
        planted(
            "a store's seats",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).pool = store("s"),
        ),
    ]
}

fn of_lines() -> Vec<Planted> {
    use Invariant::*;
    vec![
        planted(
            "less than nothing reserved",
            &[(LineWithinBounds, &line("z")), (ReservedIsSum, &line("z"))],
            |tables| tables.line("z").reserved = -1,
        ),
        planted("more on hand than can be", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").available = 8_999_999_999_999_999;
        }),
        planted("a line without a version", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").version = 0;
        }),
        planted("stock still reserved", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.line("x").reserved = 3;
        }),
        planted("stock given back twice", &[(ReservedIsSum, &line("y"))], |tables| {
            tables.line("y").reserved = 0;
        }),
        planted("a line that vanished", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.items.lines.remove(&line_key("x"));
        }),
    ]
}

fn of_the_ledger() -> Vec<Planted> {
    use Invariant::*;
    vec![
        planted("a reservation that no command made", &[(MadeOnce, &reservation(3))], |t| {
            let made = |of: &LedgerRecord| {
                matches!(of, LedgerRecord::Outcome {
                outcome: Outcome::Reserved { reservation }, .. }
                if reservation.reservation_id == reservation_id(3))
            };
            t.ledger.retain(|_, record| !made(record));
        }),
        planted("a reservation that two commands made", &[(MadeOnce, &reservation(1))], |t| {
            let made = t.outcome(|of| is_of(of, 1)).clone();
            t.enter_new("again", CommandType::Reserve, made);
        }),
        planted("a reservation that no command ended", &[(EndedOnce, &reservation(3))], |t| {
            t.ledger.retain(|_, record| {
                !matches!(record, LedgerRecord::Outcome {
                outcome: Outcome::Cancelled { reservation, .. }, .. }
                if reservation.reservation_id == reservation_id(3))
            });
        }),
        planted("a reservation that two commands ended", &[(EndedOnce, &reservation(4))], |t| {
            let ended = t.outcome(|of| matches!(of, Outcome::Expired { .. })).clone();
            t.enter_new("again", CommandType::Expire, ended);
        }),
        planted(
            "a reservation that vanished",
            &[
                (OutcomeNamesReservation, &command("command-3")),
                (OutcomeNamesReservation, &command("command-6")),
            ],
            |tables| drop(tables.items.reservations.remove(&reservation_id(3))),
        ),
        planted(
            "a cancelled reservation sold since",
            &[(OutcomeAgrees, &command("command-6")), (ConfirmedReservationOwns, &reservation(3))],
            |tables| {
                let reservation = tables.reservation(3);
                reservation.status = ReservationStatus::Confirmed;
                reservation.booking_id = Some(booking("b"));
                reservation.ended_at = None;
            },
        ),
        planted(
            "an expired reservation cancelled since",
            &[(OutcomeAgrees, &command("command-12"))],
            |tables| tables.reservation(4).status = ReservationStatus::Cancelled,
        ),
        planted(
            "another user's since it was made",
            &[(OutcomeAgrees, &command("command-3")), (OutcomeAgrees, &command("command-6"))],
            |tables| tables.reservation(3).user_id = user("ben"),
        ),
        planted(
            "another booking since it was sold",
            &[(OutcomeAgrees, &command("command-5")), (SeatAgrees, &seat("A-3"))],
            |tables| tables.reservation(2).booking_id = Some(booking("b-other")),
        ),
        planted(
            "an outcome of another kind",
            &[(LedgerEntryWellFormed, &command("odd"))],
            |tables| {
                let made = tables.outcome(|of| matches!(of, Outcome::Confirmed { .. })).clone();
                tables.enter_new("odd", CommandType::Restock, made);
            },
        ),
        planted("an answer kept for ever", &[(LedgerEntryWellFormed, &command("odd"))], |t| {
            let rejection = Rejection::new(RejectionCode::NotYetExpired, "too early");
            t.enter_new("odd", CommandType::Expire, Outcome::Rejected { rejection });
        }),
        planted(
            "an outcome of another pool",
            &[(LedgerEntryWellFormed, &command("command-5"))],
            |tables| {
                let record = tables.ledger.get_mut(&LedgerKey::Command(key("command-5"))).unwrap();
                let LedgerRecord::Outcome { pool, .. } = record else { panic!("{record:?}") };
                *pool = event(43);
            },
        ),
        planted("chunks that do not end", &[(LedgerEntryWellFormed, &command("odd"))], |tables| {
            let intent = LedgerRecord::Intent {
                digest: Digest([2; 32]),
                chunk_ends: vec![98, 98],
                decided_at: at("10:20:00"),
            };
            tables.ledger.insert(LedgerKey::Command(key("odd")), intent);
        }),
        planted(
            "an outcome where a marker belongs",
            &[(LedgerEntryWellFormed, "chunk 7 of /tests done")],
            |tables| {
                let outcome = tables.ledger[&LedgerKey::Command(key("done"))].clone();
                tables.ledger.insert(LedgerKey::Chunk(key("done"), 7), outcome);
            },
        ),
        planted("a chunk of nothing", &[(ChunkBelongs, "chunk 2 of /tests begun")], |tables| {
            tables.ledger.remove(&LedgerKey::Command(key("begun")));
        }),
        planted("a chunk of other content", &[(ChunkBelongs, "chunk 2 of /tests begun")], |t| {
            let record = t.ledger.get_mut(&LedgerKey::Chunk(key("begun"), 2)).unwrap();
            let LedgerRecord::Chunk { digest, .. } = record else { panic!("{record:?}") };
            *digest = Digest([3; 32]);
        }),
        planted("a chunk too many", &[(ChunkBelongs, "chunk 3 of /tests begun")], |tables| {
            let chunk = tables.ledger[&LedgerKey::Chunk(key("begun"), 2)].clone();
            tables.ledger.insert(LedgerKey::Chunk(key("begun"), 3), chunk);
        }),
        planted(
            "a chunk of what was rejected",
            &[(ChunkBelongs, "chunk 2 of /tests begun")],
            |tables| {
                let rejection = Rejection::new(RejectionCode::LimitExceeded, "too much");
                tables.enter_new("begun", CommandType::Restock, Outcome::Rejected { rejection });
                let record = tables.ledger.get_mut(&LedgerKey::Command(key("begun"))).unwrap();
                let LedgerRecord::Outcome { digest, .. } = record else { panic!("{record:?}") };
                *digest = Digest([2; 32]);
            },
        ),
        planted("a chunk that is not counted", &[(RestockIsSum, &command("done"))], |tables| {
            let chunk = tables.ledger[&LedgerKey::Chunk(key("done"), 1)].clone();
            tables.ledger.insert(LedgerKey::Chunk(key("done"), 2), chunk);
        }),
    ]
}

fn is_of(outcome: &Outcome, id: u32) -> bool {
    matches!(outcome, Outcome::Reserved { reservation }
        if reservation.reservation_id == reservation_id(id))
}

#[tokio::test(start_paused = true)]
async fn each_violation_is_found_by_its_name_and_nothing_else_is() {
    let all = [of_seats(), of_reservations(), of_lines(), of_the_ledger()].concat_all();
    let (mut met, mut wrong) = (BTreeSet::new(), Vec::new());
    for Planted { what, bend, mut found } in all {
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
    assert_eq!(met, Invariant::ALL.into_iter().collect(), "every invariant is planted");
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Planted>;
}

impl<const N: usize> ConcatAll for [Vec<Planted>; N] {
    fn concat_all(self) -> Vec<Planted> {
        self.into_iter().flatten().collect()
    }
}

/// By a clock that is ahead, a hold may have run out so much sooner.
#[tokio::test(start_paused = true)]
async fn a_seat_may_have_been_taken_over_once_its_hold_may_have_run_out() {
    let mut tables = Tables::of_a_show();
    tables.seat("A-2").occupancy = Occupancy::Available;
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
    assert_eq!(made_once(report(&tables.store(), now).await), 6);
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
    for Planted { bend, .. } in
        [of_seats(), of_reservations(), of_lines(), of_the_ledger()].concat_all()
    {
        let mut tables = Tables::of_a_show();
        bend(&mut tables);
        let report = report(&tables.store(), at(NOW)).await;
        let text = serde_json::to_string(&report).unwrap();
        for name in ["ann", "ben", "cid", "dee", "eve", "fay"] {
            let is_named = text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
            assert!(!is_named, "{text}");
        }
    }
}
