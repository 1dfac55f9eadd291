//! Compares records with the items they name.

use super::{Audit, finding::CheckedRecord, ledger, lines, reservations, seats};
use crate::ports::{LoadRequest, PortError, ReadSet, Record};

/// Compares records with the items they name, which are read after the records. A record that names
/// an item that cannot be read is left out, and the item reported.
pub(super) async fn examine(
    audit: &mut Audit<'_>,
    records: Vec<Record>,
) -> Result<Vec<CheckedRecord>, PortError> {
    match compare(audit, &records).await {
        Err(PortError::Unreadable(_)) => {}
        answer => return answer,
    }
    let mut all = Vec::with_capacity(records.len());
    for record in &records {
        match compare(audit, std::slice::from_ref(record)).await {
            Ok(checked) => all.extend(checked),
            Err(PortError::Unreadable(what)) => {
                audit.report.cannot_be_read(what, audit.options.listed_max);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn compare(audit: &Audit<'_>, records: &[Record]) -> Result<Vec<CheckedRecord>, PortError> {
    let mut required = LoadRequest::default();
    for record in records {
        match record {
            Record::Seat(_, seat) => seats::required_keys(seat, &mut required),
            Record::Line(..) => {}
            Record::Reservation(reservation) => {
                reservations::required_keys(reservation, &mut required)
            }
            Record::Ledger(key, record) => ledger::required_keys(key, record, &mut required),
        }
    }
    let loaded =
        if required.is_empty() { ReadSet::default() } else { audit.store.load(&required).await? };
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let mut checked = CheckedRecord::new(record);
        match record {
            Record::Seat(key, seat) => seats::check(key, seat, &loaded, &mut checked),
            Record::Line(_, line) => lines::check(line, &mut checked),
            Record::Reservation(reservation) => {
                reservations::check(audit, reservation, &loaded, &mut checked);
            }
            Record::Ledger(key, record) => {
                ledger::check(audit, key, record, &loaded, &mut checked).await?;
            }
        }
        all.push(checked);
    }
    Ok(all)
}

/// Reads failing records again until each passes, or fails as before while no item has changed
/// since, or has changed too often.
pub(super) async fn settle(
    audit: &mut Audit<'_>,
    mut failing: Vec<CheckedRecord>,
) -> Result<(), PortError> {
    let listed_max = audit.options.listed_max;
    for _ in 0..audit.options.rereads_max {
        if failing.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(audit.options.pause).await;
        let mut changed = Vec::new();
        let records = reread(audit, &failing).await?;
        for again in examine(audit, records).await? {
            if again.findings.is_empty() {
                continue;
            }
            let is_same = failing
                .iter()
                .any(|before| before.subject == again.subject && before.versions == again.versions);
            if is_same {
                again.violations().for_each(|found| audit.report.violated(found, listed_max));
            } else {
                changed.push(again);
            }
        }
        failing = changed;
    }
    for record in failing {
        record.violations().for_each(|found| audit.report.not_settled(found, listed_max));
    }
    Ok(())
}

/// The records in their current state, without those that no longer exist, or that cannot be read
/// any more.
async fn reread(
    audit: &mut Audit<'_>,
    failing: &[CheckedRecord],
) -> Result<Vec<Record>, PortError> {
    let mut required = LoadRequest::default();
    failing.iter().for_each(|record| record.subject.add_to(&mut required));
    match audit.store.load(&required).await {
        Err(PortError::Unreadable(_)) => {}
        loaded => return Ok(records(loaded?)),
    }
    let mut all = Vec::with_capacity(failing.len());
    for record in failing {
        let mut required = LoadRequest::default();
        record.subject.add_to(&mut required);
        match audit.store.load(&required).await {
            Ok(loaded) => all.extend(records(loaded)),
            Err(PortError::Unreadable(what)) => {
                audit.report.cannot_be_read(what, audit.options.listed_max);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn records(loaded: ReadSet) -> Vec<Record> {
    let seats = loaded.seats.into_iter().filter_map(|(key, seat)| Some(Record::Seat(key, seat?)));
    let lines = loaded.lines.into_iter().filter_map(|(key, line)| Some(Record::Line(key, line?)));
    let reservations = loaded.reservations.into_values().flatten().map(Record::Reservation);
    let ledger =
        loaded.ledger.into_iter().filter_map(|(key, entry)| Some(Record::Ledger(key, entry?)));
    seats.chain(lines).chain(reservations).chain(ledger).collect()
}
