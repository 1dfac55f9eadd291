//! A sale beside stuck messages, which must not slow it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::per_second;
use crate::{
    Model, Row, Size, Target, load,
    model::ms,
    paused,
    tally::RecordingStore,
    world::{World, group_ids},
};
use inventory_worker::{
    adapters::{
        instrumented::{Instrumentation, InstrumentedQueue, InstrumentedStore},
        memory::MemoryQueue,
        system::Random,
    },
    domain::{
        Action, CommandId, OrderLine, PoolId, Reservation, ReservationStatus, Reserve, SeatKey,
        time,
    },
    naming::EXPIRIES_QUEUE,
    ports::{
        CommitError, CommitStore, Consumed, Entropy, LoadRequest, PortError, ReadSet, ReadStore,
        Record, Store, Transaction, Write,
    },
    report::{Plot, quantile},
    sweeper::{self, Sweeper, Turns},
    worker::{self, QueueKind, QueuePair, Settings},
};

/// Groups that sell.
const GROUPS: usize = 50;

/// The load, as a fraction of the worker's throughput for these groups with a full queue.
const LOAD: f64 = 0.3;

/// ACTIVE holds past their end that cannot be expired: every other hold's line is missing, and the
/// others' line is unreadable.
const STUCK_HOLDS: usize = 1_000;

/// Groups that wait for an unreadable seat, and the commands of each.
const DAMAGED_GROUPS: usize = 100;
const DAMAGED_COMMANDS: usize = 10;

/// Commands of the group whose every commit is throttled.
const THROTTLED_COMMANDS: usize = 1_000;

/// The damaged events and store.
const DAMAGED: u64 = load::EVENT + 1;
const THROTTLED: u64 = load::EVENT + 2;
const STUCK: &str = "stuck";

/// The time before measuring: every stuck message has by then been received often enough to be
/// isolated.
const WARM_UP: Duration = Duration::from_secs(120);

/// The timeout after the last sale. A sale that is not durable by then counts as durable just then.
const PATIENCE: Duration = Duration::from_secs(300);

/// The first number of stuck commands, so that none has the number of a sale.
const TROUBLE_NUMBERS: usize = 1_000_000_000;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let sales = size.beside;
    let capacity = paused(async {
        let world = World::new(model.latencies()).with_reserves(sales, GROUPS)?;
        Ok(per_second(sales, world.drain(Settings::default()).await?))
    })?;
    let rate = LOAD * capacity;
    let without = run(model, sales, rate, false)?;
    let beside = run(model, sales, rate, true)?;
    let p99 = |times: &Times| quantile(&times.ms, 0.99);
    let late = match beside.missing {
        0 => String::new(),
        missing => format!("; {missing} of {sales} were not done {} s later", PATIENCE.as_secs()),
    };
    let note = format!(
        "{rate:.0} reserves/s at random in {GROUPS} groups, 30 % of what the worker does with them, \
         beside {STUCK_HOLDS} holds that cannot be expired, {DAMAGED_GROUPS} groups that wait for a \
         seat that cannot be read, and a group of {THROTTLED_COMMANDS} commands whose every commit \
         is throttled; p50 {:.0} ms, p99 {:.0} ms, the last {:.0} ms, without {:.0}, {:.0} and \
         {:.0} ms{late}",
        quantile(&beside.ms, 0.5),
        p99(&beside),
        quantile(&beside.ms, 1.0),
        quantile(&without.ms, 0.5),
        p99(&without),
        quantile(&without.ms, 1.0),
    );
    let title = "From enqueued to durable, beside what is stuck".to_owned();
    Ok(vec![
        Row::new("innocents_p99", p99(&beside) / p99(&without), "times", Target::AtMost(1.5))
            .noting(note)
            .showing(Plot::Distribution { title, times_ms: beside.ms, bound_ms: None }),
    ])
}

/// The time of each sale, milliseconds, sorted, and the number of sales not done in time.
struct Times {
    ms: Vec<f64>,
    missing: usize,
}

