//! Whether reserves are admitted: not while commands on the same pool wait for longer than a caller
//! would.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::CommandError;
use crate::domain::PoolId;

/// While reserves on a pool are refused, one is let through this often, so that workers that have
/// caught up are noticed.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The longest time after which a refused caller is asked to try again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Refuses reserves on a pool while the oldest command on it without an outcome is too old. Each
/// pool by itself: one that is stuck refuses no reserve on another.
pub(super) struct Admission {
    age_max: Duration,
    /// Of pools that had one within [`PROBE_EVERY`].
    last_probes: Mutex<BTreeMap<PoolId, Instant>>,
}

impl Admission {
    pub(super) fn new(age_max: Duration) -> Self {
        Self { age_max, last_probes: Mutex::default() }
    }

    /// Admits a reserve on a pool, where the oldest command has waited for `oldest`.
    pub(super) fn admit(
        &self,
        pool: &PoolId,
        oldest: Option<Duration>,
    ) -> Result<(), CommandError> {
        let Some(age) = oldest.filter(|age| *age > self.age_max) else { return Ok(()) };
        let now = Instant::now();
        // Nothing panics while it is held.
        let mut last_probes = self.last_probes.lock().unwrap_or_else(PoisonError::into_inner);
        last_probes.retain(|_, last| now.duration_since(*last) < PROBE_EVERY);
        if !last_probes.contains_key(pool) {
            last_probes.insert(pool.clone(), now);
            return Ok(());
        }
        // It takes about as long as it took to fall behind.
        let retry_after = age.clamp(PROBE_EVERY, RETRY_AFTER_MAX);
        Err(CommandError::Behind { age, retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reserves_are_refused_while_the_queue_is_behind_but_for_one_a_second() {
        let admission = Admission::new(Duration::from_secs(5));
        let (pool, other) = (&PoolId::Event(1), &PoolId::Event(2));
        let old = Some(Duration::from_secs(6));
        assert_eq!(admission.admit(pool, None), Ok(()));
        assert_eq!(admission.admit(pool, Some(Duration::from_secs(5))), Ok(()));
        assert_eq!(admission.admit(pool, old), Ok(()), "a probe");
        let refused = Err(CommandError::Behind {
            age: Duration::from_secs(6),
            retry_after: Duration::from_secs(6),
        });
        assert_eq!(admission.admit(pool, old), refused);
        assert_eq!(admission.admit(other, old), Ok(()), "a probe of its own");
        tokio::time::advance(PROBE_EVERY).await;
        assert_eq!(admission.admit(pool, old), Ok(()), "the next probe");
        assert_eq!(admission.admit(pool, old), refused);
        assert_eq!(admission.admit(pool, None), Ok(()), "it has recovered");
    }
}
