//! Commands: one change asked for, checked against everything its message alone can tell.

use std::fmt;

use super::{
    BookingId, CommandKey, Label, OrderLine, PoolId, Price, Reason, ReservationId, RestockStatus,
    SeatNumber, Timestamp, UserId,
};

/// How long a hold lasts unless the command says otherwise, seconds.
pub const HOLD_SECONDS_DEFAULT: u32 = 600;
/// The longest hold a command may ask for, seconds.
pub const HOLD_SECONDS_MAX: u32 = 14_400;
/// The most seats and lines in one reservation: with the reservation itself, its ledger entry and
/// one check, they fill one transaction of 100 items.
pub const RESERVE_ENTRIES_MAX: usize = 97;
/// The most seats and lines in one restock.
pub const RESTOCK_ENTRIES_MAX: usize = 10_000;

/// One change asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its identity.
    pub key: CommandKey,
    /// What its content comes to, to tell a repetition from a reuse of its identity.
    pub digest: Digest,
    /// The pool it names.
    pub pool: PoolId,
    /// What is asked for.
    pub action: Action,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hold seats and lines.
    Reserve(Reserve),
    /// Turn a hold into a sale.
    Confirm(Confirm),
    /// Give a hold back, or a sale with `refund`.
    Cancel(Cancel),
    /// Create or update seats and lines.
    Restock(Restock),
    /// Give back a hold that ran out.
    Expire(Expire),
}

impl Action {
    /// The action's type, without its content.
    #[must_use]
    pub fn command_type(&self) -> CommandType {
        match self {
            Self::Reserve(_) => CommandType::Reserve,
            Self::Confirm(_) => CommandType::Confirm,
            Self::Cancel(_) => CommandType::Cancel,
            Self::Restock(_) => CommandType::Restock,
            Self::Expire(_) => CommandType::Expire,
        }
    }
}

/// The kinds of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandType {
    /// `inventory.reserve.v1`
    Reserve,
    /// `inventory.confirm.v1`
    Confirm,
    /// `inventory.cancel.v1`
    Cancel,
    /// `inventory.restock.v1`
    Restock,
    /// `inventory.expire.v1`
    Expire,
}

impl CommandType {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Reserve, Self::Confirm, Self::Cancel, Self::Restock, Self::Expire];

    /// The CloudEvents `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "inventory.reserve.v1",
            Self::Confirm => "inventory.confirm.v1",
            Self::Cancel => "inventory.cancel.v1",
            Self::Restock => "inventory.restock.v1",
            Self::Expire => "inventory.expire.v1",
        }
    }

    /// The kind with that CloudEvents `type`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// `inventory.reserve.v1`. Seats and lines: 1…[`RESERVE_ENTRIES_MAX`] together, none twice; seats
/// only where the pool is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The reservation to make.
    pub reservation_id: ReservationId,
    /// Whom it is for.
    pub user_id: UserId,
    /// The seats to hold.
    pub seats: Vec<SeatNumber>,
    /// The lines to hold.
    pub lines: Vec<OrderLine>,
    /// How long, seconds, 1…[`HOLD_SECONDS_MAX`]; [`HOLD_SECONDS_DEFAULT`] where it does not say.
    pub hold_seconds: Option<u32>,
}

/// `inventory.confirm.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The booking it becomes.
    pub booking_id: BookingId,
    /// The owner, where the sender wants it checked.
    pub user_id: Option<UserId>,
}

/// `inventory.cancel.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The owner, where the sender wants it checked.
    pub user_id: Option<UserId>,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether a CONFIRMED reservation may be cancelled.
    pub refund: bool,
}

/// `inventory.expire.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expire {
    /// The reservation.
    pub reservation_id: ReservationId,
}

/// `inventory.restock.v1`. Seats and lines: 1…[`RESTOCK_ENTRIES_MAX`] together, none twice; seats
/// only where the pool is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restock {
    /// Seats to create or update.
    pub seats: Vec<SeatChange>,
    /// Lines to set or add to; a quantity may be 0.
    pub lines: Vec<OrderLine>,
    /// What the quantities mean. Without lines it says nothing.
    pub mode: RestockMode,
    /// When the figures were taken.
    pub as_of: Option<Timestamp>,
}

impl Restock {
    /// Seats and lines together.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.seats.len().saturating_add(self.lines.len())
    }
}

/// What a restock's quantities mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestockMode {
    /// On hand becomes the quantity.
    Set,
    /// The quantity is added to on hand.
    Add,
}

/// A seat to create, or the fields of it to change: what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatChange {
    /// Which.
    pub number: SeatNumber,
    /// The part of the house it is in.
    pub section: Option<Label>,
    /// Its row.
    pub row_number: Option<Label>,
    /// Its kind.
    pub seat_type: Option<Label>,
    /// What it costs.
    pub price: Option<Price>,
    /// On sale or not; a new seat is on sale unless it says otherwise.
    pub status: Option<RestockStatus>,
}

/// A command's content in 32 bytes: SHA-256 of the RFC 8785 form of `{type, data}` as received.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The rule digests are made by; written before the digest in the ledger, so that a later rule
    /// is told from this one.
    pub const RULE: &'static str = "1";
}

/// `1:` and 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", Self::RULE)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = super::InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || super::InvalidText { expected: "\"1:\" and 64 hexadecimal digits".to_owned() };
        let hex = text
            .strip_prefix(Self::RULE)
            .and_then(|rest| rest.strip_prefix(':'))
            .filter(|hex| hex.len() == 64 && hex.is_ascii())
            .ok_or_else(wrong)?;
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}
