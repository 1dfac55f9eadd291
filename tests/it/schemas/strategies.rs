//! Strategies for every possible command and outcome.

mod outcomes;

use std::collections::BTreeMap;

use inventory_worker::{
    domain::{
        Action, Cancel, CommandKey, Confirm, Expire, Extend, Fulfil, Goods, Holdings, LineChange,
        Modify, OrderLine, PoolId, Price, QUANTITY_MAX, Reference, ReservationId, Reserve, Restock,
        RestockMode, RestockStatus, SeatChange, SeatNumber, Timestamp, command::HOLD_SECONDS_MAX,
        ids::EVENT_ID_MAX,
    },
    message::{OutgoingCommand, TraceContext},
};
pub use outcomes::decided;
use proptest::{collection, option, prelude::*, sample::select};
use uuid::Uuid;

/// A text of 1 to 32 characters of all widths, some of which JSON escapes.
fn text<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>() -> BoxedStrategy<T> {
    "[ -~äß€😀]{1,32}".prop_map(|text| text.parse().unwrap()).boxed()
}

pub fn key() -> impl Strategy<Value = CommandKey> {
    (text(), text()).prop_map(|(source, id)| CommandKey { source, id })
}

pub fn pool() -> impl Strategy<Value = PoolId> {
    prop_oneof![
        (0..=EVENT_ID_MAX).prop_map(PoolId::Event),
        "[A-Za-z0-9._:-]{1,120}".prop_map(|id| PoolId::Store(id.parse().unwrap())),
    ]
}

/// A time from 1970 to the latest possible, to the nanosecond.
pub fn time() -> impl Strategy<Value = Timestamp> {
    let end = Timestamp::MAX.as_second();
    (0..=end, 0..1_000_000_000i32)
        .prop_map(|(second, nanos)| Timestamp::new(second, nanos).unwrap_or(Timestamp::MAX))
}

fn reservation_id() -> impl Strategy<Value = ReservationId> {
    any::<u128>().prop_map(|bits| ReservationId(Uuid::from_u128(bits)))
}

