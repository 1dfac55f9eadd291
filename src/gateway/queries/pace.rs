//! Spreads reads of the tables over time: they take from the partition that a sale needs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::QueryError;

/// Entries read a second: some 300 read units, a tenth of what a partition gives.
const ENTRIES_PER_SECOND: u64 = 5_000;

/// A page costs a read unit at least, as much as so many entries.
const ENTRIES_OF_UNIT: usize = 16;

/// What may be read at once after a pause: 20,000 entries.
const BURST: Duration = Duration::from_secs(4);

/// The longest time that a read waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The turns of reads, in the order in which they are asked for.
pub(super) struct Pace {
    /// Until then, everything is given away.
    taken_until: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { taken_until: Mutex::new(None) }
    }

    /// Waits until so many entries may be read.
    ///
    /// # Errors
    ///
    /// Too much is to be read before.
    pub(super) async fn turn(&self, entries: usize) -> Result<(), QueryError> {
        let now = Instant::now();
        let begin = {
            // Nothing panics while it is held.
            let mut taken = self.taken_until.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let begin = taken.map_or(earliest, |until| until.max(earliest));
            if begin > now + WAIT_MAX {
                return Err(QueryError::Busy);
            }
            let entries = u64::try_from(entries.max(ENTRIES_OF_UNIT)).unwrap_or(u64::MAX);
            let micros = entries.saturating_mul(1_000_000) / ENTRIES_PER_SECOND;
            *taken = Some(begin + Duration::from_micros(micros));
            begin
        };
        sleep_until(begin).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_what_follows_at_the_rate() {
        let pace = Pace::new();
        tokio::time::advance(BURST).await;
        let begun = Instant::now();
        for _ in 0..21 {
            pace.turn(1_000).await.unwrap();
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for turns in 1..10 {
            pace.turn(1_000).await.unwrap();
            assert_eq!(begun.elapsed().as_millis(), turns * 200);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_would_wait_for_long_is_refused() {
        let pace = Pace::new();
        tokio::time::advance(BURST).await;
        let turns = (0..100).map(|_| pace.turn(1_000));
        let turns = futures::future::join_all(turns).await;
        // The burst, the one that it ends with, and two seconds of turns.
        assert_eq!(turns.iter().filter(|turn| turn.is_ok()).count(), 31);
        assert_eq!(pace.turn(1_000).await, Ok(()), "after they are over");
    }
}
