//! The store on DynamoDB when the service or the wire fails, and the requests it sends.
//!
//! No emulator conflicts, throttles or leaves keys unprocessed, and dynoxide reads consistently
//! whether requested or not. So the real adapter runs over a wire that does all of it, and the
//! tests check the requests themselves.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{Builder, Credentials, Region},
    types::AttributeValue,
};
use inventory_worker::{
    adapters::{
        dynamodb::{
            ClientOptions, DynamoStore, TableNames, TableOptions, client::configure, ensure_tables,
        },
        system::Random,
    },
    domain::{
        Changes, CommandKey, CommandType, Digest, LineKey, Outcome, PoolId, Rejection,
        RejectionCode, Reservation, ReservationId, ReservationStatus, Seat, SeatDetails, SeatKey,
        SeatState, StockLevel, Timestamp,
    },
    ports::{
        Attempt, AttemptStore, Check, CommitError, CommitStore, Ended, Expected, ExpiryIndex,
        ExpiryQuery, LedgerKey, LedgerRecord, LoadRequest, PortError, ReadStore, ScanStore, Table,
        Transaction, Write,
    },
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::on_dynoxide::{Dynoxide, clock};

mod wire;

use wire::{Sent, Turn, Wire};

/// Attempts the client makes per call.
const ATTEMPTS: usize = 3;

fn options() -> ClientOptions {
    ClientOptions {
        max_attempts: u32::try_from(ATTEMPTS).unwrap(),
        // Tests over a real server run in real time.
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        ..ClientOptions::default()
    }
}

fn store_over(wire: &Wire, config: Builder) -> DynamoStore {
    let client = Client::from_conf(configure(config, &options()).http_client(wire.clone()).build());
    DynamoStore::new(client, TableNames::default(), Arc::new(Random::seeded(1)), Arc::new(clock()))
}

/// A store over a wire with nothing behind it: for tests on paused time.
fn alone(wire: &Wire) -> DynamoStore {
    let anyone = Credentials::new("test", "test", None, None, "test");
    let config = Builder::new()
        .endpoint_url("http://127.0.0.1:9")
        .region(Region::from_static("us-east-1"))
        .credentials_provider(anyone);
    store_over(wire, config)
}

/// A store over a wire with empty tables behind it.
async fn with_tables(dynoxide: &Dynoxide) -> (DynamoStore, Wire) {
    let wire = Wire::new([], Turn::Carry);
    let plain = dynoxide.server().client(&options());
    ensure_tables(&plain, &TableNames::default(), &TableOptions::minimal()).await.unwrap();
    (store_over(&wire, dynoxide.server().config()), wire)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-22T10:00:00.123Z")
}

fn event() -> PoolId {
    PoolId::Event(42)
}

fn seat_key(number: impl std::fmt::Display) -> SeatKey {
    SeatKey { event_id: 42, number: number.to_string().parse().unwrap() }
}

fn seat(version: u64) -> Seat {
    Seat {
        details: SeatDetails::default(),
        occupancy: SeatState::Available,
        withheld: false,
        version,
        created_at: now(),
        updated_at: now(),
    }
}

fn write_seat(number: &str, expected: Expected, version: u64) -> Write {
    Write::Seat { key: seat_key(number), expected, seat: seat(version) }
}

fn reservation(version: u64) -> Reservation {
    Reservation {
        reservation_id: ReservationId(Uuid::from_u128(7)),
        pool: event(),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version,
        seats: vec!["A-1".parse().unwrap()],
        lines: vec![],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: now(),
        expires_at: at("2026-11-22T10:10:01Z"),
        ended_at: None,
    }
}

fn line_key() -> LineKey {
    LineKey { pool: "store#s-1".parse().unwrap(), sku: "sku-1".parse().unwrap() }
}

fn command() -> CommandKey {
    CommandKey { source: "/test".parse().unwrap(), id: "c-1".parse().unwrap() }
}

fn outcome() -> LedgerRecord {
    let rejection = Rejection::new(RejectionCode::SeatNotFound, "there is no such seat");
    LedgerRecord::Outcome {
        digest: Digest([7; 32]),
        command_type: CommandType::Reserve,
        pool: event(),
        outcome: Outcome::Rejected { rejection },
        changes: Changes::NONE,
        decided_at: now(),
    }
}

/// A write of every kind, and a check.
fn one_of_each() -> Transaction {
    let line = StockLevel {
        available: 5,
        reserved: 0,
        committed: 0,
        as_of: None,
        version: 4,
        updated_at: now(),
    };
    let over = CommandKey { id: "c-2".parse().unwrap(), ..command() };
    Transaction {
        writes: vec![
            write_seat("A-1", Expected::Absent, 1),
            Write::Line { key: line_key(), expected: Expected::Version(3), line },
            Write::Reservation { expected: Expected::Version(1), reservation: reservation(2) },
            Write::Ledger { key: LedgerKey::Command(command()), record: outcome() },
            Write::LedgerOverIntent { key: over, begun_at: now(), record: outcome() },
        ],
        checks: vec![Check::Reservation {
            reservation_id: ReservationId(Uuid::from_u128(8)),
            expected: Expected::Version(6),
        }],
    }
}

fn two_seats() -> Transaction {
    let write = |number| write_seat(number, Expected::Absent, 1);
    Transaction { writes: vec![write("A-1"), write("A-2")], checks: vec![] }
}

fn one_seat() -> Transaction {
    Transaction { writes: vec![write_seat("A-1", Expected::Absent, 1)], checks: vec![] }
}

fn token(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn wanted_seats(count: usize) -> LoadRequest {
    LoadRequest { seats: (0..count).map(seat_key).collect(), ..LoadRequest::default() }
}

async fn put_seats(store: &DynamoStore, count: usize) {
    let writes: Vec<Write> =
        (0..count).map(|n| write_seat(&n.to_string(), Expected::Absent, 1)).collect();
    for (number, writes) in writes.chunks(100).enumerate() {
        let transaction = Transaction { writes: writes.to_vec(), checks: vec![] };
        store.commit(&transaction, token(1_000 + number as u128)).await.unwrap();
    }
}

fn tokens(sent: &[Sent]) -> Vec<String> {
    let token = |sent: &Sent| sent.body["ClientRequestToken"].as_str().unwrap().to_owned();
    sent.iter().map(token).collect()
}

// --- Requests to the service --------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn every_write_of_a_transaction_carries_its_condition() {
    let wire = Wire::new([], Turn::Answer(200, json!({})));
    alone(&wire).commit(&one_of_each(), token(5)).await.unwrap();

    let sent = wire.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].operation, "TransactWriteItems");
    assert_eq!(sent[0].body["ReturnConsumedCapacity"], "TOTAL");
    let conditions: Vec<Value> = sent[0].body["TransactItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.get("Put").or_else(|| item.get("ConditionCheck")).unwrap())
        .map(|item| {
            json!([
                item["TableName"],
                item["ConditionExpression"],
                item["ExpressionAttributeNames"],
                item["ExpressionAttributeValues"]
            ])
        })
        .collect();
    let digest = format!("1:{}", "07".repeat(32));
    let absent = "attribute_not_exists(#key)";
    let or_past = "attribute_not_exists(#key) OR #ttl <= :now";
    let now_second = json!({ ":now": { "N": "1795341600" } });
    let version = "#version = :version";
    let named = json!({ "#version": "version" });
    assert_eq!(
        conditions,
        [
            json!(["inventory-seats", absent, { "#key": "event_id" }, null]),
            json!(["inventory-stock", version, named, { ":version": { "N": "3" } }]),
            json!(["inventory-reservations", version, named, { ":version": { "N": "1" } }]),
            json!([
                "inventory-ledger",
                or_past,
                { "#key": "command", "#ttl": "ttl" },
                now_second
            ]),
            json!([
                "inventory-ledger",
                "#kind = :kind AND #digest = :digest AND #decided_at = :decided_at",
                { "#kind": "kind", "#digest": "digest", "#decided_at": "committed_at" },
                {
                    ":kind": { "S": "intent" },
                    ":digest": { "S": digest },
                    ":decided_at": { "S": now().to_string() }
                }
            ]),
            json!(["inventory-reservations", version, named, { ":version": { "N": "6" } }]),
        ]
    );
    let check = &sent[0].body["TransactItems"][5]["ConditionCheck"];
    assert_eq!(check["Key"], json!({ "reservation_id": { "S": token(8).to_string() } }));
}

