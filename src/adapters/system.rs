//! The machine's clock, random source and processor time.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

use crate::{
    domain::Timestamp,
    ports::{Clock, Entropy, ProcessorTime},
};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The processor time of this process, by the system's count; cores as far as a container may use
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemProcessor;

impl ProcessorTime for SystemProcessor {
    fn used(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
    }

    fn cores(&self) -> usize {
        thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }
}

/// Randomness: ids from the operating system at each call, so that machines cloned from one image
/// never share the tokens of leases, requests and locks; jitter from a generator. A seeded one, for
/// tests, draws everything from its generator.
#[derive(Debug)]
pub struct Random {
    generator: Mutex<fastrand::Rng>,
    ids: Ids,
}

/// The source of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    System,
    Generator,
}

impl Random {
    /// The machine's random source.
    #[must_use]
    pub fn new() -> Self {
        Self { generator: Mutex::new(fastrand::Rng::new()), ids: Ids::System }
    }

    /// The same sequence for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { generator: Mutex::new(fastrand::Rng::with_seed(seed)), ids: Ids::Generator }
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for Random {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for ids")]
    fn uuid(&self) -> Uuid {
        match self.ids {
            Ids::System => Uuid::new_v4(),
            Ids::Generator => {
                let bits = self.generator.lock().unwrap_or_else(PoisonError::into_inner).u128(..);
                uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
            }
        }
    }

    fn fraction(&self) -> f64 {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of two machines that resume from one snapshot.
    fn clones() -> [Random; 2] {
        [7, 7].map(|seed| Random {
            generator: Mutex::new(fastrand::Rng::with_seed(seed)),
            ids: Random::new().ids,
        })
    }

    #[test]
    fn machines_of_one_image_never_share_an_id() {
        let [one, other] = clones();
        assert_eq!(one.fraction().to_bits(), other.fraction().to_bits(), "the same state");
        for _ in 0..100 {
            assert_ne!(one.uuid(), other.uuid());
        }
    }

    #[test]
    fn what_is_seeded_repeats_itself() {
        let [one, other] = [Random::seeded(7), Random::seeded(7)];
        assert_eq!((one.uuid(), one.uuid()), (other.uuid(), other.uuid()));
        assert_ne!(one.uuid(), Random::seeded(8).uuid());
        assert_eq!(one.uuid().get_version(), Some(uuid::Version::Random));
    }
}
