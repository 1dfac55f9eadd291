//! A store that tears reads, loses answers and meets conflicts.

use std::{collections::BTreeSet, fmt::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use fastrand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    fault::{CRASH_TRIGGER, Fault, POISON},
    injector::{Call, Effect, Injector, never},
    topology::Port,
    trace::Writes,
};
use inventory_worker::{
    domain::{Reservation, ReservationStatus, Timestamp},
    ports::{
        Attempt, AttemptStore, Clock as _, CommitError, CommitStore, Consumed, ExpiredHold,
        ExpiredPage, ExpiryIndex, ExpiryQuery, Lease, LeaseStore, Leases, LedgerKey, LoadRequest,
        PortError, ReadSet, ReadStore, Transaction, Write as Item, store::expiry_shard,
    },
};

/// The store, as one worker sees it.
pub(super) struct FaultyStore(pub(super) Arc<Injector>);

fn call(name: &'static str) -> Call {
    Call::new(Port::Store, name)
}

impl FaultyStore {
    /// Loads in parts, at different moments.
    async fn load_torn(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let parts = self.0.with_rng(|rng| split(rng, wanted));
        let mut loaded = ReadSet::default();
        for (part, gap) in parts {
            let mut some = self.0.world.store.load(&part).await?;
            if inventory_worker::injected_bug!(UnprocessedIsAbsent) && !gap.is_zero() {
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

    /// Checks that no call begins after the grace, minus the part reserved for the flush.
    fn check_grace(&self) {
        let Injector { world, worker, .. } = &*self.0;
        let settings = world.profile.settings.get(*worker).cloned().unwrap_or_default();
        let Some(reported) = self.0.told_to_stop() else { return };
        if reported > settings.grace.saturating_sub(settings.flush) {
            let detail =
                format!("worker {worker} begins a commit {} ms later", reported.as_millis());
            world.history().fail("grace", detail);
        }
    }

    /// Adds holds that have ended, as a lagging index shows them.
    fn show_ended(&self, query: &ExpiryQuery, found: &mut Vec<ExpiredHold>) {
        if !self.0.happens(Fault::EndedIndex) {
            return;
        }
        let ended: Vec<ExpiredHold> = self.0.world.store.inspect(|tables| {
            let has_ended = |hold: &&Reservation| {
                hold.status != ReservationStatus::Active
                    && hold.expires_at <= query.ended.until
                    && expiry_shard(hold.reservation_id) == query.shard
            };
            (tables.reservations.values().filter(has_ended).take(10))
                .map(|hold| ExpiredHold {
                    reservation_id: hold.reservation_id,
                    pool: hold.pool.clone(),
                    expires_at: hold.expires_at,
                })
                .collect()
        });
        found.extend(ended);
        found.sort_by_key(|hold| (hold.expires_at, hold.reservation_id));
        found.truncate(query.limit);
    }

    /// Whether the transaction decides a command whose id begins with `prefix`, and the poison is
    /// not yet cured.
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

inventory_worker::forward_store!(FaultyStore => 0.world.store: ScanStore);

#[async_trait]
impl ReadStore for FaultyStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let work = async {
            if self.0.world.is_too_new(self.0.worker, wanted) {
                self.0.world.count(Some(Fault::Rollout));
                return Err(PortError::Unreadable("a newer release wrote the item".to_owned()));
            }
            if let Some((fault, error)) = self.0.world.troubles.load(wanted) {
                self.0.world.count(Some(fault));
                return Err(error);
            }
            let is_torn = wanted.len() > 1 && self.0.happens(Fault::Torn);
            let mut loaded = match is_torn {
                true => self.load_torn(wanted).await?,
                false => self.0.world.store.load(wanted).await?,
            };
            if self.0.world.troubles.hide(&mut loaded) {
                self.0.world.count(Some(Fault::StuckHolds));
            }
            Ok(loaded)
        };
        self.0.around(call("load"), Named(wanted).text(), work, never).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ExpiryIndex for FaultyStore {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        let call = Call { port: Port::Store, name: "expired", is_quick: true };
        let work = async {
            let mut found = self.0.world.store.expired(query).await?;
            self.show_ended(query, &mut found.holds);
            if !found.holds.is_empty() && self.0.happens(Fault::StaleIndex) {
                found.holds.retain(|_| self.0.with_rng(Rng::bool));
            }
            Ok(found)
        };
        self.0.around(call, query.shard, work, never).await
    }
}

#[async_trait]
impl CommitStore for FaultyStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let (world, worker) = (&self.0.world, self.0.worker);
        world.begin_commit(self.0.life(), transaction);
        self.check_grace();
        if self.decides(transaction, CRASH_TRIGGER) {
            self.0.trace(format_args!("crashed by a message"));
            world.count(Some(Fault::Poison));
            if world.is_fault_free() {
                // It may crash its worker with everything in flight, up to the allowed number of
                // times: no message can be on time before the last crash.
                world.count_from(world.clock.now());
            }
            return self.0.die().await;
        }
        let work = async {
            if self.decides(transaction, POISON) {
                world.count(Some(Fault::Poison));
                return Err(CommitError::Invalid("poison".to_owned()));
            }
            if let Some((fault, error)) = world.troubles.commit(transaction) {
                world.count(Some(fault));
                return Err(error.into());
            }
            if self.0.happens(Fault::Conflict) {
                return Err(CommitError::Conflict("another transaction is at work".to_owned()));
            }
            world.commit(worker, transaction, token).await
        };
        let late = || {
            let is_poison =
                self.decides(transaction, POISON) || world.troubles.commit(transaction).is_some();
            let (world, transaction) = (Arc::clone(world), transaction.clone());
            let effect: Effect = Box::pin(async move {
                if !is_poison {
                    let _ = world.commit(worker, &transaction, token).await;
                }
            });
            Some(effect)
        };
        let args = Writes(transaction).to_string();
        self.0.around(call("commit"), args, work, late).await
    }
}

#[async_trait]
impl AttemptStore for FaultyStore {
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

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        let world = &self.0.world;
        let work = async {
            world.store.undo_attempt(message_id).await?;
            world.history().attempt_undone(message_id, self.0.life());
            Ok(())
        };
        self.0.around(call("forgive attempt"), short(message_id), work, never).await
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        let work = self.0.world.store.note_dead_letter(message_id, now);
        self.0.around(call("note dead letter"), short(message_id), work, never).await
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        let work = self.0.world.store.has_dead_letter(message_id);
        self.0.around(call("find dead letter"), short(message_id), work, never).await
    }
}

