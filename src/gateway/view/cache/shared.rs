//! Reads that gateways share: one reads a pool and puts a snapshot, and the others take it.
//!
//! A snapshot takes the place of a read only where it is as good as one: it is younger than what is
//! kept, no older than half of what a query may be told, or, where hints keep the pool current, read
//! after everything since is known to have been announced. Whatever is wrong with the store of
//! snapshots, the tables are read.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::{Inner, Kept, ViewSettings};
use crate::{
    domain::{PoolId, time},
    gateway::{
        observer::SnapshotOutcome,
        view::{
            Content,
            memo::apart,
            packed::{pack, unpack},
            slots::Slot,
        },
    },
    ports::{PortError, SnapshotStore, snapshots::SNAPSHOT_LIFETIME},
};

/// The longest that a call to the store of snapshots may delay a read.
const CALL_MAX: Duration = Duration::from_millis(250);

/// Between two looks for what another gateway reads.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long another gateway's read is waited for.
const WAIT_MAX: Duration = Duration::from_secs(1);

impl Slot {
    /// How recent a snapshot has to be to take the place of a read now; something was missed.
    pub(super) fn snapshot_from(
        &self,
        settings: &ViewSettings,
        missed: Option<Instant>,
    ) -> Instant {
        let now = Instant::now();
        let trust = self.trust.filter(|trust| now < trust.until);
        let kept = self.kept.as_ref();
        let age_max = match trust {
            Some(_) => SNAPSHOT_LIFETIME.min(settings.hinted / 2),
            None => SNAPSHOT_LIFETIME.min(settings.fresh_for(kept.map_or(0, Kept::entries)) / 2),
        };
        let bounds = [
            missed,
            trust.map(|trust| trust.from),
            // Later than what is kept.
            kept.map(|kept| kept.read_at + Duration::from_millis(1)),
            kept.and_then(|kept| kept.outdated),
        ];
        let first = now.checked_sub(age_max).unwrap_or(now);
        bounds.into_iter().flatten().fold(first, Instant::max)
    }
}

impl Inner {
    /// A snapshot of a read that began no earlier than `from`, once there is one; `None` where this
    /// process has to read.
    pub(super) async fn take(&self, pool: &PoolId, from: Option<Instant>) -> Option<Kept> {
        let (snapshots, from) = self.snapshots.as_deref().zip(from)?;
        let until = Instant::now() + WAIT_MAX;
        let outcome = loop {
            match self.look(snapshots, pool, from).await {
                Ok(Some(kept)) => {
                    self.observer.snapshot(SnapshotOutcome::Hit);
                    return Some(kept);
                }
                Ok(None) => {}
                Err(error) => break failed(pool, &error),
            }
            match bounded(snapshots.claim(pool)).await {
                Ok(false) if Instant::now() < until => sleep(LOOK_EVERY).await,
                Ok(_) => break SnapshotOutcome::Miss,
                Err(error) => break failed(pool, &error),
            }
        };
        self.observer.snapshot(outcome);
        None
    }

    async fn look(
        &self,
        snapshots: &dyn SnapshotStore,
        pool: &PoolId,
        from: Instant,
    ) -> Result<Option<Kept>, PortError> {
        // Its age is counted from before it was asked for: never is it taken for younger than it is.
        let now = Instant::now();
        let found = bounded(snapshots.get(pool)).await?;
        let mut age = found.as_ref().map_or(Duration::ZERO, |found| found.age);
        if injected_bug!(ForgetSnapshotAge) {
            age = Duration::ZERO;
        }
        let read_at = now.checked_sub(age);
        let Some((found, read_at)) = found.zip(read_at).filter(|(_, read_at)| *read_at >= from)
        else {
            return Ok(None);
        };
        let as_of = time::saturating_add(
            self.clock.now(),
            -SignedDuration::try_from(age).unwrap_or_default(),
        );
        let of = pool.clone();
        let view = apart(move || unpack(&of, &found.bytes)).await?;
        let memos = Arc::default();
        Ok(view.map(|view| Kept {
            read_at,
            as_of,
            view: Some(Arc::new(view)),
            outdated: None,
            memos,
        }))
    }

    /// Puts what was read for the others, in the background.
    pub(super) fn share(&self, pool: &PoolId, read: Option<&Content>, read_at: Instant) {
        let Some(snapshots) = self.snapshots.clone() else { return };
        let view = match read {
            Some(Content::View(view)) => Some(Arc::clone(view)),
            Some(Content::Nothing | Content::TooLarge) | None => None,
        };
        let pool = pool.clone();
        tokio::spawn(async move {
            let done = match view {
                Some(view) => match apart(move || pack(&view)).await {
                    Ok(bytes) => bounded(snapshots.put(&pool, &bytes, read_at.elapsed())).await,
                    Err(error) => Err(error),
                },
                None => bounded(snapshots.release(&pool)).await,
            };
            if let Err(error) = done {
                debug!(%pool, %error, "a snapshot cannot be shared");
            }
        });
    }
}

fn failed(pool: &PoolId, error: &PortError) -> SnapshotOutcome {
    debug!(%pool, %error, "no shared snapshot");
    SnapshotOutcome::Failed
}

async fn bounded<T>(call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    let late = |_| Err(PortError::Unavailable("no answer in time".to_owned()));
    timeout(CALL_MAX, call).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests;
