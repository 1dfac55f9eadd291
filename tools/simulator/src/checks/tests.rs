//! The checks can fail: hand-made histories that violate them.

mod changes;
mod gateways;
mod reservations;
mod restocks;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    model::Model,
    oracle::{self, Sent},
    tables,
};
use crate::{
    Options,
    history::{History, Sending},
    profile::Profile,
    topology::Place,
};
use inventory_worker::{
    adapters::memory::{MemoryStore, Tables, TokioClock},
    decide::Limits,
    domain::{
        Changes, Command, CommandKey, Goods, ItemState, LineKey, Outcome, PoolId, Rejection,
        RejectionCode, Reservation, ReservationStatus, RestockSummary, Seat, SeatDetails, SeatKey,
        SeatState, StockLevel, Timestamp,
    },
    message::{self, ResultMessage},
    ports::{
        Expected, LedgerKey, LedgerRecord, OutgoingMessage, Publication, Record, Transaction, Write,
    },
    worker::dead_letters,
};

const RESERVATION: &str = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_secs(second)
}

fn body(id: &str, kind: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"inventory.{kind}.v1","data":{{"event_id":1,{data}}}}}"#
    )
}

fn reserve_body(id: &str) -> String {
    let data = format!(
        r#""reservation_id":"{RESERVATION}","user_id":"ada","seats":["A"],"lines":[{{"sku":"x","quantity":2}}],"hold_seconds":10"#
    );
    body(id, "reserve", &data)
}

fn command(body: &str) -> Command {
    message::decode(body).unwrap().command
}

fn seat_key() -> SeatKey {
    SeatKey { event_id: 1, number: "A".parse().unwrap() }
}

fn line_key() -> LineKey {
    LineKey { pool: PoolId::Event(1), sku: "x".parse().unwrap() }
}

fn seat(occupancy: SeatState, version: u64, updated_at: Timestamp) -> Seat {
    let details = SeatDetails::default();
    Seat { details, occupancy, withheld: false, version, created_at: at(0), updated_at }
}

fn line(available: i64, reserved: i64, version: u64, updated_at: Timestamp) -> StockLevel {
    StockLevel { available, reserved, committed: 0, as_of: None, version, updated_at }
}

fn held() -> SeatState {
    let reservation_id = RESERVATION.parse().unwrap();
    SeatState::Reserved { reservation_id, by: "ada".parse().unwrap(), until: at(11) }
}

/// The reservation as made in second 1.
fn reservation() -> Reservation {
    Reservation {
        reservation_id: RESERVATION.parse().unwrap(),
        pool: PoolId::Event(1),
        source: "/t".parse().unwrap(),
        user_id: "ada".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A".parse().unwrap()],
        lines: vec![inventory_worker::domain::OrderLine { sku: "x".parse().unwrap(), quantity: 2 }],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: at(1),
        expires_at: at(11),
        ended_at: None,
    }
}

/// The ledger entry of an outcome that changed nothing.
fn outcome(command: &Command, outcome: Outcome, decided_at: Timestamp) -> Write {
    changed(command, outcome, Vec::new(), decided_at)
}

fn seat_state(seat: &Seat) -> ItemState {
    let reserved_until = match seat.occupancy {
        SeatState::Reserved { until, .. } => Some(until),
        _ => None,
    };
    let (version, status) = (seat.version, seat.occupancy.status());
    ItemState::Seat { seat_number: seat_key().number, version, status, reserved_until }
}

fn line_state(line: &StockLevel) -> ItemState {
    let StockLevel { available, reserved, committed, version, .. } = *line;
    let on_hand = available + reserved + committed;
    ItemState::Line { sku: line_key().sku, version, on_hand, available, reserved }
}

/// The ledger entry of an outcome, which lists what it changed.
fn changed(
    command: &Command,
    outcome: Outcome,
    changes: Vec<ItemState>,
    decided_at: Timestamp,
) -> Write {
    Write::Ledger {
        key: LedgerKey::Command(command.key.clone()),
        record: LedgerRecord::Outcome {
            digest: command.digest,
            command_type: command.action.command_type(),
            pool: command.pool.clone(),
            outcome,
            changes: Changes::Listed(changes),
            decided_at,
        },
    }
}

