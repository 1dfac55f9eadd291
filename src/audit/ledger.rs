//! Checks ledger entries against the items they name.

use super::{
    Audit, Invariant, ReservationStatus,
    finding::{CheckedRecord, Finding},
};
use crate::{
    domain::{
        Changes, CommandKey, CommandType, ItemState, Outcome, PoolId, Reservation, RestockSummary,
        Timestamp, command::RESTOCK_ENTRIES_MAX,
    },
    ports::{LedgerKey, LedgerRecord, LoadRequest, PortError, ReadSet},
};

pub(super) fn required_keys(key: &LedgerKey, record: &LedgerRecord, required: &mut LoadRequest) {
    match (key, record) {
        (LedgerKey::Command(key), LedgerRecord::Outcome { outcome, .. }) => {
            let named = outcome.reservation().map(|reservation| reservation.reservation_id);
            required.reservations.extend(named);
            if matches!(outcome, Outcome::Restocked { .. }) {
                required.ledger.insert(LedgerKey::Chunk(key.clone(), 0));
            }
        }
        (LedgerKey::Chunk(key, _), LedgerRecord::Chunk { .. }) => {
            required.ledger.insert(LedgerKey::Command(key.clone()));
        }
        _ => {}
    }
}

pub(super) async fn check(
    audit: &Audit<'_>,
    key: &LedgerKey,
    record: &LedgerRecord,
    loaded: &ReadSet,
    checked: &mut CheckedRecord,
) -> Result<(), PortError> {
    match (key, record) {
        (
            LedgerKey::Command(key),
            LedgerRecord::Outcome { command_type, pool, outcome, changes, decided_at, .. },
        ) => {
            let wrong = malformed(*command_type, pool, outcome).into_iter();
            for wrong in wrong.chain(malformed_changes(outcome, changes)) {
                checked.findings.push(Finding::new(Invariant::LedgerEntryWellFormed, wrong));
            }
            let entry = OutcomeEntry { key, outcome, decided_at: *decided_at };
            check_reservation(audit, &entry, loaded, checked);
            check_sum(audit, &entry, loaded, checked).await?;
        }
        (LedgerKey::Command(_), LedgerRecord::Intent { chunk_ends, .. }) => {
            if !are_boundaries(chunk_ends) {
                let detail = format!("its chunks end at {chunk_ends:?}");
                checked.findings.push(Finding::new(Invariant::LedgerEntryWellFormed, detail));
            }
        }
        (LedgerKey::Chunk(key, number), LedgerRecord::Chunk { .. }) => {
            let owner = loaded.ledger.get(&LedgerKey::Command(key.clone()));
            check_chunk(audit, *number, record, owner, checked);
        }
        (LedgerKey::Command(_), LedgerRecord::Chunk { .. }) | (LedgerKey::Chunk(..), _) => {
            let detail = "kept under the key of another kind of entry".to_owned();
            checked.findings.push(Finding::new(Invariant::LedgerEntryWellFormed, detail));
        }
    }
    Ok(())
}

/// The properties that no command could have given the outcome.
fn malformed(command_type: CommandType, pool: &PoolId, outcome: &Outcome) -> Vec<String> {
    let due = match (command_type, outcome) {
        (CommandType::Reserve, Outcome::Reserved { reservation }) => {
            (reservation.status, reservation.version) == (ReservationStatus::Active, 1)
        }
        (CommandType::Extend, Outcome::Extended { reservation })
        | (CommandType::Modify, Outcome::Modified { reservation }) => {
            reservation.status == ReservationStatus::Active
        }
        (CommandType::Confirm, Outcome::Confirmed { reservation }) => {
            reservation.status == ReservationStatus::Confirmed
        }
        (CommandType::Fulfil, Outcome::Fulfilled { reservation }) => {
            reservation.status == ReservationStatus::Confirmed && reservation.fulfilled_at.is_some()
        }
        (CommandType::Cancel, Outcome::Cancelled { reservation, .. }) => {
            reservation.status == ReservationStatus::Cancelled
        }
        (CommandType::Expire, Outcome::Expired { reservation }) => {
            reservation.status == ReservationStatus::Expired
        }
        (CommandType::Restock, Outcome::Restocked { .. }) => true,
        (_, Outcome::Rejected { rejection }) => !rejection.code.is_unrecorded(),
        _ => false,
    };
    let mut wrong = Vec::new();
    if !due {
        let what = outcome.rejection().map_or_else(
            || {
                let status = outcome.reservation().map_or("", |found| found.status.as_str());
                format!("{} {status}", outcome.result_type())
            },
            |rejection| rejection.code.as_str().to_owned(),
        );
        wrong.push(format!("{} came to {what}", command_type.as_str()));
    }
    if let Some(other) = outcome.reservation().filter(|reservation| reservation.pool != *pool) {
        wrong.push(format!("of {pool}, its reservation of {}", other.pool));
    }
    wrong
}

