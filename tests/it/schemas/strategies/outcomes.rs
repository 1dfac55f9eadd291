//! Outcomes and what they changed.

use inventory_worker::domain::{
    Changes, Goods, ItemState, Outcome, RejectedLine, Rejection, RejectionCode, Reservation,
    ReservationStatus, RestockSummary, SeatNumber, SeatStatus,
};
use proptest::{collection, option, prelude::*, sample::select};

use super::{goods, key, lines, pool, reference, reservation_id, seats, text, time};

/// Every field is given.
fn reservation() -> impl Strategy<Value = Reservation> {
    let texts = (text(), text());
    let versions = 1..=u64::from(u32::MAX);
    let ids = (reservation_id(), key());
    (ids, pool(), texts, versions, (seats(48), lines(49, 1)), goods(), [time(), time(), time()])
        .prop_map(
            |((reservation_id, key), pool, (user_id, booking), version, held, goods, times)| {
                let [created_at, end, fulfilled_at] = times;
                Reservation {
                    reservation_id,
                    pool,
                    source: key.source,
                    user_id,
                    status: ReservationStatus::Active,
                    version,
                    seats: held.0,
                    lines: held.1,
                    booking_id: Some(booking),
                    goods: Some(goods),
                    fulfilled_at: Some(fulfilled_at),
                    created_at,
                    expires_at: end,
                    ended_at: Some(end),
                }
            },
        )
}

/// A reservation that is not sold.
fn held(status: ReservationStatus) -> impl Strategy<Value = Reservation> {
    reservation().prop_map(move |reservation| Reservation {
        status,
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        ..reservation
    })
}

/// A reservation that is or was sold, and whose goods may have left later.
fn sold(status: ReservationStatus) -> impl Strategy<Value = Reservation> {
    (reservation(), any::<bool>()).prop_map(move |(reservation, has_left)| Reservation {
        status,
        fulfilled_at: reservation
            .fulfilled_at
            .filter(|_| has_left && reservation.goods == Some(Goods::Stay)),
        ..reservation
    })
}

fn fulfilled() -> impl Strategy<Value = Reservation> {
    reservation().prop_map(|reservation| Reservation {
        status: ReservationStatus::Confirmed,
        goods: Some(Goods::Stay),
        ..reservation
    })
}

fn rejected_line() -> impl Strategy<Value = RejectedLine> {
    let quantity = (text(), any::<i64>(), any::<i64>()).prop_map(|(sku, requested, available)| {
        RejectedLine::Quantity { sku, requested, available }
    });
    let version = (text(), any::<u64>(), any::<u64>())
        .prop_map(|(sku, expected, actual)| RejectedLine::Version { sku, expected, actual });
    prop_oneof![quantity, version]
}

fn rejection() -> impl Strategy<Value = Rejection> {
    let lines = collection::vec(rejected_line(), 0..97);
    (select(RejectionCode::ALL.to_vec()), ".{0,64}", seats(97), lines)
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

fn outcome() -> impl Strategy<Value = Outcome> {
    use ReservationStatus::{Active, Cancelled, Confirmed, Expired};
    let cancelled = prop_oneof![held(Cancelled), sold(Cancelled)];
    let restocked = (summary(), option::of(text()), option::of(reference()));
    prop_oneof![
        held(Active).prop_map(|reservation| Outcome::Reserved { reservation }),
        held(Active).prop_map(|reservation| Outcome::Extended { reservation }),
        held(Active).prop_map(|reservation| Outcome::Modified { reservation }),
        sold(Confirmed).prop_map(|reservation| Outcome::Confirmed { reservation }),
        fulfilled().prop_map(|reservation| Outcome::Fulfilled { reservation }),
        (cancelled, option::of(text()))
            .prop_map(|(reservation, reason)| Outcome::Cancelled { reservation, reason }),
        held(Expired).prop_map(|reservation| Outcome::Expired { reservation }),
        restocked.prop_map(|(restock, reason, reference)| Outcome::Restocked {
            restock,
            reason,
            reference,
        }),
        rejection().prop_map(|rejection| Outcome::Rejected { rejection }),
    ]
}

fn item() -> impl Strategy<Value = ItemState> {
    let version = || 1..=u64::from(u32::MAX);
    let status = select(vec![
        SeatStatus::Available,
        SeatStatus::Reserved,
        SeatStatus::Booked,
        SeatStatus::Blocked,
    ]);
    let seat =
        (text(), version(), status, time()).prop_map(|(seat_number, version, status, until)| {
            let reserved_until = (status == SeatStatus::Reserved).then_some(until);
            ItemState::Seat { seat_number, version, status, reserved_until }
        });
    let line = (text(), version(), [any::<i32>(), any::<i32>()], 0..=i64::from(i32::MAX)).prop_map(
        |(sku, version, [on_hand, available], reserved)| ItemState::Line {
            sku,
            version,
            on_hand: on_hand.into(),
            available: available.into(),
            reserved,
        },
    );
    prop_oneof![seat, line]
}

/// An outcome and what it changed: nothing for a rejection, and not listed for some restocks.
pub fn decided() -> impl Strategy<Value = (Outcome, Changes)> {
    (outcome(), collection::vec(item(), 0..99), any::<bool>()).prop_map(
        |(outcome, listed, is_omitted)| {
            let changes = match outcome {
                Outcome::Rejected { .. } => Changes::NONE,
                Outcome::Restocked { .. } if is_omitted => Changes::Omitted,
                _ => Changes::Listed(listed),
            };
            (outcome, changes)
        },
    )
}
