//! Spreads reads of the tables over time: they take from the partition that a sale needs.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as FairMutex, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};

use super::QueryError;

/// Entries read a second: some 300 read units, a tenth of what a partition gives.
const ENTRIES_PER_SECOND: u64 = 5_000;

/// A page costs a read unit at least, as much as so many entries.
const ENTRIES_OF_UNIT: usize = 16;

/// What may be read at once after a pause: 20,000 entries.
const BURST: Duration = Duration::from_secs(4);

/// The longest time that a read waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The most reads that wait: few of the requests of a lane, so that lists from memory go on beside
/// them.
const WAITING_MAX: usize = 64;

/// The turns of reads, in the order in which they are asked for.
pub(super) struct Pace {
    places: Semaphore,
    /// Held by the one whose turn is next.
    next: FairMutex<()>,
    /// Until then, everything is given away.
    taken_until: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new() -> Self {
        let (next, taken_until) = (FairMutex::default(), Mutex::default());
        Self { places: Semaphore::new(WAITING_MAX), next, taken_until }
    }

    /// Waits until so many entries may be read. One that is given up before takes nothing.
    ///
    /// # Errors
    ///
    /// Too much is to be read before.
    pub(super) async fn turn(&self, entries: usize) -> Result<(), QueryError> {
        let _place = self.places.try_acquire().map_err(|_| QueryError::Busy)?;
        let until = Instant::now() + WAIT_MAX;
        let _turn = timeout_at(until, self.next.lock()).await.map_err(|_| QueryError::Busy)?;
        let begins = begin(*self.taken_until());
        if begins > until {
            return Err(QueryError::Busy);
        }
        sleep_until(begins).await;
        let mut taken = self.taken_until();
        // Something may have been given back meanwhile.
        *taken = Some(begin(*taken) + cost(entries));
        Ok(())
    }

    /// Gives back what a turn took and did not need.
    pub(super) fn give_back(&self, taken: usize, read: usize) {
        let rest = cost(taken).saturating_sub(cost(read));
        let mut until = self.taken_until();
        *until = until.and_then(|until| until.checked_sub(rest));
    }

    fn taken_until(&self) -> MutexGuard<'_, Option<Instant>> {
        // Nothing panics while it is held.
        self.taken_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a read may begin.
fn begin(taken_until: Option<Instant>) -> Instant {
    let now = Instant::now();
    let earliest = now.checked_sub(BURST).unwrap_or(now);
    taken_until.map_or(earliest, |taken| taken.max(earliest))
}

/// The time that a read takes of all that may be read.
fn cost(entries: usize) -> Duration {
    let entries = u64::try_from(entries.max(ENTRIES_OF_UNIT)).unwrap_or(u64::MAX);
    Duration::from_micros(entries.saturating_mul(1_000_000) / ENTRIES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

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
        let turns = (0..60).map(|_| pace.turn(1_000));
        let turns = futures::future::join_all(turns).await;
        // The burst, the one that it ends with, and two seconds of turns.
        assert_eq!(turns.iter().filter(|turn| turn.is_ok()).count(), 31);
        assert_eq!(pace.turn(1_000).await, Ok(()), "after they are over");
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_at_a_time_however_little_each_reads() {
        let pace = Pace::new();
        *pace.taken_until() = Some(Instant::now() + Duration::from_millis(100));
        let turns = (0..1_000).map(|_| pace.turn(1));
        let turns = futures::future::join_all(turns).await;
        assert_eq!(turns.iter().filter(|turn| turn.is_ok()).count(), WAITING_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_give_up_take_no_turn_from_the_others() {
        let pace = Pace::new();
        *pace.taken_until() = Some(Instant::now() + Duration::from_millis(1_500));
        let begun = Instant::now();
        let impatient = (0..30).map(|_| timeout(Duration::from_secs(1), pace.turn(1_000)));
        let gone = futures::future::join_all(impatient).await;
        assert!(gone.iter().all(Result::is_err));
        assert_eq!(pace.turn(1_000).await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::from_millis(1_500));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_there_to_be_read_is_given_back() {
        let pace = Pace::new();
        let begun = Instant::now();
        *pace.taken_until() = Some(begun);
        for _ in 0..10 {
            pace.turn(1_000).await.unwrap();
            pace.give_back(1_000, 3);
        }
        // Timers end at whole milliseconds.
        assert!(begun.elapsed() < cost(3) * 9 + Duration::from_millis(1), "{:?}", begun.elapsed());
    }
}
