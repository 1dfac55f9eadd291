//! Checks lines against the sums that reservations hold of them, and that are sold and still there.

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
    if line.committed < 0 {
        found(format!("{} committed", line.committed));
    }
    if line.on_hand() > ON_HAND_MAX {
        found(format!("{} on hand", line.on_hand()));
    }
    if line.version < 1 {
        found(format!("in version {}", line.version));
    }
}

/// What reservations hold of a line, and what they sold of it that is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    reserved: i128,
    committed: i128,
}

impl Sum {
    fn is_of(self, line: Standing) -> bool {
        let Standing { reserved, committed, .. } = line;
        self == Self { reserved: reserved.into(), committed: committed.into() }
    }
}

/// The sums by line.
#[derive(Default)]
pub(super) struct Sums(BTreeMap<LineKey, Sum>);

impl Sums {
    pub(super) fn add(&mut self, reservation: &Reservation) {
        self.add_of(reservation, |_| true);
    }

    fn add_of(&mut self, reservation: &Reservation, counts: impl Fn(&LineKey) -> bool) {
        let is_held = reservation.status == ReservationStatus::Active;
        if !is_held && !reservation.has_committed_goods() {
            return;
        }
        for request in &reservation.lines {
            let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
            if counts(&key) {
                let sum = self.0.entry(key).or_default();
                let of = if is_held { &mut sum.reserved } else { &mut sum.committed };
                *of = of.saturating_add(i128::from(request.quantity));
            }
        }
    }
}

/// Lines whose reserved or committed differs from the sum.
#[derive(Default)]
pub(super) struct Unequal(BTreeSet<LineKey>);

impl Unequal {
    /// Removes the line's sum, and records the line if they differ.
    pub(super) fn compare(&mut self, record: &Record, sums: &mut Sums) {
        if let Record::Line(key, line) = record {
            let sum = sums.0.remove(key).unwrap_or_default();
            if !sum.is_of(Standing::of(line)) {
                self.0.insert(key.clone());
            }
        }
    }

    /// Records the remaining sums, whose lines do not exist.
    pub(super) fn missing(&mut self, sums: Sums) {
        self.0.extend(sums.0.into_keys());
    }
}

/// A line whose version stayed the same during a whole scan of the reservations had the same
/// reservations throughout, as each change to its reserved or committed changes the line: its sums
/// are exact.
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
            let sum = sums.0.get(&key).copied().unwrap_or_default();
            for violation in violations(&key, line, sum) {
                audit.report.violated(violation, listed_max);
            }
        }
    }
    for key in unequal {
        let detail = "changed during every scan of the reservations".to_owned();
        let violation =
            Violation { invariant: Invariant::ReservedIsSum, subject: name(&key), detail };
        audit.report.not_settled(violation, listed_max);
    }
    Ok(())
}

/// A line's version, and its reserved and committed quantities; 0 if the line does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    version: u64,
    reserved: i64,
    committed: i64,
}

impl Standing {
    fn of(line: &StockLevel) -> Self {
        Self { version: line.version, reserved: line.reserved, committed: line.committed }
    }
}

async fn standing(
    audit: &Audit<'_>,
    keys: &BTreeSet<LineKey>,
) -> Result<BTreeMap<LineKey, Standing>, PortError> {
    let wanted = LoadRequest { lines: keys.clone(), ..LoadRequest::default() };
    let loaded = audit.store.load(&wanted).await?;
    let standing = |line: Option<StockLevel>| line.as_ref().map(Standing::of).unwrap_or_default();
    Ok(loaded.lines.into_iter().map(|(key, line)| (key, standing(line))).collect())
}

fn violations(key: &LineKey, line: Standing, sum: Sum) -> Vec<Violation> {
    let sums = [
        (Invariant::ReservedIsSum, "reserved", i128::from(line.reserved), sum.reserved),
        (Invariant::CommittedIsSum, "committed", i128::from(line.committed), sum.committed),
    ];
    let differs =
        sums.into_iter().filter(|(_, _, of_line, of_reservations)| of_line != of_reservations);
    differs
        .map(|(invariant, what, of_line, of_reservations)| Violation {
            invariant,
            subject: name(key),
            detail: match line.version {
                0 => format!("does not exist, and reservations have {of_reservations} {what}"),
                _ => format!("{of_line} {what}, and reservations have {of_reservations}"),
            },
        })
        .collect()
}

fn name(key: &LineKey) -> String {
    format!("line {} of {}", key.sku, key.pool)
}
