//! Encodes a command as a message.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::trace::TraceContext;
use crate::domain::{
    Action, BookingId, Cancel, CommandId, CommandKey, Confirm, Goods, GroupId, Holdings, Label,
    LineChange, Modify, OrderLine, PoolId, Price, Reason, Reference, ReservationId, Reserve,
    Restock, RestockMode, RestockStatus, SeatChange, SeatNumber, Sku, Source, StoreId, Timestamp,
    UserId,
};

/// A command to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingCommand {
    /// The command's identity.
    pub key: CommandKey,
    /// The CloudEvents `time`.
    pub time: Timestamp,
    /// Decided later than this, it is rejected: `expirytime`.
    pub deadline: Option<Timestamp>,
    /// The pool it names.
    pub pool: PoolId,
    /// The requested change.
    pub action: Action,
    /// Its trace context, if any.
    pub traceparent: Option<TraceContext>,
}

/// A command's default group: `event-42`, `store-store-1`; for an expiry `expire/<reservation id>`,
/// so that it never queues behind a sale.
#[must_use]
pub fn default_group(pool: &PoolId, action: &Action) -> GroupId {
    let group = match (action, pool) {
        (Action::Expire(expire), _) => format!("expire/{}", expire.reservation_id),
        (_, PoolId::Event(id)) => format!("event-{id}"),
        (_, PoolId::Store(id)) => format!("store-{id}"),
    };
    match group.parse() {
        Ok(group) => group,
        // The longest is "store-" and 120 characters.
        Err(wrong) => unreachable!("a default group is a group: {wrong}"),
    }
}

/// The message that [`super::decode`] reads back as this command.
///
/// Fields with default values are omitted, except for `reservation_id`.
#[must_use]
pub fn encode_command(command: &OutgoingCommand) -> String {
    to_json(&CommandBody {
        specversion: "1.0",
        id: &command.key.id,
        source: &command.key.source,
        r#type: command.action.command_type().as_str(),
        time: command.time,
        expirytime: command.deadline,
        datacontenttype: "application/json",
        traceparent: command.traceparent.as_ref().map(TraceContext::traceparent),
        tracestate: command.traceparent.as_ref().and_then(TraceContext::tracestate),
        data: CommandData::new(&command.pool, &command.action),
    })
}

/// The initial capacity, bytes: enough for most messages.
const USUAL_BYTES: usize = 768;

/// Serializes a value that cannot fail: derived, of texts, numbers and lists, with texts as member
/// names.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    let mut json = Vec::with_capacity(USUAL_BYTES);
    let mut serializer = Serializer::with_formatter(&mut json, ShortNumbers);
    let written = value.serialize(&mut serializer).map_err(|error| error.to_string());
    match written.and_then(|()| String::from_utf8(json).map_err(|error| error.to_string())) {
        Ok(json) => json,
        Err(error) => unreachable!("texts, numbers and lists have a JSON form: {error}"),
    }
}

/// JSON without spaces. A number of one digit is written as a byte: a map has 20,000 versions and
/// more, nearly all of them such, and a call for each took half of its time.
struct ShortNumbers;

impl Formatter for ShortNumbers {
    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        match u8::try_from(value) {
            Ok(digit @ 0..=9) => writer.write_all(&[b'0' + digit]),
            _ => CompactFormatter.write_u64(writer, value),
        }
    }
}

#[derive(Serialize)]
struct CommandBody<'a> {
    specversion: &'static str,
    id: &'a CommandId,
    source: &'a Source,
    r#type: &'static str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expirytime: Option<Timestamp>,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    data: CommandData<'a>,
}

