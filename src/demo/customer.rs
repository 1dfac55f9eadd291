//! One customer: sends commands one after the other, with their expected outcomes.

use std::sync::Arc;

use super::{
    client::{CheckedResult, DemoClient, ScriptedCommand},
    expectations::{ExpectedOutcomes, result},
    venue::text,
};
use crate::domain::{
    Action, Cancel, Confirm, GroupId, LineChange, OrderLine, Outcome, PoolId, Reservation,
    ReservationId, Reserve, Restock, RestockMode,
};

/// A customer, or a manager who restocks.
pub struct Customer {
    /// Posts the commands.
    pub client: Arc<DemoClient>,
    /// The user id; command ids begin with it.
    pub name: String,
    /// The pool.
    pub pool: PoolId,
    /// The group of the commands; `None` for the pool's.
    pub group: Option<GroupId>,
    /// Whether every outcome so far was as expected.
    pub went_well: bool,
    commands: u32,
}

impl Customer {
    /// A customer who has sent nothing yet.
    #[must_use]
    pub fn new(client: &Arc<DemoClient>, name: impl Into<String>, pool: PoolId) -> Self {
        let (client, name) = (Arc::clone(client), name.into());
        Self { client, name, pool, group: None, went_well: true, commands: 0 }
    }

    /// The same customer, whose commands go into that group.
    pub fn in_group(mut self, group: impl AsRef<str>) -> anyhow::Result<Self> {
        self.group = Some(text(group)?);
        Ok(self)
    }

    /// The next command.
    pub fn next(&mut self, action: Action, expected: ExpectedOutcomes) -> ScriptedCommand {
        self.commands += 1;
        let id = format!("{}-{}", self.name, self.commands);
        let (pool, group) = (self.pool.clone(), self.group.clone());
        ScriptedCommand { id, pool, action, group, expected }
    }

    /// A reserve of seats and lines; its reservation's id is derived from the command's.
    pub fn reserve_command(
        &mut self,
        seats: &[String],
        lines: &[OrderLine],
        hold_seconds: Option<u32>,
        expected: ExpectedOutcomes,
    ) -> anyhow::Result<ScriptedCommand> {
        let reserve = Reserve {
            reservation_id: ReservationId(uuid::Uuid::nil()),
            user_id: text(&self.name)?,
            seats: seats.iter().map(text).collect::<Result<_, _>>()?,
            lines: lines.to_vec(),
            hold_seconds,
        };
        let mut command = self.next(Action::Reserve(reserve), expected);
        let id = DemoClient::key(&command.id)?.default_reservation_id();
        if let Action::Reserve(reserve) = &mut command.action {
            reserve.reservation_id = id;
        }
        Ok(command)
    }

    /// Posts a command and waits for its result.
    pub async fn request(
        &mut self,
        command: ScriptedCommand,
    ) -> anyhow::Result<Option<CheckedResult>> {
        let reply = self.client.request(command).await?;
        self.went_well &= reply.as_ref().is_some_and(|reply| reply.is_expected);
        Ok(reply)
    }

    /// Posts a reserve and waits; returns the reservation, unless it was rejected.
    pub async fn request_hold(
        &mut self,
        command: ScriptedCommand,
    ) -> anyhow::Result<Option<Reservation>> {
        let outcome = self.request(command).await?.map(|reply| reply.result.outcome);
        Ok(match outcome {
            Some(Outcome::Reserved { reservation }) => Some(reservation),
            _ => None,
        })
    }

    /// Reserves; returns the reservation, unless it was rejected.
    pub async fn reserve(
        &mut self,
        seats: &[String],
        lines: &[OrderLine],
        hold_seconds: Option<u32>,
        expected: ExpectedOutcomes,
    ) -> anyhow::Result<Option<Reservation>> {
        let command = self.reserve_command(seats, lines, hold_seconds, expected)?;
        self.request_hold(command).await
    }

    /// Reserves seats that are free.
    pub async fn hold(&mut self, seats: &[&str]) -> anyhow::Result<Option<Reservation>> {
        let seats: Vec<String> = seats.iter().map(|seat| (*seat).to_owned()).collect();
        self.reserve(&seats, &[], None, &[result::RESERVED]).await
    }

    /// Confirms a hold.
    pub async fn confirm(
        &mut self,
        reservation: &Reservation,
        expected: ExpectedOutcomes,
    ) -> anyhow::Result<()> {
        let booking_id = text(format!("booking-{}", self.name))?;
        let confirm = Confirm {
            user_id: Some(text(&self.name)?),
            ..Confirm::new(reservation.reservation_id, booking_id)
        };
        let command = self.next(Action::Confirm(confirm), expected);
        self.request(command).await.map(|_| ())
    }

    /// Cancels a hold, or with `refund` a sale.
    pub async fn cancel(
        &mut self,
        reservation: &Reservation,
        refund: bool,
        expected: ExpectedOutcomes,
    ) -> anyhow::Result<()> {
        let cancel = Cancel {
            reason: Some(text("changed my mind")?),
            refund,
            ..Cancel::new(reservation.reservation_id)
        };
        let command = self.next(Action::Cancel(cancel), expected);
        self.request(command).await.map(|_| ())
    }

    /// Restocks the pool.
    pub async fn restock(&mut self, restock: Restock) -> anyhow::Result<()> {
        let (lines, pool) = (restock.lines.clone(), self.pool.clone());
        let command = self.next(Action::Restock(restock), &[result::RESTOCKED]);
        self.client.expectations().stocked(&pool, &lines);
        self.request(command).await.map(|_| ())
    }

    /// Adds to lines of the pool.
    pub async fn add(&mut self, lines: Vec<LineChange>) -> anyhow::Result<()> {
        self.restock(Restock::new(Vec::new(), lines, RestockMode::Add)).await
    }
}
