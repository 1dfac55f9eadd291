//! Whether reserves are admitted: not while commands wait for longer than a caller would.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::CommandError;

/// While reserves are refused, one is let through this often, so that a queue that recovered is
/// noticed.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The longest time after which a refused caller is asked to try again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Refuses reserves while the oldest command without an outcome is too old.
pub(super) struct Admission {
    age_max: Duration,
    last_probe: Mutex<Option<Instant>>,
}

impl Admission {
    pub(super) fn new(age_max: Duration) -> Self {
        Self { age_max, last_probe: Mutex::new(None) }
    }

    /// Admits a reserve, where the oldest command has waited for `oldest`.
    pub(super) fn admit(&self, oldest: Option<Duration>) -> Result<(), CommandError> {
        let Some(age) = oldest.filter(|age| *age > self.age_max) else { return Ok(()) };
        let now = Instant::now();
        // Nothing panics while it is held.
        let mut last_probe = self.last_probe.lock().unwrap_or_else(PoisonError::into_inner);
        if last_probe.is_none_or(|last| now.duration_since(last) >= PROBE_EVERY) {
            *last_probe = Some(now);
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
        let old = Some(Duration::from_secs(6));
        assert_eq!(admission.admit(None), Ok(()));
        assert_eq!(admission.admit(Some(Duration::from_secs(5))), Ok(()));
        assert_eq!(admission.admit(old), Ok(()), "a probe");
        let refused = Err(CommandError::Behind {
            age: Duration::from_secs(6),
            retry_after: Duration::from_secs(6),
        });
        assert_eq!(admission.admit(old), refused);
        tokio::time::advance(PROBE_EVERY).await;
        assert_eq!(admission.admit(old), Ok(()), "the next probe");
        assert_eq!(admission.admit(old), refused);
        assert_eq!(admission.admit(None), Ok(()), "it has recovered");
    }
}