/// The `data` of every command; each uses a subset of the fields.
#[derive(Default, Serialize)]
struct CommandData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<&'a StoreId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<ReservationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    booking_id: Option<&'a BookingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<Seats<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Lines<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<HoldingsBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<HoldingsBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goods: Option<Goods>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_expired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats_to: Option<RestockStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Seats<'a> {
    Numbers(&'a [SeatNumber]),
    Changes(Vec<ChangeBody<'a>>),
}

impl<'a> Seats<'a> {
    fn named(seats: &'a [SeatNumber]) -> Option<Self> {
        (!seats.is_empty()).then_some(Self::Numbers(seats))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Lines<'a> {
    Ordered(&'a [OrderLine]),
    Changes(Vec<LineChangeBody<'a>>),
}

impl<'a> Lines<'a> {
    fn ordered(lines: &'a [OrderLine]) -> Option<Self> {
        (!lines.is_empty()).then_some(Self::Ordered(lines))
    }
}

#[derive(Serialize)]
struct LineChangeBody<'a> {
    sku: &'a Sku,
    quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_version: Option<u64>,
}

impl<'a> From<&'a LineChange> for LineChangeBody<'a> {
    fn from(change: &'a LineChange) -> Self {
        let LineChange { sku, quantity, expected_version } = change;
        Self { sku, quantity: *quantity, expected_version: *expected_version }
    }
}

#[derive(Serialize)]
struct HoldingsBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<Seats<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Lines<'a>>,
}

impl<'a> HoldingsBody<'a> {
    fn of(holdings: &'a Holdings) -> Option<Self> {
        let body =
            Self { seats: Seats::named(&holdings.seats), lines: Lines::ordered(&holdings.lines) };
        (holdings.entries() > 0).then_some(body)
    }
}

#[derive(Serialize)]
struct ChangeBody<'a> {
    seat_number: &'a SeatNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_number: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seat_type: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RestockStatus>,
}

impl<'a> From<&'a SeatChange> for ChangeBody<'a> {
    fn from(change: &'a SeatChange) -> Self {
        Self {
            seat_number: &change.number,
            section: change.section.as_ref(),
            row_number: change.row_number.as_ref(),
            seat_type: change.seat_type.as_ref(),
            price: change.price,
            status: change.status,
        }
    }
}

impl<'a> CommandData<'a> {
    fn new(pool: &'a PoolId, action: &'a Action) -> Self {
        let data = match pool {
            PoolId::Event(id) => Self { event_id: Some(*id), ..Self::default() },
            PoolId::Store(id) => Self { store_id: Some(id), ..Self::default() },
        };
        match action {
            Action::Reserve(reserve) => data.reserve(reserve),
            Action::Extend(extend) => Self {
                reservation_id: Some(extend.reservation_id),
                user_id: extend.user_id.as_ref(),
                hold_seconds: Some(extend.hold_seconds),
                ..data
            },
            Action::Modify(modify) => data.modify(modify),
            Action::Confirm(confirm) => data.confirm(confirm),
            Action::Fulfil(fulfil) => Self {
                reservation_id: Some(fulfil.reservation_id),
                user_id: fulfil.user_id.as_ref(),
                ..data
            },
            Action::Cancel(cancel) => data.cancel(cancel),
            Action::Restock(restock) => data.restock(restock),
            Action::Expire(expire) => Self { reservation_id: Some(expire.reservation_id), ..data },
        }
    }

    fn reserve(self, reserve: &'a Reserve) -> Self {
        Self {
            reservation_id: Some(reserve.reservation_id),
            user_id: Some(&reserve.user_id),
            seats: Seats::named(&reserve.seats),
            lines: Lines::ordered(&reserve.lines),
            hold_seconds: reserve.hold_seconds,
            ..self
        }
    }

    fn modify(self, modify: &'a Modify) -> Self {
        Self {
            reservation_id: Some(modify.reservation_id),
            user_id: modify.user_id.as_ref(),
            add: HoldingsBody::of(&modify.add),
            remove: HoldingsBody::of(&modify.remove),
            ..self
        }
    }

    fn confirm(self, confirm: &'a Confirm) -> Self {
        Self {
            reservation_id: Some(confirm.reservation_id),
            booking_id: Some(&confirm.booking_id),
            user_id: confirm.user_id.as_ref(),
            goods: (confirm.goods != Goods::Leave).then_some(confirm.goods),
            allow_expired: confirm.allow_expired.then_some(true),
            ..self
        }
    }