/// Why no command with this outcome can have left these changes.
fn malformed_changes(outcome: &Outcome, changes: &Changes) -> Option<String> {
    let Changes::Listed(changes) = changes else {
        let is_restock = matches!(outcome, Outcome::Restocked { .. });
        return (!is_restock).then(|| "its changes are omitted".to_owned());
    };
    let named = |change: &ItemState| match outcome {
        Outcome::Rejected { .. } => false,
        // A restock names no reservation, and a modify also changes what it removes.
        Outcome::Restocked { .. } | Outcome::Modified { .. } => true,
        other => other.reservation().is_some_and(|reservation| match change {
            ItemState::Seat { seat_number, .. } => reservation.seats.contains(seat_number),
            ItemState::Line { sku, .. } => reservation.lines.iter().any(|line| line.sku == *sku),
        }),
    };
    let stray = changes.iter().filter(|change| !named(change)).count();
    (stray > 0).then(|| format!("it changed {stray} seats and lines that it does not name"))
}

/// The ledger entry of a decided command.
struct OutcomeEntry<'a> {
    key: &'a CommandKey,
    outcome: &'a Outcome,
    decided_at: Timestamp,
}

fn check_reservation(
    audit: &Audit<'_>,
    entry: &OutcomeEntry<'_>,
    loaded: &ReadSet,
    checked: &mut CheckedRecord,
) {
    let Some(then) = entry.outcome.reservation() else { return };
    let id = then.reservation_id;
    let now = loaded.reservations.get(&id).and_then(Option::as_ref);
    checked.versions.push(now.map_or(0, |now| now.version));
    let Some(now) = now else {
        // The reservation is kept from its end, and no outcome of it is later.
        if entry.decided_at > audit.kept_since() {
            let detail =
                format!("{} of reservation {id}, which does not exist", then.status.as_str());
            checked.findings.push(Finding::new(Invariant::OutcomeNamesReservation, detail));
        }
        return;
    };
    if let Some(how) = disagreement(then, now) {
        let detail = format!("left reservation {id} {}, and {how}", then.status.as_str());
        checked.findings.push(Finding::new(Invariant::OutcomeAgrees, detail));
    }
}

/// Why the reservation cannot have developed from `then` to `now`.
fn disagreement(then: &Reservation, now: &Reservation) -> Option<String> {
    let is_forgotten = now.user_id == now.reservation_id.pseudonym();
    let then = &match is_forgotten {
        // A removal goes through reservations before outcomes.
        true => Reservation { user_id: now.user_id.clone(), ..then.clone() },
        false => then.clone(),
    };
    let lasting = |of: &Reservation| {
        let of = of.clone();
        (of.pool, of.source, of.user_id, of.created_at)
    };
    if lasting(then) != lasting(now) || then.expires_at > now.expires_at {
        return Some("it was made otherwise".to_owned());
    }
    let holdings = |of: &Reservation| (of.seats.clone(), of.lines.clone(), of.expires_at);
    // Only a hold is extended and modified, and neither ends it.
    let is_active = |of: &Reservation| of.status == ReservationStatus::Active;
    let next = then.version.saturating_add(1);
    let is_next = now.version == next;
    let may_differ = is_active(then) && (is_active(now) || !is_next);
    let is_held_otherwise = !may_differ && holdings(then) != holdings(now);
    let sale = |of: &Reservation| (of.booking_id.clone(), of.goods);
    let is_booked_otherwise = then.booking_id.is_some() && sale(then) != sale(now);
    let may_follow = match (then.status, now.status) {
        _ if then == now => true,
        // The removal of the user's id is a change, and has no outcome.
        _ if is_forgotten && Reservation { version: next, ..then.clone() } == *now => true,
        _ if now.version <= then.version || is_held_otherwise || is_booked_otherwise => false,
        (ReservationStatus::Active, _) => true,
        // By a confirm that allows an expired reservation, and a refund after it.
        (ReservationStatus::Expired, _) => now.booking_id.is_some(),
        // By a fulfil.
        (ReservationStatus::Confirmed, ReservationStatus::Confirmed) => {
            then.fulfilled_at.is_none() && now.fulfilled_at.is_some()
        }
        (ReservationStatus::Confirmed, ReservationStatus::Cancelled) => true,
        _ => false,
    };
    let standing = || format!("it is {} in version {}", now.status.as_str(), now.version);
    (!may_follow).then(standing)
}

