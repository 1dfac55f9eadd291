//! One customer's way through the shop: what is asked for, command by command.

use std::sync::Arc;

use super::{
    exchange::{Ask, Exchange, Reply},
    tally::{Expected, ReservationView, result},
    theatre::text,
};
use crate::domain::{
    Action, Cancel, Confirm, GroupId, OrderLine, PoolId, ReservationId, Reserve, Restock,
    RestockMode,
};

/// A customer, or whoever sends commands for one.
pub struct Customer {
    /// The way to the worker.
    pub exchange: Arc<Exchange>,
    /// Who it is; its commands' ids begin with it.
    pub name: String,
    /// The pool.
    pub pool: PoolId,
    /// The group of its commands; one a pool without.
    pub group: Option<GroupId>,
    /// Whether everything came to what was expected so far.
    pub went_well: bool,
    asked: u32,
}

impl Customer {
    /// One who has asked for nothing yet.
    #[must_use]
    pub fn new(exchange: &Arc<Exchange>, name: impl Into<String>, pool: PoolId) -> Self {
        let (exchange, name) = (Arc::clone(exchange), name.into());
        Self { exchange, name, pool, group: None, went_well: true, asked: 0 }
    }

    /// The same customer, whose commands go into that group.
    pub fn in_group(mut self, group: impl AsRef<str>) -> anyhow::Result<Self> {
        self.group = Some(text(group)?);
        Ok(self)
    }

    /// The next command.
    pub fn next(&mut self, action: Action, expected: Expected) -> Ask {
        self.asked += 1;
        let id = format!("{}-{}", self.name, self.asked);
        let (pool, group) = (self.pool.clone(), self.group.clone());
        Ask { id, pool, action, group, expected }
    }

    /// A reserve of seats and lines; its reservation's id follows from the command's.
    pub fn reserve_ask(
        &mut self,
        seats: &[String],
        lines: &[OrderLine],
        hold_seconds: Option<u32>,
        expected: Expected,
    ) -> anyhow::Result<Ask> {
        let reserve = Reserve {
            reservation_id: ReservationId(uuid::Uuid::nil()),
            user_id: text(&self.name)?,
            seats: seats.iter().map(text).collect::<Result<_, _>>()?,
            lines: lines.to_vec(),
            hold_seconds,
        };
        let mut ask = self.next(Action::Reserve(reserve), expected);
        let id = Exchange::key(&ask.id)?.default_reservation_id();
        if let Action::Reserve(reserve) = &mut ask.action {
            reserve.reservation_id = id;
        }
        Ok(ask)
    }

    /// Posts a command and waits; gives its result.
    pub async fn ask(&mut self, ask: Ask) -> anyhow::Result<Option<Reply>> {
        let reply = self.exchange.ask(ask).await?;
        self.went_well &= reply.as_ref().is_some_and(|reply| reply.is_expected);
        Ok(reply)
    }

    /// Reserves; gives the reservation if there is one.
    pub async fn reserve(
        &mut self,
        seats: &[String],
        lines: &[OrderLine],
        hold_seconds: Option<u32>,
        expected: Expected,
    ) -> anyhow::Result<Option<ReservationView>> {
        let ask = self.reserve_ask(seats, lines, hold_seconds, expected)?;
        Ok(self.ask(ask).await?.and_then(|reply| reply.result.data.reservation))
    }

    /// Reserves seats that must be had.
    pub async fn hold(&mut self, seats: &[&str]) -> anyhow::Result<Option<ReservationView>> {
        let seats: Vec<String> = seats.iter().map(|seat| (*seat).to_owned()).collect();
        self.reserve(&seats, &[], None, &[result::RESERVED]).await
    }

    /// Pays.
    pub async fn confirm(
        &mut self,
        reservation: &ReservationView,
        expected: Expected,
    ) -> anyhow::Result<()> {
        let confirm = Confirm {
            reservation_id: ReservationId(reservation.reservation_id),
            booking_id: text(format!("booking-{}", self.name))?,
            user_id: Some(text(&self.name)?),
        };
        let ask = self.next(Action::Confirm(confirm), expected);
        self.ask(ask).await.map(|_| ())
    }

    /// Gives back.
    pub async fn cancel(
        &mut self,
        reservation: &ReservationView,
        refund: bool,
        expected: Expected,
    ) -> anyhow::Result<()> {
        let cancel = Cancel {
            reservation_id: ReservationId(reservation.reservation_id),
            user_id: None,
            reason: Some(text("changed my mind")?),
            refund,
        };
        let ask = self.next(Action::Cancel(cancel), expected);
        self.ask(ask).await.map(|_| ())
    }

    /// Puts on sale.
    pub async fn restock(&mut self, restock: Restock) -> anyhow::Result<()> {
        let (lines, pool) = (restock.lines.clone(), self.pool.clone());
        let ask = self.next(Action::Restock(restock), &[result::RESTOCKED]);
        self.exchange.tally().stocked(&pool, &lines);
        self.ask(ask).await.map(|_| ())
    }

    /// Adds to lines.
    pub async fn add(&mut self, lines: Vec<OrderLine>) -> anyhow::Result<()> {
        let mode = RestockMode::Add;
        self.restock(Restock { seats: Vec::new(), lines, mode, as_of: None }).await
    }
}
