//! The deterministic simulation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use inventory_worker::sim::{self, Options};

#[test]
fn quick() {
    let from: u64 = std::env::var("SIM_FROM").map_or(0, |from| from.parse().unwrap());
    let count: u64 = std::env::var("SIM_SEEDS").map_or(20, |from| from.parse().unwrap());
    let options = Options { keeps_trace: std::env::var("SIM_TRACE").is_ok(), ..Options::default() };
    for seed in from..from + count {
        match sim::run_seed(seed, &options) {
            Ok(report) => println!("{report:?}"),
            Err(failure) => {
                if options.keeps_trace { std::fs::write("/tmp/trace.txt", &failure.history).unwrap(); }
                println!("FAILED seed {} {}: {}", failure.seed, failure.check, failure.detail)
            }
        }
    }
}
