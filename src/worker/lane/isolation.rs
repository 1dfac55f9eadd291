//! Isolation: a message that was received too often is handled alone, and its attempts are counted,
//! so that one that kills or baffles the worker ends in the dead letters and an outage condemns
//! nobody.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::warn;

use super::{Held, Lanes, Settled};
use crate::{
    message,
    planted::{self, Bug},
    ports::PortError,
    worker::{Tools, chunks, dead_letters::Reason, failure::Failure, outbox::Coming},
};

/// Between two tries to take back attempts that ended in a failure of the environment.
const FORGIVE_EVERY: Duration = Duration::from_secs(1);

/// Attempts that ended in a failure of the environment and are still counted. Each is taken back
/// as soon as the store allows it, and before any other attempt is counted: an outage condemns
/// nobody.
#[derive(Clone, Default)]
pub(in crate::worker) struct Unforgiven {
    /// By the message's id.
    counted: Arc<Mutex<Vec<String>>>,
    forgiving: Arc<tokio::sync::Mutex<()>>,
}

/// Suspects of a worker are handled one after the other: were they handled side by side, the one
/// that kills the worker would condemn the others with it.
pub(in crate::worker) type OneSuspect = Arc<tokio::sync::Mutex<()>>;

impl Unforgiven {
    fn add(&self, message_id: String) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).push(message_id);
    }

    fn is_empty(&self) -> bool {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    async fn settle(&self, tools: &Tools) -> Result<(), Failure> {
        loop {
            let next = self.counted.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(message_id) = next else { return Ok(()) };
            if let Err(error) = tools.store.forgive_attempt(&message_id).await {
                self.add(message_id);
                return Err(error.into());
            }
        }
    }
}

impl Lanes {
    /// Takes back what an outage had counted, for as long as it takes.
    pub(super) async fn forgive(&self) {
        let stop = &self.tools.stop.working;
        // One lane is enough.
        let Ok(_alone) = self.unforgiven.forgiving.try_lock() else { return };
        while !self.unforgiven.is_empty() {
            let Err(error) = self.unforgiven.settle(&self.tools).await else { return };
            warn!(%error, "an attempt is still counted, to be taken back later");
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(FORGIVE_EVERY) => {}
            }
        }
    }

    /// A message that was received too often is handled alone, after its attempt is counted.
    ///
    /// After the last attempt it waits once more before it is condemned: a worker whose count lost
    /// its answer has the time to take it back.
    pub(super) async fn alone(&self, head: &[Held], coming: Coming) -> Settled {
        let Some(suspect) = head.first() else {
            return Settled { done: 0, failure: None, is_deleted: true };
        };
        let _turn = self.one_suspect.lock().await;
        let message_id = &suspect.delivery.message_id;
        // The turn may have been long in coming: what is not to be begun is not counted.
        if self.tools.stop.working.is_cancelled() {
            return Settled::failed(Failure::Stopping);
        }
        if !suspect.lease.is_held() {
            return Settled::failed(Failure::LeaseLost);
        }
        let settled = match self.count_attempt(message_id).await {
            Ok(attempts) => self.judge(head, suspect, attempts, coming).await,
            Err(failure) => return Settled::failed(failure),
        };
        let is_forgiven =
            settled.failure.as_ref().is_some_and(|failure| !matches!(failure, Failure::Poison(_)));
        if is_forgiven && !planted::on(Bug::CountOutages) {
            self.unforgiven.add(message_id.clone());
        }
        settled
    }

    async fn judge(&self, head: &[Held], suspect: &Held, attempts: u32, coming: Coming) -> Settled {
        let attempts_max = self.tools.settings.attempts_max;
        if planted::on(Bug::CondemnUntried)
            || attempts > attempts_max + 1 && !planted::on(Bug::NeverCondemn)
        {
            return self.condemn(suspect, attempts_max, coming).await;
        }
        if attempts == attempts_max + 1 && !planted::on(Bug::NeverCondemn) {
            let what = format!("handled alone {attempts_max} times without outcome, a last wait");
            return Settled::failed(Failure::Poison(what));
        }
        self.batch(head, coming).await
    }

    /// Counts one more attempt. One whose answer was lost may have been counted: it is taken back,
    /// and if it was not counted, the message has one attempt more than it should.
    async fn count_attempt(&self, message_id: &str) -> Result<u32, Failure> {
        self.unforgiven.settle(&self.tools).await?;
        let now = self.tools.clock.now();
        let counted = self.tools.store.record_attempt(message_id, now).await;
        if matches!(counted, Err(PortError::Unavailable(_))) {
            self.unforgiven.add(message_id.to_owned());
        }
        Ok(counted?)
    }

    /// To the dead letters, unless the ledger knows the command: what has begun is never given up.
    async fn condemn(&self, suspect: &Held, attempts: u32, mut coming: Coming) -> Settled {
        let begun = match message::decode(&suspect.delivery.body) {
            Ok(decoded) => chunks::is_begun(&self.tools, &decoded.command).await,
            Err(_) => Ok(false),
        };
        let moved = match begun {
            Ok(true) if !planted::on(Bug::CondemnBegun) => {
                return self.batch(std::slice::from_ref(suspect), coming).await;
            }
            Ok(_) => {
                let detail = format!("handled alone {attempts} times without outcome");
                self.dead_letter(&suspect.delivery, Reason::Poison, &detail).await
            }
            Err(failure) => Err(failure),
        };
        match moved {
            Ok(()) => {
                let is_deleted = self.delete(std::slice::from_ref(suspect), &mut coming).await;
                Settled { done: 1, failure: None, is_deleted }
            }
            Err(failure) => Settled::failed(failure),
        }
    }
}
