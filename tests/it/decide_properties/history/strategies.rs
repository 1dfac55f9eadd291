//! The strategies that make histories.

use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use super::{
    super::model::BOUND, BOOKINGS, How, POOLS, Removal, SEATS, SKUS, STORE, SeatAsk, Step, Target,
    Things, Time, USERS, Version, What, Which, Who,
};

/// Around 60 steps.
pub fn histories() -> impl Strategy<Value = Vec<Step>> {
    let one = step().prop_map(|step| vec![step]);
    vec(prop_oneof![20 => one, 1 => late_confirm(), 1 => withheld()], 1..=60)
        .prop_map(|parts| parts.into_iter().flatten().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let deadline = prop_oneof![
        16 => Just(None),
        2 => (0..2_000i64).prop_map(Some),
        1 => (-2..=0i64).prop_map(Some),
    ];
    (time(), deadline, what()).prop_map(|(time, deadline, what)| Step { time, deadline, what })
}

fn at(time: Time, what: What) -> Step {
    Step { time, deadline: None, what }
}

fn anyones(of: Which) -> Target {
    Target { of, elsewhere: false, who: Who::Nobody }
}

/// A hold is taken over around its end, and confirmed by a clock that is behind.
fn late_confirm() -> impl Strategy<Value = Vec<Step>> {
    (0..6usize, -1..=1i64, 0..USERS, -2..=0i64, how()).prop_map(
        |(back, over_ms, user, confirm_ms, how)| {
            let (before, after) = (Which::Recent(back), Which::Recent(back + 1));
            let take_over = What::TakeOver { of: before.clone(), user };
            let confirm = What::Confirm { target: anyones(after.clone()), booking: 0, how };
            vec![
                at(Time::ToEndOf(before, over_ms), take_over),
                at(Time::ToEndOf(after, confirm_ms), confirm),
            ]
        },
    )
}

/// Seats are blocked while they are held, and given back.
fn withheld() -> impl Strategy<Value = Vec<Step>> {
    (0..4usize, any::<bool>(), -1..=1i64).prop_map(|(back, expires, over_ms)| {
        let of = Which::Recent(back);
        let block = What::Report { of: of.clone(), on_sale: false };
        let target = anyones(of.clone());
        let give_back = match expires {
            true => What::Expire { target },
            false => What::Cancel { target, refund: true, block: false },
        };
        vec![at(Time::By(0), block), at(Time::ToEndOf(of, over_ms), give_back)]
    })
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => Just(Time::By(0)),
        8 => (1..3_000i64).prop_map(Time::By),
        2 => (3_000..25_000i64).prop_map(Time::By),
        3 => (-2_000..0i64).prop_map(Time::By),
        4 => (which(), -1..=1i64).prop_map(|(which, beyond)| Time::ToEndOf(which, beyond)),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![30 => (0..6usize).prop_map(Which::Recent), 1 => Just(Which::Unknown)]
}

fn target() -> impl Strategy<Value = Target> {
    let who = prop_oneof![
        4 => Just(Who::Nobody),
        4 => Just(Who::Owner),
        1 => (0..USERS).prop_map(Who::Someone),
    ];
    (which(), prop::bool::weighted(0.04), who).prop_map(|(of, elsewhere, who)| Target {
        of,
        elsewhere,
        who,
    })
}

fn how() -> impl Strategy<Value = How> {
    (any::<bool>(), prop::bool::weighted(0.4)).prop_map(|(stays, late)| How { stays, late })
}

fn pool() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0), 2 => Just(1), 2 => Just(STORE)]
}

/// Seats of which the last, which may not exist, is rarely requested.
fn some_seats(least: usize) -> impl Strategy<Value = Vec<u8>> {
    let usual: Vec<u8> = (0..SEATS - 1).collect();
    let all: Vec<u8> = (0..SEATS).collect();
    prop_oneof![9 => subsequence(usual, 0..=3 - least), 1 => subsequence(all, 1..=3 - least)]
        .prop_shuffle()
}

fn some_skus() -> impl Strategy<Value = Vec<u8>> {
    let usual: Vec<u8> = (0..SKUS - 1).collect();
    let all: Vec<u8> = (0..SKUS).collect();
    prop_oneof![9 => subsequence(usual, 0..=2), 1 => subsequence(all, 1..=3)].prop_shuffle()
}

fn things(fewer_seats: usize) -> impl Strategy<Value = Things> {
    let quantities = vec(1..6i64, SKUS as usize);
    (some_seats(fewer_seats), some_skus(), quantities).prop_map(|(seats, skus, quantities)| {
        Things { seats, lines: skus.into_iter().zip(quantities).collect() }
    })
}

