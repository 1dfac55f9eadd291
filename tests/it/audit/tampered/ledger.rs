//! Ledgers that no command could have left.

use inventory_worker::audit::Invariant::{
    ChunkBelongs, CommittedIsSum, ConfirmedReservationOwns, EndedOnce, LedgerEntryWellFormed,
    MadeOnce, OutcomeAgrees, OutcomeNamesReservation, RestockIsSum, SeatAgrees,
};

use super::*;

pub fn of_the_census() -> Vec<Tampered> {
    vec![
        tampered("a reservation that no command made", &[(MadeOnce, &reservation(3))], |t| {
            let made = |of: &LedgerRecord| {
                matches!(of, LedgerRecord::Outcome {
                outcome: Outcome::Reserved { reservation }, .. }
                if reservation.reservation_id == reservation_id(3))
            };
            t.ledger.retain(|_, record| !made(record));
        }),
        tampered("a reservation that two commands made", &[(MadeOnce, &reservation(1))], |t| {
            let made = t.outcome(|of| is_of(of, 1)).clone();
            t.enter_new("again", CommandType::Reserve, made);
        }),
        tampered("a reservation that no command ended", &[(EndedOnce, &reservation(3))], |t| {
            t.ledger.retain(|_, record| {
                !matches!(record, LedgerRecord::Outcome {
                outcome: Outcome::Cancelled { reservation, .. }, .. }
                if reservation.reservation_id == reservation_id(3))
            });
        }),
        tampered(
            "a late confirm of what had not expired",
            &[(EndedOnce, &reservation(10)), (EndedOnce, &reservation(8))],
            |tables| {
                let is_expiry = |record: &LedgerRecord| {
                    matches!(record, LedgerRecord::Outcome {
                        outcome: Outcome::Expired { reservation }, .. }
                        if [8, 10].map(reservation_id).contains(&reservation.reservation_id))
                };
                tables.ledger.retain(|_, record| !is_expiry(record));
            },
        ),
        tampered("a reservation that two commands ended", &[(EndedOnce, &reservation(4))], |t| {
            let ended = t.outcome(|of| matches!(of, Outcome::Expired { .. })).clone();
            t.enter_new("again", CommandType::Expire, ended);
        }),
    ]
}

pub fn of_outcomes() -> Vec<Tampered> {
    vec![
        tampered(
            "a reservation that vanished",
            &[
                (OutcomeNamesReservation, &command("command-3")),
                (OutcomeNamesReservation, &command("command-6")),
            ],
            |tables| drop(tables.items.reservations.remove(&reservation_id(3))),
        ),
        tampered(
            "a cancelled reservation sold since",
            &[(OutcomeAgrees, &command("command-6")), (ConfirmedReservationOwns, &reservation(3))],
            |tables| {
                let reservation = tables.reservation(3);
                reservation.status = ReservationStatus::Confirmed;
                reservation.booking_id = Some(booking("b"));
                reservation.goods = Some(Goods::Leave);
            },
        ),
        tampered(
            "an expired reservation cancelled since",
            &[(OutcomeAgrees, &command("command-12"))],
            |tables| tables.reservation(4).status = ReservationStatus::Cancelled,
        ),
        tampered(
            "another user's since it was made",
            &[(OutcomeAgrees, &command("command-3")), (OutcomeAgrees, &command("command-6"))],
            |tables| tables.reservation(3).user_id = user("ben"),
        ),
        tampered(
            "another booking since it was sold",
            &[(OutcomeAgrees, &command("command-5")), (SeatAgrees, &seat("A-3"))],
            |tables| tables.reservation(2).booking_id = Some(booking("b-other")),
        ),
        tampered(
            "an outcome of another kind",
            &[(LedgerEntryWellFormed, &command("odd"))],
            |tables| {
                let made = tables.outcome(|of| matches!(of, Outcome::Confirmed { .. })).clone();
                tables.enter_new("odd", CommandType::Restock, made);
            },
        ),
        tampered("an answer kept for ever", &[(LedgerEntryWellFormed, &command("odd"))], |t| {
            let rejection = Rejection::new(RejectionCode::NotYetExpired, "too early");
            t.enter_new("odd", CommandType::Expire, Outcome::Rejected { rejection });
        }),
        tampered(
            "an outcome of another pool",
            &[(LedgerEntryWellFormed, &command("command-5"))],
            |tables| {
                let record = tables.ledger.get_mut(&LedgerKey::Command(key("command-5"))).unwrap();
                let LedgerRecord::Outcome { pool, .. } = record else { panic!("{record:?}") };
                *pool = event(43);
            },
        ),
    ]
}

