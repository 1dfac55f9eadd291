//! Items read back as they were written, and no attribute is lost silently.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        Changes, CommandKey, CommandType, Digest, Goods, ItemState, LineKey, OrderLine, Outcome,
        PoolId, RejectedLine, Rejection, RejectionCode, Reservation, ReservationId,
        ReservationStatus, RestockSummary, Seat, SeatDetails, SeatKey, SeatState, SeatStatus,
        StockLevel, ids::EVENT_ID_MAX,
    },
    ports::{LedgerKey, LedgerRecord, store::expiry_shard},
};

fn written(record: &Record) -> Item {
    match record {
        Record::Seat(key, seat) => seats::write(key, seat),
        Record::Line(key, line) => stock::write(key, line),
        Record::Reservation(reservation) => reservations::write(reservation),
        Record::Ledger(key, record) => ledger::write(key, record).unwrap(),
    }
}

fn table(record: &Record) -> Table {
    match record {
        Record::Seat(..) => Table::Seats,
        Record::Line(..) => Table::Stock,
        Record::Reservation(_) => Table::Reservations,
        Record::Ledger(..) => Table::Ledger,
    }
}

fn read_back(record: &Record, item: &Item) -> Result<Option<Record>, PortError> {
    read(&TableNames::default(), table(record), item)
}

/// Any text the domain accepts, including one character of every kind.
fn text<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
{
    "[a-zA-Z0-9#/ \"\\\\é席🎫.-]{1,16}|\\PC{1,20}"
        .prop_filter_map("the domain refuses it", |text| text.parse().ok())
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let ends = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
    ends.prop_map(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap())
}

fn any_reservation_id() -> impl Strategy<Value = ReservationId> {
    any::<u128>().prop_map(|bits| ReservationId(Uuid::from_u128(bits)))
}

fn any_pool() -> impl Strategy<Value = PoolId> {
    prop_oneof![
        (0..=EVENT_ID_MAX).prop_map(PoolId::Event),
        "[A-Za-z0-9._:-]{1,120}".prop_map(|id| PoolId::Store(id.parse().unwrap())),
    ]
}

fn any_occupancy() -> impl Strategy<Value = SeatState> {
    let holder = || (any_reservation_id(), text());
    prop_oneof![
        Just(SeatState::Available),
        Just(SeatState::Blocked),
        (holder(), any_time()).prop_map(|((reservation_id, by), until)| SeatState::Reserved {
            reservation_id,
            by,
            until
        }),
        (holder(), text()).prop_map(|((reservation_id, by), booking_id)| SeatState::Booked {
            reservation_id,
            by,
            booking_id
        }),
    ]
}

fn any_details() -> impl Strategy<Value = SeatDetails> {
    let price = "(0|[1-9][0-9]{0,17})(\\.[0-9]{1,9})?".prop_map(|text| text.parse().unwrap());
    (option::of(text()), option::of(text()), option::of(text()), option::of(price)).prop_map(
        |(section, row_number, seat_type, price)| SeatDetails {
            section,
            row_number,
            seat_type,
            price,
        },
    )
}

fn any_seat() -> impl Strategy<Value = Record> {
    let key = (0..=EVENT_ID_MAX, text());
    let state = (any_occupancy(), any::<bool>());
    (key, any_details(), state, any::<u64>(), any_time(), any_time()).prop_map(
        |((event_id, number), details, (occupancy, withheld), version, created_at, updated_at)| {
            let seat = Seat { details, occupancy, withheld, version, created_at, updated_at };
            Record::Seat(SeatKey { event_id, number }, seat)
        },
    )
}

fn any_line() -> impl Strategy<Value = Record> {
    let quantity = || -(1i64 << 53)..1 << 53;
    let quantities = (quantity(), quantity(), quantity());
    (any_pool(), text(), quantities, option::of(any_time()), any::<u64>(), any_time()).prop_map(
        |(pool, sku, (available, reserved, committed), as_of, version, updated_at)| {
            let line = StockLevel { available, reserved, committed, as_of, version, updated_at };
            Record::Line(LineKey { pool, sku }, line)
        },
    )
}

