//! Checks lines against the sums that ACTIVE reservations hold of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Audit, Invariant, Pages, ReservationStatus, Violation,
    finding::{CheckedRecord, Finding},
};
use crate::{
    domain::{LineKey, ON_HAND_MAX, Reservation, StockLevel},
    ports::{LoadRequest, PortError, Record, Table},
};

pub(super) fn check(line: &StockLevel, checked: &mut CheckedRecord) {
    checked.versions.push(line.version);
    let mut found =
        |detail| checked.findings.push(Finding::new(Invariant::LineWithinBounds, detail));
    if line.reserved < 0 {
        found(format!("{} reserved", line.reserved));
    }
    if line.on_hand() > ON_HAND_MAX {
        found(format!("{} on hand", line.on_hand()));
    }
    if line.version < 1 {
        found(format!("in version {}", line.version));
    }
}

/// The quantities that ACTIVE reservations hold, by line.
#[derive(Default)]
pub(super) struct Sums(BTreeMap<LineKey, i128>);

impl Sums {
    pub(super) fn add(&mut self, reservation: &Reservation) {
        self.add_of(reservation, |_| true);
    }

    fn add_of(&mut self, reservation: &Reservation, counts: impl Fn(&LineKey) -> bool) {
        if reservation.status != ReservationStatus::Active {
            return;
        }
        for request in &reservation.lines {
            let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
            if counts(&key) {
                let sum = self.0.entry(key).or_default();
                *sum = sum.saturating_add(i128::from(request.quantity));
            }
        }
    }
}

/// Lines whose reserved differs from the sum.
#[derive(Default)]
pub(super) struct Unequal(BTreeSet<LineKey>);

impl Unequal {
    /// Removes the line's sum, and records the line if they differ.
    pub(super) fn compare(&mut self, record: &Record, sums: &mut Sums) {
        if let Record::Line(key, line) = record {
            let sum = sums.0.remove(key).unwrap_or(0);
            if sum != i128::from(line.reserved) {
                self.0.insert(key.clone());
            }
        }
    }

    /// Records the remaining sums, whose lines do not exist.
    pub(super) fn missing(&mut self, sums: Sums) {
        self.0.extend(sums.0.into_keys());
    }
}

/// A line whose version stayed the same during a whole scan of the reservations had the same ACTIVE
/// reservations throughout, as each change to those changes the line: its sum is exact.
pub(super) async fn settle(audit: &mut Audit<'_>, unequal: Unequal) -> Result<(), PortError> {
    let listed_max = audit.options.listed_max;
    let Unequal(mut unequal) = unequal;
    for _ in 0..audit.options.rereads_max {
        if unequal.is_empty() {
            return Ok(());
        }
        let before = standing(audit, &unequal).await?;
        tokio::time::sleep(audit.options.pause).await;
        let mut sums = Sums::default();
        let mut pages = Pages::of(Table::Reservations);
        while let Some(page) = pages.next(audit.store).await? {
            for record in &page.records {
                if let Record::Reservation(reservation) = record {
                    sums.add_of(reservation, |key| unequal.contains(key));
                }
            }
        }
        let after = standing(audit, &unequal).await?;
        for (key, line) in before {
            if after.get(&key).copied() != Some(line) {
                continue;
            }
            unequal.remove(&key);
            let sum = sums.0.get(&key).copied().unwrap_or(0);
            if sum != i128::from(line.reserved) {
                audit.report.violated(violation(&key, line, sum), listed_max);
            }
        }
    }
    for key in unequal {
        let detail = "changed during every scan of the reservations".to_owned();
        let violation = Violation { detail, ..violation(&key, Standing::default(), 0) };
        audit.report.not_settled(violation, listed_max);
    }
    Ok(())
}

/// A line's version and its reserved quantity; 0 if the line does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    version: u64,
    reserved: i64,
}

async fn standing(
    audit: &Audit<'_>,
    keys: &BTreeSet<LineKey>,
) -> Result<BTreeMap<LineKey, Standing>, PortError> {
    let wanted = LoadRequest { lines: keys.clone(), ..LoadRequest::default() };
    let loaded = audit.store.load(&wanted).await?;
    let standing = |line: StockLevel| Standing { version: line.version, reserved: line.reserved };
    let lines = loaded.lines.into_iter();
    Ok(lines.map(|(key, line)| (key, line.map(standing).unwrap_or_default())).collect())
}

fn violation(key: &LineKey, line: Standing, sum: i128) -> Violation {
    let detail = if line.version == 0 {
        format!("does not exist, and ACTIVE reservations hold {sum}")
    } else {
        format!("{} reserved, and ACTIVE reservations hold {sum}", line.reserved)
    };
    let subject = format!("line {} of {}", key.sku, key.pool);
    Violation { invariant: Invariant::ReservedIsSum, subject, detail }
}