/// The seat and the line as the reserve leaves them.
fn taken() -> Vec<ItemState> {
    vec![seat_state(&seat(held(), 2, at(1))), line_state(&line(3, 2, 2, at(1)))]
}

/// A correct transaction: the reserve, decided and committed in second 1.
fn reserved(command: &Command) -> Transaction {
    Transaction {
        writes: vec![
            Write::Reservation { expected: Expected::Absent, reservation: reservation() },
            Write::Seat {
                key: seat_key(),
                expected: Expected::Version(1),
                seat: seat(held(), 2, at(1)),
            },
            Write::Line {
                key: line_key(),
                expected: Expected::Version(1),
                line: line(3, 2, 2, at(1)),
            },
            changed(command, Outcome::Reserved { reservation: reservation() }, taken(), at(1)),
        ],
        checks: Vec::new(),
    }
}

struct Judged {
    model: Model,
    sent: BTreeMap<CommandKey, Vec<Sent>>,
    before: oracle::Before,
}

impl Judged {
    fn new(occupancy: SeatState) -> Self {
        let mut model = Model::default();
        for record in records(occupancy) {
            model.set_up(&record, at(0));
        }
        Self { model, sent: BTreeMap::new(), before: BTreeMap::new() }
    }

    fn send(&mut self, body: &str) -> Command {
        let command = command(body);
        let deadlines = [command.deadline].into();
        let sent = Sent { command: Arc::new(command.clone()), at: at(0), deadlines };
        self.sent.entry(command.key.clone()).or_default().push(sent);
        command
    }

    /// Commits, and returns the check that fails.
    fn commit(&mut self, transaction: &Transaction, now: Timestamp) -> Option<&'static str> {
        let limits = Limits::default();
        oracle::transaction(&mut self.model, transaction, (&self.sent, &self.before), &limits, now)
            .err()
            .map(|violation| violation.check)
    }
}

fn records(occupancy: SeatState) -> Vec<Record> {
    vec![
        Record::Seat(seat_key(), seat(occupancy, 1, at(0))),
        Record::Line(line_key(), line(5, 0, 1, at(0))),
    ]
}

#[test]
fn a_right_reserve_is_right_and_a_seat_that_is_not_free_is_oversold() {
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
    let other = SeatState::Reserved {
        reservation_id: inventory_worker::domain::ReservationId(uuid::Uuid::nil()),
        by: "bob".parse().unwrap(),
        until: at(5),
    };
    for occupancy in [SeatState::Blocked, other] {
        let mut judged = Judged::new(occupancy);
        let reserve = judged.send(&reserve_body("1"));
        assert_eq!(judged.commit(&reserved(&reserve), at(1)), Some("oversold"));
    }
}

#[test]
fn what_is_written_must_be_what_the_outcome_says() {
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    let mut transaction = reserved(&reserve);
    transaction.writes.remove(3);
    assert_eq!(judged.commit(&transaction, at(1)), Some("effect"));
    let mut judged = Judged::new(SeatState::Available);
    judged.send(&reserve_body("1"));
    let mut transaction = reserved(&reserve);
    if let Some(Write::Line { line, .. }) = transaction.writes.get_mut(2) {
        line.available += 1;
    }
    assert_eq!(judged.commit(&transaction, at(1)), Some("effect"));
}

#[test]
fn an_outcome_is_decided_once_and_in_its_time() {
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
    let exists = Rejection::new(RejectionCode::ReservationExists, "");
    let again = outcome(&reserve, Outcome::Rejected { rejection: exists }, at(2));
    let again = Transaction { writes: vec![again], checks: Vec::new() };
    assert_eq!(judged.commit(&again, at(2)), Some("ledger"));
    let mut judged = Judged::new(SeatState::Available);
    judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&reserved(&reserve), at(-2)), Some("time"));
}

#[test]
fn a_rejection_must_have_been_true_since_the_command_was_sent() {
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    let rejection = Rejection {
        seats: vec!["A".parse().unwrap()],
        ..Rejection::new(RejectionCode::SeatsUnavailable, "")
    };
    let rejected = outcome(&reserve, Outcome::Rejected { rejection }, at(1));
    let rejected = Transaction { writes: vec![rejected], checks: Vec::new() };
    assert_eq!(judged.commit(&rejected, at(1)), Some("rejection"));
    let mut judged = Judged::new(SeatState::Blocked);
    judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&rejected, at(1)), None);
}

