//! Decodes a published result into its outcome: the one decoder for this crate's subscribers.

use uuid::Uuid;

use super::{
    action::GOODS,
    canonical::Document,
    envelope,
    reader::{FieldError, Node, Object, Path},
    result::RESULT_SOURCE,
    trace::{TRACEPARENT, TRACESTATE, TraceContext},
};
use crate::{
    domain::{
        Changes, CommandId, CommandKey, ItemState, OrderLine, Outcome, PoolId, QUANTITY_MAX,
        RejectedLine, Rejection, RejectionCode, Reservation, ReservationId, ReservationStatus,
        RestockSummary, SeatStatus, Timestamp,
    },
    ports::queue::MESSAGE_BYTES_MAX,
};

/// A result as a subscriber reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedResult {
    /// The result's id, the same for every delivery.
    pub id: Uuid,
    /// When the outcome was decided.
    pub time: Timestamp,
    /// The command it answers.
    pub command: AnsweredCommand,
    /// The pool that the command named; `None` if it could not be read.
    pub pool: Option<PoolId>,
    /// The outcome. A rejection's lists and message are as the publisher cut them to fit.
    pub outcome: Outcome,
    /// The seats and lines that the command changed, in their states after it.
    pub changes: Changes,
    /// Its trace context, if any.
    pub traceparent: Option<TraceContext>,
}

/// The command that a result answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredCommand {
    /// Its identity.
    pub key: CommandKey,
    /// Its CloudEvents `type`; `None` if it could not be read.
    pub command_type: Option<String>,
    /// The SQS sequence number of the command: a decimal number that increases within its group.
    pub sequence: Option<String>,
}

impl DecodedResult {
    /// The CloudEvents `type` of the result.
    #[must_use]
    pub fn result_type(&self) -> &'static str {
        self.outcome.result_type()
    }

    /// The rejection; `None` for other outcomes.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.outcome.rejection()
    }
}

/// The error for a body that is not a result of this contract. Names the first wrong field and what
/// was expected, never the value: `data.rejection.code: missing, expected …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidResult {
    message: String,
}

impl From<FieldError> for InvalidResult {
    fn from(error: FieldError) -> Self {
        Self { message: Rejection::from(error).message }
    }
}

/// Reads a result from the body that was published to SNS, which is also the body of the SQS
/// message if the subscription uses raw message delivery.
///
/// Ignores unknown fields, which later releases may add. The `ended_at` of a released reservation
/// is the time of the result, which is when it was decided.
///
/// # Errors
///
/// [`InvalidResult`] for a body that is not a result, or whose type or rejection code this release
/// does not know.
pub fn decode_result(body: &str) -> Result<DecodedResult, InvalidResult> {
    if body.len() > MESSAGE_BYTES_MAX {
        let expected = format_args!("at most {MESSAGE_BYTES_MAX} bytes");
        return Err(FieldError::at(&Path::Message, expected).into());
    }
    let document = Document::parse_with_whole_integers(body)
        .map_err(|error| FieldError::at(&Path::Message, format_args!("JSON ({error})")))?;
    Ok(read(&document)?)
}

fn read(document: &Document) -> Result<DecodedResult, FieldError> {
    let message = Node::message(document).object()?;
    let [version, id, source, kind, subject, time, parent, state, data] = message.fields([
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        TRACEPARENT,
        TRACESTATE,
        "data",
    ]);
    version.word(&[("1.0", ())])?;
    let id = uuid(id)?;
    source.word(&[(RESULT_SOURCE, ())])?;
    let kind = kind.word(&KINDS)?;
    let time = time.timestamp()?;
    let data = data.object()?;
    let [command] = data.fields(["command"]);
    let command = read_command(&command.object()?)?;
    let pool = read_pool(kind, &data)?;
    if let Some(subject) = subject.attribute() {
        let named = subject.text::<PoolId>()?;
        (pool.as_ref() == Some(&named))
            .then_some(())
            .ok_or_else(|| subject.fault("the pool that data names"))?;
    }
    let outcome = read_outcome(kind, &data, pool.as_ref(), time)?;
    let changes = read_changes(&data)?;
    let traceparent = envelope::read_traceparent(parent, state);
    Ok(DecodedResult { id, time, command, pool, outcome, changes, traceparent })
}

/// The types of results.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reserved,
    Extended,
    Modified,
    Confirmed,
    Fulfilled,
    Cancelled,
    Expired,
    Restocked,
    Rejected,
}

