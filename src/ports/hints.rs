//! Hints: what workers tell gateways about their commits, for speed alone.
//!
//! A hint may be lost, doubled, late, or come from a worker that nobody expects any more. So that a
//! loss is noticed, hints are numbered: each worker begins a [`Frame::stream`] of its own for each
//! topic that is watched, and numbers what it announces there from 1 without gaps. A frame without
//! hints repeats the last number.

mod wire;

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::PortError;
use crate::domain::{
    CommandKey, InvalidText, LineKey, PoolId, Seat, SeatNumber, SeatState, SeatStatus, Sku, Source,
    StockLevel, Timestamp,
};

pub use wire::{InvalidFrame, decode, encode};

/// The most topics that are watched at a time, by all gateways.
pub const TOPICS_MAX: usize = 4_096;

/// The most hints of one frame.
pub const FRAME_HINTS_MAX: usize = 1_024;

/// The most bytes of one frame: the largest result and room for its head.
pub const FRAME_BYTES_MAX: usize = 320 * 1024;

/// What can be watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Changes of a pool's seats and lines: [`Hint::Seat`], [`Hint::Line`], [`Hint::ReadAgain`].
    Changes(PoolId),
    /// Commands on a pool that were decided: [`Hint::Decided`].
    Outcomes(PoolId),
    /// Results of commands on a pool: [`Hint::Result`].
    Results(PoolId),
    /// Results of commands of a source: [`Hint::Result`].
    ResultsOf(Source),
}

impl Topic {
    /// What kind of topic it is, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Changes(_) => "changes",
            Self::Outcomes(_) => "outcomes",
            Self::Results(_) => "results",
            Self::ResultsOf(_) => "source",
        }
    }

    /// The pool or source, different for different ones. The scope of a pool's locks is the same.
    #[must_use]
    pub fn scope(&self) -> String {
        match self {
            Self::Changes(pool) | Self::Outcomes(pool) | Self::Results(pool) => pool.to_string(),
            Self::ResultsOf(source) => format!("source#{source}"),
        }
    }
}

/// `changes:event#42`
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind())?;
        match self {
            Self::Changes(pool) | Self::Outcomes(pool) | Self::Results(pool) => pool.fmt(f),
            Self::ResultsOf(source) => source.fmt(f),
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text.split_once(':') {
            Some(("changes", pool)) => pool.parse().map(Self::Changes),
            Some(("outcomes", pool)) => pool.parse().map(Self::Outcomes),
            Some(("results", pool)) => pool.parse().map(Self::Results),
            Some(("source", source)) => source.parse().map(Self::ResultsOf),
            _ => Err(InvalidText { expected: "a topic such as changes:event#42".to_owned() }),
        }
    }
}

/// The state of a seat after a commit, without its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatHint {
    /// Its number within the event.
    pub number: SeatNumber,
    /// Its version.
    pub version: u64,
    /// Its status.
    pub status: SeatStatus,
    /// When its hold ends, if it is RESERVED; rounded up to the millisecond.
    pub until: Option<Timestamp>,
    /// Whether it becomes BLOCKED when it is released.
    pub withheld: bool,
}

impl SeatHint {
    /// The hint about a seat that was written.
    #[must_use]
    pub fn of(number: &SeatNumber, seat: &Seat) -> Self {
        let until = match seat.occupancy {
            SeatState::Reserved { until, .. } => Some(wire::rounded_up(until)),
            SeatState::Available | SeatState::Booked { .. } | SeatState::Blocked => None,
        };
        let (version, status, withheld) = (seat.version, seat.occupancy.status(), seat.withheld);
        Self { number: number.clone(), version, status, until, withheld }
    }
}

/// The state of a line after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineHint {
    /// Its SKU within the pool.
    pub sku: Sku,
    /// Its version.
    pub version: u64,
    /// May be sold.
    pub available: i64,
    /// Held by ACTIVE reservations.
    pub reserved: i64,
    /// Sold and still there.
    pub committed: i64,
    /// When it last changed; rounded up to the millisecond.
    pub updated_at: Timestamp,
}

impl LineHint {
    /// The hint about a line that was written.
    #[must_use]
    pub fn of(key: &LineKey, line: &StockLevel) -> Self {
        let StockLevel { available, reserved, committed, version, updated_at, as_of: _ } = *line;
        let (sku, updated_at) = (key.sku.clone(), wire::rounded_up(updated_at));
        Self { sku, version, available, reserved, committed, updated_at }
    }
}

/// One thing that a worker announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A seat was written.
    Seat(SeatHint),
    /// A line was written.
    Line(LineHint),
    /// More was written than is announced, or may have been: the tables have it.
    ReadAgain,
    /// A command has an outcome in the ledger.
    Decided(CommandKey),
    /// A result was published: its CloudEvent in JSON.
    Result(Arc<str>),
}

impl Hint {
    /// The most bytes that it takes in a frame.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        const NUMBERS: usize = 64;
        let text = match self {
            Self::Seat(seat) => seat.number.as_str().len(),
            Self::Line(line) => line.sku.as_str().len(),
            Self::ReadAgain => 0,
            Self::Decided(key) => key.source.as_str().len() + key.id.as_str().len(),
            Self::Result(body) => body.len(),
        };
        NUMBERS.saturating_add(text)
    }
}

/// Consecutive hints of one worker on one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Made anew whenever a worker begins to announce a topic.
    pub stream: Uuid,
    /// The number of the last hint announced so far; the frame's own hints end with it. 0 before
    /// the first.
    pub last: u64,
    /// The hints, at most [`FRAME_HINTS_MAX`]; none in a heartbeat.
    pub hints: Vec<Hint>,
    /// Nothing follows, no heartbeats either, until there is a hint again.
    pub is_idle: bool,
}

/// The worker's side.
#[async_trait]
pub trait HintPublisher: Send + Sync {
    /// The topics that are watched now, at most [`TOPICS_MAX`].
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError>;

    /// Hands a frame to whoever subscribes to the topic at this moment. Frames of a topic that are
    /// published one after the other arrive in that order.
    async fn publish(&self, topic: &Topic, frame: &Frame) -> Result<(), PortError>;
}

/// What became of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The topic was watched before, without a break since the last watch that is still running.
    Kept,
    /// It was not: workers have yet to learn of it.
    Begun,
    /// [`TOPICS_MAX`] topics are watched already.
    Refused,
}

/// The gateway's side.
#[async_trait]
pub trait HintSubscriber: Send + Sync {
    /// Keeps topics watched for `lifetime` from now, which is never shortened. At most
    /// [`TOPICS_MAX`] of them. Returns one answer for each, in the order given.
    async fn watch(&self, topics: &[Topic], lifetime: Duration) -> Result<Vec<Watched>, PortError>;

    /// Subscribes: what is published after this returns is received, or the subscription says that
    /// it may be missing something.
    async fn subscribe(&self, topic: &Topic) -> Result<Box<dyn HintSubscription>, PortError>;
}

/// What a subscription received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// Something that is no frame, or of another version.
    Undecodable,
    /// Frames came faster than they were read, and some were dropped.
    Overflow,
    /// The connection is lost: nothing more comes.
    Lost,
}

/// What is received on a topic. Dropping it ends the subscription.
#[async_trait]
pub trait HintSubscription: Send {
    /// Waits for what comes next. May be dropped while it waits, without a loss.
    async fn next(&mut self) -> Received;
}
