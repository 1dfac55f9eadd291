//! Every record reads back as it was written.

use std::sync::Arc;

use inventory_worker::{
    domain::{
        Changes, CommandType, Digest, Goods, ItemState, ON_HAND_MAX, Outcome, PoolId, RejectedLine,
        Rejection, RejectionCode, Reservation, ReservationStatus, RestockSummary, Seat,
        SeatDetails, SeatKey, SeatState, SeatStatus, StockLevel,
    },
    ports::{Expected, LedgerKey, LedgerRecord, LoadRequest, Store, Write},
};

use super::{StoreHarness, samples::*};

/// Texts that encodings and key schemes are known to break: the longest, a composed and a
/// decomposed letter, right to left, outside the basic plane, separators, quotes, blanks at the
/// ends.
pub const UNUSUAL: [&str; 14] = [
    "ä",
    "a\u{308}",
    "עב",
    "🎟🎫",
    "A#1",
    "A/1",
    "A:1",
    "A|1,2",
    "\"'`\\",
    " A ",
    "A",
    "a",
    "\u{feff}A",
    "𝒳xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

async fn seat_reads_back(store: &Arc<dyn Store>, number: &str, seat: Seat) {
    let key = seat_key(number);
    let write = Write::Seat { key: key.clone(), expected: Expected::Absent, seat: seat.clone() };
    must_commit(store, vec![write]).await;
    assert_eq!(load_seat(store, &key).await, Some(seat));
}

pub async fn every_field_of_a_seat_reads_back(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let by = || "üser 🎟".parse().unwrap();
    let occupancies = [
        SeatState::Available,
        SeatState::Blocked,
        SeatState::Reserved {
            reservation_id: reservation_id(7),
            by: by(),
            until: at("2026-11-22T10:10:00Z"),
        },
        SeatState::Booked {
            reservation_id: reservation_id(7),
            by: by(),
            booking_id: "b-\"1\"".parse().unwrap(),
        },
    ];
    for (number, occupancy) in occupancies.into_iter().enumerate() {
        for withheld in [false, true] {
            let seat = Seat { occupancy: occupancy.clone(), withheld, ..seat(3) };
            seat_reads_back(&store, &format!("O-{number}-{withheld}"), seat).await;
        }
    }
    let prices = ["49.50", "49.5", "0", "0.000000001", "100", "999999999999999999.999999999"];
    for price in prices {
        let details = SeatDetails { price: Some(price.parse().unwrap()), ..SeatDetails::default() };
        seat_reads_back(&store, &format!("P-{price}"), Seat { details, ..seat(1) }).await;
        let loaded = load_seat(&store, &seat_key(&format!("P-{price}"))).await.unwrap();
        assert_eq!(loaded.details.price.unwrap().to_string(), price);
    }
    let details = SeatDetails {
        section: Some("Parkett ä".parse().unwrap()),
        row_number: Some("007".parse().unwrap()),
        seat_type: Some("VIP\u{202e}".parse().unwrap()),
        price: Some("1".parse().unwrap()),
    };
    seat_reads_back(&store, "D", Seat { details, ..seat(u64::from(u32::MAX)) }).await;
    let times = Seat {
        created_at: at("1970-01-01T00:00:00.001Z"),
        updated_at: at("9999-12-30T21:59:59.999Z"),
        ..seat(1)
    };
    seat_reads_back(&store, "T", times).await;
}

pub async fn every_field_of_a_line_reads_back(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let lines = [
        StockLevel { available: 0, reserved: 0, ..line(1) },
        StockLevel { available: -1_000_000_000, reserved: 1_000_000_000, ..line(2) },
        StockLevel { available: ON_HAND_MAX, reserved: 0, ..line(3) },
        StockLevel { available: -3, reserved: 5, committed: 1_000_000_000, ..line(7) },
        // A command's times are kept to the nanosecond; the worker's clock is truncated.
        StockLevel { as_of: Some(at("2026-11-22T10:00:00.123456789Z")), ..line(4) },
        StockLevel { as_of: Some(at("2026-11-22T12:00:00+02:00")), ..line(5) },
        StockLevel { as_of: Some(at("1969-12-31T23:59:59.5Z")), ..line(6) },
    ];
    for (number, line) in lines.into_iter().enumerate() {
        let key = line_key("store#a:b.c_d-e", &format!("sku-{number}"));
        let write =
            Write::Line { key: key.clone(), expected: Expected::Absent, line: line.clone() };
        must_commit(&store, vec![write]).await;
        assert_eq!(load_line(&store, &key).await, Some(line));
    }
}

pub async fn every_field_of_a_reservation_reads_back(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let ended_at = Some(at("2026-11-22T10:09:59.999Z"));
    let booking_id = Some("booking ä".parse().unwrap());
    let reservations = [
        reservation(1, 1),
        Reservation { lines: Vec::new(), ..reservation(2, 1) },
        Reservation {
            seats: Vec::new(),
            pool: "store#store-1".parse().unwrap(),
            user_id: "ü 🎟".parse().unwrap(),
            ..reservation(3, 2)
        },
        Reservation {
            status: ReservationStatus::Confirmed,
            booking_id: booking_id.clone(),
            ..reservation(4, 2)
        },
        Reservation { status: ReservationStatus::Cancelled, ended_at, ..reservation(5, 2) },
        Reservation {
            status: ReservationStatus::Cancelled,
            ended_at,
            booking_id,
            ..reservation(6, 3)
        },
        Reservation { status: ReservationStatus::Expired, ended_at, ..reservation(7, 2) },
        Reservation {
            seats: UNUSUAL.iter().map(|text| text.parse().unwrap()).collect(),
            pool: PoolId::Event(9_007_199_254_740_991),
            ..reservation(8, 1)
        },
        Reservation {
            source: "urn:ä\"🎟".parse().unwrap(),
            status: ReservationStatus::Confirmed,
            goods: Some(Goods::Leave),
            // Confirmed after its expiry.
            ended_at,
            ..reservation(9, 3)
        },
        Reservation {
            status: ReservationStatus::Confirmed,
            goods: Some(Goods::Stay),
            fulfilled_at: Some(at("2026-11-22T12:00:00.123Z")),
            ..reservation(10, 3)
        },
    ];
    for (number, reservation) in (1..).zip(reservations) {
        must_commit(&store, vec![write_reservation(Expected::Absent, reservation.clone())]).await;
        assert_eq!(load_reservation(&store, number).await, Some(reservation));
    }
}

fn restocked(restock: RestockSummary) -> Outcome {
    Outcome::Restocked { restock, reason: None, reference: None }
}

/// One outcome of every kind, and a rejection of every code.
fn outcomes() -> Vec<Outcome> {
    let ended = |status| Reservation {
        status,
        ended_at: Some(at("2026-11-22T10:00:00.123Z")),
        ..reservation(1, 2)
    };
    let confirmed = Reservation {
        status: ReservationStatus::Confirmed,
        booking_id: Some("b".parse().unwrap()),
        ..reservation(1, 2)
    };
    let restock = RestockSummary {
        seats_applied: 10_000,
        lines_applied: 0,
        seats_skipped: 1,
        lines_skipped: 2,
        skipped: UNUSUAL.iter().map(|&text| text.to_owned()).collect(),
    };
    let cancelled = ended(ReservationStatus::Cancelled);
    let mut outcomes = vec![
        Outcome::Reserved { reservation: reservation(1, 1) },
        Outcome::Extended { reservation: reservation(1, 2) },
        Outcome::Modified { reservation: reservation(1, 2) },
        Outcome::Confirmed { reservation: confirmed.clone() },
        Outcome::Fulfilled {
            reservation: Reservation {
                goods: Some(Goods::Stay),
                fulfilled_at: Some(at("2026-11-22T12:00:00.123Z")),
                ..confirmed
            },
        },
        Outcome::Cancelled { reservation: cancelled.clone(), reason: None },
        Outcome::Cancelled { reservation: cancelled, reason: Some("\"ä\"".parse().unwrap()) },
        Outcome::Expired { reservation: ended(ReservationStatus::Expired) },
        restocked(restock),
        restocked(RestockSummary::default()),
        Outcome::Restocked {
            restock: RestockSummary::default(),
            reason: Some("\"ä\"".parse().unwrap()),
            reference: Some("https://erp.example/counts/7?a=b#c".parse().unwrap()),
        },
    ];
    for code in RejectionCode::ALL {
        let shortfall = RejectedLine::quantity(&"sku".parse().unwrap(), 1_000_000_000, -5);
        let rejection = Rejection {
            seats: UNUSUAL.iter().map(|text| text.parse().unwrap()).collect(),
            lines: vec![
                shortfall,
                RejectedLine::Version { sku: "sku".parse().unwrap(), expected: 0, actual: 7 },
            ],
            ..Rejection::new(code, "no ä, and no \"x\"")
        };
        outcomes.push(Outcome::Rejected { rejection });
    }
    outcomes
}

/// None, omitted ones, and one of every status and a line.
fn changes() -> [Changes; 3] {
    let seat = |(number, status): (&str, SeatStatus)| ItemState::Seat {
        seat_number: number.parse().unwrap(),
        version: 3,
        status,
        reserved_until: (status == SeatStatus::Reserved).then(|| at("2026-11-22T10:10:00Z")),
    };
    let statuses =
        [SeatStatus::Available, SeatStatus::Reserved, SeatStatus::Booked, SeatStatus::Blocked];
    let line = ItemState::Line {
        sku: "ä \"1\"".parse().unwrap(),
        version: u64::from(u32::MAX),
        on_hand: ON_HAND_MAX,
        available: -5,
        reserved: 5,
    };
    let seats = UNUSUAL.into_iter().zip(statuses).map(seat);
    [Changes::NONE, Changes::Omitted, Changes::Listed(seats.chain([line]).collect())]
}

pub async fn every_record_of_the_ledger_reads_back(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = |number: usize| LedgerKey::Command(command_key("/test", &number.to_string()));
    let mut records: Vec<LedgerRecord> =
        outcomes().into_iter().map(|result| outcome(0xa5, result)).collect();
    for (number, command_type) in (0u8..).zip(CommandType::ALL) {
        records.push(LedgerRecord::Outcome {
            digest: Digest([number; 32]),
            command_type,
            pool: "store#a:b.c_d-e".parse().unwrap(),
            outcome: restocked(RestockSummary::default()),
            changes: Changes::NONE,
            decided_at: at("2026-11-22T10:00:00Z"),
        });
    }
    for changes in changes() {
        records.push(LedgerRecord::Outcome {
            digest: Digest([0; 32]),
            command_type: CommandType::Reserve,
            pool: PoolId::Event(42),
            outcome: Outcome::Reserved { reservation: reservation(1, 1) },
            changes,
            decided_at: at("2026-11-22T10:00:00Z"),
        });
    }
    records.push(intent(0));
    for (number, record) in records.iter().enumerate() {
        let write = Write::Ledger { key: key(number), record: record.clone() };
        must_commit(&store, vec![write]).await;
    }
    for (number, record) in records.into_iter().enumerate() {
        assert_eq!(load_ledger(&store, &key(number)).await, Some(record));
    }
    let summary = RestockSummary { lines_applied: 99, ..RestockSummary::default() };
    let chunk_key = LedgerKey::Chunk(command_key("/test", "0"), 100);
    let write = Write::Ledger { key: chunk_key.clone(), record: chunk(0xff, summary.clone()) };
    must_commit(&store, vec![write]).await;
    assert_eq!(load_ledger(&store, &chunk_key).await, Some(chunk(0xff, summary)));
}

pub async fn unusual_keys_stay_apart(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let mut writes = Vec::new();
    for (version, text) in (1..).zip(UNUSUAL) {
        writes.push(write_seat(text, Expected::Absent, version));
        writes.push(write_line(text, Expected::Absent, version));
    }
    must_commit(&store, writes).await;
    for (version, text) in (1..).zip(UNUSUAL) {
        assert_eq!(seat_version(&store, text).await, version, "{text:?}");
        let line = load_line(&store, &line_key("store#s", text)).await.unwrap();
        assert_eq!(line.version, version, "{text:?}");
    }
    // The same number and SKU elsewhere are other items.
    let elsewhere: Vec<SeatKey> = [0, 4, 2, 424, 9_007_199_254_740_991]
        .map(|event_id| SeatKey { event_id, number: "A".parse().unwrap() })
        .into();
    for (version, key) in (100..).zip(&elsewhere) {
        assert_eq!(load_seat(&store, key).await, None);
        let seat = seat(version);
        must_commit(
            &store,
            vec![Write::Seat { key: key.clone(), expected: Expected::Absent, seat }],
        )
        .await;
    }
    for (version, key) in (100..).zip(&elsewhere) {
        assert_eq!(load_seat(&store, key).await.unwrap().version, version);
    }
    for pool in ["event#42", "store#S", "store#s:", "store#42"] {
        assert_eq!(load_line(&store, &line_key(pool, "A")).await, None, "{pool}");
    }
}

pub async fn commands_with_alike_keys_stay_apart(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let keys = [
        LedgerKey::Command(command_key("/a", "b1")),
        LedgerKey::Command(command_key("/ab", "1")),
        LedgerKey::Command(command_key("/a", "b")),
        LedgerKey::Command(command_key("/a", "b#0")),
        LedgerKey::Command(command_key("/a", "b#chunk#0")),
        LedgerKey::Command(command_key("/a", "b/0")),
        LedgerKey::Command(command_key("/a", "B")),
        LedgerKey::Chunk(command_key("/a", "b"), 0),
        LedgerKey::Chunk(command_key("/a", "b"), 1),
        LedgerKey::Chunk(command_key("/a", "b"), 10),
        LedgerKey::Chunk(command_key("/a", "b1"), 0),
    ];
    for (number, key) in (0..).zip(&keys) {
        let record = match key {
            LedgerKey::Command(_) => rejected(number, ""),
            LedgerKey::Chunk(..) => chunk(number, RestockSummary::default()),
        };
        must_commit(&store, vec![Write::Ledger { key: key.clone(), record }]).await;
    }
    let wanted = LoadRequest { ledger: keys.iter().cloned().collect(), ..LoadRequest::default() };
    let loaded = store.load(&wanted).await.unwrap();
    for (number, key) in (0..).zip(&keys) {
        let digest = loaded.ledger[key].as_ref().map(LedgerRecord::digest);
        assert_eq!(digest, Some(Digest([number; 32])), "{key:?}");
    }
}