fn run(model: &Model, sales: usize, rate: f64, in_trouble: bool) -> anyhow::Result<Times> {
    paused(async {
        let mut world = World::new(model.latencies());
        world.store.insert(load::seats(sales, world.clock.now())?);
        let delays = Instrumentation::delaying(
            Arc::clone(&world.counts),
            model.latencies(),
            Arc::new(Random::seeded(5)),
        );
        let troubled = Arc::new(Troubled { store: world.store.clone() });
        let noted =
            Arc::new(RecordingStore::new(Arc::new(InstrumentedStore::new(troubled, delays))));
        world.ports.store = noted.clone();
        if in_trouble {
            make_trouble(&world)?;
        }
        let mut working = JoinSet::new();
        start(model, &world, &mut working);
        tokio::time::sleep(WARM_UP).await;
        let sent = sell(&world, sales, rate).await?;
        let ended = Instant::now();
        let mut durable = BTreeMap::new();
        loop {
            durable.extend(noted.take_durable());
            let is_over = sent.keys().all(|id| durable.contains_key(id));
            if is_over || ended.elapsed() >= PATIENCE {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        working.shutdown().await;
        let now = Instant::now();
        let done = |id: &CommandId| durable.get(id).copied();
        let missing = sent.keys().filter(|id| done(id).is_none()).count();
        ensure!(in_trouble || missing == 0, "{missing} sales were never done, beside no trouble");
        world.see_that_all_went_well()?;
        let took = |(id, sent): (&CommandId, &Instant)| {
            ms(done(id).unwrap_or(now).saturating_duration_since(*sent))
        };
        let mut times: Vec<f64> = sent.iter().map(took).collect();
        times.sort_by(f64::total_cmp);
        Ok(Times { ms: times, missing })
    })
}

/// A worker with its sweeper, and a separate queue of expiries.
fn start(model: &Model, world: &World, working: &mut JoinSet<()>) {
    let counts = Arc::clone(&world.counts);
    let delays = Instrumentation::delaying(counts, model.latencies(), Arc::new(Random::seeded(6)));
    let expiries = MemoryQueue::new(EXPIRIES_QUEUE, Arc::clone(&world.clock));
    let expiries = QueuePair {
        queue: Arc::new(InstrumentedQueue::new(Arc::new(expiries), delays)),
        kind: QueueKind::Expiries,
        ..world.source()
    };
    let context = world.context(Settings::default(), 1);
    let sweeper = Sweeper {
        index: context.store.clone(),
        turns: Turns::Locks(Arc::clone(&context.locks)),
        queue: Arc::clone(&expiries.queue),
        clock: Arc::clone(&context.clock),
        entropy: Arc::new(Random::seeded(2)),
        observer: Arc::clone(&context.observer),
        settings: sweeper::Settings::default(),
    };
    working.spawn(worker::run(context, vec![world.source(), expiries]));
    working.spawn(async move { sweeper.run(CancellationToken::new()).await });
}

/// Sends sales one after the other, independently of each other, and records when.
async fn sell(
    world: &World,
    sales: usize,
    rate: f64,
) -> anyhow::Result<BTreeMap<CommandId, Instant>> {
    let chance = Random::seeded(7);
    let groups = group_ids(GROUPS)?;
    let mut sent = BTreeMap::new();
    let mut at = Instant::now();
    for (number, group) in (0..sales).zip(groups.iter().cycle()) {
        at += Duration::from_secs_f64(-(1.0 - chance.fraction()).ln() / rate);
        tokio::time::sleep_until(at).await;
        world.queue.push(&load::reserve_message(number, group, world.clock.now())?)?;
        sent.insert(load::command_key(number)?.id, Instant::now());
    }
    Ok(sent)
}

/// Adds everything that is stuck to tables and queue.
fn make_trouble(world: &World) -> anyhow::Result<()> {
    let now = world.clock.now();
    for number in 0..STUCK_HOLDS {
        world.store.insert([Record::Reservation(stuck_hold(TROUBLE_NUMBERS + number, world)?)]);
    }
    let mut number = TROUBLE_NUMBERS + STUCK_HOLDS;
    let mut push = |event_id: u64, group: &str| {
        let action = load::reserve(number)?;
        if let Action::Reserve(Reserve { seats, .. }) = &action {
            let seat = load::seat(0, now)?;
            let of_event =
                |seat_number: &_| SeatKey { event_id, number: Clone::clone(seat_number) };
            world.store.insert(seats.iter().map(|key| Record::Seat(of_event(key), seat.clone())));
        }
        let pool = PoolId::Event(event_id);
        world.queue.push(&load::message(number, &group.parse()?, pool, action, now)?)?;
        number += 1;
        anyhow::Ok(())
    };
    for group in 0..DAMAGED_GROUPS {
        for _ in 0..DAMAGED_COMMANDS {
            push(DAMAGED, &format!("event-{DAMAGED}/{group}"))?;
        }
    }
    for _ in 0..THROTTLED_COMMANDS {
        push(THROTTLED, &format!("event-{THROTTLED}"))?;
    }
    Ok(())
}

/// A hold that ended a minute ago, on a missing line; every other one's line is unreadable.
fn stuck_hold(number: usize, world: &World) -> anyhow::Result<Reservation> {
    let now = world.clock.now();
    let before = |seconds: i64| time::saturating_add(now, SignedDuration::from_secs(-seconds));
    Ok(Reservation {
        reservation_id: load::command_key(number)?.default_reservation_id(),
        pool: PoolId::Store(STUCK.parse()?),
        source: load::SOURCE.parse()?,
        user_id: format!("user-{number}").parse()?,
        status: ReservationStatus::Active,
        version: 1,
        seats: Vec::new(),
        lines: vec![OrderLine { sku: format!("sku-{number}").parse()?, quantity: 1 }],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: before(660),
        expires_at: before(60),
        ended_at: None,
    })
}

/// A store with damaged items and a throttled partition.
struct Troubled {
    store: Arc<dyn Store>,
}

/// Whether one of the requested items is damaged.
fn is_damaged(wanted: &LoadRequest) -> bool {
    let is_even = |sku: &str| sku.bytes().last().is_some_and(|digit| digit % 2 == 0);
    let is_stuck = |pool: &PoolId| matches!(pool, PoolId::Store(store) if store.as_str() == STUCK);
    wanted.seats.iter().any(|seat| seat.event_id == DAMAGED)
        || wanted.lines.iter().any(|line| is_stuck(&line.pool) && is_even(line.sku.as_str()))
}

fn is_throttled(transaction: &Transaction) -> bool {
    let touches = |write: &Write| match write {
        Write::Seat { key, .. } => key.event_id == THROTTLED,
        Write::Reservation { reservation, .. } => reservation.pool == PoolId::Event(THROTTLED),
        _ => false,
    };
    transaction.writes.iter().any(touches)
}

inventory_worker::forward_store!(Troubled => store: ScanStore, ExpiryIndex, AttemptStore, LeaseStore);

#[async_trait]
impl ReadStore for Troubled {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        if is_damaged(wanted) {
            return Err(PortError::Unreadable("an item is damaged".to_owned()));
        }
        self.store.load(wanted).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.store.ping().await
    }
}

#[async_trait]
impl CommitStore for Troubled {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        if is_throttled(transaction) {
            return Err(PortError::Throttled("a partition is".to_owned()).into());
        }
        self.store.commit(transaction, token).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sales_beside_no_trouble_are_all_done_and_take_a_round_of_calls() {
        let times = run(&Model::default(), 100, 50.0, false).unwrap();
        assert_eq!((times.ms.len(), times.missing), (100, 0));
        // 10 + 0.5 + 5 + 12.
        assert!((quantile(&times.ms, 0.5) - 27.5).abs() < 2.0, "{}", quantile(&times.ms, 0.5));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_what_it_is_said_to_be() {
        let world = World::new(Model::default().latencies());
        make_trouble(&world).unwrap();
        assert_eq!(world.queue.depth(), DAMAGED_GROUPS * DAMAGED_COMMANDS + THROTTLED_COMMANDS);
        assert_eq!(world.store.inspect(|tables| tables.expiry_index.len()), STUCK_HOLDS);
        let line = |number: usize| inventory_worker::domain::LineKey {
            pool: PoolId::Store(STUCK.parse().unwrap()),
            sku: format!("sku-{number}").parse().unwrap(),
        };
        let of = |number| LoadRequest { lines: [line(number)].into(), ..LoadRequest::default() };
        assert!(is_damaged(&of(10)) && !is_damaged(&of(11)));
    }
}
