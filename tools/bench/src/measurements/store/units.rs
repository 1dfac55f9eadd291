//! Write units by kind of command, as the embedded DynamoDB answers.

mod cases;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};

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
    domain::{Action, PoolId},
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
        for (number, case) in cases::all(now)?.into_iter().enumerate() {
            kinds.push(of_case(&store, case, number).await?);
        }
        dynamo.stop().await;
        Ok(kinds)
    })
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
