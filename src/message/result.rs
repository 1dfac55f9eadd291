//! Encodes an outcome as the result to publish.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use uuid::Uuid;

use super::{
    command::to_json,
    trace::{TRACEPARENT, TRACESTATE, TraceContext},
};
use crate::{
    domain::{
        BookingId, Changes, CommandId, CommandKey, Digest, Goods, GroupId, ItemState, OrderLine,
        Outcome, PoolId, Reason, Reference, RejectedLine, Rejection, RejectionCode, Reservation,
        ReservationId, ReservationStatus, RestockSummary, SeatNumber, Source, StoreId, Timestamp,
        UserId,
    },
    ports::{Publication, publisher::PUBLISH_BYTES_MAX},
};

/// The CloudEvents `source` of every result.
pub const RESULT_SOURCE: &str = "/inventory-worker";

/// The largest result with its attributes, bytes: SNS's limit, less 16 KiB for anything else that
/// SNS may count.
pub const RESULT_BYTES_MAX: usize = PUBLISH_BYTES_MAX - 16 * 1024;

/// The content of a result.
#[derive(Clone, Copy, Debug)]
pub struct ResultMessage<'a> {
    /// The command's identity.
    pub key: &'a CommandKey,
    /// The command's `type`; empty if it could not be read, and then omitted.
    pub command_type: &'a str,
    /// The SQS sequence number of the command.
    pub sequence: Option<&'a str>,
    /// The command's group.
    pub group: &'a GroupId,
    /// The pool that the command named, if known.
    pub pool: Option<&'a PoolId>,
    /// The outcome of the command.
    pub outcome: &'a Outcome,
    /// The seats and lines that it changed.
    pub changes: &'a Changes,
    /// When the outcome was decided: from the ledger for a replayed outcome.
    pub decided_at: Timestamp,
    /// The digest of the command, or of an unreadable message.
    pub message_digest: Digest,
    /// The command's trace context, if any.
    pub traceparent: Option<&'a TraceContext>,
}

impl ResultMessage<'_> {
    fn id(&self) -> Uuid {
        result_id(self.key, self.outcome.rejection(), self.message_digest, self.decided_at)
    }
}

/// The id of a command's result, the same for every delivery of the command.
///
/// A rejection that answers a message rather than a command also derives its id from the message's
/// digest, and `NOT_YET_EXPIRED` from the time and from its message, which names the end of the
/// hold: one batch may answer two deliveries of an expire, with an extend between them.
#[must_use]
pub fn result_id(
    key: &CommandKey,
    rejection: Option<&Rejection>,
    message_digest: Digest,
    decided_at: Timestamp,
) -> Uuid {
    let by_command = key.result_id();
    let unrecorded = rejection.filter(|rejection| rejection.code.is_unrecorded());
    let Some(Rejection { code, message, .. }) = unrecorded else { return by_command };
    let mut name = message_digest.0.to_vec();
    if *code == RejectionCode::NotYetExpired {
        name.extend_from_slice(decided_at.to_string().as_bytes());
        name.extend_from_slice(message.as_bytes());
    }
    Uuid::new_v5(&by_command, &name)
}

/// The result to publish. Never fails and never exceeds [`RESULT_BYTES_MAX`]: the lists that may
/// grow beyond it (`restock.skipped`, and `seats` and `lines` of a rejection) are cut from the end
/// to fit. A rejection with cut lists states so in its message. `changes` are of one transaction and
/// always fit.
#[must_use]
pub fn encode_result(result: &ResultMessage<'_>) -> Publication {
    let whole = Lists::of(result.outcome);
    let publication = publish(result, whole);
    let excess = publication.bytes().saturating_sub(RESULT_BYTES_MAX);
    if excess == 0 {
        return publication;
    }
    publish(result, whole.without(excess.saturating_add(CUT_NOTE_BYTES_MAX)))
}

