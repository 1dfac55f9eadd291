//! What a storm is to do, within bounds, and what that costs.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Serialize, Serializer};

/// The longest storm, seconds.
const DURATION_MAX: u64 = 600;

/// The most commands a second.
const RATE_MAX: u64 = 1_000;

/// Commands a second where no target is given.
const RATE_DEFAULT: u64 = 50;

/// The most of this process' cores, percent.
const CPU_MAX: u64 = 95;

/// The most stores, and the most SKUs of each.
const STORES_MAX: u64 = 1_000;
const SKUS_MAX: u64 = 1_000;
const STORES_DEFAULT: u64 = 10;
const SKUS_DEFAULT: u64 = 10;

/// Write units of a restock of one line: the line, and the ledger's entry.
const WRITE_UNITS_EACH: u64 = 4;

/// Dollars of a million commands: 4 write units, 5 read units, SQS and SNS.
const DOLLARS_A_MILLION: f64 = 4.0 * 0.625 + 5.0 * 0.125 + 0.60 + 0.30;

/// How the cost was reckoned.
const BASIS: &str = "the most commands of this run; for each 4 write units and 5 read units of \
                     DynamoDB on demand (0.625 and 0.125 dollars a million), 0.60 dollars a million \
                     for SQS and 0.30 for SNS: list prices of us-east-1 of November 2025, without \
                     subscribers and storage. Commands of one store share writes, so that it may \
                     be less";

/// A storm as a caller asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanRequest {
    /// Seconds during which commands are posted.
    pub duration_seconds: u64,
    /// Commands a second; with `target_cpu` the most of them.
    pub target_rate: Option<u64>,
    /// The share of its cores that this process is to use, percent.
    pub target_cpu: Option<u64>,
    /// The stores.
    pub stores: Option<u64>,
    /// The SKUs of each store.
    pub skus: Option<u64>,
}

/// A plan beyond a bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// A field is out of its range.
    #[error("{field}: expected an integer from {} to {}", range.start(), range.end())]
    Field {
        /// The field.
        field: &'static str,
        /// What it may be.
        range: RangeInclusive<u64>,
    },
    /// It would be more commands than the operator allows.
    #[error(
        "target_rate: expected {commands_max} commands at most in all, target_rate times \
         duration_seconds (INVENTORY_STRESS_COMMANDS_MAX)"
    )]
    TooMany {
        /// The operator's limit.
        commands_max: u64,
    },
}

/// The pace of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// So many commands a second.
    Rate(u64),
    /// As many commands a second as make this process use this share of its cores.
    Cpu {
        /// The share, percent.
        percent: u64,
        /// The most commands a second.
        rate_max: u64,
    },
}

/// A storm within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// How long commands are posted.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// The pace.
    #[serde(flatten, serialize_with = "target")]
    pub target: Target,
    /// The stores.
    pub stores: u64,
    /// The SKUs of each store.
    pub skus: u64,
    /// The most commands.
    #[serde(skip)]
    pub commands_max: u64,
}

/// What a storm costs at the most, about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The most commands.
    pub commands: u64,
    /// Write units of DynamoDB.
    pub write_units: u64,
    /// Dollars.
    pub dollars: f64,
    /// How that was reckoned.
    pub basis: &'static str,
}

impl Plan {
    /// Checks what a caller asks for, and fills in the rest.
    ///
    /// # Errors
    ///
    /// A field that is out of its range, or more commands than `commands_max`.
    pub fn of(request: &PlanRequest, commands_max: u64) -> Result<Self, InvalidPlan> {
        let PlanRequest { duration_seconds, target_rate, target_cpu, stores, skus } = *request;
        let duration = within("duration_seconds", Some(duration_seconds), DURATION_MAX)?;
        let duration_seconds = duration.unwrap_or(1);
        let rate = within("target_rate", target_rate, RATE_MAX)?;
        let cpu = within("target_cpu", target_cpu, CPU_MAX)?;
        let stores = within("stores", stores, STORES_MAX)?.unwrap_or(STORES_DEFAULT);
        let skus = within("skus", skus, SKUS_MAX)?.unwrap_or(SKUS_DEFAULT);
        let target = match cpu {
            Some(percent) => Target::Cpu { percent, rate_max: rate.unwrap_or(RATE_MAX) },
            None => Target::Rate(rate.unwrap_or(RATE_DEFAULT)),
        };
        let commands = match target {
            Target::Rate(rate) => rate.saturating_mul(duration_seconds),
            // It ends at the limit: how many there will be is not known.
            Target::Cpu { rate_max, .. } => {
                rate_max.saturating_mul(duration_seconds).min(commands_max)
            }
        };
        if commands > commands_max {
            return Err(InvalidPlan::TooMany { commands_max });
        }
        let duration = Duration::from_secs(duration_seconds);
        Ok(Self { duration, target, stores, skus, commands_max: commands })
    }

