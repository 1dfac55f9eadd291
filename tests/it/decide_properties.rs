//! Random histories, decided by `decide` and by an independent model: the same outcome and the same
//! world after every command, and the invariants.

pub mod history;
mod invariants;
pub mod model;
mod translate;

use std::collections::BTreeMap;

use inventory_worker::{
    decide::{
        AppliedEntries, DecideError, InapplicableLine, Limits, RestockEntries, apply_entries,
    },
    domain::{Outcome, RejectionCode, RestockSummary, Timestamp},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{TestCaseError, TestRunner},
};

use crate::world::{Items, Ran, World, command, state_of};
use history::{Plain, Step};
use model::Model;

/// The operator's limits in the random worlds.
pub const HOLD_SECONDS_MAX: u32 = 20;
pub const HOLD_TOTAL_SECONDS_MAX: u32 = 30;
pub const ENTRIES_MAX: usize = 4;

/// A command of a history with its effects.
pub struct Decided {
    pub plain: Plain,
    pub now: Timestamp,
    pub ran: Ran,
    pub before: Items,
    pub after: Items,
    pub expected: model::Expected,
    pub model: Model,
}

enum Next<'a> {
    Open(u8),
    Step(&'a Step),
}

/// Runs a history; `each` checks every command, and its error ends the run with the history so far.
pub fn play(
    steps: &[Step],
    mut each: impl FnMut(&Decided) -> Result<(), String>,
) -> Result<(), String> {
    let mut world = World::empty(translate::universe());
    world.limits = Limits {
        hold_seconds_max: HOLD_SECONDS_MAX,
        hold_total_seconds_max: HOLD_TOTAL_SECONDS_MAX,
        reserve_entries_max: ENTRIES_MAX,
        ..Limits::default()
    };
    let mut model = Model::default();
    let mut reported = String::new();
    let mut now_ms = 0;
    let openings = (0..history::POOLS).map(Next::Open);
    for next in openings.chain(steps.iter().map(Next::Step)) {
        let plain = match next {
            Next::Open(pool) => history::opening(pool),
            Next::Step(step) => step.resolve(&model, now_ms),
        };
        now_ms = plain.now_ms;
        reported.push_str(&format!("  {plain:?}\n"));
        let before = world.items();
        let expected = model.decide(&plain);
        let (pool, action) = translate::command(&plain);
        let now = translate::time(plain.now_ms);
        let deadline = plain.deadline_ms.map(translate::time);
        let ran = world.run_by(&pool, action, deadline, now);
        let after = world.items();
        let decided = Decided { plain, now, ran, before, after, expected, model: model.clone() };
        each(&decided).map_err(|error| format!("{error}\nafter\n{reported}"))?;
    }
    Ok(())
}