#[test]
fn a_rejection_must_see_what_was_done_before_it_in_its_group() {
    for (in_one_group, expected) in [(false, None), (true, Some("rejection"))] {
        let mut judged = Judged::new(SeatState::Blocked);
        let data = r#""seats":[{"seat_number":"A","status":"AVAILABLE"}]"#;
        let restock = judged.send(&body("1", "restock", data));
        let reserve = judged.send(&reserve_body("2"));
        if in_one_group {
            judged.before.insert(reserve.key.clone(), [restock.key.clone()].into());
        }
        let free = seat(SeatState::Available, 2, at(1));
        let summary = RestockSummary { seats_applied: 1, ..RestockSummary::default() };
        let changes = vec![seat_state(&free)];
        let outcome_of = Outcome::Restocked { restock: summary, reason: None, reference: None };
        let restocked = Transaction {
            writes: vec![
                Write::Seat { key: seat_key(), expected: Expected::Version(1), seat: free },
                changed(&restock, outcome_of, changes, at(1)),
            ],
            checks: Vec::new(),
        };
        assert_eq!(judged.commit(&restocked, at(1)), None);
        let rejection = Rejection {
            seats: vec!["A".parse().unwrap()],
            ..Rejection::new(RejectionCode::SeatsUnavailable, "")
        };
        let rejected = outcome(&reserve, Outcome::Rejected { rejection }, at(1));
        let rejected = Transaction { writes: vec![rejected], checks: Vec::new() };
        assert_eq!(judged.commit(&rejected, at(2)), expected);
    }
}

#[test]
fn nothing_is_confirmed_after_it_ran_out() {
    for (second, expected) in [(10, None), (11, Some("expiry"))] {
        let mut judged = Judged::new(SeatState::Available);
        let reserve = judged.send(&reserve_body("1"));
        assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
        let data = format!(r#""reservation_id":"{RESERVATION}","booking_id":"b""#);
        let confirm = judged.send(&body("2", "confirm", &data));
        let confirmed = Reservation {
            status: ReservationStatus::Confirmed,
            version: 2,
            booking_id: Some("b".parse().unwrap()),
            goods: Some(Goods::Leave),
            ..reservation()
        };
        let booked = SeatState::Booked {
            reservation_id: confirmed.reservation_id,
            by: "ada".parse().unwrap(),
            booking_id: "b".parse().unwrap(),
        };
        let now = at(second);
        let (booked, sold) = (seat(booked, 3, now), line(3, 0, 3, now));
        let changes = vec![seat_state(&booked), line_state(&sold)];
        let transaction = Transaction {
            writes: vec![
                Write::Reservation {
                    expected: Expected::Version(1),
                    reservation: confirmed.clone(),
                },
                Write::Seat { key: seat_key(), expected: Expected::Version(2), seat: booked },
                Write::Line { key: line_key(), expected: Expected::Version(2), line: sold },
                changed(&confirm, Outcome::Confirmed { reservation: confirmed }, changes, now),
            ],
            checks: Vec::new(),
        };
        assert_eq!(judged.commit(&transaction, now), expected, "second {second}");
    }
}

fn good_tables() -> Tables {
    let reservation = reservation();
    let id = reservation.reservation_id;
    let index = (inventory_worker::ports::store::expiry_shard(id), reservation.expires_at, id);
    Tables {
        seats: [(seat_key(), seat(held(), 2, at(1)))].into(),
        lines: [(line_key(), line(3, 2, 2, at(1)))].into(),
        reservations: [(id, reservation)].into(),
        expiry_index: [index].into(),
        ..Tables::default()
    }
}

fn check_of(tables: &Tables) -> Option<&'static str> {
    let command = command(&reserve_body("1"));
    let transaction = reserved(&command);
    tables::check_touched(tables, &transaction, at(1)).err().map(|violation| violation.check)
}

