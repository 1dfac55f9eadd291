//! Hints of what was committed, on their way from the workers to one gateway: lost, doubled and
//! reordered, and long after the commit, as from a worker that stood still.
//!
//! They reach the view by [`ViewCache::apply`]; a port of hints would stand in between.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;

use super::Situation;
use crate::{
    fault::Fault,
    rng::{happens, stream},
    topology::Incarnation,
    world::World,
};
use inventory_worker::{
    domain::PoolId,
    gateway::view::{Applied, Hint, LineEntry, SeatEntry, ViewCache},
    ports::{Transaction, Write},
};

/// The way of hints to one incarnation of a gateway.
#[derive(Clone)]
pub(crate) struct HintLine {
    view: ViewCache,
    rng: Arc<Mutex<Rng>>,
}

impl HintLine {
    pub(crate) fn new(world: &World, life: Incarnation, view: &ViewCache) -> Self {
        let rng = stream(world.seed, &format!("hints to {life:?}"));
        Self { view: view.clone(), rng: Arc::new(Mutex::new(rng)) }
    }

    /// Sends a hint of each seat and line that was written.
    pub(crate) fn announce(&self, world: &World, transaction: &Transaction) {
        for write in &transaction.writes {
            let Some((pool, hint)) = hint_of(write) else { continue };
            for after in self.arrivals(world) {
                let (line, situations) = (self.clone(), Arc::clone(&world.situations));
                let (pool, hint) = (pool.clone(), hint.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    match line.view.apply(&pool, &hint) {
                        Applied::Changed => situations.cover(Situation::Hinted),
                        Applied::Known => situations.cover(Situation::OldHint),
                        Applied::Unknown => {}
                    }
                });
            }
        }
    }

    /// How long after the commit a hint arrives, each time that it does.
    fn arrivals(&self, world: &World) -> Vec<Duration> {
        let rng = &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let on = |rng: &mut Rng, fault| {
            let does = !world.is_fault_free() && happens(rng, world.profile.rate(fault));
            world.count(does.then_some(fault));
            does
        };
        let mut arrivals = Vec::new();
        if !on(rng, Fault::HintLost) {
            arrivals.push(rng.u64(0..=20));
        }
        if on(rng, Fault::HintTwice) {
            arrivals.push(rng.u64(0..=2_000));
        }
        for arrival in &mut arrivals {
            if on(rng, Fault::HintLate) {
                *arrival = rng.u64(20..=30_000);
            }
        }
        arrivals.into_iter().map(Duration::from_millis).collect()
    }
}

fn hint_of(write: &Write) -> Option<(PoolId, Hint)> {
    match write {
        Write::Seat { key, seat, .. } => {
            let hint = Hint::Seat(key.number.clone(), SeatEntry::from(seat));
            Some((PoolId::Event(key.event_id), hint))
        }
        Write::Line { key, line, .. } => {
            Some((key.pool.clone(), Hint::Line(key.sku.clone(), LineEntry::from(line))))
        }
        Write::Reservation { .. } | Write::Ledger { .. } | Write::LedgerOverIntent { .. } => None,
    }
}