fn publish(result: &ResultMessage<'_>, lists: Lists<'_>) -> Publication {
    let id = result.id();
    let (event_id, store_id) = split(result.pool);
    let body = to_json(&ResultBody {
        specversion: "1.0",
        id,
        source: RESULT_SOURCE,
        r#type: result.outcome.result_type(),
        subject: result.pool,
        time: result.decided_at,
        datacontenttype: "application/json",
        traceparent: result.traceparent.map(TraceContext::traceparent),
        tracestate: result.traceparent.and_then(TraceContext::tracestate),
        data: ResultData {
            command: CommandRef {
                source: &result.key.source,
                id: &result.key.id,
                r#type: result.command_type,
                sequence: result.sequence,
            },
            event_id,
            store_id,
            detail: Detail::new(result.outcome, lists),
            changes: match result.changes {
                Changes::Listed(changes) => changes,
                Changes::Omitted => &[],
            },
            changes_omitted: *result.changes == Changes::Omitted,
        },
    });
    let attributes = attributes(result);
    Publication { id, group: result.group.clone(), body, attributes, is_batch: false }
}

fn split(pool: Option<&PoolId>) -> (Option<u64>, Option<&StoreId>) {
    match pool {
        Some(PoolId::Event(id)) => (Some(*id), None),
        Some(PoolId::Store(id)) => (None, Some(id)),
        None => (None, None),
    }
}

fn attributes(result: &ResultMessage<'_>) -> BTreeMap<&'static str, String> {
    let pool = result.pool.map(|pool| match pool {
        PoolId::Event(id) => ("event_id", id.to_string()),
        PoolId::Store(id) => ("store_id", id.to_string()),
    });
    let reservation = result.outcome.reservation();
    let made_by = reservation.map(|made| ("reservation_source", made.source.to_string()));
    let traceparent = result.traceparent.map(|trace| (TRACEPARENT, trace.to_string()));
    let tracestate = result.traceparent.and_then(TraceContext::tracestate);
    let tracestate = tracestate.map(|state| (TRACESTATE, state.to_owned()));
    let always = [
        ("type", result.outcome.result_type().to_owned()),
        ("command_source", result.key.source.to_string()),
    ];
    always.into_iter().chain(pool).chain(made_by).chain(traceparent).chain(tracestate).collect()
}

/// The lists of a result that may be cut.
#[derive(Clone, Copy, Default)]
struct Lists<'a> {
    skipped: &'a [String],
    seats: &'a [SeatNumber],
    lines: &'a [RejectedLine],
}

impl<'a> Lists<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Restocked { restock, .. } => {
                let shown = restock.skipped.len().min(RestockSummary::SKIPPED_MAX);
                Self {
                    skipped: restock.skipped.get(..shown).unwrap_or_default(),
                    ..Self::default()
                }
            }
            Outcome::Rejected { rejection } => {
                Self { seats: &rejection.seats, lines: &rejection.lines, ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// The lists, shorter by at least `bytes` of JSON: the last-named entries are removed first.
    fn without(self, bytes: usize) -> Self {
        let mut excess = bytes;
        Self {
            lines: cut(self.lines, &mut excess),
            seats: cut(self.seats, &mut excess),
            skipped: cut(self.skipped, &mut excess),
        }
    }
}

/// The entries that remain after removing the last ones until `excess` is covered.
fn cut<'a, T: Serialize>(mut entries: &'a [T], excess: &mut usize) -> &'a [T] {
    while *excess > 0 {
        let Some((last, rest)) = entries.split_last() else { break };
        // Counts the preceding comma too.
        *excess = excess.saturating_sub(to_json(last).len().saturating_add(1));
        entries = rest;
    }
    entries
}

#[derive(Serialize)]
struct ResultBody<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a PoolId>,
    time: Timestamp,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    data: ResultData<'a>,
}

#[derive(Serialize)]
struct ResultData<'a> {
    command: CommandRef<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<&'a StoreId>,
    #[serde(flatten)]
    detail: Detail<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changes: &'a [ItemState],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    changes_omitted: bool,
}

