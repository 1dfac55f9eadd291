//! Removes a user's id from the tables.
//!
//! In its place comes the pseudonym of the reservation ([`ReservationId::pseudonym`]), the same in
//! the reservation, on its seats and in the outcomes that name it, so that the tables agree at every
//! moment and a removal that stopped is taken up by another run. Every write is conditioned on the
//! version that was read, and is a change with a version of its own: a worker that had read the old
//! item conflicts, reads again and never writes the id back. A command that names the user and is
//! decided later does write it: the tables are therefore read until a whole pass finds nothing.
//!
//! [`ReservationId::pseudonym`]: crate::domain::ReservationId::pseudonym

mod attributes;
mod dead_letter;
mod tables;

pub use attributes::{AttributeMention, attributes_without_user};
pub use dead_letter::{Mention, without_user};
pub use tables::{ForgetError, Forgetting, Removed, TableProgress};

#[cfg(test)]
mod tests;