fn any_request() -> impl Strategy<Value = OrderLine> {
    (text(), any::<u64>()).prop_map(|(sku, quantity)| OrderLine { sku, quantity })
}

fn any_status() -> impl Strategy<Value = ReservationStatus> {
    prop_oneof![
        Just(ReservationStatus::Active),
        Just(ReservationStatus::Confirmed),
        Just(ReservationStatus::Cancelled),
        Just(ReservationStatus::Expired),
    ]
}

fn any_reservation() -> impl Strategy<Value = Reservation> {
    let what = (vec(text(), 0..5), vec(any_request(), 0..5));
    let whose = (any_reservation_id(), any_pool(), text(), text());
    let goods = option::of(prop::sample::select(&[Goods::Leave, Goods::Stay]));
    let sale = (option::of(text()), goods, option::of(any_time()));
    let when = (any_time(), any_time(), option::of(any_time()));
    (whose, what, (any_status(), any::<u64>()), sale, when).prop_map(
        |(whose, (seats, lines), (status, version), sale, (created_at, expires_at, ended_at))| {
            let (reservation_id, pool, source, user_id) = whose;
            let (booking_id, goods, fulfilled_at) = sale;
            Reservation {
                reservation_id,
                pool,
                source,
                user_id,
                status,
                version,
                seats,
                lines,
                booking_id,
                goods,
                fulfilled_at,
                created_at,
                expires_at,
                ended_at,
            }
        },
    )
}

fn any_summary() -> impl Strategy<Value = RestockSummary> {
    (any::<[u32; 4]>(), vec(".{0,8}", 0..4)).prop_map(|(counts, skipped)| {
        let [seats_applied, lines_applied, seats_skipped, lines_skipped] = counts.map(u64::from);
        RestockSummary { seats_applied, lines_applied, seats_skipped, lines_skipped, skipped }
    })
}

fn any_rejection() -> impl Strategy<Value = Rejection> {
    let line = prop_oneof![
        (text(), any::<i64>(), any::<i64>()).prop_map(|(sku, requested, available)| {
            RejectedLine::Quantity { sku, requested, available }
        }),
        (text(), any::<u64>(), any::<u64>())
            .prop_map(|(sku, expected, actual)| RejectedLine::Version { sku, expected, actual }),
    ];
    let code = prop::sample::select(&RejectionCode::ALL);
    (code, ".{0,20}", vec(text(), 0..4), vec(line, 0..4))
        .prop_map(|(code, message, seats, lines)| Rejection { code, message, seats, lines })
}

/// Boxed, as are the largest others: the strategies' types would fill a test's stack.
fn any_outcome() -> BoxedStrategy<Outcome> {
    let reservation = || any_reservation().boxed();
    prop_oneof![
        reservation().prop_map(|reservation| Outcome::Reserved { reservation }),
        reservation().prop_map(|reservation| Outcome::Extended { reservation }),
        reservation().prop_map(|reservation| Outcome::Modified { reservation }),
        reservation().prop_map(|reservation| Outcome::Confirmed { reservation }),
        reservation().prop_map(|reservation| Outcome::Fulfilled { reservation }),
        (reservation(), option::of(text()))
            .prop_map(|(reservation, reason)| Outcome::Cancelled { reservation, reason }),
        reservation().prop_map(|reservation| Outcome::Expired { reservation }),
        (any_summary(), option::of(text()), option::of("[a-z]{1,8}:[a-z0-9/]{1,20}")).prop_map(
            |(restock, reason, reference)| {
                let reference = reference.map(|uri| uri.parse().unwrap());
                Outcome::Restocked { restock, reason, reference }
            }
        ),
        any_rejection().prop_map(|rejection| Outcome::Rejected { rejection }),
    ]
    .boxed()
}