#[test]
fn tables_that_contradict_themselves_are_found() {
    assert_eq!(check_of(&good_tables()), None);
    let mut wrong = good_tables();
    wrong.lines.insert(line_key(), line(3, 1, 2, at(1)));
    assert_eq!(check_of(&wrong), Some("reserved"));
    let mut wrong = good_tables();
    wrong.reservations.values_mut().for_each(|it| it.status = ReservationStatus::Confirmed);
    assert_eq!(check_of(&wrong), Some("index"));
    wrong.expiry_index.clear();
    assert_eq!(check_of(&wrong), Some("owner"));
    let mut wrong = good_tables();
    wrong.seats.insert(seat_key(), seat(SeatState::Available, 2, at(1)));
    assert_eq!(check_of(&wrong), Some("owner"));
    let mut wrong = good_tables();
    wrong.reservations.clear();
    wrong.expiry_index.clear();
    assert_eq!(check_of(&wrong), Some("owner"));
}

#[test]
fn tables_must_be_what_the_outcomes_say() {
    let check = |tables: &Tables, model: &Model| {
        tables::check(tables, model).err().map(|violation| violation.check)
    };
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
    let mut good = good_tables();
    good.ledger = judged.model.ledger.clone();
    assert_eq!(check(&good, &judged.model), None);
    let mut wrong = good.clone();
    wrong.ledger.clear();
    assert_eq!(check(&wrong, &judged.model), Some("ledger"));
    let mut wrong = good.clone();
    wrong.lines.insert(line_key(), line(4, 2, 2, at(1)));
    assert_eq!(check(&wrong, &judged.model), Some("stock"));
    let mut model = judged.model.clone();
    model.move_goods(&line_key(), 1);
    assert_eq!(check(&good, &model), Some("conservation"));
}

/// A history of messages, without a worker.
struct Told {
    history: History,
    store: MemoryStore,
}

impl Told {
    fn new() -> Self {
        let mut history = History::new(&Profile::draw(1, &Options::default()));
        let records = records(SeatState::Available);
        history.set_up(&records, at(0));
        let store = MemoryStore::new(Arc::new(TokioClock::new(at(0))));
        store.insert(records);
        Self { history, store }
    }

    fn send(&mut self, sequence: u64, body: &str) {
        let message = OutgoingMessage {
            group: "g".parse().unwrap(),
            body: body.to_owned(),
            deduplication_id: None,
            attributes: BTreeMap::new(),
        };
        let id = format!("m{sequence}");
        assert!(self.history.sent(
            Place::Commands(0),
            &Sending { message: &message, id: &id, sequence, at: at(0) }
        ));
    }

    async fn commit(&mut self, transaction: &Transaction) {
        use inventory_worker::ports::CommitStore as _;
        let token = uuid::Uuid::from_u128(transaction.writes.len() as u128);
        self.store.commit(transaction, token).await.unwrap();
        self.history.committed(0, transaction, at(1), &self.store);
    }

    fn publish(&mut self, sequence: u64, command: &Command, outcome: &Outcome) {
        let publication = publication(sequence, command, outcome, &Changes::NONE);
        self.history.published(&publication, false);
    }

    fn failed(&self) -> Option<&'static str> {
        self.history.violation().map(|violation| violation.check)
    }
}

/// The result of a command decided in second 1.
fn publication(
    sequence: u64,
    command: &Command,
    outcome: &Outcome,
    changes: &Changes,
) -> Publication {
    message::encode_result(&ResultMessage {
        key: &command.key,
        command_type: command.action.command_type().as_str(),
        sequence: Some(&sequence.to_string()),
        group: &"g".parse().unwrap(),
        pool: Some(&command.pool),
        outcome,
        changes,
        decided_at: at(1),
        message_digest: command.digest,
        traceparent: None,
    })
}