fn seats(count: usize) -> impl Strategy<Value = Vec<SeatNumber>> {
    collection::btree_set(text::<SeatNumber>(), 0..=count)
        .prop_map(|seats| seats.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn lines(count: usize, min: u64) -> impl Strategy<Value = Vec<OrderLine>> {
    collection::btree_map(text(), min..=QUANTITY_MAX, 0..=count).prop_map(
        |lines: BTreeMap<_, _>| {
            lines.into_iter().map(|(sku, quantity)| OrderLine { sku, quantity }).collect()
        },
    )
}

fn price() -> impl Strategy<Value = Price> {
    "(0|[1-9][0-9]{0,17})(\\.[0-9]{1,9})?".prop_map(|text| text.parse().unwrap())
}

fn reference() -> impl Strategy<Value = Reference> {
    "[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn goods() -> impl Strategy<Value = Goods> {
    select(vec![Goods::Leave, Goods::Stay])
}

fn status() -> impl Strategy<Value = RestockStatus> {
    select(vec![RestockStatus::Available, RestockStatus::Blocked])
}

fn changes() -> impl Strategy<Value = Vec<SeatChange>> {
    let label = || option::of(text());
    let fields = (label(), label(), label(), option::of(price()), option::of(status()));
    collection::btree_map(text::<SeatNumber>(), fields, 0..8).prop_map(|seats| {
        let change = |(number, (section, row_number, seat_type, price, status))| SeatChange {
            number,
            section,
            row_number,
            seat_type,
            price,
            status,
        };
        seats.into_iter().map(change).collect()
    })
}

fn reserve() -> impl Strategy<Value = Reserve> {
    let entries = (seats(48), lines(49, 1));
    (reservation_id(), text(), entries, option::of(1..=HOLD_SECONDS_MAX)).prop_map(
        |(reservation_id, user_id, (seats, lines), hold_seconds)| Reserve {
            reservation_id,
            user_id,
            seats,
            lines,
            hold_seconds,
        },
    )
}

/// Seats and lines, each in `add` or in `remove`.
fn modify() -> impl Strategy<Value = Modify> {
    let sides = || collection::vec(any::<bool>(), 48);
    let entries = (seats(48), sides(), lines(48, 1), sides());
    (reservation_id(), option::of(text()), entries).prop_map(
        |(reservation_id, user_id, (seats, seat_sides, lines, line_sides))| {
            let (mut add, mut remove) = (Holdings::default(), Holdings::default());
            for (seat, is_added) in seats.into_iter().zip(seat_sides) {
                if is_added { &mut add } else { &mut remove }.seats.push(seat);
            }
            for (line, is_added) in lines.into_iter().zip(line_sides) {
                if is_added { &mut add } else { &mut remove }.lines.push(line);
            }
            Modify { reservation_id, add, remove, user_id }
        },
    )
}

/// Quantities below zero with `add` only.
fn line_changes() -> impl Strategy<Value = (RestockMode, Vec<LineChange>)> {
    let most = QUANTITY_MAX.cast_signed();
    let fields = (-most..=most, option::of(0..=EVENT_ID_MAX));
    let lines = collection::btree_map(text(), fields, 0..20);
    (select(vec![RestockMode::Set, RestockMode::Add]), lines).prop_map(|(mode, lines)| {
        let change = |(sku, (quantity, expected_version)): (_, (i64, _))| {
            let quantity = if mode == RestockMode::Set { quantity.abs() } else { quantity };
            LineChange { sku, quantity, expected_version }
        };
        (mode, lines.into_iter().map(change).collect())
    })
}

fn restock() -> impl Strategy<Value = Restock> {
    let documents = (option::of(text()), option::of(reference()));
    (changes(), line_changes(), option::of(time()), documents).prop_map(
        |(seats, (mode, lines), as_of, (reason, reference))| Restock {
            seats,
            lines,
            mode,
            as_of,
            reason,
            reference,
        },
    )
}

fn confirm() -> impl Strategy<Value = Confirm> {
    (reservation_id(), text(), option::of(text()), goods(), any::<bool>()).prop_map(
        |(reservation_id, booking_id, user_id, goods, allow_expired)| Confirm {
            reservation_id,
            booking_id,
            user_id,
            goods,
            allow_expired,
        },
    )
}

fn cancel() -> impl Strategy<Value = Cancel> {
    let texts = (option::of(text()), option::of(text()));
    (reservation_id(), texts, any::<bool>(), status()).prop_map(
        |(reservation_id, (user_id, reason), refund, seats_to)| Cancel {
            reservation_id,
            user_id,
            reason,
            refund,
            seats_to,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let extend = (reservation_id(), 1..=HOLD_SECONDS_MAX, option::of(text())).prop_map(
        |(reservation_id, hold_seconds, user_id)| Extend { reservation_id, hold_seconds, user_id },
    );
    let fulfil = (reservation_id(), option::of(text()))
        .prop_map(|(reservation_id, user_id)| Fulfil { reservation_id, user_id });
    prop_oneof![
        reserve().prop_map(Action::Reserve),
        extend.prop_map(Action::Extend),
        modify().prop_map(Action::Modify),
        confirm().prop_map(Action::Confirm),
        fulfil.prop_map(Action::Fulfil),
        cancel().prop_map(Action::Cancel),
        restock().prop_map(Action::Restock),
        reservation_id().prop_map(|reservation_id| Action::Expire(Expire { reservation_id })),
    ]
}

/// Adapts an action to its pool: only events have seats, and at least one entry is named.
fn allowed(pool: &PoolId, action: Action) -> Action {
    let no_seats = pool.event_id().is_none();
    let line = |quantity| OrderLine { sku: "S-1".parse().unwrap(), quantity };
    match action {
        Action::Reserve(mut reserve) => {
            if no_seats {
                reserve.seats.clear();
            }
            if reserve.seats.is_empty() && reserve.lines.is_empty() {
                reserve.lines.push(line(1));
            }
            Action::Reserve(reserve)
        }
        Action::Restock(mut restock) => {
            if no_seats {
                restock.seats.clear();
            }
            if restock.entries() == 0 {
                restock.lines.push(LineChange::from(line(0)));
            }
            Action::Restock(restock)
        }
        Action::Modify(mut modify) => {
            if no_seats {
                modify.add.seats.clear();
                modify.remove.seats.clear();
            }
            if modify.add.entries() == 0 && modify.remove.entries() == 0 {
                modify.add.lines.push(line(1));
            }
            Action::Modify(modify)
        }
        other => other,
    }
}

pub fn traceparent() -> impl Strategy<Value = TraceContext> {
    let ids = (1..=u128::MAX, 1..=u64::MAX, any::<u8>());
    let state = option::of("[a-z][a-z0-9_*/@-]{0,20}=[!-+--<>-~]{1,40}");
    (ids, state).prop_map(|((trace, parent, flags), state)| {
        let traceparent = format!("00-{trace:032x}-{parent:016x}-{flags:02x}");
        let context: TraceContext = traceparent.parse().unwrap();
        context.with_tracestate(state.as_deref())
    })
}

pub fn command() -> impl Strategy<Value = OutgoingCommand> {
    (key(), (time(), option::of(time())), pool(), action(), option::of(traceparent())).prop_map(
        |(key, (time, deadline), pool, action, traceparent)| OutgoingCommand {
            key,
            time,
            deadline,
            action: allowed(&pool, action),
            pool,
            traceparent,
        },
    )
}