fn are_boundaries(ends: &[u32]) -> bool {
    let is_growing = ends.iter().zip(ends.iter().skip(1)).all(|(end, next)| end < next);
    let last = ends.last().and_then(|last| usize::try_from(*last).ok());
    is_growing
        && ends.first().is_some_and(|first| *first > 0)
        && last.is_some_and(|last| last <= RESTOCK_ENTRIES_MAX)
}

/// A chunk's marker is written after its intent, and its outcome replaces the intent.
fn check_chunk(
    audit: &Audit<'_>,
    number: u32,
    chunk: &LedgerRecord,
    owner: Option<&Option<LedgerRecord>>,
    checked: &mut CheckedRecord,
) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let begun_at = begun_at(chunk);
    let wrong = match owner.and_then(Option::as_ref) {
        // The intent is the older of the two, and its time to live may have run out first; another
        // restock may have begun under its key since.
        _ if begun_at.is_none_or(|begun_at| begun_at <= audit.kept_since()) => None,
        None => Some("its restock is not in the ledger".to_owned()),
        Some(owner) if owner.digest() != chunk.digest() => {
            Some("its restock has other content".to_owned())
        }
        Some(LedgerRecord::Intent { chunk_ends, .. }) if number >= chunk_ends.len() => {
            Some(format!("its restock has {} chunks", chunk_ends.len()))
        }
        Some(LedgerRecord::Intent { decided_at, .. }) if begun_at != Some(*decided_at) => {
            Some("its restock began at another time".to_owned())
        }
        Some(LedgerRecord::Intent { .. }) => None,
        Some(LedgerRecord::Outcome { outcome: Outcome::Restocked { .. }, .. }) => None,
        Some(_) => Some("its command is no restock that was applied".to_owned()),
    };
    checked.findings.extend(wrong.map(|wrong| Finding::new(Invariant::ChunkBelongs, wrong)));
}

fn begun_at(record: &LedgerRecord) -> Option<Timestamp> {
    match record {
        LedgerRecord::Chunk { begun_at, .. } => Some(*begun_at),
        LedgerRecord::Outcome { .. } | LedgerRecord::Intent { .. } => None,
    }
}

/// The most chunks whose markers are loaded at once.
const CHUNKS_A_LOAD: u32 = 100;

/// If there are markers, counted from 0, the outcome is their sum.
async fn check_sum(
    audit: &Audit<'_>,
    entry: &OutcomeEntry<'_>,
    loaded: &ReadSet,
    checked: &mut CheckedRecord,
) -> Result<(), PortError> {
    let OutcomeEntry { key, outcome, decided_at } = *entry;
    let Outcome::Restocked { restock, .. } = outcome else { return Ok(()) };
    let first = loaded.ledger.get(&LedgerKey::Chunk(key.clone(), 0)).and_then(Option::as_ref);
    let Some(begun) = first.and_then(begun_at).filter(|_| decided_at > audit.kept_since()) else {
        return Ok(());
    };
    let mut sum = [0u64; 4];
    let mut from = 0u32;
    'chunks: loop {
        let end = from.saturating_add(CHUNKS_A_LOAD);
        let ledger = (from..end).map(|number| LedgerKey::Chunk(key.clone(), number)).collect();
        let loaded = audit.store.load(&LoadRequest { ledger, ..LoadRequest::default() }).await?;
        for number in from..end {
            let chunk = loaded.ledger.get(&LedgerKey::Chunk(key.clone(), number));
            let Some(Some(LedgerRecord::Chunk { summary, begun_at, .. })) = chunk else {
                break 'chunks;
            };
            if *begun_at != begun {
                break 'chunks;
            }
            for (total, counted) in sum.iter_mut().zip(counts(summary)) {
                *total = total.saturating_add(counted);
            }
        }
        from = end;
    }
    if sum != counts(restock) {
        let detail = format!(
            "counts {:?} (seats applied, seats skipped, lines applied, lines skipped), its chunks \
             {sum:?}",
            counts(restock)
        );
        checked.findings.push(Finding::new(Invariant::RestockIsSum, detail));
    }
    Ok(())
}

fn counts(summary: &RestockSummary) -> [u64; 4] {
    [summary.seats_applied, summary.seats_skipped, summary.lines_applied, summary.lines_skipped]
}
