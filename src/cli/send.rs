//! `send`: post a command, or a file of them.

mod again;
mod command_builder;
mod post;
mod skipped;

pub(super) use post::listed;
pub use post::run;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{
    OutputFormat,
    parsers::{time, whole},
    run::{AWS_VARIABLES, TRACE_VARIABLES},
};
use crate::{
    config::{Flags, SendConfig},
    domain::{
        Action, BookingId, Cancel, CommandId, Confirm, Extend, Fulfil, Goods, GroupId, Holdings,
        InvalidText, Label, LineChange, Modify, OrderLine, PoolId, Price, QUANTITY_MAX, Reason,
        Reference, ReservationId, Reserve, Restock, RestockMode, RestockStatus, SeatChange,
        SeatNumber, Sku, Source, StoreId, Timestamp, UserId, command::HOLD_SECONDS_MAX,
        ids::EVENT_ID_MAX,
    },
    message::{self, BATCH_COMMANDS_MAX},
};

const EXAMPLES: &str = "\
Examples:
  inventory-worker send restock --event 42 --seat A-1,A-2 --price 49.50 --wait
  inventory-worker send reserve --event 42 --user u-1 --seat A-1,A-2 --wait
  inventory-worker send confirm --event 42 --reservation UUID --booking b-1
  inventory-worker send restock --store berlin --line milk=20,tea=5 --mode set
  inventory-worker send --file commands.jsonl --wait 60
  inventory-worker send --file commands.jsonl --batch --wait 60";

/// Arguments of `send`.
#[derive(Args)]
#[command(
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{AWS_VARIABLES}\n\n{TRACE_VARIABLES}"),
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct SendArgs {
    /// The command to post.
    #[command(subcommand)]
    pub command: Option<SendCommand>,
    /// Post the commands of a file, one message in JSON a line; - reads stdin
    #[arg(long, value_name = "FILE", required = true)]
    pub file: Option<PathBuf>,
    /// Put consecutive commands of one group into a message, at most this many [default without a
    /// number: 100]; how one hot group goes faster than ten commands a round
    #[arg(
        long,
        value_name = "N",
        requires = "file",
        hide_short_help = true,
        num_args = 0..=1,
        default_missing_value = "100",
        value_parser = whole::<u8>(1..=BATCH_COMMANDS_MAX as u64)
    )]
    pub batch: Option<u8>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// The commands that can be posted.
#[derive(Subcommand)]
pub enum SendCommand {
    /// Hold seats and lines
    Reserve(Box<ReserveArgs>),
    /// Hold for longer
    Extend(Box<ExtendArgs>),
    /// Add to a hold, and release part of it, in one step
    Modify(Box<ModifyArgs>),
    /// Turn a hold into a sale
    Confirm(Box<ConfirmArgs>),
    /// Record that sold goods, confirmed with --goods stay, have left
    Fulfil(Box<FulfilArgs>),
    /// Give a hold back, or a sale with --refund
    Cancel(Box<CancelArgs>),
    /// Create or update seats and lines
    Restock(Box<RestockArgs>),
}

/// How to post, and what to do then.
#[derive(Args)]
pub struct DeliveryArgs {
    /// The queue to post to, by name or URL [default: the first of producers, for restocks the second if any]
    #[arg(long, env = "INVENTORY_SEND_QUEUE", hide_env_values = true, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Wait for the outcome, at most this many seconds [default without a number: 30]; exit 0 for
    /// done, 2 for rejected
    #[arg(
        long,
        env = "INVENTORY_WAIT_SECONDS", hide_env_values = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "30",
        value_parser = whole::<u32>(1..=3_600)
    )]
    pub wait: Option<u32>,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<SendConfig>,
}

/// Which pool, and under which identity and group.
#[derive(Args)]
#[command(group = ArgGroup::new("pool").required(true).args(["event", "store"]))]
pub struct AddressArgs {
    /// The event the command is about
    #[arg(long, value_name = "EVENT_ID", value_parser = whole::<u64>(0..=EVENT_ID_MAX))]
    event: Option<u64>,
    /// The store the command is about
    #[arg(long, value_name = "STORE_ID")]
    store: Option<StoreId>,
    /// The command's id [default: a new UUID]
    #[arg(long, value_name = "ID")]
    pub id: Option<CommandId>,
    /// Who sends it; with the id, its identity
    #[arg(
        long,
        env = "INVENTORY_SOURCE",
        hide_env_values = true,
        value_name = "SOURCE",
        value_parser = source,
        default_value = "/inventory-cli"
    )]
    pub source: Source,
    /// Refuse the command if it is decided after this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub expiry_time: Option<Timestamp>,
    /// The message group [default: one a pool]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<GroupId>,
}

