//! Waiting for a condition, with a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The timeout of anything that should happen. Generous: a machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The interval between two checks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Polls until there is an answer.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
