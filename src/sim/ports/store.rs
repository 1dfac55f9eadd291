//! A store that tears reads, loses answers and meets conflicts.

use std::{collections::BTreeSet, fmt::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use fastrand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    domain::{PoolId, Timestamp},
    planted::{self, Bug},
    ports::{
        Attempt, CommitError, Consumed, Ended, ExpiredPage, LedgerKey, Loaded, Page, PageCursor,
        PortError, Store, Table, Transaction, Wanted, Write as Item,
    },
    sim::{
        history::Entry,
        injector::{Call, Effect, Injector, Port, never},
        profile::Fault,
        workload::{KILLER, POISON},
    },
};

/// The store, as one worker sees it.
pub(in crate::sim) struct FaultyStore(pub(in crate::sim) Arc<Injector>);

fn call(name: &'static str) -> Call {
    Call::new(Port::Store, name)
}

impl FaultyStore {
    /// In parts, at different moments.
    async fn load_torn(&self, wanted: &Wanted) -> Result<Loaded, PortError> {
        let parts = self.0.with_rng(|rng| split(rng, wanted));
        let mut loaded = Loaded::default();
        for (part, gap) in parts {
            let mut some = self.0.world.store.load(&part).await?;
            if planted::on(Bug::UnprocessedIsAbsent) && !gap.is_zero() {
                some.reservations.values_mut().for_each(|item| *item = None);
                some.seats.values_mut().for_each(|item| *item = None);
                some.lines.values_mut().for_each(|item| *item = None);
            }
            loaded.ledger.extend(some.ledger);
            loaded.reservations.extend(some.reservations);
            loaded.seats.extend(some.seats);
            loaded.lines.extend(some.lines);
            let began = Instant::now();
            tokio::time::sleep(gap).await;
            self.0.trace(format_args!("load torn for {} ms", began.elapsed().as_millis()));
        }
        Ok(loaded)
    }

    /// Whether the transaction decides a command whose id begins so, and nobody has cured it.
    fn decides(&self, transaction: &Transaction, prefix: &str) -> bool {
        let is_it = |write: &Item| match write {
            Item::Ledger { key: LedgerKey::Command(key), .. } => {
                key.id.as_str().starts_with(prefix)
            }
            _ => false,
        };
        !self.0.world.is_poison_cured() && transaction.writes.iter().any(is_it)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self, wanted: &Wanted) -> Result<Loaded, PortError> {
        let work = async {
            if self.0.world.is_too_new(self.0.worker, wanted) {
                self.0.world.count(Some(Fault::Rollout));
                return Err(PortError::Unreadable("a newer release wrote the item".to_owned()));
            }
            if wanted.len() > 1 && self.0.happens(Fault::Torn) {
                return self.load_torn(wanted).await;
            }
            self.0.world.store.load(wanted).await
        };
        self.0.around(call("load"), Named(wanted).text(), work, never).await
    }

    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let (world, worker) = (&self.0.world, self.0.worker);
        world.begin_commit(self.0.life(), transaction);
        if self.decides(transaction, KILLER) {
            self.0.trace(format_args!("killed by a message"));
            world.count(Some(Fault::Poison));
            return self.0.die().await;
        }
        let work = async {
            if self.decides(transaction, POISON) {
                world.count(Some(Fault::Poison));
                return Err(CommitError::Invalid("poison".to_owned()));
            }
            if self.0.happens(Fault::Conflict) {
                return Err(CommitError::Conflict("another transaction is at work".to_owned()));
            }
            world.commit(worker, transaction, token).await
        };
        let late = || {
            let is_poison = self.decides(transaction, POISON);
            let (world, transaction) = (Arc::clone(world), transaction.clone());
            let effect: Effect = Box::pin(async move {
                if !is_poison {
                    let _ = world.commit(worker, &transaction, token).await;
                }
            });
            Some(effect)
        };
        let args = Entry(transaction).to_string();
        self.0.around(call("commit"), args, work, late).await
    }

    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        let world = &self.0.world;
        let work = async {
            let attempt = world.store.record_attempt(message_id, now).await?;
            world.history().attempted(message_id, self.0.life());
            self.0.trace(format_args!("attempt {} at {}", attempt.count, short(message_id)));
            Ok(attempt)
        };
        self.0.around(call("record attempt"), short(message_id), work, never).await
    }

    async fn forgive_attempt(&self, message_id: &str) -> Result<(), PortError> {
        let world = &self.0.world;
        let work = async {
            world.store.forgive_attempt(message_id).await?;
            world.history().forgiven(message_id, self.0.life());
            Ok(())
        };
        self.0.around(call("forgive attempt"), short(message_id), work, never).await
    }

    async fn expired(
        &self,
        shard: u32,
        ended: Ended,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<ExpiredPage, PortError> {
        let call = Call { port: Port::Store, name: "expired", is_quick: true };
        let work = async {
            let mut found = self.0.world.store.expired(shard, ended, from, limit).await?;
            if !found.holds.is_empty() && self.0.happens(Fault::StaleIndex) {
                found.holds.retain(|_| self.0.with_rng(Rng::bool));
            }
            Ok(found)
        };
        self.0.around(call, shard, work, never).await
    }

    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.0.world.store.scan(table, from).await
    }

    async fn seats(&self, event_id: u64, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.0.world.store.seats(event_id, from).await
    }

    async fn lines(&self, pool: &PoolId, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.0.world.store.lines(pool, from).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// The last part of a message id: the sequence.
fn short(message_id: &str) -> &str {
    message_id.rsplit('-').next().unwrap_or_default()
}

/// Two or three parts, each with the time until the next; an unprocessed key takes long.
fn split(rng: &mut Rng, wanted: &Wanted) -> Vec<(Wanted, Duration)> {
    let count = rng.usize(2..=3);
    let mut parts: Vec<(Wanted, Duration)> = (0..count)
        .map(|_| {
            let gap_ms = if rng.u32(0..4) == 0 { rng.u64(0..3_000) } else { rng.u64(0..200) };
            (Wanted::default(), Duration::from_millis(gap_ms))
        })
        .collect();
    macro_rules! deal {
        ($field:ident) => {
            for key in &wanted.$field {
                if let Some((part, _)) = parts.get_mut(rng.usize(0..count)) {
                    part.$field.insert(key.clone());
                }
            }
        };
    }
    deal!(ledger);
    deal!(reservations);
    deal!(seats);
    deal!(lines);
    parts.retain(|(part, _)| !part.is_empty());
    parts
}

/// What is wanted, in few words.
struct Named<'a>(&'a Wanted);

impl Named<'_> {
    fn text(&self) -> String {
        let Wanted { ledger, reservations, seats, lines } = self.0;
        let mut text = String::new();
        let commands: BTreeSet<&str> = ledger
            .iter()
            .map(|key| match key {
                LedgerKey::Command(key) | LedgerKey::Chunk(key, _) => key.id.as_str(),
            })
            .collect();
        for command in commands {
            let _ = write!(text, "{command} ");
        }
        let _ = write!(text, "r{} s{} l{}", reservations.len(), seats.len(), lines.len());
        text
    }
}
