//! Randomness, all of it derived from one seed.

use std::sync::{Mutex, PoisonError};

use fastrand::Rng;
use uuid::Uuid;

use inventory_worker::ports::Entropy;

/// A separate random stream for each purpose: draws from one do not change another.
#[must_use]
pub(super) fn stream(seed: u64, purpose: &str) -> Rng {
    // FNV-1a over the purpose: the same in every build, unlike the standard hasher.
    let mixed = purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Rng::with_seed(mixed)
}

/// Returns true with a probability of `per_10_000` in ten thousand.
pub(super) fn happens(rng: &mut Rng, per_10_000: u32) -> bool {
    rng.u32(0..10_000) < per_10_000
}

/// One of the choices at random; `None` if there are none.
pub(super) fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> Option<&'a T> {
    if choices.is_empty() { None } else { choices.get(rng.usize(0..choices.len())) }
}

/// A worker's source of randomness.
pub(super) struct Seeded(Mutex<Rng>);

impl Seeded {
    pub(super) fn new(rng: Rng) -> Self {
        Self(Mutex::new(rng))
    }
}

impl Entropy for Seeded {
    fn uuid(&self) -> Uuid {
        let bits = self.0.lock().unwrap_or_else(PoisonError::into_inner).u128(..);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}