#[derive(Serialize)]
struct CommandRef<'a> {
    source: &'a Source,
    id: &'a CommandId,
    #[serde(skip_serializing_if = "str::is_empty")]
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<&'a str>,
}

/// The `data` of a result; its fields depend on the type.
#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Reservation {
        reservation: ReservationBody<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a Reason>,
    },
    Restock {
        restock: RestockBody<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a Reason>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reference: Option<&'a Reference>,
    },
    Rejection {
        rejection: RejectionBody<'a>,
    },
}

impl<'a> Detail<'a> {
    fn new(outcome: &'a Outcome, lists: Lists<'a>) -> Self {
        match outcome {
            Outcome::Reserved { reservation }
            | Outcome::Extended { reservation }
            | Outcome::Modified { reservation }
            | Outcome::Confirmed { reservation }
            | Outcome::Fulfilled { reservation }
            | Outcome::Expired { reservation } => {
                Self::Reservation { reservation: reservation.into(), reason: None }
            }
            Outcome::Cancelled { reservation, reason } => {
                Self::Reservation { reservation: reservation.into(), reason: reason.as_ref() }
            }
            Outcome::Restocked { restock, reason, reference } => Self::Restock {
                restock: RestockBody::new(restock, lists),
                reason: reason.as_ref(),
                reference: reference.as_ref(),
            },
            Outcome::Rejected { rejection } => {
                Self::Rejection { rejection: RejectionBody::new(rejection, lists) }
            }
        }
    }
}

/// A reservation in a result: without the pool, which is a field beside it.
#[derive(Serialize)]
struct ReservationBody<'a> {
    reservation_id: ReservationId,
    source: &'a Source,
    user_id: &'a UserId,
    status: ReservationStatus,
    version: u64,
    seats: &'a [SeatNumber],
    lines: &'a [OrderLine],
    #[serde(skip_serializing_if = "Option::is_none")]
    booking_id: Option<&'a BookingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goods: Option<Goods>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfilled_at: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl<'a> From<&'a Reservation> for ReservationBody<'a> {
    fn from(reservation: &'a Reservation) -> Self {
        Self {
            reservation_id: reservation.reservation_id,
            source: &reservation.source,
            user_id: &reservation.user_id,
            status: reservation.status,
            version: reservation.version,
            seats: &reservation.seats,
            lines: &reservation.lines,
            booking_id: reservation.booking_id.as_ref(),
            goods: reservation.goods,
            fulfilled_at: reservation.fulfilled_at,
            created_at: reservation.created_at,
            expires_at: reservation.expires_at,
        }
    }
}

#[derive(Serialize)]
struct RestockBody<'a> {
    seats_applied: u64,
    lines_applied: u64,
    seats_skipped: u64,
    lines_skipped: u64,
    skipped: &'a [String],
}

impl<'a> RestockBody<'a> {
    fn new(restock: &RestockSummary, lists: Lists<'a>) -> Self {
        Self {
            seats_applied: restock.seats_applied,
            lines_applied: restock.lines_applied,
            seats_skipped: restock.seats_skipped,
            lines_skipped: restock.lines_skipped,
            skipped: lists.skipped,
        }
    }
}

#[derive(Serialize)]
struct RejectionBody<'a> {
    code: RejectionCode,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    seats: &'a [SeatNumber],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    lines: &'a [RejectedLine],
}

/// The most bytes that [`RejectionBody::new`] adds to a message: 36 and two numbers.
const CUT_NOTE_BYTES_MAX: usize = 80;

impl<'a> RejectionBody<'a> {
    fn new(rejection: &'a Rejection, lists: Lists<'a>) -> Self {
        let named = lists.seats.len().saturating_add(lists.lines.len());
        let all = rejection.seats.len().saturating_add(rejection.lines.len());
        let message = if named < all {
            format!("{} (the first {named} of {all} are named)", rejection.message).into()
        } else {
            rejection.message.as_str().into()
        };
        Self { code: rejection.code, message, seats: lists.seats, lines: lists.lines }
    }
}

#[cfg(test)]
mod tests;
