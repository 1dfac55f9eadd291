//! Write units by kind of command, as the embedded DynamoDB answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use jiff::SignedDuration;

use crate::{
    load,
    measurements::count,
    world::{World, group_ids},
};
use inventory_worker::{
    adapters::{
        dynamodb::{ClientOptions, DynamoStore, TableNames, TableOptions, ensure_tables},
        embedded::EmbeddedDynamo,
        instrumented::LatencyModel,
        system::Random,
    },
    domain::{
        Action, Cancel, Confirm, Expire, Extend, Fulfil, Goods, Holdings, LineChange, LineKey,
        Modify, OrderLine, PoolId, Reservation, ReservationStatus, Reserve, Restock, RestockMode,
        SeatChange, StockLevel, Timestamp, time,
    },
    ports::{
        CommitStore, Entropy as _, Expected, Record, Store, Table, Transaction, Write,
        store::TRANSACTION_ITEMS_MAX,
    },
    worker::Settings,
};

/// Commands of each kind whose units are counted: whole batches.
pub(super) const COUNTED: usize = 100;

/// Commands of many lines each.
const COUNTED_LARGE: usize = 10;

/// The timeout of one kind: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Seconds.
const HOUR: u32 = 3_600;

/// What the reservations of a case hold of its line, or sold of it.
const TAKEN: i64 = 100;

/// Lines of a large restock that fits one transaction.
const LINES: usize = 90;

/// The cost of commands of one kind.
pub(super) struct Kind {
    /// The kind's name.
    pub(super) name: &'static str,
    by_table: BTreeMap<Table, f64>,
}

impl Kind {
    /// Units of one command.
    pub(super) fn units(&self) -> f64 {
        self.by_table.values().sum()
    }

    /// Units of one command by table.
    pub(super) fn by_table(&self) -> String {
        let each = self
            .by_table
            .iter()
            .map(|(table, units)| format!("{table} {units:.2}", table = table.as_str()));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Existing records, and the commands to process on them.
struct Case {
    name: &'static str,
    before: Vec<Record>,
    actions: Vec<Action>,
}

/// One-seat reserves first.
pub(super) fn of_every_kind() -> anyhow::Result<Vec<Kind>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let dynamo = EmbeddedDynamo::start(None).await?;
        let client = dynamo.client(&ClientOptions::default());
        let names = TableNames::default();
        ensure_tables(&client, &names, &TableOptions::minimal()).await.context("the tables")?;
        let clock = World::new(LatencyModel::zero()).clock;
        let now = clock.now();
        let entropy = Arc::new(Random::seeded(2));
        let store: Arc<dyn Store> = Arc::new(DynamoStore::new(client, names, entropy, clock));
        let mut kinds = Vec::new();
        for (number, case) in cases(now)?.into_iter().enumerate() {
            kinds.push(of_case(&store, case, number).await?);
        }
        dynamo.stop().await;
        Ok(kinds)
    })
}