impl AddressArgs {
    /// The pool; the parser asks for exactly one.
    #[must_use]
    pub fn pool(&self) -> Option<PoolId> {
        let store = || self.store.clone().map(PoolId::Store);
        self.event.map(PoolId::Event).or_else(store)
    }
}

/// Arguments of `send reserve`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("entries").required(true).multiple(true).args(["seats", "lines"]))]
pub struct ReserveArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The user it is for
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: UserId,
    /// A seat to hold; repeatable, or comma-separated
    #[arg(long = "seat", value_name = "SEAT", value_delimiter = ',')]
    seats: Vec<SeatNumber>,
    /// A line to hold, as SKU=QUANTITY; repeatable, or comma-separated. A SKU with a
    /// comma goes in a --file
    #[arg(long = "line", value_name = "SKU=QUANTITY", value_delimiter = ',', value_parser = line_to_hold)]
    lines: Vec<OrderLine>,
    /// How long, seconds [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = whole::<u32>(1..=u64::from(HOLD_SECONDS_MAX)))]
    hold_seconds: Option<u32>,
    /// The reservation's id [default: made of the command's identity]
    #[arg(long = "reservation", value_name = "UUID")]
    pub reservation_id: Option<ReservationId>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send extend`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ExtendArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The reservation
    #[arg(long = "reservation", value_name = "UUID")]
    reservation_id: ReservationId,
    /// How long from now, seconds; never shortens the hold
    #[arg(long, value_name = "SECONDS", value_parser = whole::<u32>(1..=u64::from(HOLD_SECONDS_MAX)))]
    hold_seconds: u32,
    /// The owner, to be checked
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: Option<UserId>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send modify`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("entries").required(true).multiple(true).args(["add_seats", "add_lines", "remove_seats", "remove_lines"]))]
pub struct ModifyArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The reservation
    #[arg(long = "reservation", value_name = "UUID")]
    reservation_id: ReservationId,
    /// A seat to add; repeatable, or comma-separated
    #[arg(long = "add-seat", value_name = "SEAT", value_delimiter = ',')]
    add_seats: Vec<SeatNumber>,
    /// A line to add, as SKU=QUANTITY; repeatable, or comma-separated. A SKU with a
    /// comma goes in a --file
    #[arg(long = "add-line", value_name = "SKU=QUANTITY", value_delimiter = ',', value_parser = line_to_hold)]
    add_lines: Vec<OrderLine>,
    /// A seat to release; repeatable, or comma-separated
    #[arg(long = "remove-seat", value_name = "SEAT", value_delimiter = ',')]
    remove_seats: Vec<SeatNumber>,
    /// A line to release, as SKU=QUANTITY; repeatable, or comma-separated. A SKU with a
    /// comma goes in a --file
    #[arg(long = "remove-line", value_name = "SKU=QUANTITY", value_delimiter = ',', value_parser = line_to_hold)]
    remove_lines: Vec<OrderLine>,
    /// The owner, to be checked
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: Option<UserId>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send fulfil`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct FulfilArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The reservation
    #[arg(long = "reservation", value_name = "UUID")]
    reservation_id: ReservationId,
    /// The owner, to be checked
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: Option<UserId>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send confirm`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ConfirmArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The reservation
    #[arg(long = "reservation", value_name = "UUID")]
    reservation_id: ReservationId,
    /// The booking it becomes
    #[arg(long = "booking", value_name = "BOOKING_ID")]
    booking_id: BookingId,
    /// The owner, to be checked
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: Option<UserId>,
    /// Whether the goods leave with the sale, or stay, as committed, until a fulfil
    #[arg(long, default_value = "leave")]
    goods: GoodsArg,
    /// Book a reservation that has run out, if everything it held is still free
    #[arg(long)]
    allow_expired: bool,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send cancel`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct CancelArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// The reservation
    #[arg(long = "reservation", value_name = "UUID")]
    reservation_id: ReservationId,
    /// The owner, to be checked
    #[arg(long = "user", value_name = "USER_ID")]
    user_id: Option<UserId>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    /// Allow a CONFIRMED reservation to be cancelled: its seats go back on sale
    #[arg(long)]
    refund: bool,
    /// What the seats become
    #[arg(long, default_value = "available")]
    seats_to: StatusArg,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Arguments of `send restock`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("entries").required(true).multiple(true).args(["seats", "lines"]))]
pub struct RestockArgs {
    /// Which pool, and under which identity.
    #[command(flatten)]
    pub address: AddressArgs,
    /// A seat to create or update; repeatable, or comma-separated
    #[arg(long = "seat", value_name = "SEAT", value_delimiter = ',')]
    seats: Vec<SeatNumber>,
    /// The section of the seats given
    #[arg(long, value_name = "TEXT", requires = "seats")]
    section: Option<Label>,
    /// The row of the seats given
    #[arg(long, value_name = "TEXT", requires = "seats")]
    row_number: Option<Label>,
    /// The kind of the seats given
    #[arg(long, value_name = "TEXT", requires = "seats")]
    seat_type: Option<Label>,
    /// The price of the seats given, such as 49.50
    #[arg(long, value_name = "DECIMAL", requires = "seats")]
    price: Option<Price>,
    /// Whether the seats given are on sale [default: as they are; a new seat is available]
    #[arg(long, requires = "seats")]
    status: Option<StatusArg>,
    /// A line, as SKU=QUANTITY, or SKU=QUANTITY@VERSION to be applied only if the line is at that
    /// version (0: the SKU must not exist); repeatable, or comma-separated. A SKU with a comma goes in
    /// a --file
    #[arg(long = "line", value_name = "SKU=QUANTITY", value_delimiter = ',', value_parser = line_to_stock, requires = "mode")]
    lines: Vec<LineChange>,
    /// Whether on hand becomes the quantity, or the quantity, possibly negative, is added to it
    #[arg(long, requires = "lines")]
    mode: Option<ModeArg>,
    /// When the quantities were counted (RFC 3339); an older set is skipped
    #[arg(long, value_name = "TIME", value_parser = time)]
    as_of: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    /// The document behind the change
    #[arg(long, value_name = "URI")]
    reference: Option<Reference>,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// A seat's state in `send restock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// On sale.
    Available,
    /// Off sale.
    Blocked,
}

