//! Locks on the names in a batch: for speed, not for safety.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use super::{WorkerContext, events::Event};
use crate::{
    domain::{Action, Command, ReservationId, SeatNumber, Sku},
    ports::PortError,
    retry::Policy,
};

/// The names a batch locks, by pool. Pools and names are sorted: two batches that need the same
/// pools request them in the same order.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<String>>);

impl Names {
    /// The names in the commands themselves. The seats of a reservation that a confirm or cancel
    /// names are unknown until it is loaded; the reservation's own name stands for them.
    pub(super) fn of(commands: &[&Command]) -> Self {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for command in commands {
            let names = names.entry(command.pool.to_string()).or_default();
            match &command.action {
                Action::Reserve(reserve) => {
                    names.extend(reserve.seats.iter().map(seat));
                    names.extend(reserve.lines.iter().map(|asked| line(&asked.sku)));
                }
                Action::Restock(restock) => {
                    names.extend(restock.seats.iter().map(|change| seat(&change.number)));
                    names.extend(restock.lines.iter().map(|change| line(&change.sku)));
                }
                Action::Modify(modify) => {
                    names.insert(reservation(modify.reservation_id));
                    for holdings in [&modify.add, &modify.remove] {
                        names.extend(holdings.seats.iter().map(seat));
                        names.extend(holdings.lines.iter().map(|held| line(&held.sku)));
                    }
                }
                Action::Extend(extend) => {
                    names.insert(reservation(extend.reservation_id));
                }
                Action::Confirm(confirm) => {
                    names.insert(reservation(confirm.reservation_id));
                }
                Action::Fulfil(fulfil) => {
                    names.insert(reservation(fulfil.reservation_id));
                }
                Action::Cancel(cancel) => {
                    names.insert(reservation(cancel.reservation_id));
                }
                Action::Expire(expire) => {
                    names.insert(reservation(expire.reservation_id));
                }
            }
        }
        Self(names.into_iter().map(|(pool, names)| (pool, names.into_iter().collect())).collect())
    }
}

fn seat(number: &SeatNumber) -> String {
    format!("seat:{number}")
}

fn line(sku: &Sku) -> String {
    format!("line:{sku}")
}

fn reservation(id: ReservationId) -> String {
    format!("reservation:{id}")
}

/// The locks held, possibly fewer than requested.
pub(super) struct LockGuard {
    context: Arc<WorkerContext>,
    token: Uuid,
    scopes: Vec<(String, Vec<String>)>,
}

/// Acquires the locks, waiting no longer than the settings allow. If that fails the batch continues
/// without them: version conditions guarantee safety.
pub(super) async fn acquire(context: &Arc<WorkerContext>, names: Names) -> LockGuard {
    let mut held = LockGuard {
        context: Arc::clone(context),
        token: context.entropy.uuid(),
        scopes: Vec::new(),
    };
    let begun = Instant::now();
    let mut is_degraded = false;
    for (scope, names) in names.0 {
        match wait_for(context, &scope, &names, held.token).await {
            Ok(true) => held.scopes.push((scope, names)),
            Ok(false) => {
                debug!(scope, "locks not free in time, going on without");
                is_degraded = true;
            }
            Err(error) => {
                debug!(scope, %error, "no locks, going on without");
                is_degraded = true;
                // The answer may have been lost after the names were locked.
                held.scopes.push((scope, names));
                break;
            }
        }
    }
    if is_degraded {
        context.observer.observe(&Event::LockFallback);
    }
    context.observer.observe(&Event::LockWaited(begun.elapsed()));
    held
}

async fn wait_for(
    context: &WorkerContext,
    scope: &str,
    names: &[String],
    token: Uuid,
) -> Result<bool, PortError> {
    let mut backoff = Policy::LOCK_WAIT.within(context.settings.lock_wait).start();
    loop {
        if context.locks.acquire(scope, names, token, context.settings.lock_ttl).await? {
            return Ok(true);
        }
        if !backoff.wait(&*context.entropy).await {
            return Ok(false);
        }
    }
}

impl LockGuard {
    /// Releases the locks. A lock that cannot be released expires by itself.
    pub(super) async fn release(self) {
        for (scope, names) in &self.scopes {
            if let Err(error) = self.context.locks.release(scope, names, self.token).await {
                debug!(scope, %error, "locks not released, they will run out");
            }
        }
    }
}
