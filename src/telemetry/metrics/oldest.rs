//! How long the oldest message had waited, over the last two minutes rather than the last receive.
//! A group that stands still is received only now and then among others that move, and a scrape
//! would hardly ever see a value that the next receive overwrites.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::GaugeVec;
use tokio::time::Instant;

/// The granularity of forgetting.
const SLOT: Duration = Duration::from_secs(30);

/// An age counts for 90 to 120 s. A head whose lease expired returns after the visibility timeout,
/// 60 s by default, and the next receive gets it: it never drops out of the gauge.
const SLOTS: u32 = 4;

/// The gauge, by queue, and the values it is computed from.
pub(super) struct OldestAges {
    gauge: GaugeVec,
    queues: Mutex<BTreeMap<String, Largest>>,
}

impl OldestAges {
    /// Reports through this gauge, whose one label is the queue.
    pub(super) fn of(gauge: GaugeVec) -> Self {
        Self { gauge, queues: Mutex::new(BTreeMap::new()) }
    }

    /// Records the oldest age of a receive, zero if it was empty.
    pub(super) fn received(&self, queue: &str, oldest: Duration, now: Instant) {
        // Held while the gauge is set, so that pollers of a queue cannot set it in another order.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let age = match queues.get_mut(queue) {
            Some(largest) => largest.with(oldest, now),
            None => queues.entry(queue.to_owned()).or_insert(Largest::new(now)).with(oldest, now),
        };
        self.gauge.with_label_values(&[queue]).set(age.as_secs_f64());
    }
}

/// The largest recent value.
struct Largest {
    /// When the first slot began.
    begun: Instant,
    /// The largest of each slot, the newest first.
    slots: [Duration; SLOTS as usize],
}

impl Largest {
    fn new(now: Instant) -> Self {
        Self { begun: now, slots: [Duration::ZERO; SLOTS as usize] }
    }

    /// The largest value, including this one.
    fn with(&mut self, value: Duration, now: Instant) -> Duration {
        if now.saturating_duration_since(self.begun) >= SLOT * SLOTS {
            *self = Self::new(now);
        }
        while now.saturating_duration_since(self.begun) >= SLOT {
            self.slots.rotate_right(1);
            self.slots[0] = Duration::ZERO;
            self.begun += SLOT;
        }
        self.slots[0] = self.slots[0].max(value);
        self.slots.into_iter().max().unwrap_or(value)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    const QUEUE: &str = "commands.fifo";

    fn ages() -> OldestAges {
        OldestAges::of(GaugeVec::new(Opts::new("age", "Age"), &["queue"]).unwrap())
    }

    fn reported(ages: &OldestAges, queue: &str) -> f64 {
        ages.gauge.with_label_values(&[queue]).get()
    }

    /// A receive after `after_ms` milliseconds that returns a message of that age in seconds.
    fn receive(ages: &OldestAges, start: Instant, after_ms: u64, age: u64) {
        let now = start + Duration::from_millis(after_ms);
        ages.received(QUEUE, Duration::from_secs(age), now);
    }

    #[test]
    fn a_head_that_stands_still_is_seen_between_receives_of_what_moves() {
        let (ages, start) = (ages(), Instant::now());
        // It returns every 30 s, with ten fresh receives a second in between, for an hour.
        for tenth in 0..36_000_u64 {
            let is_head = tenth % 300 == 0;
            let age = if is_head { 700 + tenth / 10 } else { 0 };
            receive(&ages, start, tenth * 100, age);
            let newest = 700 + tenth / 300 * 30;
            assert!((reported(&ages, QUEUE) - newest as f64).abs() < 0.5, "after {tenth} tenths");
        }
    }

    #[test]
    fn a_head_that_comes_again_when_its_lease_ran_out_is_never_out_of_sight() {
        let (ages, start) = (ages(), Instant::now());
        for second in 0..3_600 {
            // It is received again a moment after its 60 s visibility timeout.
            let age = if second % 67 == 0 { 700 + second } else { 0 };
            receive(&ages, start, second * 1_000, age);
            assert!(reported(&ages, QUEUE) >= 700.0, "after {second} s");
        }
    }

    #[test]
    fn what_was_mended_is_forgotten_after_two_minutes_at_the_latest() {
        for begins_ms in [0, 1, 29_999, 30_000, 75_000] {
            let (ages, start) = (ages(), Instant::now());
            receive(&ages, start, 0, 0);
            receive(&ages, start, begins_ms, 700);
            receive(&ages, start, begins_ms + 90_000, 1);
            assert!((reported(&ages, QUEUE) - 700.0).abs() < 0.5, "{begins_ms}: it still counts");
            receive(&ages, start, begins_ms + 120_000, 2);
            assert!((reported(&ages, QUEUE) - 2.0).abs() < 0.5, "{begins_ms}: forgotten");
        }
    }

    #[test]
    fn a_queue_nobody_received_from_for_long_begins_anew() {
        let (ages, start) = (ages(), Instant::now());
        receive(&ages, start, 0, 700);
        receive(&ages, start, 3_600_000, 0);
        assert!(reported(&ages, QUEUE).abs() < 0.5);
    }

    #[test]
    fn queues_are_told_apart() {
        let (ages, start) = (ages(), Instant::now());
        receive(&ages, start, 0, 700);
        ages.received("restock.fifo", Duration::from_secs(3), start);
        assert!((reported(&ages, QUEUE) - 700.0).abs() < 0.5);
        assert!((reported(&ages, "restock.fifo") - 3.0).abs() < 0.5);
    }
}
