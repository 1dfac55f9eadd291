//! Strategies for every possible command and outcome.

use std::collections::BTreeMap;

use inventory_worker::{
    domain::{
        Action, Cancel, CommandKey, Confirm, Expire, LineChange, OrderLine, Outcome, PoolId, Price,
        QUANTITY_MAX, RejectedLine, Rejection, RejectionCode, Reservation, ReservationId,
        ReservationStatus, Reserve, Restock, RestockMode, RestockStatus, RestockSummary,
        SeatChange, SeatNumber, Timestamp, command::HOLD_SECONDS_MAX, ids::EVENT_ID_MAX,
    },
    message::{OutgoingCommand, TraceContext},
};
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

fn changes() -> impl Strategy<Value = Vec<SeatChange>> {
    let label = || option::of(text());
    let status = option::of(select(vec![RestockStatus::Available, RestockStatus::Blocked]));
    let fields = (label(), label(), label(), option::of(price()), status);
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

fn restock() -> impl Strategy<Value = Restock> {
    let mode = select(vec![RestockMode::Set, RestockMode::Add]);
    (changes(), lines(20, 0), mode, option::of(time())).prop_map(|(seats, lines, mode, as_of)| {
        let lines = lines.into_iter().map(LineChange::from).collect();
        Restock { as_of, ..Restock::new(seats, lines, mode) }
    })
}

fn action() -> impl Strategy<Value = Action> {
    let confirm = (reservation_id(), text(), option::of(text())).prop_map(
        |(reservation_id, booking_id, user_id)| Confirm {
            user_id,
            ..Confirm::new(reservation_id, booking_id)
        },
    );
    let cancel = (reservation_id(), option::of(text()), option::of(text()), any::<bool>())
        .prop_map(|(reservation_id, user_id, reason, refund)| Cancel {
            reservation_id,
            user_id,
            reason,
            refund,
            ..Cancel::new(reservation_id)
        });
    prop_oneof![
        reserve().prop_map(Action::Reserve),
        confirm.prop_map(Action::Confirm),
        cancel.prop_map(Action::Cancel),
        restock().prop_map(Action::Restock),
        reservation_id().prop_map(|reservation_id| Action::Expire(Expire { reservation_id })),
    ]
}

/// Adapts an action to its pool: only events have seats, and at least one entry is named.
fn allowed(pool: &PoolId, action: Action) -> Action {
    let no_seats = pool.event_id().is_none();
    let line = || "S-1".parse().unwrap();
    match action {
        Action::Reserve(mut reserve) => {
            if no_seats {
                reserve.seats.clear();
            }
            if reserve.seats.is_empty() && reserve.lines.is_empty() {
                reserve.lines.push(OrderLine { sku: line(), quantity: 1 });
            }
            Action::Reserve(reserve)
        }
        Action::Restock(mut restock) => {
            if no_seats {
                restock.seats.clear();
            }
            if restock.entries() == 0 {
                restock.lines.push(LineChange::new(line(), 0));
            }
            Action::Restock(restock)
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
    (key(), time(), pool(), action(), option::of(traceparent())).prop_map(
        |(key, time, pool, action, traceparent)| OutgoingCommand {
            key,
            time,
            action: allowed(&pool, action),
            pool,
            deadline: None,
            traceparent,
        },
    )
}

fn reservation() -> impl Strategy<Value = Reservation> {
    let texts = (text(), text());
    let versions = 1..=u64::from(u32::MAX);
    (reservation_id(), pool(), texts, versions, seats(48), lines(49, 1), time(), time()).prop_map(
        |(reservation_id, pool, (user_id, booking), version, seats, lines, created_at, end)| {
            Reservation {
                reservation_id,
                pool,
                source: "/services/booking".parse().unwrap(),
                user_id,
                status: ReservationStatus::Active,
                version,
                seats,
                lines,
                booking_id: Some(booking),
                goods: None,
                fulfilled_at: None,
                created_at,
                expires_at: end,
                ended_at: Some(end),
            }
        },
    )
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let shortfall = (text(), any::<i64>(), any::<i64>()).prop_map(|(sku, requested, available)| {
        RejectedLine::Quantity { sku, requested, available }
    });
    (select(RejectionCode::ALL.to_vec()), ".{0,64}", seats(97), collection::vec(shortfall, 0..97))
        .prop_map(|(code, message, seats, lines)| Rejection { code, message, seats, lines })
}

fn summary() -> impl Strategy<Value = RestockSummary> {
    let counts = [0..=10_000u64, 0..=10_000, 0..=10_000, 0..=10_000];
    let names = collection::vec(text::<SeatNumber>().prop_map(|name| name.to_string()), 0..600);
    (counts, names).prop_map(|([a, b, c, d], skipped)| RestockSummary {
        seats_applied: a,
        lines_applied: b,
        seats_skipped: c,
        lines_skipped: d,
        skipped,
    })
}

pub fn outcome() -> impl Strategy<Value = Outcome> {
    let of = |status, booked: bool| {
        reservation().prop_map(move |reservation| Reservation {
            status,
            booking_id: reservation.booking_id.filter(|_| booked),
            ..reservation
        })
    };
    prop_oneof![
        of(ReservationStatus::Active, false)
            .prop_map(|reservation| Outcome::Reserved { reservation }),
        of(ReservationStatus::Confirmed, true)
            .prop_map(|reservation| Outcome::Confirmed { reservation }),
        (of(ReservationStatus::Cancelled, true), option::of(text()))
            .prop_map(|(reservation, reason)| Outcome::Cancelled { reservation, reason }),
        of(ReservationStatus::Expired, false)
            .prop_map(|reservation| Outcome::Expired { reservation }),
        summary().prop_map(|restock| Outcome::Restocked { restock, reason: None, reference: None }),
        rejection().prop_map(|rejection| Outcome::Rejected { rejection }),
    ]
}
