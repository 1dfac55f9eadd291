//! Shrinks a failing history to the shortest that fails the same check.

use std::{collections::BTreeSet, fmt};

use super::{
    Fault, Options, checks::Violation, driver, profile::Profile, trace::Trace, workload::Workload,
};

/// A failing history, as short as the search found.
#[derive(Clone, Debug)]
pub struct FailureReport {
    /// Its seed.
    pub seed: u64,
    /// The failed check.
    pub check: &'static str,
    /// Details of the violation.
    pub detail: String,
    /// The trace of the history.
    pub history: String,
    /// The options that select the shortened history.
    pub narrowed: Options,
    /// The number of commands and visits left, and the original number.
    pub messages: (usize, usize),
}

impl FailureReport {
    /// The command that reruns this history and prints its trace.
    #[must_use]
    pub fn replay(&self) -> String {
        let mut command = format!("inventory-simulator --seed {} --trace", self.seed);
        if let Some(workers) = self.narrowed.workers {
            command.push_str(&format!(" --workers {workers}"));
        }
        if !self.narrowed.without.is_empty() {
            command.push_str(&format!(" --without {}", joined(&self.narrowed.without)));
        }
        if let Some(kept) = &self.narrowed.kept {
            let numbers: Vec<_> = kept.iter().map(usize::to_string).collect();
            command.push_str(&format!(" --keep {}", numbers.join(",")));
        }
        command
    }
}

fn joined(faults: &BTreeSet<Fault>) -> String {
    faults.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join(",")
}

impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.history)?;
        writeln!(f, "seed {} fails {}: {}", self.seed, self.check, self.detail)?;
        let (left, all) = self.messages;
        writeln!(f, "narrowed down to {left} of {all} commands and visits; to run it again:")?;
        writeln!(f, "  {}", self.replay())
    }
}

/// Reruns the history with less while the same check fails.
pub(super) fn shrink(seed: u64, options: &Options, violation: Violation) -> FailureReport {
    let profile = Profile::draw(seed, options);
    let all = Workload::draw(seed, &profile, None).countable;
    let narrowed = Options { keeps_trace: false, ..options.clone() };
    let runs_left = options.shrinks_at_most;
    let mut search = Search { seed, violation, best: narrowed, found: 0, runs_left };
    loop {
        let found = search.found;
        search.fewer_faults();
        search.fewer_messages(all);
        search.fewer_workers(profile.workers);
        if search.found == found {
            break;
        }
    }
    let traced = Options { keeps_trace: true, ..search.best.clone() };
    let (_, trace) = driver::run(seed, &traced);
    FailureReport {
        seed,
        check: search.violation.check,
        detail: search.violation.detail,
        history: trace.and_then(Trace::into_text).unwrap_or_default(),
        messages: (search.best.kept.as_ref().map_or(all, Vec::len), all),
        narrowed: search.best,
    }
}

struct Search {
    seed: u64,
    violation: Violation,
    best: Options,
    /// How many reductions succeeded.
    found: usize,
    runs_left: usize,
}

impl Search {
    /// Keeps the options if the same check still fails with them.
    fn try_with(&mut self, options: Options) -> bool {
        if self.runs_left == 0 {
            return false;
        }
        self.runs_left -= 1;
        match driver::run(self.seed, &options).0 {
            Err(violation) if violation.check == self.violation.check => {
                self.violation = violation;
                self.best = options;
                self.found += 1;
                true
            }
            _ => false,
        }
    }

    fn fewer_faults(&mut self) {
        for fault in Fault::ALL {
            if self.best.without.contains(fault) {
                continue;
            }
            let mut options = self.best.clone();
            options.without.insert(*fault);
            self.try_with(options);
        }
    }

    /// Leaves out ever smaller runs of messages.
    fn fewer_messages(&mut self, all: usize) {
        let mut kept: Vec<usize> = self.best.kept.clone().unwrap_or_else(|| (0..all).collect());
        let mut width = kept.len().div_ceil(2);
        while width > 0 && self.runs_left > 0 {
            let mut from = 0;
            while from < kept.len() && self.runs_left > 0 {
                let mut fewer = kept.clone();
                fewer.drain(from..kept.len().min(from + width));
                let options = Options { kept: Some(fewer.clone()), ..self.best.clone() };
                if self.try_with(options) {
                    kept = fewer;
                } else {
                    from += width;
                }
            }
            width /= 2;
        }
    }

    fn fewer_workers(&mut self, workers: usize) {
        for fewer in 1..self.best.workers.unwrap_or(workers) {
            if self.try_with(Options { workers: Some(fewer), ..self.best.clone() }) {
                return;
            }
        }
    }
}