fn any_changes() -> impl Strategy<Value = Changes> {
    let status = prop::sample::select(vec![
        SeatStatus::Available,
        SeatStatus::Reserved,
        SeatStatus::Booked,
        SeatStatus::Blocked,
    ]);
    let seat = (text(), any::<u64>(), status, option::of(any_time())).prop_map(
        |(seat_number, version, status, reserved_until)| ItemState::Seat {
            seat_number,
            version,
            status,
            reserved_until,
        },
    );
    let line = (text(), any::<u64>(), any::<[i64; 3]>()).prop_map(|(sku, version, quantities)| {
        let [on_hand, available, reserved] = quantities;
        ItemState::Line { sku, version, on_hand, available, reserved }
    });
    prop_oneof![
        Just(Changes::Omitted),
        vec(prop_oneof![seat, line], 0..5).prop_map(Changes::Listed),
    ]
}

fn any_ledger_record() -> impl Strategy<Value = LedgerRecord> {
    let digest = || any::<[u8; 32]>().prop_map(Digest);
    let kind = prop::sample::select(&CommandType::ALL);
    prop_oneof![
        (digest(), kind, any_pool(), any_outcome(), any_changes(), any_time()).prop_map(
            |(digest, command_type, pool, outcome, changes, decided_at)| LedgerRecord::Outcome {
                digest,
                command_type,
                pool,
                outcome,
                changes,
                decided_at
            }
        ),
        (digest(), vec(any::<u32>(), 0..120), any_time()).prop_map(
            |(digest, chunk_ends, decided_at)| LedgerRecord::Intent {
                digest,
                chunk_ends,
                decided_at
            }
        ),
        (digest(), any_time(), any_summary(), any_time()).prop_map(
            |(digest, begun_at, summary, decided_at)| LedgerRecord::Chunk {
                digest,
                begun_at,
                summary,
                decided_at
            }
        ),
    ]
}