impl From<StatusArg> for RestockStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Available => Self::Available,
            StatusArg::Blocked => Self::Blocked,
        }
    }
}

/// Whether goods leave in `send confirm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GoodsArg {
    /// They leave with the sale.
    Leave,
    /// They stay until a fulfil.
    Stay,
}

/// What quantities mean in `send restock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// On hand becomes the quantity.
    Set,
    /// The quantity is added to on hand.
    Add,
}

impl SendCommand {
    /// Which pool, and under which identity and group.
    #[must_use]
    pub fn address(&self) -> &AddressArgs {
        match self {
            Self::Reserve(args) => &args.address,
            Self::Extend(args) => &args.address,
            Self::Modify(args) => &args.address,
            Self::Confirm(args) => &args.address,
            Self::Fulfil(args) => &args.address,
            Self::Cancel(args) => &args.address,
            Self::Restock(args) => &args.address,
        }
    }

    /// How to post.
    #[must_use]
    pub fn delivery(&self) -> &DeliveryArgs {
        match self {
            Self::Reserve(args) => &args.delivery,
            Self::Extend(args) => &args.delivery,
            Self::Modify(args) => &args.delivery,
            Self::Confirm(args) => &args.delivery,
            Self::Fulfil(args) => &args.delivery,
            Self::Cancel(args) => &args.delivery,
            Self::Restock(args) => &args.delivery,
        }
    }

