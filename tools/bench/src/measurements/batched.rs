//! One group whose messages hold 25 commands each, with results in kind.

use super::{count, per_second};
use crate::{
    Model, Row, Size, Target, load,
    model::BATCH,
    paused,
    row::Better,
    world::{World, group_ids},
};
use inventory_worker::{
    adapters::instrumented::{Call, LatencyModel},
    domain::{Action, LineKey, OrderLine, PoolId, Reserve, StockLevel},
    message,
    ports::{OutgoingMessage, Record, store::TRANSACTION_ITEMS_MAX},
    worker::{ResultBatches, Settings},
};

/// Commands of a message.
const PER_MESSAGE: usize = 25;

/// The line that everyone wants.
const SKU: &str = "standing";

/// Write units of a reserve of one SKU whose line costs nothing: reservation and ledger entry, two
/// units each in a transaction, and the entry of the index.
const UNITS_LEAST: f64 = 5.0;

/// What the commands of a round ask for.
#[derive(Clone, Copy)]
enum Wanted {
    SeatsOfTheirOwn,
    OneLine,
}

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let commands = size.commands * 5;
    let seats =
        |per_message, commands| of_group(model, Wanted::SeatsOfTheirOwn, per_message, commands);
    let line = |per_message, commands| of_group(model, Wanted::OneLine, per_message, commands);
    let (single, batched) = (seats(1, size.commands)?, seats(PER_MESSAGE, commands)?);
    let (single_line, batched_line) = (line(1, size.commands)?, line(PER_MESSAGE, commands)?);
    let round = BATCH * count(PER_MESSAGE);
    let ceiling = |transactions: f64| {
        let more = (transactions - 1.0) * model.sum_ms(&[Call::Commit]);
        round * 1_000.0 / (model.cycle_ms() + more)
    };
    // A reservation and a ledger entry each, and the line once.
    let of_line = (round / ((count(TRANSACTION_ITEMS_MAX) - 1.0) / 2.0).floor()).ceil();
    let units = write_units()?;
    let note = format!(
        "{PER_MESSAGE} one-seat reserves a message, ten messages a round, results in kind: \
         {batched:.0} commands/s instead of {single:.0}; the ceiling is one round of calls, the \
         transactions side by side"
    );
    let note_of_line = format!(
        "the same on one line: {batched_line:.0} commands/s instead of {single_line:.0}; the ceiling \
         has {of_line} transactions of a round one after the other, since all write the line. A \
         partition of DynamoDB takes 1,000 write units a second: see docs/operations"
    );
    let note_of_units = format!(
        "a reserve of one SKU, {round:.0} in a round, by the tables in memory, which reckon by \
         DynamoDB's rules; the line is written once a transaction"
    );
    Ok(vec![
        Row::new("hot_group_batched", batched / single, "times", Target::AtLeast(20.0))
            .with_ceiling(ceiling(1.0) / model.hot_group_ceiling(), Better::More)
            .noting(note),
        Row::new("hot_line_batched", batched_line, "commands/s", Target::AtLeast(2_000.0))
            .with_ceiling(ceiling(of_line), Better::More)
            .noting(note_of_line),
        Row::new(
            "hot_line_batched_ratio",
            batched_line / single_line,
            "times",
            Target::AtLeast(10.0),
        ),
        Row::new("write_units_batched", units, "units/reserve", Target::AtMost(5.1))
            .with_ceiling(UNITS_LEAST, Better::Less)
            .noting(note_of_units),
    ])
}

/// Commands per second of one group whose queue is full from the start.
fn of_group(
    model: &Model,
    wanted: Wanted,
    per_message: usize,
    commands: usize,
) -> anyhow::Result<f64> {
    paused(async {
        let world = world(model.latencies(), wanted, per_message, commands)?;
        Ok(per_second(commands, world.drain(settings()).await?))
    })
}

fn settings() -> Settings {
    Settings { result_batches: ResultBatches::InKind, ..Settings::default() }
}

/// Write units of a reserve of one SKU, in rounds of 250.
fn write_units() -> anyhow::Result<f64> {
    const COMMANDS: usize = 1_000;
    paused(async {
        let world = world(LatencyModel::zero(), Wanted::OneLine, PER_MESSAGE, COMMANDS)?;
        world.drain(settings()).await?;
        Ok(world.tally.write_units().values().sum::<f64>() / count(COMMANDS))
    })
}

fn world(
    model: LatencyModel,
    wanted: Wanted,
    per_message: usize,
    commands: usize,
) -> anyhow::Result<World> {
    let world = World::new(model);
    let now = world.clock.now();
    match wanted {
        Wanted::SeatsOfTheirOwn => world.store.insert(load::seats(commands, now)?),
        Wanted::OneLine => {
            let key = LineKey { pool: PoolId::Event(load::EVENT), sku: SKU.parse()? };
            let available = i64::try_from(commands)?;
            let line = StockLevel {
                available,
                reserved: 0,
                committed: 0,
                as_of: None,
                version: 1,
                updated_at: now,
            };
            world.store.insert([Record::Line(key, line)]);
        }
    }
    let [group] = &group_ids(1)?[..] else { anyhow::bail!("a group") };
    let numbers: Vec<usize> = (0..commands).collect();
    for together in numbers.chunks(per_message) {
        let mut bodies = Vec::with_capacity(together.len());
        for number in together {
            let action = match wanted {
                Wanted::SeatsOfTheirOwn => load::reserve(*number)?,
                Wanted::OneLine => reserve_line(*number)?,
            };
            let pool = PoolId::Event(load::EVENT);
            bodies.push(load::message(*number, group, pool, action, now)?);
        }
        let Some(first) = bodies.first() else { continue };
        let body = match per_message {
            1 => first.body.clone(),
            _ => message::join_batch(bodies.iter().map(|message| message.body.as_str())),
        };
        world.queue.push(&OutgoingMessage { body, ..first.clone() })?;
    }
    Ok(world)
}

fn reserve_line(number: usize) -> anyhow::Result<Action> {
    let Action::Reserve(reserve) = load::reserve(number)? else { anyhow::bail!("a reserve") };
    let lines = vec![OrderLine { sku: SKU.parse()?, quantity: 1 }];
    Ok(Action::Reserve(Reserve { seats: Vec::new(), lines, ..reserve }))
}
