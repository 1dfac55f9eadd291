//! The deterministic simulation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Mutex;

use inventory_simulator::{self as sim, Fault, Options, Situation};

/// Reads a number of seeds: `SIM_SEEDS`, starting at `SIM_FIRST`. `SIM_WITHOUT` leaves out kinds of
/// fault, like `--without`.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_history_holds() {
    let (first, seeds) = (number("SIM_FIRST", 0), number("SIM_SEEDS", 2_000));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let began = std::time::Instant::now();
    let words = std::env::var("SIM_WITHOUT").unwrap_or_default();
    let words = words.split(',').filter(|word| !word.is_empty());
    let options = Options {
        shrinks_at_most: usize::try_from(number("SIM_SHRINKS", 300)).unwrap(),
        without: words.map(|word| word.parse().unwrap()).collect(),
        ..Options::default()
    };
    let summary = sim::run(first, seeds, threads, &options);
    let took = began.elapsed();
    for failure in &summary.failures {
        println!("{failure}");
    }
    println!(
        "{} histories in {took:?} on {threads} threads, {:.0} a second: {} messages, {} commits, \
         {} dead letters ({} collateral), {} s simulated, faults {:?}, gateways {:?}",
        summary.held,
        summary.held as f64 / took.as_secs_f64(),
        summary.messages,
        summary.commits,
        summary.dead_letters,
        summary.collateral_dead_letters,
        summary.simulated.as_secs(),
        summary.faults,
        summary.situations,
    );
    assert!(summary.failures.is_empty(), "{} histories fail", summary.failures.len());
    assert_eq!(summary.held, seeds);
    if seeds >= 2_000 {
        for fault in Fault::ALL.iter().filter(|fault| !options.without.contains(fault)) {
            let count = summary.faults.get(fault).copied().unwrap_or(0);
            assert!(count > 0, "{fault:?} never happened");
        }
        for situation in Situation::ALL.iter().filter(|_| options.without.is_empty()) {
            let count = summary.situations.get(situation).copied().unwrap_or(0);
            assert!(count > 0, "{situation:?} never happened");
        }
    }
}

#[test]
fn a_seed_makes_the_same_history_byte_for_byte() {
    for seed in 0..20 {
        let options = Options::default();
        let first = sim::trace_of(seed, &options);
        let second = sim::trace_of(seed, &options);
        assert!(first.lines().count() > 50, "seed {seed} makes next to no history");
        let different = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert_eq!(different, None, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn the_trace_kept_as_text_is_the_trace_that_is_hashed() {
    let options = Options::default();
    let kept = Options { keeps_trace: true, ..options.clone() };
    for seed in 0..5 {
        let hash = |options| sim::run_seed(seed, options).unwrap().trace_hash;
        assert_eq!(hash(&options), hash(&kept), "seed {seed}");
    }
}

#[cfg(feature = "injected-bugs")]
#[test]
fn a_history_that_fails_is_narrowed_down_and_fails_alike_when_run_again() {
    use inventory_worker::injected::{self, Bug};

    injected::inject(Some(Bug::DropSeatCondition));
    // Gateways' commands and visits are many, and hold on to one another.
    let without = [Fault::Gateways].into();
    let options = Options { shrinks_at_most: 300, without, ..Options::default() };
    let failure = (0..1_000).find_map(|seed| sim::run_seed(seed, &options).err()).unwrap();
    let as_it_is = Options { shrinks_at_most: 0, ..failure.narrowed.clone() };
    let again = sim::run_seed(failure.seed, &as_it_is).unwrap_err();
    injected::inject(None);
    println!("{failure}");
    let (left, all) = failure.messages;
    assert!(left <= all / 2, "{left} of {all} messages are left");
    assert_eq!((again.check, &again.detail), (failure.check, &failure.detail));
    let replay = failure.replay();
    assert!(replay.contains(&format!("--seed {} --trace", failure.seed)), "{replay}");
}

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: sim::Arguments,
}

/// Whether every check passed, the output, and the progress reported for the seeds.
fn run_cli(arguments: &[&str]) -> (bool, String, Vec<(u64, u64)>) {
    use clap::Parser as _;

    let arguments = ["sim"].iter().chain(arguments);
    let line = CommandLine::try_parse_from(arguments).unwrap();
    let mut text = Vec::new();
    let reported = Mutex::new(Vec::new());
    let progress = |run, whole| reported.lock().unwrap().push((run, whole));
    let holds = sim::run_cli(&line.arguments, &mut text, &progress).unwrap();
    (holds, String::from_utf8(text).unwrap(), reported.into_inner().unwrap())
}

#[test]
fn the_command_line_runs_seeds_and_shows_the_history_of_one() {
    let (holds, text, reported) = run_cli(&["--first", "3", "--seeds", "2", "--threads", "1"]);
    assert!(holds && text.starts_with("2 histories held, 0 did not"), "{text}");
    assert_eq!(reported, [(1, 2), (2, 2)]);
    let narrowed = ["--seed", "3", "--trace", "--without", "throttle,tail", "--keep", "0,1,2"];
    let (holds, text, _) = run_cli(&narrowed);
    assert!(holds, "{text}");
    let sent = text.lines().filter(|line| line.contains(" sent c") && line.contains("\"c-"));
    assert!((1..=3).contains(&sent.count()), "{text}");
    assert!(!text.contains("!throttled"), "{text}");
}