    /// The command's action. `reservation_id` is that of a reserve for which none was given.
    #[must_use]
    pub fn action(&self, reservation_id: ReservationId) -> Action {
        match self {
            Self::Reserve(args) => Action::Reserve(Reserve {
                reservation_id: args.reservation_id.unwrap_or(reservation_id),
                user_id: args.user_id.clone(),
                seats: args.seats.clone(),
                lines: args.lines.clone(),
                hold_seconds: args.hold_seconds,
            }),
            Self::Extend(args) => Action::Extend(Extend {
                reservation_id: args.reservation_id,
                hold_seconds: args.hold_seconds,
                user_id: args.user_id.clone(),
            }),
            Self::Modify(args) => Action::Modify(Modify {
                reservation_id: args.reservation_id,
                add: Holdings { seats: args.add_seats.clone(), lines: args.add_lines.clone() },
                remove: Holdings {
                    seats: args.remove_seats.clone(),
                    lines: args.remove_lines.clone(),
                },
                user_id: args.user_id.clone(),
            }),
            Self::Confirm(args) => Action::Confirm(Confirm {
                reservation_id: args.reservation_id,
                booking_id: args.booking_id.clone(),
                user_id: args.user_id.clone(),
                goods: match args.goods {
                    GoodsArg::Leave => Goods::Leave,
                    GoodsArg::Stay => Goods::Stay,
                },
                allow_expired: args.allow_expired,
            }),
            Self::Fulfil(args) => Action::Fulfil(Fulfil {
                reservation_id: args.reservation_id,
                user_id: args.user_id.clone(),
            }),
            Self::Cancel(args) => Action::Cancel(Cancel {
                reservation_id: args.reservation_id,
                user_id: args.user_id.clone(),
                reason: args.reason.clone(),
                refund: args.refund,
                seats_to: args.seats_to.into(),
            }),
            Self::Restock(args) => Action::Restock(args.restock()),
        }
    }
}

impl RestockArgs {
    fn restock(&self) -> Restock {
        let change = |number: &SeatNumber| SeatChange {
            number: number.clone(),
            section: self.section.clone(),
            row_number: self.row_number.clone(),
            seat_type: self.seat_type.clone(),
            price: self.price,
            status: self.status.map(RestockStatus::from),
        };
        Restock {
            seats: self.seats.iter().map(change).collect(),
            lines: self.lines.clone(),
            mode: match self.mode {
                Some(ModeArg::Add) => RestockMode::Add,
                Some(ModeArg::Set) | None => RestockMode::Set,
            },
            as_of: self.as_of,
            reason: self.reason.clone(),
            reference: self.reference.clone(),
        }
    }
}

/// A source that producers may use: those of the workers are refused.
pub(super) fn source(text: &str) -> Result<Source, String> {
    let source: Source = text.parse().map_err(|invalid: InvalidText| invalid.to_string())?;
    match message::is_reserved(&source) {
        true => Err(format!("expected {}", message::not_reserved())),
        false => Ok(source),
    }
}

fn line_to_hold(text: &str) -> Result<OrderLine, String> {
    let wrong = || format!("expected SKU=QUANTITY, the quantity from 1 to {QUANTITY_MAX}");
    let (sku, quantity) = sku_and_rest(text).ok_or_else(wrong)?;
    let quantity: u64 = quantity.parse().map_err(|_| wrong())?;
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        return Err(wrong());
    }
    Ok(OrderLine { sku: sku?, quantity })
}

fn line_to_stock(text: &str) -> Result<LineChange, String> {
    let wrong = || {
        format!(
            "expected SKU=QUANTITY or SKU=QUANTITY@VERSION, the quantity at most {QUANTITY_MAX}"
        )
    };
    let (sku, rest) = sku_and_rest(text).ok_or_else(wrong)?;
    let (quantity, version) = match rest.split_once('@') {
        Some((quantity, version)) => (quantity, Some(version)),
        None => (rest, None),
    };
    let quantity: i64 = quantity.parse().map_err(|_| wrong())?;
    if quantity.unsigned_abs() > QUANTITY_MAX {
        return Err(wrong());
    }
    let expected_version = version.map(str::parse).transpose().map_err(|_| wrong())?;
    Ok(LineChange { sku: sku?, quantity, expected_version })
}

/// Splits at the last `=`: a SKU may contain others.
fn sku_and_rest(text: &str) -> Option<(Result<Sku, String>, &str)> {
    let (sku, rest) = text.rsplit_once('=')?;
    Some((sku.parse().map_err(|invalid| format!("the SKU: {invalid}")), rest))
}
