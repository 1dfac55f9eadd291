//! What callers ask of gateways: commands, some of them asked again, and queries.

mod commands;
mod queries;

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Maker, Posting, key};
use crate::profile::Profile;
use inventory_worker::{
    domain::{
        Action, CommandKey, Digest, GroupId, LineKey, PoolId, ReservationId, SeatKey, Timestamp,
    },
    gateway::{Caller, Scope, caller::Sources, queries::SeatFilter},
    message::{self, OutgoingCommand},
};

/// The id prefix of commands that a gateway must refuse: none is ever on a queue.
pub(crate) const REFUSED: &str = "refused-";

/// The source of the gateway's callers that have one.
const SHOP: &str = "/callers/shop";

/// The most callers of a rush.
const RUSH_MAX: usize = 8;

/// The most times that a caller asks for the same.
const POLL_TIMES_MAX: u32 = 20;

/// The event that nothing is known of, unless a caller makes it.
const UNKNOWN: u64 = 3;

/// Something that callers ask of gateways.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) at: Duration,
    pub(crate) ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A command, and what follows it.
    Commands(Vec<Call>),
    Query(Query),
}

/// A command of a caller.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// How long after the end of the one before.
    pub(crate) pause: Duration,
    pub(crate) gateway: usize,
    pub(crate) who: Who,
    pub(crate) form: Form,
    /// The digest of its content; `None` if it cannot be read.
    pub(crate) digest: Option<Digest>,
    pub(crate) wait: Duration,
    /// When the caller goes away.
    pub(crate) leaves_after: Option<Duration>,
    pub(crate) due: Due,
}

/// The form in which a command reaches a gateway.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Built { key: Option<CommandKey>, pool: PoolId, action: Box<Action>, group: Option<GroupId> },
    Event { key: Option<CommandKey>, body: String },
}

/// What a gateway makes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Passed,
    Invalid,
    NoScope,
    Foreign,
}

/// A caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Without authentication: every scope and source.
    Local,
    /// May do all but read what is private, under its own source and `/web`.
    Shop,
    /// May read what is public.
    Reader,
    /// May do nothing.
    Nobody,
}

/// A query of a caller.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) gateway: usize,
    pub(crate) who: Who,
    pub(crate) what: What,
}

/// What a query is about.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Seat(SeatKey),
    Line(LineKey),
    Reservation(ReservationId),
    Availability(u64),
    Map(u64),
    Walk(Walk),
}

/// A list, read page by page.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) pool: PoolId,
    /// The filter of a list of seats; `None` for a list of lines.
    pub(crate) filter: Option<SeatFilter>,
    pub(crate) limit: u32,
    /// How long the caller takes from page to page.
    pub(crate) pause: Duration,
    /// Whether pages come from one gateway after the other.
    pub(crate) moves: bool,
    /// At the end the last cursor is used for another list, which must be refused.
    pub(crate) misuses: bool,
}

impl Who {
    pub(crate) fn caller(self) -> Caller {
        let (subject, prefixes) = match self {
            Self::Local => return Caller::local(),
            Self::Shop => ("shop", vec!["/web".to_owned()]),
            Self::Reader => ("reader", Vec::new()),
            Self::Nobody => ("nobody", Vec::new()),
        };
        let scopes: &[Scope] = match self {
            Self::Local | Self::Shop => &[Scope::Read, Scope::Command, Scope::Restock],
            Self::Reader => &[Scope::Read],
            Self::Nobody => &[],
        };
        let scopes = scopes.iter().copied().collect();
        Caller { subject: subject.to_owned(), scopes, sources: Sources::Own { prefixes } }
    }

    pub(crate) fn reads_public(self) -> bool {
        self != Self::Nobody
    }

    pub(crate) fn reads_private(self) -> bool {
        self == Self::Local
    }
}

impl Form {
    pub(crate) fn key(&self) -> Option<&CommandKey> {
        let (Self::Built { key, .. } | Self::Event { key, .. }) = self;
        key.as_ref()
    }
}

