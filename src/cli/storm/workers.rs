//! What workers' own metrics say of a time.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{net::lookup_host, time};

use crate::cli::health::{Answer, get};

/// The whole exchange with one worker.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a worker's admin port is.
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
pub(super) type Figures = BTreeMap<String, f64>;

/// What the workers' metrics stand at.
///
/// # Errors
///
/// A worker does not answer.
pub(super) async fn figures(workers: &[WorkerAddress]) -> anyhow::Result<Figures> {
    let mut sums = Figures::new();
    for WorkerAddress(worker) in workers {
        let asked = async {
            let address = lookup_host(worker).await?.next().context("no address")?;
            anyhow::Ok(get(address, "/metrics").await?)
        };
        let within = time::timeout(TIMEOUT, asked).await.context("no answer in time");
        let Answer { status, body } =
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

/// What happened since, for the summary; `None` where no worker was named.
///
/// # Errors
///
/// A worker does not answer.
pub(super) async fn since(
    before: Figures,
    workers: &[WorkerAddress],
) -> anyhow::Result<Option<BTreeMap<&'static str, f64>>> {
    if workers.is_empty() {
        return Ok(None);
    }
    let after = figures(workers).await?;
    Ok(Some(derived(&before, &after)))
}

fn derived(before: &Figures, after: &Figures) -> BTreeMap<&'static str, f64> {
    let grown = |name: &str| {
        let of = |figures: &Figures| figures.get(name).copied().unwrap_or_default();
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
    fn figures_are_what_was_added_over_all_labels() {
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
            let mut sums = Figures::new();
            for (name, value) in read(text) {
                *sums.entry(name.to_owned()).or_default() += value;
            }
            sums
        };
        let figures = derived(&sums(&text(10)), &sums(&text(30)));
        assert_eq!(figures["commands decided"], 40.0);
        assert_eq!(figures["messages in a batch"], 5.0);
        assert_eq!(figures["batches a command"], 0.5);
        assert_eq!(derived(&Figures::new(), &Figures::new())["transactions a command"], 0.0);
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!("127.0.0.1:9090".parse::<WorkerAddress>().is_ok());
        for wrong in ["localhost", ":9090", "host:port", ""] {
            assert!(wrong.parse::<WorkerAddress>().is_err(), "{wrong}");
        }
    }
}