const KINDS: [(&str, Kind); 9] = [
    ("inventory.reserved.v1", Kind::Reserved),
    ("inventory.extended.v1", Kind::Extended),
    ("inventory.modified.v1", Kind::Modified),
    ("inventory.confirmed.v1", Kind::Confirmed),
    ("inventory.fulfilled.v1", Kind::Fulfilled),
    ("inventory.cancelled.v1", Kind::Cancelled),
    ("inventory.expired.v1", Kind::Expired),
    ("inventory.restocked.v1", Kind::Restocked),
    ("inventory.rejected.v1", Kind::Rejected),
];

fn uuid(node: Node<'_, '_>) -> Result<Uuid, FieldError> {
    let parsed = node.str().and_then(|text| Uuid::try_parse(&text).ok());
    parsed.ok_or_else(|| node.fault("a UUID"))
}

fn read_command(command: &Object<'_, '_>) -> Result<AnsweredCommand, FieldError> {
    let [source, id, kind, sequence] = command.fields(["source", "id", "type", "sequence"]);
    let key = CommandKey { source: source.text()?, id: id.text()? };
    // A type follows the rule of an id.
    let kind = kind.given().map(|kind| kind.text::<CommandId>()).transpose()?;
    let sequence = sequence.given().map(|sequence| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let given = sequence.str().filter(|text| digits(text));
        given.map(String::from).ok_or_else(|| sequence.fault("a decimal number as a string"))
    });
    let command_type = kind.map(|kind| kind.to_string());
    Ok(AnsweredCommand { key, command_type, sequence: sequence.transpose()? })
}

/// Every result names its pool, except the rejection of a command that named none.
fn read_pool(kind: Kind, data: &Object<'_, '_>) -> Result<Option<PoolId>, FieldError> {
    let [event, store] = data.fields(["event_id", "store_id"]);
    let is_named = event.given().or(store.given()).is_some();
    match kind == Kind::Rejected && !is_named {
        true => Ok(None),
        false => envelope::read_pool(data).map(Some),
    }
}

fn read_outcome(
    kind: Kind,
    data: &Object<'_, '_>,
    pool: Option<&PoolId>,
    time: Timestamp,
) -> Result<Outcome, FieldError> {
    let [reservation, reason, reference, restock, rejection] =
        data.fields(["reservation", "reason", "reference", "restock", "rejection"]);
    let reason = || reason.given().map(|reason| reason.text()).transpose();
    let reservation = || {
        let pool = pool.ok_or_else(|| data.fault("event_id or store_id"))?;
        read_reservation(&reservation.object()?, pool, time)
    };
    Ok(match kind {
        Kind::Reserved => Outcome::Reserved { reservation: reservation()? },
        Kind::Extended => Outcome::Extended { reservation: reservation()? },
        Kind::Modified => Outcome::Modified { reservation: reservation()? },
        Kind::Confirmed => Outcome::Confirmed { reservation: reservation()? },
        Kind::Fulfilled => Outcome::Fulfilled { reservation: reservation()? },
        Kind::Expired => Outcome::Expired { reservation: reservation()? },
        Kind::Cancelled => Outcome::Cancelled { reservation: reservation()?, reason: reason()? },
        Kind::Restocked => Outcome::Restocked {
            restock: read_restock(&restock.object()?)?,
            reason: reason()?,
            reference: reference.given().map(|reference| reference.text()).transpose()?,
        },
        Kind::Rejected => Outcome::Rejected { rejection: read_rejection(&rejection.object()?)? },
    })
}

fn read_reservation(
    reservation: &Object<'_, '_>,
    pool: &PoolId,
    time: Timestamp,
) -> Result<Reservation, FieldError> {
    let [id, source, user, status, version, seats, lines, booking] = reservation.fields([
        "reservation_id",
        "source",
        "user_id",
        "status",
        "version",
        "seats",
        "lines",
        "booking_id",
    ]);
    let [goods, fulfilled_at, created_at, expires_at] =
        reservation.fields(["goods", "fulfilled_at", "created_at", "expires_at"]);
    let status = status.word(&STATUSES.map(|status| (status.as_str(), status)))?;
    let has_ended = matches!(status, ReservationStatus::Cancelled | ReservationStatus::Expired);
    Ok(Reservation {
        reservation_id: ReservationId(uuid(id)?),
        pool: pool.clone(),
        source: source.text()?,
        user_id: user.text()?,
        status,
        version: version.integer(0..=u64::MAX)?,
        seats: seats.array()?.read(|seat| seat.text())?,
        lines: lines.array()?.read(read_line)?,
        booking_id: booking.given().map(|booking| booking.text()).transpose()?,
        goods: goods.given().map(|goods| goods.word(&GOODS)).transpose()?,
        fulfilled_at: fulfilled_at.given().map(|at| at.timestamp()).transpose()?,
        created_at: created_at.timestamp()?,
        expires_at: expires_at.timestamp()?,
        ended_at: has_ended.then_some(time),
    })
}