pub fn of_changes() -> Vec<Tampered> {
    vec![
        tampered(
            "changes of what was rejected",
            &[(LedgerEntryWellFormed, &command("odd"))],
            |tables| {
                let rejection = Rejection::new(RejectionCode::SkuNotFound, "unknown");
                let outcome = Outcome::Rejected { rejection };
                tables.enter_new("odd", CommandType::Reserve, outcome);
                *tables.changes("odd") = tables.changes("command-2").clone();
            },
        ),
        tampered(
            "changes of what is another's",
            &[(LedgerEntryWellFormed, &command("command-2"))],
            |tables| *tables.changes("command-2") = tables.changes("command-3").clone(),
        ),
        tampered(
            "changes of a sale left out",
            &[(LedgerEntryWellFormed, &command("command-5"))],
            |tables| *tables.changes("command-5") = Changes::Omitted,
        ),
        tampered(
            "a sale whose goods left since without a fulfil",
            &[(OutcomeAgrees, &command("command-18")), (CommittedIsSum, &line("z"))],
            |tables| tables.reservation(7).goods = Some(Goods::Leave),
        ),
        tampered(
            "a hold that was shortened",
            &[
                (OutcomeAgrees, &command("command-16")),
                (OutcomeAgrees, &command("command-17")),
                (OutcomeAgrees, &command("command-18")),
            ],
            |tables| tables.reservation(7).expires_at = at("10:35:00"),
        ),
    ]
}

pub fn of_restocks() -> Vec<Tampered> {
    vec![
        tampered("chunks that do not end", &[(LedgerEntryWellFormed, &command("odd"))], |tables| {
            let intent = LedgerRecord::Intent {
                digest: Digest([2; 32]),
                chunk_ends: vec![98, 98],
                decided_at: at("10:20:00"),
            };
            tables.ledger.insert(LedgerKey::Command(key("odd")), intent);
        }),
        tampered(
            "an outcome where a marker belongs",
            &[(LedgerEntryWellFormed, "chunk 7 of /tests done")],
            |tables| {
                let outcome = tables.ledger[&LedgerKey::Command(key("done"))].clone();
                tables.ledger.insert(LedgerKey::Chunk(key("done"), 7), outcome);
            },
        ),
        tampered("a chunk of nothing", &[(ChunkBelongs, "chunk 2 of /tests begun")], |tables| {
            tables.ledger.remove(&LedgerKey::Command(key("begun")));
        }),
        tampered("a chunk of other content", &[(ChunkBelongs, "chunk 2 of /tests begun")], |t| {
            let record = t.ledger.get_mut(&LedgerKey::Chunk(key("begun"), 2)).unwrap();
            let LedgerRecord::Chunk { digest, .. } = record else { panic!("{record:?}") };
            *digest = Digest([3; 32]);
        }),
        tampered("a chunk of another time", &[(ChunkBelongs, "chunk 2 of /tests begun")], |t| {
            let record = t.ledger.get_mut(&LedgerKey::Chunk(key("begun"), 2)).unwrap();
            let LedgerRecord::Chunk { begun_at, .. } = record else { panic!("{record:?}") };
            *begun_at = at("10:19:59");
        }),
        tampered("a chunk too many", &[(ChunkBelongs, "chunk 3 of /tests begun")], |tables| {
            let chunk = tables.ledger[&LedgerKey::Chunk(key("begun"), 2)].clone();
            tables.ledger.insert(LedgerKey::Chunk(key("begun"), 3), chunk);
        }),
        tampered(
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
        tampered("a chunk that is not counted", &[(RestockIsSum, &command("done"))], |tables| {
            let chunk = tables.ledger[&LedgerKey::Chunk(key("done"), 1)].clone();
            tables.ledger.insert(LedgerKey::Chunk(key("done"), 2), chunk);
        }),
    ]
}

fn is_of(outcome: &Outcome, id: u32) -> bool {
    matches!(outcome, Outcome::Reserved { reservation }
        if reservation.reservation_id == reservation_id(id))
}