/// A visit to be drawn.
#[derive(Clone, Copy)]
struct Turn {
    number: usize,
    gateway: usize,
    at: Duration,
}

impl Maker {
    pub(super) fn visits(&mut self, profile: &Profile, postings: &[Posting]) -> Vec<Visit> {
        let count = profile.gateways.settings.len();
        let span = profile.horizon + Duration::from_secs(10);
        let mut visits: Vec<_> = (0..profile.gateways.visits)
            .map(|number| {
                let at = span.mul_f64(self.rng.f64());
                let gateway = self.rng.usize(0..count.max(1));
                let ask = match self.rng.u32(0..100) {
                    0..=44 => {
                        let turn = Turn { number, gateway, at };
                        Ask::Commands(self.calls(turn, profile, postings))
                    }
                    _ => Ask::Query(self.query(gateway)),
                };
                Visit { at, ask }
            })
            .collect();
        for rush in 0..profile.gateways.rushes {
            let number = profile.gateways.visits + RUSH_MAX * rush;
            let gateway = self.rng.usize(0..count.max(1));
            let at = span.mul_f64(self.rng.f64());
            visits.extend(self.rush(Turn { number, gateway, at }));
        }
        for _ in 0..profile.gateways.polls {
            let gateway = self.rng.usize(0..count.max(1));
            let at = span.mul_f64(self.rng.f64());
            visits.extend(self.poll(gateway, at));
        }
        visits
    }

    /// A caller who asks one gateway for one thing again and again, as a page without a stream does.
    fn poll(&mut self, gateway: usize, first: Duration) -> Vec<Visit> {
        let query = self.query(gateway);
        let times = self.rng.u32(5..=POLL_TIMES_MAX);
        let every = Duration::from_millis(self.rng.u64(50..=2_000));
        (0..times)
            .map(|turn| Visit { at: first + every * turn, ask: Ask::Query(query.clone()) })
            .collect()
    }

    /// Callers who ask one gateway for commands of one group, almost at the same time.
    fn rush(&mut self, turn: Turn) -> Vec<Visit> {
        let group: Option<GroupId> = format!("event-1/p{}", self.rng.u32(0..3)).parse().ok();
        let callers = self.rng.usize(2..=RUSH_MAX);
        (0..callers)
            .map(|caller| {
                let at = turn.at + Duration::from_millis(self.rng.u64(0..=60));
                let mut call = self.call(Turn { number: turn.number + caller, at, ..turn });
                if let Form::Built { group: of_call, .. } = &mut call.form {
                    of_call.clone_from(&group);
                }
                Visit { at, ask: Ask::Commands(vec![call]) }
            })
            .collect()
    }
}

/// The identity of a caller's command.
fn key_of(who: Who, id: &str) -> CommandKey {
    let source = match who {
        Who::Local => "/web",
        Who::Shop => SHOP,
        Who::Reader => "/callers/reader",
        Who::Nobody => "/callers/nobody",
    };
    key(source, id)
}

fn encoded(key: CommandKey, pool: &PoolId, action: &Action) -> String {
    let (time, deadline, traceparent) = (Timestamp::UNIX_EPOCH, None, None);
    let (pool, action) = (pool.clone(), action.clone());
    message::encode_command(&OutgoingCommand { key, time, deadline, pool, action, traceparent })
}

fn digest_of(pool: &PoolId, action: &Action) -> Option<Digest> {
    let body = encoded(key("/any", &Uuid::nil().to_string()), pool, action);
    Some(message::decode(&body).ok()?.command.digest)
}

fn event_of(of: Option<&CommandKey>, pool: &PoolId, action: &Action) -> Value {
    let body = encoded(of.cloned().unwrap_or_else(|| key("/any", "any")), pool, action);
    let mut event: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    if let (None, Some(fields)) = (of, event.as_object_mut()) {
        fields.remove("id");
        fields.remove("source");
    }
    event
}

fn set(event: &mut Value, name: &str, value: &str) {
    if let Some(fields) = event.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}
