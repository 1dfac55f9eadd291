//! Commands: one requested change, checked against everything its message alone can show.

use std::fmt;

use super::{
    BookingId, CommandKey, Goods, Label, OrderLine, PoolId, Price, Reason, Reference,
    ReservationId, RestockStatus, SeatNumber, Sku, Timestamp, UserId,
};

/// The default length of a hold, seconds.
pub const HOLD_SECONDS_DEFAULT: u32 = 600;
/// The longest hold a command may request, seconds.
pub const HOLD_SECONDS_MAX: u32 = 14_400;
/// The most seats and lines in one reservation: with the reservation itself, its ledger entry and
/// one check, they fill one transaction of 100 items.
pub const RESERVE_ENTRIES_MAX: usize = 97;
/// The most seats and lines in one restock.
pub const RESTOCK_ENTRIES_MAX: usize = 10_000;

/// The most that the setting for the longest hold in all may say, seconds: a year.
pub const HOLD_TOTAL_SECONDS_MAX: u32 = 31_622_400;

/// One requested change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command's identity.
    pub key: CommandKey,
    /// The digest of its content, to distinguish a repetition from a reuse of its identity.
    pub digest: Digest,
    /// CloudEvents' `expirytime`: a command decided later is rejected `COMMAND_EXPIRED`. Not part of
    /// the digest.
    pub deadline: Option<Timestamp>,
    /// The pool it names.
    pub pool: PoolId,
    /// The requested change.
    pub action: Action,
}

/// The action of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hold seats and lines.
    Reserve(Reserve),
    /// Hold for longer.
    Extend(Extend),
    /// Change what is held.
    Modify(Modify),
    /// Turn a hold into a sale.
    Confirm(Confirm),
    /// Record that sold goods have left.
    Fulfil(Fulfil),
    /// Release a hold, or with `refund` a sale.
    Cancel(Cancel),
    /// Create or update seats and lines.
    Restock(Restock),
    /// Release a hold that has run out.
    Expire(Expire),
}

impl Action {
    /// The action's type, without its content.
    #[must_use]
    pub fn command_type(&self) -> CommandType {
        match self {
            Self::Reserve(_) => CommandType::Reserve,
            Self::Extend(_) => CommandType::Extend,
            Self::Modify(_) => CommandType::Modify,
            Self::Confirm(_) => CommandType::Confirm,
            Self::Fulfil(_) => CommandType::Fulfil,
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
    /// `inventory.extend.v1`
    Extend,
    /// `inventory.modify.v1`
    Modify,
    /// `inventory.confirm.v1`
    Confirm,
    /// `inventory.fulfil.v1`
    Fulfil,
    /// `inventory.cancel.v1`
    Cancel,
    /// `inventory.restock.v1`
    Restock,
    /// `inventory.expire.v1`
    Expire,
}

impl CommandType {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Reserve,
        Self::Extend,
        Self::Modify,
        Self::Confirm,
        Self::Fulfil,
        Self::Cancel,
        Self::Restock,
        Self::Expire,
    ];

    /// The CloudEvents `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "inventory.reserve.v1",
            Self::Extend => "inventory.extend.v1",
            Self::Modify => "inventory.modify.v1",
            Self::Confirm => "inventory.confirm.v1",
            Self::Fulfil => "inventory.fulfil.v1",
            Self::Cancel => "inventory.cancel.v1",
            Self::Restock => "inventory.restock.v1",
            Self::Expire => "inventory.expire.v1",
        }
    }

    /// The kind with this CloudEvents `type`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// `inventory.reserve.v1`. Seats and lines: 1…[`RESERVE_ENTRIES_MAX`] together, none twice; seats
/// only if the pool is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The reservation to make.
    pub reservation_id: ReservationId,
    /// The user it is for.
    pub user_id: UserId,
    /// The seats to hold.
    pub seats: Vec<SeatNumber>,
    /// The lines to hold.
    pub lines: Vec<OrderLine>,
    /// The length of the hold, seconds, 1…[`HOLD_SECONDS_MAX`]; `None` for
    /// [`HOLD_SECONDS_DEFAULT`].
    pub hold_seconds: Option<u32>,
}

/// `inventory.extend.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The remaining hold, seconds, 1…[`HOLD_SECONDS_MAX`]. Never shortens the hold.
    pub hold_seconds: u32,
    /// The expected owner, if the sender wants it checked.
    pub user_id: Option<UserId>,
}

/// `inventory.modify.v1`. Adds and removes 1…[`RESERVE_ENTRIES_MAX`] seats and lines in all, none
/// twice; seats only if the pool is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modify {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// What it takes in addition.
    pub add: Holdings,
    /// What it releases.
    pub remove: Holdings,
    /// The expected owner, if the sender wants it checked.
    pub user_id: Option<UserId>,
}