#[tokio::test(start_paused = true)]
async fn one_write_alone_is_a_put_with_its_condition() {
    let wire = Wire::new([], Turn::Answer(200, json!({})));
    let store = alone(&wire);
    for write in one_of_each().writes {
        let transaction = Transaction { writes: vec![write], checks: vec![] };
        store.commit(&transaction, token(5)).await.unwrap();
        let sent = wire.take_sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].operation, "PutItem");
        assert!(sent[0].body["ConditionExpression"].is_string(), "{:?}", sent[0].body);
        assert_eq!(sent[0].body["ReturnConsumedCapacity"], "TOTAL");
    }
}

#[tokio::test(start_paused = true)]
async fn one_write_with_a_check_is_a_transaction() {
    let wire = Wire::new([], Turn::Answer(200, json!({})));
    let checks = one_of_each().checks;
    let transaction = Transaction { checks, ..one_seat() };
    alone(&wire).commit(&transaction, token(5)).await.unwrap();
    let sent = wire.take_sent();
    assert_eq!(sent[0].operation, "TransactWriteItems");
    assert_eq!(sent[0].body["TransactItems"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_write_asks_nothing() {
    let wire = Wire::new([], Turn::Silence);
    alone(&wire).commit(&Transaction::default(), token(5)).await.unwrap();
    alone(&wire).load(&LoadRequest::default()).await.unwrap();
    assert!(wire.take_sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_token_is_the_callers_through_repetitions_and_new_with_each_attempt() {
    let throttled = || Turn::error(400, "ThrottlingException");
    let wire = Wire::new([throttled(), throttled()], Turn::Answer(200, json!({})));
    let store = alone(&wire);
    store.commit(&two_seats(), token(5)).await.unwrap();
    store.commit(&two_seats(), token(6)).await.unwrap();
    let [first, second] = [token(5), token(6)].map(|token| token.to_string());
    assert_eq!(tokens(&wire.take_sent()), [first.clone(), first.clone(), first, second]);
}

#[tokio::test]
async fn every_read_but_the_index_is_strongly_consistent() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    put_seats(&store, 2).await;
    wire.take_sent();

    let wanted = LoadRequest {
        ledger: [LedgerKey::Command(command())].into(),
        reservations: [ReservationId(token(7))].into(),
        lines: [line_key()].into(),
        ..wanted_seats(2)
    };
    wire.next([Turn::HalfUnprocessed]);
    store.load(&wanted).await.unwrap();
    store.ping().await.unwrap();
    for table in Table::ALL {
        store.scan(table, None).await.unwrap();
    }
    store.seats(42, None, 10).await.unwrap();
    store.lines(&event(), None, 10).await.unwrap();

    let mut tables = BTreeSet::new();
    let sent = wire.take_sent();
    assert_eq!(sent.len(), 2 + 1 + 4 + 2);
    for Sent { operation, body } in sent {
        match operation.as_str() {
            "BatchGetItem" => {
                for (table, keys) in body["RequestItems"].as_object().unwrap() {
                    assert_eq!(keys["ConsistentRead"], true, "{table}: {keys}");
                    tables.insert(table.clone());
                }
            }
            "Query" | "Scan" => assert_eq!(body["ConsistentRead"], true, "{operation}: {body}"),
            other => panic!("{other} was not expected"),
        }
    }
    assert_eq!(tables.len(), Table::ALL.len());

    store.expired(&ExpiryQuery::new(3, Ended::by(now()), 10)).await.unwrap();
    // "Consistent reads are not supported on global secondary indexes."
    assert_ne!(wire.take_sent()[0].body["ConsistentRead"], true);
}

/// An emulator that is not told reads all that is left of a table for each page.
#[tokio::test]
async fn a_page_names_the_most_items_that_it_wants() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    for table in Table::ALL {
        store.scan(table, None).await.unwrap();
    }
    for limit in [usize::MAX, 8_001] {
        store.seats(42, None, limit).await.unwrap();
        store.lines(&event(), None, limit).await.unwrap();
    }
    for Sent { operation, body } in wire.take_sent() {
        assert_eq!(body["Limit"], 8_000, "{operation}: {body}");
    }
    store.seats(42, None, 10).await.unwrap();
    store.lines(&event(), None, 10).await.unwrap();
    for Sent { operation, body } in wire.take_sent() {
        assert_eq!(body["Limit"], 10, "{operation}: {body}");
    }
}

#[tokio::test]
async fn a_load_asks_for_every_key_once_and_for_at_most_100_a_call() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    let mut wanted = wanted_seats(230);
    wanted.lines = [line_key()].into();
    store.load(&wanted).await.unwrap();

    let mut asked = Vec::new();
    for Sent { body, .. } in wire.take_sent() {
        let tables = body["RequestItems"].as_object().unwrap();
        let keys = tables.values().flat_map(|table| table["Keys"].as_array().unwrap());
        let keys: Vec<String> = keys.map(ToString::to_string).collect();
        assert!(keys.len() <= 100, "{}", keys.len());
        asked.extend(keys);
    }
    assert_eq!(asked.len(), 231);
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>().len(), 231);
}

// --- Conflicts, throttling, refusals ------------------------------------------------------------

/// The error of a commit under each fault, for each kind of call, and the number of sends.
async fn commit_fails(turn: Turn, transaction: &Transaction) -> (CommitError, usize) {
    let wire = Wire::new([], turn);
    let error = alone(&wire).commit(transaction, token(5)).await.unwrap_err();
    (error, wire.take_sent().len())
}

#[tokio::test(start_paused = true)]
async fn a_transaction_conflict_is_a_conflict_and_left_to_the_caller() {
    for codes in [
        &["TransactionConflict", "None"][..],
        &["None", "ConditionalCheckFailed"],
        &["TransactionConflict", "ConditionalCheckFailed"],
    ] {
        let (error, calls) = commit_fails(Turn::cancelled(codes), &two_seats()).await;
        assert!(matches!(error, CommitError::Conflict(_)), "{codes:?}: {error:?}");
        assert_eq!(calls, 1, "{codes:?}");
    }
    for code in ["ConditionalCheckFailedException", "TransactionConflictException"] {
        let (error, calls) = commit_fails(Turn::error(400, code), &one_seat()).await;
        assert!(matches!(error, CommitError::Conflict(_)), "{code}: {error:?}");
        assert_eq!(calls, 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_still_in_progress_is_asked_for_again_and_then_a_conflict() {
    let turn = Turn::error(400, "TransactionInProgressException");
    let (error, calls) = commit_fails(turn, &two_seats()).await;
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
    assert_eq!(calls, ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_cancelled_for_want_of_throughput_is_throttled() {
    for code in ["ThrottlingError", "ProvisionedThroughputExceeded"] {
        let turn = Turn::cancelled(&["ConditionalCheckFailed", code]);
        let (error, _) = commit_fails(turn, &two_seats()).await;
        assert!(matches!(error, CommitError::Port(PortError::Throttled(_))), "{code}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_repeated_by_the_client_and_told_when_it_does_not_end() {
    for (code, transaction) in [
        ("ThrottlingException", two_seats()),
        ("ProvisionedThroughputExceededException", two_seats()),
        ("ProvisionedThroughputExceededException", one_seat()),
        ("RequestLimitExceeded", one_seat()),
    ] {
        let (error, calls) = commit_fails(Turn::error(400, code), &transaction).await;
        assert!(matches!(error, CommitError::Port(PortError::Throttled(_))), "{code}: {error:?}");
        assert_eq!(calls, ATTEMPTS, "{code}");

        let busy = (1..ATTEMPTS).map(|_| Turn::error(400, code));
        let wire = Wire::new(busy, Turn::Answer(200, json!({})));
        alone(&wire).commit(&transaction, token(5)).await.unwrap();
        assert_eq!(wire.take_sent().len(), ATTEMPTS, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_service_will_never_take_is_invalid_and_sent_once() {
    let invalid = |code| Turn::error(400, code);
    for (turn, transaction) in [
        (invalid("ValidationException"), two_seats()),
        (invalid("ValidationException"), one_seat()),
        (invalid("IdempotentParameterMismatchException"), two_seats()),
        (invalid("ItemCollectionSizeLimitExceededException"), one_seat()),
        (Turn::cancelled(&["ValidationError", "None"]), two_seats()),
        (Turn::cancelled(&["ItemCollectionSizeLimitExceeded", "TransactionConflict"]), two_seats()),
    ] {
        let (error, calls) = commit_fails(turn.clone(), &transaction).await;
        assert!(matches!(error, CommitError::Invalid(_)), "{turn:?}: {error:?}");
        assert_eq!(calls, 1, "{turn:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_a_transaction_holds_is_invalid_without_asking() {
    let write = |n: u32| write_seat(&n.to_string(), Expected::Absent, 1);
    let wire = Wire::new([], Turn::Answer(200, json!({})));
    let transaction = Transaction { writes: (0..100).map(write).collect(), ..one_of_each() };
    let error = alone(&wire).commit(&transaction, token(5)).await.unwrap_err();
    assert!(matches!(error, CommitError::Invalid(_)), "{error:?}");
    assert!(wire.take_sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn missing_rights_or_tables_are_refused_once_and_named() {
    for code in
        ["AccessDeniedException", "ResourceNotFoundException", "UnrecognizedClientException"]
    {
        for transaction in [one_seat(), two_seats()] {
            let (error, calls) = commit_fails(Turn::error(400, code), &transaction).await;
            let CommitError::Port(PortError::Refused(text)) = &error else {
                panic!("{code}: {error:?}")
            };
            assert!(text.contains(code), "{text}");
            assert!(text.contains("on inventory-seats: "), "{text}");
            assert_eq!(calls, 1, "{code}");
        }
        let wire = Wire::new([], Turn::error(400, code));
        let error = alone(&wire).load(&wanted_seats(1)).await.unwrap_err();
        assert!(matches!(error, PortError::Refused(_)), "{code}: {error:?}");
        let error = alone(&wire).ping().await.unwrap_err();
        assert!(matches!(error, PortError::Refused(_)), "{code}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_names_the_table_that_is_refused_and_the_endpoint() {
    let found = Turn::Answer(200, json!({ "Responses": {}, "UnprocessedKeys": {} }));
    let missing = || Turn::error(400, "ResourceNotFoundException");
    let wire = Wire::new([missing(), found.clone(), missing()], found);
    let store = alone(&wire).at(Some("http://127.0.0.1:9".to_owned()));
    let PortError::Refused(text) = store.ping().await.unwrap_err() else { panic!("refused") };
    assert!(text.contains("inventory-stock at http://127.0.0.1:9: "), "{text}");
    assert!(!text.contains("inventory-seats"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_check_of_writes_passes_by_its_condition_and_fails_where_writes_are_refused() {
    let failed = ["ConditionalCheckFailed"; 4];
    let check = async |turn| alone(&Wire::new([], turn)).check_writes().await;
    assert_eq!(check(Turn::cancelled(&failed)).await, Ok(()));
    assert_eq!(check(Turn::cancelled(&["TransactionConflict"; 4])).await, Ok(()));
    for turn in [
        Turn::error(400, "AccessDeniedException"),
        Turn::cancelled(&["ConditionalCheckFailed", "AccessDenied", "None", "None"]),
        Turn::error(400, "ValidationException"),
    ] {
        let answer = check(turn.clone()).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{turn:?}: {answer:?}");
    }
    let wire = Wire::new([], Turn::cancelled(&failed));
    alone(&wire).check_writes().await.unwrap();
    let sent = wire.take_sent();
    let puts = sent[0].body["TransactItems"].as_array().unwrap().clone();
    assert_eq!(puts.len(), Table::ALL.len());
    assert!(puts.iter().all(|put| put["Put"]["ConditionExpression"] == "attribute_exists(#key)"));
}

#[tokio::test(start_paused = true)]
async fn server_errors_and_silence_leave_it_open_what_happened() {
    for turn in [
        Turn::error(500, "InternalServerError"),
        Turn::error(503, "ServiceUnavailable"),
        Turn::Answer(502, json!("<html>bad gateway</html>")),
        Turn::Silence,
    ] {
        for transaction in [one_seat(), two_seats()] {
            let (error, calls) = commit_fails(turn.clone(), &transaction).await;
            let open = matches!(error, CommitError::Port(PortError::Unavailable(_)));
            assert!(open, "{turn:?}: {error:?}");
            assert_eq!(calls, ATTEMPTS, "{turn:?}");
        }
        let wire = Wire::new([], turn.clone());
        let error = alone(&wire).load(&wanted_seats(1)).await.unwrap_err();
        assert!(matches!(error, PortError::Unavailable(_)), "{turn:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_nobody_answers_ends_within_the_stated_time() {
    let wire = Wire::new([], Turn::Silence);
    let store = alone(&wire);
    let bound = options().operation_timeout();
    let error = tokio::time::timeout(bound, store.commit(&two_seats(), token(5))).await;
    assert!(error.expect("it ends in time").is_err());
}

// --- Lost answers -------------------------------------------------------------------------------

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_applied_once() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    wire.next([Turn::LoseAnswer]);
    store.commit(&two_seats(), token(5)).await.unwrap();
    assert_eq!(tokens(&wire.take_sent()), [token(5).to_string(), token(5).to_string()]);

    let wanted = LoadRequest { seats: [seat_key("A-1")].into(), ..LoadRequest::default() };
    assert_eq!(store.load(&wanted).await.unwrap().seats[&seat_key("A-1")], Some(seat(1)));
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_a_conflict_and_found_in_place() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    let key = LedgerKey::Command(command());
    let write = Write::Ledger { key: key.clone(), record: outcome() };
    wire.next([Turn::LoseAnswer]);
    let transaction = Transaction { writes: vec![write], checks: vec![] };
    let error = store.commit(&transaction, token(5)).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");

    let wanted = LoadRequest { ledger: [key.clone()].into(), ..LoadRequest::default() };
    assert_eq!(store.load(&wanted).await.unwrap().ledger[&key], Some(outcome()));
}

#[tokio::test]
async fn answers_lost_for_ever_leave_it_open_though_it_was_applied() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    wire.next(vec![Turn::LoseAnswer; ATTEMPTS]);
    let error = store.commit(&two_seats(), token(5)).await.unwrap_err();
    assert!(matches!(error, CommitError::Port(PortError::Unavailable(_))), "{error:?}");

    let wanted = LoadRequest { seats: [seat_key("A-2")].into(), ..LoadRequest::default() };
    assert_eq!(store.load(&wanted).await.unwrap().seats[&seat_key("A-2")], Some(seat(1)));
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_counts_once() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    let [first, second, third, fourth] =
        [0, 10, 20, 30].map(|later| now() + Duration::from_secs(later));
    let attempt = |count, before| Ok(Attempt { count, before });
    assert_eq!(store.record_attempt("m-1", first).await, attempt(1, first));
    wire.next([Turn::LoseAnswer]);
    assert_eq!(store.record_attempt("m-1", second).await, attempt(2, first));
    assert_eq!(store.record_attempt("m-1", third).await, attempt(3, second));
    wire.next([Turn::LoseAnswer]);
    assert_eq!(store.undo_attempt("m-1").await, Ok(()));
    assert_eq!(store.record_attempt("m-1", fourth).await, attempt(3, third));
}

/// A line to the server whose first connection breaks once the server has begun to answer.
async fn breaks_once(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut first = true;
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(server).await.unwrap();
            let breaks = std::mem::take(&mut first);
            tokio::spawn(async move {
                let (mut from_near, _to_near) = near.split();
                let (from_far, mut to_far) = far.split();
                if breaks {
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
                        _ = from_far.readable() => {}
                    }
                } else {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_broke_after_the_commit_is_repeated_and_applies_it_once() {
    let dynoxide = Dynoxide::start().await;
    let (plain, _) = with_tables(&dynoxide).await;
    let address = breaks_once(dynoxide.server().address()).await;
    let config = dynoxide.server().config().endpoint_url(format!("http://{address}"));
    let client = Client::from_conf(configure(config, &options()).build());
    let store = DynamoStore::new(
        client,
        TableNames::default(),
        Arc::new(Random::seeded(1)),
        Arc::new(clock()),
    );

    store.commit(&two_seats(), token(5)).await.unwrap();
    let wanted = LoadRequest { seats: [seat_key("A-2")].into(), ..LoadRequest::default() };
    assert_eq!(plain.load(&wanted).await.unwrap().seats[&seat_key("A-2")], Some(seat(1)));

    // The same over a put, which has no token.
    let address = breaks_once(dynoxide.server().address()).await;
    let config = dynoxide.server().config().endpoint_url(format!("http://{address}"));
    let client = Client::from_conf(configure(config, &options()).build());
    let store = DynamoStore::new(
        client,
        TableNames::default(),
        Arc::new(Random::seeded(1)),
        Arc::new(clock()),
    );
    let write = write_seat("B-1", Expected::Absent, 1);
    let put = Transaction { writes: vec![write], checks: vec![] };
    let error = store.commit(&put, token(6)).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
}

// --- Unprocessed keys ---------------------------------------------------------------------------

#[tokio::test]
async fn keys_left_unprocessed_are_asked_for_again_and_never_absent() {
    let dynoxide = Dynoxide::start().await;
    let (store, wire) = with_tables(&dynoxide).await;
    put_seats(&store, 50).await;
    wire.take_sent();
    wire.next([Turn::AllUnprocessed, Turn::HalfUnprocessed, Turn::HalfUnprocessed]);

    let loaded = store.load(&wanted_seats(60)).await.unwrap();
    for number in 0..60 {
        let there = loaded.seats[&seat_key(number)].is_some();
        assert_eq!(there, number < 50, "seat {number}");
    }
    let asked: Vec<usize> = wire
        .take_sent()
        .iter()
        .map(|sent| sent.body["RequestItems"]["inventory-seats"]["Keys"].as_array().unwrap().len())
        .collect();
    assert_eq!(asked, [60, 60, 30, 15]);
}

#[tokio::test(start_paused = true)]
async fn keys_left_unprocessed_for_ever_fail_the_load() {
    let wire = Wire::new([], Turn::AllUnprocessed);
    let store = alone(&wire).at(Some("http://127.0.0.1:9".to_owned()));
    let throttled = |error: PortError| match error {
        PortError::Throttled(text) => text,
        other => panic!("not throttled: {other:?}"),
    };
    let text = throttled(store.load(&wanted_seats(3)).await.unwrap_err());
    assert!(text.contains("BatchGetItem on inventory-seats at http://127.0.0.1:9: "), "{text}");
    let calls = wire.take_sent().len();
    assert!((2..=10).contains(&calls), "{calls} calls");
    let text = throttled(store.ping().await.unwrap_err());
    assert!(
        text.contains("inventory-ledger") && text.contains("at http://127.0.0.1:9: "),
        "{text}"
    );
}

// --- Pages shorter than requested ---------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_short_page_of_the_index_is_not_the_end_of_it() {
    let key = |number: u128| {
        json!({
            "reservation_id": { "S": token(number).to_string() },
            "expiry_shard": { "N": "3" },
            "expires_at": { "N": format!("{}", 1_795_342_200 + number) },
        })
    };
    let item = |number: u128| {
        let mut item = key(number);
        item["pool"] = json!({ "S": "event#42" });
        item
    };
    let wire = Wire::new(
        [
            Turn::Answer(200, json!({ "Items": [item(1)], "LastEvaluatedKey": key(1) })),
            Turn::Answer(200, json!({ "Items": [], "LastEvaluatedKey": key(2) })),
        ],
        Turn::Answer(200, json!({ "Items": [item(3)] })),
    );
    let holds =
        alone(&wire).expired(&ExpiryQuery::new(3, Ended::by(now()), 5)).await.unwrap().holds;
    let ids: Vec<Uuid> = holds.iter().map(|hold| hold.reservation_id.0).collect();
    assert_eq!(ids, [token(1), token(3)]);

    let sent = wire.take_sent();
    let asked: Vec<_> =
        sent.iter().map(|sent| (&sent.body["ExclusiveStartKey"], &sent.body["Limit"])).collect();
    let none = Value::Null;
    assert_eq!(asked, [(&none, &json!(5)), (&key(1), &json!(4)), (&key(2), &json!(4))]);
    assert_eq!(sent[0].body["IndexName"], "expiry-index");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_of_the_index_does_not_hide_the_others() {
    let item = |number: u128| {
        json!({
            "reservation_id": { "S": token(number).to_string() },
            "expiry_shard": { "N": "3" },
            "expires_at": { "N": "1795342200" },
            "pool": { "S": if number == 1 { "no pool" } else { "event#42" } },
        })
    };
    let answer = json!({ "Items": [item(1), item(2)] });
    let wire = Wire::new([], Turn::Answer(200, answer));
    let holds =
        alone(&wire).expired(&ExpiryQuery::new(3, Ended::by(now()), 5)).await.unwrap().holds;
    let ids: Vec<Uuid> = holds.iter().map(|hold| hold.reservation_id.0).collect();
    assert_eq!(ids, [token(2)]);
}

// --- Answers that cannot be trusted -------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_question_is_not_believed() {
    let item = json!({
        "event_id": { "N": "42" }, "seat_number": { "S": "elsewhere" },
        "status": { "S": "AVAILABLE" }, "version": { "N": "1" },
        "created_at": { "S": "2026-11-22T10:00:00Z" }, "updated_at": { "S": "2026-11-22T10:00:00Z" },
    });
    for answer in [
        json!({ "Responses": { "inventory-seats": [item] } }),
        json!({ "Responses": { "other-table": [] } }),
        json!({ "UnprocessedKeys": { "other-table": { "Keys": [{ "id": { "S": "x" } }] } } }),
    ] {
        let wire = Wire::new([], Turn::Answer(200, answer.clone()));
        let error = alone(&wire).load(&wanted_seats(1)).await.unwrap_err();
        assert!(matches!(error, PortError::Unavailable(_)), "{answer}: {error:?}");
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_an_error_that_names_it_and_never_absent() {
    let dynoxide = Dynoxide::start().await;
    let (store, _) = with_tables(&dynoxide).await;
    put_seats(&store, 2).await;
    let client = dynoxide.server().client(&options());
    client
        .update_item()
        .table_name("inventory-seats")
        .key("event_id", AttributeValue::N("42".to_owned()))
        .key("seat_number", AttributeValue::S("1".to_owned()))
        .update_expression("SET #status = :status")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":status", AttributeValue::S("SOLD".to_owned()))
        .send()
        .await
        .unwrap();
    let text = "table inventory-seats, item with event_id 42, seat_number \"1\": attribute \
                `status`: expected AVAILABLE, RESERVED, BOOKED or BLOCKED; correct the \
                item, or update the worker if a newer release wrote it";
    let expected = PortError::Unreadable(text.to_owned());
    assert_eq!(store.load(&wanted_seats(2)).await, Err(expected.clone()));
    assert_eq!(store.seats(42, None, 10).await, Err(expected));
    // A scan, for audits, names it beside the items that can be read.
    let page = store.scan(Table::Seats, None).await.unwrap();
    assert_eq!((page.records.len(), page.unreadable), (1, vec![text.to_owned()]));
}

#[tokio::test]
async fn an_outcome_of_a_newer_format_is_an_error_and_not_decided_again() {
    let dynoxide = Dynoxide::start().await;
    let (store, _) = with_tables(&dynoxide).await;
    let key = LedgerKey::Command(command());
    let write = Write::Ledger { key: key.clone(), record: outcome() };
    let transaction = Transaction { writes: vec![write], checks: vec![] };
    store.commit(&transaction, token(5)).await.unwrap();
    let client = dynoxide.server().client(&options());
    client
        .update_item()
        .table_name("inventory-ledger")
        .key("command", AttributeValue::S(command().joined()))
        .update_expression("SET #format = :format")
        .expression_attribute_names("#format", "format")
        .expression_attribute_values(":format", AttributeValue::N("2".to_owned()))
        .send()
        .await
        .unwrap();
    let wanted = LoadRequest { ledger: [key].into(), ..LoadRequest::default() };
    let error = store.load(&wanted).await.unwrap_err();
    assert!(matches!(error, PortError::Unreadable(_)), "{error:?}");
    assert!(error.to_string().contains("a newer release wrote the item"), "{error}");
}