#[async_trait]
impl LeaseStore for FaultyStore {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        let call = Call { port: Port::Store, name: "leases", is_quick: true };
        self.0.around(call, task, self.0.world.store.leases(task), never).await
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        let call = Call { port: Port::Store, name: "replace leases", is_quick: true };
        let (count, store) = (held.len(), &self.0.world.store);
        let args = format_args!("{task} {version} {count}").to_string();
        self.0.around(call, args, store.replace_leases(task, version, held), never).await
    }
}

/// The last part of a message id: the sequence number.
fn short(message_id: &str) -> &str {
    message_id.rsplit('-').next().unwrap_or_default()
}

/// Two or three parts, each with the delay until the next; an unprocessed key takes long.
fn split(rng: &mut Rng, wanted: &LoadRequest) -> Vec<(LoadRequest, Duration)> {
    let count = rng.usize(2..=3);
    let mut parts: Vec<(LoadRequest, Duration)> = (0..count)
        .map(|_| {
            let gap_ms = if rng.u32(0..4) == 0 { rng.u64(0..3_000) } else { rng.u64(0..200) };
            (LoadRequest::default(), Duration::from_millis(gap_ms))
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

/// A short description of the request.
struct Named<'a>(&'a LoadRequest);

impl Named<'_> {
    fn text(&self) -> String {
        let LoadRequest { ledger, reservations, seats, lines } = self.0;
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
