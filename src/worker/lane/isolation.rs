//! Isolation: a message that was received too often is handled alone, and its attempts are counted,
//! so that one that kills or baffles the worker ends in the dead letters and an outage condemns
//! nobody.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, MutexGuard};
use tracing::{info, warn};

use super::{Held, Lanes, Settled};
use crate::{
    message,
    planted::{self, Bug},
    ports::PortError,
    worker::{Tools, chunks, dead_letters::Reason, failure::Failure, outbox::Coming},
};

/// Between two tries to take back attempts that ended in a failure of the environment.
const FORGIVE_EVERY: Duration = Duration::from_secs(1);

/// How long a message waits, uncounted and in nobody's hands, before it is condemned: a worker
/// whose count lost its answer has the time to take it back.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Attempts that ended in a failure of the environment and are still counted. Each is taken back
/// as soon as the store allows it, and before any other attempt is counted: an outage condemns
/// nobody.
///
/// A worker has at most one attempt of a message counted: a crash costs it no more than one.
#[derive(Clone, Default)]
pub(in crate::worker) struct Unforgiven {
    /// By the message's id; locked while one is taken back, so that none is counted meanwhile.
    counted: Arc<Mutex<Vec<String>>>,
    forgiving: Arc<Mutex<()>>,
}

/// Suspects of a worker are handled one after the other: were they handled side by side, the one
/// that kills the worker would condemn the others with it.
pub(in crate::worker) type OneSuspect = Arc<Mutex<()>>;

impl Unforgiven {
    async fn add(&self, message_id: &str) {
        self.counted.lock().await.push(message_id.to_owned());
    }

    async fn is_empty(&self) -> bool {
        self.counted.lock().await.is_empty()
    }

    async fn settle(&self, tools: &Tools) -> Result<(), Failure> {
        let mut counted = self.counted.lock().await;
        while let Some(message_id) = counted.last() {
            tools.store.forgive_attempt(message_id).await?;
            counted.pop();
        }
        Ok(())
    }
}

impl Lanes {
    /// Takes back what an outage had counted, for as long as it takes.
    pub(super) async fn forgive(&self) {
        let stop = &self.tools.stop.working;
        // One lane is enough.
        let Ok(_alone) = self.unforgiven.forgiving.try_lock() else { return };
        while !self.unforgiven.is_empty().await {
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
    pub(super) async fn alone(&self, head: &[Held], coming: Coming) -> Settled {
        let Some(suspect) = head.first() else {
            return Settled { done: 0, failure: None, is_deleted: true };
        };
        let (_turn, attempts) = match self.attempt_or_wait(suspect).await {
            Ok(attempt) => attempt,
            Err(failure) => return Settled::failed(failure),
        };
        let settled = if self.is_over(attempts) || planted::on(Bug::CondemnUntried) {
            self.condemn(suspect, coming).await
        } else {
            self.batch(head, coming).await
        };
        let is_forgiven =
            settled.failure.as_ref().is_some_and(|failure| !matches!(failure, Failure::Poison(_)));
        if is_forgiven && !planted::on(Bug::CountOutages) {
            self.unforgiven.add(&suspect.delivery.message_id).await;
        }
        settled
    }

    /// Whether the attempt is one more than a message has.
    fn is_over(&self, attempts: u32) -> bool {
        attempts > self.tools.settings.attempts_max && !planted::on(Bug::NeverCondemn)
    }

    /// The turn to handle the message, and which attempt it is.
    ///
    /// One attempt too many is taken back, and counted again after the last wait.
    async fn attempt_or_wait(&self, suspect: &Held) -> Result<(MutexGuard<'_, ()>, u32), Failure> {
        let message_id = &suspect.delivery.message_id;
        let (turn, attempts) = self.attempt(suspect).await?;
        if !self.is_over(attempts) || planted::on(Bug::CondemnAtOnce) {
            return Ok((turn, attempts));
        }
        drop(turn);
        self.unforgiven.add(message_id).await;
        self.unforgiven.settle(&self.tools).await?;
        info!(message_id, "handled alone too often without outcome, a last wait");
        tokio::select! {
            biased;
            () = self.tools.stop.receiving.cancelled() => return Err(Failure::Stopping),
            () = tokio::time::sleep(LAST_WAIT) => {}
        }
        self.attempt(suspect).await
    }

    /// The turn to handle the message, and which attempt it is.
    async fn attempt(&self, suspect: &Held) -> Result<(MutexGuard<'_, ()>, u32), Failure> {
        let turn = self.one_suspect.lock().await;
        // The turn may have been long in coming: what is not to be begun is not counted.
        if self.tools.stop.working.is_cancelled() {
            return Err(Failure::Stopping);
        }
        if !suspect.lease.is_held() {
            return Err(Failure::LeaseLost);
        }
        let attempts = self.count_attempt(&suspect.delivery.message_id).await?;
        Ok((turn, attempts))
    }

    /// Counts one more attempt. One whose answer was lost may have been counted: it is taken back,
    /// and if it was not counted, the message has one attempt more than it should.
    async fn count_attempt(&self, message_id: &str) -> Result<u32, Failure> {
        self.unforgiven.settle(&self.tools).await?;
        let now = self.tools.clock.now();
        let counted = self.tools.store.record_attempt(message_id, now).await;
        if matches!(counted, Err(PortError::Unavailable(_))) {
            self.unforgiven.add(message_id).await;
        }
        Ok(counted?)
    }

    /// To the dead letters, unless the ledger knows the command: what has begun is never given up.
    async fn condemn(&self, suspect: &Held, mut coming: Coming) -> Settled {
        let begun = match message::decode(&suspect.delivery.body) {
            Ok(decoded) => chunks::is_begun(&self.tools, &decoded.command).await,
            Err(_) => Ok(false),
        };
        let moved = match begun {
            Ok(true) if !planted::on(Bug::CondemnBegun) => {
                return self.batch(std::slice::from_ref(suspect), coming).await;
            }
            Ok(_) => {
                let attempts_max = self.tools.settings.attempts_max;
                let detail = format!("handled alone {attempts_max} times without outcome");
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