fn any_ledger_entry() -> impl Strategy<Value = Record> {
    (text(), text(), option::of(any::<u32>()), any_ledger_record()).prop_map(
        |(source, id, chunk, record)| {
            let command = CommandKey { source, id };
            let key = match chunk {
                Some(number) => LedgerKey::Chunk(command, number),
                None => LedgerKey::Command(command),
            };
            Record::Ledger(key, record)
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        any_seat().boxed(),
        any_line().boxed(),
        any_reservation().prop_map(Record::Reservation).boxed(),
        any_ledger_entry().boxed(),
    ]
}

/// Attributes written only for DynamoDB's own use: the index and the time to live.
const NEVER_READ: [&str; 2] = [TTL, reservations::EXPIRY_SHARD];

proptest! {
    #[test]
    fn every_item_reads_back_as_it_was_written(record in any_record()) {
        prop_assert_eq!(read_back(&record, &written(&record)), Ok(Some(record)));
    }

    #[test]
    fn an_item_that_lost_an_attribute_never_reads_as_before(record in any_record()) {
        let whole = written(&record);
        for attribute in whole.keys().filter(|name| !NEVER_READ.contains(&name.as_str())) {
            let mut item = whole.clone();
            item.remove(attribute);
            let without = read_back(&record, &item);
            prop_assert_ne!(without, Ok(Some(record.clone())), "without {}", attribute);

            item.insert(attribute.clone(), AttributeValue::Null(true));
            let error = read_back(&record, &item).unwrap_err().to_string();
            let named = format!("attribute `{attribute}`");
            prop_assert!(error.contains(&named), "{}: {}", attribute, error);
        }
    }

    #[test]
    fn only_an_active_reservation_is_in_the_expiry_index(reservation in any_reservation()) {
        let item = reservations::write(&reservation);
        let active = reservation.status == ReservationStatus::Active;
        let shard = n(expiry_shard(reservation.reservation_id));
        prop_assert_eq!(item.get(reservations::EXPIRY_SHARD), active.then_some(&shard));
        let hold = reservations::read_expired(&item).unwrap();
        prop_assert_eq!(hold.reservation_id, reservation.reservation_id);
        prop_assert_eq!(hold.pool, reservation.pool);
        prop_assert_eq!(hold.expires_at, reservation.expires_at);
    }
}

fn reservation(status: ReservationStatus, ended_at: Option<&str>) -> Reservation {
    Reservation {
        reservation_id: ReservationId(Uuid::from_u128(7)),
        pool: PoolId::Event(42),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status,
        version: 3,
        seats: vec!["A-1".parse().unwrap(), "A-2".parse().unwrap()],
        lines: vec![OrderLine { sku: "ga".parse().unwrap(), quantity: 2 }],
        booking_id: Some("b-1".parse().unwrap()),
        goods: Some(Goods::Stay),
        fulfilled_at: Some("2026-11-22T10:04:00Z".parse().unwrap()),
        created_at: "2026-11-22T10:00:00.123456789Z".parse().unwrap(),
        expires_at: "2026-11-22T10:10:01Z".parse().unwrap(),
        ended_at: ended_at.map(|at| at.parse().unwrap()),
    }
}

#[test]
fn an_ended_reservation_is_kept_90_days_and_a_sale_for_good() {
    let ended = "2026-11-22T10:05:00.9Z";
    // 2027-02-20T10:05:00Z
    let after_90_days = AttributeValue::N("1803117900".to_owned());
    for (status, expected) in [
        (ReservationStatus::Active, None),
        (ReservationStatus::Confirmed, None),
        (ReservationStatus::Cancelled, Some(&after_90_days)),
        (ReservationStatus::Expired, Some(&after_90_days)),
    ] {
        let item = reservations::write(&reservation(status, Some(ended)));
        assert_eq!(item.get(TTL), expected, "{status:?}");
    }
    let item = reservations::write(&reservation(ReservationStatus::Cancelled, None));
    assert_eq!(item.get(TTL), None);
}

#[test]
fn a_time_to_live_past_the_end_of_time_stays_there() {
    assert_eq!(ttl(Timestamp::MAX), n(Timestamp::MAX.as_second()));
}

/// The names and types of attributes, which other programs may rely on.
fn shape(item: &Item) -> String {
    let kind = |value: &AttributeValue| match value {
        AttributeValue::S(text) => format!("S {text}"),
        AttributeValue::N(number) => format!("N {number}"),
        AttributeValue::Bool(flag) => format!("BOOL {flag}"),
        AttributeValue::L(list) => format!("L of {}", list.len()),
        _ => "?".to_owned(),
    };
    let sorted: BTreeMap<_, _> = item.iter().map(|(name, value)| (name, kind(value))).collect();
    sorted.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

#[test]
fn a_reservation_has_these_attributes() {
    let active = reservation(ReservationStatus::Active, None);
    insta::assert_snapshot!(shape(&reservations::write(&active)), @r#"
    booking_id: S b-1
    created_at: S 2026-11-22T10:00:00.123456789Z
    expires_at: N 1795342201
    expiry_shard: N 7
    fulfilled_at: S 2026-11-22T10:04:00Z
    goods: S stay
    lines: L of 1
    pool: S event#42
    reservation_id: S 00000000-0000-0000-0000-000000000007
    seats: L of 2
    source: S /services/booking
    status: S ACTIVE
    user_id: S u-7
    version: N 3
    "#);
}

#[test]
fn a_seat_has_these_attributes() {
    let seat = Seat {
        details: SeatDetails {
            section: Some("A".parse().unwrap()),
            row_number: Some("1".parse().unwrap()),
            seat_type: Some("standard".parse().unwrap()),
            price: Some("49.50".parse().unwrap()),
        },
        occupancy: SeatState::Reserved {
            reservation_id: ReservationId(Uuid::from_u128(7)),
            by: "u-7".parse().unwrap(),
            until: "2026-11-22T10:10:01Z".parse().unwrap(),
        },
        withheld: true,
        version: 2,
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        updated_at: "2026-11-22T10:00:00.123Z".parse().unwrap(),
    };
    let key = SeatKey { event_id: 42, number: "A-1".parse().unwrap() };
    insta::assert_snapshot!(shape(&seats::write(&key, &seat)), @r#"
    created_at: S 2026-11-22T10:00:00Z
    event_id: N 42
    price: S 49.50
    reservation_id: S 00000000-0000-0000-0000-000000000007
    reserved_by: S u-7
    reserved_until: S 2026-11-22T10:10:01Z
    row_number: S 1
    seat_number: S A-1
    seat_type: S standard
    section: S A
    status: S RESERVED
    updated_at: S 2026-11-22T10:00:00.123Z
    version: N 2
    withheld: BOOL true
    "#);
}

#[test]
fn a_line_has_these_attributes() {
    let line = StockLevel {
        available: -3,
        reserved: 5,
        committed: 2,
        as_of: Some("2026-11-22T09:00:00Z".parse().unwrap()),
        version: 4,
        updated_at: "2026-11-22T10:00:00.123Z".parse().unwrap(),
    };
    let key = LineKey { pool: "store#s-1".parse().unwrap(), sku: "sku-1".parse().unwrap() };
    insta::assert_snapshot!(shape(&stock::write(&key, &line)), @r#"
    as_of: S 2026-11-22T09:00:00Z
    available: N -3
    committed: N 2
    on_hand: N 4
    pool: S store#s-1
    reserved: N 5
    sku: S sku-1
    updated_at: S 2026-11-22T10:00:00.123Z
    version: N 4
    "#);
}

#[test]
fn a_ledger_entry_has_these_attributes() {
    let command = CommandKey { source: "/s".parse().unwrap(), id: "1".parse().unwrap() };
    let decided_at = "2026-11-22T10:00:00.123Z".parse().unwrap();
    let digest = Digest([7; 32]);
    let outcome = LedgerRecord::Outcome {
        digest,
        command_type: CommandType::Restock,
        pool: PoolId::Event(42),
        outcome: Outcome::Restocked {
            restock: RestockSummary::default(),
            reason: None,
            reference: None,
        },
        changes: Changes::Listed(vec![ItemState::Seat {
            seat_number: "A-1".parse().unwrap(),
            version: 1,
            status: SeatStatus::Available,
            reserved_until: None,
        }]),
        decided_at,
    };
    let intent = LedgerRecord::Intent { digest, chunk_ends: vec![99, 198], decided_at };
    let begun_at = "2026-11-22T09:59:58Z".parse().unwrap();
    let summary = RestockSummary::default();
    let chunk = LedgerRecord::Chunk { digest, begun_at, summary, decided_at };
    let shape_of = |key: LedgerKey, record: &LedgerRecord| {
        shape(&ledger::write(&key, record).unwrap()).replace('\u{1f}', "<US>")
    };
    insta::assert_snapshot!(shape_of(LedgerKey::Command(command.clone()), &outcome), @r#"
    changes: S [{"seat_number":"A-1","version":1,"status":"AVAILABLE"}]
    command: S /s<US>1
    command_type: S inventory.restock.v1
    committed_at: S 2026-11-22T10:00:00.123Z
    digest: S 1:0707070707070707070707070707070707070707070707070707070707070707
    format: N 1
    kind: S outcome
    outcome: S {"kind":"restocked","restock":{"seats_applied":0,"lines_applied":0,"seats_skipped":0,"lines_skipped":0,"skipped":[]}}
    pool: S event#42
    ttl: N 1803117600
    "#);
    insta::assert_snapshot!(shape_of(LedgerKey::Command(command.clone()), &intent), @r#"
    chunk_ends: L of 2
    command: S /s<US>1
    committed_at: S 2026-11-22T10:00:00.123Z
    digest: S 1:0707070707070707070707070707070707070707070707070707070707070707
    format: N 1
    kind: S intent
    ttl: N 1803117600
    "#);
    insta::assert_snapshot!(shape_of(LedgerKey::Chunk(command, 12), &chunk), @r#"
    begun_at: S 2026-11-22T09:59:58Z
    command: S /s<US>1<US>chunk-00012
    committed_at: S 2026-11-22T10:00:00.123Z
    digest: S 1:0707070707070707070707070707070707070707070707070707070707070707
    format: N 1
    kind: S chunk
    summary: S {"seats_applied":0,"lines_applied":0,"seats_skipped":0,"lines_skipped":0,"skipped":[]}
    ttl: N 1803117600
    "#);
}