fn removal() -> impl Strategy<Value = Removal> {
    let places: Vec<usize> = (0..3).collect();
    let seats = subsequence(places.clone(), 0..=2);
    let lines = (subsequence(places, 0..=1), 1..5i64)
        .prop_map(|(places, quantity)| places.into_iter().map(|place| (place, quantity)).collect());
    let seat = prop_oneof![8 => Just(None), 1 => (0..SEATS).prop_map(Some)];
    (seats, lines, seat).prop_map(|(seats, lines, seat)| Removal { seats, lines, seat })
}

fn some_seat_asks() -> impl Strategy<Value = Vec<SeatAsk>> {
    let ask = (option::of(0..2u8), option::of(0..2u8), option::of(any::<bool>()));
    let all: Vec<u8> = (0..SEATS).collect();
    (subsequence(all, 0..=3).prop_shuffle(), vec(ask, 3)).prop_map(|(seats, asks)| {
        let ask = |(seat, (section, price, on_sale))| SeatAsk { seat, section, price, on_sale };
        seats.into_iter().zip(asks).map(ask).collect()
    })
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        8 => Just(Version::Any),
        3 => Just(Version::Right),
        1 => Just(Version::TooHigh),
        1 => Just(Version::MustNotExist),
    ]
}

fn restock() -> impl Strategy<Value = What> {
    let quantity = prop_oneof![
        16 => 0..12i64,
        4 => -8..0i64,
        1 => (0..3i64).prop_map(|less| BOUND - less),
    ];
    let age = prop_oneof![
        4 => Just(None),
        8 => (0..5_000i64).prop_map(Some),
        1 => (-60_002..=-59_998i64).prop_map(Some),
    ];
    let lines = (some_skus(), vec((quantity, version()), SKUS as usize));
    (pool(), some_seat_asks(), any::<bool>(), lines, age).prop_map(
        |(pool, seats, add, (skus, asked), age_ms)| {
            let line = |(sku, (quantity, version)): (u8, (i64, Version))| {
                (sku, if add { quantity } else { quantity.abs() }, version)
            };
            let lines = skus.into_iter().zip(asked).map(line).collect();
            What::Restock { pool, seats, add, lines, age_ms }
        },
    )
}

fn what() -> BoxedStrategy<What> {
    let hold = prop_oneof![
        4 => (1..=20u32).prop_map(Some),
        2 => Just(None),
        1 => Just(Some(21)),
    ];
    let again = prop_oneof![12 => Just(None), 1 => which().prop_map(Some)];
    let reserve = (pool(), again, 0..USERS, things(0), hold).prop_map(
        |(pool, again, user, things, hold_s)| What::Reserve { pool, again, user, things, hold_s },
    );
    let extend = (target(), 1..=21u32).prop_map(|(target, hold_s)| What::Extend { target, hold_s });
    let modify = (target(), things(2), removal()).prop_map(|(target, add, remove)| What::Modify {
        target,
        add,
        remove,
    });
    let confirm = (target(), 0..BOOKINGS, how()).prop_map(|(target, booking, how)| What::Confirm {
        target,
        booking,
        how,
    });
    let fulfil = target().prop_map(|target| What::Fulfil { target });
    let cancel = (target(), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(target, refund, block)| What::Cancel { target, refund, block });
    let expire = target().prop_map(|target| What::Expire { target });
    let report =
        (which(), prop::bool::weighted(0.6)).prop_map(|(of, on_sale)| What::Report { of, on_sale });
    prop_oneof![
        9 => reserve,
        2 => extend,
        4 => modify,
        4 => confirm,
        2 => fulfil,
        3 => cancel,
        3 => expire,
        3 => restock(),
        1 => report,
    ]
    .boxed()
}

/// A restock of most of a pool.
pub fn large_restock() -> impl Strategy<Value = Step> {
    let ask = (option::of(0..2u8), option::of(0..2u8), option::of(any::<bool>()));
    let seats: Vec<u8> = (0..SEATS).collect();
    let skus: Vec<u8> = (0..SKUS).collect();
    let seats = (subsequence(seats, 2..=SEATS as usize), vec(ask, SEATS as usize));
    let lines = (subsequence(skus, 2..=SKUS as usize), vec(0..12i64, SKUS as usize));
    (0..POOLS, seats, lines, any::<bool>(), option::of(0..5_000i64)).prop_map(
        |(pool, (seats, asks), (skus, quantities), add, age_ms)| {
            let ask = |(seat, (section, price, on_sale))| SeatAsk { seat, section, price, on_sale };
            let seats = seats.into_iter().zip(asks).map(ask).collect();
            let line = |(sku, quantity)| (sku, quantity, Version::Any);
            let lines = skus.into_iter().zip(quantities).map(line).collect();
            at(Time::By(1), What::Restock { pool, seats, add, lines, age_ms })
        },
    )
}
