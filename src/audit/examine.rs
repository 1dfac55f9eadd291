//! One record beside the items it speaks of.

use super::{Audit, Invariant, Violation, ledger, lines, reservations, seats};
use crate::{
    domain::{LineKey, ReservationId, SeatKey},
    ports::{LedgerKey, LoadRequest, PortError, ReadSet, Record},
};

/// What does not hold of one record, and how.
pub(super) type Findings = Vec<(Invariant, String)>;

/// Names a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Seat(SeatKey),
    Line(LineKey),
    Reservation(ReservationId),
    Ledger(LedgerKey),
}

/// A record as it was found among its items.
pub(super) struct Suspect {
    pub subject: Subject,
    /// What does not hold; nothing where it is fine.
    pub findings: Findings,
    /// The record's version and those of the items it was compared with, 0 where there is none.
    pub versions: Vec<u64>,
}

impl Subject {
    fn of(record: &Record) -> Self {
        match record {
            Record::Seat(key, _) => Self::Seat(key.clone()),
            Record::Line(key, _) => Self::Line(key.clone()),
            Record::Reservation(reservation) => Self::Reservation(reservation.reservation_id),
            Record::Ledger(key, _) => Self::Ledger(key.clone()),
        }
    }

    /// How reports call it.
    fn name(&self) -> String {
        match self {
            Self::Seat(key) => format!("seat {} of event#{}", key.number, key.event_id),
            Self::Line(key) => format!("line {} of {}", key.sku, key.pool),
            Self::Reservation(id) => format!("reservation {id}"),
            Self::Ledger(LedgerKey::Command(key)) => format!("command {key}"),
            Self::Ledger(LedgerKey::Chunk(key, number)) => format!("chunk {number} of {key}"),
        }
    }

    fn add_to(&self, wanted: &mut LoadRequest) {
        match self {
            Self::Seat(key) => drop(wanted.seats.insert(key.clone())),
            Self::Line(key) => drop(wanted.lines.insert(key.clone())),
            Self::Reservation(id) => drop(wanted.reservations.insert(*id)),
            Self::Ledger(key) => drop(wanted.ledger.insert(key.clone())),
        }
    }
}

/// Looks at records beside the items they speak of, which are read after them.
pub(super) async fn examine(
    audit: &Audit<'_>,
    records: Vec<Record>,
) -> Result<Vec<Suspect>, PortError> {
    let mut wanted = LoadRequest::default();
    for record in &records {
        match record {
            Record::Seat(_, seat) => seats::wanted(seat, &mut wanted),
            Record::Line(..) => {}
            Record::Reservation(reservation) => reservations::wanted(reservation, &mut wanted),
            Record::Ledger(key, record) => ledger::wanted(key, record, &mut wanted),
        }
    }
    let loaded =
        if wanted.is_empty() { ReadSet::default() } else { audit.store.load(&wanted).await? };
    let mut suspects = Vec::with_capacity(records.len());
    for record in &records {
        let mut suspect =
            Suspect { subject: Subject::of(record), findings: Vec::new(), versions: Vec::new() };
        match record {
            Record::Seat(key, seat) => seats::look(key, seat, &loaded, &mut suspect),
            Record::Line(_, line) => lines::look(line, &mut suspect),
            Record::Reservation(reservation) => {
                reservations::look(audit, reservation, &loaded, &mut suspect);
            }
            Record::Ledger(key, record) => {
                ledger::look(audit, key, record, &loaded, &mut suspect).await?;
            }
        }
        suspects.push(suspect);
    }
    Ok(suspects)
}

/// Reads suspects again until each is fine, or just as wrong as before with no item changed since,
/// or has changed too often.
pub(super) async fn settle(
    audit: &mut Audit<'_>,
    mut suspects: Vec<Suspect>,
) -> Result<(), PortError> {
    let listed_max = audit.options.listed_max;
    for _ in 0..audit.options.rereads_max {
        if suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(audit.options.pause).await;
        let mut changed = Vec::new();
        for again in examine(audit, reread(audit, &suspects).await?).await? {
            if again.findings.is_empty() {
                continue;
            }
            let is_same = suspects
                .iter()
                .any(|before| before.subject == again.subject && before.versions == again.versions);
            if is_same {
                violations(again).for_each(|found| audit.report.violated(found, listed_max));
            } else {
                changed.push(again);
            }
        }
        suspects = changed;
    }
    for suspect in suspects {
        violations(suspect).for_each(|found| audit.report.not_settled(found, listed_max));
    }
    Ok(())
}

/// The suspects' records as they are now; what is no longer there is left out.
async fn reread(audit: &Audit<'_>, suspects: &[Suspect]) -> Result<Vec<Record>, PortError> {
    let mut wanted = LoadRequest::default();
    suspects.iter().for_each(|suspect| suspect.subject.add_to(&mut wanted));
    let loaded = audit.store.load(&wanted).await?;
    let seats = loaded.seats.into_iter().filter_map(|(key, seat)| Some(Record::Seat(key, seat?)));
    let lines = loaded.lines.into_iter().filter_map(|(key, line)| Some(Record::Line(key, line?)));
    let reservations = loaded.reservations.into_values().flatten().map(Record::Reservation);
    let ledger =
        loaded.ledger.into_iter().filter_map(|(key, entry)| Some(Record::Ledger(key, entry?)));
    Ok(seats.chain(lines).chain(reservations).chain(ledger).collect())
}

fn violations(suspect: Suspect) -> impl Iterator<Item = Violation> {
    let subject = suspect.subject.name();
    suspect.findings.into_iter().map(move |(invariant, detail)| Violation {
        invariant,
        subject: subject.clone(),
        detail,
    })
}
