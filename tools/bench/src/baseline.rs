//! The usual recipe, as the baseline: receive ten messages, and for each in turn lock its seats,
//! write in a transaction, put the reservation, publish, delete, unlock.
//!
//! It uses the same ports with the same latencies. It reads nothing: the condition of its
//! transaction is that the seat is free, which every command here meets.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use tokio::{task::JoinSet, time::Instant};

use super::{
    load,
    world::{Ports, World},
};
use inventory_worker::{
    adapters::system::Random,
    domain::{
        Action, Changes, Command, CommandType, Outcome, Reservation, ReservationStatus, Reserve,
        Seat, SeatKey, SeatState, command::HOLD_SECONDS_DEFAULT, time,
    },
    message::{self, Decoded, ResultMessage},
    ports::{
        Clock, Delivery, Entropy, Expected, LedgerKey, LedgerRecord, ReceiveRequest, Transaction,
        Write, queue::BATCH_ENTRIES_MAX,
    },
};

const LOCK: Duration = Duration::from_secs(30);

struct Recipe {
    ports: Ports,
    clock: Arc<dyn Clock>,
    entropy: Random,
}

/// Works until the queue is empty, and returns the time it took.
pub(super) async fn drain(world: &World) -> anyhow::Result<Duration> {
    let recipe = Recipe {
        ports: world.ports.clone(),
        clock: Arc::clone(&world.clock),
        entropy: Random::seeded(1),
    };
    let mut working = JoinSet::new();
    let begun = Instant::now();
    working.spawn(async move { recipe.consume().await });
    tokio::select! {
        biased;
        emptied = world.until_empty() => emptied?,
        Some(ended) = working.join_next() => {
            ended??;
            bail!("the recipe ended before its queue was empty");
        }
    }
    Ok(begun.elapsed())
}

impl Recipe {
    async fn consume(&self) -> anyhow::Result<()> {
        loop {
            let request = ReceiveRequest {
                max: BATCH_ENTRIES_MAX,
                wait: Duration::from_secs(20),
                visibility: Duration::from_secs(60),
                attempt_id: self.entropy.uuid().to_string(),
            };
            for delivery in self.ports.queue.receive(&request).await? {
                self.handle(&delivery).await?;
            }
        }
    }

    async fn handle(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let Ok(Decoded { command, .. }) = message::decode(&delivery.body) else {
            bail!("a message of the bench cannot be read");
        };
        let Action::Reserve(reserve) = &command.action else { bail!("no reserve") };
        let scope = command.pool.to_string();
        let token = self.entropy.uuid();
        for seat in &reserve.seats {
            // SET NX, one per seat.
            self.ports.locks.acquire(&scope, &[format!("seat:{seat}")], token, LOCK).await?;
        }
        let outcome = self.write(&command, reserve).await?;
        let result = message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command.action.command_type().as_str(),
            sequence: Some(&delivery.sequence),
            group: &delivery.group,
            pool: Some(&command.pool),
            outcome: &outcome,
            changes: &Changes::NONE,
            decided_at: self.clock.now(),
            message_digest: command.digest,
            traceparent: None,
        });
        self.ports.publisher.publish(&[result]).await?;
        self.ports.queue.delete(std::slice::from_ref(&delivery.receipt)).await?;
        for seat in &reserve.seats {
            self.ports.locks.release(&scope, &[format!("seat:{seat}")], token).await?;
        }
        Ok(())
    }

    /// The seats and a record of the command in a transaction, then the reservation.
    async fn write(&self, command: &Command, reserve: &Reserve) -> anyhow::Result<Outcome> {
        let now = self.clock.now();
        let until = time::expiry(now, HOLD_SECONDS_DEFAULT);
        let reservation = Reservation {
            reservation_id: reserve.reservation_id,
            pool: command.pool.clone(),
            source: command.key.source.clone(),
            user_id: reserve.user_id.clone(),
            status: ReservationStatus::Active,
            version: 1,
            seats: reserve.seats.clone(),
            lines: Vec::new(),
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: now,
            expires_at: until,
            ended_at: None,
        };
        let outcome = Outcome::Reserved { reservation: reservation.clone() };
        let occupancy = SeatState::Reserved {
            reservation_id: reserve.reservation_id,
            by: reserve.user_id.clone(),
            until,
        };
        let mut transaction = Transaction::default();
        for number in &reserve.seats {
            let seat = Seat { occupancy: occupancy.clone(), version: 2, ..load::seat(0, now)? };
            let key = SeatKey { event_id: load::EVENT, number: number.clone() };
            transaction.writes.push(Write::Seat { key, expected: Expected::Version(1), seat });
        }
        transaction.writes.push(Write::Ledger {
            key: LedgerKey::Command(command.key.clone()),
            record: LedgerRecord::Outcome {
                digest: command.digest,
                command_type: CommandType::Reserve,
                pool: command.pool.clone(),
                outcome: outcome.clone(),
                changes: Changes::NONE,
                decided_at: now,
            },
        });
        self.ports.store.commit(&transaction, self.entropy.uuid()).await?;
        let put = Write::Reservation { expected: Expected::Absent, reservation };
        let put = Transaction { writes: vec![put], checks: Vec::new() };
        self.ports.store.commit(&put, self.entropy.uuid()).await?;
        Ok(outcome)
    }
}
