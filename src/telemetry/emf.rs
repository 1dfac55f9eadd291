//! Metrics as log lines in CloudWatch's embedded metric format: CloudWatch extracts metrics from
//! them wherever its logs come from, without an agent.
//!
//! A line holds the metrics of one set of dimensions over the last minute: counts since the
//! previous line, current gauges, and for histograms a sample, because the format allows at most a
//! hundred values per metric.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::{
    domain::{CommandType, Timestamp},
    gateway::observer::StressOutcome,
    ports::Clock,
};

mod names;

/// The finest resolution that CloudWatch keeps of ordinary metrics.
const EVERY: Duration = Duration::from_secs(60);

/// The format: "an array … MUST NOT have more than 100" values of one metric.
const VALUES_MAX: u64 = 100;

/// Writes lines until it is stopped, then a last one.
pub async fn run(
    namespace: String,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut emf = Emf::new(namespace);
    let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let text = emf.lines(&metrics.gather(), clock.now());
        // If stderr is closed there is no other output.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        if is_last {
            return;
        }
    }
}

/// The CloudWatch name of a Prometheus metric; `None` for one that is not exported.
#[must_use]
pub fn name_of(prometheus: &str) -> Option<&'static str> {
    names::of(prometheus).map(|(name, _)| name)
}

/// Names and values of labels.
type Labels = Vec<(String, String)>;

/// The values of the previous line, to report the difference.
struct Emf {
    namespace: String,
    counters: BTreeMap<(String, Labels), f64>,
    buckets: BTreeMap<(String, Labels), Vec<u64>>,
}

/// The values of one line, by name.
type Samples = BTreeMap<&'static str, Sample>;

struct Sample {
    unit: &'static str,
    value: Value,
}

impl Emf {
    fn new(namespace: String) -> Self {
        Self { namespace, counters: BTreeMap::new(), buckets: BTreeMap::new() }
    }

