//! The processor cost of every command: decoding, deciding, encoding. `cargo bench`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![allow(missing_docs, reason = "the macros of criterion")]

use std::{collections::BTreeMap, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use inventory_worker::{
    decide::{self, Limits, State},
    domain::{
        Changes, Command, Digest, GroupId, Outcome, Price, Rejection, RejectionCode, Seat,
        SeatDetails, SeatKey, SeatState, Timestamp,
    },
    message::{self, ResultMessage},
};

const EXAMPLES: [(&str, &str); 3] = [
    ("reserve, 1 seat", include_str!("../schemas/examples/valid/reserve-minimal.json")),
    ("reserve, 97 seats", include_str!("../schemas/examples/valid/reserve-the-most-seats.json")),
    ("restock", include_str!("../schemas/examples/valid/restock-seats-and-lines.json")),
];

fn now() -> Timestamp {
    Timestamp::from_second(1_795_341_600).unwrap()
}

fn command(body: &str) -> Command {
    message::decode(body).unwrap().command
}

/// Every seat that the command reserves, on sale, and no reservation.
fn on_sale(command: &Command) -> State {
    let inventory_worker::domain::Action::Reserve(reserve) = &command.action else {
        return State::default();
    };
    let text = |text: &str| text.parse().ok();
    let details = SeatDetails {
        section: text("Stalls"),
        row_number: text("A"),
        seat_type: text("STANDARD"),
        price: "49.50".parse::<Price>().ok(),
    };
    let occupancy = SeatState::Available;
    let (created_at, updated_at) = (now(), now());
    let seat = Seat { details, occupancy, withheld: false, version: 1, created_at, updated_at };
    let event_id = command.pool.event_id().unwrap();
    let seats = reserve
        .seats
        .iter()
        .map(|number| (SeatKey { event_id, number: number.clone() }, Some(seat.clone())));
    let reservations = BTreeMap::from([(reserve.reservation_id, None)]);
    State::new(reservations, seats.collect(), BTreeMap::new())
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, body) in EXAMPLES {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| message::decode(black_box(body)).unwrap());
        });
    }
    group.bench_function("refused", |bencher| {
        bencher.iter(|| message::decode(black_box("{\"specversion\":\"1.0\"}")).unwrap_err());
    });
    group.finish();
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let limits = Limits::default();
    for (name, body) in &EXAMPLES[..2] {
        let command = command(body);
        let fresh = on_sale(&command);
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                || fresh.clone(),
                |mut state| {
                    decide::decide(&mut state, black_box(&command), &limits, now()).unwrap();
                    state.take_changes()
                },
                BatchSize::SmallInput,
            );
        });
    }
    let command = command(EXAMPLES[0].1);
    let mut taken = on_sale(&command);
    decide::decide(&mut taken, &command, &limits, now()).unwrap();
    group.bench_function("reserve, rejected", |bencher| {
        bencher.iter_batched(
            || taken.clone(),
            |mut state| decide::decide(&mut state, black_box(&command), &limits, now()).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let group_id: GroupId = "event-42".parse().unwrap();
    for (name, body) in &EXAMPLES[..2] {
        let command = command(body);
        let mut state = on_sale(&command);
        let decided =
            decide::decide(&mut state, &command, &Limits::default(), now()).unwrap().outcome;
        let changes = decide::listed(&state.take_changes());
        let rejection = Rejection::new(RejectionCode::SeatsUnavailable, "a seat is not free");
        let rejected = Outcome::Rejected { rejection };
        let none = Changes::NONE;
        for (what, outcome, changes) in
            [(*name, &decided, &changes), ("rejected", &rejected, &none)]
        {
            if what == "rejected" && *name != EXAMPLES[0].0 {
                continue;
            }
            let result = ResultMessage {
                key: &command.key,
                command_type: command.action.command_type().as_str(),
                sequence: Some("18870266000000000001"),
                group: &group_id,
                pool: Some(&command.pool),
                outcome,
                changes,
                decided_at: now(),
                message_digest: Digest([0; 32]),
                traceparent: None,
            };
            group.bench_function(what, |bencher| {
                bencher.iter(|| message::encode_result(black_box(&result)));
            });
        }
    }
    group.finish();
}

criterion_group!(core, decode, decide, encode);
criterion_main!(core);