    fn cancel(self, cancel: &'a Cancel) -> Self {
        Self {
            reservation_id: Some(cancel.reservation_id),
            user_id: cancel.user_id.as_ref(),
            reason: cancel.reason.as_ref(),
            refund: cancel.refund.then_some(true),
            seats_to: (cancel.seats_to != RestockStatus::Available).then_some(cancel.seats_to),
            ..self
        }
    }

    fn restock(self, restock: &'a Restock) -> Self {
        let changes = || restock.seats.iter().map(ChangeBody::from).collect();
        let lines = || restock.lines.iter().map(LineChangeBody::from).collect();
        let mode = match restock.mode {
            RestockMode::Set => (!restock.lines.is_empty()).then_some("set"),
            RestockMode::Add => Some("add"),
        };
        Self {
            seats: (!restock.seats.is_empty()).then(|| Seats::Changes(changes())),
            lines: (!restock.lines.is_empty()).then(|| Lines::Changes(lines())),
            mode,
            as_of: restock.as_of,
            reason: restock.reason.as_ref(),
            reference: restock.reference.as_ref(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cancel, Expire, Reserve};

    fn id() -> ReservationId {
        "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90".parse().unwrap()
    }

    fn sent(pool: &str, action: Action) -> String {
        encode_command(&OutgoingCommand {
            key: CommandKey { source: "/s".parse().unwrap(), id: "1".parse().unwrap() },
            time: "2026-11-22T10:00:00Z".parse().unwrap(),
            pool: pool.parse().unwrap(),
            action,
            deadline: None,
            traceparent: None,
        })
    }

    #[test]
    fn a_reserve_is_written_as_the_contract_shows_it() {
        let reserve = Reserve {
            reservation_id: id(),
            user_id: "u-7".parse().unwrap(),
            seats: vec!["A-1".parse().unwrap()],
            lines: vec![OrderLine { sku: "GA".parse().unwrap(), quantity: 2 }],
            hold_seconds: Some(600),
        };
        insta::assert_snapshot!(sent("event#42", Action::Reserve(reserve)), @r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.reserve.v1","time":"2026-11-22T10:00:00Z","datacontenttype":"application/json","data":{"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u-7","seats":["A-1"],"lines":[{"sku":"GA","quantity":2}],"hold_seconds":600}}"#);
    }

    #[test]
    fn what_stays_at_its_default_is_left_out() {
        let cancel = Cancel::new(id());
        insta::assert_snapshot!(sent("store#s", Action::Cancel(cancel)), @r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","time":"2026-11-22T10:00:00Z","datacontenttype":"application/json","data":{"store_id":"s","reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}"#);
    }

    #[test]
    fn numbers_are_written_to_their_last_digit() {
        let numbers: [u64; 9] = [0, 9, 10, 99, 100, 255, 256, 266, u64::MAX];
        let expected = "[0,9,10,99,100,255,256,266,18446744073709551615]";
        assert_eq!(to_json(&numbers), expected);
        assert_eq!(to_json(&[0_i64, 9, -1, -10, i64::MIN]), "[0,9,-1,-10,-9223372036854775808]");
        assert_eq!(to_json(&[7_u8, 70]), "[7,70]");
    }

    #[test]
    fn a_group_is_the_pools_and_an_expirys_its_own() {
        let expire = Action::Expire(Expire { reservation_id: id() });
        let cancel = Action::Cancel(Cancel::new(id()));
        let group = |pool: &str, action| default_group(&pool.parse().unwrap(), action).to_string();
        assert_eq!(group("event#42", &cancel), "event-42");
        assert_eq!(group("store#store-1", &cancel), "store-store-1");
        assert_eq!(group("event#42", &expire), "expire/9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90");
        let longest = "s".repeat(StoreId::MAX_BYTES);
        assert_eq!(group(&format!("store#{longest}"), &cancel), format!("store-{longest}"));
        assert_eq!(group("event#9007199254740991", &cancel), "event-9007199254740991");
    }
}
