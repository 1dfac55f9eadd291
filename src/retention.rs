//! How long queues and tables keep things. Every limit that follows from it is derived here.

use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::{Timestamp, time};

/// SQS: the longest retention, "1,209,600 seconds (14 days)", with which queues are created.
pub const QUEUE_RETENTION: Duration = Duration::from_secs(1_209_600);

/// How long a ledger entry is kept from when it was decided, and a reservation from when it was
/// given back, days: longer than a message can live through a queue, a dead-letter queue
/// ([`QUEUE_RETENTION`] each) and a redrive.
pub const LEDGER_DAYS: i64 = 90;

/// [`LEDGER_DAYS`] as a duration.
pub const LEDGER_RETENTION: SignedDuration = SignedDuration::from_hours(LEDGER_DAYS * 24);

/// For how many days an entry is there whatever clock is asked: a day is left for clocks that
/// differ and for the time that a message sent back spends in its queue.
pub const LEDGER_SAFE_DAYS: i64 = LEDGER_DAYS - 1;

/// [`LEDGER_SAFE_DAYS`] as a duration.
pub const LEDGER_SAFE: SignedDuration = SignedDuration::from_hours(LEDGER_SAFE_DAYS * 24);

/// The second from which what is kept since `from` counts as absent, in seconds since 1970.
#[must_use]
pub fn expires_second(from: Timestamp) -> i64 {
    time::saturating_add(from, LEDGER_RETENTION).as_second()
}

/// Whether what is kept since `from` counts as absent.
#[must_use]
pub fn is_past_retention(from: Timestamp, now: Timestamp) -> bool {
    expires_second(from) <= now.as_second()
}