    /// What it costs at the most, about.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let commands = self.commands_max;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let dollars = commands as f64 * DOLLARS_A_MILLION / 1e6;
        Cost {
            commands,
            write_units: commands.saturating_mul(WRITE_UNITS_EACH),
            dollars: (dollars * 1e4).ceil() / 1e4,
            basis: BASIS,
        }
    }
}

fn within(field: &'static str, value: Option<u64>, max: u64) -> Result<Option<u64>, InvalidPlan> {
    let range = 1..=max;
    match value {
        Some(value) if !range.contains(&value) => Err(InvalidPlan::Field { field, range }),
        value => Ok(value),
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn target<S: Serializer>(target: &Target, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Fields {
        target_rate: u64,
        target_cpu: Option<u64>,
    }
    let fields = match *target {
        Target::Rate(rate) => Fields { target_rate: rate, target_cpu: None },
        Target::Cpu { percent, rate_max } => {
            Fields { target_rate: rate_max, target_cpu: Some(percent) }
        }
    };
    fields.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(duration_seconds: u64) -> PlanRequest {
        PlanRequest { duration_seconds, ..PlanRequest::default() }
    }

    #[test]
    fn what_is_not_asked_for_has_its_default() {
        let plan = Plan::of(&request(60), 100_000).unwrap();
        let shown = serde_json::to_value(plan).unwrap();
        let expected = json!({
            "duration_seconds": 60, "target_rate": 50, "target_cpu": null, "stores": 10, "skus": 10
        });
        assert_eq!(shown, expected);
        let cost = plan.cost();
        assert_eq!((cost.commands, cost.write_units), (3_000, 12_000));
        assert!((cost.dollars - 0.0121).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn each_field_has_its_range() {
        let refused = |request: PlanRequest| match Plan::of(&request, 1_000_000) {
            Err(InvalidPlan::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 601].map(|seconds| refused(request(seconds))), ["duration_seconds"; 2]);
        for wrong in [0, 1_001, u64::MAX] {
            let some = Some(wrong);
            assert_eq!(refused(PlanRequest { target_rate: some, ..request(1) }), "target_rate");
            assert_eq!(refused(PlanRequest { target_cpu: some, ..request(1) }), "target_cpu");
            assert_eq!(refused(PlanRequest { stores: some, ..request(1) }), "stores");
            assert_eq!(refused(PlanRequest { skus: some, ..request(1) }), "skus");
        }
        let most = PlanRequest {
            target_rate: Some(1_000),
            target_cpu: Some(95),
            stores: Some(1_000),
            skus: Some(1_000),
            ..request(600)
        };
        assert!(Plan::of(&most, 1_000_000).is_ok());
    }

    #[test]
    fn a_rate_that_would_exceed_the_limit_is_refused_and_a_share_of_cores_ends_at_it() {
        let fast = PlanRequest { target_rate: Some(1_000), ..request(101) };
        assert_eq!(Plan::of(&fast, 100_000), Err(InvalidPlan::TooMany { commands_max: 100_000 }));
        assert_eq!(Plan::of(&fast, 101_000).unwrap().commands_max, 101_000);
        let share = PlanRequest { target_cpu: Some(50), ..fast };
        assert_eq!(Plan::of(&share, 100_000).unwrap().commands_max, 100_000);
    }
}