fn agrees_with_the_model(decided: &Decided) -> Result<(), String> {
    let verdict = &decided.ran.verdict;
    translate::compare(&verdict.outcome, &decided.expected, &decided.model)?;
    let read_dependencies = translate::rests_on(&decided.expected, decided.plain.pool);
    if verdict.read_dependencies != read_dependencies {
        return Err(format!(
            "rests on {:?}, expected {read_dependencies:?}",
            verdict.read_dependencies
        ));
    }
    let expected = translate::items(&decided.model);
    if decided.after != expected {
        return Err(format!("the world is\n{:#?}\nexpected\n{expected:#?}", decided.after));
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_history_goes_as_the_contract_says(steps in history::histories()) {
        play(&steps, |decided| {
            agrees_with_the_model(decided)?;
            invariants::check(decided)
        })
        .map_err(TestCaseError::fail)?;
    }
}

/// Otherwise the property above would prove little.
#[test]
fn the_histories_meet_every_outcome_and_every_rejection() {
    let mut met: BTreeMap<&'static str, u32> = BTreeMap::new();
    let (mut resting, mut late, mut withheld) = (0, 0, 0);
    let mut runner = TestRunner::deterministic();
    for _ in 0..100 {
        let steps = history::histories().new_tree(&mut runner).unwrap().current();
        play(&steps, |decided| {
            let verdict = &decided.ran.verdict;
            let name = match &verdict.outcome {
                Outcome::Rejected { rejection } => rejection.code.as_str(),
                other => other.result_type(),
            };
            *met.entry(name).or_default() += 1;
            resting += u32::from(!verdict.read_dependencies.is_empty());
            late += u32::from(is_late(decided));
            withheld += u32::from(decided.after.seats.values().any(|seat| seat.withheld));
            Ok(())
        })
        .unwrap();
    }
    let decided_elsewhere = [
        RejectionCode::InvalidMessage,
        RejectionCode::UnsupportedType,
        RejectionCode::CommandIdReused,
    ];
    let codes = RejectionCode::ALL.into_iter().filter(|code| !decided_elsewhere.contains(code));
    let types = [
        "reserved",
        "extended",
        "modified",
        "confirmed",
        "fulfilled",
        "cancelled",
        "expired",
        "restocked",
    ];
    let types = types.map(|word| format!("inventory.{word}.v1"));
    for name in codes.map(|code| code.as_str().to_owned()).chain(types) {
        assert!(met.get(name.as_str()).is_some_and(|count| *count >= 3), "{name} in {met:?}");
    }
    assert!(resting >= 10, "{resting} verdicts rested on what they did not change");
    assert!(late >= 10, "{late} confirms were late");
    assert!(withheld >= 10, "a seat was withheld at {withheld} commands");
}

/// A confirm of a hold that had run out or expired.
fn is_late(decided: &Decided) -> bool {
    let Outcome::Confirmed { reservation } = &decided.ran.verdict.outcome else { return false };
    reservation.expires_at <= decided.now && !decided.ran.changes.is_empty()
}

/// The stock before, the restock, and where it is split.
fn chunked() -> impl Strategy<Value = (Vec<Step>, Step, Vec<usize>, u64)> {
    let restock = history::large_restock();
    (history::histories(), restock, proptest::collection::vec(0..10usize, 0..4), any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn a_restock_in_chunks_of_any_size_and_order_is_the_restock_in_one(
        (steps, restock, cuts, order) in chunked()
    ) {
        let mut items = Items::default();
        let mut model = Model::default();
        let mut now_ms = 0;
        play(&steps, |decided| {
            items = decided.after.clone();
            model = decided.model.clone();
            now_ms = decided.plain.now_ms;
            Ok(())
        })
        .map_err(TestCaseError::fail)?;
        let plain = restock.resolve(&model, now_ms);
        let now = translate::time(plain.now_ms);
        let (pool, action) = translate::command(&plain);
        let command = command(1, &pool, action);
        let inventory_worker::domain::Action::Restock(restock) = &command.action else {
            return Err(TestCaseError::fail("not a restock"));
        };
        let universe = translate::universe();

        let mut whole = state_of(&universe, &items);
        let entries = restock.entries();
        let part = |range, inapplicable| RestockEntries { pool: &pool, restock, range, inapplicable };
        let at_once = apply_entries(&mut whole, &part(0..entries, InapplicableLine::Reject), now);
        // Exceeding a bound is another rule.
        prop_assume!(!matches!(at_once, Err(DecideError::Rejected(_))));
        let at_once = at_once.unwrap();

        let mut in_chunks = state_of(&universe, &items);
        let mut sum = RestockSummary::default();
        for chunk in shuffled(chunks(&cuts, entries), order) {
            let AppliedEntries { summary, .. } =
                apply_entries(&mut in_chunks, &part(chunk, InapplicableLine::Skip), now).unwrap();
            sum.seats_applied += summary.seats_applied;
            sum.lines_applied += summary.lines_applied;
            sum.seats_skipped += summary.seats_skipped;
            sum.lines_skipped += summary.lines_skipped;
            sum.skipped.extend(summary.skipped);
        }
        let sorted = |mut summary: RestockSummary| {
            summary.skipped.sort();
            summary
        };
        prop_assert_eq!(sorted(sum), sorted(at_once.summary));
        let by_key = |mut changes: Vec<inventory_worker::decide::Change>| {
            changes.sort_by_key(inventory_worker::decide::Change::key);
            changes
        };
        prop_assert_eq!(by_key(in_chunks.take_changes()), by_key(whole.take_changes()));
    }
}

fn chunks(cuts: &[usize], entries: usize) -> Vec<std::ops::Range<usize>> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| (*cut).min(entries)).collect();
    ends.push(entries);
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let chunk = start..end;
            start = end;
            chunk
        })
        .collect()
}

fn shuffled<T>(mut all: Vec<T>, mut order: u64) -> Vec<T> {
    let mut result = Vec::with_capacity(all.len());
    while !all.is_empty() {
        let count = all.len() as u64;
        result.push(all.swap_remove((order % count) as usize));
        order /= count;
    }
    result
}
