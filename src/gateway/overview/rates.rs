//! Rates of workers, from their totals at two times.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use crate::{domain::Timestamp, ports::WorkerTotals};

/// Two totals further apart say nothing of now.
const APART_MAX: Duration = Duration::from_secs(15);

/// The last totals of each worker on the board, and its rate.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<Uuid, Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    at: Timestamp,
    decided: u64,
    per_second: Option<f64>,
}

impl Rates {
    /// Takes what is on the board now, and forgets who is not on it. Returns what all workers decide
    /// each second; `None` while no rate is known.
    pub(super) fn update(&mut self, totals: &[WorkerTotals]) -> Option<f64> {
        let now = totals.iter().map(|totals| {
            let (at, decided) = (totals.at, totals.decided());
            let per_second = self.0.get(&totals.worker).and_then(|known| known.rate(at, decided));
            (totals.worker, Known { at, decided, per_second })
        });
        self.0 = now.collect();
        self.0.values().filter_map(|known| known.per_second).reduce(|sum, rate| sum + rate)
    }
}

impl Known {
    /// The rate from here to then.
    fn rate(&self, at: Timestamp, decided: u64) -> Option<f64> {
        if at == self.at {
            return self.per_second;
        }
        // A clock that went back tells no rate.
        let apart = Duration::try_from(at.duration_since(self.at)).ok()?;
        if apart > APART_MAX {
            return None;
        }
        // A worker that began again counts from zero.
        let more = decided.checked_sub(self.decided).unwrap_or(decided);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        Some(more as f64 / apart.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(worker: u128, at_ms: i64, decided: u64) -> WorkerTotals {
        WorkerTotals {
            worker: Uuid::from_u128(worker),
            at: Timestamp::from_millisecond(at_ms).unwrap(),
            completed: [("inventory.reserve.v1".to_owned(), decided)].into(),
            rejected: BTreeMap::new(),
        }
    }

    fn rates(reports: &[&[(u128, i64, u64)]]) -> Vec<Option<f64>> {
        let mut rates = Rates::default();
        let of = |report: &&[(u128, i64, u64)]| {
            let totals: Vec<_> = report.iter().map(|&(w, at, d)| totals(w, at, d)).collect();
            rates.update(&totals)
        };
        reports.iter().map(of).collect()
    }

    #[test]
    fn a_rate_takes_two_reports_of_one_worker_and_all_of_them_add_up() {
        let found = rates(&[
            &[(1, 0, 100)],
            &[(1, 2_000, 300), (2, 2_000, 9_000)],
            &[(1, 4_000, 300), (2, 4_000, 9_020)],
        ]);
        assert_eq!(found, [None, Some(100.0), Some(10.0)]);
    }

    #[test]
    fn a_report_that_is_seen_twice_keeps_its_rate() {
        let found = rates(&[&[(1, 0, 0)], &[(1, 2_000, 8)], &[(1, 2_000, 8)], &[(1, 4_000, 8)]]);
        assert_eq!(found, [None, Some(4.0), Some(4.0), Some(0.0)]);
    }

    #[test]
    fn a_worker_that_began_again_counts_from_zero() {
        assert_eq!(rates(&[&[(1, 0, 500)], &[(1, 2_000, 6)]]), [None, Some(3.0)]);
    }

    #[test]
    fn reports_far_apart_and_a_clock_that_went_back_tell_no_rate() {
        assert_eq!(rates(&[&[(1, 0, 0)], &[(1, 15_001, 10)]]), [None, None]);
        assert_eq!(
            rates(&[&[(1, 2_000, 0)], &[(1, 1_000, 10)], &[(1, 3_000, 14)]])[1..],
            [None, Some(2.0)]
        );
    }

    #[test]
    fn a_worker_that_is_gone_has_no_rate() {
        let found = rates(&[&[(1, 0, 0)], &[(1, 2_000, 10)], &[], &[(1, 4_000, 99)]]);
        assert_eq!(found, [None, Some(5.0), None, None]);
    }
}