const STATUSES: [ReservationStatus; 4] = [
    ReservationStatus::Active,
    ReservationStatus::Confirmed,
    ReservationStatus::Cancelled,
    ReservationStatus::Expired,
];

fn read_line(line: Node<'_, '_>) -> Result<OrderLine, FieldError> {
    let line = line.object()?;
    let [sku, quantity] = line.fields(["sku", "quantity"]);
    Ok(OrderLine { sku: sku.text()?, quantity: quantity.integer(0..=QUANTITY_MAX)? })
}

fn read_restock(restock: &Object<'_, '_>) -> Result<RestockSummary, FieldError> {
    let [seats_applied, lines_applied, seats_skipped, lines_skipped, skipped] = restock.fields([
        "seats_applied",
        "lines_applied",
        "seats_skipped",
        "lines_skipped",
        "skipped",
    ]);
    Ok(RestockSummary {
        seats_applied: seats_applied.integer(0..=u64::MAX)?,
        lines_applied: lines_applied.integer(0..=u64::MAX)?,
        seats_skipped: seats_skipped.integer(0..=u64::MAX)?,
        lines_skipped: lines_skipped.integer(0..=u64::MAX)?,
        skipped: skipped.array()?.read(string)?,
    })
}

fn string(node: Node<'_, '_>) -> Result<String, FieldError> {
    node.str().map(String::from).ok_or_else(|| node.fault("a string"))
}

fn read_rejection(rejection: &Object<'_, '_>) -> Result<Rejection, FieldError> {
    let [code, message, seats, lines] = rejection.fields(["code", "message", "seats", "lines"]);
    let code = code.word(&RejectionCode::ALL.map(|code| (code.as_str(), code)))?;
    let message = string(message)?;
    let seats = seats.given().map(|seats| seats.array()?.read(|seat| seat.text())).transpose()?;
    let lines = lines.given().map(|lines| lines.array()?.read(read_rejected_line)).transpose()?;
    Ok(Rejection {
        code,
        message,
        seats: seats.unwrap_or_default(),
        lines: lines.unwrap_or_default(),
    })
}

fn read_rejected_line(line: Node<'_, '_>) -> Result<RejectedLine, FieldError> {
    let line = line.object()?;
    let [sku, requested, available, expected, actual] =
        line.fields(["sku", "requested", "available", "expected", "actual"]);
    let sku = sku.text()?;
    if expected.given().is_some() {
        let (expected, actual) = (expected.integer(0..=u64::MAX)?, actual.integer(0..=u64::MAX)?);
        return Ok(RejectedLine::Version { sku, expected, actual });
    }
    let (requested, available) = (requested.signed_integer()?, available.signed_integer()?);
    Ok(RejectedLine::Quantity { sku, requested, available })
}

fn read_changes(data: &Object<'_, '_>) -> Result<Changes, FieldError> {
    let [changes, omitted] = data.fields(["changes", "changes_omitted"]);
    if omitted.given().map_or(Ok(false), |omitted| omitted.boolean())? {
        return Ok(Changes::Omitted);
    }
    let listed = changes.given().map(|changes| changes.array()?.read(read_change)).transpose()?;
    Ok(Changes::Listed(listed.unwrap_or_default()))
}

fn read_change(change: Node<'_, '_>) -> Result<ItemState, FieldError> {
    const STATUSES: [SeatStatus; 4] =
        [SeatStatus::Available, SeatStatus::Reserved, SeatStatus::Booked, SeatStatus::Blocked];
    let change = change.object()?;
    let [seat_number, version, status, reserved_until, sku] =
        change.fields(["seat_number", "version", "status", "reserved_until", "sku"]);
    let version = version.integer(0..=u64::MAX)?;
    if seat_number.given().is_some() {
        return Ok(ItemState::Seat {
            seat_number: seat_number.text()?,
            version,
            status: status.word(&STATUSES.map(|status| (status.as_str(), status)))?,
            reserved_until: reserved_until.given().map(|at| at.timestamp()).transpose()?,
        });
    }
    let [on_hand, available, reserved] = change.fields(["on_hand", "available", "reserved"]);
    Ok(ItemState::Line {
        sku: sku.text()?,
        version,
        on_hand: on_hand.signed_integer()?,
        available: available.signed_integer()?,
        reserved: reserved.signed_integer()?,
    })
}

#[cfg(test)]
mod tests;
