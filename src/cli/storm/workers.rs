//! The growth of workers' own metrics during a storm.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{net::lookup_host, time};

use crate::cli::health::{HttpResponse, get};

/// How long one worker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The address of a worker's admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerAddress(String);

impl FromStr for WorkerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_address = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        match is_address {
            true => Ok(Self(text.to_owned())),
            false => Err("HOST:PORT of a worker's admin port".to_owned()),
        }
    }
}

/// Sums over the workers, by the name of the metric without its labels.
pub(super) type MetricSums = BTreeMap<String, f64>;

/// The workers' metrics now.
///
/// # Errors
///
/// A worker does not answer.
pub(super) async fn metrics(workers: &[WorkerAddress]) -> anyhow::Result<MetricSums> {
    let mut sums = MetricSums::new();
    for WorkerAddress(worker) in workers {
        let answered = async {
            let address = lookup_host(worker).await?.next().context("no address")?;
            anyhow::Ok(get(address, "/metrics").await?)
        };
        let within = time::timeout(TIMEOUT, answered).await.context("no answer in time");
        let HttpResponse { status, body } =
            within.and_then(|answer| answer).with_context(|| format!("http://{worker}/metrics"))?;
        ensure!(status == 200, "http://{worker}/metrics: answered {status}");
        for (name, value) in read(&body) {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
    Ok(sums)
}

/// Samples in Prometheus' text format, without their labels.
fn read(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let name = sample.split('{').next()?;
        Some((name, value.parse().ok()?))
    })
}

/// The growth since `before`, for the summary; `None` where no worker was named.
///
/// # Errors
///
/// A worker does not answer.
pub(super) async fn since(
    before: MetricSums,
    workers: &[WorkerAddress],
) -> anyhow::Result<Option<BTreeMap<&'static str, f64>>> {
    if workers.is_empty() {
        return Ok(None);
    }
    let after = metrics(workers).await?;
    Ok(Some(derived(&before, &after)))
}

fn derived(before: &MetricSums, after: &MetricSums) -> BTreeMap<&'static str, f64> {
    let grown = |name: &str| {
        let of = |sums: &MetricSums| sums.get(name).copied().unwrap_or_default();
        of(after) - of(before)
    };
    let commands = grown("inventory_commands_total");
    let batches = grown("inventory_batch_size_count");
    let per_command = |value: f64| if commands > 0.0 { value / commands } else { 0.0 };
    BTreeMap::from([
        ("commands decided", commands),
        (
            "messages in a batch",
            if batches > 0.0 { grown("inventory_batch_size_sum") / batches } else { 0.0 },
        ),
        ("batches a command", per_command(batches)),
        ("transactions a command", per_command(grown("inventory_commit_attempts_total"))),
        ("write units a command", per_command(grown("inventory_dynamodb_capacity_units_total"))),
        ("version conflicts", grown("inventory_version_conflicts_total")),
        ("batches without their locks", grown("inventory_lock_fallbacks_total")),
        ("repetitions answered from the ledger", grown("inventory_duplicate_commands_total")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_its_growth_summed_over_all_labels() {
        let text = |n: u32| {
            format!(
                "# HELP inventory_commands_total commands\n\
                 inventory_commands_total{{type=\"a b\",outcome=\"x\"}} {n}\n\
                 inventory_commands_total{{type=\"b\",outcome=\"y\"}} {n}\n\
                 inventory_batch_size_sum {}\ninventory_batch_size_count {n}\n",
                n * 5
            )
        };
        let sums = |text: &str| {
            let mut sums = MetricSums::new();
            for (name, value) in read(text) {
                *sums.entry(name.to_owned()).or_default() += value;
            }
            sums
        };
        let metrics = derived(&sums(&text(10)), &sums(&text(30)));
        assert_eq!(metrics["commands decided"], 40.0);
        assert_eq!(metrics["messages in a batch"], 5.0);
        assert_eq!(metrics["batches a command"], 0.5);
        assert_eq!(derived(&MetricSums::new(), &MetricSums::new())["transactions a command"], 0.0);
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!("127.0.0.1:9090".parse::<WorkerAddress>().is_ok());
        for wrong in ["localhost", ":9090", "host:port", ""] {
            assert!(wrong.parse::<WorkerAddress>().is_err(), "{wrong}");
        }
    }
}