/// Each case uses its own seats, lines and reservations.
fn cases(now: Timestamp) -> anyhow::Result<Vec<Case>> {
    let numbers = |case: usize| case * COUNTED..(case + 1) * COUNTED;
    let later = time::saturating_add(now, SignedDuration::from_hours(1));
    let earlier = time::saturating_add(now, SignedDuration::from_hours(-1));
    let held = |case, until| -> anyhow::Result<Vec<Record>> {
        let holds = numbers(case).map(|number| load::hold(number, earlier, until));
        Ok(holds.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let reservation =
        |number| -> anyhow::Result<_> { Ok(load::command_key(number)?.default_reservation_id()) };
    let each = |case, action: &dyn Fn(usize) -> anyhow::Result<Action>| {
        numbers(case).map(action).collect::<anyhow::Result<Vec<Action>>>()
    };
    let seats = |range: std::ops::Range<usize>| -> anyhow::Result<Vec<Record>> {
        range.map(|n| Ok(Record::Seat(load::seat_key(n)?, load::seat(n, now)?))).collect()
    };
    let confirm = |number| -> anyhow::Result<Confirm> {
        let booking_id = format!("booking-{number}").parse()?;
        let reservation_id = reservation(number)?;
        Ok(Confirm::new(reservation_id, booking_id))
    };
    let cancel = |number| Ok(Action::Cancel(Cancel::new(reservation(number)?)));
    let expire = |number| Ok(Action::Expire(Expire { reservation_id: reservation(number)? }));
    Ok(vec![
        Case {
            name: "reserve, 1 seat",
            before: seats(numbers(0))?,
            actions: each(0, &|number| Ok(load::reserve(number)?))?,
        },
        Case {
            name: "confirm, 1 seat",
            before: held(1, later)?,
            actions: each(1, &|number| Ok(Action::Confirm(confirm(number)?)))?,
        },
        Case { name: "cancel, 1 seat", before: held(2, later)?, actions: each(2, &cancel)? },
        Case { name: "expire, 1 seat", before: held(3, earlier)?, actions: each(3, &expire)? },
        Case {
            name: "reserve, 1 of a SKU, ten in a batch",
            before: vec![line("standing", now).map(|(key, line)| Record::Line(key, line))?],
            actions: each(4, &reserve_line)?,
        },
        Case {
            name: "reserve, rejected",
            before: Vec::new(),
            actions: each(5, &|number| Ok(load::reserve(number)?))?,
        },
        Case { name: "restock, 1 new seat", before: Vec::new(), actions: each(6, &new_seat)? },
        Case {
            name: "restock, 1 new SKU",
            before: Vec::new(),
            actions: each(7, &|number| restock_lines(number, 1))?,
        },
        Case {
            name: "restock, 90 new SKUs",
            before: Vec::new(),
            actions: numbers(8)
                .take(COUNTED_LARGE)
                .map(|number| restock_lines(number, LINES))
                .collect::<anyhow::Result<_>>()?,
        },
        Case {
            name: "extend, 1 seat",
            before: held(9, later)?,
            actions: each(9, &|number| {
                let (reservation_id, hold_seconds) = (reservation(number)?, 2 * HOUR);
                Ok(Action::Extend(Extend { reservation_id, hold_seconds, user_id: None }))
            })?,
        },
        Case {
            name: "modify, 1 seat for another",
            before: held(10, later)?.into_iter().chain(seats(numbers(11))?).collect(),
            actions: each(10, &|number| {
                let of = |number| -> anyhow::Result<_> {
                    Ok(Holdings { seats: vec![load::seat_number(number)?], lines: Vec::new() })
                };
                let reservation_id = reservation(number)?;
                let (add, remove) = (of(number + COUNTED)?, of(number)?);
                Ok(Action::Modify(Modify { reservation_id, add, remove, user_id: None }))
            })?,
        },
        Case {
            name: "confirm, 1 seat, after its hold ran out",
            before: held(12, earlier)?,
            actions: each(12, &|number| {
                Ok(Action::Confirm(Confirm { allow_expired: true, ..confirm(number)? }))
            })?,
        },
        Case {
            name: "confirm, 1 of a SKU, goods stay, ten in a batch",
            before: with_line("held", now, numbers(13), |line| line.reserved = TAKEN)?,
            actions: each(13, &|number| {
                Ok(Action::Confirm(Confirm { goods: Goods::Stay, ..confirm(number)? }))
            })?,
        },
        Case {
            name: "fulfil, 1 of a SKU, ten in a batch",
            before: sold(with_line("sold", now, numbers(14), |line| line.committed = TAKEN)?)?,
            actions: each(14, &|number| {
                let reservation_id = reservation(number)?;
                Ok(Action::Fulfil(Fulfil { reservation_id, user_id: None }))
            })?,
        },
    ])
}

/// A line of the event that every command wants.
fn line(sku: &str, now: Timestamp) -> anyhow::Result<(LineKey, StockLevel)> {
    let key = LineKey { pool: PoolId::Event(load::EVENT), sku: sku.parse()? };
    let line = StockLevel {
        available: 1_000,
        reserved: 0,
        committed: 0,
        as_of: None,
        version: 1,
        updated_at: now,
    };
    Ok((key, line))
}

/// A line, and ACTIVE reservations of one of it each.
fn with_line(
    sku: &str,
    now: Timestamp,
    numbers: std::ops::Range<usize>,
    change: impl Fn(&mut StockLevel),
) -> anyhow::Result<Vec<Record>> {
    let (key, mut line) = line(sku, now)?;
    change(&mut line);
    let later = time::saturating_add(now, SignedDuration::from_hours(1));
    let mut records = vec![Record::Line(key, line)];
    for number in numbers {
        let [_, Record::Reservation(held)] = load::hold(number, now, later)? else {
            anyhow::bail!("a reservation");
        };
        let lines = vec![OrderLine { sku: sku.parse()?, quantity: 1 }];
        records.push(Record::Reservation(Reservation { seats: Vec::new(), lines, ..held }));
    }
    Ok(records)
}

/// The records with the reservations CONFIRMED and their goods still there.
fn sold(records: Vec<Record>) -> anyhow::Result<Vec<Record>> {
    let confirmed = |record| match record {
        Record::Reservation(held) => Ok(Record::Reservation(Reservation {
            status: ReservationStatus::Confirmed,
            booking_id: Some("booking".parse()?),
            goods: Some(Goods::Stay),
            version: 2,
            ..held
        })),
        other => Ok(other),
    };
    records.into_iter().map(confirmed).collect()
}

fn reserve_line(number: usize) -> anyhow::Result<Action> {
    let Action::Reserve(reserve) = load::reserve(number)? else {
        anyhow::bail!("a reserve");
    };
    let lines = vec![OrderLine { sku: "standing".parse()?, quantity: 1 }];
    Ok(Action::Reserve(Reserve { seats: Vec::new(), lines, ..reserve }))
}

fn new_seat(number: usize) -> anyhow::Result<Action> {
    let seat = load::seat(number, Timestamp::UNIX_EPOCH)?;
    let change = SeatChange {
        number: load::seat_number(number)?,
        section: seat.details.section,
        row_number: seat.details.row_number,
        seat_type: seat.details.seat_type,
        price: seat.details.price,
        status: None,
    };
    Ok(Action::Restock(Restock::new(vec![change], Vec::new(), RestockMode::Set)))
}

fn restock_lines(number: usize, count: usize) -> anyhow::Result<Action> {
    let line = |place| -> anyhow::Result<_> {
        Ok(LineChange::new(format!("sku-{number:05}-{place:02}").parse()?, 100))
    };
    let lines = (0..count).map(line).collect::<anyhow::Result<_>>()?;
    Ok(Action::Restock(Restock::new(Vec::new(), lines, RestockMode::Set)))
}

async fn of_case(store: &Arc<dyn Store>, case: Case, number: usize) -> anyhow::Result<Kind> {
    create(&**store, case.before).await.context(case.name)?;
    let mut world = World::new(LatencyModel::zero());
    world.ports.store = Arc::clone(store);
    let now = world.clock.now();
    let [group] = &group_ids(1)?[..] else { anyhow::bail!("a group") };
    let commands = case.actions.len();
    for (place, action) in case.actions.into_iter().enumerate() {
        // Identities above those that reservations were derived from.
        let id = (number + 100) * 10_000 + place;
        let pool = PoolId::Event(load::EVENT);
        world.queue.push(&load::message(id, group, pool, action, now)?)?;
    }
    let seed = u64::try_from(number)? + 10;
    let drained = world.drain_whatever(Settings::default(), seed);
    tokio::time::timeout(PATIENCE, drained).await.context(case.name)??;
    let rejected = world.tally.rejected();
    let is_wanted = case.name.contains("rejected");
    let expected = if is_wanted { u64::try_from(commands)? } else { 0 };
    ensure!(rejected == expected, "{}: {rejected} rejected", case.name);
    let units = world.tally.write_units().into_iter();
    let by_table = units.map(|(table, units)| (table, units / count(commands))).collect();
    Ok(Kind { name: case.name, by_table })
}

async fn create(store: &dyn CommitStore, records: Vec<Record>) -> anyhow::Result<()> {
    let expected = Expected::Absent;
    let writes: Vec<Write> = records
        .into_iter()
        .filter_map(|record| match record {
            Record::Seat(key, seat) => Some(Write::Seat { key, expected, seat }),
            Record::Line(key, line) => Some(Write::Line { key, expected, line }),
            Record::Reservation(reservation) => Some(Write::Reservation { expected, reservation }),
            _ => None,
        })
        .collect();
    let tokens = Random::new();
    for writes in writes.chunks(TRANSACTION_ITEMS_MAX) {
        let transaction = Transaction { writes: writes.to_vec(), checks: Vec::new() };
        store.commit(&transaction, tokens.uuid()).await?;
    }
    Ok(())
}