    /// One line for all metrics without dimensions, and one for each set of labels with new values.
    fn lines(&mut self, families: &[MetricFamily], at: Timestamp) -> String {
        let mut lines: BTreeMap<Labels, Samples> = BTreeMap::new();
        for family in families {
            let Some((name, unit)) = names::of(family.name()) else { continue };
            match family.get_field_type() {
                MetricType::COUNTER => self.count(family, (name, unit), &mut lines),
                MetricType::GAUGE => gauge(family, (name, unit), &mut lines),
                MetricType::HISTOGRAM => self.sample(family, (name, unit), &mut lines),
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
        let lines = lines.into_iter().map(|(labels, samples)| self.line(&labels, samples, at));
        lines.collect()
    }

    fn count(
        &mut self,
        family: &MetricFamily,
        (name, unit): (&'static str, &'static str),
        lines: &mut BTreeMap<Labels, Samples>,
    ) {
        let (mut total, mut decided) = (0.0, 0.0);
        let mut restocks = (0.0, 0.0);
        for metric in family.get_metric() {
            let labels = labels(metric);
            let now = metric.get_counter().get_value();
            let before = self.counters.insert((name.to_owned(), labels.clone()), now);
            let news = now - before.unwrap_or_default();
            total += news;
            if name == names::COMMANDS && is_restock(&labels) {
                match labels.iter().any(|(_, value)| value == "rejected") {
                    true => restocks.1 += news,
                    false => restocks.0 += news,
                }
            }
            if name == names::STRESSED && is_decided(&labels) {
                decided += news;
            }
            if !labels.is_empty() && news > 0.0 {
                let value = json!(news);
                lines.entry(labels).or_default().insert(name, Sample { unit, value });
            }
        }
        let totals = lines.entry(Labels::new()).or_default();
        totals.insert(name, Sample { unit, value: json!(total) });
        if name == names::COMMANDS {
            let (applied, rejected) = restocks;
            totals.insert(names::UPDATED, Sample { unit, value: json!(applied) });
            totals.insert(names::UPDATE_ERROR, Sample { unit, value: json!(rejected) });
        }
        if name == names::STRESSED {
            totals.insert(names::STRESS_DECIDED, Sample { unit, value: json!(decided) });
        }
    }

    fn sample(
        &mut self,
        family: &MetricFamily,
        (name, unit): (&'static str, &'static str),
        lines: &mut BTreeMap<Labels, Samples>,
    ) {
        let mut all: Vec<(f64, u64)> = Vec::new();
        for metric in family.get_metric() {
            let labels = labels(metric);
            let news = self.news_of_buckets((name.to_owned(), labels.clone()), metric);
            all.resize(all.len().max(news.len()), (0.0, 0));
            for ((bound, sum), (upper, count)) in all.iter_mut().zip(&news) {
                (*bound, *sum) = (*upper, sum.saturating_add(*count));
            }
            let values = values(&news);
            if !labels.is_empty() && !values.is_empty() {
                let value = json!(values);
                lines.entry(labels).or_default().insert(name, Sample { unit, value });
            }
        }
        let values = values(&all);
        if !values.is_empty() {
            let value = json!(values);
            lines.entry(Labels::new()).or_default().insert(name, Sample { unit, value });
        }
    }

    /// Each bucket's upper bound, and the observations added since the last call.
    fn news_of_buckets(&mut self, series: (String, Labels), metric: &Metric) -> Vec<(f64, u64)> {
        let histogram = metric.get_histogram();
        let finite =
            histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let mut bounds: Vec<(f64, u64)> =
            finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
        // Observations beyond the last bound count as on it: their value is unknown.
        let last = bounds.last().map_or(0.0, |(bound, _)| *bound);
        bounds.push((last, histogram.get_sample_count()));
        let now: Vec<u64> = bounds.iter().map(|(_, cumulative)| *cumulative).collect();
        let before = self.buckets.insert(series, now).unwrap_or_default();
        let before = before.into_iter().chain(std::iter::repeat(0));
        let mut below = 0;
        let news = bounds.into_iter().zip(before).map(|((bound, cumulative), before)| {
            let since = cumulative.saturating_sub(before);
            let count = since.saturating_sub(below);
            below = since;
            (bound, count)
        });
        news.collect()
    }

    fn line(&self, labels: &Labels, samples: Samples, at: Timestamp) -> String {
        let dimensions: Vec<String> =
            labels.iter().map(|(name, _)| names::dimension(name)).collect();
        let metrics: Vec<Value> = samples
            .iter()
            .map(|(name, sample)| json!({ "Name": name, "Unit": sample.unit }))
            .collect();
        let mut line = Map::new();
        let directive = json!({
            "Namespace": self.namespace, "Dimensions": [dimensions], "Metrics": metrics,
        });
        let milliseconds = at.as_millisecond();
        let reported = json!({ "Timestamp": milliseconds, "CloudWatchMetrics": [directive] });
        line.insert("_aws".to_owned(), reported);
        line.insert("service".to_owned(), json!("inventory-worker"));
        line.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        let values = labels.iter().map(|(name, value)| (names::dimension(name), json!(value)));
        line.extend(values);
        line.extend(samples.into_iter().map(|(name, sample)| (name.to_owned(), sample.value)));
        format!("{}\n", Value::Object(line))
    }
}

/// Adds a gauge's current values. Of several, the largest goes without dimensions; of
/// [`names::READY`] the smallest, as one part that cannot work stops all.
fn gauge(
    family: &MetricFamily,
    (name, unit): (&'static str, &'static str),
    lines: &mut BTreeMap<Labels, Samples>,
) {
    let mut most: Option<f64> = None;
    for metric in family.get_metric() {
        let (labels, value) = (labels(metric), metric.get_gauge().get_value());
        let worse = if name == names::READY { f64::min } else { f64::max };
        most = Some(most.map_or(value, |most| worse(most, value)));
        if !labels.is_empty() {
            let value = json!(value);
            lines.entry(labels).or_default().insert(name, Sample { unit, value });
        }
    }
    if let Some(most) = most {
        let value = json!(most);
        lines.entry(Labels::new()).or_default().insert(name, Sample { unit, value });
    }
}

fn labels(metric: &Metric) -> Labels {
    let of =
        |pair: &prometheus::proto::LabelPair| (pair.name().to_owned(), pair.value().to_owned());
    metric.get_label().iter().map(of).collect()
}

fn is_restock(labels: &Labels) -> bool {
    labels.iter().any(|(_, value)| value == CommandType::Restock.as_str())
}

/// Whether the labels are of commands of storms that have their outcome.
fn is_decided(labels: &Labels) -> bool {
    let outcomes = [StressOutcome::Completed, StressOutcome::Rejected].map(StressOutcome::as_str);
    labels.iter().any(|(_, value)| outcomes.contains(&value.as_str()))
}

/// A sample of the observations in the buckets, spread evenly over each bucket: percentiles can be
/// computed from it. At most [`VALUES_MAX`] values, whatever the number of observations.
#[expect(clippy::cast_precision_loss, reason = "counts and indexes of at most a hundred values")]
fn values(buckets: &[(f64, u64)]) -> Vec<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let taken = total.min(VALUES_MAX);
    let mut values = Vec::new();
    let (mut seen, mut drawn, mut lower) = (0_u64, 0_u64, 0.0);
    for (upper, count) in buckets {
        seen += count;
        // As many of the sample as are due by now: rounding loses none.
        let due = u64::try_from(u128::from(seen) * u128::from(taken) / u128::from(total.max(1)));
        let share = due.unwrap_or(taken) - drawn;
        drawn += share;
        values.extend((0..share).map(|index| {
            let within = (index as f64 + 0.5) / share as f64;
            lower + (upper - lower) * within
        }));
        lower = *upper;
    }
    values
}

#[cfg(test)]
mod tests;
