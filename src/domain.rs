//! The domain model, as types that cannot hold an invalid value.
//!
//! Independent of queues, tables and clocks: a time is always an argument. The rules that move
//! these values from state to state are in [`crate::decide`].

pub mod command;
pub mod ids;
pub mod outcome;
pub mod reservation;
pub mod seat;
pub mod stock;
pub mod time;

pub use command::{
    Action, Cancel, Command, CommandType, Confirm, Digest, Expire, Extend, Fulfil, Holdings,
    LineChange, Modify, Reserve, Restock, RestockMode, SeatChange,
};
pub use ids::{
    BookingId, CommandId, CommandKey, GroupId, InvalidText, Label, PoolId, Reason, Reference,
    ReservationId, SeatKey, SeatNumber, Sku, Source, StoreId, UserId,
};
pub use outcome::{
    Changes, ItemState, Outcome, RejectedLine, Rejection, RejectionCode, RestockSummary,
};
pub use reservation::{Goods, OrderLine, Reservation, ReservationStatus};
pub use seat::{Price, RestockStatus, Seat, SeatDetails, SeatState, SeatStatus};
pub use stock::{LineKey, ON_HAND_MAX, QUANTITY_MAX, StockLevel};
pub use time::Timestamp;
