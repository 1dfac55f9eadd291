//! How long a stream lasts.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Bye, StreamPlace};
use crate::ports::Entropy;

/// How long a stream lasts, give or take a tenth: so that a load balancer spreads them again, not
/// all at once.
pub(in crate::gateway) const AGE: Duration = Duration::from_secs(15 * 60);
const AGE_JITTER: f64 = 0.1;

/// After so long a silence a stream says that it is there.
const PING_EVERY: Duration = Duration::from_secs(15);

/// What a stream does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat<T> {
    /// It tells this.
    Item(T),
    /// There was nothing to tell for 15 s.
    Ping,
    /// It ends.
    Bye(Bye),
}

/// A stream that has begun. It counts until this is dropped.
pub struct Life {
    _place: StreamPlace,
    drained: CancellationToken,
    ends: Instant,
}

impl Life {
    pub(super) fn new(
        place: StreamPlace,
        drained: CancellationToken,
        entropy: &dyn Entropy,
    ) -> Self {
        let age = AGE.mul_f64(1.0 + AGE_JITTER * (2.0 * entropy.fraction() - 1.0));
        Self { _place: place, drained, ends: Instant::now() + age }
    }

    /// The item, unless the stream ends or is silent before it comes. The item's future is dropped
    /// then: it must lose nothing by that.
    pub async fn beat<T>(&self, item: impl Future<Output = T>) -> Beat<T> {
        let item = pin!(item);
        tokio::select! {
            biased;
            () = self.drained.cancelled() => Beat::Bye(Bye::Draining),
            () = sleep_until(self.ends) => Beat::Bye(Bye::Age),
            item = item => Beat::Item(item),
            () = sleep(PING_EVERY) => Beat::Ping,
        }
    }
}
