//! What the store is asked to do: write units, and transactions in vain.

use std::sync::Arc;

use anyhow::Context as _;
use uuid::Uuid;

use super::count;
use crate::{
    adapters::{
        dynamodb::{ClientOptions, DynamoStore, TableNames, TableOptions, ensure_tables},
        embedded::EmbeddedDynamo,
        observed::LatencyModel,
        system::Random,
    },
    bench::{Model, Row, Size, Target, load, paused, row::Better, world::World},
    ports::{Expected, Record, Store, Transaction, Write, store::TRANSACTION_ITEMS_MAX},
    worker::{LockMode, Settings},
};

/// Groups at work at once, on seats of their own.
const GROUPS: usize = 64;

/// Seat, reservation and ledger entry, of less than 1 KB each: two units for each in a transaction,
/// and one for the entry of the index.
const UNITS_LEAST: f64 = 7.0;

/// One-seat reserves whose units are counted.
const COUNTED: usize = 200;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (embedded, tables) = write_units_embedded()?;
    let in_memory = paused(async {
        let world = World::new(LatencyModel::zero()).with_reserves(COUNTED, 1)?;
        world.drain(Settings::default()).await?;
        Ok(world.tally.write_units().values().sum::<f64>() / count(COUNTED))
    })?;
    let note = format!(
        "{tables}, as dynoxide answers over the DynamoDB adapter; the tables in memory, which \
         reckon by DynamoDB's rules, say {in_memory:.2}"
    );
    let units =
        Row::new("write_units", embedded.max(in_memory), "units/reserve", Target::AtMost(7.0))
            .with_ceiling(UNITS_LEAST, Better::Less)
            .noting(note);
    Ok(vec![units, cancelled(model, size)?])
}

fn write_units_embedded() -> anyhow::Result<(f64, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let dynamo = EmbeddedDynamo::start(None).await?;
        let client = dynamo.client(&ClientOptions::default());
        let names = TableNames::default();
        ensure_tables(&client, &names, &TableOptions::bare()).await.context("the tables")?;
        let store = Arc::new(DynamoStore::new(client, names, Arc::new(Random::seeded(2))));
        let mut world = World::new(LatencyModel::zero()).with_reserves(COUNTED, 1)?;
        create_seats(&*store, load::seats(COUNTED, world.clock.now())?).await?;
        world.ports.store = store;
        world.drain(Settings::default()).await?;
        dynamo.stop().await;
        let units = world.tally.write_units();
        let each: Vec<String> = units
            .iter()
            .map(|(table, units)| format!("{} {:.2}", table.as_str(), units / count(COUNTED)))
            .collect();
        Ok((units.values().sum::<f64>() / count(COUNTED), each.join(", ")))
    })
}

async fn create_seats(store: &dyn Store, seats: Vec<Record>) -> anyhow::Result<()> {
    let writes: Vec<Write> = seats
        .into_iter()
        .filter_map(|record| match record {
            Record::Seat(key, seat) => Some(Write::Seat { key, expected: Expected::Absent, seat }),
            _ => None,
        })
        .collect();
    for (number, writes) in (0_u128..).zip(writes.chunks(TRANSACTION_ITEMS_MAX)) {
        let transaction = Transaction { writes: writes.to_vec(), checks: Vec::new() };
        store.commit(&transaction, Uuid::from_u128(number)).await?;
    }
    Ok(())
}

/// Without locks, which would hide what the transactions meet, and with latencies that differ.
fn cancelled(model: &Model, size: Size) -> anyhow::Result<Row> {
    let settings = Settings { lock_mode: LockMode::AfterConflict, ..Settings::default() };
    let (transactions, cancelled) = paused(async {
        let latencies = model.latencies().spread(5);
        let world = World::new(latencies).with_reserves(size.commands * 4, GROUPS)?;
        world.drain(settings).await?;
        Ok((world.tally.transactions(), world.tally.cancelled()))
    })?;
    let share = 100.0 * count(cancelled) / count(transactions);
    Ok(Row::new("cancelled_transactions", share, "%", Target::Below(0.1))
        .with_ceiling(0.0, Better::Less)
        .noting(format!(
            "{cancelled} of {transactions} transactions of {GROUPS} groups, without locks, each \
             99th percentile five times its median"
        )))
}