fn not_found(id: &str) -> (String, Command, Outcome, Transaction) {
    let data = format!(r#""reservation_id":"{RESERVATION}""#);
    let body = body(id, "cancel", &data);
    let command = command(&body);
    let rejection = Rejection::new(RejectionCode::ReservationNotFound, "");
    let reported = Outcome::Rejected { rejection };
    let writes = vec![outcome(&command, reported.clone(), at(1))];
    (body, command, reported, Transaction { writes, checks: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn a_result_comes_after_its_commit_and_says_what_was_committed() {
    let (body, command, outcome, transaction) = not_found("1");
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.publish(1, &command, &outcome);
    assert_eq!(reported.failed(), Some("durable"));
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.commit(&transaction).await;
    reported.publish(1, &command, &outcome);
    assert_eq!(reported.failed(), None);
    let other = Rejection::new(RejectionCode::NotOwner, "");
    reported.publish(1, &command, &Outcome::Rejected { rejection: other });
    assert_eq!(reported.failed(), Some("result"));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_only_once_it_is_settled_and_none_is_left() {
    let (body, command, outcome, transaction) = not_found("1");
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.commit(&transaction).await;
    reported.history.deleted(0, 1);
    assert_eq!(reported.failed(), Some("delete"));
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.commit(&transaction).await;
    reported.publish(1, &command, &outcome);
    reported.history.finish(&reported.store);
    assert_eq!(reported.failed(), Some("lost"));
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.commit(&transaction).await;
    reported.publish(1, &command, &outcome);
    reported.history.deleted(0, 1);
    reported.history.finish(&reported.store);
    assert_eq!(reported.failed(), None);
}

#[tokio::test(start_paused = true)]
async fn results_of_a_group_come_in_its_order() {
    let (first, second) = (not_found("1"), not_found("2"));
    for (order, expected) in [([1, 2], None), ([2, 1], Some("order"))] {
        let mut reported = Told::new();
        reported.send(1, &first.0);
        reported.send(2, &second.0);
        reported.commit(&first.3).await;
        let both = Transaction { checks: Vec::new(), ..second.3.clone() };
        reported.history.committed(0, &both, at(1), &reported.store);
        let Write::Ledger { key, record } = &both.writes[0] else { panic!() };
        reported.store.insert([Record::Ledger(key.clone(), record.clone())]);
        for number in order {
            let (_, command, outcome, _) = if number == 1 { &first } else { &second };
            reported.publish(number, command, outcome);
        }
        reported.history.deleted(0, 1);
        reported.history.deleted(0, 2);
        reported.history.finish(&reported.store);
        assert_eq!(reported.failed(), expected, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_to_blame_goes_to_the_dead_letters() {
    let (body, ..) = not_found("1");
    for (id, expected) in [("poison-1", None), ("1", Some("dead-letters"))] {
        let body = body.replace(r#""id":"1""#, &format!(r#""id":"{id}""#));
        let mut reported = Told::new();
        reported.send(1, &body);
        let attributes =
            [(dead_letters::REASON, "POISON"), (dead_letters::ORIGINAL_MESSAGE_ID, "m1")];
        let copy = OutgoingMessage {
            group: "g".parse().unwrap(),
            body,
            deduplication_id: None,
            attributes: attributes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
        };
        reported.history.sent(
            Place::DeadLetters(0),
            &Sending { message: &copy, id: "d1", sequence: 1, at: at(1) },
        );
        assert_eq!(reported.failed(), expected, "{id}");
    }
}

#[test]
fn the_delay_of_a_release_stands_at_the_head_of_its_group() {
    let (first, second) = (not_found("1"), not_found("2"));
    for (delays, expected) in
        [([true, false], None), ([false, true], Some("release")), ([true, true], None)]
    {
        let mut reported = Told::new();
        reported.send(1, &first.0);
        reported.send(2, &second.0);
        reported.history.released(0, &[(1, delays[0]), (2, delays[1])]);
        assert_eq!(reported.failed(), expected, "{delays:?}");
    }
}

#[test]
fn what_the_queue_itself_takes_away_is_found_where_it_may_not() {
    let mut reported = Told::new();
    reported.send(1, &not_found("1").0);
    assert!(reported.history.redriven(["m1", "other"].into_iter()));
    assert_eq!(reported.failed(), Some("redriven"));
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_90_days_ago_is_free_again() {
    let (body, command, outcome, transaction) = not_found("1");
    let mut reported = Told::new();
    reported.send(1, &body);
    reported.commit(&transaction).await;
    reported.publish(1, &command, &outcome);
    reported.history.forget(at(91 * 86_400));
    reported.send(2, &body);
    reported.publish(2, &command, &outcome);
    assert_eq!(reported.failed(), Some("durable"), "the old outcome is no answer");
}
