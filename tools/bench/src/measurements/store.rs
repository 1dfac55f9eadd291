//! Write units, and cancelled transactions.

mod units;

use anyhow::Context as _;

use super::count;
use crate::{Model, Row, Size, Target, paused, row::Better, world::World};
use inventory_worker::{
    adapters::instrumented::LatencyModel,
    report::Plot,
    worker::{LockMode, Settings},
};

/// Concurrent groups, each on its own seats.
const GROUPS: usize = 64;

/// The multiple of one group's commands, so that one transaction in a thousand would show.
const ENOUGH: usize = 40;

/// Seat, reservation and ledger entry, of less than 1 KB each: two units for each in a transaction,
/// and one for the entry of the index.
const UNITS_LEAST: f64 = 7.0;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let kinds = units::of_every_kind()?;
    let reserve = kinds.first().context("a first kind of command")?;
    let in_memory = paused(async {
        let world = World::new(LatencyModel::zero()).with_reserves(units::COUNTED, 1)?;
        world.drain(Settings::default()).await?;
        Ok(world.tally.write_units().values().sum::<f64>() / count(units::COUNTED))
    })?;
    let others: Vec<String> =
        kinds.iter().skip(1).map(|kind| format!("{} {:.2}", kind.name, kind.units())).collect();
    let note = format!(
        "{}, as dynoxide answers over the DynamoDB adapter; the tables in memory, which reckon by \
         DynamoDB's rules, say {in_memory:.2}. Other commands: {}",
        reserve.by_table(),
        others.join(", ")
    );
    let bars = Plot::Bars {
        title: "Write units a command, as the store answers".to_owned(),
        unit: "units",
        bars: kinds.iter().map(|kind| (kind.name.to_owned(), kind.units())).collect(),
    };
    let figure = reserve.units().max(in_memory);
    let units = Row::new("write_units", figure, "units/reserve", Target::AtMost(7.0))
        .with_ceiling(UNITS_LEAST, Better::Less)
        .noting(note)
        .showing(bars);
    Ok(vec![units, cancelled(model, size)?])
}

/// Without locks, which would hide transaction conflicts, and with varying latencies.
fn cancelled(model: &Model, size: Size) -> anyhow::Result<Row> {
    let settings = Settings { lock_mode: LockMode::AfterConflict, ..Settings::default() };
    let (transactions, cancelled) = paused(async {
        let latencies = model.latencies().spread(5);
        let world = World::new(latencies).with_reserves(size.commands * ENOUGH, GROUPS)?;
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
