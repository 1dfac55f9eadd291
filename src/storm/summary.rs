//! The results of a storm, as numbers and as an HTML page.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{Page, Plot, number, quantile};

/// The results of a storm. Times run from the start of the call that sent the command to the
/// receipt of its result.
#[derive(Clone, Debug, Serialize)]
pub struct StormSummary {
    /// `restocks` or `on-sale`.
    pub storm: &'static str,
    /// Its duration without preparation, seconds.
    pub seconds: f64,
    /// Commands that a queue accepted.
    pub commands: u64,
    /// Of these, those with an outcome.
    pub answered: u64,
    /// Commands without an outcome in time.
    pub unanswered: u64,
    /// Commands that no queue accepted.
    pub not_sent: u64,
    /// Results that no request awaited: repetitions and late results.
    pub stray_results: u64,
    /// Outcomes a second.
    pub commands_per_second: f64,
    /// The median, ms.
    pub p50_ms: f64,
    /// The 95th percentile, ms.
    pub p95_ms: f64,
    /// The 99th percentile, ms.
    pub p99_ms: f64,
    /// The maximum, ms.
    pub longest_ms: f64,
    /// The times by type of command.
    pub by_command: BTreeMap<&'static str, OfType>,
    /// Outcomes by type of result.
    pub outcomes: BTreeMap<String, u64>,
    /// Rejections by code.
    pub rejections: BTreeMap<String, u64>,
    /// Calls the storm itself made, as a producer and subscriber.
    pub calls: BTreeMap<&'static str, u64>,
    /// The same per answered command.
    pub calls_per_command: BTreeMap<&'static str, f64>,
    /// The workers' own metrics, if workers were named.
    pub workers: Option<BTreeMap<&'static str, f64>>,
    #[serde(skip)]
    pub(super) times_ms: Vec<f64>,
    #[serde(skip)]
    pub(super) a_second: Vec<f64>,
}

/// The times of commands of one type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OfType {
    /// The number of commands.
    pub count: usize,
    /// The median, ms.
    pub p50_ms: f64,
    /// The 95th percentile, ms.
    pub p95_ms: f64,
    /// The 99th percentile, ms.
    pub p99_ms: f64,
}

impl OfType {
    pub(super) fn of(sorted_ms: &[f64]) -> Self {
        let at = |share| rounded(quantile(sorted_ms, share));
        Self { count: sorted_ms.len(), p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}

/// Rounded to hundredths; 0 for NaN and infinities.
pub(super) fn rounded(value: f64) -> f64 {
    if value.is_finite() { (value * 100.0).round() / 100.0 } else { 0.0 }
}

impl StormSummary {
    /// Whether every command has an outcome.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unanswered == 0 && self.not_sent == 0
    }

    /// A page with plots.
    #[must_use]
    pub fn html(&self) -> String {
        let mut page = Page::new(&format!("inventory-worker storm: {}", self.storm));
        page.paragraph(&format!(
            "{} commands in {} s: {} a second. {} without an outcome in time, {} not sent.",
            self.commands,
            number(self.seconds),
            number(self.commands_per_second),
            self.unanswered,
            self.not_sent
        ));
        let mut rows = vec![row_of("all", self.answered.to_string(), self)];
        rows.extend(self.by_command.iter().map(|(name, of)| {
            let times = [of.p50_ms, of.p95_ms, of.p99_ms].map(number);
            [vec![(*name).to_owned(), of.count.to_string()], times.to_vec()].concat()
        }));
        page.heading("Time to the outcome");
        page.table(&["command", "count", "p50, ms", "p95, ms", "p99, ms"], &rows);
        let counted = |counts: &BTreeMap<String, u64>| -> Vec<Vec<String>> {
            counts.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect()
        };
        page.heading("Outcomes");
        page.table(&["result", "count"], &counted(&self.outcomes));
        if !self.rejections.is_empty() {
            page.table(&["rejection", "count"], &counted(&self.rejections));
        }
        page.heading("Calls of the storm itself");
        let each = |name: &str| self.calls_per_command.get(name).copied().unwrap_or_default();
        let rows: Vec<Vec<String>> = self
            .calls
            .iter()
            .map(|(name, calls)| vec![(*name).to_owned(), calls.to_string(), number(each(name))])
            .collect();
        page.table(&["call", "count", "a command"], &rows);
        if let Some(workers) = &self.workers {
            page.heading("The workers, by their own metrics");
            let rows: Vec<Vec<String>> =
                workers.iter().map(|(name, n)| vec![(*name).to_owned(), number(*n)]).collect();
            page.table(&["metric", "value"], &rows);
        }
        let title = "Outcomes, second by second".to_owned();
        let a_second = self.a_second.clone();
        page.plot(&Plot::Course { title, unit: "outcomes/s", a_second });
        if !self.times_ms.is_empty() {
            let title = "From sent to outcome".to_owned();
            let times_ms = self.times_ms.clone();
            page.plot(&Plot::Distribution { title, times_ms, bound_ms: None });
        }
        page.finish()
    }
}

fn row_of(name: &str, count: String, summary: &StormSummary) -> Vec<String> {
    let times = [summary.p50_ms, summary.p95_ms, summary.p99_ms].map(number);
    [vec![name.to_owned(), count], times.to_vec()].concat()
}
