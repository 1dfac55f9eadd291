//! The counts and times of a storm while it runs.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::summary::{OfType, StormSummary, rounded};
use crate::{domain::CommandType, message::DecodedResult, report::quantile};

/// The progress of a storm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The part done: seconds, or buyers who have left. `None` during preparation.
    pub done: Option<u64>,
    /// The total.
    pub whole: u64,
    /// Its unit.
    pub unit: &'static str,
    /// Commands with an outcome so far.
    pub answered: u64,
    /// Commands a second so far.
    pub per_second: f64,
}

/// Commands and their results since the storm began.
#[derive(Debug, Default)]
pub(super) struct StormCounts {
    begun: Option<Instant>,
    whole: u64,
    unit: &'static str,
    left: u64,
    sent: u64,
    answered: u64,
    not_sent: u64,
    unanswered: u64,
    stray: u64,
    times_ms: BTreeMap<CommandType, Vec<f64>>,
    outcomes: BTreeMap<String, u64>,
    rejections: BTreeMap<String, u64>,
    a_second: Vec<f64>,
}

impl StormCounts {
    /// Resets the counts of the preparation; the storm starts.
    pub(super) fn begin(&mut self, whole: u64, unit: &'static str) {
        *self = Self { begun: Some(Instant::now()), whole, unit, ..Self::default() };
    }

    pub(super) fn not_sent(&mut self) {
        self.not_sent += 1;
    }

    pub(super) fn unanswered(&mut self) {
        self.sent += 1;
        self.unanswered += 1;
    }

    /// Counts a result that no request awaits: a repetition, or a late one.
    pub(super) fn stray(&mut self) {
        self.stray += 1;
    }

    /// Counts a buyer who left.
    pub(super) fn buyer_left(&mut self) {
        self.left += 1;
    }

    pub(super) fn answered(
        &mut self,
        command_type: CommandType,
        took: Duration,
        result: &DecodedResult,
    ) {
        self.sent += 1;
        self.answered += 1;
        let took_ms = took.as_secs_f64() * 1_000.0;
        self.times_ms.entry(command_type).or_default().push(took_ms);
        *self.outcomes.entry(result.result_type().to_owned()).or_default() += 1;
        if let Some(rejection) = result.rejection() {
            *self.rejections.entry(rejection.code.as_str().to_owned()).or_default() += 1;
        }
        let second = self.begun.map_or(0, |begun| begun.elapsed().as_secs());
        let second = usize::try_from(second).unwrap_or(usize::MAX - 1);
        // The list has one entry per second of the storm.
        if self.a_second.len() <= second {
            self.a_second.resize(second + 1, 0.0);
        }
        if let Some(count) = self.a_second.get_mut(second) {
            *count += 1.0;
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let elapsed = self.begun.map(|begun| begun.elapsed());
        let done = elapsed.map(|elapsed| match self.unit {
            "s" => elapsed.as_secs().min(self.whole),
            _ => self.left,
        });
        let per_second = elapsed.map_or(0.0, |elapsed| per(self.answered, elapsed.as_secs_f64()));
        Progress { done, whole: self.whole, unit: self.unit, answered: self.answered, per_second }
    }

    /// The summary of a storm of that length with these calls.
    pub(super) fn summary(
        &self,
        storm: &'static str,
        seconds: f64,
        calls: BTreeMap<&'static str, u64>,
    ) -> StormSummary {
        let mut all: Vec<f64> = self.times_ms.values().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let by_command = self
            .times_ms
            .iter()
            .map(|(command_type, times)| {
                let mut times = times.clone();
                times.sort_by(f64::total_cmp);
                (command_type.as_str(), OfType::of(&times))
            })
            .collect();
        let calls: BTreeMap<&'static str, u64> =
            calls.into_iter().filter(|(_, calls)| *calls > 0).collect();
        let of_all = OfType::of(&all);
        StormSummary {
            storm,
            seconds: rounded(seconds),
            commands: self.sent,
            answered: self.answered,
            unanswered: self.unanswered,
            not_sent: self.not_sent,
            stray_results: self.stray,
            commands_per_second: rounded(per(self.answered, seconds)),
            p50_ms: of_all.p50_ms,
            p95_ms: of_all.p95_ms,
            p99_ms: of_all.p99_ms,
            longest_ms: rounded(quantile(&all, 1.0)),
            by_command,
            outcomes: self.outcomes.clone(),
            rejections: self.rejections.clone(),
            calls_per_command: calls
                .iter()
                .map(|(name, calls)| (*name, rounded(per(*calls, count(self.answered)))))
                .collect(),
            calls,
            workers: None,
            times_ms: all,
            a_second: self.a_second.clone(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

/// The quotient; 0 where the divisor is 0.
pub(super) fn per(what: u64, by: f64) -> f64 {
    if by > 0.0 { count(what) / by } else { 0.0 }
}
