//! Chance, all of it from one seed.

use std::sync::{Mutex, PoisonError};

use fastrand::Rng;
use uuid::Uuid;

use inventory_worker::ports::Entropy;

/// A stream of chance of its own for each purpose: that one draws more does not change another.
#[must_use]
pub(super) fn stream(seed: u64, purpose: &str) -> Rng {
    // FNV-1a over the purpose: the same in every build, as the standard hasher need not be.
    let mixed = purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Rng::with_seed(mixed)
}

/// Whether something happens that does so `per_10_000` times in ten thousand.
pub(super) fn happens(rng: &mut Rng, per_10_000: u32) -> bool {
    rng.u32(0..10_000) < per_10_000
}

/// One of the choices; `None` of none.
pub(super) fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> Option<&'a T> {
    if choices.is_empty() { None } else { choices.get(rng.usize(0..choices.len())) }
}

/// A worker's chance.
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
