//! Every injected bug is caught by the simulation: `make injected-bugs`.
//!
//! `INJECTED_BUG_SEEDS` sets another limit than 10,000 seeds a bug, `INJECTED_BUGS` selects bugs
//! (comma-separated names), and `SIM_WITHOUT` leaves out kinds of fault.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use inventory_simulator::{self as sim, Options};
use inventory_worker::injected::{self, Bug};

/// The seed that caught a bug, and the check.
struct Caught {
    seed: u64,
    check: &'static str,
}

fn options() -> Options {
    let Ok(words) = std::env::var("SIM_WITHOUT") else { return Options::default() };
    let without = words.split(',').map(|word| word.parse().unwrap()).collect();
    Options { without, ..Options::default() }
}

fn hunt(bug: Bug, seeds: u64) -> Option<Caught> {
    let options = options();
    injected::inject(Some(bug));
    let failed = (0..seeds).find_map(|seed| sim::run_seed(seed, &options).err());
    injected::inject(None);
    let failure = failed?;
    // A history that fails without the bug has caught nothing.
    if let Err(sound) = sim::run_seed(failure.seed, &options) {
        panic!("seed {} fails without an injected bug, too: {}", sound.seed, sound.check);
    }
    Some(Caught { seed: failure.seed, check: failure.check })
}

fn bugs() -> Vec<Bug> {
    let Ok(names) = std::env::var("INJECTED_BUGS") else { return Bug::ALL.to_vec() };
    let named = |name: &str| Bug::ALL.iter().copied().find(|bug| bug.as_str() == name);
    names.split(',').map(|name| named(name).unwrap_or_else(|| panic!("no bug {name}"))).collect()
}

#[test]
fn every_injected_bug_is_caught() {
    let seeds = std::env::var("INJECTED_BUG_SEEDS").map_or(10_000, |seeds| seeds.parse().unwrap());
    let bugs = bugs();
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Vec::new());
    let hunters = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..hunters {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let caught = hunt(*bug, seeds);
                    let found = caught.as_ref().map(|caught| (caught.seed, caught.check));
                    // Bypasses the runner's capture, because a hunt takes long.
                    let line = format!("{}: {found:?}\n", bug.as_str());
                    std::io::stderr().write_all(line.as_bytes()).unwrap();
                    table.lock().unwrap().push((*bug, caught));
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    table.sort_by_key(|(bug, _)| *bug);
    let mut text =
        format!("{:<28} {:>7}  {:<24} removed guard\n", "injected bug", "seed", "caught by");
    for (bug, caught) in &table {
        let (seed, check) = caught.as_ref().map_or(("-".to_owned(), "NOT CAUGHT"), |caught| {
            (caught.seed.to_string(), caught.check)
        });
        writeln!(text, "{:<28} {seed:>7}  {check:<24} {}", bug.as_str(), bug.what()).unwrap();
    }
    // Bypasses the runner's capture: the table is the purpose of the run.
    std::io::stderr().write_all(text.as_bytes()).unwrap();
    let missed: Vec<&str> =
        table.iter().filter(|(_, caught)| caught.is_none()).map(|(bug, _)| bug.as_str()).collect();
    assert!(missed.is_empty(), "not caught within {seeds} seeds: {missed:?}");
}