/// Seats and lines of one reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Seats.
    pub seats: Vec<SeatNumber>,
    /// Lines.
    pub lines: Vec<OrderLine>,
}

impl Holdings {
    /// Seats and lines together.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.seats.len().saturating_add(self.lines.len())
    }
}

/// `inventory.confirm.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The booking it becomes.
    pub booking_id: BookingId,
    /// The owner, if the sender wants it checked.
    pub user_id: Option<UserId>,
    /// Whether the goods of its lines leave with the sale.
    pub goods: Goods,
    /// Whether a reservation that has run out is booked all the same, if everything it held is still
    /// free or its own.
    pub allow_expired: bool,
}

impl Confirm {
    /// A confirm for any owner, whose goods leave.
    #[must_use]
    pub fn new(reservation_id: ReservationId, booking_id: BookingId) -> Self {
        let (goods, allow_expired) = (Goods::Leave, false);
        Self { reservation_id, booking_id, user_id: None, goods, allow_expired }
    }
}

/// `inventory.fulfil.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fulfil {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The expected owner, if the sender wants it checked.
    pub user_id: Option<UserId>,
}

/// `inventory.cancel.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// The owner, if the sender wants it checked.
    pub user_id: Option<UserId>,
    /// The sender's reason, recorded in the outcome.
    pub reason: Option<Reason>,
    /// Whether a CONFIRMED reservation may be cancelled.
    pub refund: bool,
    /// What its seats become; BLOCKED for an event that is called off.
    pub seats_to: RestockStatus,
}

impl Cancel {
    /// A cancel of a hold by anyone, whose seats go back on sale.
    #[must_use]
    pub fn new(reservation_id: ReservationId) -> Self {
        let (refund, seats_to) = (false, RestockStatus::Available);
        Self { reservation_id, user_id: None, reason: None, refund, seats_to }
    }
}

/// `inventory.expire.v1`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expire {
    /// The reservation.
    pub reservation_id: ReservationId,
}

/// `inventory.restock.v1`. Seats and lines: 1…[`RESTOCK_ENTRIES_MAX`] together, none twice; seats
/// only if the pool is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restock {
    /// Seats to create or update.
    pub seats: Vec<SeatChange>,
    /// Lines to set or add to.
    pub lines: Vec<LineChange>,
    /// The meaning of the quantities. Without lines it has no effect.
    pub mode: RestockMode,
    /// When the quantities were counted.
    pub as_of: Option<Timestamp>,
    /// The reason for the change, repeated in the result.
    pub reason: Option<Reason>,
    /// The document behind the change, repeated in the result.
    pub reference: Option<Reference>,
}

/// A line to set or add to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineChange {
    /// The line's SKU.
    pub sku: Sku,
    /// With `set`: 0…[`super::QUANTITY_MAX`]. With `add` possibly negative, for damage or theft.
    pub quantity: i64,
    /// The version that the line must be at; 0 for a SKU that must not exist.
    pub expected_version: Option<u64>,
}

impl LineChange {
    /// A change at any version.
    #[must_use]
    pub fn new(sku: Sku, quantity: i64) -> Self {
        Self { sku, quantity, expected_version: None }
    }
}

impl From<OrderLine> for LineChange {
    fn from(line: OrderLine) -> Self {
        Self::new(line.sku, i64::try_from(line.quantity).unwrap_or(i64::MAX))
    }
}

impl Restock {
    /// A restock without `as_of`, reason and reference.
    #[must_use]
    pub fn new(seats: Vec<SeatChange>, lines: Vec<LineChange>, mode: RestockMode) -> Self {
        Self { seats, lines, mode, as_of: None, reason: None, reference: None }
    }

    /// The number of seats and lines together.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.seats.len().saturating_add(self.lines.len())
    }
}

/// The meaning of a restock's quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestockMode {
    /// On hand becomes the quantity.
    Set,
    /// The quantity is added to on hand.
    Add,
}

/// A seat to create or to change: a field that is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatChange {
    /// The seat's number within its event.
    pub number: SeatNumber,
    /// The section it is in.
    pub section: Option<Label>,
    /// Its row.
    pub row_number: Option<Label>,
    /// Its type.
    pub seat_type: Option<Label>,
    /// Its price.
    pub price: Option<Price>,
    /// On sale or not; `None` puts a new seat on sale.
    pub status: Option<RestockStatus>,
}

/// A command's content in 32 bytes: SHA-256 of the RFC 8785 form of `{type, data}` as received.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The version of the rule that makes digests; written before the digest in the ledger, so that
    /// a later rule can be distinguished from this one.
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
