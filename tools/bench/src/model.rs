//! The latency of calls, and the best results it allows.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use inventory_worker::adapters::instrumented::{Call, Latency, LatencyModel};

/// Messages of a group that one receive returns.
pub(super) const BATCH: f64 = inventory_worker::ports::queue::BATCH_ENTRIES_MAX as f64;

/// The longest a call may take in a model, ms: an hour.
const MAX_MS: f64 = 3_600_000.0;

/// The latencies of a run.
#[derive(Clone, Debug)]
pub struct Model(LatencyModel);

/// A latency as written in the file, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u32),
    Constant(f64),
    Spread { p50: f64, p99: f64 },
}

impl Default for Model {
    fn default() -> Self {
        Self(LatencyModel::typical())
    }
}

impl Model {
    /// The default, overridden by the TOML document: a table per service, and per call a number of
    /// milliseconds (or `{ p50 = …, p99 = … }`).
    ///
    /// # Errors
    ///
    /// The fault of the document, and the calls that exist.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let services: BTreeMap<String, BTreeMap<String, Written>> = toml::from_str(text).context(
            "a table a service with milliseconds a call, as in [sqs] and receive = 10, or \
             receive = { p50 = 10, p99 = 50 }",
        )?;
        let mut model = LatencyModel::typical();
        for (service, calls) in services {
            for (name, written) in calls {
                let name = format!("{service}.{name}");
                let Some(call) = Call::ALL.into_iter().find(|call| call.as_str() == name) else {
                    let known = Call::ALL.map(Call::as_str).join(", ");
                    bail!("there is no call {name}; there are {known}");
                };
                let latency = written.latency().with_context(|| {
                    format!("{name}: from 0 to {MAX_MS} milliseconds, p99 no less than p50")
                })?;
                model = model.with(call, latency);
            }
        }
        Ok(Self(model))
    }

    /// The latencies.
    #[must_use]
    pub fn latencies(&self) -> LatencyModel {
        self.0.clone()
    }

    /// The sum of these calls' latencies, milliseconds.
    pub(super) fn sum_ms(&self, calls: &[Call]) -> f64 {
        calls.iter().map(|call| ms(self.0.p50(*call))).sum()
    }

    /// The time of a group's batch from its receive to its delete, milliseconds.
    pub(super) fn cycle_ms(&self) -> f64 {
        self.sum_ms(&[
            Call::Receive,
            Call::Acquire,
            Call::Load,
            Call::Commit,
            Call::Release,
            Call::Publish,
            Call::Delete,
        ])
    }

    /// The most commands of one group per second.
    pub(super) fn hot_group_ceiling(&self) -> f64 {
        BATCH * 1_000.0 / self.cycle_ms()
    }
}

/// A duration in milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

impl Written {
    fn latency(self) -> Option<Latency> {
        let time = |ms: f64| {
            let is_sane = (0.0..=MAX_MS).contains(&ms);
            is_sane.then(|| Duration::from_secs_f64(ms / 1_000.0))
        };
        match self {
            Self::Whole(ms) => time(f64::from(ms)).map(Latency::Constant),
            Self::Constant(ms) => time(ms).map(Latency::Constant),
            Self::Spread { p50, p99 } if p50 <= p99 => {
                Some(Latency::Lognormal { p50: time(p50)?, p99: time(p99)? })
            }
            Self::Spread { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_gives_one_group_208_commands_a_second() {
        let model = Model::default();
        assert!((model.cycle_ms() - 48.0).abs() < 1e-9);
        assert!((model.hot_group_ceiling() - 208.333).abs() < 0.001);
    }

    #[test]
    fn what_a_file_says_takes_the_place_of_the_default() {
        let text = "[sqs]\nreceive = 4.5\n[dynamodb]\ncommit = { p50 = 7, p99 = 20 }\nload = 2\n";
        let model = Model::parse(text).unwrap();
        // 48 − 10 − 12 − 5 + 4.5 + 7 + 2
        assert!((model.cycle_ms() - 34.5).abs() < 1e-9, "{}", model.cycle_ms());
        let commit =
            Latency::Lognormal { p50: Duration::from_millis(7), p99: Duration::from_millis(20) };
        assert_eq!(
            model.latencies(),
            LatencyModel::typical()
                .with(Call::Receive, Latency::Constant(Duration::from_micros(4_500)))
                .with(Call::Load, Latency::Constant(Duration::from_millis(2)))
                .with(Call::Commit, commit)
        );
    }

    #[test]
    fn a_wrong_file_is_told_what_is_wrong() {
        for (text, named) in [
            ("[sqs]\nrecieve = 1", "sqs.recieve"),
            ("[sqs]\nreceive = -1", "sqs.receive"),
            ("[sqs]\nreceive = { p50 = 3, p99 = 2 }", "sqs.receive"),
            ("[sqs]\nreceive = \"1\"", "a table a service"),
            ("receive = 1", "a table a service"),
            ("[sqs", "a table a service"),
        ] {
            let error = format!("{:#}", Model::parse(text).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
